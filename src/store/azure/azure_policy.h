/*
 * An immutability policy: until an instant the service lets nobody change or delete the blob.
 * https://learn.microsoft.com/azure/storage/blobs/immutable-policy-configure-version-scope
 *
 * It goes along with the Put Block List, so that the blob is never there without it, and is asked
 * for afterwards: emulators and old services take the headers and do nothing.
 */
#ifndef STORE_AZURE_AZURE_POLICY_H
#define STORE_AZURE_AZURE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "store/azure/azure_request.h"

struct azure_policy {
    const char *mode; /* "unlocked", "locked"; NULL: there is no policy */
    char until[CLOCK_HTTP_SIZE];
};

/* The policy that the session's options ask for, for a blob that retention keeps for `retain_ms`
 * from now on; 0: none. */
void azure_policy_set(struct azure_policy *policy, const struct azure_session *session,
                      int64_t retain_ms);

/* Before anything is stored: ERROR_CONFIG when the container has no version-level immutability, or
 * does not exist, for one with it cannot be made here. Who may not ask is let through: then
 * azure_policy_confirm() tells. */
bool azure_policy_check_container(const struct azure_session *session, struct error *err);

/* *kept: the blob has this policy. */
bool azure_policy_confirm(const struct azure_session *session, const char *blob,
                          const struct azure_policy *policy, bool *kept, struct error *err);

#endif

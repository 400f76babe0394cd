/*
 * What opens stores and ends by itself, as far as it says so: found out from the settings alone,
 * before it has ended. store_credentials_read() (store/store.h) has those of all kinds of stores.
 */
#ifndef STORE_STORE_CREDENTIALS_H
#define STORE_STORE_CREDENTIALS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/settings.h"

/* It is told so long before. */
#define STORE_CREDENTIAL_AHEAD_MS ((int64_t)7 * 24 * 3600 * 1000)

struct store_credential {
    const char *what;                 /* "shared access signature" */
    char account[64];                 /* whose */
    char setting[SETTINGS_NAME_SIZE]; /* where it stands */
    int64_t ends_ms;
};
/* Starts zeroed. */
struct store_credentials {
    struct store_credential *items;
    size_t count;
};

bool store_credentials_add(struct store_credentials *credentials,
                           const struct store_credential *credential, struct error *err);
void store_credentials_clear(struct store_credentials *credentials);

#endif

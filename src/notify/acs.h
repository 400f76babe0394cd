/*
 * E-mail through Azure Communication Services (REST reference, "Email - Send" and "Email - Get Send
 * Result", API version 2023-03-31): one mail is handed over, then its operation is asked about
 * until it has ended.
 *
 * "Succeeded" means that the service has passed the mail on, not that it has arrived.
 */
#ifndef NOTIFY_ACS_H
#define NOTIFY_ACS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "notify/acs_account.h"
#include "notify/acs_reply.h"

struct acs;

struct acs_mail {
    const char *id; /* a UUID, sent as the Operation-Id: the same mail again has the same one */
    const char *to;
    const char *from;
    const char *subject;
    const char *plain_text;
    const char *html;
};

/* What came of it; all but ACS_DONE with an error that says why. */
enum acs_result {
    ACS_DONE,
    ACS_LATER,       /* may succeed at another time */
    ACS_THROTTLED,   /* as ACS_LATER, and the service wants no more mail for the moment */
    ACS_UNREACHABLE, /* as ACS_LATER, and nobody else's mail would fare better */
    ACS_NEVER,       /* this mail cannot be sent */
    ACS_STOPPED,     /* a signal asked us to stop */
};

/* Borrows the account. Loads libcurl. */
struct acs *acs_new(const struct acs_account *account, int64_t connect_ms, struct error *err);
void acs_free(struct acs *acs);

/* A mail that the service has accepted. */
struct acs_receipt {
    char operation_id[ACS_ID_SIZE];
    int64_t ask_in_ms; /* how long to wait before the first question */
};

/* Hands the mail over. ACS_DONE: the service has accepted it, and `receipt` says as what. */
enum acs_result acs_send(struct acs *acs, const struct acs_mail *mail, struct acs_receipt *receipt,
                         struct error *err);

/* Asks a few times, for at most a minute, until the operation has ended. ACS_DONE: the mail is
 * sent. ACS_NEVER: the operation failed. Otherwise it is to be asked about again, not sent again.
 */
enum acs_result acs_follow(struct acs *acs, const struct acs_receipt *receipt, struct error *err);

#endif

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
#include "notify/channel.h"

struct acs;

/* Borrows the account. Loads libcurl. */
struct acs *acs_new(const struct acs_account *account, int64_t connect_ms, struct error *err);
void acs_free(struct acs *acs);

/* Hands the mail over. CHANNEL_DONE: the service has accepted it, as what answer->receipt says, and
 * wants to be asked in answer->wait_ms. */
enum channel_result acs_send(struct acs *acs, const struct parcel *mail,
                             struct channel_answer *answer, struct error *err);

/* Asks a few times, for at most a minute, until the operation has ended. CHANNEL_DONE: the mail is
 * sent. CHANNEL_NEVER: the operation failed. Otherwise it is to be asked about again, not sent
 * again. */
enum channel_result acs_follow(struct acs *acs, const struct channel_answer *accepted,
                               struct error *err);

#endif

/*
 * The outbox: what is to be told about a run's or a verification's outcome is written down first
 * (email_logs), then delivered, now or by a later tick. Invariant I7: nothing here can make a good
 * backup a failed one; a mail that could not go stays pending and is tried again, at most
 * OUTBOX_MOST_ATTEMPTS times.
 */
#ifndef NOTIFY_OUTBOX_H
#define NOTIFY_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/settings.h"
#include "notify/message.h"
#include "postgres/session.h"

#define OUTBOX_MOST_ATTEMPTS 5

struct outbox_report {
    size_t sent;
    size_t waiting; /* stay pending for a later tick */
    size_t failed;  /* given up */
};

/* Writes one pending mail per recipient (RYTHM_BACKUP_NOTIFY_TO, else the admin query) and marks
 * the run as told, in one transaction; a run that was told already is left at that. No recipients,
 * or mail not configured: one warning in the log, *added = 0, true. With `again`, also for a run
 * and recipients that have this outcome's mail already (outcome->key). */
bool outbox_enqueue(struct session *session, const struct settings *settings,
                    const struct outcome *outcome, bool again, size_t *added, struct error *err);

/* Records that the verification failed (verification_record_failure()) and writes one pending mail
 * per recipient that has none of this key, in one transaction. Recipients and mail as above. A
 * false leaves nothing recorded. */
bool outbox_enqueue_refutation(struct session *session, const struct settings *settings,
                               const struct refutation *refutation, size_t *added,
                               struct error *err);

/* Sends what is pending; logs each failure, and "📧 Backup notification sent to N admin(s)". False
 * only when the outbox itself cannot be read or written, or with ERROR_STOPPED, the rest staying
 * pending; what the service refused is in *report. Another process that is delivering at this
 * moment is left to do it (all zero).
 *
 * A mail that the service has accepted is never sent again: its outcome is asked for, by later
 * ticks if need be, and given up when it is not known after OUTBOX_MOST_ATTEMPTS of them. */
bool outbox_deliver(struct session *session, const struct settings *settings,
                    struct outbox_report *report, struct error *err);

/* Sends a test message to every recipient through every configured channel, at once, with a row in
 * email_logs each. Nothing configured or no recipient is an error here. */
bool outbox_test(struct session *session, const struct settings *settings,
                 struct outbox_report *report, struct error *err);

#endif

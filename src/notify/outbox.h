/*
 * The outbox: what is to be told about a run's or a verification's outcome is written down first
 * (rythm_backup_deliveries), then delivered, now or by a later tick (notify/round.h). Each outcome
 * is written once for each channel and recipient, in the transaction that marks it as told.
 * Invariant I7: nothing here can make a good backup a failed one; what could not go stays pending
 * and is tried again, with longer and longer pauses, for a day.
 */
#ifndef NOTIFY_OUTBOX_H
#define NOTIFY_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/settings.h"
#include "notify/message.h"
#include "notify/round.h"
#include "postgres/session.h"

/* Writes one pending notification per channel and recipient (of e-mail: RYTHM_BACKUP_NOTIFY_TO,
 * else the admin query), as the run's schedule chooses, and marks the run as told, in one
 * transaction; a run that was told already is left at that. No channel configured, or no recipient:
 * one warning in the log, *added = 0, true. With `again`, also for a run and recipients that have
 * this outcome's notification already (outcome->key).
 *
 * A failure joins what waits to be told of other failures and has not been begun: one message, not
 * a storm. When the admin query is wrong, the other channels get theirs, and false is returned with
 * the run not marked as told: a later call makes up for it. */
bool outbox_enqueue(struct session *session, const struct settings *settings,
                    const struct outcome *outcome, bool again, size_t *added, struct error *err);

/* Records that the verification failed (verification_record_failure()), or marks what is recorded
 * as told, and writes one pending notification per channel and recipient that has none of this key,
 * in one transaction. A false leaves nothing recorded and nothing marked. */
bool outbox_enqueue_refutation(struct session *session, const struct settings *settings,
                               const struct refutation *refutation, size_t *added,
                               struct error *err);

/* Sends what is pending (round_run()), and logs what was sent.
 *
 * A mail that Azure Communication Services has accepted is never sent again: its outcome is asked
 * for, by later ticks if need be. Where a service has no such id, what it accepted in the moment in
 * which this process died may come twice, with the same identification. */
bool outbox_deliver(struct session *session, const struct settings *settings, bool by_hand,
                    struct round_report *report, struct error *err);

/* Sends a test message to every recipient through every configured channel, at once. Nothing
 * configured, a channel whose settings are wrong, or no recipient is an error here. */
bool outbox_test(struct session *session, const struct settings *settings,
                 struct round_report *report, struct error *err);

#endif

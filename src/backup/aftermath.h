/*
 * What follows a run, or a verification: prune, tell. Invariant I7: what fails here leaves the
 * backup as good as it is; it is logged, and shows in the exit code.
 */
#ifndef BACKUP_AFTERMATH_H
#define BACKUP_AFTERMATH_H

#include <stdbool.h>

#include "backup/backup.h"
#include "base/error.h"
#include "postgres/history_rows.h"

/* Logs how the run ended, in the words that operators know. `problem` belongs to BACKUP_FAILED and
 * BACKUP_UNSETTLED. */
void aftermath_log(const struct backup_request *request, const struct backup_result *result,
                   const struct error *problem);

/* Deletes what has expired in the run's schedule, in each of its stores that has taken the backup:
 * one that has not is asked when it has it. A store that fails leaves the others as they are. */
bool aftermath_prune(const struct backup_request *request, const struct backup_result *result,
                     struct error *err);

/* Writes the outcome's mails to the outbox: once per outcome of an occurrence, not per attempt. */
bool aftermath_enqueue(const struct backup_request *request, const struct backup_result *result,
                       const struct error *problem, struct error *err);
/* The same for a run that the ledger says has ended: one that somebody else did and did not tell
 * (history_rows_read_untold()), or `again` for one whose mails are to be sent once more. With a
 * schedule, which may be NULL, the next time is told, too. */
bool aftermath_enqueue_row(const struct settings *settings, struct session *session,
                           const struct history_row *row, const struct schedule *schedule,
                           bool again, struct error *err);
/* Nobody is told of this run, now or by a later tick. */
bool aftermath_keep_silent(const struct backup_request *request, const struct backup_result *result,
                           struct error *err);

/* A verification that found the backup to be bad. */
struct aftermath_refutation {
    const struct backup_object *backup;
    const char *why;
    int64_t duration_ms; /* of the verification */
};
/* Records it in the ledger, and writes one mail per admin to the outbox: once per backup, however
 * often it fails. Where the mails cannot be written it is recorded all the same, as untold, and
 * false tells why they were not. A backup that the ledger does not know is mailed, and not
 * recorded. Delivering (outbox_deliver()) is the caller's. */
bool aftermath_verification_failed(const struct settings *settings, struct session *session,
                                   const struct aftermath_refutation *refutation,
                                   struct error *err);
/* Writes those mails for one that is recorded and was not told (verification_read_untold()). */
bool aftermath_enqueue_verification(const struct settings *settings, struct session *session,
                                    const struct untold_verification *untold, struct error *err);

#endif

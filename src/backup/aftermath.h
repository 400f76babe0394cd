/*
 * What follows a run: prune, tell. Invariant I7: what fails here leaves the backup as good as it
 * is; it is logged, and shows in the exit code.
 */
#ifndef BACKUP_AFTERMATH_H
#define BACKUP_AFTERMATH_H

#include <stdbool.h>

#include "backup/backup.h"
#include "base/error.h"
#include "schedule/recovery.h"

/* Logs how the run ended, in the words that operators know. `problem` belongs to BACKUP_FAILED and
 * BACKUP_UNSETTLED. */
void aftermath_log(const struct backup_request *request, const struct backup_result *result,
                   const struct error *problem);

/* Deletes what has expired in the run's schedule. */
bool aftermath_prune(const struct backup_request *request, struct error *err);

/* Writes the outcome's mails to the outbox: once per outcome of an occurrence, not per attempt. */
bool aftermath_enqueue(const struct backup_request *request, const struct backup_result *result,
                       const struct error *problem, struct error *err);
/* The same for a run that died and was resolved. `next_ms` 0: not known. */
bool aftermath_enqueue_recovered(const struct settings *settings, struct session *session,
                                 const struct recovered *recovered, int64_t next_ms,
                                 struct error *err);

#endif

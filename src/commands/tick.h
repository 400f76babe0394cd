/*
 * What one tick of `check` came to: how many of its runs failed and what else went wrong, each told
 * where it happens; the runs for --json; the backups that were made.
 */
#ifndef COMMANDS_TICK_H
#define COMMANDS_TICK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "backup/backup.h"
#include "backup/due_verification.h"
#include "backup/telemetry.h"
#include "base/error.h"
#include "postgres/backup_schedule.h"

struct tick {
    json_t *runs; /* for --json; NULL otherwise */
    size_t failed;
    size_t degraded;
    bool mails; /* some may wait */
    struct telemetry *telemetry;
    struct made_backup *made;
    size_t made_count;
};

/* What failed leaves every backup good; it is logged as a warning. */
void tick_degrade(struct tick *tick, const char *event, const struct error *problem);
/* For --json alone: no backup was begun with, and why. `error` may be NULL. */
void tick_note_no_run(struct tick *tick, const struct schedule *schedule, const char *result,
                      const char *error);
/* The row is wrong: nothing is run. */
void tick_pass_over(struct tick *tick, const struct schedule *schedule, const char *problem);
/* Logged, measured, put into the outbox, and after a success retention is applied. */
void tick_tell_failure(struct tick *tick, const struct backup_request *request,
                       const struct backup_result *result, const struct error *problem);
void tick_tell_success(struct tick *tick, const struct backup_request *request,
                       const struct backup_result *result);
void tick_clear(struct tick *tick);

#endif

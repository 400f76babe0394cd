/*
 * One manual backup, and what follows it: its name on standard output, retention, notifications,
 * verification.
 */
#ifndef COMMANDS_MANUAL_BACKUP_H
#define COMMANDS_MANUAL_BACKUP_H

#include <stdbool.h>

#include "base/error.h"
#include "base/scope.h"
#include "commands/context.h"
#include "postgres/backup_schedule.h"
#include "store/store_pool.h"

/* What is wanted of it. */
struct manual_backup {
    struct context *context;
    const struct store_choice *stores;
    const struct scope *scope; /* instead of the schedule's, or NULL */
    const char *restrict_key;  /* or NULL */
    bool no_prune;
    bool silent; /* nobody is notified */
    /* Of several databases: what is told of them waits until all are made, and this tells that they
     * begin (backup/backup.h). Else NULL. */
    struct ping *ping;
    bool no_verify;
    bool json;
    bool show_progress;
};

/* Sends what waits to be sent. */
bool manual_backup_deliver(struct context *context, struct error *err);

/* Makes it as one of this schedule. False also when the backup is good and what follows failed
 * (ERROR_DEGRADED, which has been told), and when another process is making one of the schedule
 * (ERROR_BUSY). */
bool manual_backup_run(const struct manual_backup *manual, const struct schedule *schedule,
                       struct error *err);

#endif

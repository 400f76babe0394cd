/*
 * Changing rows of backup_schedule, for the command `schedule`: one transaction per edit, in a
 * session of its own. Begin (postgres/transaction.h), find or add, write, look at what came of it,
 * then commit. Closing the session instead abandons the edit, and nothing has changed.
 *
 * Whether a row makes sense is for rythm_backup_problem() to say (backup_schedule_read() asks it):
 * here only what cannot even be written is refused.
 */
#ifndef POSTGRES_SCHEDULE_EDIT_H
#define POSTGRES_SCHEDULE_EDIT_H

#include <stdbool.h>

#include "base/error.h"
#include "postgres/backup_schedule.h"
#include "postgres/session.h"

/* What can be edited. */
enum schedule_column {
    SCHEDULE_COLUMN_NAME,
    SCHEDULE_COLUMN_TIME,
    SCHEDULE_COLUMN_FREQUENCY,
    SCHEDULE_COLUMN_DAYS,
    SCHEDULE_COLUMN_TIME_ZONE,
    SCHEDULE_COLUMN_RETENTION_DAYS,
    SCHEDULE_COLUMN_CATCH_UP,
    SCHEDULE_COLUMN_TENANT,
    SCHEDULE_COLUMN_DBNAME,
    SCHEDULE_COLUMN_SERVICE,
    SCHEDULE_COLUMN_ALL_DATABASES,
    SCHEDULE_COLUMN_SCHEMAS,
    SCHEDULE_COLUMN_ONLY_TABLES,
    SCHEDULE_COLUMN_EXCLUDE_TABLES,
    SCHEDULE_COLUMN_EXCLUDE_TABLE_DATA,
    SCHEDULE_COLUMN_STORES,
    SCHEDULE_COLUMN_VERIFY_EVERY,
    SCHEDULE_COLUMN_KEEP_LAST,
    SCHEDULE_COLUMN_KEEP_DAILY,
    SCHEDULE_COLUMN_KEEP_WEEKLY,
    SCHEDULE_COLUMN_KEEP_MONTHLY,
    SCHEDULE_COLUMN_KEEP_YEARLY,
    SCHEDULE_COLUMN_NOTIFY_CHANNELS,
    SCHEDULE_COLUMN_NOTIFY_ON,
    SCHEDULE_COLUMN_ENABLED,
    SCHEDULE_COLUMN_COUNT
};

/* "schedule_time", ...: as the table and rythm_backup_problem() call it. */
const char *schedule_edit_column_name(enum schedule_column column);

/* Only the columns that are given are written; NULL writes the column's default. Values are what
 * Postgres reads as the column's type: '{1,-1}', '15m'. */
struct schedule_values {
    bool given[SCHEDULE_COLUMN_COUNT];
    const char *values[SCHEDULE_COLUMN_COUNT];
};

/* The schedule of this name or id, or with NULL the only one. ERROR_USAGE when there is none, or
 * with NULL more than one. */
bool schedule_edit_find(struct session *session, const char *name, char id[SCHEDULE_ID_SIZE],
                        struct error *err);
bool schedule_edit_add(struct session *session, const struct schedule_values *values,
                       char id[SCHEDULE_ID_SIZE], struct error *err);
/* With another frequency and without days, the days it had are dropped: as days of the month, days
 * of the week would mean something else. */
bool schedule_edit_set(struct session *session, const char *id,
                       const struct schedule_values *values, struct error *err);
/* ERROR_BUSY while a backup of it is being made, ERROR_FAILED while an interrupted run of it waits
 * to be resolved. */
bool schedule_edit_remove(struct session *session, const char *id, struct error *err);
/* Brings next_run_at, which the admin page shows, up to date. The row must not be wrong. */
bool schedule_edit_note_next(struct session *session, const char *id, struct error *err);
bool schedule_edit_commit(struct session *session, struct error *err);

#endif

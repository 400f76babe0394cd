/*
 * The table backup_schedule, which the application owns and its admin page edits.
 */
#ifndef POSTGRES_BACKUP_SCHEDULE_H
#define POSTGRES_BACKUP_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/session.h"

#define SCHEDULE_ID_SIZE 37

/* The states of rythm_backup_due(), migrations/102: what each means is written there. */
enum schedule_state {
    SCHEDULE_DISABLED,
    SCHEDULE_INVALID,
    SCHEDULE_WAITING,
    SCHEDULE_GUARDED,
    SCHEDULE_RETRY,
    SCHEDULE_EXHAUSTED,
    SCHEDULE_DUE,
};

struct schedule {
    char id[SCHEDULE_ID_SIZE];
    bool is_default; /* the oldest row: the old service's objects belong to it */
    char time[16];   /* "02:00", UTC */
    int64_t retention_days;
    bool has_occurrence; /* false only when the row is invalid */
    int64_t occurrence_ms;
    int64_t next_ms;
    int64_t attempt; /* the number of the attempt that would be made now, from 1 */
    enum schedule_state state;
    char problem[128]; /* SCHEDULE_INVALID: what is wrong in the row */
};

struct schedules {
    struct schedule *items; /* by occurrence, oldest first */
    size_t count;
    int64_t now_ms;     /* the server's clock, shifted as --now asks */
    bool interrupted;   /* the ledger holds started rows of ours: some may be crashed runs */
    bool pending_mails; /* mails of ours wait to be sent */
};

/* More rows than this are refused. */
#define SCHEDULES_MOST 20000

/* All there is to know for a tick, in one query. The caller clears it. */
bool backup_schedule_read(struct session *session, int64_t catch_up_s, struct schedules *out,
                          struct error *err);
void backup_schedule_clear(struct schedules *schedules);

/* "due", "waiting", ... as in SQL. */
const char *backup_schedule_state_name(enum schedule_state state);

#endif

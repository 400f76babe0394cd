/*
 * What a schedule's row says beyond what a tick needs to know (postgres/backup_schedule.h), and its
 * next scheduled instants: for people and programs that look at schedules.
 */
#ifndef POSTGRES_SCHEDULE_DETAILS_H
#define POSTGRES_SCHEDULE_DETAILS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/backup_schedule.h"
#include "postgres/session.h"

#define SCHEDULE_UPCOMING 5

struct schedule_occurrence {
    int64_t at_ms;
    int64_t offset_minutes; /* of the schedule's time zone from UTC, then */
};

struct schedule_instant {
    bool known; /* false for an SQL null, and for infinity */
    int64_t ms;
};

struct schedule_details {
    char id[SCHEDULE_ID_SIZE];
    struct schedule_instant last_run; /* last_run_at, and so on */
    struct schedule_instant created;
    struct schedule_instant updated;
    struct schedule_instant timed;
    bool has_catch_up; /* of its own */
    int64_t catch_up_s;
    struct schedule_occurrence upcoming[SCHEDULE_UPCOMING];
    size_t upcoming_count; /* 0 for a row that is wrong, and when they were not asked for */
};

struct schedule_details_list {
    struct schedule_details *items; /* by id */
    size_t count;
};

/* Of every schedule, in one query. `upcoming` asks for the next scheduled instants, too: those of a
 * disabled schedule are when it would run. The caller clears it. */
bool schedule_details_read(struct session *session, bool upcoming,
                           struct schedule_details_list *out, struct error *err);
void schedule_details_clear(struct schedule_details_list *list);

/* NULL when the schedule has come into being after they were read. */
const struct schedule_details *schedule_details_find(const struct schedule_details_list *list,
                                                     const char *id);

#endif

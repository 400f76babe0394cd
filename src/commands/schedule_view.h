/*
 * Schedules as `schedule` and `status` show them: in words, as a table, as JSON.
 */
#ifndef COMMANDS_SCHEDULE_VIEW_H
#define COMMANDS_SCHEDULE_VIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/backup_schedule.h"
#include "postgres/schedule_details.h"

/* Some schedules, and what is known of them; all borrowed. */
struct schedule_view {
    const struct schedule **items;
    size_t count;
    const struct schedule_details_list *details;
};

/* Takes all of them, the default one first, the others by name, or the only one of this id.
 * schedule_view_clear() frees the array. */
bool schedule_view_select(const struct schedules *schedules, const char *id,
                          const struct schedule_details_list *details, struct schedule_view *out,
                          struct error *err);
void schedule_view_clear(struct schedule_view *view);

/* "weekly mon,fri 03:30 Europe/Stockholm" */
#define SCHEDULE_VIEW_WHEN_SIZE 512
void schedule_view_when(char out[SCHEDULE_VIEW_WHEN_SIZE], const struct schedule *schedule);
/* "2031-05-06T02:00Z" */
#define SCHEDULE_VIEW_MINUTE_SIZE 32
void schedule_view_minute(char out[SCHEDULE_VIEW_MINUTE_SIZE], int64_t instant_ms);
/* "2031-05-06T02:00Z (3m ago)" */
#define SCHEDULE_VIEW_WITH_AGE_SIZE 64
void schedule_view_with_age(char out[SCHEDULE_VIEW_WITH_AGE_SIZE], int64_t instant_ms,
                            int64_t now_ms);
/* False for one that is disabled or wrong: it will not run. */
bool schedule_view_has_next(const struct schedule *schedule);

/* Both print on standard output: a row per schedule, and a row per upcoming instant of each. */
bool schedule_view_print(const struct schedule_view *view, struct error *err);
bool schedule_view_print_upcoming(const struct schedule_view *view, struct error *err);

/* Every column of a schedule and how it stands. */
json_t *schedule_view_json(const struct schedule_view *view, size_t index, bool upcoming);
/* An array of its upcoming instants. */
json_t *schedule_view_json_upcoming(const struct schedule_details *details);

#endif

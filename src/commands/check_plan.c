#include "commands/check_plan.h"

#include <stdio.h>

#include "base/clock.h"
#include "commands/output.h"

static bool print_json(const struct schedules *schedules, struct error *err)
{
    json_t *list = json_array();

    for (size_t i = 0; i < schedules->count; i++) {
        const struct schedule *schedule = &schedules->items[i];
        json_array_append_new(
            list,
            json_pack(
                "{s:s, s:o, s:o, s:s, s:s, s:s, s:o, s:o, s:o, s:b, s:I}", "schedule", schedule->id,
                "schedule_name", output_json_text(schedule->is_named ? schedule->name : NULL),
                "database", output_json_text(schedule->dbname), "time", schedule->time, "time_zone",
                schedule->zone, "state", backup_schedule_state_name(schedule->state), "problem",
                output_json_text(schedule->problem), "occurrence",
                output_json_instant(schedule->has_occurrence, schedule->occurrence_ms), "next",
                output_json_instant(schedule->has_occurrence, schedule->next_ms), "would_run",
                schedule->state == SCHEDULE_DUE, "attempt", (json_int_t)schedule->attempt));
    }
    return output_json(json_pack("{s:o, s:o}", "now", output_json_instant(true, schedules->now_ms),
                                 "schedules", list),
                       err);
}

static bool print_table(const struct schedules *schedules, struct error *err)
{
    struct output_table table = OUTPUT_TABLE_INIT(6);

    output_table_add(
        &table, (const char *[]){"SCHEDULE", "TIME", "STATE", "OCCURRENCE", "NEXT", "WOULD RUN"});
    for (size_t i = 0; i < schedules->count; i++) {
        const struct schedule *schedule = &schedules->items[i];
        char occurrence[CLOCK_ISO_SIZE] = "-";
        char next[CLOCK_ISO_SIZE] = "-";
        char time[sizeof(schedule->time) + sizeof(schedule->zone)];
        if (schedule->has_occurrence) {
            clock_format_iso(occurrence, schedule->occurrence_ms);
            clock_format_iso(next, schedule->next_ms);
        }
        snprintf(time, sizeof(time), "%s %s", schedule->time, schedule->zone);
        const char *state = schedule->problem[0] != '\0'
                                ? schedule->problem
                                : backup_schedule_state_name(schedule->state);
        output_table_add(&table, (const char *[]){schedule->name, time, state, occurrence, next,
                                                  schedule->state == SCHEDULE_DUE ? "yes" : "no"});
    }
    return output_table_print(&table, err);
}

bool check_plan_print(const struct schedules *schedules, bool json, struct error *err)
{
    return json ? print_json(schedules, err) : print_table(schedules, err);
}

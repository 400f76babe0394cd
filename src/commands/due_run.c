#include "commands/due_run.h"

#include <string.h>

#include "backup/backup.h"
#include "base/log.h"
#include "base/stop.h"

#define READINGS_MOST 5 /* of a schedule that is being edited */

/* False when the schedule asks for another backup by now: it is to be read again. */
static bool run_as_seen(struct context *context, const struct schedule *schedule, struct tick *tick)
{
    struct backup_result result = {.status = BACKUP_FAILED};
    struct error problem = ERROR_INIT;
    struct store_choice stores = {.count = 0};
    const struct backup_request request = {
        .settings = &context->settings,
        .session = &context->session_options,
        .stores = &stores,
        .schedule = schedule,
        .compression = context->compression,
        .scheduled = true,
    };

    if (!store_pool_choose(&context->stores, schedule->stores, &stores, &problem)) {
        store_choice_clear(&stores);
        /* What is wrong with its URL has been told before; it may be an edit's. */
        if (problem.kind == ERROR_CONFIG) {
            tick_pass_over(tick, schedule, problem.text);
        } else {
            tick_tell_failure(tick, &request, &result, &problem);
        }
        return true;
    }
    bool ok = backup_run(&request, &result, &problem);
    tick->degraded += result.hook_failed;
    if (result.status == BACKUP_LOCKED) {
        log_info(LOG_MARK_NOTE, "schedule_locked",
                 "Another process is backing up schedule %s: left to it", schedule->name);
        tick_note_no_run(tick, schedule, "locked", NULL);
    } else if (result.status == BACKUP_NOT_DUE) {
        log_info(LOG_MARK_NOTE, "schedule_taken",
                 "A run of schedule %s for this time is recorded already: left to it",
                 schedule->name);
        tick_note_no_run(tick, schedule, "not_due", NULL);
    } else if (result.status == BACKUP_SKIPPED) {
        tick_note_no_run(tick, schedule, "skipped", NULL);
    } else if (result.status == BACKUP_COMPLETED) {
        if (!ok) {
            tick_degrade(tick, "ledger_not_written", &problem);
        }
        tick_tell_success(tick, &request, &result);
    } else if (result.status != BACKUP_CHANGED) {
        tick_tell_failure(tick, &request, &result, &problem);
    }
    store_choice_clear(&stores);
    return result.status != BACKUP_CHANGED;
}

static bool read_again(struct context *context, const char *id, struct schedules *out,
                       struct error *err)
{
    struct session *session = NULL;
    bool ok = context_connect(context, &session, err) &&
              backup_schedule_read_one(
                  session, settings_get_number(&context->settings, SETTING_CATCH_UP), id, out, err);

    session_close(session);
    return ok;
}

/* Another's backup may have taken hours since the rows were read: what was meanwhile edited is read
 * again. Edited ever again, it is left to the next tick. Of all databases the one whose turn it is
 * is run; false when there is nothing more to do for this schedule, else *fresh is how it stands.
 */
static bool run_turn(struct context *context, const struct schedule *schedule, struct tick *tick,
                     struct schedules *fresh)
{
    struct error problem = ERROR_INIT;
    bool ran = false;

    for (int i = 0; i < READINGS_MOST && !ran; i++) {
        struct schedules now = {.items = NULL};
        ran = run_as_seen(context, schedule, tick);
        if (ran && !schedule->all_databases) {
            return false;
        }
        if (!read_again(context, schedule->id, &now, &problem)) {
            tick_degrade(tick, "schedule_not_read", &problem);
            return false;
        }
        backup_schedule_clear(fresh);
        *fresh = now;
        if (fresh->count == 0) {
            return false;
        }
        schedule = &fresh->items[0];
        if (schedule->state == SCHEDULE_INVALID) {
            tick_pass_over(tick, schedule, schedule->problem);
            return false;
        }
    }
    return ran && fresh->items[0].all_databases && fresh->items[0].state == SCHEDULE_DUE;
}

/* Whether running it has changed anything: the same attempt at the same database is not made twice
 * in a tick. */
static bool goes_on(const struct schedule *before, const struct schedule *now)
{
    return before->dbname == NULL || strcmp(before->dbname, now->dbname) != 0 ||
           before->attempt != now->attempt || before->occurrence_ms != now->occurrence_ms;
}

void due_run(struct context *context, const struct schedule *schedule, struct tick *tick)
{
    struct schedules seen = {.items = NULL};
    struct schedules fresh = {.items = NULL};

    while (run_turn(context, schedule, tick, &fresh) && stop_signal() == 0 &&
           goes_on(schedule, &fresh.items[0])) {
        backup_schedule_clear(&seen);
        seen = fresh;
        fresh = (struct schedules){.items = NULL};
        schedule = &seen.items[0];
    }
    backup_schedule_clear(&seen);
    backup_schedule_clear(&fresh);
}

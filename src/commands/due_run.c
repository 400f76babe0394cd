#include "commands/due_run.h"

#include <stdio.h>
#include <string.h>

#include "backup/backup.h"
#include "base/log.h"
#include "base/stop.h"
#include "notify/ping.h"
#include "postgres/ledger.h"

#define READINGS_MOST 5 /* of a schedule that is being edited */

/* What has been run of a schedule in this tick. */
struct turns {
    struct context *context;
    struct tick *tick;
    struct ping ping; /* of all databases; begun by the first that is run */
    /* The last turn: the same one is not taken twice. */
    char database[LEDGER_DATABASE_SIZE];
    int64_t attempt;
    int64_t occurrence_ms;
};

/* False when the schedule asks for another backup by now: it is to be read again. */
static bool run_as_seen(struct turns *turns, const struct schedule *schedule)
{
    struct context *context = turns->context;
    struct tick *tick = turns->tick;
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
        .ping = schedule->all_databases ? &turns->ping : NULL,
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

static void note_turn(struct turns *turns, const struct schedule *schedule)
{
    snprintf(turns->database, sizeof(turns->database), "%s",
             schedule->dbname != NULL ? schedule->dbname : "");
    turns->attempt = schedule->attempt;
    turns->occurrence_ms = schedule->occurrence_ms;
}

static bool is_another(const struct turns *turns, const struct schedule *schedule)
{
    return strcmp(turns->database, schedule->dbname) != 0 || turns->attempt != schedule->attempt ||
           turns->occurrence_ms != schedule->occurrence_ms;
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
 * again. Edited ever again, it is left to the next tick. False when there is nothing more to do;
 * else it is a schedule of all databases, and *fresh says how it stands. */
static bool run_turn(struct turns *turns, const struct schedule *schedule, struct schedules *fresh)
{
    struct error problem = ERROR_INIT;
    bool ran = false;

    for (int i = 0; i < READINGS_MOST && !ran; i++) {
        struct schedules now = {.items = NULL};
        ran = run_as_seen(turns, schedule);
        note_turn(turns, schedule);
        if (ran && !schedule->all_databases) {
            return false;
        }
        if (!read_again(turns->context, schedule->id, &now, &problem)) {
            tick_degrade(turns->tick, "schedule_not_read", &problem);
            return false;
        }
        backup_schedule_clear(fresh);
        *fresh = now;
        if (fresh->count == 0) {
            return false;
        }
        schedule = &fresh->items[0];
        if (schedule->state == SCHEDULE_INVALID) {
            tick_pass_over(turns->tick, schedule, schedule->problem);
            return false;
        }
    }
    return ran && schedule->all_databases && schedule->state == SCHEDULE_DUE &&
           is_another(turns, schedule);
}

/* Of all databases the one whose turn it is is run, until nothing is due or nothing changes. */
void due_run(struct context *context, const struct schedule *schedule, struct tick *tick)
{
    struct turns turns = {.context = context, .tick = tick};
    struct schedules seen = {.items = NULL};
    struct schedules fresh = {.items = NULL};
    size_t failed = tick->failed;

    while (run_turn(&turns, schedule, &fresh) && stop_signal() == 0) {
        backup_schedule_clear(&seen);
        seen = fresh;
        fresh = (struct schedules){.items = NULL};
        schedule = &seen.items[0];
    }
    ping_end(&turns.ping, tick->failed > failed ? "not every database was backed up" : NULL);
    backup_schedule_clear(&seen);
    backup_schedule_clear(&fresh);
}

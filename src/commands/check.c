/* One tick. The quiet one, with nothing due, is one connection and one small query. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup/aftermath.h"
#include "backup/backup.h"
#include "backup/copying.h"
#include "backup/due_verification.h"
#include "backup/telemetry.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/stop.h"
#include "commands/command.h"
#include "commands/context.h"
#include "commands/delivery.h"
#include "commands/output.h"
#include "postgres/backup_quiet.h"
#include "schedule/recovery.h"

enum { OPTION_DRY_RUN, OPTION_NOW, OPTION_JSON };

#define READINGS_MOST 5 /* of a schedule that is being edited */

/* What the tick came to. */
struct tick {
    json_t *runs; /* for --json; NULL otherwise */
    size_t failed;
    size_t degraded;
    bool mails; /* some may wait */
    struct telemetry *telemetry;
    struct made_backup *made;
    size_t made_count;
};

static void degrade(struct tick *tick, const char *event, const struct error *problem)
{
    tick->degraded++;
    log_warning(event, "%s", problem->text);
}

static void note_run(struct tick *tick, const struct schedule *schedule, const char *result,
                     const struct backup_result *backup, const char *error)
{
    if (tick->runs == NULL) {
        return;
    }
    bool made = backup != NULL && backup->status == BACKUP_COMPLETED;
    json_array_append_new(
        tick->runs,
        json_pack("{s:s, s:o, s:o, s:s, s:o, s:o, s:o, s:o}", "schedule", schedule->id,
                  "schedule_name", output_json_text(schedule->is_named ? schedule->name : NULL),
                  "occurrence",
                  output_json_instant(schedule->has_occurrence, schedule->occurrence_ms), "result",
                  result, "name", output_json_text(backup != NULL ? backup->name : NULL), "bytes",
                  made ? json_integer((json_int_t)backup->object.bytes) : json_null(),
                  "duration_ms", made ? json_integer(backup->duration_ms) : json_null(), "error",
                  output_json_text(error)));
}

/* Runs that ended, and whoever ran them died before the outcome was told, or is about to tell. */
static void tell_untold(struct context *context, const struct schedules *schedules,
                        struct tick *tick)
{
    struct history_rows rows = {.items = NULL};
    struct session *session = NULL;
    struct error problem = ERROR_INIT;

    if (!context_connect(context, &session, &problem) ||
        !backup_history_read_untold(session, &rows, &problem)) {
        degrade(tick, "notification_not_prepared", &problem);
    }
    for (size_t i = 0; i < rows.count; i++) {
        tick->mails = true;
        if (!aftermath_enqueue_row(&context->settings, session, &rows.items[i],
                                   backup_schedule_find(schedules, rows.items[i].schedule_id),
                                   false, &problem)) {
            degrade(tick, "notification_not_prepared", &problem);
        }
    }
    backup_history_clear(&rows);
    session_close(session);
}

static bool read_schedules(struct context *context, struct session *session, struct schedules *out,
                           struct error *err)
{
    if (!context_read_schedules_in(context, session, out, err)) {
        return false;
    }
    context_judge_stores(context, out);
    return true;
}

/* The same with a session of its own. */
static bool read_schedules_now(struct context *context, struct schedules *out, struct error *err)
{
    struct session *session = NULL;
    bool ok = context_connect(context, &session, err) && read_schedules(context, session, out, err);

    session_close(session);
    return ok;
}

static bool recover(struct context *context, struct schedules *schedules, struct tick *tick,
                    struct error *err)
{
    struct recovery_report report;
    struct error problem = ERROR_INIT;

    if (!recovery_run(&context->session_options, &context->stores, &report, &problem)) {
        if (problem.kind == ERROR_STOPPED) {
            *err = problem;
            return false;
        }
        /* What is due must not wait for it. But what became of a run is not known: no backup is
         * said to be good. */
        tick->failed++;
        log_write(&LOG_LINE(LOG_ERROR, LOG_MARK_FAILED, "recovery_failed"),
                  "Which runs were interrupted could not be found out: %s", problem.text);
        return true;
    }
    tick->degraded += report.unresolved;
    backup_schedule_clear(schedules);
    return read_schedules_now(context, schedules, err);
}

static void tell_failure(const struct backup_request *request, const struct backup_result *result,
                         const struct error *problem, struct tick *tick)
{
    struct error ignored = ERROR_INIT;

    tick->failed++;
    aftermath_log(request, result, problem);
    telemetry_note_run(tick->telemetry, request, result, problem);
    note_run(tick, request->schedule, "failed", result, problem->text);
    /* A run whose end is not known is not news yet. */
    if (result->status == BACKUP_UNSETTLED || result->run_id[0] == '\0') {
        return;
    }
    tick->mails = true;
    if (!aftermath_enqueue(request, result, problem, &ignored)) {
        degrade(tick, "notification_not_prepared", &ignored);
    }
}

/* For when all that is due has been made. */
static void remember(struct tick *tick, const struct backup_request *request,
                     const struct backup_result *result)
{
    struct error problem = ERROR_INIT;
    struct made_backup *longer = reallocarray(tick->made, tick->made_count + 1, sizeof(*longer));

    if (longer == NULL) {
        error_set_memory(&problem);
        degrade(tick, "verification_left_out", &problem);
        return;
    }
    tick->made = longer;
    made_backup_note(&tick->made[tick->made_count++], request, result);
}

static void tell_success(const struct backup_request *request, const struct backup_result *result,
                         struct tick *tick)
{
    struct error problem = ERROR_INIT;

    aftermath_log(request, result, NULL);
    telemetry_note_run(tick->telemetry, request, result, NULL);
    note_run(tick, request->schedule, "completed", result, NULL);
    tick->mails = true;
    tick->degraded += result->missing;
    telemetry_enter(tick->telemetry, PHASE_PRUNE);
    bool pruned = aftermath_prune(request, result, &problem);
    telemetry_leave(tick->telemetry, pruned);
    if (!pruned) {
        degrade(tick, "prune_failed", &problem);
    }
    if (!aftermath_enqueue(request, result, NULL, &problem)) {
        degrade(tick, "notification_not_prepared", &problem);
    }
    remember(tick, request, result);
}

static void pass_over(const struct schedule *schedule, const char *problem, struct tick *tick)
{
    tick->degraded++;
    log_write(
        &LOG_WITH(LOG_WARNING, LOG_MARK_WARNING, "schedule_invalid",
                  LOG_TEXT("schedule_id", schedule->id), LOG_TEXT("schedule", schedule->name)),
        "Schedule %s is wrong and was passed over: %s; correct it with 'rythm-backup schedule "
        "set'",
        schedule->name, problem);
    note_run(tick, schedule, "invalid", NULL, problem);
}

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
            pass_over(schedule, problem.text, tick);
        } else {
            tell_failure(&request, &result, &problem, tick);
        }
        return true;
    }
    bool ok = backup_run(&request, &result, &problem);
    tick->degraded += result.hook_failed;
    if (result.status == BACKUP_LOCKED) {
        log_info(LOG_MARK_NOTE, "schedule_locked",
                 "Another process is backing up schedule %s: left to it", schedule->name);
        note_run(tick, schedule, "locked", NULL, NULL);
    } else if (result.status == BACKUP_NOT_DUE) {
        log_info(LOG_MARK_NOTE, "schedule_taken",
                 "A run of schedule %s for this time is recorded already: left to it",
                 schedule->name);
        note_run(tick, schedule, "not_due", NULL, NULL);
    } else if (result.status == BACKUP_SKIPPED) {
        note_run(tick, schedule, "skipped", NULL, NULL);
    } else if (result.status == BACKUP_COMPLETED) {
        if (!ok) {
            degrade(tick, "ledger_not_written", &problem);
        }
        tell_success(&request, &result, tick);
    } else if (result.status != BACKUP_CHANGED) {
        tell_failure(&request, &result, &problem, tick);
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
            degrade(tick, "schedule_not_read", &problem);
            return false;
        }
        backup_schedule_clear(fresh);
        *fresh = now;
        if (fresh->count == 0) {
            return false;
        }
        schedule = &fresh->items[0];
        if (schedule->state == SCHEDULE_INVALID) {
            pass_over(schedule, schedule->problem, tick);
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

static void run_due(struct context *context, const struct schedule *schedule, struct tick *tick)
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

static void run_all(struct context *context, const struct schedules *schedules, struct tick *tick)
{
    bool enabled = false;

    for (size_t i = 0; i < schedules->count && stop_signal() == 0; i++) {
        const struct schedule *schedule = &schedules->items[i];
        enabled = enabled || schedule->state != SCHEDULE_DISABLED;
        if (schedule->state == SCHEDULE_DUE) {
            run_due(context, schedule, tick);
        } else if (schedule->state == SCHEDULE_INVALID) {
            pass_over(schedule, schedule->problem, tick);
        }
    }
    /* Once an hour, as the old service did. A quiet tick has read none, but is never in that
     * minute. */
    if (schedules->count > 0 && !enabled && schedules->now_ms / 60000 % 60 == 0) {
        log_info(LOG_MARK_NOTE, "backups_disabled", "Automated backups are disabled");
    }
}

static void deliver(struct context *context, struct tick *tick)
{
    struct error problem = ERROR_INIT;
    size_t unsent;

    telemetry_enter_all(tick->telemetry, PHASE_NOTIFY);
    if (!delivery_run(context, &unsent, &problem)) {
        error_prefix(&problem, "delivering notifications");
        degrade(tick, "notifications_not_delivered", &problem);
    }
    telemetry_leave(tick->telemetry, problem.kind == ERROR_NONE && unsent == 0);
    tick->degraded += unsent;
}

static void verify_one(const struct made_backup *made, const struct verify_request *how,
                       struct tick *tick)
{
    struct verify_outcome outcome;
    struct error problem = ERROR_INIT;
    bool verified;

    if (!due_verification_run(made, how, &verified, &outcome, &problem)) {
        bool is_bad = outcome.verdict == VERIFY_BAD;
        tick->failed += is_bad;
        tick->degraded += !is_bad;
        tick->mails = tick->mails || is_bad;
        log_write(&LOG_LINE(is_bad ? LOG_ERROR : LOG_WARNING,
                            is_bad ? LOG_MARK_FAILED : LOG_MARK_WARNING, "verification_failed"),
                  "%s%s", is_bad ? "The backup is not good: " : "", problem.text);
    }
    if (outcome.degraded.kind != ERROR_NONE) {
        degrade(tick, "verification_not_recorded", &outcome.degraded);
    }
}

/* After the mails of what was made: it may take as long as the backups did. */
static void verify_made(struct context *context, struct tick *tick)
{
    struct session_options server;
    const struct verify_request how = {
        .settings = &context->settings,
        .ledger = &context->session_options,
        .server = &server,
        .telemetry = tick->telemetry,
    };

    context_verify_server(context, NULL, &server);
    tick->mails = false;
    for (size_t i = 0; i < tick->made_count && stop_signal() == 0; i++) {
        verify_one(&tick->made[i], &how, tick);
    }
    if (tick->mails && stop_signal() == 0) {
        deliver(context, tick);
    }
    if (tick->telemetry->count > 0) {
        tick->degraded += !telemetry_export(tick->telemetry);
    }
}

/* The last work of a tick, for it may take long and nobody waits for it. */
static void copy_missing(struct context *context, const struct schedules *schedules,
                         struct tick *tick)
{
    const struct copying copying = {
        .settings = &context->settings,
        .session = &context->session_options,
        .stores = &context->stores,
        .schedules = schedules,
    };
    struct error problem = ERROR_INIT;
    size_t failed;

    if (!copying_run(&copying, &failed, &problem)) {
        degrade(tick, "copies_not_made", &problem);
    }
    tick->degraded += failed;
}

static bool print_plan_json(const struct schedules *schedules, struct error *err)
{
    json_t *list = json_array();

    for (size_t i = 0; i < schedules->count; i++) {
        const struct schedule *schedule = &schedules->items[i];
        json_array_append_new(
            list,
            json_pack(
                "{s:s, s:o, s:s, s:s, s:s, s:o, s:o, s:o, s:b, s:I}", "schedule", schedule->id,
                "schedule_name", output_json_text(schedule->is_named ? schedule->name : NULL),
                "time", schedule->time, "time_zone", schedule->zone, "state",
                backup_schedule_state_name(schedule->state), "problem",
                output_json_text(schedule->problem), "occurrence",
                output_json_instant(schedule->has_occurrence, schedule->occurrence_ms), "next",
                output_json_instant(schedule->has_occurrence, schedule->next_ms), "would_run",
                schedule->state == SCHEDULE_DUE, "attempt", (json_int_t)schedule->attempt));
    }
    return output_json(json_pack("{s:o, s:o}", "now", output_json_instant(true, schedules->now_ms),
                                 "schedules", list),
                       err);
}

static bool print_plan(const struct schedules *schedules, struct error *err)
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

/* The tick's outcome as the command's: what failed has been logged where it happened. */
static bool conclude(const struct tick *tick, struct error *err)
{
    if (!stop_check(err)) {
        return false;
    }
    if (tick->failed > 0 || tick->degraded > 0) {
        return error_set(err, tick->failed > 0 ? ERROR_FAILED : ERROR_DEGRADED, "%s", "");
    }
    return true;
}

/* Looks at every schedule, unless an earlier tick has found that nothing is due yet. */
static bool look(struct context *context, struct backup_quiet *quiet, struct schedules *schedules,
                 struct tick *tick, struct error *err)
{
    int64_t catch_up_s = settings_get_number(&context->settings, SETTING_CATCH_UP);
    struct session *session = NULL;
    struct error problem = ERROR_INIT;

    bool ok = context_connect(context, &session, err) &&
              backup_quiet_read(session, catch_up_s, quiet, err);
    if (ok && !(quiet->quiet && !quiet->interrupted && !quiet->pending_mails && !quiet->untold &&
                !quiet->copies_due)) {
        ok = read_schedules(context, session, schedules, err);
    }
    /* Without the note the next tick looks, too. */
    if (ok && schedules->items != NULL &&
        !backup_quiet_note(session, catch_up_s, quiet, schedules, &problem)) {
        degrade(tick, "quiet_not_noted", &problem);
    }
    session_close(session);
    return ok;
}

static bool tick_once(struct context *context, const struct backup_quiet *quiet,
                      struct schedules *schedules, struct tick *tick, struct error *err)
{
    if (quiet->interrupted && !recover(context, schedules, tick, err)) {
        return false;
    }
    run_all(context, schedules, tick);
    if ((quiet->interrupted || quiet->untold) && stop_signal() == 0) {
        tell_untold(context, schedules, tick);
    }
    tick->mails = tick->mails || quiet->pending_mails;
    if (tick->mails && stop_signal() == 0) {
        deliver(context, tick);
    }
    if (schedules->items != NULL || telemetry_is_stale(tick->telemetry)) {
        tick->degraded += !telemetry_export(tick->telemetry);
    }
    verify_made(context, tick);
    if ((quiet->interrupted || quiet->copies_due) && stop_signal() == 0) {
        copy_missing(context, schedules, tick);
    }
    return true;
}

static bool dry_run(struct context *context, bool json, struct error *err)
{
    struct schedules schedules = {.items = NULL};
    bool ok = read_schedules_now(context, &schedules, err) &&
              (json ? print_plan_json(&schedules, err) : print_plan(&schedules, err));

    backup_schedule_clear(&schedules);
    return ok;
}

static bool run(struct context *context, const struct invocation *invocation, struct error *err)
{
    struct schedules schedules = {.items = NULL};
    struct backup_quiet quiet;
    bool json = invocation->options[OPTION_JSON] != NULL;
    struct tick tick = {.telemetry = &context->telemetry};

    if (invocation->options[OPTION_NOW] != NULL &&
        !context_pretend_now(context, invocation->options[OPTION_NOW], err)) {
        return false;
    }
    if (invocation->options[OPTION_DRY_RUN] != NULL) {
        return dry_run(context, json, err);
    }
    if (!look(context, &quiet, &schedules, &tick, err)) {
        return false;
    }
    tick.runs = json ? json_array() : NULL;
    bool ok = tick_once(context, &quiet, &schedules, &tick, err);
    backup_schedule_clear(&schedules);
    if (ok && json) {
        ok = output_json(json_pack("{s:o, s:O, s:I, s:I}", "now",
                                   output_json_instant(true, quiet.now_ms), "runs", tick.runs,
                                   "failed", (json_int_t)tick.failed, "degraded",
                                   (json_int_t)tick.degraded),
                         err);
    }
    json_decref(tick.runs);
    free(tick.made);
    return ok && conclude(&tick, err);
}

const struct command command_check = {
    .name = "check",
    .arguments = "",
    .summary = "one tick, for cron: run what is due, recover what crashed, copy what a "
               "store lacks, notify",
    .description =
        "Reads the schedules and the clock from Postgres, resolves runs that a crash left behind,\n"
        "runs every backup that is due, applies retention, delivers pending notifications, and\n"
        "copies backups to stores that lack them.\n"
        "With nothing to do it prints nothing and exits 0. Run it every minute:\n\n"
        "    * * * * * rythm-backup check",
    .options = {{"dry-run", NULL, "print what would run, and when next; change nothing"},
                {"now", "TIMESTAMP", "pretend that it is this time (UTC unless it says otherwise)"},
                {"json", NULL, "print the outcome as JSON"}},
    .needs_store = true,
    .run = run,
};

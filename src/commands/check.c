/* One tick. The quiet one, with nothing due, is one connection and one small query. */

#include <stdio.h>
#include <string.h>

#include "backup/copying.h"
#include "backup/due_verification.h"
#include "backup/telemetry.h"
#include "backup/untold.h"
#include "base/log.h"
#include "base/stop.h"
#include "commands/check_plan.h"
#include "commands/command.h"
#include "commands/context.h"
#include "commands/delivery.h"
#include "commands/due_run.h"
#include "commands/output.h"
#include "commands/tick.h"
#include "postgres/backup_quiet.h"
#include "schedule/recovery.h"

enum { OPTION_DRY_RUN, OPTION_NOW, OPTION_JSON };

static void tell_untold(struct context *context, const struct schedules *schedules,
                        struct tick *tick)
{
    struct untold_report report;

    untold_enqueue(&context->settings, &context->session_options, schedules, &report);
    tick->mails = tick->mails || report.found > 0;
    tick->degraded += report.failed;
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

static void run_all(struct context *context, const struct schedules *schedules, struct tick *tick)
{
    bool enabled = false;

    for (size_t i = 0; i < schedules->count && stop_signal() == 0; i++) {
        const struct schedule *schedule = &schedules->items[i];
        enabled = enabled || schedule->state != SCHEDULE_DISABLED;
        if (schedule->state == SCHEDULE_DUE) {
            due_run(context, schedule, tick);
        } else if (schedule->state == SCHEDULE_INVALID) {
            tick_pass_over(tick, schedule, schedule->problem);
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
        tick_degrade(tick, "notifications_not_delivered", &problem);
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
        tick_degrade(tick, "verification_not_recorded", &outcome.degraded);
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
        tick_degrade(tick, "copies_not_made", &problem);
    }
    tick->degraded += failed;
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
        tick_degrade(tick, "quiet_not_noted", &problem);
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
    bool ok =
        read_schedules_now(context, &schedules, err) && check_plan_print(&schedules, json, err);

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
    tick_clear(&tick);
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

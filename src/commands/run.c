/* A backup now. */

#include <stdio.h>
#include <string.h>

#include "backup/aftermath.h"
#include "backup/backup.h"
#include "backup/due_verification.h"
#include "backup/export.h"
#include "base/log.h"
#include "base/stop.h"
#include "base/text.h"
#include "commands/command.h"
#include "commands/context.h"
#include "commands/delivery.h"
#include "commands/output.h"
#include "commands/scope_options.h"
#include "dump/dump.h"

enum {
    OPTION_OUTPUT,
    OPTION_RESTRICT_KEY,
    OPTION_NO_PRUNE,
    OPTION_NO_NOTIFY,
    OPTION_NO_VERIFY,
    OPTION_TABLE,
    OPTION_EXCLUDE_TABLE,
    OPTION_EXCLUDE_TABLE_DATA,
    OPTION_JSON
};

/* The schedule whose backup this is: the one named, or the only one. */
static bool choose(const struct schedules *schedules, const char *name,
                   const struct schedule **chosen, struct error *err)
{
    *chosen = name != NULL ? backup_schedule_find(schedules, name) : &schedules->items[0];
    if (name == NULL && schedules->count > 1) {
        error_set(err, ERROR_USAGE, "there are %zu schedules: name the one to back up",
                  schedules->count);
        return error_hint(err, "'rythm-backup schedule show' lists them");
    }
    if (*chosen == NULL) {
        error_set(err, ERROR_USAGE, "there is no schedule '%s'", name);
        return error_hint(err, "'rythm-backup schedule show' lists them");
    }
    if ((*chosen)->problem[0] != '\0') {
        error_set(err, ERROR_CONFIG, "schedule %s is wrong: %s", (*chosen)->name,
                  (*chosen)->problem);
        return error_hint(err, "correct it with 'rythm-backup schedule set'");
    }
    return true;
}

static bool deliver(struct context *context, struct error *err)
{
    size_t unsent;

    if (!delivery_run(context, &unsent, err)) {
        return error_prefix(err, "notifying");
    }
    return unsent == 0 ||
           error_set(err, ERROR_DEGRADED, "%zu notification(s) were not sent", unsent);
}

static bool notify(struct context *context, const struct backup_request *request,
                   const struct backup_result *result, const struct error *problem,
                   struct error *err)
{
    telemetry_enter(&context->telemetry, PHASE_NOTIFY);
    bool ok =
        (aftermath_enqueue(request, result, problem, err) || error_prefix(err, "notifying")) &&
        deliver(context, err);
    telemetry_leave(&context->telemetry, ok);
    return ok;
}

/* The stores that have it, or that do not. */
static json_t *locations_json(const struct backup_request *request,
                              const struct backup_result *result, bool missing)
{
    json_t *list = json_array();

    for (size_t i = 0; i < request->stores->count; i++) {
        if (result->is_missing[i] == missing) {
            json_array_append_new(list, json_string(request->stores->stores[i]->location));
        }
    }
    return list;
}

static bool print_result(const struct backup_request *request, const struct backup_result *result,
                         bool json, struct error *err)
{
    if (!json) {
        printf("%s\n", result->name);
        return true;
    }
    return output_json(json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:o, s:o, s:o, s:o}",
                                 "name", result->name, "run_id", result->run_id, "database",
                                 result->database, "bytes", (json_int_t)result->object.bytes,
                                 "raw_bytes", (json_int_t)result->raw_bytes, "duration_ms",
                                 (json_int_t)result->duration_ms, "sha256", result->object.sha256,
                                 "engine", result->engine, "tables",
                                 output_json_count(result->has_rows, result->tables), "rows",
                                 output_json_count(result->has_rows, result->rows), "stores",
                                 locations_json(request, result, false), "missing_in",
                                 locations_json(request, result, true)),
                       err);
}

/* Logs a failure that leaves the backup good; true when there was none. */
static bool unless_degraded(bool ok, const struct error *problem)
{
    if (!ok) {
        log_warning("degraded", "%s", problem->text);
    }
    return ok;
}

/* False with what is wrong with the backup, or with ERROR_DEGRADED. */
static bool verify(struct context *context, const struct backup_request *request,
                   const struct backup_result *result, struct error *err)
{
    struct session_options server;
    struct made_backup made;
    struct verify_outcome outcome;
    struct error problem = ERROR_INIT;
    bool verified;
    const struct verify_request how = {.settings = &context->settings,
                                       .ledger = &context->session_options,
                                       .server = &server,
                                       .silent = request->silent,
                                       .telemetry = &context->telemetry,
                                       .show_progress = request->show_progress};

    context_verify_server(context, NULL, &server);
    made_backup_note(&made, request, result);
    bool ok = due_verification_run(&made, &how, &verified, &outcome, err);
    if (outcome.degraded.kind != ERROR_NONE) {
        unless_degraded(false, &outcome.degraded);
    }
    if (outcome.verdict == VERIFY_BAD) {
        unless_degraded(request->silent || deliver(context, &problem), &problem);
        return false;
    }
    if (!ok && err->kind == ERROR_STOPPED) {
        return false;
    }
    if (!ok) {
        unless_degraded(false, err);
    }
    return (ok && outcome.degraded.kind == ERROR_NONE) || error_set(err, ERROR_DEGRADED, "%s", "");
}

static bool prune(struct context *context, const struct backup_request *request,
                  const struct backup_result *result, struct error *err)
{
    telemetry_enter(&context->telemetry, PHASE_PRUNE);
    bool ok = aftermath_prune(request, result, err);
    telemetry_leave(&context->telemetry, ok);
    return ok;
}

static bool follow_up(struct context *context, const struct invocation *invocation,
                      const struct backup_request *request, const struct backup_result *result,
                      struct error *err)
{
    struct error problem = ERROR_INIT;
    bool whole = result->missing == 0;

    aftermath_log(request, result, NULL);
    if (!print_result(request, result, invocation->options[OPTION_JSON] != NULL, &problem) ||
        !output_finish(&problem)) {
        error_hint(&problem, "the backup is good");
        whole = unless_degraded(false, &problem);
    }
    if (invocation->options[OPTION_NO_PRUNE] == NULL) {
        whole = unless_degraded(prune(context, request, result, &problem), &problem) && whole;
    }
    if (invocation->options[OPTION_NO_NOTIFY] == NULL) {
        whole =
            unless_degraded(notify(context, request, result, NULL, &problem), &problem) && whole;
    }
    /* Before a verification, which may take long, and after it. */
    whole = telemetry_export(&context->telemetry) && whole;
    if (invocation->options[OPTION_NO_VERIFY] == NULL) {
        bool ok = verify(context, request, result, err);
        if (context->telemetry.count > 0) {
            whole = telemetry_export(&context->telemetry) && whole;
        }
        if (!ok) {
            return false;
        }
    }
    return whole ? true : error_set(err, ERROR_DEGRADED, "%s", "");
}

/* False when no table is named, and the schedule's own scope counts. */
static bool has_scope(const struct invocation *invocation)
{
    return invocation->options[OPTION_TABLE] != NULL ||
           invocation->options[OPTION_EXCLUDE_TABLE] != NULL ||
           invocation->options[OPTION_EXCLUDE_TABLE_DATA] != NULL;
}

/* The options stand for all that the schedule says of tables; --table for its schemas, too. */
static bool read_scope(const struct invocation *invocation, const struct schedule *schedule,
                       struct scope *scope, struct error *err)
{
    bool has_tables = invocation->options[OPTION_TABLE] != NULL;
    char *const *schemas =
        schedule != NULL && !has_tables ? schedule->scope.lists[SCOPE_SCHEMAS] : NULL;

    for (size_t i = 0; schemas != NULL && schemas[i] != NULL; i++) {
        if (!scope_add(scope, SCOPE_SCHEMAS, schemas[i], err)) {
            return false;
        }
    }
    return scope_options_read(invocation, OPTION_TABLE, SCOPE_TABLES, scope, err) &&
           scope_options_read(invocation, OPTION_EXCLUDE_TABLE, SCOPE_EXCLUDED_TABLES, scope,
                              err) &&
           scope_options_read(invocation, OPTION_EXCLUDE_TABLE_DATA, SCOPE_EXCLUDED_DATA, scope,
                              err);
}

static bool run_backup(struct context *context, const struct invocation *invocation,
                       const struct schedule *schedule, const struct store_choice *stores,
                       const struct scope *scope, struct error *err)
{
    struct backup_result result;
    struct error problem = ERROR_INIT;
    struct backup_request request = {
        .settings = &context->settings,
        .session = &context->session_options,
        .stores = stores,
        .schedule = schedule,
        .scope = scope,
        .compression = context->compression,
        .restrict_key = invocation->options[OPTION_RESTRICT_KEY],
        .show_progress = context_wants_progress(context, invocation),
        .silent = invocation->options[OPTION_NO_NOTIFY] != NULL,
    };

    bool ok = backup_run(&request, &result, err);
    if (result.status != BACKUP_LOCKED && result.status != BACKUP_NOT_DUE &&
        result.status != BACKUP_CHANGED && result.status != BACKUP_SKIPPED) {
        telemetry_note_run(&context->telemetry, &request, &result, err);
    }
    switch (result.status) {
    case BACKUP_COMPLETED:
        if (!ok) {
            log_warning("ledger_not_written", "%s", err->text);
        }
        ok = (ok && !result.hook_failed) || error_set(err, ERROR_DEGRADED, "%s", "");
        return follow_up(context, invocation, &request, &result, err) && ok;
    case BACKUP_SKIPPED:
        return true;
    case BACKUP_LOCKED:
    case BACKUP_NOT_DUE:
    case BACKUP_CHANGED:
        return error_set(err, ERROR_BUSY, "another process is backing up schedule %s",
                         schedule->name);
    case BACKUP_FAILED:
        if (result.run_id[0] != '\0' && !request.silent) {
            /* Who stopped it knows. */
            unless_degraded(stop_signal() == 0 ? notify(context, &request, &result, err, &problem)
                                               : aftermath_keep_silent(&request, &result, &problem),
                            &problem);
        }
        break;
    case BACKUP_UNSETTLED:
        break;
    }
    telemetry_export(&context->telemetry);
    return false;
}

static bool run_to_store(struct context *context, const struct invocation *invocation,
                         struct error *err)
{
    struct schedules schedules = {.items = NULL};
    struct store_choice stores = {.count = 0};
    const struct schedule *schedule = NULL;
    struct scope scope = {.lists = {NULL}};

    bool ok = context_read_schedules(context, &schedules, err) &&
              choose(&schedules, invocation->argument_count > 0 ? invocation->arguments[0] : NULL,
                     &schedule, err) &&
              store_pool_choose(&context->stores, schedule->stores, &stores, err) &&
              read_scope(invocation, schedule, &scope, err) &&
              run_backup(context, invocation, schedule, &stores,
                         has_scope(invocation) ? &scope : NULL, err);
    scope_clear(&scope);
    store_choice_clear(&stores);
    backup_schedule_clear(&schedules);
    return ok;
}

/* What has no meaning there must not seem to have been heard. */
static bool refuse_with_output(const struct invocation *invocation, struct error *err)
{
    static const int refused[] = {OPTION_NO_PRUNE, OPTION_NO_NOTIFY, OPTION_NO_VERIFY, OPTION_JSON};

    if (invocation->argument_count > 0) {
        return error_set(err, ERROR_USAGE, "run --output dumps the database: it takes no schedule");
    }
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (invocation->options[refused[i]] != NULL) {
            return error_set(err, ERROR_USAGE, "run --output takes no option '--%s'",
                             invocation->command->options[refused[i]].name);
        }
    }
    return true;
}

static bool run_to_file(struct context *context, const struct invocation *invocation,
                        struct error *err)
{
    struct session *session = NULL;
    struct stream_digest written = {.bytes = 0};
    struct scope scope = {.lists = {NULL}};
    const char *path = invocation->options[OPTION_OUTPUT];
    char size[TEXT_BYTES_SIZE];

    if (!refuse_with_output(invocation, err) || !read_scope(invocation, NULL, &scope, err) ||
        !context_connect(context, &session, err)) {
        scope_clear(&scope);
        return false;
    }
    struct export_request request = {
        .settings = &context->settings,
        .session = session,
        .compression = context->compression,
        .restrict_key = invocation->options[OPTION_RESTRICT_KEY],
        .scope = &scope,
        .path = path,
        .show_progress = context_wants_progress(context, invocation),
    };
    bool ok = export_run(&request, &written, err);
    session_close(session);
    scope_clear(&scope);
    if (ok) {
        text_format_bytes(size, written.bytes);
        log_write(&LOG_WITH(LOG_INFO, LOG_MARK_OK, "dump_written",
                            LOG_NUMBER("bytes", (int64_t)written.bytes),
                            LOG_TEXT("sha256", written.sha256)),
                  "Wrote %s (sha256 %s)", size, written.sha256);
    }
    return ok;
}

static bool run(struct context *context, const struct invocation *invocation, struct error *err)
{
    const char *key = invocation->options[OPTION_RESTRICT_KEY];

    if (key != NULL && !dump_check_restrict_key(key, err)) {
        return false;
    }
    return invocation->options[OPTION_OUTPUT] != NULL ? run_to_file(context, invocation, err)
                                                      : run_to_store(context, invocation, err);
}

const struct command command_run = {
    .name = "run",
    .arguments = "[SCHEDULE]",
    .most_arguments = 1,
    .summary = "back up now",
    .description =
        "Backs up the database now, as a manual backup of the schedule with this name or id (of "
        "the\n"
        "only one, when there is one), and prints the backup's name. Retention and notifications\n"
        "follow as after a scheduled backup.",
    .options = {{"output", "FILE",
                 "write to FILE ('-': standard output) instead of the store; no "
                 "schedule and no ledger is needed"},
                {"restrict-key", "KEY",
                 "the script's \\restrict key, to make equal objects of equal databases"},
                {"no-prune", NULL, "do not apply retention afterwards"},
                {"no-notify", NULL, "do not notify"},
                {"no-verify", NULL, "do not verify it, though the schedule asks for that"},
                SCOPE_OPTION_TABLE,
                SCOPE_OPTION_EXCLUDE_TABLE,
                SCOPE_OPTION_EXCLUDE_TABLE_DATA,
                {"json", NULL, "print the outcome as JSON"}},
    .repeatable = SCOPE_OPTIONS_REPEATABLE,
    .run = run,
};

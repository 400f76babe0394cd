#include "commands/manual_backup.h"

#include <stdio.h>

#include "backup/aftermath.h"
#include "backup/backup.h"
#include "backup/due_verification.h"
#include "base/log.h"
#include "base/stop.h"
#include "commands/delivery.h"
#include "commands/output.h"

bool manual_backup_deliver(struct context *context, struct error *err)
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
    bool waits = request->ping != NULL;

    telemetry_enter(&context->telemetry, PHASE_NOTIFY);
    bool ok =
        (aftermath_enqueue(request, result, problem, err) || error_prefix(err, "notifying")) &&
        (waits || manual_backup_deliver(context, err));
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
        unless_degraded(request->silent || request->ping != NULL ||
                            manual_backup_deliver(context, &problem),
                        &problem);
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

static bool follow_up(const struct manual_backup *manual, const struct backup_request *request,
                      const struct backup_result *result, struct error *err)
{
    struct context *context = manual->context;
    struct error problem = ERROR_INIT;
    bool whole = result->missing == 0;

    aftermath_log(request, result, NULL);
    if (!print_result(request, result, manual->json, &problem) || !output_finish(&problem)) {
        error_hint(&problem, "the backup is good");
        whole = unless_degraded(false, &problem);
    }
    if (!manual->no_prune) {
        whole = unless_degraded(prune(context, request, result, &problem), &problem) && whole;
    }
    if (!manual->silent) {
        whole =
            unless_degraded(notify(context, request, result, NULL, &problem), &problem) && whole;
    }
    /* Before a verification, which may take long, and after it. */
    whole = telemetry_export(&context->telemetry) && whole;
    if (!manual->no_verify) {
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

bool manual_backup_run(const struct manual_backup *manual, const struct schedule *schedule,
                       struct error *err)
{
    struct context *context = manual->context;
    struct backup_result result;
    struct error problem = ERROR_INIT;
    struct backup_request request = {
        .settings = &context->settings,
        .session = &context->session_options,
        .stores = manual->stores,
        .schedule = schedule,
        .scope = manual->scope,
        .compression = context->compression,
        .restrict_key = manual->restrict_key,
        .show_progress = manual->show_progress,
        .silent = manual->silent,
        .ping = manual->ping,
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
        return follow_up(manual, &request, &result, err) && ok;
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

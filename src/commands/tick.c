#include "commands/tick.h"

#include <stdlib.h>

#include "backup/aftermath.h"
#include "base/log.h"
#include "commands/output.h"

void tick_degrade(struct tick *tick, const char *event, const struct error *problem)
{
    tick->degraded++;
    log_warning(event, "%s", problem->text);
}

static void note(struct tick *tick, const struct schedule *schedule, const char *result,
                 const struct backup_result *backup, const char *error)
{
    bool made = backup->status == BACKUP_COMPLETED;

    if (tick->runs == NULL) {
        return;
    }
    json_array_append_new(
        tick->runs,
        json_pack("{s:s, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o}", "schedule", schedule->id,
                  "schedule_name", output_json_text(schedule->is_named ? schedule->name : NULL),
                  "database", output_json_text(backup->database), "occurrence",
                  output_json_instant(schedule->has_occurrence, schedule->occurrence_ms), "result",
                  result, "name", output_json_text(backup->name), "bytes",
                  made ? json_integer((json_int_t)backup->object.bytes) : json_null(),
                  "duration_ms", made ? json_integer(backup->duration_ms) : json_null(), "error",
                  output_json_text(error)));
}

void tick_note_no_run(struct tick *tick, const struct schedule *schedule, const char *result,
                      const char *error)
{
    static const struct backup_result none = {.status = BACKUP_FAILED};

    note(tick, schedule, result, &none, error);
}

void tick_tell_failure(struct tick *tick, const struct backup_request *request,
                       const struct backup_result *result, const struct error *problem)
{
    struct error ignored = ERROR_INIT;

    tick->failed++;
    aftermath_log(request, result, problem);
    telemetry_note_run(tick->telemetry, request, result, problem);
    note(tick, request->schedule, "failed", result, problem->text);
    /* A run whose end is not known is not news yet. */
    if (result->status == BACKUP_UNSETTLED || result->run_id[0] == '\0') {
        return;
    }
    tick->mails = true;
    if (!aftermath_enqueue(request, result, problem, &ignored)) {
        tick_degrade(tick, "notification_not_prepared", &ignored);
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
        tick_degrade(tick, "verification_left_out", &problem);
        return;
    }
    tick->made = longer;
    made_backup_note(&tick->made[tick->made_count++], request, result);
}

void tick_tell_success(struct tick *tick, const struct backup_request *request,
                       const struct backup_result *result)
{
    struct error problem = ERROR_INIT;

    aftermath_log(request, result, NULL);
    telemetry_note_run(tick->telemetry, request, result, NULL);
    note(tick, request->schedule, "completed", result, NULL);
    tick->mails = true;
    tick->degraded += result->missing;
    telemetry_enter(tick->telemetry, PHASE_PRUNE);
    bool pruned = aftermath_prune(request, result, &problem);
    telemetry_leave(tick->telemetry, pruned);
    if (!pruned) {
        tick_degrade(tick, "prune_failed", &problem);
    }
    if (!aftermath_enqueue(request, result, NULL, &problem)) {
        tick_degrade(tick, "notification_not_prepared", &problem);
    }
    remember(tick, request, result);
}

void tick_pass_over(struct tick *tick, const struct schedule *schedule, const char *problem)
{
    tick->degraded++;
    log_write(
        &LOG_WITH(LOG_WARNING, LOG_MARK_WARNING, "schedule_invalid",
                  LOG_TEXT("schedule_id", schedule->id), LOG_TEXT("schedule", schedule->name)),
        "Schedule %s is wrong and was passed over: %s; correct it with 'rythm-backup schedule "
        "set'",
        schedule->name, problem);
    tick_note_no_run(tick, schedule, "invalid", problem);
}

void tick_clear(struct tick *tick)
{
    json_decref(tick->runs);
    free(tick->made);
}

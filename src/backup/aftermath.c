#include "backup/aftermath.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup/prune.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "notify/outbox.h"
#include "postgres/backup_copies.h"
#include "schedule/adoption.h"

#define MISSING_CAP 4096

void aftermath_log(const struct backup_request *request, const struct backup_result *result,
                   const struct error *problem)
{
    const char *kind = request->scheduled ? "Scheduled" : "Manual";
    const char *database = result->database[0] != '\0' ? result->database : NULL;
    const char *of = request->schedule->all_databases ? request->schedule->dbname : NULL;
    char duration[CLOCK_DURATION_SIZE];
    char size[TEXT_BYTES_SIZE];
    char next[CLOCK_ISO_SIZE];

    if (result->status == BACKUP_FAILED || result->status == BACKUP_UNSETTLED) {
        log_write(&LOG_WITH(LOG_ERROR, LOG_MARK_FAILED, "backup_failed",
                            LOG_TEXT("name", result->name[0] != '\0' ? result->name : NULL),
                            LOG_TEXT("schedule_id", request->schedule->id),
                            LOG_TEXT("database", database),
                            LOG_NUMBER("duration_ms", result->duration_ms)),
                  "%s backup%s%s failed: %s", kind, of != NULL ? " of database " : "",
                  of != NULL ? of : "", problem->text);
        return;
    }
    clock_format_duration(duration, result->duration_ms);
    text_format_bytes(size, result->object.bytes);
    clock_format_iso(next, request->schedule->next_ms);
    log_write(&LOG_WITH(LOG_INFO, LOG_MARK_OK, "backup_completed", LOG_TEXT("name", result->name),
                        LOG_TEXT("run_id", result->run_id),
                        LOG_TEXT("schedule_id", request->schedule->id),
                        LOG_TEXT("database", database),
                        LOG_NUMBER("bytes", (int64_t)result->object.bytes),
                        LOG_NUMBER("raw_bytes", (int64_t)result->raw_bytes),
                        LOG_NUMBER("duration_ms", result->duration_ms)),
              "%s backup%s%s completed successfully in %s", kind, of != NULL ? " of database " : "",
              of != NULL ? of : "", duration);
    log_info(LOG_MARK_DETAIL, "backup_name", "Backup: %s", result->name);
    log_info(LOG_MARK_DETAIL, "backup_size", "Size: %s", size);
    if (request->scheduled) {
        log_info(LOG_MARK_DETAIL, "next_run", "Next run: %s", next);
    }
}

/* The whole listing is at hand: what it has and the ledger does not know is recorded. */
static bool adopt_unknown(struct session *session, const struct ledger *ledger, struct store *store,
                          const struct prune_plan *plan, struct error *err)
{
    struct backup_object *backups = calloc(plan->count + 1, sizeof(*backups));

    if (backups == NULL) {
        return error_set_memory(err);
    }
    for (size_t i = 0; i < plan->count; i++) {
        backups[i] = plan->items[i].backup;
    }
    bool ok = adoption_record(session, ledger, store, backups, plan->count, err);
    free(backups);
    return ok;
}

static bool prune_store(const struct backup_request *request, struct store *store,
                        struct error *err)
{
    struct session *session = NULL;
    struct schedules schedules = {.items = NULL};
    struct prune_plan plan = {.items = NULL};
    struct ledger ledger;
    struct prune_request prune = {
        .store = store,
        .schedules = &schedules,
        .schedule_id = request->schedule->id,
        .ledger = &ledger,
        .keep_min = settings_get_number(request->settings, SETTING_KEEP_MIN),
        .clock_shift_ms = request->session->clock_shift_ms,
    };

    bool ok =
        session_open(request->session, &session, err) &&
        backup_schedule_read_one(session, settings_get_number(request->settings, SETTING_CATCH_UP),
                                 request->schedule->id, &schedules, err) &&
        ledger_identify(session, &ledger, err);
    prune.session = session;
    ok = ok && prune_decide(&prune, &plan, err) &&
         adopt_unknown(session, &ledger, store, &plan, err);
    session_close(session);
    ok = ok && prune_apply(store, &plan, err);
    prune_clear(&plan);
    backup_schedule_clear(&schedules);
    return ok;
}

bool aftermath_prune(const struct backup_request *request, const struct backup_result *result,
                     struct error *err)
{
    const struct store_choice *stores = request->stores;
    size_t failed = 0;

    for (size_t i = 0; i < stores->count; i++) {
        struct error problem = ERROR_INIT;
        if (result->is_missing[i] || prune_store(request, stores->stores[i], &problem)) {
            continue;
        }
        if (failed++ > 0) {
            log_warning("prune_failed", "%s", err->text);
        }
        *err = problem;
    }
    return failed == 0 || error_prefix(err, "applying retention");
}

/* What makes two attempts' outcomes the same news: "SCHEDULE OCCURRENCE failed". A manual run is an
 * occurrence of its own. `one_of_all`: the database, of a schedule of all of them; else NULL. */
#define KEY_SIZE 192
static void format_key(char out[KEY_SIZE], const struct outcome *outcome, bool has_occurrence,
                       int64_t occurrence_ms, const char *one_of_all)
{
    char occurrence[CLOCK_ISO_SIZE];
    const char *word = outcome->completed ? "completed" : "failed";

    if (has_occurrence) {
        clock_format_iso(occurrence, occurrence_ms);
        snprintf(out, KEY_SIZE, "%s %.32s %s%s%.63s", outcome->schedule_id, occurrence, word,
                 one_of_all != NULL ? " " : "", one_of_all != NULL ? one_of_all : "");
    } else {
        snprintf(out, KEY_SIZE, "%s %s", outcome->run_id, word);
    }
}

bool aftermath_enqueue(const struct backup_request *request, const struct backup_result *result,
                       const struct error *problem, struct error *err)
{
    struct session *session = NULL;
    char key[KEY_SIZE];
    size_t added = 0;
    bool completed = result->status == BACKUP_COMPLETED;
    struct outcome outcome = {
        .key = key,
        .completed = completed,
        .history_id = result->history_id,
        .schedule_id = request->schedule->id,
        .run_id = result->run_id,
        .name = result->name,
        .database = result->database,
        .of_all_databases = request->schedule->all_databases,
        .bytes = result->object.bytes,
        .duration_ms = result->duration_ms,
        .at_ms = result->ended_ms,
        .has_next = request->schedule->state != SCHEDULE_DISABLED,
        .next_ms = request->schedule->next_ms,
        .error = completed ? NULL : problem->text,
        .missing_in = completed && result->missing > 0 ? result->missing_in : NULL,
    };

    /* Also after a stop: the news should not have to wait for a later tick. */
    struct session_options options = *request->session;
    options.ignore_stop = true;
    format_key(key, &outcome, request->scheduled, request->schedule->occurrence_ms,
               request->schedule->all_databases ? result->database : NULL);
    bool ok = session_open(&options, &session, err) &&
              outbox_enqueue(session, request->settings, &outcome, false, &added, err);
    session_close(session);
    return ok ? true : error_prefix(err, "preparing the notification");
}

/* What was dumped. Rows of earlier versions do not say it. */
static const char *database_of(const struct history_row *row, const struct schedule *schedule,
                               const struct server_facts *server)
{
    if (row->database[0] != '\0') {
        return row->database;
    }
    return schedule != NULL && schedule->dbname != NULL ? schedule->dbname : server->database;
}

/* As struct backup_result has it, for a run that somebody else did. */
static bool format_missing(struct session *session, const char *run_id, struct text *out,
                           struct error *err)
{
    struct copy_rows copies;

    if (!backup_copies_read_run(session, run_id, &copies, err)) {
        return false;
    }
    for (size_t i = 0; i < copies.count; i++) {
        const struct copy_row *copy = &copies.items[i];
        if (copy->state == COPY_MISSING) {
            text_appendf(out, "%s%s: %.200s", out->length > 0 ? "; " : "", copy->store,
                         copy->error != NULL ? copy->error : "no reason is recorded");
        }
    }
    backup_copies_clear(&copies);
    return true;
}

bool aftermath_enqueue_row(const struct settings *settings, struct session *session,
                           const struct history_row *row, const struct schedule *schedule,
                           bool again, struct error *err)
{
    char key[KEY_SIZE];
    size_t added = 0;
    struct server_facts server;
    bool completed = strcmp(row->status, "completed") == 0;
    int64_t duration_ms = row->duration_s * 1000;
    struct text missing = TEXT_INIT(MISSING_CAP);

    if (completed && !format_missing(session, row->run_id, &missing, err)) {
        return error_prefix(err, "preparing the notification");
    }
    session_facts(session, &server);
    struct outcome outcome = {
        .key = key,
        .completed = completed,
        .history_id = row->history_id,
        .schedule_id = row->schedule_id,
        .run_id = row->run_id,
        .name = row->name,
        .database = database_of(row, schedule, &server),
        .of_all_databases = row->of_all_databases,
        .bytes = (uint64_t)row->bytes,
        .duration_ms = duration_ms,
        .at_ms = row->completed_ms != 0 ? row->completed_ms : row->started_ms + duration_ms,
        .has_next = schedule != NULL && schedule->state != SCHEDULE_DISABLED,
        .next_ms = schedule != NULL ? schedule->next_ms : 0,
        .error = completed ? NULL : row->error_message,
        .missing_in = missing.length > 0 ? text_string(&missing) : NULL,
    };
    format_key(key, &outcome, row->has_occurrence, row->occurrence_ms,
               row->of_all_databases ? row->database : NULL);
    bool ok = outbox_enqueue(session, settings, &outcome, again, &added, err);
    text_clear(&missing);
    return ok ? true : error_prefix(err, "preparing the notification");
}

bool aftermath_keep_silent(const struct backup_request *request, const struct backup_result *result,
                           struct error *err)
{
    struct session_options options = *request->session;
    struct session *session = NULL;
    bool first;

    options.ignore_stop = true;
    bool ok = session_open(&options, &session, err) &&
              backup_history_tell(session, result->history_id, &first, err);
    session_close(session);
    return ok;
}

/* "RUN verification failed": a backup of the old service has no run, but a name. */
static void format_refutation_key(char out[KEY_SIZE], const char *run_id, const char *name)
{
    snprintf(out, KEY_SIZE, "%s verification failed", *run_id != '\0' ? run_id : name);
}

bool aftermath_verification_failed(const struct settings *settings, struct session *session,
                                   const struct aftermath_refutation *refutation, struct error *err)
{
    const struct backup_object *backup = refutation->backup;
    const char *name = backup->object->name;
    const char *run_id = backup->facts.run_id;
    const struct verified_backup verified = {name, run_id};
    const struct verification_failure failure = {.why = refutation->why,
                                                 .duration_ms = refutation->duration_ms};
    char key[KEY_SIZE];
    int64_t now_ms;
    size_t added;
    bool recorded;
    struct error unrecorded = ERROR_INIT;

    format_refutation_key(key, run_id, name);
    struct refutation news = {
        .key = key,
        .schedule_id = backup->facts.schedule_id,
        .run_id = run_id,
        .name = name,
        .database = backup->facts.database[0] != '\0' ? backup->facts.database : NULL,
        .begun_ms = backup->begun_ms,
        .duration_ms = refutation->duration_ms,
        .error = refutation->why,
    };
    if (session_now(session, &now_ms, err)) {
        news.at_ms = now_ms;
        if (outbox_enqueue_refutation(session, settings, &news, &added, err)) {
            return true;
        }
    }
    if (!verification_record_failure(session, &verified, &failure, &recorded, &unrecorded)) {
        log_warning("verification_not_recorded", "The failed verification is not recorded: %s",
                    unrecorded.text);
    }
    return error_prefix(err, "preparing the notification");
}

bool aftermath_enqueue_verification(const struct settings *settings, struct session *session,
                                    const struct untold_verification *untold, struct error *err)
{
    char key[KEY_SIZE];
    size_t added;
    const struct refutation news = {
        .key = key,
        .history_id = untold->history_id,
        .schedule_id = untold->schedule_id,
        .run_id = untold->run_id,
        .name = untold->name,
        .database = untold->database,
        .begun_ms = untold->begun_ms,
        .duration_ms = untold->duration_ms,
        .at_ms = untold->failed_ms,
        .error = untold->why,
    };

    format_refutation_key(key, untold->run_id, untold->name);
    return outbox_enqueue_refutation(session, settings, &news, &added, err) ||
           error_prefix(err, "preparing the notification");
}

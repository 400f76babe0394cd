#include "backup/backup.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/hook.h"
#include "backup/progress.h"
#include "backup/publication.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "config.h"
#include "dump/dump.h"
#include "notify/ping.h"
#include "schedule/adoption.h"
#include "schedule/claim.h"

/* digest -> cut in blocks -> upload */
static struct stage *build_stream(struct upload *upload, struct stream_digest *digest,
                                  struct error *err)
{
    struct stage *stage = store_upload_stage_new(upload, err);

    return stage != NULL ? digest_stage_new(digest, stage, err) : NULL;
}

static const struct scope *scope_of(const struct backup_request *request)
{
    return request->scope != NULL ? request->scope : &request->schedule->scope;
}

/* A run under way. */
struct run {
    const struct backup_request *request;
    struct claim *claim;
    struct session *source; /* in the database to dump: the claim's, or one of its own */
    struct ledger dumped;   /* that database and its server */
    struct backup_result *result;
    struct dump_result dump;
    struct publication publication;
};

/* A schedule may name another database than the one it stands in. */
static bool open_source(struct run *run, struct error *err)
{
    const struct schedule *schedule = run->request->schedule;
    struct session_options options = *run->request->session;
    struct server_facts server;

    run->source = run->claim->session;
    run->dumped = run->claim->ledger;
    if (schedule->dbname != NULL || schedule->service != NULL) {
        options.dbname = schedule->dbname;
        options.service = schedule->service;
        if (!session_open(&options, &run->source, err)) {
            run->source = NULL;
        }
        if (run->source == NULL || !ledger_identify(run->source, &run->dumped, err)) {
            return error_prefix(err, "opening %s %s of schedule %s",
                                schedule->dbname != NULL ? "target_dbname" : "target_service",
                                schedule->dbname != NULL ? schedule->dbname : schedule->service,
                                schedule->name);
        }
    }
    session_facts(run->source, &server);
    snprintf(run->result->database, sizeof(run->result->database), "%s", server.database);
    return run->source == run->claim->session ||
           backup_history_note_database(run->claim->session, run->claim->run_id, server.database,
                                        err);
}

static void close_source(struct run *run)
{
    if (run->source != run->claim->session) {
        session_close(run->source);
    }
}

/* Everything up to the commit: afterwards every byte is in the store, and nothing is visible. */
static bool transfer(struct run *run, struct upload *upload, struct error *err)
{
    const struct backup_request *request = run->request;
    struct backup_result *result = run->result;
    struct progress progress;
    struct dump_options dump = {
        .session = run->source,
        .settings = request->settings,
        .compression = request->compression,
        .scope = scope_of(request),
        .restrict_key = request->restrict_key,
        .progress = progress_update,
        .progress_context = &progress,
    };
    uint64_t estimated_bytes = 0;

    if (request->show_progress &&
        !backup_history_estimate(run->claim->session, &estimated_bytes, err)) {
        return false;
    }
    struct stage *stream = build_stream(upload, &result->object, err);
    if (stream == NULL) {
        return false;
    }
    progress_begin(&progress, "Dumping", estimated_bytes, request->show_progress);
    run_phases_enter(&result->phases, PHASE_DUMP);
    bool ok = dump_run(&dump, stream, &run->dump, err) &&
              run_phases_enter(&result->phases, PHASE_FLUSH) && stage_finish(stream, err) &&
              store_upload_flush(upload, err);
    result->raw_bytes = run->dump.raw_bytes;
    result->engine = run->dump.engine;
    result->has_rows = run->dump.segments.count > 0;
    result->tables = run->dump.segments.table_count;
    result->rows = segments_rows(&run->dump.segments);
    progress_end(&progress);
    stage_free(stream);
    return ok;
}

static bool describe(struct run *run, struct error *err)
{
    const struct backup_request *request = run->request;
    const struct backup_result *result = run->result;
    const struct claim *claim = run->claim;
    struct backup_facts facts = {
        .has_occurrence = request->scheduled,
        .occurrence_ms = request->schedule->occurrence_ms,
        .bytes = result->object.bytes,
        .raw_bytes = result->raw_bytes,
        .duration_ms = claim_elapsed_ms(claim),
        .has_rows = result->has_rows,
        .tables = result->tables,
        .rows = result->rows,
    };
    struct server_facts server;

    if (!backup_schemas_identify(scope_of(request), facts.schemas, err)) {
        return false;
    }
    session_facts(run->source, &server);
    snprintf(facts.source, sizeof(facts.source), "%s", run->dumped.system);
    snprintf(facts.ledger, sizeof(facts.ledger), "%s", claim->ledger.database);
    snprintf(facts.system, sizeof(facts.system), "%s", claim->ledger.system);
    snprintf(facts.run_id, sizeof(facts.run_id), "%s", claim->run_id);
    snprintf(facts.schedule_id, sizeof(facts.schedule_id), "%s", claim->schedule_id);
    snprintf(facts.type, sizeof(facts.type), "%s", request->scheduled ? "scheduled" : "manual");
    snprintf(facts.database, sizeof(facts.database), "%s", server.database);
    snprintf(facts.server_version, sizeof(facts.server_version), "%.31s", server.version);
    snprintf(facts.tool_version, sizeof(facts.tool_version), "%s", PACKAGE_VERSION);
    snprintf(facts.compression, sizeof(facts.compression), "%s",
             compression_name(request->compression.method));
    snprintf(facts.engine, sizeof(facts.engine), "%s", result->engine);
    snprintf(facts.sha256, sizeof(facts.sha256), "%s", result->object.sha256);
    run->publication.facts = facts;
    return true;
}

static bool record_completed(struct run *run, struct error *err)
{
    struct claim *claim = run->claim;
    struct history_result done = claim_result_of(&run->publication.facts);
    bool fenced = false;

    if (claim_complete(claim, &done, &fenced, err)) {
        return true;
    }
    if (fenced) {
        run->result->status = BACKUP_FAILED;
        return publication_withdraw(&run->publication, err);
    }
    err->kind = ERROR_DEGRADED;
    error_prefix(err, "backup %s is stored, but recording it failed", claim->name);
    return error_hint(err, "the next check records it");
}

static bool record_failed(struct claim *claim, struct error *err)
{
    struct error problem = ERROR_INIT;

    if (!claim_fail(claim, err->text, &problem)) {
        log_warning("ledger_not_written",
                    "The failure could not be recorded: %s; the next check marks the run failed",
                    problem.text);
    }
    return false;
}

/* It is silent to all but the ledger, in which it is one attempt of the occurrence. */
static void record_skipped(struct claim *claim, struct error *err)
{
    struct error problem = ERROR_INIT;
    bool first;

    error_set(err, ERROR_FAILED, "skipped: the hook before asked for no backup now");
    log_info(LOG_MARK_NOTE, "backup_skipped", "No backup was made: the hook before asked for that");
    record_failed(claim, err);
    if (!backup_history_tell(claim->session, claim->history_id, &first, &problem)) {
        log_warning("ledger_not_written", "%s", problem.text);
    }
}

static bool run_before(struct run *run, bool *skipped, struct error *err)
{
    const struct hook hook = {
        .event = HOOK_BEFORE, .request = run->request, .result = run->result, .status = "started"};

    return hook_run(&hook, skipped, err);
}

/* With the claim still taken: no other run begins meanwhile. Invariant I7: what fails here changes
 * nothing about the backup. */
static void run_afterwards(struct run *run, const struct error *problem)
{
    struct backup_result *result = run->result;
    struct error err = ERROR_INIT;
    bool completed = result->status == BACKUP_COMPLETED;
    const struct hook hook = {
        .event = completed ? HOOK_AFTER : HOOK_ON_FAILURE,
        .request = run->request,
        .result = result,
        .status = completed                            ? "completed"
                  : result->status == BACKUP_UNSETTLED ? "unknown"
                                                       : "failed",
        .error = completed ? NULL : problem->text,
    };

    if (!hook_run(&hook, NULL, &err)) {
        result->hook_failed = true;
        log_warning("hook_failed", "%s", err.text);
    }
}

/* The upload is gone when it was tried. */
static bool publish(struct run *run, struct upload **upload, struct error *err)
{
    struct upload *committed = *upload;
    struct server_facts server;

    run_phases_enter(&run->result->phases, PHASE_COMMIT);
    session_facts(run->source, &server);
    snprintf(run->publication.encoding, sizeof(run->publication.encoding), "%s", server.encoding);
    if (!describe(run, err)) {
        return false;
    }
    *upload = NULL;
    return publication_commit(&run->publication, committed, err);
}

static bool transfer_and_publish(struct run *run, struct error *err)
{
    const struct backup_request *request = run->request;
    struct backup_result *result = run->result;
    struct claim *claim = run->claim;
    struct upload *upload = NULL;
    struct upload_options options = {
        .name = claim->name,
        .run_id = claim->run_id,
        .parallel = (int)settings_get_number(request->settings, SETTING_UPLOADS),
        .retain_ms = publication_retain_ms(&run->publication),
        .permit = publication_permit,
        .permit_context = &run->publication,
    };
    char size[TEXT_BYTES_SIZE];
    bool settled;

    bool ok =
        store_upload_begin(request->store, &options, &upload, err) && transfer(run, upload, err);
    if (ok) {
        log_debug("dumped", "Dumped with engine %s: %" PRIu64 " tables, %" PRIu64 " rows",
                  result->engine, result->tables, result->rows);
        text_format_bytes(size, result->object.bytes);
        log_write(&LOG_WITH(LOG_INFO, LOG_MARK_NONE, "backup_created",
                            LOG_TEXT("name", claim->name),
                            LOG_NUMBER("bytes", (int64_t)result->object.bytes),
                            LOG_NUMBER("raw_bytes", (int64_t)result->raw_bytes),
                            LOG_TEXT("engine", result->engine),
                            LOG_NUMBER("tables", (int64_t)result->tables),
                            LOG_NUMBER("rows", (int64_t)result->rows)),
                  "Backup created: %s (%s)", claim->name, size);
        ok = publish(run, &upload, err);
    }
    store_upload_abandon(upload);
    if (ok) {
        log_write(&LOG_WITH(LOG_INFO, LOG_MARK_NONE, "backup_stored", LOG_TEXT("name", claim->name),
                            LOG_TEXT("store", request->store->location)),
                  request->store->is_remote ? "Uploaded to blob storage: %s" : "Stored: %s",
                  claim->name);
        return true;
    }
    publication_settle(&run->publication, &settled);
    if (!settled) {
        result->status = BACKUP_UNSETTLED;
        error_hint(err, "the next check asks the store whether it was published");
    }
    return false;
}

/* What can be found out before the dump begins. *covered: the ledger had forgotten a backup of this
 * very occurrence. */
static bool prepare(struct run *run, bool *covered, struct error *err)
{
    const struct backup_request *request = run->request;

    if (!open_source(run, err)) {
        return false;
    }
    struct dump_options dump = {.session = run->source, .settings = request->settings};
    return dump_check(&dump, err) && store_prepare(request->store, err) &&
           (!request->scheduled || adoption_before_run(run->claim, request->store, covered, err));
}

static void fill(struct backup_result *result, const struct claim *claim)
{
    struct server_facts server;

    session_facts(claim->session, &server);
    snprintf(result->history_id, sizeof(result->history_id), "%s", claim->history_id);
    snprintf(result->run_id, sizeof(result->run_id), "%s", claim->run_id);
    snprintf(result->name, sizeof(result->name), "%s", claim->name);
    snprintf(result->database, sizeof(result->database), "%s", server.database);
}

/* With the claim taken: a tick that finds the lock held has one line to say, not these. */
static void tell_start(const struct backup_request *request, const struct claim *claim)
{
    const struct schedule *schedule = request->schedule;

    if (request->scheduled) {
        log_write(&LOG_WITH(LOG_INFO, LOG_MARK_MATCHED, "schedule_due",
                            LOG_TEXT("schedule_id", schedule->id),
                            LOG_NUMBER("attempt", schedule->attempt)),
                  "Scheduled time matched: %s %s - executing backup...", schedule->time,
                  schedule->zone);
        log_info(LOG_MARK_BACKUP, "backup_begins", "Creating scheduled database backup...");
    }
    log_write(&LOG_WITH(LOG_INFO, LOG_MARK_NONE, "backup_started", LOG_TEXT("name", claim->name),
                        LOG_TEXT("run_id", claim->run_id),
                        LOG_TEXT("schedule_id", claim->schedule_id)),
              "Starting database backup...");
}

/* Of a silent run nobody hears. */
static void begin_ping(struct ping *ping, const struct backup_request *request)
{
    *ping = (struct ping){.settings = NULL};
    if (!request->silent) {
        ping_begin(ping, request->settings, request->schedule->name);
    }
}

bool backup_run(const struct backup_request *request, struct backup_result *result,
                struct error *err)
{
    struct claim claim = CLAIM_INIT;
    enum claim_result claimed = CLAIM_NOT_DUE;
    struct claim_request claim_request = {
        .session = request->session,
        .schedule = request->schedule,
        .store = request->store->location,
        .catch_up_s = settings_get_number(request->settings, SETTING_CATCH_UP),
        .suffix = compression_suffix(request->compression.method),
        .scheduled = request->scheduled,
        .silent = request->silent,
    };

    *result = (struct backup_result){.status = BACKUP_FAILED};
    run_phases_enter(&result->phases, PHASE_CLAIM);
    if (!claim_take(&claim_request, &claim, &claimed, err)) {
        return false;
    }
    if (claimed != CLAIM_TAKEN) {
        result->status = claimed == CLAIM_LOCKED    ? BACKUP_LOCKED
                         : claimed == CLAIM_CHANGED ? BACKUP_CHANGED
                                                    : BACKUP_NOT_DUE;
        return true;
    }
    fill(result, &claim);
    run_phases_enter(&result->phases, PHASE_PREPARE);
    struct ping ping;
    begin_ping(&ping, request);
    tell_start(request, &claim);
    struct run run = {
        .request = request, .claim = &claim, .result = result, .dump = DUMP_RESULT_INIT};
    run.publication = (struct publication){.store = request->store,
                                           .claim = &claim,
                                           .dump = &run.dump,
                                           .retention_days = request->schedule->retention_days};
    bool covered = false;
    bool skipped = false;
    bool ok = prepare(&run, &covered, err) &&
              (covered ||
               (run_before(&run, &skipped, err) && (skipped || transfer_and_publish(&run, err))));
    run_phases_leave(&result->phases, ok);
    close_source(&run);
    dump_result_clear(&run.dump);
    result->duration_ms = claim_elapsed_ms(&claim);
    result->ended_ms = claim.begun_ms + result->duration_ms;
    result->phases.server_offset_ms = claim.begun_ms - claim.begun_mono_ms;
    run_phases_enter(&result->phases, PHASE_RECORD);
    if (ok && covered) {
        result->status = BACKUP_NOT_DUE;
    } else if (ok && skipped) {
        result->status = BACKUP_SKIPPED;
        record_skipped(&claim, err);
    } else if (ok) {
        result->status = BACKUP_COMPLETED;
        run.publication.facts.duration_ms = result->duration_ms;
        ok = record_completed(&run, err);
    } else if (result->status == BACKUP_FAILED) {
        record_failed(&claim, err);
    }
    run_phases_leave(&result->phases, ok || result->status == BACKUP_FAILED);
    if (!covered && !skipped) {
        run_afterwards(&run, err);
    }
    claim_close(&claim);
    bool made = ok || result->status == BACKUP_COMPLETED;
    ping_end(&ping, made ? NULL : err->text);
    return ok;
}

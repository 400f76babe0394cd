#include "backup/backup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
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

/* digest -> cut in blocks -> uploads */
static struct stage *build_stream(struct fan_out *fan_out, struct stream_digest *digest,
                                  struct error *err)
{
    struct stage *stage = fan_out_stage_new(fan_out, err);

    return stage != NULL ? digest_stage_new(digest, stage, err) : NULL;
}

/* A run under way. */
struct run {
    const struct backup_request *request;
    struct scope scope; /* a copy: a thread that is left behind outlives the request */
    struct claim claim;
    struct session *source; /* in the database to dump: the claim's, or one of its own */
    struct ledger dumped;   /* that database and its server */
    struct backup_result *result;
    struct dump_result dump;
    struct publication publication;
    struct fan_out *fan_out;
    bool left_behind; /* a thread goes on using this run */
};

/* A schedule may name another database than the one it stands in. */
static bool open_source(struct run *run, struct error *err)
{
    const struct schedule *schedule = run->request->schedule;
    struct session_options options = *run->request->session;
    struct server_facts server;

    run->source = run->claim.session;
    run->dumped = run->claim.ledger;
    if (schedule->dbname != NULL || schedule->service != NULL) {
        options.dbname = schedule->dbname;
        options.service = schedule->service;
        if (!session_open(&options, &run->source, err)) {
            run->source = NULL;
        }
        if (run->source == NULL || !ledger_identify(run->source, &run->dumped, err)) {
            return error_prefix(err, "opening %s %s of schedule %s",
                                schedule->all_databases    ? "database"
                                : schedule->dbname != NULL ? "target_dbname"
                                                           : "target_service",
                                schedule->dbname != NULL ? schedule->dbname : schedule->service,
                                schedule->name);
        }
    }
    session_facts(run->source, &server);
    snprintf(run->result->database, sizeof(run->result->database), "%s", server.database);
    return run->source == run->claim.session ||
           backup_history_note_database(run->claim.session, run->claim.run_id, server.database,
                                        err);
}

static void close_source(struct run *run)
{
    if (run->source != run->claim.session) {
        session_close(run->source);
    }
}

/* Everything up to the commit: afterwards every byte is in the stores, and nothing is visible. */
static bool transfer(struct run *run, struct error *err)
{
    const struct backup_request *request = run->request;
    struct backup_result *result = run->result;
    struct progress progress;
    struct dump_options dump = {
        .session = run->source,
        .settings = request->settings,
        .compression = request->compression,
        .scope = &run->scope,
        .restrict_key = request->restrict_key,
        .progress = progress_update,
        .progress_context = &progress,
    };
    uint64_t estimated_bytes = 0;

    if (request->show_progress &&
        !backup_history_estimate(run->claim.session, &estimated_bytes, err)) {
        return false;
    }
    struct stage *stream = build_stream(run->fan_out, &result->object, err);
    if (stream == NULL) {
        return false;
    }
    progress_begin(&progress, "Dumping", estimated_bytes, request->show_progress);
    run_phases_enter(&result->phases, PHASE_DUMP);
    bool ok = dump_run(&dump, stream, &run->dump, err) &&
              run_phases_enter(&result->phases, PHASE_FLUSH) && stage_finish(stream, err) &&
              fan_out_flush(run->fan_out, err);
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
    const struct claim *claim = &run->claim;
    struct backup_facts facts = {
        .has_occurrence = request->scheduled,
        .occurrence_ms = request->schedule->occurrence_ms,
        .of_all_databases = request->schedule->all_databases,
        .bytes = result->object.bytes,
        .raw_bytes = result->raw_bytes,
        .duration_ms = claim_elapsed_ms(claim),
        .has_rows = result->has_rows,
        .tables = result->tables,
        .rows = result->rows,
    };
    struct server_facts server;

    if (!backup_schemas_identify(&run->scope, facts.schemas, err)) {
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

/* Of one store there is nothing to note. What is not noted now, the next check finds out. */
static void note_copies(struct run *run)
{
    const struct store_choice *stores = run->request->stores;
    struct copy_note notes[STORES_MOST];
    struct error problem = ERROR_INIT;

    for (size_t i = 0; i < stores->count; i++) {
        const struct publication_copy *copy = &run->publication.copies[i];
        notes[i] = (struct copy_note){
            .store = stores->stores[i]->location,
            .required = stores->required[i],
            .state = copy->state,
            .error = copy->state == COPY_MISSING ? copy->problem.text : NULL,
        };
    }
    if (stores->count > 1 && !claim_note_copies(&run->claim, notes, stores->count, &problem)) {
        log_warning("ledger_not_written",
                    "Where the backup is could not be recorded: %s; the next check finds out",
                    problem.text);
    }
}

static bool record_completed(struct run *run, struct error *err)
{
    struct claim *claim = &run->claim;
    struct history_result done = claim_result_of(&run->publication.facts);
    bool fenced = false;

    note_copies(run);
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

static bool record_failed(struct run *run, struct error *err)
{
    struct error problem = ERROR_INIT;
    /* What a thread that was left behind leaves in its store, a later check cleans up. */
    bool has_copies = run->request->stores->count > 1 && !run->left_behind;

    if (!claim_fail(&run->claim, err->text, has_copies, &problem)) {
        log_warning("ledger_not_written",
                    "The failure could not be recorded: %s; the next check marks the run failed",
                    problem.text);
    }
    return false;
}

/* It is silent to all but the ledger, in which it is one attempt of the occurrence. */
static void record_skipped(struct run *run, struct error *err)
{
    const struct claim *claim = &run->claim;
    struct error problem = ERROR_INIT;
    bool first;

    error_set(err, ERROR_FAILED, "skipped: the hook before asked for no backup now");
    log_info(LOG_MARK_NOTE, "backup_skipped", "No backup was made: the hook before asked for that");
    record_failed(run, err);
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

static bool publish(struct run *run, struct error *err)
{
    struct server_facts server;

    run_phases_enter(&run->result->phases, PHASE_COMMIT);
    session_facts(run->source, &server);
    snprintf(run->publication.encoding, sizeof(run->publication.encoding), "%s", server.encoding);
    return describe(run, err) && publication_commit(&run->publication, run->fan_out, err);
}

static void tell_created(const struct run *run)
{
    const struct backup_result *result = run->result;
    const char *name = run->claim.name;
    char size[TEXT_BYTES_SIZE];

    log_debug("dumped", "Dumped with engine %s: %" PRIu64 " tables, %" PRIu64 " rows",
              result->engine, result->tables, result->rows);
    text_format_bytes(size, result->object.bytes);
    log_write(&LOG_WITH(LOG_INFO, LOG_MARK_NONE, "backup_created", LOG_TEXT("name", name),
                        LOG_NUMBER("bytes", (int64_t)result->object.bytes),
                        LOG_NUMBER("raw_bytes", (int64_t)result->raw_bytes),
                        LOG_TEXT("engine", result->engine),
                        LOG_NUMBER("tables", (int64_t)result->tables),
                        LOG_NUMBER("rows", (int64_t)result->rows)),
              "Backup created: %s (%s)", name, size);
}

/* With several stores a line for each that has it. What is missing was told when it happened. */
static void tell_stored(const struct run *run)
{
    const struct store_choice *stores = run->request->stores;
    const char *name = run->claim.name;

    for (size_t i = 0; i < stores->count; i++) {
        const struct store *store = stores->stores[i];
        if (run->publication.copies[i].state != COPY_STORED) {
            continue;
        }
        log_write(&LOG_WITH(LOG_INFO, LOG_MARK_NONE, "backup_stored", LOG_TEXT("name", name),
                            LOG_TEXT("store", store->location)),
                  store->is_remote ? "Uploaded to blob storage: %s%s%s" : "Stored: %s%s%s", name,
                  stores->count > 1 ? " in " : "", stores->count > 1 ? store->location : "");
    }
}

static void fill_missing(const struct run *run)
{
    const struct store_choice *stores = run->request->stores;
    struct backup_result *result = run->result;
    struct text text = TEXT_INIT(sizeof(result->missing_in) - 1);

    for (size_t i = 0; i < stores->count; i++) {
        const struct publication_copy *copy = &run->publication.copies[i];
        if (copy->state == COPY_MISSING) {
            result->is_missing[i] = true;
            text_appendf(&text, "%s%s: %.200s", result->missing++ > 0 ? "; " : "",
                         stores->stores[i]->location, copy->problem.text);
        }
    }
    snprintf(result->missing_in, sizeof(result->missing_in), "%s",
             text.failed ? "several stores" : text_string(&text));
    text_clear(&text);
}

static bool transfer_and_publish(struct run *run, struct error *err)
{
    const struct backup_request *request = run->request;
    const struct fan_out_options options = {
        .settings = request->settings,
        .stores = request->stores,
        .upload = {.name = run->claim.name,
                   .run_id = run->claim.run_id,
                   .parallel = (int)settings_get_number(request->settings, SETTING_UPLOADS),
                   .retain_ms = publication_retain_ms(&run->publication),
                   .permit = publication_permit,
                   .permit_context = &run->publication},
        .patience_ms = settings_get_number(request->settings, SETTING_BEST_EFFORT_WAIT) * 1000,
    };
    bool settled;

    bool ok = fan_out_begin(&options, &run->fan_out, err) && transfer(run, err);
    if (ok) {
        tell_created(run);
        ok = publish(run, err);
    }
    run->left_behind = !fan_out_end(run->fan_out);
    if (ok) {
        tell_stored(run);
        fill_missing(run);
        return true;
    }
    publication_settle(&run->publication, &settled);
    if (!settled) {
        run->result->status = BACKUP_UNSETTLED;
        error_hint(err, "the next check asks the store whether it was published");
    }
    return false;
}

/* The best-effort stores come later, where they cannot hold this up. */
static bool prepare_stores(struct run *run, bool *covered, struct error *err)
{
    const struct store_choice *stores = run->request->stores;
    bool ok = true;

    for (size_t i = 0; ok && i < stores->required_count; i++) {
        ok = store_prepare(stores->stores[i], err);
    }
    for (size_t i = 0; ok && run->request->scheduled && !*covered && i < stores->required_count;
         i++) {
        ok = adoption_before_run(&run->claim, stores->stores[i], covered, err);
    }
    return ok;
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
    const struct scope *scope = request->scope != NULL ? request->scope : &request->schedule->scope;
    return scope_copy(scope, &run->scope, err) && dump_check(&dump, err) &&
           prepare_stores(run, covered, err);
}

static void fill(struct backup_result *result, const struct claim *claim,
                 const struct schedule *schedule)
{
    struct server_facts server;

    session_facts(claim->session, &server);
    snprintf(result->history_id, sizeof(result->history_id), "%s", claim->history_id);
    snprintf(result->run_id, sizeof(result->run_id), "%s", claim->run_id);
    snprintf(result->name, sizeof(result->name), "%s", claim->name);
    snprintf(result->database, sizeof(result->database), "%s",
             schedule->dbname != NULL ? schedule->dbname : server.database);
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

static void conclude(struct run *run, bool ok, bool covered, bool skipped)
{
    struct backup_result *result = run->result;

    result->duration_ms = claim_elapsed_ms(&run->claim);
    result->ended_ms = run->claim.begun_ms + result->duration_ms;
    result->phases.server_offset_ms = run->claim.begun_ms - run->claim.begun_mono_ms;
    if (ok) {
        result->status = covered ? BACKUP_NOT_DUE : skipped ? BACKUP_SKIPPED : BACKUP_COMPLETED;
        run->publication.facts.duration_ms = result->duration_ms;
    }
}

static bool run_claimed(struct run *run, struct error *err)
{
    struct backup_result *result = run->result;
    bool covered = false;
    bool skipped = false;
    struct ping ping;

    fill(result, &run->claim, run->request->schedule);
    run_phases_enter(&result->phases, PHASE_PREPARE);
    begin_ping(&ping, run->request);
    tell_start(run->request, &run->claim);
    bool ok = prepare(run, &covered, err) &&
              (covered ||
               (run_before(run, &skipped, err) && (skipped || transfer_and_publish(run, err))));
    run_phases_leave(&result->phases, ok);
    close_source(run);
    conclude(run, ok, covered, skipped);
    run_phases_enter(&result->phases, PHASE_RECORD);
    if (result->status == BACKUP_COMPLETED) {
        ok = record_completed(run, err);
    } else if (result->status == BACKUP_SKIPPED) {
        record_skipped(run, err);
    } else if (result->status == BACKUP_FAILED) {
        record_failed(run, err);
    }
    run_phases_leave(&result->phases, ok || result->status == BACKUP_FAILED);
    if (!covered && !skipped) {
        run_afterwards(run, err);
    }
    claim_close(&run->claim);
    ping_end(&ping, ok || result->status == BACKUP_COMPLETED ? NULL : err->text);
    return ok;
}

static bool take_claim(struct run *run, enum claim_result *claimed, struct error *err)
{
    const struct backup_request *request = run->request;
    const struct claim_request claim_request = {
        .session = request->session,
        .schedule = request->schedule,
        .stores = request->stores,
        .catch_up_s = settings_get_number(request->settings, SETTING_CATCH_UP),
        .suffix = compression_suffix(request->compression.method),
        .scheduled = request->scheduled,
        .silent = request->silent,
    };

    return claim_take(&claim_request, &run->claim, claimed, err);
}

bool backup_run(const struct backup_request *request, struct backup_result *result,
                struct error *err)
{
    enum claim_result claimed = CLAIM_NOT_DUE;
    struct run *run = calloc(1, sizeof(*run));

    *result = (struct backup_result){.status = BACKUP_FAILED};
    run_phases_enter(&result->phases, PHASE_CLAIM);
    if (run == NULL) {
        return error_set_memory(err);
    }
    *run = (struct run){
        .request = request, .claim = CLAIM_INIT, .result = result, .dump = DUMP_RESULT_INIT};
    run->publication = (struct publication){.stores = request->stores,
                                            .claim = &run->claim,
                                            .dump = &run->dump,
                                            .retention_days = request->schedule->retention_days};
    bool ok = take_claim(run, &claimed, err);
    if (ok && claimed == CLAIM_TAKEN) {
        ok = run_claimed(run, err);
    } else if (ok) {
        result->status = claimed == CLAIM_LOCKED    ? BACKUP_LOCKED
                         : claimed == CLAIM_CHANGED ? BACKUP_CHANGED
                                                    : BACKUP_NOT_DUE;
    }
    if (!run->left_behind) {
        publication_clear(&run->publication);
        dump_result_clear(&run->dump);
        scope_clear(&run->scope);
        free(run);
    }
    return ok;
}

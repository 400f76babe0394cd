#include "backup/backup.h"

#include <stdio.h>
#include <string.h>

#include "backup/progress.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/stop.h"
#include "base/text.h"
#include "config.h"
#include "dump/dump.h"
#include "schedule/adoption.h"
#include "schedule/claim.h"
#include "stream/blocks.h"

static bool take_block(void *upload, struct block *block, struct error *err)
{
    return store_upload_block(upload, block, err);
}

/* compress -> digest -> cut in blocks -> upload */
static struct stage *build_stream(const struct backup_request *request, struct upload *upload,
                                  struct stream_digest *digest, struct error *err)
{
    struct stage *stage = blocks_stage_new(&request->store->block_limits, take_block, upload, err);

    if (stage != NULL) {
        stage = digest_stage_new(digest, stage, err);
    }
    if (stage != NULL) {
        stage = compress_stage_new(&request->compression, stage, err);
    }
    return stage;
}

/* A run under way. */
struct run {
    const struct backup_request *request;
    struct claim *claim;
    struct session *source; /* in the database to dump: the claim's, or one of its own */
    struct ledger dumped;   /* that database and its server */
    struct backup_result *result;
    bool tried; /* the store may have been asked to publish */
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
static bool transfer(const struct run *run, struct upload *upload, struct error *err)
{
    const struct backup_request *request = run->request;
    struct backup_result *result = run->result;
    struct progress progress;
    struct dump_options dump = {
        .session = run->source,
        .settings = request->settings,
        .schemas = request->schedule->schemas,
        .progress = progress_update,
        .progress_context = &progress,
    };
    uint64_t estimated_bytes = 0;

    if (request->show_progress &&
        !backup_history_estimate(run->claim->session, &estimated_bytes, err)) {
        return false;
    }
    struct stage *stream = build_stream(request, upload, &result->object, err);
    if (stream == NULL) {
        return false;
    }
    progress_begin(&progress, "Dumping", estimated_bytes, request->show_progress);
    bool ok = dump_run(&dump, stream, &result->raw_bytes, err) && stage_finish(stream, err) &&
              store_upload_flush(upload, err);
    progress_end(&progress);
    stage_free(stream);
    return ok;
}

static bool describe(const struct run *run, struct metadata *out, struct error *err)
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
    };
    struct server_facts server;

    if (!backup_schemas_identify(request->schedule->schemas, facts.schemas, err)) {
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
    snprintf(facts.sha256, sizeof(facts.sha256), "%s", result->object.sha256);
    return backup_facts_format(&facts, out, err);
}

/* The stop comes last: one that came while the server was asked must still be heard. */
static bool permit(void *context, struct error *err)
{
    struct run *run = context;

    if (!claim_confirm(run->claim, err) || !stop_check(err)) {
        return false;
    }
    run->tried = true;
    return true;
}

/* Invariant I3: every source ended well; then the commit, before each attempt of which the store
 * asks permit(): are lock and row ours, and was no stop asked for? */
static bool publish(const struct run *run, struct upload **upload, struct error *err)
{
    struct metadata metadata = METADATA_INIT;
    bool ok = describe(run, &metadata, err);

    if (ok) {
        struct upload *committed = *upload;
        *upload = NULL;
        ok = store_upload_commit(committed, &metadata, err);
    }
    metadata_clear(&metadata);
    return ok;
}

/* The published object of this run, asked for also after a stop; *found false, without an error,
 * when there is none. */
static bool find_own(const struct backup_request *request, const struct claim *claim,
                     struct object *object, bool *found, struct error *err)
{
    store_ignore_stop(request->store, true);
    bool ok = store_head(request->store, claim->name, object, found, err);
    store_ignore_stop(request->store, false);
    *found = ok && *found && backup_object_has_run(object, claim->run_id);
    return ok;
}

/* After a commit that failed: true when the store says that no object of this run is there. */
static bool nothing_published(const struct backup_request *request, const struct claim *claim)
{
    struct object object = OBJECT_INIT;
    struct error problem = ERROR_INIT;
    bool found = false;
    bool asked = find_own(request, claim, &object, &found, &problem);

    object_clear(&object);
    return asked && !found;
}

static bool remove_own(const struct backup_request *request, const struct object *object,
                       enum store_removal *removal, struct error *err)
{
    store_ignore_stop(request->store, true);
    bool ok = store_remove(request->store, object, removal, err);
    store_ignore_stop(request->store, false);
    return ok;
}

/* While we stood still between the last look at the lock and the commit, another process took this
 * run for dead: the occurrence is its to make (I1). */
static bool withdraw(const struct backup_request *request, const struct claim *claim,
                     struct error *err)
{
    struct object object = OBJECT_INIT;
    struct error problem = ERROR_INIT;
    enum store_removal removal = STORE_WAS_GONE;
    bool found = false;
    bool gone = find_own(request, claim, &object, &found, &problem) &&
                (!found || remove_own(request, &object, &removal, &problem));

    object_clear(&object);
    if (gone && (removal == STORE_REMOVED || removal == STORE_WAS_GONE)) {
        return error_hint(err, "its object was removed again");
    }
    return error_hint(err, "its object could not be removed: remove %s by hand", claim->name);
}

static bool record_completed(const struct backup_request *request, struct claim *claim,
                             struct backup_result *result, struct error *err)
{
    struct history_result done = {
        .run_id = claim->run_id,
        .bytes = result->object.bytes,
        .raw_bytes = result->raw_bytes,
        .duration_ms = result->duration_ms,
        .sha256 = result->object.sha256,
    };
    bool fenced = false;

    if (claim_complete(claim, &done, &fenced, err)) {
        return true;
    }
    if (fenced) {
        result->status = BACKUP_FAILED;
        return withdraw(request, claim, err);
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
        .permit = permit,
        .permit_context = run,
    };
    char size[TEXT_BYTES_SIZE];

    bool ok =
        store_upload_begin(request->store, &options, &upload, err) && transfer(run, upload, err);
    if (ok) {
        text_format_bytes(size, result->object.bytes);
        log_write(&LOG_WITH(LOG_INFO, LOG_MARK_NONE, "backup_created",
                            LOG_TEXT("name", claim->name),
                            LOG_NUMBER("bytes", (int64_t)result->object.bytes),
                            LOG_NUMBER("raw_bytes", (int64_t)result->raw_bytes)),
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
    if (run->tried && !nothing_published(request, claim)) {
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
    tell_start(request, &claim);
    struct run run = {.request = request, .claim = &claim, .result = result};
    bool covered = false;
    bool ok = prepare(&run, &covered, err) && (covered || transfer_and_publish(&run, err));
    close_source(&run);
    result->duration_ms = claim_elapsed_ms(&claim);
    result->ended_ms = claim.begun_ms + result->duration_ms;
    if (ok && covered) {
        result->status = BACKUP_NOT_DUE;
    } else if (ok) {
        result->status = BACKUP_COMPLETED;
        ok = record_completed(request, &claim, result, err);
    } else if (result->status == BACKUP_FAILED) {
        record_failed(&claim, err);
    }
    claim_close(&claim);
    return ok;
}

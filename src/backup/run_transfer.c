#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/progress.h"
#include "backup/run.h"
#include "base/log.h"
#include "base/text.h"
#include "config.h"

/* digest -> cut in blocks -> uploads */
static struct stage *build_stream(struct fan_out *fan_out, struct stream_digest *digest,
                                  struct error *err)
{
    struct stage *stage = fan_out_stage_new(fan_out, err);

    return stage != NULL ? digest_stage_new(digest, stage, err) : NULL;
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

bool run_transfer(struct run *run, struct error *err)
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

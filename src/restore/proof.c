#include "restore/proof.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "postgres/scratch_database.h"
#include "restore/backup_source.h"
#include "restore/comparison.h"
#include "restore/fill.h"
#include "restore/needs.h"
#include "restore/quick_check.h"
#include "restore/statement_entry.h"
#include "store/manifest.h"

/* Roles of another server need not be there: whose the tables are is not what is proved. A database
 * with a subscription cannot be dropped, and a trigger on logins would change what is compared. */
static bool wants(void *context, const struct sql_statement *statement)
{
    static const char *const left_out[] = {"POLICY", "USER MAPPING", "SUBSCRIPTION",
                                           "EVENT TRIGGER"};

    (void)context;
    for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++) {
        if (statement_entry_has_type(statement, left_out[i]) ||
            statement_entry_remarks_on(statement, left_out[i])) {
            return false;
        }
    }
    return true;
}

static const struct replay_rules without_roles = {
    .no_owner = true, .no_privileges = true, .wants = wants};

static bool prove_quickly(const struct proof *proof, const struct backup_source *source,
                          struct proof_result *result, struct error *err)
{
    const struct quick_check check = {
        .source = source, .progress = proof->progress, .progress_context = proof->progress_context};
    struct quick_check_result found = {.rows = 0};
    bool ok = quick_check_run(&check, &found, err);

    result->has_rows = found.has_rows;
    result->tables = found.tables;
    result->rows = found.rows;
    result->raw_bytes = found.raw_bytes;
    return ok;
}

/* A proof by a restore. */
struct proving {
    const struct proof *proof;
    const struct backup_source *source;
    struct proof_result *result;
    char **columns; /* of each table that was filled: what it is read again by */
};

static bool fill(struct proving *proving, struct session *session, struct error *err)
{
    const struct proof *proof = proving->proof;
    const struct fill_options options = {
        .source = proving->source,
        .settings = proof->settings,
        .session = session,
        .rules = without_roles,
        .hides_values = true,
        .columns = proving->columns,
        .progress = proof->progress,
        .progress_context = proof->progress_context,
    };
    struct fill_result filled = {.rows = 0};

    if (!fill_database(&options, &filled, err)) {
        return false;
    }
    proving->result->raw_bytes = filled.raw_bytes;
    proving->result->rows = filled.rows;
    return true;
}

static bool compare(struct proving *proving, struct session *session, struct error *err)
{
    const struct comparison comparison = {.manifest = &proving->source->manifest,
                                          .settings = proving->proof->settings,
                                          .columns = proving->columns,
                                          .session = session};
    struct proof_result *result = proving->result;

    result->has_rows = comparison_run(&comparison, &result->tables, &result->rows, err);
    return result->has_rows;
}

/* Every session has ended before the database is dropped. */
static bool in_session(struct proving *proving, struct session *maintenance, const char *database,
                       bool (*work)(struct proving *proving, struct session *session,
                                    struct error *err),
                       struct error *err)
{
    struct session *session = NULL;

    if (!session_open_in(maintenance, database, &session, err)) {
        return false;
    }
    bool ok = work(proving, session, err);
    session_close(session);
    return ok;
}

static bool prove_in(const struct proof *proof, const struct backup_source *source,
                     struct session *maintenance, const char *database, struct proof_result *result,
                     struct error *err)
{
    size_t count = source->has_manifest ? source->manifest.segments.table_count : 0;
    struct proving proving = {.proof = proof,
                              .source = source,
                              .result = result,
                              .columns = calloc(count + 1, sizeof(*proving.columns))};

    if (proving.columns == NULL) {
        return error_set_memory(err);
    }
    bool ok = (in_session(&proving, maintenance, database, fill, err) ||
               error_prefix(err, "restoring it into a scratch database")) &&
              (!source->has_manifest || in_session(&proving, maintenance, database, compare, err));
    for (size_t i = 0; i < count; i++) {
        free(proving.columns[i]);
    }
    free(proving.columns);
    return ok;
}

static bool prove_on_server(const struct proof *proof, const struct backup_source *source,
                            struct session *maintenance, struct proof_result *result,
                            struct error *err)
{
    const struct scratch_options options = {
        .kind = SCRATCH_VERIFY,
        .encoding = backup_source_encoding(source),
        .locale = backup_source_locale(source),
    };
    const struct needs needs = {.source = source, .rules = &without_roles, .session = maintenance};
    char database[SCRATCH_NAME_SIZE] = "";
    size_t orphans;

    bool ok = scratch_database_remove_orphans(maintenance, &orphans, err) &&
              needs_check(&needs, err) &&
              scratch_database_create(maintenance, &options, database, err) &&
              prove_in(proof, source, maintenance, database, result, err);
    if (database[0] != '\0') {
        scratch_database_clean_up(maintenance, database);
    }
    return ok;
}

static bool prove(const struct proof *proof, const struct backup_source *source,
                  struct proof_result *result, struct error *err)
{
    struct session *maintenance = NULL;

    if (proof->quick) {
        return prove_quickly(proof, source, result, err);
    }
    bool ok = scratch_database_open_session(proof->server, NULL, &maintenance, err) &&
              prove_on_server(proof, source, maintenance, result, err);
    session_close(maintenance);
    return ok;
}

/* What is deleted meanwhile loses its manifest, too. */
static bool check_manifest(const struct backup_source *source, struct error *err)
{
    const char *name = source->backup->object->name;
    struct object object = OBJECT_INIT;
    bool found = false;

    if (!source->manifest_is_lost) {
        return true;
    }
    bool ok = store_head(source->store, name, &object, &found, err);
    object_clear(&object);
    if (!ok) {
        return false;
    }
    return found
               ? error_set(err, ERROR_DAMAGED, "its manifest, %s" MANIFEST_SUFFIX ", is gone", name)
               : error_set(err, ERROR_FAILED, "it was deleted meanwhile");
}

bool proof_run(const struct proof *proof, struct proof_result *result, struct error *err)
{
    struct backup_source source = BACKUP_SOURCE_INIT;
    int64_t began_ms = clock_monotonic_ms();

    *result = (struct proof_result){.is_bad = false};
    bool ok = backup_source_open(proof->store, proof->backup, &source, err) &&
              check_manifest(&source, err) && prove(proof, &source, result, err);
    backup_source_clear(&source);
    result->is_bad = !ok && err->kind == ERROR_DAMAGED;
    result->duration_ms = clock_monotonic_ms() - began_ms;
    return ok ? true : error_prefix(err, "verifying %s", proof->backup->object->name);
}

#include "restore/restore.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "postgres/conninfo.h"
#include "postgres/database_swap.h"
#include "postgres/scratch_database.h"
#include "postgres/server_locale.h"
#include "postgres/target_database.h"
#include "restore/backup_source.h"
#include "restore/fill.h"
#include "restore/globals.h"
#include "restore/needs.h"
#include "restore/statement_entry.h"
#include "restore/table_restore.h"

/* A restore of all, beside the target. */
struct replacing {
    const struct restore_request *request;
    const struct backup_source *source;
    const char *target;
    struct session *maintenance;
    struct target_database found; /* the target as it is */
    struct replay_rules rules;
    char scratch[SCRATCH_NAME_SIZE];
};

/* What it holds would be lost. */
static bool check_empty(const struct replacing *replacing, struct error *err)
{
    struct session *session = NULL;
    char object[512] = "";

    if (!session_open_in(replacing->maintenance, replacing->target, &session, err)) {
        return false;
    }
    bool ok = target_database_find_object(session, object, sizeof(object), err);
    session_close(session);
    if (!ok || object[0] == '\0') {
        return ok;
    }
    error_set(err, ERROR_CONFIG, "database %s is not empty: it has %s", replacing->target, object);
    return error_hint(err, "--clean replaces it; --table and --data-only add to it");
}

static bool check_name(const char *name, struct error *err)
{
    if (strcmp(name, "template0") == 0 || strcmp(name, "template1") == 0) {
        return error_set(err, ERROR_USAGE, "database %s is the server's own template", name);
    }
    if (scratch_database_is_name(name)) {
        error_set(err, ERROR_USAGE, "database %s has the name of a scratch database", name);
        return error_hint(err, "what has such a name is dropped sooner or later: rename it");
    }
    return true;
}

static bool check_target(struct replacing *replacing, struct error *err)
{
    const struct restore_request *request = replacing->request;

    if (!target_database_describe(replacing->maintenance, replacing->target, &replacing->found,
                                  err)) {
        return false;
    }
    if (request->create && replacing->found.exists) {
        error_set(err, ERROR_CONFIG, "there is a database %s already", replacing->target);
        return error_hint(err, "without --create it is filled if it is empty; --clean replaces it");
    }
    if (!request->create && !replacing->found.exists) {
        error_set(err, ERROR_CONFIG, "there is no database %s", replacing->target);
        return error_hint(err, "--create makes it");
    }
    if (!replacing->found.exists) {
        return true;
    }
    return (request->clean || check_empty(replacing, err)) &&
           target_database_check_unused(replacing->maintenance, replacing->target, err);
}

static void tell_encoding(const struct replacing *replacing)
{
    static const char any_bytes[] = "SQL_ASCII";
    const char *encoding = backup_source_encoding(replacing->source);
    const char *found = replacing->found.encoding;

    if (encoding != NULL && replacing->found.exists && strcmp(encoding, found) != 0) {
        bool as_is = strcmp(encoding, any_bytes) == 0 || strcmp(found, any_bytes) == 0;
        log_warning("other_encoding",
                    "The backup is of a database in %s, and database %s is in %s: %s", encoding,
                    replacing->target, found,
                    as_is ? "its bytes are taken as they are, whatever they mean there"
                          : "its text is converted");
    }
}

static bool tell_locale(const struct replacing *replacing, struct error *err)
{
    const struct database_locale *locale = backup_source_locale(replacing->source);
    struct database_locale found;
    char text[DATABASE_LOCALE_TEXT_SIZE];
    char found_text[DATABASE_LOCALE_TEXT_SIZE];

    if (locale == NULL || !replacing->found.exists) {
        return true;
    }
    if (!server_locale_read(replacing->maintenance, replacing->target, &found, err)) {
        return false;
    }
    if (database_locale_is_known(&found) && !database_locale_equal(locale, &found)) {
        database_locale_format(text, locale);
        database_locale_format(found_text, &found);
        log_warning("other_locale",
                    "The backup is of a database with the locale %s, and database %s has %s: it "
                    "may sort and compare text otherwise",
                    text, replacing->target, found_text);
    }
    return true;
}

static bool fill(const struct replacing *replacing, struct fill_result *result, struct error *err)
{
    const struct restore_request *request = replacing->request;
    struct fill_options options = {
        .source = replacing->source,
        .settings = request->settings,
        .rules = replacing->rules,
        .no_rows = request->part == RESTORE_SCHEMA,
        .progress = request->progress,
        .progress_context = request->progress_context,
    };

    if (!session_open_in(replacing->maintenance, replacing->scratch, &options.session, err)) {
        return false;
    }
    bool ok = fill_database(&options, result, err);
    session_close(options.session);
    return ok;
}

/* It may have been filled while the backup was. */
static bool check_again(const struct replacing *replacing, struct error *err)
{
    return !replacing->found.exists || replacing->request->clean || check_empty(replacing, err);
}

static bool swap(struct replacing *replacing, struct error *err)
{
    char replaced[SCRATCH_NAME_SIZE] = "";
    struct error problem = ERROR_INIT;

    if (!check_again(replacing, err) ||
        !database_swap_commit(replacing->maintenance, replacing->scratch, replacing->target,
                              &replacing->found, replaced, err)) {
        return false;
    }
    replacing->scratch[0] = '\0';
    if (replaced[0] != '\0' && !scratch_database_drop(replacing->maintenance, replaced, &problem)) {
        log_warning("replaced_not_dropped",
                    "What database %s was before stays as %s until the next restore or "
                    "verification: %s",
                    replacing->target, replaced, problem.text);
    }
    return true;
}

static bool hint_untouched(const struct replacing *replacing, struct error *err)
{
    if (replacing->found.exists) {
        error_hint(err, "database %s is as it was", replacing->target);
    }
    return false;
}

static bool replace(struct replacing *replacing, struct fill_result *result, struct error *err)
{
    const struct scratch_options options = {
        .kind = SCRATCH_RESTORE,
        .like = replacing->target,
        .encoding = backup_source_encoding(replacing->source),
        .locale = backup_source_locale(replacing->source),
    };
    const struct needs needs = {.source = replacing->source,
                                .rules = &replacing->rules,
                                .session = replacing->maintenance,
                                .create_roles = replacing->request->create_roles};
    size_t orphans;

    if (!check_name(replacing->target, err) ||
        !scratch_database_remove_orphans(replacing->maintenance, &orphans, err) ||
        !check_target(replacing, err)) {
        return false;
    }
    tell_encoding(replacing);
    bool ok = tell_locale(replacing, err) &&
              database_swap_check(replacing->maintenance, replacing->target, err) &&
              (!replacing->request->create_roles ||
               globals_restore(replacing->source, replacing->maintenance, err)) &&
              needs_check(&needs, err) &&
              scratch_database_create(replacing->maintenance, &options, replacing->scratch, err) &&
              database_swap_rehearse(replacing->maintenance, replacing->scratch, replacing->target,
                                     err) &&
              fill(replacing, result, err);
    return ok ? swap(replacing, err) : hint_untouched(replacing, err);
}

/* What pg_dump --schema-only would have left. */
static bool wants_schema(void *context, const struct sql_statement *statement)
{
    (void)context;
    return !statement->is_copy && !statement_entry_is_data(statement);
}

/* The target's name, from whatever the connection string leaves to libpq. */
static bool restore_database(const struct restore_request *request,
                             const struct backup_source *source, struct restore_outcome *outcome,
                             struct error *err)
{
    struct replacing replacing = {.request = request, .source = source};
    struct fill_result result = {.rows = 0};

    replacing.rules = (struct replay_rules){
        .no_owner = request->no_owner,
        .no_privileges = request->no_privileges,
        .wants = request->part == RESTORE_SCHEMA ? wants_schema : NULL,
    };
    replacing.target = outcome->database;
    bool ok = scratch_database_open_session(request->target, replacing.target,
                                            &replacing.maintenance, err) &&
              replace(&replacing, &result, err);
    if (replacing.scratch[0] != '\0') {
        scratch_database_clean_up(replacing.maintenance, replacing.scratch);
    }
    session_close(replacing.maintenance);
    outcome->has_rows = source->has_manifest;
    outcome->tables = result.tables;
    outcome->rows = result.rows;
    outcome->raw_bytes = result.raw_bytes;
    return ok;
}

static bool restore_into_existing(const struct restore_request *request,
                                  const struct backup_source *source,
                                  struct restore_outcome *outcome, struct error *err)
{
    struct session *session = NULL;

    if (!source->has_manifest) {
        error_set(err, ERROR_FAILED, "%s has no manifest, so that only all of it can be restored",
                  request->backup->object->name);
        return error_hint(err, "restore it into another database, and copy from there");
    }
    bool ok = session_open(request->target, &session, err) &&
              table_restore_run(request, source, session, outcome, err);
    session_close(session);
    return ok;
}

static void tell_manifest(const struct backup_source *source)
{
    if (source->manifest_is_lost) {
        log_warning("manifest_lost",
                    "The manifest of %s is gone: it is restored as one script, and its rows are "
                    "not counted",
                    source->backup->object->name);
    }
}

bool restore_run(const struct restore_request *request, struct restore_outcome *outcome,
                 struct error *err)
{
    struct backup_source source = BACKUP_SOURCE_INIT;
    int64_t began_ms = clock_monotonic_ms();

    *outcome = (struct restore_outcome){.rows = 0};
    bool ok = conninfo_database(request->target->conninfo, request->target->given_by,
                                outcome->database, sizeof(outcome->database), err) &&
              backup_source_open(request->store, request->backup, &source, err);
    if (ok) {
        tell_manifest(&source);
        ok = request->table_count > 0 || request->part == RESTORE_ROWS
                 ? restore_into_existing(request, &source, outcome, err)
                 : restore_database(request, &source, outcome, err);
    }
    backup_source_clear(&source);
    outcome->duration_ms = clock_monotonic_ms() - began_ms;
    return ok;
}

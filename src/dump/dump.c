#include "dump/dump.h"

#include <ctype.h>
#include <string.h>

#include "base/text.h"
#include "crypto/digest.h"
#include "crypto/random.h"
#include "dump/parallel_dump.h"
#include "dump/pg_dump.h"
#include "dump/whole_script.h"
#include "postgres/chosen_tables.h"
#include "postgres/cluster_roles.h"
#include "postgres/schema_names.h"

#define RANDOM_KEY_BYTES  24
#define RESTRICT_KEY_MOST 63

void dump_result_clear(struct dump_result *result)
{
    segments_clear(&result->segments);
}

bool dump_check_restrict_key(const char *key, struct error *err)
{
    size_t length = strlen(key);
    bool ok = length > 0 && length <= RESTRICT_KEY_MOST;

    for (size_t i = 0; ok && i < length; i++) {
        ok = isascii((unsigned char)key[i]) && isalnum((unsigned char)key[i]);
    }
    return ok ||
           error_set(err, ERROR_USAGE, "option --restrict-key takes 1 to %d letters and digits",
                     RESTRICT_KEY_MOST);
}

static bool find_tool(const struct dump_options *options, struct pg_dump *tool, struct error *err)
{
    struct server_facts facts;

    session_facts(options->session, &facts);
    return pg_dump_find(settings_get(options->settings, SETTING_PG_DUMP), facts.version_number,
                        tool, err);
}

static bool is_parallel(const struct dump_options *options)
{
    return strcmp(settings_get(options->settings, SETTING_ENGINE), "parallel") == 0;
}

static bool check_globals(const struct dump_options *options, struct error *err)
{
    const char *globals = settings_get(options->settings, SETTING_GLOBALS);

    if (is_parallel(options) || strcmp(globals, "no") == 0) {
        return strcmp(globals, "passwords") != 0 ||
               cluster_roles_check_passwords(options->session, err);
    }
    error_set(err, ERROR_CONFIG, "RYTHM_BACKUP_GLOBALS = %s needs RYTHM_BACKUP_ENGINE = parallel",
              globals);
    return error_hint(err, "set it to no, and save the output of 'pg_dumpall --globals-only'");
}

bool dump_check(const struct dump_options *options, struct error *err)
{
    struct pg_dump tool;

    return check_globals(options, err) && find_tool(options, &tool, err) &&
           (!is_parallel(options) || parallel_dump_check(options, err));
}

/* What the script may not be left with before it has ended: as hard to guess as pg_dump's own. */
static bool choose_key(const struct dump_options *options, const struct pg_dump *tool,
                       char key[RESTRICT_KEY_MOST + 1], bool *has_key, struct error *err)
{
    unsigned char bytes[RANDOM_KEY_BYTES];

    if (!pg_dump_has_restrict(tool, has_key, err)) {
        return false;
    }
    if (options->restrict_key != NULL) {
        memcpy(key, options->restrict_key, strlen(options->restrict_key) + 1);
        return true;
    }
    if (!random_bytes(bytes, sizeof(bytes), err)) {
        return false;
    }
    digest_format_hex(key, bytes, sizeof(bytes));
    return true;
}

/* A single segment as far as compression is concerned. */
static bool run_whole(const struct dump_options *options, const struct pg_dump *tool,
                      const char *key, struct stage *stream, struct dump_result *result,
                      struct error *err)
{
    struct stage *kept = stage_borrow_new(stream, err);
    struct stage *compress = compress_stage_new(&options->compression, kept, err);

    if (compress == NULL) {
        return false;
    }
    bool ok = whole_script_run(options, tool, key, compress, &result->raw_bytes, err) &&
              stage_finish(compress, err);
    stage_free(compress);
    return ok;
}

/* The engine that the settings name. */
static bool run_engine(const struct dump_options *options, const struct pg_dump *tool,
                       const char *key, struct stage *stream, struct dump_result *result,
                       struct error *err)
{
    if (is_parallel(options)) {
        result->engine = "parallel";
        return parallel_dump_run(options, tool, key, stream, result, err);
    }
    result->engine = "pg_dump";
    return run_whole(options, tool, key, stream, result, err);
}

/* Of the lists of the scope those that are written otherwise in the database's encoding. */
static bool encode_scope(const struct dump_options *options, struct scope *out, struct error *err)
{
    for (int i = 0; i < SCOPE_LISTS; i++) {
        char *const *list = options->scope->lists[i];
        if (list != NULL && !schema_names_encode(options->session, list, &out->lists[i], err)) {
            return false;
        }
    }
    return true;
}

/* Of the patterns the server is asked before anything is read. */
static bool check_scope(const struct dump_options *options, struct error *err)
{
    const struct scope *scope = options->scope;

    return (scope->lists[SCOPE_TABLES] == NULL && scope->lists[SCOPE_EXCLUDED_TABLES] == NULL &&
            scope->lists[SCOPE_EXCLUDED_DATA] == NULL) ||
           chosen_tables_check(options->session, scope, err);
}

bool dump_run(const struct dump_options *options, struct stage *stream, struct dump_result *out,
              struct error *err)
{
    struct dump_result result = DUMP_RESULT_INIT;
    struct dump_options encoded = *options;
    struct pg_dump tool;
    char key[RESTRICT_KEY_MOST + 1];
    struct scope own = {.lists = {NULL}};
    struct scope scope = *options->scope;
    bool has_key = false;

    if (!dump_check(options, err) || !find_tool(options, &tool, err) ||
        !choose_key(options, &tool, key, &has_key, err) || !check_scope(options, err) ||
        !encode_scope(options, &own, err)) {
        scope_clear(&own);
        return error_prefix(err, "dumping the database");
    }
    for (int i = 0; i < SCOPE_LISTS; i++) {
        scope.lists[i] = own.lists[i] != NULL ? own.lists[i] : scope.lists[i];
    }
    encoded.scope = &scope;
    bool ok = run_engine(&encoded, &tool, has_key ? key : NULL, stream, &result, err);
    scope_clear(&own);
    result.scope = options->scope;
    if (!ok) {
        dump_result_clear(&result);
        /* What this role may not read makes the operation fail, with either engine. */
        err->kind = err->kind == ERROR_CONFIG ? ERROR_FAILED : err->kind;
        return error_prefix(err, "dumping the database");
    }
    *out = result;
    return true;
}

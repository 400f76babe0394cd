#include "postgres/scratch_database.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "crypto/random.h"
#include "postgres/query.h"
#include "postgres/server_locale.h"
#include "postgres/server_version.h"
#include "postgres/target_session.h"

/* Making and dropping a database wait for checkpoints, and for the disk. */
#define LONG_LIMIT_MS ((int64_t)3600 * 1000)

#define SQL_CAP ((size_t)64 * 1024)

#define ID_DIGITS 16

#define KEY "hashtextextended('rythm-backup scratch:' || $1::text, 0)"

/* pg_locks shows a 64-bit key as two halves with objsubid 1 (manual, "pg_locks"). */
#define LOCKED                                                                                     \
    "EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"        \
    " AND (classid::bigint << 32 | objid::bigint) = " KEY ")"

static const char *const prefixes[] = {
    [SCRATCH_RESTORE] = "rythm_restore_",
    [SCRATCH_VERIFY] = "rythm_verify_",
    [SCRATCH_REPLACED] = "rythm_replaced_",
};
#define PREFIX_COUNT (sizeof(prefixes) / sizeof(prefixes[0]))

bool scratch_database_is_name(const char *name)
{
    for (size_t i = 0; i < PREFIX_COUNT; i++) {
        size_t length = strlen(prefixes[i]);
        if (strncmp(name, prefixes[i], length) == 0) {
            return strlen(name) == length + ID_DIGITS &&
                   strspn(name + length, "0123456789abcdef") == ID_DIGITS;
        }
    }
    return false;
}

bool scratch_database_open_session(const struct session_options *options, const char *target,
                                   struct session **out, struct error *err)
{
    static const char *const candidates[] = {"postgres", "template1"};
    struct session_options maintenance = *options;
    bool open = false;

    for (size_t i = 0; !open && i < sizeof(candidates) / sizeof(candidates[0]); i++) {
        if (target == NULL || strcmp(target, candidates[i]) != 0) {
            maintenance.dbname = candidates[i];
            error_clear(err);
            open = session_open(&maintenance, out, err);
        }
        if (!open && err->kind == ERROR_STOPPED) {
            return false;
        }
    }
    if (!open) {
        return error_prefix(err, "opening a session in database %s to create others from",
                            maintenance.dbname);
    }
    (*out)->is_target = true;
    if (!query_script(*out, "SELECT set_config('search_path', '', false)", err)) {
        session_close(*out);
        *out = NULL;
        return error_prefix(err, "setting up the session");
    }
    return true;
}

/* Locks the name unless anybody has it, this session included. */
static bool lock(struct session *session, const char *name, bool *taken, struct error *err)
{
    const char *values[] = {name};
    PGresult *result = query_run(
        session, "SELECT CASE WHEN " LOCKED " THEN false ELSE pg_try_advisory_lock(" KEY ") END", 1,
        values, err);

    if (result == NULL) {
        return error_prefix(err, "taking the lock of database %s", name);
    }
    *taken = query_bool(result, 0, 0);
    PQclear(result);
    return true;
}

static void unlock(struct session *session, const char *name)
{
    const char *values[] = {name};
    struct error ignored = ERROR_INIT;

    query_execute(session, "SELECT pg_advisory_unlock(" KEY ")", 1, values, &ignored);
}

bool scratch_database_is_held(struct session *session, const char *name, bool *held,
                              struct error *err)
{
    const char *values[] = {name};
    PGresult *result = query_run(session,
                                 "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory'"
                                 " AND granted AND objsubid = 1 AND pid = pg_backend_pid()"
                                 " AND (classid::bigint << 32 | objid::bigint) = " KEY ")",
                                 1, values, err);

    if (result == NULL) {
        return error_prefix(err, "looking for the lock of database %s", name);
    }
    *held = query_bool(result, 0, 0);
    PQclear(result);
    return true;
}

bool scratch_database_reserve(struct session *session, enum scratch_kind kind,
                              char name[SCRATCH_NAME_SIZE], struct error *err)
{
    uint64_t id;
    bool taken = false;

    if (!random_bytes(&id, sizeof(id), err)) {
        return false;
    }
    snprintf(name, SCRATCH_NAME_SIZE, "%s%016" PRIx64, prefixes[kind], id);
    return lock(session, name, &taken, err) &&
           (taken || error_set(err, ERROR_FAILED, "the lock of database %s is taken", name));
}

static bool run_long(struct session *session, const char *sql, struct error *err)
{
    int64_t limit_ms = session->limit_ms;

    session->limit_ms = LONG_LIMIT_MS;
    bool ok = target_session_run(session, sql, err);
    session->limit_ms = limit_ms;
    return ok;
}

static bool may_create(struct session *session, struct error *err)
{
    PGresult *result = query_run(session,
                                 "SELECT rolsuper OR rolcreatedb, quote_ident(rolname)"
                                 " FROM pg_roles WHERE rolname = current_user",
                                 0, NULL, err);

    if (result == NULL) {
        return false;
    }
    bool may = query_bool(result, 0, 0);
    if (!may) {
        const char *role = PQgetvalue(result, 0, 1);
        error_set(err, ERROR_CONFIG, "role %s may not create databases", role);
        error_hint(err, "a superuser can let it: ALTER ROLE %s CREATEDB", role);
    }
    PQclear(result);
    return may;
}

/* *sql stays NULL when there is no database `like`. Whoever names a tablespace needs a right to it,
 * which the template's does not ask for. */
static bool describe_creation(struct session *session, const char *name, const char *like,
                              char **sql, struct error *err)
{
    struct text query = TEXT_INIT(SQL_CAP);
    const char *values[] = {name, like};
    PGresult *result = NULL;

    text_appendf(&query,
                 "SELECT format('CREATE DATABASE %%I TEMPLATE template0 OWNER %%I ENCODING %%L',"
                 " $1::text, pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding)) || %s"
                 " || CASE WHEN d.dattablespace <> e.dattablespace"
                 " THEN format(' TABLESPACE %%I', t.spcname) ELSE '' END FROM pg_database d"
                 " JOIN pg_database e ON e.datname = 'template0'"
                 " JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE d.datname = $2::name",
                 server_locale_expression(session));
    if (query.failed) {
        error_set_memory(err);
    } else {
        result = query_run(session, text_string(&query), 2, values, err);
    }
    text_clear(&query);
    if (result == NULL) {
        return false;
    }
    bool ok = PQntuples(result) == 0 || query_copy_text(result, 0, 0, sql, err);
    PQclear(result);
    return ok;
}

/* The server has no such locale (wrong_object_type; of ICU's internal_error), or not for this
 * encoding (invalid_parameter_value, feature_not_supported). */
static bool is_misfit(const char *sqlstate)
{
    return strcmp(sqlstate, "42809") == 0 || strcmp(sqlstate, "XX000") == 0 ||
           strcmp(sqlstate, "22023") == 0 || strcmp(sqlstate, "0A000") == 0;
}

/* `name` is one of ours, and needs no quotes. `clause` is the locale's. */
static bool create_with(struct session *session, const char *name, const char *encoding,
                        const char *clause, bool *misfit, struct error *err)
{
    struct text sql = TEXT_INIT(SQL_CAP);
    char *literal = NULL;

    text_appendf(&sql, "CREATE DATABASE %s TEMPLATE template0%s", name, clause);
    if (encoding != NULL) {
        literal = PQescapeLiteral(session->connection, encoding, strlen(encoding));
        text_appendf(&sql, " ENCODING %s", literal != NULL ? literal : "");
    }
    bool has_sql = (encoding == NULL || literal != NULL) && !sql.failed;
    bool ok = has_sql ? run_long(session, text_string(&sql), err) : error_set_memory(err);
    *misfit = !ok && has_sql && is_misfit(session->sqlstate);
    PQfreemem(literal);
    text_clear(&sql);
    return ok;
}

/* One of its own, not the wanted one: `why`. */
static void tell_locale(struct session *session, const struct scratch_options *options,
                        const char *name, const struct error *why)
{
    struct database_locale got;
    char got_text[DATABASE_LOCALE_TEXT_SIZE] = "another";
    char wanted[DATABASE_LOCALE_TEXT_SIZE];
    struct error ignored = ERROR_INIT;

    if (server_locale_read(session, name, &got, &ignored)) {
        database_locale_format(got_text, &got);
    }
    if (options->locale == NULL) {
        log_warning("scratch_locale",
                    "The server's locale does not fit encoding %s: the database"
                    " sorts by the locale %s",
                    options->encoding, got_text);
        return;
    }
    database_locale_format(wanted, options->locale);
    log_warning("scratch_locale",
                "The server cannot make a database of the backup's locale %s (%s): it has the"
                " locale %s instead, and may sort and compare text otherwise",
                wanted, why->text, got_text);
}

/* The first of these locales that the server has. */
static bool create_with_one_of(struct session *session, const struct scratch_options *options,
                               const char *name, const char *const clauses[], bool is_wanted,
                               struct error *err)
{
    struct error why = ERROR_INIT;
    struct error problem = ERROR_INIT;
    bool misfit = true;
    bool ok = false;

    if (!is_wanted) {
        error_set(&why, ERROR_FAILED, "it knows no provider %s", options->locale->provider);
    }
    for (size_t i = 0; !ok && misfit && clauses[i] != NULL; i++) {
        error_clear(&problem);
        ok = create_with(session, name, options->encoding, clauses[i], &misfit, &problem);
        if (!ok && is_wanted) {
            why = problem;
            is_wanted = false;
        }
    }
    if (!ok) {
        *err = problem;
    } else if (!is_wanted) {
        tell_locale(session, options, name, &why);
    }
    return ok;
}

/* What is wanted, the server's own, and C. */
static bool create_fresh(struct session *session, const struct scratch_options *options,
                         const char *name, struct error *err)
{
    bool names_provider =
        server_version_has(PQserverVersion(session->connection), SERVER_LOCALE_PROVIDER);
    const char *clauses[4] = {NULL};
    char *wanted = NULL;
    size_t count = 0;

    if (options->locale != NULL && !server_locale_clause(session, options->locale, &wanted, err)) {
        return false;
    }
    if (wanted != NULL) {
        clauses[count++] = wanted;
    }
    clauses[count++] = "";
    if (options->encoding != NULL) {
        clauses[count++] = names_provider ? " LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER libc"
                                          : " LC_COLLATE 'C' LC_CTYPE 'C'";
    }
    bool ok = create_with_one_of(session, options, name, clauses,
                                 options->locale == NULL || wanted != NULL, err);
    free(wanted);
    return ok;
}

static bool create(struct session *session, const struct scratch_options *options, const char *name,
                   struct error *err)
{
    char revoke[SCRATCH_NAME_SIZE * 3 + 128];
    char *sql = NULL;

    if (!may_create(session, err) ||
        (options->like != NULL && !describe_creation(session, name, options->like, &sql, err))) {
        return false;
    }
    bool ok = sql != NULL ? run_long(session, sql, err) : create_fresh(session, options, name, err);
    free(sql);
    /* Who may connect to the other one, and would find in here what they must not see there? */
    snprintf(revoke, sizeof(revoke),
             "REVOKE ALL ON DATABASE %s FROM PUBLIC; GRANT ALL ON DATABASE %s TO CURRENT_USER",
             name, name);
    ok = ok && target_session_run(session, revoke, err);
    /* insufficient_privilege */
    if (!ok && strcmp(session->sqlstate, "42501") == 0) {
        err->kind = ERROR_CONFIG;
        error_hint(err, "it gets the owner and the tablespace of the one that it is to replace");
    }
    return ok;
}

bool scratch_database_create(struct session *session, const struct scratch_options *options,
                             char name[SCRATCH_NAME_SIZE], struct error *err)
{
    return (scratch_database_reserve(session, options->kind, name, err) &&
            create(session, options, name, err)) ||
           error_prefix(err, "creating the database %s", name);
}

static bool drop(struct session *session, const char *name, struct error *err)
{
    char sql[SCRATCH_NAME_SIZE + 64];
    const char *values[] = {name};
    PGresult *result = query_run(
        session, "SELECT datistemplate FROM pg_database WHERE datname = $1::name", 1, values, err);

    if (result == NULL) {
        return false;
    }
    bool is_template = PQntuples(result) == 1 && query_bool(result, 0, 0);
    PQclear(result);
    snprintf(sql, sizeof(sql), "ALTER DATABASE %s IS_TEMPLATE false", name);
    if (is_template && !target_session_run(session, sql, err)) {
        return false;
    }
    snprintf(sql, sizeof(sql), "DROP DATABASE IF EXISTS %s WITH (FORCE)", name);
    return run_long(session, sql, err);
}

bool scratch_database_drop(struct session *session, const char *name, struct error *err)
{
    if (!scratch_database_is_name(name)) {
        return error_set(err, ERROR_FAILED, "%s is not a scratch database", name);
    }
    if (!query_settle(session, err) || !drop(session, name, err)) {
        error_prefix(err, "dropping the database %s", name);
        return error_hint(err, "the next restore or verify tries again, or: DROP DATABASE %s",
                          name);
    }
    unlock(session, name);
    return true;
}

void scratch_database_clean_up(struct session *session, const char *name)
{
    struct error problem = ERROR_INIT;

    session_ignore_stop(session);
    if (!scratch_database_drop(session, name, &problem)) {
        log_warning("scratch_not_dropped",
                    "Scratch database %s stays until the next restore or verification: %s", name,
                    problem.text);
    }
}

/* Of one that stays, or whose run is alive, *dropped is false. */
static bool remove_orphan(struct session *session, const char *name, bool ours, bool *dropped,
                          struct error *err)
{
    struct error why = ERROR_INIT;
    bool taken = false;

    *dropped = false;
    if (!lock(session, name, &taken, err)) {
        return false;
    }
    if (!taken) {
        return true;
    }
    if (!ours) {
        log_warning("scratch_left",
                    "Database %s was left by a restore that died, and belongs to another role: its"
                    " owner or a superuser can drop it",
                    name);
    } else if (drop(session, name, &why)) {
        *dropped = true;
    } else if (why.kind == ERROR_STOPPED || !session_is_alive(session)) {
        *err = why;
        return error_prefix(err, "dropping the database %s, which a restore that died has left",
                            name);
    } else {
        log_warning("scratch_left",
                    "Database %s was left by a restore that died, and cannot be dropped: %s", name,
                    why.text);
    }
    unlock(session, name);
    return true;
}

bool scratch_database_remove_orphans(struct session *session, size_t *count, struct error *err)
{
    size_t removed = 0;
    bool ok = true;
    PGresult *result =
        query_run(session,
                  "SELECT datname, pg_has_role(datdba, 'USAGE') FROM pg_database"
                  " WHERE datname ~ '^rythm_(restore|verify|replaced)_[0-9a-f]{16}$' ORDER BY 1",
                  0, NULL, err);

    if (result == NULL) {
        return error_prefix(err, "looking for databases that a restore has left");
    }
    for (int row = 0; ok && row < PQntuples(result); row++) {
        const char *name = PQgetvalue(result, row, 0);
        bool dropped = false;
        ok = !scratch_database_is_name(name) ||
             remove_orphan(session, name, query_bool(result, row, 1), &dropped, err);
        removed += dropped;
    }
    PQclear(result);
    *count = removed;
    return ok;
}

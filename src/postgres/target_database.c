#include "postgres/target_database.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/wait.h"
#include "postgres/query.h"

/* A session that has been closed is still there for a moment, ours of before, too. */
#define LEAVING_MS      ((int64_t)2000)
#define LEAVING_STEP_MS ((int64_t)50)

bool target_database_describe(struct session *session, const char *name,
                              struct target_database *out, struct error *err)
{
    const char *values[] = {name};
    PGresult *result = query_run(session,
                                 "SELECT oid, pg_encoding_to_char(encoding) FROM pg_database"
                                 " WHERE datname = $1::name",
                                 1, values, err);

    if (result == NULL) {
        return error_prefix(err, "looking at database %s", name);
    }
    *out = (struct target_database){.exists = PQntuples(result) == 1};
    if (out->exists) {
        out->oid = query_number(result, 0, 0);
        query_copy(result, 0, 1, out->encoding, sizeof(out->encoding));
    }
    PQclear(result);
    return true;
}

bool target_database_lock_table(struct session *session, const char *schema, const char *name,
                                struct error *err)
{
    char *quoted_schema = PQescapeIdentifier(session->connection, schema, strlen(schema));
    char *quoted_name = PQescapeIdentifier(session->connection, name, strlen(name));
    struct text sql = TEXT_INIT(4096);

    text_appendf(&sql, "LOCK TABLE ONLY %s.%s IN SHARE ROW EXCLUSIVE MODE",
                 quoted_schema != NULL ? quoted_schema : "",
                 quoted_name != NULL ? quoted_name : "");
    bool ok = quoted_schema != NULL && quoted_name != NULL && !sql.failed
                  ? query_script(session, text_string(&sql), err)
                  : error_set_memory(err);
    PQfreemem(quoted_schema);
    PQfreemem(quoted_name);
    text_clear(&sql);
    return ok || error_prefix(err, "locking it");
}

/* The server ends its own autovacuum workers when they are in the way. */
static const char users_query[] =
    "SELECT pid, coalesce(nullif(application_name, ''), backend_type, '?'), coalesce(usename, '?')"
    " FROM pg_stat_activity WHERE datname = $1::name AND pid <> pg_backend_pid()"
    " AND backend_type IS DISTINCT FROM 'autovacuum worker' ORDER BY backend_start LIMIT 1";

static bool find_user(struct session *session, const char *name, bool *found, struct error *err)
{
    const char *values[] = {name};
    PGresult *result = query_run(session, users_query, 1, values, err);

    if (result == NULL) {
        return error_prefix(err, "asking who is connected to database %s", name);
    }
    *found = PQntuples(result) > 0;
    if (*found) {
        const char *pid = PQgetvalue(result, 0, 0);
        error_set(err, ERROR_CONFIG, "database %s is in use, by process %s (%s, user %s)", name,
                  pid, PQgetvalue(result, 0, 1), PQgetvalue(result, 0, 2));
        err->retryable = true;
        error_hint(err,
                   "stop what is connected to it, or end the session with"
                   " SELECT pg_terminate_backend(%s), and try again",
                   pid);
    }
    PQclear(result);
    return true;
}

static bool nap(const struct session *session, int64_t duration_ms, struct error *err)
{
    struct deadline deadline =
        session->ignore_stop ? deadline_cleanup_in_ms(duration_ms) : deadline_in_ms(duration_ms);

    return wait_until(&deadline, err);
}

bool target_database_check_unused(struct session *session, const char *name, struct error *err)
{
    bool used = true;

    for (int64_t waited_ms = 0; used; waited_ms += LEAVING_STEP_MS) {
        struct error user = ERROR_INIT;
        if (!find_user(session, name, &used, &user) || (used && waited_ms >= LEAVING_MS)) {
            *err = user;
            return false;
        }
        if (used && !nap(session, LEAVING_STEP_MS, err)) {
            return false;
        }
    }
    return true;
}

/* What initdb makes has an oid below 16384 (FirstNormalObjectId). An extension's members are not
 * named before the extension, and temporary objects are of no account. */
#define NORMAL(catalog, more)                                                                      \
    " UNION ALL SELECT '" catalog "'::regclass, oid FROM " catalog " WHERE oid >= 16384" more
#define IN_SCHEMA(column)                                                                          \
    " AND " column " NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_')"

static const char objects_query[] =
    "SELECT i.type, i.identity FROM (SELECT 'pg_extension'::regclass::oid, oid FROM pg_extension"
    " WHERE oid >= 16384 AND extname <> 'plpgsql'"
    " UNION ALL SELECT 'pg_largeobject'::regclass, oid FROM pg_largeobject_metadata"
    /* clang-format off */
    NORMAL("pg_namespace", " AND nspname !~ '^pg_' AND nspname <> 'public'")
    NORMAL("pg_class", " AND relkind NOT IN ('i', 'I', 't', 'c')" IN_SCHEMA("relnamespace"))
    NORMAL("pg_proc", IN_SCHEMA("pronamespace"))
    NORMAL("pg_type", " AND oid NOT IN (SELECT typarray FROM pg_type)" IN_SCHEMA("typnamespace"))
    NORMAL("pg_operator", IN_SCHEMA("oprnamespace"))
    NORMAL("pg_opfamily", IN_SCHEMA("opfnamespace"))
    NORMAL("pg_opclass", IN_SCHEMA("opcnamespace"))
    NORMAL("pg_collation", IN_SCHEMA("collnamespace"))
    NORMAL("pg_conversion", IN_SCHEMA("connamespace"))
    NORMAL("pg_ts_config", IN_SCHEMA("cfgnamespace"))
    NORMAL("pg_ts_dict", IN_SCHEMA("dictnamespace"))
    NORMAL("pg_ts_parser", IN_SCHEMA("prsnamespace"))
    NORMAL("pg_ts_template", IN_SCHEMA("tmplnamespace"))
    NORMAL("pg_am", "")
    NORMAL("pg_cast", "")
    NORMAL("pg_language", "")
    NORMAL("pg_transform", "")
    NORMAL("pg_foreign_data_wrapper", "")
    NORMAL("pg_foreign_server", "")
    NORMAL("pg_event_trigger", "")
    NORMAL("pg_publication", "")
    NORMAL("pg_default_acl", "")
    " UNION ALL SELECT 'pg_subscription'::regclass, s.oid FROM pg_subscription s"
    " JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = current_database()"
                                        /* clang-format on */
                                        ") o (class, object), LATERAL pg_identify_object(o.class, "
                                        "o.object, 0) i"
                                        " WHERE i.type IS NOT NULL AND NOT EXISTS (SELECT FROM "
                                        "pg_depend d WHERE d.classid = o.class"
                                        " AND d.objid = o.object AND d.deptype = 'e') LIMIT 1";

bool target_database_find_object(struct session *session, char *out, size_t size, struct error *err)
{
    PGresult *result = query_run(session, objects_query, 0, NULL, err);

    if (result == NULL) {
        return error_prefix(err, "looking whether the database is empty");
    }
    out[0] = '\0';
    if (PQntuples(result) == 1) {
        snprintf(out, size, "%s %s", PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1));
        text_cut_utf8(out);
    }
    PQclear(result);
    return true;
}

bool target_database_has_no_row(struct session *session, const char *table, bool *empty,
                                struct error *err)
{
    struct text sql = TEXT_INIT(4096);
    PGresult *result = NULL;

    text_appendf(&sql, "SELECT NOT EXISTS (SELECT FROM %s)", table);
    if (sql.failed) {
        error_set_memory(err);
    } else {
        result = query_run(session, text_string(&sql), 0, NULL, err);
    }
    text_clear(&sql);
    if (result == NULL) {
        return error_prefix(err, "looking whether table %s is empty", table);
    }
    *empty = query_bool(result, 0, 0);
    PQclear(result);
    return true;
}

bool target_database_table_state(struct session *session, const char *schema, const char *name,
                                 bool *exists, bool *empty, struct error *err)
{
    const char *values[] = {schema, name};
    PGresult *result =
        query_run(session,
                  "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname),"
                  " c.relkind IN ('r', 'p') FROM pg_class c JOIN pg_namespace n"
                  " ON n.oid = c.relnamespace WHERE n.nspname = $1::name AND c.relname = $2::name",
                  2, values, err);

    if (result == NULL) {
        return error_prefix(err, "looking for it");
    }
    bool found = PQntuples(result) == 1;
    bool none = true;
    bool ok = true;
    if (found && !query_bool(result, 0, 1)) {
        ok = error_set(err, ERROR_CONFIG, "%s is there, but is not a table",
                       PQgetvalue(result, 0, 0));
    } else if (found) {
        ok = target_database_has_no_row(session, PQgetvalue(result, 0, 0), &none, err);
    }
    PQclear(result);
    if (ok) {
        *exists = found;
        *empty = none;
    }
    return ok;
}

#include "postgres/cluster_roles.h"

#include "postgres/query.h"
#include "postgres/setting_value.h"

#define READING "reading the server's roles"

#define IS(column, word) "CASE WHEN " column " THEN '" word "' ELSE 'NO" word "' END, "

/* Instants are written in UTC whatever the session's zone is. */
#define ROLES(table, password)                                                                     \
    "WITH r AS (SELECT oid, rolname, concat_ws(' ', " IS("rolsuper", "SUPERUSER") IS(              \
        "rolinherit", "INHERIT") IS("rolcreaterole", "CREATEROLE") IS("rolcreatedb", "CREATEDB")   \
        IS("rolcanlogin", "LOGIN") IS("rolreplication", "REPLICATION") IS(                         \
            "rolbypassrls",                                                                        \
            "BYPASSRLS") "CASE WHEN rolconnlimit <> -1 THEN"                                       \
                         " 'CONNECTION LIMIT ' || rolconnlimit END, 'VALID UNTIL ' || "            \
                         "quote_literal(CASE WHEN"                                                 \
                         " isfinite(rolvaliduntil) THEN to_char(rolvaliduntil AT TIME ZONE 'UTC'," \
                         " 'YYYY-MM-DD HH24:MI:SS.US') || '+00' ELSE rolvaliduntil::text "         \
                         "END), " password ") AS attributes FROM " table                           \
                         " WHERE rolname !~ '^pg_')"

#define COMMENTS                                                                                   \
    "SELECT 2, rolname, format('COMMENT ON ROLE %I IS %L', rolname, d.text)"                       \
    " FROM r, LATERAL (SELECT shobj_description(oid, 'pg_authid')) d (text)"                       \
    " WHERE d.text IS NOT NULL"

#define SETTINGS                                                                                   \
    "SELECT 3, rolname, format('ALTER ROLE %I SET %I TO ', rolname, c.name) "                      \
    "|| " SETTING_VALUE_OF_C                                                                       \
    " FROM r JOIN pg_db_role_setting s ON s.setrole = r.oid AND s.setdatabase = 0,"                \
    " unnest(s.setconfig) u (pair), LATERAL (SELECT split_part(u.pair, '=', 1),"                   \
    " substr(u.pair, strpos(u.pair, '=') + 1)) c (name, value)"

/* Before version 16 there are two of these options less (as JSON: a column may be missing). Who
 * granted a membership is not kept. */
#define MEMBERSHIPS                                                                                \
    "SELECT 4, r.rolname, format('GRANT %I TO %I', g.rolname, r.rolname) || CASE WHEN"             \
    " bool_or(o.options ? 'set_option') THEN format(' WITH ADMIN %s, INHERIT %s, SET %s',"         \
    " bool_or(m.admin_option)::text, bool_or((o.options->>'inherit_option')::boolean)::text,"      \
    " bool_or((o.options->>'set_option')::boolean)::text)"                                         \
    " WHEN bool_or(m.admin_option) THEN ' WITH ADMIN OPTION' ELSE '' END"                          \
    " FROM pg_auth_members m JOIN r ON r.oid = m.member JOIN pg_roles g ON g.oid = m.roleid,"      \
    " LATERAL (SELECT to_jsonb(m)) o (options) GROUP BY r.rolname, g.rolname"

#define QUERY(table, password)                                                                     \
    ROLES(table, password)                                                                         \
    " SELECT step, role, sql FROM (SELECT 1, rolname, format('CREATE ROLE %I WITH %s', rolname,"   \
    " attributes) FROM r UNION ALL " COMMENTS " UNION ALL " SETTINGS " UNION ALL " MEMBERSHIPS     \
    ") s (step, role, sql) ORDER BY step, role COLLATE \"C\", sql COLLATE \"C\""

static const char without_passwords[] = QUERY("pg_roles", "NULL");
static const char with_passwords[] =
    QUERY("pg_authid", "'PASSWORD ' || quote_literal(rolpassword)");

bool cluster_roles_check_passwords(struct session *session, struct error *err)
{
    PGresult *result =
        query_run(session,
                  "SELECT has_column_privilege('pg_catalog.pg_authid', 'rolpassword', 'SELECT'),"
                  " current_user",
                  0, NULL, err);

    if (result == NULL) {
        return error_prefix(err, READING);
    }
    bool may = query_bool(result, 0, 0);
    if (!may) {
        error_set(err, ERROR_CONFIG, READING ": %s may not read their passwords (pg_authid)",
                  query_text(result, 0, 1));
        error_hint(err, "superusers and members of pg_read_all_data may; set "
                        "RYTHM_BACKUP_GLOBALS=yes for the roles without them");
    }
    PQclear(result);
    return may;
}

bool cluster_roles_read(struct session *session, bool passwords, cluster_roles_sink sink,
                        void *context, struct error *err)
{
    PGresult *result =
        query_run(session, passwords ? with_passwords : without_passwords, 0, NULL, err);

    if (result == NULL) {
        return error_prefix(err, READING);
    }
    bool ok = true;
    for (int row = 0; ok && row < PQntuples(result); row++) {
        ok = sink(context, PQgetvalue(result, row, 0), PQgetvalue(result, row, 1),
                  PQgetvalue(result, row, 2), err);
    }
    PQclear(result);
    return ok;
}

#include "postgres/database_properties.h"

#include "postgres/query.h"
#include "postgres/setting_value.h"
#include "postgres/target_session.h"

/* $1: from, $2: to. Columns: what it is, and the statement. */

#define WHO "CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END"

#define REVOKES                                                                                    \
    "SELECT DISTINCT 1, 'access list', format('REVOKE ALL ON DATABASE %I FROM %s CASCADE', $2,"    \
    " " WHO ") FROM t, aclexplode(coalesce(t.datacl, acldefault('d', t.datdba))) a"

/* Who granted what to whom is not kept: all is the owner's grant. */
#define GRANTS                                                                                     \
    "SELECT 2, 'access list', format('GRANT %s ON DATABASE %I TO %s%s', a.privilege_type, $2,"     \
    " " WHO ", CASE WHEN bool_or(a.is_grantable) AND a.grantee NOT IN (0, t.datdba)"               \
    " THEN ' WITH GRANT OPTION' END) FROM t LEFT JOIN f ON true,"                                  \
    " aclexplode(coalesce(f.datacl, acldefault('d', t.datdba))) a"                                 \
    " GROUP BY a.privilege_type, a.grantee, t.datdba"

#define OPTIONS                                                                                    \
    "SELECT 3, 'options', format('ALTER DATABASE %I ALLOW_CONNECTIONS %s CONNECTION LIMIT %s"      \
    " IS_TEMPLATE %s', $2, coalesce(f.datallowconn, true)::text,"                                  \
    " greatest(coalesce(f.datconnlimit, -1), -1), coalesce(f.datistemplate, false)::text)"         \
    " FROM t LEFT JOIN f ON true"

#define COMMENT                                                                                    \
    "SELECT 4, 'comment', format('COMMENT ON DATABASE %I IS %L', $2, description)"                 \
    " FROM f JOIN pg_shdescription ON objoid = f.oid AND classoid = 'pg_database'::regclass"

#define LABELS                                                                                     \
    "SELECT 5, 'security label of ' || provider, format('SECURITY LABEL FOR %I ON DATABASE %I"     \
    " IS %L', provider, $2, label)"                                                                \
    " FROM f JOIN pg_shseclabel ON objoid = f.oid AND classoid = 'pg_database'::regclass"

#define SETTINGS                                                                                   \
    "SELECT 6, 'setting ' || c.name || CASE s.setrole WHEN 0 THEN '' ELSE ' of role '"             \
    " || quote_ident(pg_get_userbyid(s.setrole)) END, CASE s.setrole WHEN 0 THEN"                  \
    " format('ALTER DATABASE %I', $2) ELSE format('ALTER ROLE %I IN DATABASE %I',"                 \
    " pg_get_userbyid(s.setrole), $2) END || format(' SET %I TO ', c.name) || " SETTING_VALUE_OF_C \
    " FROM f JOIN pg_db_role_setting s ON s.setdatabase = f.oid, unnest(s.setconfig) u (pair),"    \
    " LATERAL (SELECT split_part(u.pair, '=', 1), substr(u.pair, strpos(u.pair, '=') + 1))"        \
    " c (name, value)"

static const char query[] =
    "WITH f AS MATERIALIZED (SELECT * FROM pg_database WHERE datname = $1::name),"
    " t AS MATERIALIZED (SELECT * FROM pg_database WHERE datname = $2::name),"
    " statements (number, what, sql) AS (" REVOKES " UNION ALL " GRANTS " UNION ALL " OPTIONS
    " UNION ALL " COMMENT " UNION ALL " LABELS " UNION ALL " SETTINGS ")"
    " SELECT what, sql FROM statements ORDER BY number, sql";

bool database_properties_copy(struct session *session, const char *from, const char *to,
                              struct error *err)
{
    const char *values[] = {from, to};
    PGresult *result = query_run(session, query, 2, values, err);
    bool ok = result != NULL;

    if (!ok) {
        return error_prefix(err, "reading the properties of database %s", from);
    }
    for (int row = 0; ok && row < PQntuples(result); row++) {
        ok = target_session_run(session, PQgetvalue(result, row, 1), err) ||
             error_prefix(err, "giving the restored database the %s of %s",
                          PQgetvalue(result, row, 0), from);
    }
    PQclear(result);
    return ok;
}

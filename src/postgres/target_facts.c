#include "postgres/target_facts.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "postgres/query.h"
#include "postgres/target_session.h"

#define ROLES_SQL_CAP ((size_t)16 * 1024 * 1024)

#define MISSING(catalog, column)                                                                   \
    "SELECT coalesce(array_agg(n.name ORDER BY n.number), '{}')"                                   \
    " FROM unnest($1::text[]) WITH ORDINALITY AS n (name, number)"                                 \
    " WHERE NOT EXISTS (SELECT FROM " catalog " c WHERE c." column "::text = n.name)"

static const struct {
    const char *noun;
    const char *query;
} needs[] = {
    [TARGET_ROLE] = {"roles", MISSING("pg_roles", "rolname")},
    [TARGET_EXTENSION] = {"extensions", MISSING("pg_available_extensions", "name")},
    [TARGET_TABLESPACE] = {"tablespaces", MISSING("pg_tablespace", "spcname")},
};

bool target_facts_find_missing(struct session *session, enum target_need need, char *const *names,
                               char ***missing, struct error *err)
{
    char *list = NULL;

    if (!query_format_array(names, &list, err)) {
        return false;
    }
    const char *values[] = {list};
    PGresult *result = query_run(session, needs[need].query, 1, values, err);
    bool ok = result != NULL && query_copy_array(result, 0, 0, missing, err);
    PQclear(result);
    free(list);
    return ok || error_prefix(err, "looking which %s the server has", needs[need].noun);
}

bool target_facts_create_roles(struct session *session, char *const *names, struct error *err)
{
    struct text sql = TEXT_INIT(ROLES_SQL_CAP);
    bool ok = true;

    for (size_t i = 0; ok && names[i] != NULL; i++) {
        char *name = PQescapeIdentifier(session->connection, names[i], strlen(names[i]));
        ok = name != NULL;
        text_appendf(&sql, "CREATE ROLE %s NOLOGIN;", ok ? name : "");
        PQfreemem(name);
    }
    ok = ok && !sql.failed ? target_session_run(session, text_string(&sql), err)
                           : error_set_memory(err);
    text_clear(&sql);
    if (!ok) {
        error_prefix(err, "creating the roles that the backup names");
        /* insufficient_privilege */
        if (strcmp(session->sqlstate, "42501") == 0) {
            error_hint(err, "a superuser, or a role with CREATEROLE, can create them");
        }
    }
    return ok;
}

bool target_facts_is_older(const struct session *session, const char *version)
{
    /* "15.20", "18beta1" */
    long major = strtol(version, NULL, 10);

    return PQserverVersion(session->connection) / 10000 < major;
}

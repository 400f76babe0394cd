#include "postgres/sequences.h"

#include <stdlib.h>

#include "base/text.h"
#include "postgres/query.h"
#include "postgres/server_version.h"

/* In one query. */
#define SEQUENCES_AT_ONCE 200
#define SQL_CAP           ((size_t)1024 * 1024)

static const char names_query[] =
    "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.oid"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid"
    " AND d.objsubid = 0 AND d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass"
    " LEFT JOIN pg_extension x ON x.oid = d.refobjid AND c.oid = ANY (x.extconfig)"
    " WHERE c.relkind = 'S' AND c.relpersistence <> 't'"
    " AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery())"
    " AND (x.oid IS NOT NULL OR d.objid IS NULL"
    " AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')"
    " AND ($1::text[] IS NULL OR n.nspname = ANY ($1::text[]))"
    " ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"";

/* Some of the names: one query for all of their values. */
static void format_values_query(struct text *sql, const struct session *session,
                                const PGresult *names, int first, int count)
{
    bool by_function =
        server_version_has(PQserverVersion(session->connection), SERVER_SEQUENCE_DATA);

    for (int i = 0; i < count; i++) {
        text_append(sql, i > 0 ? " UNION ALL " : "");
        if (by_function) {
            text_appendf(sql, "SELECT %d, last_value, is_called FROM pg_get_sequence_data(%s)", i,
                         PQgetvalue(names, first + i, 1));
        } else {
            text_appendf(sql, "SELECT %d, last_value, is_called FROM %s", i,
                         PQgetvalue(names, first + i, 0));
        }
    }
    text_append(sql, " ORDER BY 1");
}

static bool read_some(struct session *session, const PGresult *names, int first, int count,
                      sequence_sink sink, void *context, struct error *err)
{
    struct text sql = TEXT_INIT(SQL_CAP);
    PGresult *values = NULL;

    format_values_query(&sql, session, names, first, count);
    if (sql.failed) {
        error_set_memory(err);
    } else {
        values = query_run(session, text_string(&sql), 0, NULL, err);
    }
    text_clear(&sql);
    if (values == NULL) {
        return false;
    }
    bool ok = PQntuples(values) == count ||
              error_set(err, ERROR_FAILED, "%d sequences gave %d values", count, PQntuples(values));
    for (int i = 0; ok && i < count; i++) {
        const char *last_value = query_text(values, i, 1);
        /* NULL, with pg_get_sequence_data(): not ours to read. */
        ok = last_value != NULL
                 ? sink(context, PQgetvalue(names, first + i, 0), last_value,
                        query_bool(values, i, 2), err)
                 : error_set(err, ERROR_CONFIG, "sequence %s cannot be read by this role",
                             PQgetvalue(names, first + i, 0));
    }
    PQclear(values);
    return ok;
}

bool sequences_read(struct session *session, char *const *schemas, sequence_sink sink,
                    void *context, struct error *err)
{
    char *list = NULL;

    if (schemas != NULL && !query_format_array(schemas, &list, err)) {
        return false;
    }
    const char *parameters[] = {list};
    PGresult *names = query_run(session, names_query, 1, parameters, err);
    free(list);
    bool ok = names != NULL;
    for (int first = 0; ok && first < PQntuples(names); first += SEQUENCES_AT_ONCE) {
        int left = PQntuples(names) - first;
        ok = read_some(session, names, first, left < SEQUENCES_AT_ONCE ? left : SEQUENCES_AT_ONCE,
                       sink, context, err);
    }
    PQclear(names);
    return ok ? true : error_prefix(err, "reading the sequences");
}

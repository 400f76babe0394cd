#include "postgres/sequences.h"

#include <stdlib.h>

#include "base/text.h"
#include "postgres/chosen_tables.h"
#include "postgres/query.h"
#include "postgres/server_version.h"

/* In one query. */
#define SEQUENCES_AT_ONCE 200
#define SQL_CAP           ((size_t)1024 * 1024)

/* What goes with a table (a serial's sequence goes with its table, an identity's also stays with
 * it) is judged by the table: pg_dump, getOwnedSeqs(). $5: those of which nothing is told. */
static const char names_query[] =
    "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.oid"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid"
    " AND d.objsubid = 0 AND d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass"
    " LEFT JOIN pg_extension x ON x.oid = d.refobjid AND c.oid = ANY (x.extconfig)"
    " LEFT JOIN (SELECT w.objid, w.deptype, " CHOSEN_TABLES_CONDITION(
        "t.oid",
        "tn.nspname") " AS chosen FROM pg_depend w JOIN pg_class t ON t.oid = w.refobjid"
                      " JOIN pg_namespace tn ON tn.oid = t.relnamespace WHERE w.classid = "
                      "'pg_class'::regclass"
                      " AND w.objsubid = 0 AND w.refclassid = 'pg_class'::regclass AND w.deptype "
                      "IN ('a', 'i')"
                      " AND t.relkind <> 'S') o ON o.objid = c.oid"
                      " WHERE c.relkind = 'S' AND c.relpersistence <> 't'"
                      " AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery())"
                      " AND (x.oid IS NOT NULL OR d.objid IS NULL"
                      " AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')"
                      " AND ($2::boolean OR o.chosen OR o.deptype IS DISTINCT FROM 'i' "
                      "AND " CHOSEN_TABLES_CONDITION(
                          "c.oid",
                          "n.nspname") ")"
                                       " AND ($5::oid[] IS NULL OR c.oid NOT IN (SELECT "
                                       "unnest($5::oid[])))"
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

bool sequences_read(struct session *session, const struct scope *scope, sequence_sink sink,
                    void *context, struct error *err)
{
    struct chosen_tables chosen;

    if (!chosen_tables_find(session, scope, &chosen, err)) {
        return error_prefix(err, "reading the sequences");
    }
    const char *parameters[] = {chosen.schemas, scope_is_whole(scope) ? "true" : "false",
                                chosen.oids[SCOPE_TABLES], chosen.oids[SCOPE_EXCLUDED_TABLES],
                                chosen.oids[SCOPE_EXCLUDED_DATA]};
    PGresult *names = query_run(session, names_query, 5, parameters, err);
    chosen_tables_clear(&chosen);
    bool ok = names != NULL;
    for (int first = 0; ok && first < PQntuples(names); first += SEQUENCES_AT_ONCE) {
        int left = PQntuples(names) - first;
        ok = read_some(session, names, first, left < SEQUENCES_AT_ONCE ? left : SEQUENCES_AT_ONCE,
                       sink, context, err);
    }
    PQclear(names);
    return ok ? true : error_prefix(err, "reading the sequences");
}

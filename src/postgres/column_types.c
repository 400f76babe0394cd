#include "postgres/column_types.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "postgres/query.h"

#define LOOKING "looking at the columns"

/* pg_type.dat */
#define TEXT_OID 25
/* FirstNormalObjectId: types that a database has made come from here on. */
#define FIRST_OWN_OID 16384

/* Whether all columns of the table can be received, and, a row for each, which types are enums. */
static const char facts_query[] =
    "SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t"
    " ON t.oid = a.atttypid WHERE a.attrelid = $1::oid AND a.attnum > 0::smallint"
    " AND NOT a.attisdropped AND t.typreceive = 0::oid), e.oid FROM (SELECT) one"
    " LEFT JOIN pg_catalog.pg_type e ON e.oid = ANY ($2::oid[]) AND e.typtype = 'e'::\"char\"";

/* As an array literal: the types that are the database's own. */
static bool list_own(const uint32_t *types, size_t count, struct text *out, struct error *err)
{
    const char *comma = "";

    text_append(out, "{");
    for (size_t i = 0; i < count; i++) {
        if (types[i] >= FIRST_OWN_OID) {
            text_appendf(out, "%s%u", comma, types[i]);
            comma = ",";
        }
    }
    text_append(out, "}");
    return !out->failed || error_set_memory(err);
}

static void replace_enums(const PGresult *facts, uint32_t *types, size_t count)
{
    for (int row = 0; row < PQntuples(facts); row++) {
        for (size_t i = 0; i < count; i++) {
            types[i] = types[i] == query_number(facts, row, 1) ? TEXT_OID : types[i];
        }
    }
}

/* *count is 0 afterwards where there can be no binary COPY. */
static bool look_up(struct session *session, uint32_t table, uint32_t *types, size_t *count,
                    struct error *err)
{
    /* ten digits and a comma, and the braces */
    struct text own = TEXT_INIT(11 * *count + 2);
    char oid[11];
    const char *values[] = {oid, NULL};
    PGresult *facts = NULL;

    snprintf(oid, sizeof(oid), "%" PRIu32, table);
    if (list_own(types, *count, &own, err)) {
        values[1] = text_string(&own);
        facts = query_run(session, facts_query, 2, values, err);
    }
    bool ok = facts != NULL;
    if (ok && query_bool(facts, 0, 0)) {
        replace_enums(facts, types, *count);
    } else {
        *count = 0;
    }
    PQclear(facts);
    text_clear(&own);
    return ok;
}

static bool copy_types(const PGresult *description, uint32_t **types, size_t *count,
                       struct error *err)
{
    *count = (size_t)PQnfields(description);
    *types = calloc(*count + 1, sizeof(**types));
    if (*types == NULL) {
        return error_set_memory(err);
    }
    for (size_t i = 0; i < *count; i++) {
        (*types)[i] = PQftype(description, (int)i);
    }
    return true;
}

/* The session is as good as before. */
static bool is_refused(struct session *session, struct error *err)
{
    bool refused =
        session->sqlstate[0] != '\0' && PQtransactionStatus(session->connection) == PQTRANS_IDLE;

    if (refused) {
        session->sqlstate[0] = '\0';
        error_clear(err);
    }
    return refused;
}

bool column_types_read(struct session *session, const char *query, uint32_t **types, size_t *count,
                       struct error *err)
{
    PGresult *description = query_describe(session, query, err);

    *types = NULL;
    *count = 0;
    if (description == NULL) {
        return is_refused(session, err) || error_prefix(err, LOOKING);
    }
    uint32_t table = PQftable(description, 0);
    bool ok = copy_types(description, types, count, err);
    PQclear(description);
    if (ok && look_up(session, table, *types, count, err)) {
        return true;
    }
    free(*types);
    *types = NULL;
    *count = 0;
    return error_prefix(err, LOOKING);
}

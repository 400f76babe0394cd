#include "postgres/column_types.h"

#include <stdlib.h>

#include "postgres/query.h"

#define LOOKING "looking at the columns"

/* pg_type.dat */
#define TEXT_OID 25
/* FirstNormalObjectId: types that a database has made come from here on. */
#define FIRST_OWN_OID 16384

/* Those of the array that are enums. */
static const char enums_query[] =
    "SELECT t.oid FROM pg_catalog.pg_type t WHERE t.oid = ANY ($1::oid[]) AND t.typtype = 'e'";

/* As an array literal: the types that are the database's own. */
static bool list_own(const uint32_t *types, size_t count, struct text *out, bool *any,
                     struct error *err)
{
    *any = false;
    text_append(out, "{");
    for (size_t i = 0; i < count; i++) {
        if (types[i] >= FIRST_OWN_OID) {
            text_appendf(out, "%s%u", *any ? "," : "", types[i]);
            *any = true;
        }
    }
    text_append(out, "}");
    return !out->failed || error_set_memory(err);
}

static void replace_enums(const PGresult *enums, uint32_t *types, size_t count)
{
    for (int row = 0; row < PQntuples(enums); row++) {
        for (size_t i = 0; i < count; i++) {
            types[i] = types[i] == query_number(enums, row, 0) ? TEXT_OID : types[i];
        }
    }
}

static bool find_enums(struct session *session, uint32_t *types, size_t count, struct error *err)
{
    /* ten digits and a comma, and the braces */
    struct text list = TEXT_INIT(11 * count + 2);
    bool any = false;
    bool ok = list_own(types, count, &list, &any, err);

    if (ok && any) {
        const char *values[] = {text_string(&list)};
        PGresult *enums = query_run(session, enums_query, 1, values, err);
        ok = enums != NULL;
        if (ok) {
            replace_enums(enums, types, count);
        }
        PQclear(enums);
    }
    text_clear(&list);
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
static bool is_refused(const struct session *session, struct error *err)
{
    bool refused =
        session->sqlstate[0] != '\0' && PQtransactionStatus(session->connection) == PQTRANS_IDLE;

    if (refused) {
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
    bool ok = copy_types(description, types, count, err);
    PQclear(description);
    if (ok && find_enums(session, *types, *count, err)) {
        return true;
    }
    free(*types);
    *types = NULL;
    return error_prefix(err, LOOKING);
}

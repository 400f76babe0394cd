#include "postgres/schema_names.h"

#include <stdlib.h>

#include "postgres/query.h"

/* In hex, so that they are not converted back on their way here. */
static const char convert_query[] =
    "SELECT array_agg(encode(convert(convert_to(n.name, 'UTF8'), 'UTF8', $2::name), 'hex')"
    " ORDER BY n.number) FROM unnest($1::text[]) WITH ORDINALITY AS n (name, number)";

bool schema_names_convert(struct session *session, char *const *names, const char *encoding,
                          char ***out, struct error *err)
{
    char *list = NULL;

    *out = NULL;
    if (!query_format_array(names, &list, err)) {
        return false;
    }
    const char *values[] = {list, encoding};
    PGresult *result = query_run(session, convert_query, 2, values, err);
    free(list);
    bool ok = result != NULL && query_copy_array(result, 0, 0, out, err);
    PQclear(result);
    for (size_t i = 0; ok && *out != NULL && (*out)[i] != NULL; i++) {
        query_decode_hex((*out)[i]);
    }
    return ok || error_prefix(err, "writing names in the encoding %s", encoding);
}

bool schema_names_encode(struct session *session, char *const *names, char ***out,
                         struct error *err)
{
    struct server_facts server;

    *out = NULL;
    if (query_is_utf8(session) || query_is_sql_ascii(session)) {
        return true;
    }
    session_facts(session, &server);
    return schema_names_convert(session, names, server.encoding, out, err);
}

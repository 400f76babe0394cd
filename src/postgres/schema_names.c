#include "postgres/schema_names.h"

#include <stdlib.h>

#include "postgres/query.h"

/* In hex, so that they are not converted back on their way here. */
static const char encode_query[] =
    "SELECT array_agg(encode(convert_to(n.name, current_setting('server_encoding')), 'hex')"
    " ORDER BY n.number) FROM unnest($1::text[]) WITH ORDINALITY AS n (name, number)";

bool schema_names_encode(struct session *session, char *const *names, char ***out,
                         struct error *err)
{
    char *list = NULL;

    *out = NULL;
    if (query_is_utf8(session) || query_is_sql_ascii(session)) {
        return true;
    }
    if (!query_format_array(names, &list, err)) {
        return false;
    }
    const char *values[] = {list};
    PGresult *result = query_run(session, encode_query, 1, values, err);
    free(list);
    if (result == NULL) {
        return error_prefix(err, "writing the schemas' names in the database's encoding");
    }
    bool ok = query_copy_array(result, 0, 0, out, err);
    PQclear(result);
    for (size_t i = 0; ok && *out != NULL && (*out)[i] != NULL; i++) {
        query_decode_hex((*out)[i]);
    }
    return ok;
}

#include "postgres/large_objects.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "postgres/query.h"

#define NUMBER_SIZE 24
/* Oids listed at a time, however many a part has. */
#define OIDS_AT_ONCE 1000

static const char *format_number(char out[NUMBER_SIZE], int64_t number)
{
    snprintf(out, NUMBER_SIZE, "%" PRId64, number);
    return out;
}

/* So many of them are about part_bytes, by their mean. pg_largeobject itself is only for
 * superusers to read, its size is not. */
static const char starts_query[] =
    "SELECT oid FROM (SELECT m.oid, row_number() OVER (ORDER BY m.oid) AS number,"
    " count(*) OVER () AS count FROM pg_largeobject_metadata m) o"
    " WHERE (number - 1) % greatest(1, least(count,"
    " floor(count * $1::numeric / greatest(1, pg_relation_size('pg_largeobject'))))::bigint) = 0"
    " ORDER BY oid";

bool large_objects_divide(struct session *session, uint64_t part_bytes, int64_t **starts,
                          size_t *count, struct error *err)
{
    char bytes[NUMBER_SIZE];
    const char *values[] = {format_number(bytes, (int64_t)part_bytes)};
    PGresult *result = query_run(session, starts_query, 1, values, err);

    if (result == NULL) {
        return error_prefix(err, "listing the large objects");
    }
    size_t rows = (size_t)PQntuples(result);
    int64_t *oids = calloc(rows + 1, sizeof(*oids));
    for (size_t i = 0; oids != NULL && i < rows; i++) {
        oids[i] = query_number(result, (int)i, 0);
    }
    PQclear(result);
    if (oids == NULL) {
        return error_set_memory(err);
    }
    *starts = oids;
    *count = rows;
    return true;
}

static bool read_piece(struct session *session, const char *oid, uint64_t offset,
                       const struct large_object_sink *sink, bool *more, struct error *err)
{
    char position[NUMBER_SIZE];
    char size[NUMBER_SIZE];
    const char *values[] = {oid, format_number(position, (int64_t)offset),
                            format_number(size, LARGE_OBJECT_PIECE)};
    PGresult *result = query_run(
        session, "SELECT encode(lo_get($1::oid, $2::bigint, $3::integer), 'hex')", 3, values, err);

    if (result == NULL) {
        return error_prefix(err, "reading large object %s", oid);
    }
    size_t digits = (size_t)PQgetlength(result, 0, 0);
    *more = digits == (size_t)LARGE_OBJECT_PIECE * 2;
    bool ok = digits == 0 ||
              sink->piece(sink->context, oid, offset, PQgetvalue(result, 0, 0), digits, err);
    PQclear(result);
    return ok;
}

static bool read_one(struct session *session, const char *oid, const char *definition,
                     const struct large_object_sink *sink, struct error *err)
{
    bool more = true;

    if (!sink->begin(sink->context, oid, definition, err)) {
        return false;
    }
    for (uint64_t offset = 0; more; offset += LARGE_OBJECT_PIECE) {
        if (!read_piece(session, oid, offset, sink, &more, err)) {
            return false;
        }
    }
    return sink->end(sink->context, oid, err);
}

/* What pg_dump writes (dumpLO(), buildACLCommands()): of the privileges what differs from the
 * default, which is all for the owner and nothing for others, in the order in which they were
 * given, for one that was given on needs the one before. A role without a name is the server's
 * error: format() takes no null for a name. */
#define DEFINITION                                                                                 \
    "format(E'SELECT pg_catalog.lo_create(\\'%s\\');\n"                                            \
    "ALTER LARGE OBJECT %s OWNER TO %I;\n', m.oid, m.oid, o.rolname)"                              \
    " || CASE WHEN NOT d.kept"                                                                     \
    " THEN format(E'REVOKE ALL ON LARGE OBJECT %s FROM %I;\n', m.oid, o.rolname) ELSE '' END"      \
    " || coalesce((SELECT string_agg(CASE WHEN a.grantor = m.lomowner THEN g.sql"                  \
    " ELSE format(E'SET SESSION AUTHORIZATION %I;\n%sRESET SESSION AUTHORIZATION;\n',"             \
    " (SELECT rolname FROM pg_roles WHERE oid = a.grantor), g.sql) END, '' ORDER BY a.number)"     \
    " FROM aclexplode(m.lomacl) WITH ORDINALITY"                                                   \
    " AS a (grantor, grantee, privilege_type, is_grantable, number), LATERAL (SELECT"              \
    " format(E'GRANT %s ON LARGE OBJECT %s TO %s%s;\n', a.privilege_type, m.oid,"                  \
    " CASE WHEN a.grantee = 0::oid THEN 'PUBLIC'"                                                  \
    " ELSE format('%I', (SELECT rolname FROM pg_roles WHERE oid = a.grantee)) END,"                \
    " CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) AS sql) g"                   \
    " WHERE NOT d.kept OR a.grantor <> m.lomowner OR a.grantee <> m.lomowner), '')"                \
    " || coalesce((SELECT format(E'COMMENT ON LARGE OBJECT %s IS %L;\n', m.oid, c.description)"    \
    " FROM pg_description c WHERE c.classoid = 'pg_largeobject'::regclass AND c.objoid = m.oid"    \
    " AND c.objsubid = 0), '')"                                                                    \
    " || coalesce((SELECT string_agg(format("                                                      \
    "E'SECURITY LABEL FOR %I ON LARGE OBJECT %s IS %L;\n', l.provider, m.oid, l.label), ''"        \
    " ORDER BY l.provider COLLATE \"C\") FROM pg_seclabel l"                                       \
    " WHERE l.classoid = 'pg_largeobject'::regclass AND l.objoid = m.oid AND l.objsubid = 0), '')"

#define LISTING(definition)                                                                        \
    "SELECT m.oid, " definition " FROM pg_largeobject_metadata m"                                  \
    " LEFT JOIN pg_roles o ON o.oid = m.lomowner,"                                                 \
    " LATERAL (SELECT (acldefault('L', m.lomowner))[1] = ANY (m.lomacl) AS kept) d"                \
    " WHERE m.oid >= $1::oid AND ($2::bigint = 0 OR m.oid < $2::bigint::oid)"                      \
    " ORDER BY m.oid LIMIT $3::bigint"

static const char plain_listing[] = LISTING("NULL");
static const char listing_with_definitions[] = LISTING(DEFINITION);

bool large_objects_read(struct session *session, int64_t from, int64_t until, bool with_definitions,
                        const struct large_object_sink *sink, struct error *err)
{
    int count = OIDS_AT_ONCE;
    bool ok = true;

    while (ok && count == OIDS_AT_ONCE) {
        char first[NUMBER_SIZE];
        char end[NUMBER_SIZE];
        char limit[NUMBER_SIZE];
        const char *values[] = {format_number(first, from), format_number(end, until),
                                format_number(limit, OIDS_AT_ONCE)};
        PGresult *result = query_run(
            session, with_definitions ? listing_with_definitions : plain_listing, 3, values, err);
        if (result == NULL) {
            return error_prefix(err, "listing the large objects");
        }
        count = PQntuples(result);
        for (int i = 0; ok && i < count; i++) {
            ok = read_one(session, PQgetvalue(result, i, 0), query_text(result, i, 1), sink, err);
            from = query_number(result, i, 0) + 1;
        }
        PQclear(result);
    }
    return ok;
}

void large_object_add(struct fingerprint *sum, const char *oid)
{
    fingerprint_add(sum, oid, strlen(oid));
}

bool large_object_add_piece(struct fingerprint *sum, const char *oid, uint64_t offset,
                            const char *hex, size_t digits, struct error *err)
{
    struct text row = TEXT_INIT((size_t)LARGE_OBJECT_PIECE * 2 + 64);

    text_appendf(&row, "%s\t%" PRIu64 "\t", oid, offset);
    text_append_bytes(&row, hex, digits);
    bool ok = row.failed ? error_set_memory(err) : true;
    if (ok) {
        fingerprint_add(sum, row.data, row.length);
    }
    text_clear(&row);
    return ok;
}

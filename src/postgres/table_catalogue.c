#include "postgres/table_catalogue.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "postgres/chosen_tables.h"
#include "postgres/query.h"
#include "postgres/server_version.h"

/* So many rows at a time: the list is held once, not twice. */
#define FETCH_ROWS 2000

/* $2: whether the sizes are asked for: that waits for a table that is locked. $5: the tables whose
 * rows are left out; the others are CHOSEN_TABLES_CONDITION's. The system's schemas are those that
 * pg_dump leaves out. A table method other than heap need not have pages. Partitions by a hash of
 * an enum are restored through their root, for the hash is of the value's oid, which a restore
 * changes (pg_dump, forcePartitionRootLoad()). */
#define SELECTION(names)                                                                           \
    "DECLARE rythm_tables NO SCROLL CURSOR FOR SELECT c.oid,"                                      \
    " c.relkind = 'r' AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery()),"                   \
    " c.relam = (SELECT oid FROM pg_am WHERE amname = 'heap') AND e.condition IS NULL,"            \
    " CASE WHEN $2::boolean THEN"                                                                  \
    " pg_relation_size(c.oid) / current_setting('block_size')::integer END,"                       \
    " CASE WHEN $2::boolean THEN pg_relation_size(c.oid)"                                          \
    " + CASE WHEN c.reltoastrelid = 0 THEN 0 ELSE pg_relation_size(c.reltoastrelid) END END,"      \
    " " names ", quote_ident(n.nspname) || '.' || quote_ident(c.relname),"                         \
    " (SELECT '(' || string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) || ')'"            \
    " FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"        \
    " AND a.attgenerated = ''),"                                                                   \
    " e.condition, c.relrowsecurity AND row_security_active(c.oid),"                               \
    " CASE WHEN c.relispartition AND EXISTS (SELECT FROM pg_partition_ancestors(c.oid) a"          \
    " JOIN pg_partitioned_table p ON p.partrelid = a.relid WHERE p.partstrat = 'h'"                \
    " AND EXISTS (SELECT FROM pg_opclass o WHERE o.opcname = 'enum_ops'"                           \
    " AND o.oid = ANY (p.partclass))) THEN (SELECT quote_ident(rn.nspname) || '.'"                 \
    " || quote_ident(r.relname) FROM pg_class r JOIN pg_namespace rn ON rn.oid = r.relnamespace"   \
    " WHERE r.oid = pg_partition_root(c.oid)) END,"                                                \
    " $5::oid[] IS NOT NULL AND c.oid IN (SELECT unnest($5::oid[]))"                               \
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"                               \
    " LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid"               \
    " AND d.objsubid = 0 AND d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass"          \
    " LEFT JOIN (SELECT x.oid AS extension, f.table_oid, f.condition FROM pg_extension x,"         \
    " unnest(x.extconfig, x.extcondition) AS f (table_oid, condition)) e"                          \
    " ON e.extension = d.refobjid AND e.table_oid = c.oid"                                         \
    " WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'"                                   \
    " AND (e.table_oid IS NOT NULL OR d.objid IS NULL"                                             \
    " AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')"                              \
    " AND " CHOSEN_TABLES_CONDITION(                                                               \
        "c.oid", "n.nspname") " ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\""

/* Names go into the manifest, which is UTF-8: in a database of another encoding they come
 * converted, and in hex so that they are not converted back on their way here. */
static const char plain_query[] = SELECTION("n.nspname, c.relname");
static const char hex_query[] = SELECTION("encode(convert_to(n.nspname::text, 'UTF8'), 'hex'),"
                                          " encode(convert_to(c.relname::text, 'UTF8'), 'hex')");

static void clear_entry(struct table_entry *entry)
{
    free(entry->schema);
    free(entry->name);
    free(entry->ident);
    free(entry->target);
    free(entry->columns);
    free(entry->condition);
}

static char *copy_field(const PGresult *result, int row, int column)
{
    const char *value = query_text(result, row, column);

    return text_copy(value != NULL ? value : "");
}

static bool fill_entry(struct table_entry *entry, const PGresult *result, int row, bool in_hex,
                       struct error *err)
{
    bool left_out = query_bool(result, row, 12);

    *entry = (struct table_entry){
        .oid = query_number(result, row, 0),
        .has_data = query_bool(result, row, 1) && !left_out,
        .is_left_out = query_bool(result, row, 1) && left_out,
        .by_range = query_bool(result, row, 2),
        .pages = (uint64_t)query_number(result, row, 3),
        .bytes = (uint64_t)query_number(result, row, 4),
        .schema = copy_field(result, row, 5),
        .name = copy_field(result, row, 6),
        .ident = copy_field(result, row, 7),
        .columns = copy_field(result, row, 8),
        .condition = copy_field(result, row, 9),
        .target = copy_field(result, row, query_text(result, row, 11) != NULL ? 11 : 7),
    };
    if (entry->schema == NULL || entry->name == NULL || entry->ident == NULL ||
        entry->columns == NULL || entry->condition == NULL || entry->target == NULL) {
        clear_entry(entry);
        return error_set_memory(err);
    }
    if (in_hex) {
        query_decode_hex(entry->schema);
        query_decode_hex(entry->name);
    }
    return true;
}

static bool refuse_hidden_rows(const struct table_entry *entry, struct error *err)
{
    error_set(err, ERROR_FAILED,
              "row-level security hides rows of table %s from this role: the backup would be short",
              entry->ident);
    return error_hint(err, "give the role BYPASSRLS (ALTER ROLE ... BYPASSRLS), or let the tables' "
                           "owner back up");
}

static bool add(struct table_catalogue *tables, const PGresult *result, int row, bool in_hex,
                struct error *err)
{
    if (tables->count == TABLE_CATALOGUE_MOST) {
        return error_set(err, ERROR_FAILED, "there are more than %d tables", TABLE_CATALOGUE_MOST);
    }
    if (tables->count == tables->capacity) {
        size_t capacity = tables->capacity > 0 ? tables->capacity * 2 : 64;
        struct table_entry *longer = reallocarray(tables->items, capacity, sizeof(*longer));
        if (longer == NULL) {
            return error_set_memory(err);
        }
        tables->items = longer;
        tables->capacity = capacity;
    }
    struct table_entry *entry = &tables->items[tables->count];
    if (!fill_entry(entry, result, row, in_hex, err)) {
        return false;
    }
    tables->count++;
    return !query_bool(result, row, 10) || refuse_hidden_rows(entry, err);
}

static bool fetch(struct session *session, bool in_hex, struct table_catalogue *tables, bool *more,
                  struct error *err)
{
    char sql[64];

    snprintf(sql, sizeof(sql), "FETCH %d FROM rythm_tables", FETCH_ROWS);
    PGresult *result = query_run(session, sql, 0, NULL, err);
    if (result == NULL) {
        return false;
    }
    bool ok = true;
    for (int row = 0; ok && row < PQntuples(result); row++) {
        ok = add(tables, result, row, in_hex, err);
    }
    *more = PQntuples(result) == FETCH_ROWS;
    PQclear(result);
    return ok;
}

bool table_catalogue_read(struct session *session, const struct scope *scope, bool with_sizes,
                          struct table_catalogue *out, struct error *err)
{
    struct table_catalogue tables = {.items = NULL};
    struct chosen_tables chosen;
    bool ranges = server_version_has(PQserverVersion(session->connection), SERVER_TID_RANGE_SCAN);
    bool in_hex = !query_is_utf8(session) && !query_is_sql_ascii(session);
    bool more = true;

    if (!chosen_tables_find(session, scope, &chosen, err)) {
        return error_prefix(err, "listing the tables to dump");
    }
    const char *values[] = {chosen.schemas, with_sizes ? "true" : "false",
                            chosen.oids[SCOPE_TABLES], chosen.oids[SCOPE_EXCLUDED_TABLES],
                            chosen.oids[SCOPE_EXCLUDED_DATA]};
    bool ok = query_execute(session, in_hex ? hex_query : plain_query, 5, values, err);
    while (ok && more) {
        ok = fetch(session, in_hex, &tables, &more, err);
    }
    ok = ok && query_execute(session, "CLOSE rythm_tables", 0, NULL, err);
    chosen_tables_clear(&chosen);
    for (size_t i = 0; i < tables.count; i++) {
        tables.items[i].by_range = tables.items[i].by_range && ranges;
    }
    if (!ok) {
        table_catalogue_clear(&tables);
        return error_prefix(err, "listing the tables to dump");
    }
    *out = tables;
    return true;
}

bool table_catalogue_equal(const struct table_catalogue *a, const struct table_catalogue *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (a->items[i].oid != b->items[i].oid ||
            strcmp(a->items[i].ident, b->items[i].ident) != 0) {
            return false;
        }
    }
    return true;
}

bool table_catalogue_confirm(struct session *session, const struct table_catalogue *tables,
                             struct error *err)
{
    struct text oids = TEXT_INIT((size_t)32 * 1024 * 1024);
    struct text idents = TEXT_INIT((size_t)256 * 1024 * 1024);
    PGresult *result = NULL;

    for (size_t i = 0; i < tables->count; i++) {
        text_appendf(&oids, "%s%lld", i > 0 ? "," : "{", (long long)tables->items[i].oid);
        text_append(&idents, i > 0 ? "," : "{");
        query_append_element(&idents, tables->items[i].ident);
    }
    text_append(&oids, tables->count > 0 ? "}" : "{}");
    text_append(&idents, tables->count > 0 ? "}" : "{}");
    const char *values[] = {text_string(&oids), text_string(&idents)};
    if (oids.failed || idents.failed) {
        error_set_memory(err);
    } else {
        result = query_run(session,
                           "SELECT t.ident FROM unnest($1::oid[], $2::text[]) AS t (oid, ident)"
                           " LEFT JOIN pg_class c ON c.oid = t.oid LEFT JOIN pg_namespace n"
                           " ON n.oid = c.relnamespace WHERE t.ident IS DISTINCT FROM"
                           " quote_ident(n.nspname) || '.' || quote_ident(c.relname) LIMIT 1",
                           2, values, err);
    }
    text_clear(&oids);
    text_clear(&idents);
    if (result == NULL) {
        return error_prefix(err, "checking the tables' names");
    }
    bool same = PQntuples(result) == 0;
    if (!same) {
        error_set(err, ERROR_FAILED, "table %s, or its schema, was renamed during the dump",
                  PQgetvalue(result, 0, 0));
        err->retryable = true;
    }
    PQclear(result);
    return same;
}

void table_catalogue_clear(struct table_catalogue *tables)
{
    for (size_t i = 0; i < tables->count; i++) {
        clear_entry(&tables->items[i]);
    }
    free(tables->items);
    *tables = (struct table_catalogue){.items = NULL};
}

#include "commands/list_tables.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "commands/output.h"

/* One table, summed over its segments, which stand together. */
struct total {
    const struct segment_table *table;
    uint64_t rows;
    uint64_t bytes;
    uint64_t raw_bytes;
    struct fingerprint fingerprint;
    size_t segments;
};

/* Goes on from segment *next, which is behind the table's then. */
static struct total sum_table(const struct segments *segments, size_t table, size_t *next)
{
    struct total total = {.table = &segments->tables[table]};

    while (*next < segments->count && segments->items[*next].table != table) {
        (*next)++;
    }
    for (; *next < segments->count && segments->items[*next].table == table; (*next)++) {
        const struct segment *segment = &segments->items[*next];
        total.rows += segment->rows;
        total.bytes += segment->length;
        total.raw_bytes += segment->raw_length;
        fingerprint_merge(&total.fingerprint, &segment->fingerprint);
        total.segments++;
    }
    return total;
}

bool list_tables_print(const struct manifest_copy *manifest, struct error *err)
{
    struct output_table table = OUTPUT_TABLE_INIT(5);
    size_t next = 0;

    output_table_add(&table, (const char *[]){"SCHEMA", "TABLE", "ROWS", "SIZE", "RAW SIZE"});
    for (size_t i = 0; i < manifest->segments.table_count; i++) {
        struct total total = sum_table(&manifest->segments, i, &next);
        char rows[24];
        char size[TEXT_BYTES_SIZE];
        char raw_size[TEXT_BYTES_SIZE];
        snprintf(rows, sizeof(rows), "%" PRIu64, total.rows);
        text_format_bytes(size, total.bytes);
        text_format_bytes(raw_size, total.raw_bytes);
        output_table_add(
            &table, (const char *[]){total.table->schema, total.table->name, rows, size, raw_size});
    }
    for (size_t i = 0; i < manifest->segments.bare_count; i++) {
        const struct segment_table *bare = &manifest->segments.bare[i];
        output_table_add(&table, (const char *[]){bare->schema, bare->name, "left out", "-", "-"});
    }
    return output_table_print(&table, err);
}

static json_t *table_json(const struct total *total)
{
    char fingerprint[FINGERPRINT_HEX_SIZE];

    fingerprint_format(fingerprint, &total->fingerprint);
    return json_pack("{s:o, s:o, s:I, s:I, s:I, s:s, s:I}", "schema",
                     output_json_text(total->table->schema), "name",
                     output_json_text(total->table->name), "rows", (json_int_t)total->rows, "bytes",
                     (json_int_t)total->bytes, "raw_bytes", (json_int_t)total->raw_bytes,
                     "fingerprint", fingerprint, "segments", (json_int_t)total->segments);
}

static json_t *tables_json(const struct segments *segments)
{
    json_t *list = json_array();
    size_t next = 0;

    for (size_t i = 0; list != NULL && i < segments->table_count; i++) {
        struct total total = sum_table(segments, i, &next);
        if (json_array_append_new(list, table_json(&total)) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static json_t *left_out_json(const struct segments *segments)
{
    json_t *list = json_array();

    for (size_t i = 0; list != NULL && i < segments->bare_count; i++) {
        json_t *table =
            json_pack("{s:o, s:o}", "schema", output_json_text(segments->bare[i].schema), "name",
                      output_json_text(segments->bare[i].name));
        if (json_array_append_new(list, table) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static json_t *scope_json(const struct scope *scope)
{
    json_t *object = json_object();

    for (int i = 0; object != NULL && i < SCOPE_LISTS; i++) {
        if (json_object_set_new(object, scope_key((enum scope_list)i),
                                output_json_texts(scope->lists[i])) != 0) {
            json_decref(object);
            object = NULL;
        }
    }
    return object;
}

static json_t *locale_json(const struct manifest_copy *manifest)
{
    char locale[DATABASE_LOCALE_TEXT_SIZE];

    if (manifest == NULL || !database_locale_is_known(&manifest->locale)) {
        return json_null();
    }
    database_locale_format(locale, &manifest->locale);
    return output_json_text(locale);
}

bool list_tables_json(json_t *backup, const struct manifest_copy *manifest)
{
    bool known = manifest != NULL;

    json_t *added = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "snapshot",
        output_json_instant(known && manifest->snapshot_ms != 0, known ? manifest->snapshot_ms : 0),
        "encoding", output_json_text(known ? manifest->encoding : NULL), "locale",
        locale_json(manifest), "segments",
        output_json_count(known, known ? manifest->segments.count : 0), "tables",
        known ? tables_json(&manifest->segments) : json_null(), "left_out",
        known ? left_out_json(&manifest->segments) : json_null(), "scope",
        known ? scope_json(&manifest->scope) : json_null());
    bool ok = added != NULL && json_object_update(backup, added) == 0;
    json_decref(added);
    return ok;
}

#include "store/manifest_element.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define NAME_SIZE    1024 /* of a schema or a table; Postgres has 64 */
#define TEXT_SIZE    512
#define PATTERN_SIZE 4096 /* 1024 characters of UTF-8 at most */

/* Room for one more. */
static bool grow(void **items, size_t *capacity, size_t size, struct error *err)
{
    size_t more = *capacity > 0 ? *capacity * 2 : 64;
    void *longer = reallocarray(*items, more, size);

    if (longer == NULL) {
        return error_set_memory(err);
    }
    *items = longer;
    *capacity = more;
    return true;
}

static bool make_room_for_table(struct manifest_parts *parts, struct error *err)
{
    struct segments *segments = &parts->segments;
    void *tables = segments->tables;
    void *claims = parts->claims;
    size_t capacity = parts->table_capacity;

    if (segments->table_count < parts->table_capacity) {
        return true;
    }
    bool ok = grow(&tables, &capacity, sizeof(*segments->tables), err);
    capacity = parts->table_capacity;
    ok = ok && grow(&claims, &capacity, sizeof(*parts->claims), err);
    segments->tables = tables;
    parts->claims = claims;
    if (ok) {
        parts->table_capacity = capacity;
    }
    return ok;
}

static bool get_pages(const struct manifest_place *place, const json_t *element,
                      struct segment *segment, struct error *err)
{
    bool ends;

    segment->until_page = SEGMENT_OPEN_ENDED;
    if (!manifest_field_count_if_any(place, element, "from_page", &segment->is_range,
                                     &segment->from_page, err) ||
        !manifest_field_count_if_any(place, element, "until_page", &ends, &segment->until_page,
                                     err)) {
        return false;
    }
    if (ends && (!segment->is_range || segment->until_page <= segment->from_page)) {
        return manifest_field_refuse(place, "until_page", "is not behind from_page", err);
    }
    if (!segment->is_range) {
        segment->until_page = 0;
    }
    return !segment->is_range || segment->kind == SEGMENT_TABLE ||
           manifest_field_refuse(place, "from_page", "is there, but the segment is not of a table",
                                 err);
}

static bool get_table(const struct manifest_place *place, const json_t *element,
                      struct segment *segment, struct error *err)
{
    uint64_t table;
    bool has;

    if (!manifest_field_count_if_any(place, element, "table", &has, &table, err)) {
        return false;
    }
    segment->table = has ? (size_t)table : SEGMENT_NO_TABLE;
    return true;
}

/* The caller's to free. */
static bool get_name(const struct manifest_place *place, const json_t *element,
                     struct segment_table *out, struct error *err)
{
    char schema[NAME_SIZE];
    char name[NAME_SIZE];

    if (!manifest_field_name(place, element, "schema", false, schema, sizeof(schema), err) ||
        !manifest_field_name(place, element, "name", false, name, sizeof(name), err)) {
        return false;
    }
    const struct segment_table table = {.schema = text_copy(schema), .name = text_copy(name)};
    if (table.schema == NULL || table.name == NULL) {
        free(table.schema);
        free(table.name);
        return error_set_memory(err);
    }
    *out = table;
    return true;
}

bool manifest_element_table(struct manifest_parts *parts, const struct manifest_place *place,
                            const json_t *element, struct error *err)
{
    struct segments *segments = &parts->segments;
    struct segment_table table = {NULL, NULL};
    struct manifest_claim claim;

    if (!manifest_field_count(place, element, "rows", &claim.rows, err) ||
        !manifest_field_count(place, element, "bytes", &claim.bytes, err) ||
        !manifest_field_count(place, element, "raw_bytes", &claim.raw_bytes, err) ||
        !manifest_field_fingerprint(place, element, &claim.fingerprint, err) ||
        !manifest_field_count(place, element, "first_segment", &claim.first_segment, err) ||
        !manifest_field_count(place, element, "segments", &claim.segment_count, err) ||
        !make_room_for_table(parts, err) || !get_name(place, element, &table, err)) {
        return false;
    }
    parts->claims[segments->table_count] = claim;
    segments->tables[segments->table_count++] = table;
    return true;
}

bool manifest_element_choice(struct manifest_parts *parts, const struct manifest_place *place,
                             const json_t *element, struct error *err)
{
    char key[TEXT_SIZE];
    char name[PATTERN_SIZE];

    if (!manifest_field_text(place, element, "list", key, sizeof(key), err) ||
        !manifest_field_name(place, element, "name", false, name, sizeof(name), err)) {
        return false;
    }
    for (int i = 0; i < SCOPE_LISTS; i++) {
        if (strcmp(key, scope_key((enum scope_list)i)) == 0) {
            return scope_add(&parts->scope, (enum scope_list)i, name, err);
        }
    }
    manifest_field_refuse(place, "list", "is not known to this program", err);
    err->kind = ERROR_FAILED;
    return error_hint(err, "use a newer rythm-backup");
}

bool manifest_element_left_out(struct manifest_parts *parts, const struct manifest_place *place,
                               const json_t *element, struct error *err)
{
    struct segments *segments = &parts->segments;
    void *bare = segments->bare;
    struct segment_table table = {NULL, NULL};
    bool ok = segments->bare_count < parts->bare_capacity ||
              grow(&bare, &parts->bare_capacity, sizeof(*segments->bare), err);

    segments->bare = bare;
    if (!ok || !get_name(place, element, &table, err)) {
        return false;
    }
    segments->bare[segments->bare_count++] = table;
    return true;
}

bool manifest_element_segment(struct manifest_parts *parts, const struct manifest_place *place,
                              const json_t *element, struct error *err)
{
    struct segments *segments = &parts->segments;
    struct segment segment = {.rows = 0};
    char kind[TEXT_SIZE];

    if (!manifest_field_text(place, element, "kind", kind, sizeof(kind), err)) {
        return false;
    }
    if (!segment_kind_parse(kind, &segment.kind)) {
        return manifest_field_refuse(place, "kind", "is not a kind of segment", err);
    }
    if (!get_table(place, element, &segment, err) || !get_pages(place, element, &segment, err) ||
        !manifest_field_count(place, element, "offset", &segment.offset, err) ||
        !manifest_field_count(place, element, "length", &segment.length, err) ||
        !manifest_field_count(place, element, "raw_length", &segment.raw_length, err) ||
        !manifest_field_count(place, element, "rows", &segment.rows, err) ||
        !manifest_field_fingerprint(place, element, &segment.fingerprint, err) ||
        !manifest_field_sha256(place, element, segment.sha256, err)) {
        return false;
    }
    if (segments->count == parts->segment_capacity) {
        void *items = segments->items;
        bool ok = grow(&items, &parts->segment_capacity, sizeof(*segments->items), err);
        segments->items = items;
        if (!ok) {
            return false;
        }
    }
    segments->items[segments->count++] = segment;
    return true;
}

void manifest_parts_clear(struct manifest_parts *parts)
{
    segments_clear(&parts->segments);
    free(parts->claims);
    scope_clear(&parts->scope);
    *parts = (struct manifest_parts){.claims = NULL};
}

#include "dump/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* Of one part of small tables. */
#define PART_MOST_TABLES 500
#define PART_MOST_TEXT   ((size_t)256 * 1024)
/* In memory each takes about 130 bytes (I5). */
#define SEGMENTS_MOST ((size_t)2 * 1000 * 1000)

/* The part that small tables are being put into. */
struct packing {
    size_t part; /* SIZE_MAX: none */
    uint64_t bytes;
    size_t text;
};

static bool add_part(struct plan *plan, enum segment_kind kind, struct error *err)
{
    if (plan->part_count == plan->part_capacity) {
        size_t capacity = plan->part_capacity > 0 ? plan->part_capacity * 2 : 64;
        struct plan_part *longer = reallocarray(plan->parts, capacity, sizeof(*longer));
        if (longer == NULL) {
            return error_set_memory(err);
        }
        plan->parts = longer;
        plan->part_capacity = capacity;
    }
    plan->parts[plan->part_count++] =
        (struct plan_part){.kind = kind, .first = plan->segments.count};
    return true;
}

/* To the last part. */
static bool add_segment(struct plan *plan, const struct segment *segment, struct error *err)
{
    struct segments *segments = &plan->segments;

    if (segments->count == SEGMENTS_MOST) {
        error_set(err, ERROR_CONFIG, "the dump would have more than %zu segments", SEGMENTS_MOST);
        return error_hint(err, "raise RYTHM_BACKUP_SEGMENT_SIZE");
    }
    if (segments->count == plan->segment_capacity) {
        size_t capacity = plan->segment_capacity > 0 ? plan->segment_capacity * 2 : 64;
        struct segment *longer = reallocarray(segments->items, capacity, sizeof(*longer));
        if (longer == NULL) {
            return error_set_memory(err);
        }
        segments->items = longer;
        plan->segment_capacity = capacity;
    }
    segments->items[segments->count++] = *segment;
    plan->parts[plan->part_count - 1].count++;
    return true;
}

static bool add_single(struct plan *plan, enum segment_kind kind, struct error *err)
{
    const struct segment segment = {.kind = kind, .table = SEGMENT_NO_TABLE};

    return add_part(plan, kind, err) && add_segment(plan, &segment, err);
}

/* Pages of this table that make a segment; 0: all of it is one. */
static uint64_t pages_at_once(const struct table_entry *entry, uint64_t segment_bytes)
{
    if (!entry->by_range || entry->bytes <= segment_bytes || entry->pages < 2) {
        return 0;
    }
    uint64_t segments = (entry->bytes + segment_bytes - 1) / segment_bytes;
    uint64_t pages = (entry->pages + segments - 1) / segments;

    return pages < entry->pages ? pages : 0;
}

/* The last range has no end: rows may have come since the size was asked for. */
static bool add_ranges(struct plan *plan, size_t table, const struct table_entry *entry,
                       uint64_t pages, struct error *err)
{
    for (uint64_t from = 0; from < entry->pages; from += pages) {
        const struct segment segment = {
            .kind = SEGMENT_TABLE,
            .table = table,
            .is_range = true,
            .from_page = from,
            .until_page = from + pages < entry->pages ? from + pages : SEGMENT_OPEN_ENDED,
        };
        if (!add_part(plan, SEGMENT_TABLE, err) || !add_segment(plan, &segment, err)) {
            return false;
        }
    }
    return true;
}

static bool add_whole(struct plan *plan, struct packing *packing, size_t table,
                      const struct table_entry *entry, uint64_t segment_bytes, struct error *err)
{
    const struct segment segment = {.kind = SEGMENT_TABLE, .table = table};
    size_t text = strlen(entry->ident) + strlen(entry->columns) + strlen(entry->condition);

    /* One with a condition may have to be handed on, before anything of its part is written. */
    bool alone = entry->condition[0] != '\0';
    if (alone || packing->part == SIZE_MAX ||
        plan->parts[packing->part].count == PART_MOST_TABLES ||
        packing->bytes + entry->bytes > segment_bytes || packing->text + text > PART_MOST_TEXT) {
        if (!add_part(plan, SEGMENT_TABLE, err)) {
            return false;
        }
        *packing = (struct packing){.part = plan->part_count - 1};
    }
    packing->bytes += entry->bytes;
    packing->text += text;
    packing->part = alone ? SIZE_MAX : packing->part;
    return add_segment(plan, &segment, err);
}

static bool add_table(struct plan *plan, struct packing *packing, const struct table_entry *entry,
                      uint64_t segment_bytes, struct error *err)
{
    struct segments *segments = &plan->segments;
    size_t table = segments->table_count;
    struct segment_table *named = &segments->tables[table];
    uint64_t pages = pages_at_once(entry, segment_bytes);

    plan->entries[table] = entry;
    segments->table_count++;
    *named =
        (struct segment_table){.schema = text_copy(entry->schema), .name = text_copy(entry->name)};
    if (named->schema == NULL || named->name == NULL) {
        return error_set_memory(err);
    }
    if (pages == 0) {
        return add_whole(plan, packing, table, entry, segment_bytes, err);
    }
    packing->part = SIZE_MAX;
    return add_ranges(plan, table, entry, pages, err);
}

static bool add_bare(struct plan *plan, const struct table_entry *entry, struct error *err)
{
    struct segment_table *named = &plan->segments.bare[plan->segments.bare_count++];

    *named =
        (struct segment_table){.schema = text_copy(entry->schema), .name = text_copy(entry->name)};
    return (named->schema != NULL && named->name != NULL) || error_set_memory(err);
}

static bool add_tables(struct plan *plan, const struct plan_options *options, struct error *err)
{
    size_t most = options->tables->count + 1;
    struct packing packing = {.part = SIZE_MAX};

    plan->segments.tables = calloc(most, sizeof(*plan->segments.tables));
    plan->entries = calloc(most, sizeof(*plan->entries));
    plan->segments.bare = calloc(most, sizeof(*plan->segments.bare));
    if (plan->segments.tables == NULL || plan->entries == NULL || plan->segments.bare == NULL) {
        return error_set_memory(err);
    }
    for (size_t i = 0; i < options->tables->count; i++) {
        const struct table_entry *entry = &options->tables->items[i];
        if ((entry->has_data && !add_table(plan, &packing, entry, options->segment_bytes, err)) ||
            (entry->is_left_out && !add_bare(plan, entry, err))) {
            return false;
        }
    }
    return true;
}

static bool add_large_objects(struct plan *plan, const struct plan_options *options,
                              struct error *err)
{
    for (size_t i = 0; i < options->large_object_parts; i++) {
        if (!add_single(plan, SEGMENT_LARGE_OBJECTS, err)) {
            return false;
        }
        struct plan_part *part = &plan->parts[plan->part_count - 1];
        part->from_oid = options->large_object_starts[i];
        part->until_oid =
            i + 1 < options->large_object_parts ? options->large_object_starts[i + 1] : 0;
    }
    return true;
}

bool plan_make(const struct plan_options *options, struct plan *out, struct error *err)
{
    struct plan plan = {.parts = NULL};
    bool ok = (!options->globals || add_single(&plan, SEGMENT_GLOBALS, err)) &&
              add_single(&plan, SEGMENT_PRE_DATA, err) && add_tables(&plan, options, err) &&
              add_single(&plan, SEGMENT_SEQUENCES, err) && add_large_objects(&plan, options, err) &&
              add_single(&plan, SEGMENT_POST_DATA, err);

    if (!ok) {
        plan_clear(&plan);
        return false;
    }
    *out = plan;
    return true;
}

void plan_clear(struct plan *plan)
{
    segments_clear(&plan->segments);
    free(plan->parts);
    free(plan->entries);
    *plan = (struct plan){.parts = NULL};
}

#include "stream/segment.h"

#include <stdlib.h>
#include <string.h>

const char *segment_kind_name(enum segment_kind kind)
{
    static const char *const names[] = {
        [SEGMENT_GLOBALS] = "globals",
        [SEGMENT_PRE_DATA] = "pre-data",
        [SEGMENT_TABLE] = "table",
        [SEGMENT_SEQUENCES] = "sequences",
        [SEGMENT_LARGE_OBJECTS] = "large-objects",
        [SEGMENT_POST_DATA] = "post-data",
    };

    return names[kind];
}

bool segment_kind_parse(const char *name, enum segment_kind *out)
{
    for (int kind = SEGMENT_GLOBALS; kind <= SEGMENT_POST_DATA; kind++) {
        if (strcmp(name, segment_kind_name((enum segment_kind)kind)) == 0) {
            *out = (enum segment_kind)kind;
            return true;
        }
    }
    return false;
}

void segments_place(struct segments *segments)
{
    uint64_t offset = 0;

    for (size_t i = 0; i < segments->count; i++) {
        segments->items[i].offset = offset;
        offset += segments->items[i].length;
    }
}

size_t segments_schema_at(const struct segments *segments)
{
    return segments->count > 0 && segments->items[0].kind == SEGMENT_GLOBALS ? 1 : 0;
}

uint64_t segments_rows(const struct segments *segments)
{
    uint64_t rows = 0;

    for (size_t i = 0; i < segments->count; i++) {
        rows += segments->items[i].kind == SEGMENT_TABLE ? segments->items[i].rows : 0;
    }
    return rows;
}

uint64_t segments_raw_length(const struct segments *segments)
{
    uint64_t length = 0;

    for (size_t i = 0; i < segments->count; i++) {
        length += segments->items[i].raw_length;
    }
    return length;
}

static void clear_tables(struct segment_table *tables, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(tables[i].schema);
        free(tables[i].name);
    }
    free(tables);
}

void segments_clear(struct segments *segments)
{
    clear_tables(segments->tables, segments->table_count);
    clear_tables(segments->bare, segments->bare_count);
    free(segments->items);
    *segments = (struct segments){.items = NULL};
}

/*
 * The parts that an object is made of: each is SQL text that was compressed on its own, so that it
 * can be read, checked and replayed without the others. They follow one another without a gap.
 */
#ifndef STREAM_SEGMENT_H
#define STREAM_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "crypto/digest.h"
#include "stream/fingerprint.h"

enum segment_kind {
    SEGMENT_GLOBALS, /* the roles of the server; only where they were asked for */
    SEGMENT_PRE_DATA,
    SEGMENT_TABLE, /* rows of one table: all of them, or those of a range of its pages */
    SEGMENT_SEQUENCES,
    SEGMENT_LARGE_OBJECTS,
    SEGMENT_POST_DATA,
};
/* "globals", "pre-data", "table", "sequences", "large-objects", "post-data" */
const char *segment_kind_name(enum segment_kind kind);
bool segment_kind_parse(const char *name, enum segment_kind *out);

#define SEGMENT_NO_TABLE   SIZE_MAX
#define SEGMENT_OPEN_ENDED UINT64_MAX

struct segment {
    enum segment_kind kind;
    size_t table;  /* index into segments.tables, or SEGMENT_NO_TABLE */
    bool is_range; /* of pages: from <= page < until */
    uint64_t from_page;
    uint64_t until_page;                      /* or SEGMENT_OPEN_ENDED */
    uint64_t offset;                          /* in the object */
    uint64_t length;                          /* in the object */
    uint64_t raw_length;                      /* before compression */
    uint64_t rows;                            /* of a table; large objects; sequences; else 0 */
    struct fingerprint fingerprint;           /* of these rows */
    unsigned char sha256[DIGEST_SHA256_SIZE]; /* of the bytes in the object */
};

struct segment_table {
    char *schema;
    char *name;
};

struct segments {
    struct segment_table *tables; /* that have data, in the order of the plan */
    size_t table_count;
    struct segment_table *bare; /* whose rows were left out, in that order, too */
    size_t bare_count;
    struct segment *items; /* in the object's order; those of a table stand together */
    size_t count;
};

/* Sets every offset from the lengths before it. */
void segments_place(struct segments *segments);
/* The index of the pre-data segment: 0, or 1 behind the globals. */
size_t segments_schema_at(const struct segments *segments);
/* Rows of all tables. */
uint64_t segments_rows(const struct segments *segments);
uint64_t segments_raw_length(const struct segments *segments);
void segments_clear(struct segments *segments);

#endif

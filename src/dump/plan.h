/*
 * What a dump consists of, before it is made: the segments in their order, and the parts that
 * workers take. The order is the catalogue's, by schema and name, and does not depend on the number
 * of workers or on time (invariant I4).
 *
 * A part is what one worker reads in one go: a range of pages of a large table, or many small
 * tables, each a segment of its own, so that a database of many tables costs few round trips.
 */
#ifndef DUMP_PLAN_H
#define DUMP_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/table_catalogue.h"
#include "stream/segment.h"

struct plan_part {
    enum segment_kind kind;
    size_t first; /* of its segments */
    size_t count;
    int64_t from_oid; /* large objects: from <= oid < until, 0 for no bound */
    int64_t until_oid;
};

struct plan {
    struct segments segments; /* lengths, rows and digests are for the workers to fill in */
    struct plan_part *parts;
    size_t part_count;
    const struct table_entry **entries; /* of each of segments.tables; borrowed */
    size_t segment_capacity;
    size_t part_capacity;
};

struct plan_options {
    bool globals; /* begin with the server's roles */
    const struct table_catalogue *tables;
    const int64_t *large_object_starts; /* large_objects_divide() */
    size_t large_object_parts;
    uint64_t segment_bytes; /* of heap and TOAST: about as much as a segment reads */
};

bool plan_make(const struct plan_options *options, struct plan *out, struct error *err);
void plan_clear(struct plan *plan);

#endif

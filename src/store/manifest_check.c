#include "store/manifest_check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool check_equal(const char *what, const char *manifest, const char *backup,
                        struct error *err)
{
    return strcmp(manifest, backup) == 0 ||
           error_set(err, ERROR_DAMAGED, "its %s is '%s', the backup's is '%s'", what, manifest,
                     backup);
}

static bool check_number(const char *what, uint64_t manifest, uint64_t backup, struct error *err)
{
    return manifest == backup ||
           error_set(err, ERROR_DAMAGED, "its %s is %" PRIu64 ", the backup's is %" PRIu64, what,
                     manifest, backup);
}

static bool check_backup(const struct manifest_copy *manifest, const struct backup_object *backup,
                         struct error *err)
{
    const struct backup_facts *own = &manifest->facts;
    const struct backup_facts *facts = &backup->facts;

    return check_equal("name", manifest->name, backup->object->name, err) &&
           check_equal("run", own->run_id, facts->run_id, err) &&
           check_number("bytes", own->bytes, backup->object->bytes, err) &&
           check_equal("sha256", own->sha256, facts->sha256, err) &&
           check_number("raw_bytes", own->raw_bytes, facts->raw_bytes, err) &&
           (facts->compression[0] == '\0' ||
            check_equal("compression", own->compression, facts->compression, err)) &&
           (!facts->has_rows ||
            (check_number("number of tables", own->tables, facts->tables, err) &&
             check_number("rows", own->rows, facts->rows, err)));
}

static bool check_kind(const struct segments *segments, size_t index, struct error *err)
{
    const struct segment *segment = &segments->items[index];
    size_t schema_at = segments_schema_at(segments);
    bool first = index == schema_at;
    bool last = index == segments->count - 1;

    if (segment->kind == SEGMENT_GLOBALS && index > 0) {
        return error_set(err, ERROR_DAMAGED,
                         "segments[%zu] is globals, which only the first can be", index);
    }
    if ((segment->kind == SEGMENT_PRE_DATA) != first ||
        (segment->kind == SEGMENT_POST_DATA) != last) {
        return error_set(err, ERROR_DAMAGED,
                         "segments[%zu] of %zu is %s: the first one is pre-data, the last one "
                         "post-data, and none between them is either",
                         index, segments->count, segment_kind_name(segment->kind));
    }
    if ((segment->kind == SEGMENT_TABLE) != (segment->table != SEGMENT_NO_TABLE)) {
        return error_set(err, ERROR_DAMAGED, "segments[%zu] is %s and has %s table", index,
                         segment_kind_name(segment->kind),
                         segment->table != SEGMENT_NO_TABLE ? "a" : "no");
    }
    if (segment->kind == SEGMENT_TABLE && segment->table >= segments->table_count) {
        return error_set(err, ERROR_DAMAGED, "segments[%zu] is of table %zu of %zu", index,
                         segment->table, segments->table_count);
    }
    return true;
}

/* Numbers that are told are below 2^63: a sum of two never overflows, and is compared with one that
 * is told before the next is added. */
static bool check_sum(const char *what, uint64_t *sum, uint64_t more, uint64_t most, size_t index,
                      struct error *err)
{
    *sum += more;
    return *sum <= most || error_set(err, ERROR_DAMAGED,
                                     "the %s of the segments up to segments[%zu] are %" PRIu64
                                     " and more than the manifest's %" PRIu64,
                                     what, index, *sum, most);
}

static bool check_total(const char *what, uint64_t sum, uint64_t told, struct error *err)
{
    return sum == told ||
           error_set(err, ERROR_DAMAGED,
                     "the %s of its segments are %" PRIu64 " and not the %" PRIu64 " it tells",
                     what, sum, told);
}

static bool check_segments(const struct manifest_copy *manifest, struct error *err)
{
    const struct segments *segments = &manifest->segments;
    const struct backup_facts *facts = &manifest->facts;
    uint64_t bytes = 0;
    uint64_t raw_bytes = 0;
    uint64_t rows = 0;

    if (segments->count < 2) {
        return error_set(err, ERROR_DAMAGED, "it has %zu segments, and every backup has two",
                         segments->count);
    }
    for (size_t i = 0; i < segments->count; i++) {
        const struct segment *segment = &segments->items[i];
        if (segment->offset != bytes) {
            return error_set(err, ERROR_DAMAGED,
                             "segments[%zu] begins at byte %" PRIu64
                             ", and what is before it ends at byte %" PRIu64,
                             i, segment->offset, bytes);
        }
        if (!check_kind(segments, i, err) ||
            !check_sum("bytes", &bytes, segment->length, facts->bytes, i, err) ||
            !check_sum("raw bytes", &raw_bytes, segment->raw_length, facts->raw_bytes, i, err) ||
            (segment->kind == SEGMENT_TABLE &&
             !check_sum("rows", &rows, segment->rows, facts->rows, i, err))) {
            return false;
        }
    }
    return check_total("bytes", bytes, facts->bytes, err) &&
           check_total("raw bytes", raw_bytes, facts->raw_bytes, err) &&
           check_total("rows", rows, facts->rows, err);
}

/* All of a table is one segment, or ranges that adjoin, from its first page on to the end. */
static bool check_pages(const struct segments *segments, size_t first, size_t count,
                        struct error *err)
{
    uint64_t page = 0;

    for (size_t i = first; i < first + count; i++) {
        const struct segment *segment = &segments->items[i];
        bool last = i == first + count - 1;
        if (!segment->is_range && count == 1) {
            return true;
        }
        if (!segment->is_range || segment->from_page != page ||
            (segment->until_page == SEGMENT_OPEN_ENDED) != last) {
            return error_set(err, ERROR_DAMAGED,
                             "the pages of segments[%zu] do not adjoin those beside it in its "
                             "table, or leave out a beginning or an end",
                             i);
        }
        page = segment->until_page;
    }
    return true;
}

static bool check_sums(const struct segments *segments, const struct manifest_claim *claim,
                       size_t table, struct error *err)
{
    struct manifest_claim sum = {.rows = 0};

    for (uint64_t i = 0; i < claim->segment_count; i++) {
        const struct segment *segment = &segments->items[claim->first_segment + i];
        sum.rows += segment->rows;
        sum.bytes += segment->length;
        sum.raw_bytes += segment->raw_length;
        fingerprint_merge(&sum.fingerprint, &segment->fingerprint);
    }
    const char *wrong = sum.rows != claim->rows             ? "rows"
                        : sum.bytes != claim->bytes         ? "bytes"
                        : sum.raw_bytes != claim->raw_bytes ? "raw_bytes"
                        : sum.fingerprint.high != claim->fingerprint.high ||
                                sum.fingerprint.low != claim->fingerprint.low
                            ? "fingerprint"
                            : NULL;
    return wrong == NULL ||
           error_set(err, ERROR_DAMAGED, "the %s of tables[%zu] is not the sum of its segments'",
                     wrong, table);
}

static bool check_table(const struct segments *segments, const struct manifest_claim *claim,
                        size_t table, struct error *err)
{
    if (claim->segment_count == 0 || claim->first_segment > segments->count ||
        claim->segment_count > segments->count - claim->first_segment) {
        return error_set(err, ERROR_DAMAGED,
                         "tables[%zu] has %" PRIu64 " segments from segments[%" PRIu64
                         "] on, of %zu",
                         table, claim->segment_count, claim->first_segment, segments->count);
    }
    for (uint64_t i = claim->first_segment; i < claim->first_segment + claim->segment_count; i++) {
        if (segments->items[i].table != table) {
            return error_set(err, ERROR_DAMAGED,
                             "segments[%" PRIu64 "] is not of tables[%zu], which says so", i,
                             table);
        }
    }
    return check_pages(segments, claim->first_segment, claim->segment_count, err) &&
           check_sums(segments, claim, table, err);
}

static bool is_ascending(const struct segment_table *before, const struct segment_table *table)
{
    int order = strcmp(before->schema, table->schema);

    return order < 0 || (order == 0 && strcmp(before->name, table->name) < 0);
}

static bool check_tables(const struct manifest_copy *manifest, const struct manifest_claim *claims,
                         struct error *err)
{
    const struct segments *segments = &manifest->segments;
    uint64_t claimed = 0;
    uint64_t found = 0;

    for (size_t i = 0; i < segments->table_count; i++) {
        if (i > 0 && !is_ascending(&segments->tables[i - 1], &segments->tables[i])) {
            return error_set(err, ERROR_DAMAGED,
                             "tables[%zu] (%s.%s) does not stand behind the one before it in the "
                             "order of schemas and names",
                             i, segments->tables[i].schema, segments->tables[i].name);
        }
        if (!check_table(segments, &claims[i], i, err)) {
            return false;
        }
        claimed += claims[i].segment_count;
    }
    for (size_t i = 0; i < segments->count; i++) {
        found += segments->items[i].kind == SEGMENT_TABLE;
    }
    return claimed == found ||
           error_set(err, ERROR_DAMAGED,
                     "its tables have %" PRIu64 " segments, and %" PRIu64 " segments have a table",
                     claimed, found);
}

bool manifest_check(const struct manifest_copy *manifest, const struct manifest_claim *claims,
                    const struct backup_object *backup, struct error *err)
{
    return check_backup(manifest, backup, err) && check_segments(manifest, err) &&
           check_tables(manifest, claims, err);
}

#include "restore/quick_check.h"

#include <inttypes.h>
#include <string.h>

#include "restore/row_sum.h"
#include "restore/segment_reader.h"
#include "restore/sql_script.h"
#include "restore/whole_object.h"

/* A reading, and where the script's text ends up. */
struct checking {
    const struct quick_check *options;
    struct segment_reader *reader;
    struct row_sum sum;
    uint64_t blocks; /* of rows, in this segment */
    atomic_uint_least64_t raw_bytes;
};

static void tell_progress(const struct checking *checking)
{
    if (checking->options->progress != NULL) {
        checking->options->progress(checking->options->progress_context,
                                    atomic_load(&checking->raw_bytes));
    }
}

static bool take_statement(void *context, const struct sql_statement *statement, struct error *err)
{
    struct checking *checking = context;

    (void)err;
    checking->blocks += statement->is_copy;
    return true;
}

static bool take_rows(void *context, const char *rows, size_t size, struct error *err)
{
    struct checking *checking = context;

    (void)err;
    row_sum_add(&checking->sum, rows, size);
    tell_progress(checking);
    return true;
}

static struct stage *new_stage(struct checking *checking, struct error *err)
{
    const struct sql_script_sink sink = {
        .statement = take_statement, .rows = take_rows, .context = checking};

    return sql_script_stage_new(&sink, err);
}

static bool judge(const struct checking *checking, const struct segment *segment, struct error *err)
{
    if (segment->kind != SEGMENT_TABLE) {
        return checking->blocks == 0 ||
               error_set(err, ERROR_DAMAGED, "there are rows where none may be");
    }
    if (checking->blocks != 1) {
        return error_set(err, ERROR_DAMAGED, "it has %" PRIu64 " blocks of rows instead of one",
                         checking->blocks);
    }
    return row_sum_check(&checking->sum, segment, err);
}

static bool check_segment(struct checking *checking, const struct segment *segment,
                          struct error *err)
{
    const struct segments *segments = &checking->options->source->manifest.segments;

    checking->blocks = 0;
    row_sum_reset(&checking->sum);
    bool ok = segment_reader_take(checking->reader, segment, new_stage(checking, err), err) &&
              judge(checking, segment, err);
    tell_progress(checking);
    if (ok || segment->kind != SEGMENT_TABLE) {
        return ok ? true : error_prefix(err, "%s", segment_kind_name(segment->kind));
    }
    return error_prefix(err, "table %s.%s", segments->tables[segment->table].schema,
                        segments->tables[segment->table].name);
}

static bool check_digest(const struct backup_source *source, struct digest *digest,
                         struct error *err)
{
    unsigned char sha256[DIGEST_SHA256_SIZE];
    char hex[DIGEST_HEX_SIZE(DIGEST_SHA256_SIZE)];

    if (!digest_final(digest, sha256, err)) {
        return false;
    }
    digest_format_hex(hex, sha256, sizeof(sha256));
    return strcmp(hex, source->backup->facts.sha256) == 0 ||
           error_set(err, ERROR_DAMAGED, "the object's SHA-256 is not the one in its metadata");
}

static bool check_segments(struct checking *checking, struct error *err)
{
    const struct backup_source *source = checking->options->source;
    const struct segments *segments = &source->manifest.segments;
    struct digest *digest = digest_new(DIGEST_SHA256, err);
    bool ok = digest != NULL;

    checking->reader = segment_reader_new(source, &checking->raw_bytes, err);
    ok = ok && checking->reader != NULL;
    if (ok) {
        segment_reader_digest(checking->reader, digest);
    }
    for (size_t i = 0; ok && i < segments->count; i++) {
        ok = check_segment(checking, &segments->items[i], err);
    }
    ok = ok && check_digest(source, digest, err);
    segment_reader_free(checking->reader);
    digest_free(digest);
    return ok;
}

bool quick_check_run(const struct quick_check *check, struct quick_check_result *result,
                     struct error *err)
{
    const struct backup_source *source = check->source;
    struct checking checking = {.options = check};

    bool ok = row_sum_open(&checking.sum, err) &&
              (source->has_manifest ? check_segments(&checking, err)
                                    : whole_object_take(source, new_stage(&checking, err),
                                                        &checking.raw_bytes, err));
    row_sum_close(&checking.sum);
    *result = (struct quick_check_result){.raw_bytes = atomic_load(&checking.raw_bytes)};
    if (ok && source->has_manifest) {
        result->has_rows = true;
        result->tables = source->manifest.segments.table_count;
        result->rows = segments_rows(&source->manifest.segments);
    }
    return ok ? true : error_prefix(err, "checking %s", source->backup->object->name);
}

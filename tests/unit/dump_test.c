/*
 * The parallel dump without a server: the order of the parts whoever makes them, what the plan
 * makes of a catalogue, the ends of scripts, versions, fingerprints, and the manifest's text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "dump/dump.h"
#include "dump/ordered_writer.h"
#include "dump/pg_dump.h"
#include "dump/plan.h"
#include "dump/segment_stream.h"
#include "postgres/server_version.h"
#include "store/manifest.h"
#include "stream/script_end.h"

#define MIB ((uint64_t)1024 * 1024)

/* A last stage that keeps what it gets, or counts it, or fails after so many bytes. */
struct catcher {
    struct stage stage;
    struct text bytes;
    uint64_t count;
    uint64_t fail_after; /* 0: never */
    bool count_only;
};

static bool catch_write(struct stage *stage, const void *data, size_t size, struct error *err)
{
    struct catcher *self = (struct catcher *)stage;

    self->count += size;
    if (self->fail_after > 0 && self->count > self->fail_after) {
        return error_set(err, ERROR_FAILED, "the store is full");
    }
    if (!self->count_only) {
        text_append_bytes(&self->bytes, data, size);
    }
    return true;
}

static bool catch_finish(struct stage *stage, struct error *err)
{
    (void)stage;
    (void)err;
    return true;
}

static void catch_free(struct stage *stage)
{
    (void)stage;
}

static void catcher_init(struct catcher *self)
{
    static const struct stage_ops ops = {catch_write, catch_finish, catch_free};

    *self = (struct catcher){.stage = {.ops = &ops}, .bytes = TEXT_INIT((size_t)64 * MIB)};
}

/* The writer */

#define PARTS   200
#define WORKERS 5
#define LINES   40

struct race {
    struct ordered_writer *writer;
    bool defer; /* every seventh part */
};

static bool make(struct ordered_writer *writer, size_t part, struct error *err)
{
    char line[64];

    for (int i = 0; i < LINES; i++) {
        int size = snprintf(line, sizeof(line), "part %zu line %d\n", part, i);
        if (!ordered_writer_write(writer, part, line, (size_t)size, err)) {
            return false;
        }
    }
    return ordered_writer_end(writer, part, err);
}

static void *work(void *context)
{
    struct race *race = context;
    struct error err = ERROR_INIT;
    size_t part;

    while (ordered_writer_claim(race->writer, &part)) {
        if (race->defer && part % 7 == 3) {
            ordered_writer_defer(race->writer, part);
        } else if (!make(race->writer, part, &err)) {
            ordered_writer_fail(race->writer, &err);
            break;
        }
    }
    return NULL;
}

/* All parts by some threads, the deferred ones here; false with what ended it. */
static bool run_race(struct race *race, struct error *err)
{
    pthread_t threads[WORKERS];
    size_t part;
    bool any = true;
    bool ok = true;

    for (size_t i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, work, race), 0);
    }
    while (ok && any) {
        ok = ordered_writer_take_deferred(race->writer, &part, &any, err) &&
             (!any || make(race->writer, part, err));
    }
    if (!ok) {
        ordered_writer_fail(race->writer, err);
    }
    for (size_t i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
    }
    return ok;
}

static void assert_in_order(const struct text *bytes)
{
    const char *next = text_string(bytes);

    for (size_t part = 0; part < PARTS; part++) {
        for (int i = 0; i < LINES; i++) {
            char line[64];
            int size = snprintf(line, sizeof(line), "part %zu line %d\n", part, i);
            assert_memory_equal(next, line, (size_t)size);
            next += size;
        }
    }
    assert_string_equal(next, "");
}

static struct ordered_writer *new_writer(struct catcher *catcher, size_t most_buffered)
{
    struct error err = ERROR_INIT;
    const struct ordered_writer_options options = {
        .next = &catcher->stage, .parts = PARTS, .most_buffered = most_buffered};
    struct ordered_writer *writer = ordered_writer_new(&options, &err);

    assert_non_null(writer);
    return writer;
}

static void test_parts_come_in_order(void **state)
{
    /* No room at all, room for one chunk, room for everything. */
    static const size_t rooms[] = {0, 200 * 1024, (size_t)64 * 1024 * 1024};

    (void)state;
    for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
        for (int defer = 0; defer < 2; defer++) {
            struct catcher catcher;
            struct error err = ERROR_INIT;
            catcher_init(&catcher);
            struct race race = {.writer = new_writer(&catcher, rooms[i]), .defer = defer == 1};
            assert_true(run_race(&race, &err));
            assert_in_order(&catcher.bytes);
            ordered_writer_free(race.writer);
            text_clear(&catcher.bytes);
        }
    }
}

static void test_first_failure_is_told_to_all(void **state)
{
    struct catcher catcher;
    struct error err = ERROR_INIT;
    size_t part;

    (void)state;
    catcher_init(&catcher);
    catcher.fail_after = 20000;
    struct race race = {.writer = new_writer(&catcher, 300 * 1024)};
    assert_false(run_race(&race, &err));
    assert_string_equal(err.text, "the store is full");
    assert_false(ordered_writer_claim(race.writer, &part));
    error_clear(&err);
    assert_false(ordered_writer_end(race.writer, 0, &err));
    assert_string_equal(err.text, "the store is full");
    ordered_writer_free(race.writer);
    text_clear(&catcher.bytes);
}

/* Segments */

static void test_segment_stream(void **state)
{
    static const char text[] = "COPY t (a) FROM stdin;\n1\n\\.\n";
    struct compression compression = {.method = COMPRESSION_ZSTD, .level = 1};
    struct catcher catcher;
    struct segment segments[2] = {{.kind = SEGMENT_TABLE}, {.kind = SEGMENT_TABLE}};
    atomic_uint_least64_t raw_bytes = 0;
    struct error err = ERROR_INIT;
    unsigned char sha256[DIGEST_SHA256_SIZE];

    (void)state;
    catcher_init(&catcher);
    struct ordered_writer *writer = new_writer(&catcher, 0);
    struct segment_stream *stream = segment_stream_new(&compression, writer, &raw_bytes, &err);
    assert_non_null(stream);
    for (size_t i = 0; i < 2; i++) {
        segment_stream_begin(stream, 0, &segments[i]);
        assert_true(segment_stream_print(stream, text, &err));
        assert_true(segment_stream_end(stream, &err));
        assert_int_equal(segments[i].raw_length, strlen(text));
    }
    /* Each by itself, and so alike. */
    assert_int_equal(segments[0].length + segments[1].length, catcher.bytes.length);
    assert_memory_equal(segments[0].sha256, segments[1].sha256, DIGEST_SHA256_SIZE);
    assert_true(digest_of(DIGEST_SHA256, catcher.bytes.data, segments[0].length, sha256, &err));
    assert_memory_equal(segments[0].sha256, sha256, DIGEST_SHA256_SIZE);
    assert_int_equal(atomic_load(&raw_bytes), 2 * strlen(text));
    segment_stream_free(stream);
    ordered_writer_free(writer);
    text_clear(&catcher.bytes);
}

static void test_fingerprints(void **state)
{
    struct fingerprint one = {0, 0};
    struct fingerprint other = {0, 0};
    struct fingerprint twice = {0, 0};
    struct error err = ERROR_INIT;
    char text[FINGERPRINT_HEX_SIZE];

    (void)state;
    /* XXH3_128bits of no bytes with seed 0, from xxhash's own test vectors. */
    fingerprint_add(&one, "", 0);
    fingerprint_format(text, &one);
    assert_string_equal(text, "99aa06d3014798d86001c324468d497f");
    fingerprint_add(&one, "a", 1);
    fingerprint_add(&one, "b", 1);
    fingerprint_add(&other, "b", 1);
    fingerprint_add(&other, "", 0);
    fingerprint_add(&other, "a", 1);
    assert_memory_equal(&one, &other, sizeof(one));
    fingerprint_add(&other, "a", 1);
    assert_memory_not_equal(&one, &other, sizeof(one));
    /* In pieces it is the same row, and the next one is another. */
    struct fingerprint_row *row = fingerprint_row_new(&err);
    assert_non_null(row);
    other = (struct fingerprint){0, 0};
    one = (struct fingerprint){0, 0};
    for (int i = 0; i < 2; i++) {
        fingerprint_row_extend(row, "first ", 6);
        fingerprint_row_extend(row, "", 0);
        fingerprint_row_extend(row, "second", 6);
        fingerprint_row_end(row, &one);
        fingerprint_add(&other, "first second", 12);
        assert_memory_equal(&one, &other, sizeof(one));
    }
    fingerprint_row_free(row);
    /* 2^128 - 1 and 1 make 0. */
    twice = (struct fingerprint){.high = UINT64_MAX, .low = UINT64_MAX};
    fingerprint_merge(&twice, &(struct fingerprint){.high = 0, .low = 1});
    fingerprint_format(text, &twice);
    assert_string_equal(text, "00000000000000000000000000000000");
}

/* The plan */

static struct table_entry entry(const char *name, uint64_t pages, uint64_t bytes)
{
    static char empty[] = "";
    static char schema[] = "public";
    static char columns[] = "(a)";

    return (struct table_entry){.oid = 1,
                                .has_data = true,
                                .by_range = true,
                                .pages = pages,
                                .bytes = bytes,
                                .schema = schema,
                                .name = text_copy(name),
                                .ident = text_copy(name),
                                .target = empty,
                                .columns = columns,
                                .condition = empty};
}

static void free_entries(struct table_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(entries[i].name);
        free(entries[i].ident);
    }
}

static void make_plan(struct table_entry *entries, size_t count, uint64_t segment_bytes,
                      struct plan *plan)
{
    static const int64_t starts[] = {5, 900};
    const struct table_catalogue tables = {.items = entries, .count = count};
    const struct plan_options options = {.tables = &tables,
                                         .large_object_starts = starts,
                                         .large_object_parts = 2,
                                         .segment_bytes = segment_bytes};
    struct error err = ERROR_INIT;

    assert_true(plan_make(&options, plan, &err));
}

/* Every page of a table once, in order, the last range open. */
static void assert_covers(const struct plan *plan, size_t table, uint64_t pages)
{
    uint64_t page = 0;
    size_t ranges = 0;

    for (size_t i = 0; i < plan->segments.count; i++) {
        const struct segment *segment = &plan->segments.items[i];
        if (segment->table != table) {
            continue;
        }
        assert_true(segment->is_range);
        assert_int_equal(segment->from_page, page);
        assert_true(segment->until_page > page);
        page = segment->until_page;
        ranges++;
    }
    assert_true(ranges > 1);
    assert_true(page == SEGMENT_OPEN_ENDED);
    assert_true(plan->segments.count > 0 && pages > 0);
}

static void test_plan(void **state)
{
    struct table_entry entries[] = {
        entry("small_1", 1, 8192),
        entry("large", 12801, 12801 * 8192),
        entry("small_2", 0, 0),
        entry("wide_toast", 10, 100 * MIB),
        entry("partitioned", 0, 0),
        entry("small_3", 100, 100 * 8192),
        entry("one_page_toast", 1, 100 * MIB),
    };
    size_t count = sizeof(entries) / sizeof(entries[0]);
    struct plan plan;

    (void)state;
    entries[4].has_data = false;
    make_plan(entries, count, 32 * MIB, &plan);
    assert_int_equal(plan.segments.table_count, 6);
    assert_covers(&plan, 1, 12801);
    assert_covers(&plan, 3, 10);
    assert_int_equal(plan.segments.items[0].kind, SEGMENT_PRE_DATA);
    assert_int_equal(plan.segments.items[plan.segments.count - 1].kind, SEGMENT_POST_DATA);
    assert_int_equal(plan.segments.items[plan.segments.count - 4].kind, SEGMENT_SEQUENCES);
    assert_int_equal(plan.parts[plan.part_count - 3].from_oid, 5);
    assert_int_equal(plan.parts[plan.part_count - 3].until_oid, 900);
    assert_int_equal(plan.parts[plan.part_count - 2].until_oid, 0);
    size_t segments = 0;
    for (size_t i = 0; i < plan.part_count; i++) {
        assert_int_equal(plan.parts[i].first, segments);
        segments += plan.parts[i].count;
    }
    assert_int_equal(segments, plan.segments.count);
    plan_clear(&plan);
    free_entries(entries, count);
}

static void test_globals_come_first(void **state)
{
    struct table_entry entries[] = {entry("small", 1, 8192)};
    const struct table_catalogue tables = {.items = entries, .count = 1};
    const struct plan_options options = {.tables = &tables, .segment_bytes = MIB, .globals = true};
    struct error err = ERROR_INIT;
    struct plan plan;

    (void)state;
    assert_true(plan_make(&options, &plan, &err));
    assert_int_equal(plan.segments.count, 5);
    assert_int_equal(plan.segments.items[0].kind, SEGMENT_GLOBALS);
    assert_int_equal(plan.segments.items[1].kind, SEGMENT_PRE_DATA);
    assert_int_equal(segments_schema_at(&plan.segments), 1);
    plan_clear(&plan);
    free_entries(entries, 1);
}

static void test_without_ranges(void **state)
{
    struct table_entry entries[] = {entry("large", 12800, 12800 * 8192)};
    struct plan plan;

    (void)state;
    entries[0].by_range = false; /* as on a server before 14 */
    make_plan(entries, 1, MIB, &plan);
    assert_int_equal(plan.segments.count, 1 + 4 + 1);
    assert_false(plan.segments.items[1].is_range);
    plan_clear(&plan);
    free_entries(entries, 1);
}

static void test_small_tables_are_packed(void **state)
{
    struct table_entry *entries = calloc(5000, sizeof(*entries));
    struct plan plan;

    (void)state;
    assert_non_null(entries);
    for (size_t i = 0; i < 5000; i++) {
        char name[32];
        snprintf(name, sizeof(name), "t%zu", i);
        entries[i] = entry(name, 1, 8192);
    }
    make_plan(entries, 5000, 32 * MIB, &plan);
    assert_int_equal(plan.segments.table_count, 5000);
    assert_int_equal(plan.part_count, 10 + 5);
    plan_clear(&plan);
    free_entries(entries, 5000);
    free(entries);
}

/* The bound on memory of 200,000 segments: a plan, and a manifest that is never held whole. Fewer
 * under valgrind, which looks for other things. */
static void test_very_many_segments(void **state)
{
    uint64_t pages = getenv("MEMCHECK") != NULL ? 10000 : 200000;
    struct table_entry entries[] = {entry("large", pages, pages * 8192)};
    const struct backup_facts facts = {.run_id = "0123456789abcdef"};
    struct catcher catcher;
    struct plan plan;
    struct error err = ERROR_INIT;

    (void)state;
    catcher_init(&catcher);
    catcher.count_only = true;
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    make_plan(entries, 1, 8192, &plan);
    assert_int_equal(plan.segments.count, pages + 5);
    const struct manifest manifest = {
        .name = "x", .facts = &facts, .encoding = "UTF8", .segments = &plan.segments};
    assert_true(manifest_write(&manifest, &catcher.stage, &err));
    size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
    assert_true(catcher.count > pages * 200);
    assert_true(after < before + 60 * MIB);
    plan_clear(&plan);
    free_entries(entries, 1);
}

/* Scripts and versions */

static void test_ends_of_scripts(void **state)
{
    static const char end[] = SCRIPT_END_COMMENT "\n\\unrestrict k\n\n";
    static const char twice[] = "x" SCRIPT_END_COMMENT "y" SCRIPT_END_COMMENT "\n";
    struct script_tail tail = {.length = 0};

    (void)state;
    assert_ptr_equal(script_end_find(end, strlen(end)), end);
    assert_ptr_equal(script_end_find(twice, strlen(twice)), twice + 2 + strlen(SCRIPT_END_COMMENT));
    assert_null(script_end_find(end, strlen(SCRIPT_END_COMMENT) - 1));
    for (size_t i = 0; i < strlen(end); i++) {
        assert_false(script_tail_is_whole(&tail) && i < strlen(SCRIPT_END_COMMENT));
        script_tail_add(&tail, end + i, 1);
    }
    assert_true(script_tail_is_whole(&tail));
    char filler[SCRIPT_TAIL_SIZE] = "";
    script_tail_add(&tail, filler, sizeof(filler));
    assert_false(script_tail_is_whole(&tail));
}

static void test_pg_dump_versions(void **state)
{
    static const struct {
        const char *line;
        int major;
        int minor;
        bool has_restrict;
    } cases[] = {
        {"pg_dump (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)", 15, 20, true},
        {"pg_dump (PostgreSQL) 15.13", 15, 13, false},
        {"pg_dump (PostgreSQL) 13.22", 13, 22, true},
        {"pg_dump (PostgreSQL) 12.22", 12, 22, false},
        {"pg_dump (PostgreSQL) 18.0", 18, 0, true},
        {"pg_dump (PostgreSQL) 17.5", 17, 5, false},
        {"pg_dump (PostgreSQL) 19beta1", 19, 0, true},
    };
    int minor;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(pg_dump_parse_version(cases[i].line, &minor), cases[i].major);
        assert_int_equal(minor, cases[i].minor);
        assert_int_equal(pg_dump_version_has_restrict(cases[i].major, cases[i].minor),
                         cases[i].has_restrict);
    }
    assert_int_equal(pg_dump_parse_version("psql (PostgreSQL) 15.20", &minor), 0);
    assert_false(pg_dump_version_has_large_objects_in_data(16));
    assert_true(pg_dump_version_has_large_objects_in_data(17));
}

static void test_server_versions(void **state)
{
    (void)state;
    assert_true(server_version_has(130000, SERVER_ANY));
    assert_false(server_version_has(130022, SERVER_TID_RANGE_SCAN));
    assert_true(server_version_has(140000, SERVER_TID_RANGE_SCAN));
    assert_false(server_version_has(160010, SERVER_TRANSACTION_TIMEOUT));
    assert_true(server_version_has(170000, SERVER_TRANSACTION_TIMEOUT));
    assert_false(server_version_has(170006, SERVER_SEQUENCE_DATA));
    assert_true(server_version_has(180001, SERVER_SEQUENCE_DATA));
}

/* The manifest */

static void test_manifest(void **state)
{
    struct segment_table tables[] = {{.schema = text_copy("pub\"lic"), .name = text_copy("a\nb")},
                                     {.schema = text_copy("\xff"), .name = text_copy("☃")}};
    struct segment items[] = {
        {.kind = SEGMENT_PRE_DATA, .table = SEGMENT_NO_TABLE, .length = 10, .raw_length = 100},
        {.kind = SEGMENT_TABLE,
         .table = 0,
         .length = 20,
         .raw_length = 200,
         .rows = 3,
         .fingerprint = {1, UINT64_MAX},
         .is_range = true,
         .until_page = 7},
        {.kind = SEGMENT_TABLE,
         .table = 0,
         .length = 30,
         .raw_length = 300,
         .rows = 4,
         .fingerprint = {2, 1},
         .is_range = true,
         .from_page = 7,
         .until_page = SEGMENT_OPEN_ENDED},
        {.kind = SEGMENT_TABLE, .table = 1, .length = 5, .raw_length = 50, .rows = 1},
    };
    struct segments segments = {.tables = tables, .table_count = 2, .items = items, .count = 4};
    const struct backup_facts facts = {.run_id = "0123456789abcdef", .rows = 8, .bytes = 65};
    const struct manifest manifest = {
        .name = "NAME", .facts = &facts, .encoding = "UTF8", .segments = &segments};
    struct catcher catcher;
    struct error err = ERROR_INIT;

    (void)state;
    segments_place(&segments);
    assert_int_equal(items[3].offset, 60);
    assert_int_equal(segments_rows(&segments), 8);
    assert_int_equal(segments_raw_length(&segments), 650);
    catcher_init(&catcher);
    assert_true(manifest_write(&manifest, &catcher.stage, &err));
    json_t *root = json_loads(text_string(&catcher.bytes), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    json_t *table = json_array_get(json_object_get(root, "tables"), 0);
    assert_string_equal(json_string_value(json_object_get(table, "schema")), "pub\"lic");
    assert_string_equal(json_string_value(json_object_get(table, "name")), "a\nb");
    assert_int_equal(json_integer_value(json_object_get(table, "rows")), 7);
    assert_string_equal(json_string_value(json_object_get(table, "fingerprint")),
                        "00000000000000040000000000000000");
    assert_int_equal(json_integer_value(json_object_get(table, "segments")), 2);
    table = json_array_get(json_object_get(root, "tables"), 1);
    assert_string_equal(json_string_value(json_object_get(table, "schema_hex")), "ff");
    json_t *segment = json_array_get(json_object_get(root, "segments"), 2);
    assert_int_equal(json_integer_value(json_object_get(segment, "from_page")), 7);
    assert_null(json_object_get(segment, "until_page"));
    assert_true(json_is_null(json_object_get(root, "occurrence")));
    json_decref(root);
    text_clear(&catcher.bytes);
    for (size_t i = 0; i < 2; i++) {
        free(tables[i].schema);
        free(tables[i].name);
    }
}

static void test_manifest_names(void **state)
{
    char name[MANIFEST_NAME_SIZE];
    char backup[BACKUP_NAME_SIZE];

    (void)state;
    manifest_name(name, "rythm-backup-2025-01-29T02-00-01-123Z.sql.zst");
    assert_string_equal(name, "rythm-backup-2025-01-29T02-00-01-123Z.sql.zst.json");
    assert_true(manifest_name_parse(name, backup));
    assert_string_equal(backup, "rythm-backup-2025-01-29T02-00-01-123Z.sql.zst");
    assert_false(manifest_name_parse("rythm-backup-2025-01-29T02-00-01-123Z.sql.zst", backup));
    assert_false(manifest_name_parse("x.json", backup));
    assert_false(manifest_name_parse(".json", backup));
}

static void test_restrict_keys(void **state)
{
    static const char *const bad[] = {"", "a b", "a'", "\xc3\xa9", "a\n"};
    char longest[65];
    struct error err = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(dump_check_restrict_key(bad[i], &err));
        assert_int_equal(err.kind, ERROR_USAGE);
    }
    memset(longest, 'k', sizeof(longest) - 1);
    longest[64] = '\0';
    assert_false(dump_check_restrict_key(longest, &err));
    longest[63] = '\0';
    assert_true(dump_check_restrict_key(longest, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_come_in_order),
        cmocka_unit_test(test_first_failure_is_told_to_all),
        cmocka_unit_test(test_segment_stream),
        cmocka_unit_test(test_fingerprints),
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_globals_come_first),
        cmocka_unit_test(test_without_ranges),
        cmocka_unit_test(test_small_tables_are_packed),
        cmocka_unit_test(test_very_many_segments),
        cmocka_unit_test(test_ends_of_scripts),
        cmocka_unit_test(test_pg_dump_versions),
        cmocka_unit_test(test_server_versions),
        cmocka_unit_test(test_manifest),
        cmocka_unit_test(test_manifest_names),
        cmocka_unit_test(test_restrict_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

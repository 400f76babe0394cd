/*
 * Manifests read back: what was written comes again, in bounded memory; what was changed, cut, or
 * made to deceive is refused, by name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <jansson.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/settings.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "store/manifest.h"
#include "store/manifest_read.h"
#include "store/store.h"

#define NAME   "rythm-backup-2025-01-29T02-00-01-123Z.sql.zst"
#define RUN_ID "0123456789abcdef"
#define SHA256 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define MIB    ((size_t)1024 * 1024)

static char folder[64];
static char file[192];
static struct store *store;

/* A store in memory that has one object, for tests that read it very often. */
static struct memory {
    struct store store;
    const char *data; /* NULL: the folder is asked */
    size_t size;
} memory;

static bool memory_head(struct store *base, const char *name, struct object *out, bool *found,
                        struct error *err)
{
    (void)base;
    (void)err;
    *out = (struct object){.name = text_copy(name), .etag = text_copy("1"), .bytes = memory.size};
    *found = true;
    return true;
}

static bool memory_open(struct store *base, const struct object *object, struct download **out,
                        struct error *err)
{
    (void)err;
    *out = calloc(1, sizeof(**out));
    assert_non_null(*out);
    **out = (struct download){.store = base, .bytes = object->bytes};
    return true;
}

static bool memory_read(struct download *download, uint64_t offset, void *buffer, size_t size,
                        struct error *err)
{
    (void)download;
    (void)err;
    memcpy(buffer, memory.data + offset, size);
    return true;
}

static void memory_close(struct download *download)
{
    free(download);
}

static const struct store_ops memory_ops = {.head = memory_head,
                                            .download_open = memory_open,
                                            .download_read = memory_read,
                                            .download_close = memory_close};

static int begin(void **state)
{
    const struct settings settings = {.values = {NULL}};
    struct error err = ERROR_INIT;
    char url[80];

    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/rythm-backup-manifest-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(file, sizeof(file), "%s/" NAME MANIFEST_SUFFIX, folder);
    snprintf(url, sizeof(url), "file://%s", folder);
    return store_open(url, &settings, &store, &err) ? 0 : -1;
}

static int end(void **state)
{
    char meta[256];
    char lock[256];

    (void)state;
    memory.data = NULL;
    store_close(store);
    snprintf(meta, sizeof(meta), "%s.meta", file);
    snprintf(lock, sizeof(lock), "%s/.rythm-backup.lock", folder);
    unlink(file);
    unlink(meta);
    unlink(lock);
    return rmdir(folder);
}

/* A small backup with everything that a manifest can have. */

static struct segment_table small_tables[] = {
    {.schema = (char[]){"app"}, .name = (char[]){"a\"b\n☃"}},
    {.schema = (char[]){"pub\xfflic"}, .name = (char[]){"\xfe\x01"}},
};

static struct segment small_items[] = {
    {.kind = SEGMENT_PRE_DATA, .table = SEGMENT_NO_TABLE, .length = 10, .raw_length = 100},
    {.kind = SEGMENT_TABLE,
     .length = 20,
     .raw_length = 200,
     .rows = 3,
     .fingerprint = {1, UINT64_MAX},
     .is_range = true,
     .until_page = 7,
     .sha256 = {0xab, 1}},
    {.kind = SEGMENT_TABLE,
     .length = 30,
     .raw_length = 300,
     .rows = 4,
     .fingerprint = {2, 1},
     .is_range = true,
     .from_page = 7,
     .until_page = SEGMENT_OPEN_ENDED},
    {.kind = SEGMENT_TABLE, .table = 1, .length = 5, .raw_length = 50, .rows = 1},
    {.kind = SEGMENT_SEQUENCES, .table = SEGMENT_NO_TABLE, .length = 6, .raw_length = 60},
    {.kind = SEGMENT_LARGE_OBJECTS, .table = SEGMENT_NO_TABLE, .length = 7, .raw_length = 70},
    {.kind = SEGMENT_POST_DATA, .table = SEGMENT_NO_TABLE, .length = 8, .raw_length = 80},
};

static struct segments small = {
    .tables = small_tables, .table_count = 2, .items = small_items, .count = 7};

static struct backup_facts facts_of(const struct segments *segments)
{
    struct backup_facts facts = {.run_id = RUN_ID,
                                 .schedule_id = "11111111-1111-4111-8111-111111111111",
                                 .has_occurrence = true,
                                 .occurrence_ms = INT64_C(1738116000000),
                                 .type = "scheduled",
                                 .database = "gr\xc3\xbc\xc3\x9f"
                                             "e",
                                 .ledger = "\xff ledger",
                                 .system = "7300000000000000001",
                                 .source = "7300000000000000002",
                                 .server_version = "15.8",
                                 .tool_version = "0.1.0",
                                 .compression = "zstd",
                                 .engine = "parallel",
                                 .has_rows = true,
                                 .tables = segments->table_count,
                                 .rows = segments_rows(segments),
                                 .raw_bytes = segments_raw_length(segments),
                                 .duration_ms = 8123,
                                 .sha256 = SHA256};
    const struct segment *last = &segments->items[segments->count - 1];

    facts.bytes = last->offset + last->length;
    return facts;
}

/* Stores a manifest of these; its digest goes to the facts. */
static const struct scope *scope_put;

static void put_manifest(const struct segments *segments, struct backup_facts *facts)
{
    const struct manifest manifest = {.name = NAME,
                                      .facts = facts,
                                      .snapshot_ms = INT64_C(1738116001000),
                                      .encoding = "SQL_ASCII",
                                      .locale = {.provider = "icu",
                                                 .collate = "C",
                                                 .ctype = "C.UTF-8",
                                                 .locale = "de-AT",
                                                 .icu_rules = "&V << w <<< W"},
                                      .segments = segments,
                                      .scope = scope_put};
    struct metadata metadata = METADATA_INIT;
    struct stream_digest digest;
    struct error err = ERROR_INIT;

    assert_true(store_prepare(store, &err));
    assert_true(backup_facts_format(facts, &metadata, &err));
    if (!manifest_store(&manifest, store, &metadata, &digest, &err)) {
        fail_msg("%s", err.text);
    }
    metadata_clear(&metadata);
    snprintf(facts->manifest_sha256, sizeof(facts->manifest_sha256), "%s", digest.sha256);
}

static bool read_manifest(const struct backup_facts *facts, struct manifest_copy *out, bool *found,
                          struct error *err)
{
    const struct object object = {.name = (char[]){NAME}, .bytes = facts->bytes};
    const struct backup_object backup = {.object = &object, .facts = *facts};

    memory.store.ops = &memory_ops;
    return manifest_read(memory.data != NULL ? &memory.store : store, &backup, out, found, err);
}

static void assert_segments(const struct segments *found, const struct segments *expected)
{
    assert_int_equal(found->table_count, expected->table_count);
    for (size_t i = 0; i < expected->table_count; i++) {
        assert_string_equal(found->tables[i].schema, expected->tables[i].schema);
        assert_string_equal(found->tables[i].name, expected->tables[i].name);
    }
    assert_int_equal(found->count, expected->count);
    for (size_t i = 0; i < expected->count; i++) {
        const struct segment *one = &found->items[i];
        const struct segment *other = &expected->items[i];
        assert_int_equal(one->kind, other->kind);
        assert_int_equal(one->table, other->table);
        assert_int_equal(one->is_range, other->is_range);
        assert_int_equal(one->from_page, other->from_page);
        assert_int_equal(one->until_page, other->until_page);
        assert_int_equal(one->offset, other->offset);
        assert_int_equal(one->length, other->length);
        assert_int_equal(one->raw_length, other->raw_length);
        assert_int_equal(one->rows, other->rows);
        assert_int_equal(one->fingerprint.high, other->fingerprint.high);
        assert_int_equal(one->fingerprint.low, other->fingerprint.low);
        assert_memory_equal(one->sha256, other->sha256, sizeof(one->sha256));
    }
}

static void assert_read(const struct backup_facts *facts, const struct segments *segments)
{
    struct manifest_copy copy;
    struct error err = ERROR_INIT;
    bool found = false;

    if (!read_manifest(facts, &copy, &found, &err)) {
        fail_msg("%s", err.text);
    }
    assert_true(found);
    assert_string_equal(copy.name, NAME);
    assert_string_equal(copy.encoding, "SQL_ASCII");
    assert_string_equal(copy.locale.provider, "icu");
    assert_string_equal(copy.locale.collate, "C");
    assert_string_equal(copy.locale.ctype, "C.UTF-8");
    assert_string_equal(copy.locale.locale, "de-AT");
    assert_string_equal(copy.locale.icu_rules, "&V << w <<< W");
    assert_int_equal(copy.snapshot_ms, INT64_C(1738116001000));
    assert_memory_equal(copy.facts.run_id, facts->run_id, sizeof(facts->run_id));
    assert_string_equal(copy.facts.schedule_id, facts->schedule_id);
    assert_int_equal(copy.facts.has_occurrence, facts->has_occurrence);
    assert_int_equal(copy.facts.occurrence_ms, facts->occurrence_ms);
    assert_string_equal(copy.facts.type, facts->type);
    assert_string_equal(copy.facts.database, facts->database);
    assert_string_equal(copy.facts.ledger, facts->ledger);
    assert_string_equal(copy.facts.system, facts->system);
    assert_string_equal(copy.facts.source, facts->source);
    assert_string_equal(copy.facts.server_version, facts->server_version);
    assert_string_equal(copy.facts.tool_version, facts->tool_version);
    assert_string_equal(copy.facts.compression, facts->compression);
    assert_string_equal(copy.facts.engine, facts->engine);
    assert_string_equal(copy.facts.sha256, facts->sha256);
    assert_string_equal(copy.facts.manifest_sha256, facts->manifest_sha256);
    assert_true(copy.facts.has_rows);
    assert_int_equal(copy.facts.tables, segments->table_count);
    assert_int_equal(copy.facts.rows, facts->rows);
    assert_int_equal(copy.facts.bytes, facts->bytes);
    assert_int_equal(copy.facts.raw_bytes, facts->raw_bytes);
    assert_int_equal(copy.facts.duration_ms, facts->duration_ms);
    assert_segments(&copy.segments, segments);
    manifest_copy_clear(&copy);
}

static void assert_refused(const struct backup_facts *facts, const char *words, const char *what)
{
    struct manifest_copy copy;
    struct error err = ERROR_INIT;
    bool found = true;

    if (read_manifest(facts, &copy, &found, &err)) {
        fail_msg("accepted: %s", what);
    }
    assert_false(found);
    if (strstr(err.text, words) == NULL ||
        strstr(err.text, "reading the manifest " NAME ".json: ") == NULL) {
        fail_msg("%s: '%s' is not in: %s", what, words, err.text);
    }
}

static void write_file(const void *data, size_t size)
{
    FILE *out = fopen(file, "w");

    assert_non_null(out);
    assert_int_equal(fwrite(data, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
}

static void put_memory(const struct text *text, size_t size)
{
    memory.data = text_string(text);
    memory.size = size;
}

static void read_file(struct text *out)
{
    FILE *in = fopen(file, "r");
    char buffer[8192];
    size_t got;

    assert_non_null(in);
    while ((got = fread(buffer, 1, sizeof(buffer), in)) > 0) {
        text_append_bytes(out, buffer, got);
    }
    fclose(in);
    assert_false(out->failed);
}

/* The small manifest's text; the facts of its backup are left without its digest. */
static void small_text(struct backup_facts *facts, struct text *out)
{
    segments_place(&small);
    *facts = facts_of(&small);
    put_manifest(&small, facts);
    facts->manifest_sha256[0] = '\0';
    read_file(out);
}

static void test_round_trip(void **state)
{
    segments_place(&small);
    struct backup_facts facts = facts_of(&small);

    (void)state;
    put_manifest(&small, &facts);
    assert_int_equal(strlen(facts.manifest_sha256), 64);
    assert_read(&facts, &small);
    facts.manifest_sha256[0] = '\0';
    assert_read(&facts, &small);
}

static void test_a_part(void **state)
{
    struct segment_table bare[] = {{"a", "bare \"one\""}, {"b", "\xff"}};
    struct segments part = small;
    struct scope scope = {.lists = {NULL}};
    struct manifest_copy copy;
    struct error err = ERROR_INIT;
    bool found = false;

    (void)state;
    part.bare = bare;
    part.bare_count = 2;
    assert_true(scope_add(&scope, SCOPE_SCHEMAS, "a", &err));
    assert_true(scope_add(&scope, SCOPE_EXCLUDED_DATA, "\"bare \"\"one\"\"\"", &err));
    assert_true(scope_add(&scope, SCOPE_EXCLUDED_DATA, "b.*", &err));
    scope_put = &scope;
    segments_place(&part);
    struct backup_facts facts = facts_of(&part);
    put_manifest(&part, &facts);
    scope_put = NULL;
    assert_true(read_manifest(&facts, &copy, &found, &err));
    assert_true(found && scope_equal(&copy.scope, &scope));
    assert_int_equal(copy.segments.bare_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(copy.segments.bare[i].schema, bare[i].schema);
        assert_string_equal(copy.segments.bare[i].name, bare[i].name);
    }
    manifest_copy_clear(&copy);
    scope_clear(&scope);
}

static void test_a_manual_backup(void **state)
{
    segments_place(&small);
    struct backup_facts facts = facts_of(&small);

    (void)state;
    facts.schedule_id[0] = '\0';
    facts.has_occurrence = false;
    facts.occurrence_ms = 0;
    facts.database[0] = '\0';
    facts.system[0] = '\0';
    snprintf(facts.type, sizeof(facts.type), "manual");
    put_manifest(&small, &facts);
    assert_read(&facts, &small);
}

static void test_no_table(void **state)
{
    struct segment items[] = {
        {.kind = SEGMENT_PRE_DATA, .table = SEGMENT_NO_TABLE, .length = 1, .raw_length = 2},
        {.kind = SEGMENT_POST_DATA, .table = SEGMENT_NO_TABLE, .length = 3, .raw_length = 4}};
    struct segments segments = {.items = items, .count = 2};

    (void)state;
    segments_place(&segments);
    struct backup_facts facts = facts_of(&segments);
    put_manifest(&segments, &facts);
    assert_read(&facts, &segments);
}

static void test_globals(void **state)
{
    struct segment items[] = {
        {.kind = SEGMENT_GLOBALS, .table = SEGMENT_NO_TABLE, .length = 5, .raw_length = 6},
        {.kind = SEGMENT_PRE_DATA, .table = SEGMENT_NO_TABLE, .length = 1, .raw_length = 2},
        {.kind = SEGMENT_POST_DATA, .table = SEGMENT_NO_TABLE, .length = 3, .raw_length = 4}};
    struct segments segments = {.items = items, .count = 3};

    (void)state;
    segments_place(&segments);
    struct backup_facts facts = facts_of(&segments);
    put_manifest(&segments, &facts);
    assert_read(&facts, &segments);
}

static void test_where_there_is_none(void **state)
{
    const struct object object = {.name = (char[]){NAME}, .bytes = 5};
    struct backup_object backup = {.object = &object, .legacy = true};
    struct manifest_copy copy;
    struct error err = ERROR_INIT;
    bool found = true;

    (void)state;
    assert_true(manifest_read(store, &backup, &copy, &found, &err));
    assert_false(found);
    write_file("{}", 2);
    found = true;
    assert_true(manifest_read(store, &backup, &copy, &found, &err));
    assert_false(found);
    backup.legacy = false;
    assert_int_equal(unlink(file), 0);
    found = true;
    assert_true(manifest_read(store, &backup, &copy, &found, &err));
    assert_false(found);
}

/* JSON knows no order of keys, and a later program of this version may add some. */
static void test_another_order_and_more(void **state)
{
    struct text text = TEXT_INIT(MIB);
    struct backup_facts facts;

    (void)state;
    small_text(&facts, &text);
    json_t *root = json_loads(text_string(&text), 0, NULL);
    assert_non_null(root);
    json_t *table = json_array_get(json_object_get(root, "tables"), 0);
    json_t *segment = json_array_get(json_object_get(root, "segments"), 1);
    assert_int_equal(json_object_set_new(root, "more", json_pack("[i,{s:n}]", 1, "x")), 0);
    assert_int_equal(json_object_set_new(table, "more", json_pack("[i,{s:n}]", 1, "x")), 0);
    assert_int_equal(json_object_set_new(segment, "a", json_real(0.5)), 0);
    char *sorted = json_dumps(root, JSON_SORT_KEYS | JSON_INDENT(3));
    assert_non_null(sorted);
    assert_true(strstr(sorted, "\"segments\": [") < strstr(sorted, "\"tables\": ["));
    write_file(sorted, strlen(sorted));
    assert_read(&facts, &small);
    free(sorted);
    json_decref(root);
    text_clear(&text);
}

static const struct database_locale *read_locale(const struct backup_facts *facts, json_t *root)
{
    static struct database_locale locale;
    struct manifest_copy copy;
    struct error err = ERROR_INIT;
    bool found = false;
    char *changed = json_dumps(root, 0);

    write_file(changed, strlen(changed));
    free(changed);
    assert_true(read_manifest(facts, &copy, &found, &err) && found);
    locale = copy.locale;
    manifest_copy_clear(&copy);
    return &locale;
}

/* Of an older program, and of a backup whose locale was not known. */
static void test_without_a_locale(void **state)
{
    static const char *const keys[] = {"locale_provider", "collate", "ctype", "locale",
                                       "icu_rules"};
    struct text text = TEXT_INIT(MIB);
    struct backup_facts facts;

    (void)state;
    small_text(&facts, &text);
    json_t *root = json_loads(text_string(&text), 0, NULL);
    assert_non_null(root);
    assert_true(database_locale_is_known(read_locale(&facts, root)));
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        assert_int_equal(json_object_set_new(root, keys[i], json_null()), 0);
    }
    assert_false(database_locale_is_known(read_locale(&facts, root)));
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        assert_int_equal(json_object_del(root, keys[i]), 0);
    }
    assert_false(database_locale_is_known(read_locale(&facts, root)));
    json_decref(root);
    text_clear(&text);
}

/* Whoever can change the manifest cannot change the backup's metadata. */
static void test_every_flipped_bit(void **state)
{
    struct text text = TEXT_INIT(MIB);
    struct backup_facts facts;
    size_t step = getenv("MEMCHECK") != NULL ? 97 : 1;

    (void)state;
    small_text(&facts, &text);
    struct backup_facts sealed = facts;
    unsigned char sha256[DIGEST_SHA256_SIZE];
    struct error err = ERROR_INIT;
    assert_true(digest_of(DIGEST_SHA256, text.data, text.length, sha256, &err));
    digest_format_hex(sealed.manifest_sha256, sha256, sizeof(sha256));
    assert_read(&sealed, &small);
    for (size_t i = 0; i < text.length * 8; i += step) {
        text.data[i / 8] = (char)(text.data[i / 8] ^ 1 << i % 8);
        put_memory(&text, text.length);
        assert_refused(&sealed, "it is not the one that was stored with the backup",
                       "a flipped bit");
        text.data[i / 8] = (char)(text.data[i / 8] ^ 1 << i % 8);
    }
    text_clear(&text);
}

static void test_every_truncation(void **state)
{
    struct text text = TEXT_INIT(MIB);
    struct backup_facts facts;
    size_t step = getenv("MEMCHECK") != NULL ? 17 : 1;

    (void)state;
    small_text(&facts, &text);
    struct backup_facts sealed = facts;
    snprintf(sealed.manifest_sha256, sizeof(sealed.manifest_sha256), SHA256);
    /* The last byte ends its last line: without it the document is whole. */
    for (size_t i = 0; i < text.length - 1; i += step) {
        put_memory(&text, i);
        assert_refused(&facts, "", "a truncated manifest");
        assert_refused(&sealed, "it is not the one that was stored", "a truncated manifest");
    }
    put_memory(&text, text.length - 1);
    assert_read(&facts, &small);
    assert_refused(&sealed, "it is not the one that was stored", "a manifest without its end");
    text_clear(&text);
}

/* The good manifest with one text replaced by another. */
static const struct {
    const char *find;
    const char *put;
    const char *words;
} hostile[] = {
    {"\"tables\": [", "\"scope\": 7, \"tables\": [", "scope"},
    {"\"tables\": [", "\"scope\": [{\"name\": \"a\"}], \"tables\": [", "scope[0].list is missing"},
    {"\"tables\": [", "\"scope\": [{\"list\": \"schemas\", \"name\": 1}], \"tables\": [",
     "scope[0].name"},
    {"\"tables\": [", "\"left_out\": [{\"schema\": \"a\"}], \"tables\": [", "left_out[0].name"},
    {"\"tables\": [", "\"left_out\": [\"a\"], \"tables\": [", "left_out[0] is not an object"},
    {"rythm-backup manifest", "other manifest", "format is not 'rythm-backup manifest'"},
    {"\"format\": \"rythm-backup manifest\"", "\"format\": 1", "format is not"},
    {"\"format\"", "\"form\"", "format is missing"},
    {"\"version\": 1", "\"version\": 3", "version 3, and this program reads version 2"},
    {"\"version\": 1", "\"version\": 9223372036854775807", "use a newer rythm-backup"},
    {"\"version\": 1", "\"version\": 0", "version is not a whole number from 1 on"},
    {"\"version\": 1", "\"version\": -1", "version is not a whole number from 1 on"},
    {"\"version\": 1", "\"version\": 1.0", "version is not a whole number from 1 on"},
    {"\"version\": 1", "\"version\": \"1\"", "version is not a whole number from 1 on"},
    {"\"version\": 1,", "", "version is missing"},
    {"\"version\": 1,", "\"version\": 1, \"version\": 1,", "version is there twice"},
    {"\"version\": 1,", "\"version\": 1, \"x\": 1, \"x\": 1,", "x is there twice"},
    {"\"version\": 1,", "\"version\": 1, \"x\": {\"y\": 1, \"y\": 1},", "duplicate object key"},
    {"\"version\": 1,", "\"version\": 1, 2: 3,", "a key is not a text"},
    {"\"version\": 1,", "\"version\": 1, \"\\u0000\": 3,", "is not JSON"},
    {"\"version\": 1,", "\"version\": 1,,", "is not JSON"},
    {"\"version\": 1,", "\"version\": 1", "there should stand '}'"},
    {"\"version\": 1,", "\"version\" 1,", "there should stand ':'"},
    {"{\"format\"", "[\"format\"", "at byte 0 there should stand '{'"},
    {"{\"format\"", "{} {\"format\"", "is not JSON"},
    {"\"name\": \"rythm-backup-2025-01-29T02-00-01-123Z", "\"name\": \"rythm-backup-2",
     "its name is 'rythm-backup-2.sql.zst', the backup's is 'rythm-backup-2025"},
    {"\"name\": \"rythm", "\"name\": \"\\u0000rythm", "\\u0000 is not allowed"},
    {"\"run\": \"0123456789abcdef\"", "\"run\": \"0123456789abcdee\"", "its run is"},
    {"\"run\": \"0123456789abcdef\"", "\"run\": \"0123456789abcdef0\"", "run is too long"},
    {"\"run\": \"0123456789abcdef\"", "\"run\": null", "run is not a text"},
    {"\"run\": \"0123456789abcdef\",", "", "run is missing"},
    {"\"schedule\": \"", "\"schedule\": \"111", "schedule is too long"},
    {"\"schedule\": \"", "\"Schedule\": \"", "schedule is missing"},
    {"\"type\": \"scheduled\"", "\"type\": \"other\"", "type is neither"},
    {"\"ledger_hex\": \"ff", "\"ledger_hex\": \"f", "ledger_hex is not hex digits"},
    {"\"ledger_hex\": \"ff", "\"ledger_hex\": \"FF", "ledger_hex is not hex digits"},
    {"\"ledger_hex\": \"ff", "\"ledger_hex\": \"00", "ledger_hex is not hex digits"},
    {"\"ledger_hex\": \"", "\"ledger\": \"x\", \"ledger_hex\": \"", "are both there"},
    {"\"engine\": \"parallel\"", "\"engine\": \"pg_dump\"", "engine is not parallel"},
    {"\"compression\": \"zstd\"", "\"compression\": \"lzma\"", "compression is not"},
    {"\"compression\": \"zstd\"", "\"compression\": \"gzip\"", "its compression is 'gzip'"},
    {"\"encryption\": null", "\"encryption\": \"age\"", "no encrypted backups"},
    {"\"encryption\": null,", "", "encryption is missing"},
    {"\"sha256\": \"0011", "\"sha256\": \"0012", "its sha256 is"},
    {"\"sha256\": \"0011", "\"sha256\": \"001", "sha256 is not 64 hex digits"},
    {"\"sha256\": \"0011", "\"sha256\": \"00X1", "sha256 is not 64 hex digits"},
    {"2025-01-29T02:00:00.000Z", "2025-02-30T02:00:00.000Z", "occurrence is not an instant"},
    {"\"snapshot_at\": \"", "\"snapshot_at\": \"x", "snapshot_at is not an instant"},
    {"\"bytes\": 86", "\"bytes\": 87", "its bytes is 87, the backup's is 86"},
    {"\"bytes\": 86", "\"bytes\": 86.0", "bytes is not a whole number"},
    {"\"bytes\": 86", "\"bytes\": 86e0", "bytes is not a whole number"},
    {"\"bytes\": 86", "\"bytes\": 086", "bytes: the value at byte"},
    {"\"bytes\": 86", "\"bytes\": -86", "bytes is not a whole number"},
    {"\"bytes\": 86", "\"bytes\": 9223372036854775808", "bytes: the value at byte"},
    {"\"bytes\": 86", "\"bytes\": 1e999", "bytes: the value at byte"},
    {"\"raw_bytes\": 860", "\"raw_bytes\": 861", "its raw_bytes is 861"},
    {"\"rows\": 8,\n \"tables\"", "\"rows\": 9,\n \"tables\"", "its rows is 9"},
    {"\"tables\": [", "\"tables\": {", "tables: at byte"},
    {"\"tables\": [", "\"tables\": [[],", "tables[0] is not an object"},
    {"\"tables\": [", "\"tables\": [1e,", "tables[0]: the value at byte"},
    {"\"tables\": [", "\"tables\": [], \"tables\": [", "tables is there twice"},
    {"\"tables\": [", "\"Tables\": [", "tables is missing"},
    {"\"schema\": \"app\"", "\"schema\": \"\"", "tables[0].schema is not a text"},
    {"\"schema\": \"app\", ", "", "tables[0].schema is missing"},
    {"\"schema\": \"app\"", "\"schema\": \"app\", \"schema\": \"app\"", "duplicate object key"},
    {"\"schema\": \"app\"", "\"schema\": \"q\"", "does not stand behind the one before it"},
    {"\"schema\": \"app\"", "\"schema\": \"\xff\"", "is not JSON"},
    {"\"schema_hex\": \"70", "\"schema_hex\": \"7", "tables[1].schema_hex is not hex digits"},
    {"\"name_hex\": \"fe01\"", "\"name_hex\": \"fe00\"", "tables[1].name_hex is not hex digits"},
    {"\"rows\": 7, \"bytes\": 50", "\"rows\": 6, \"bytes\": 50", "the rows of tables[0] is not"},
    {"\"bytes\": 50", "\"bytes\": 51", "the bytes of tables[0] is not the sum"},
    {"\"raw_bytes\": 500", "\"raw_bytes\": 501", "the raw_bytes of tables[0] is not the sum"},
    {"\"fingerprint\": \"0000000000000004", "\"fingerprint\": \"0000000000000003",
     "the fingerprint of tables[0] is not the sum"},
    {"\"fingerprint\": \"0000000000000004", "\"fingerprint\": \"000000000000000",
     "tables[0].fingerprint is not 32 hex digits"},
    {"\"first_segment\": 1, \"segments\": 2", "\"first_segment\": 2, \"segments\": 2",
     "segments[3] is not of tables[0]"},
    {"\"first_segment\": 1, \"segments\": 2", "\"first_segment\": 1, \"segments\": 1",
     "the pages of segments[1] do not adjoin"},
    {"\"first_segment\": 1, \"segments\": 2", "\"first_segment\": 1, \"segments\": 0",
     "tables[0] has 0 segments"},
    {"\"first_segment\": 1, \"segments\": 2",
     "\"first_segment\": 9223372036854775807, \"segments\": 9223372036854775807", "of 7"},
    {"\"segments\": [", "\"segments\": [], \"x\": [", "it has 0 segments"},
    {"\"kind\": \"pre-data\"", "\"kind\": \"sequences\"", "segments[0] of 7 is sequences"},
    {"\"kind\": \"post-data\"", "\"kind\": \"sequences\"", "segments[6] of 7 is sequences"},
    {"\"kind\": \"sequences\"", "\"kind\": \"pre-data\"", "segments[4] of 7 is pre-data"},
    {"\"kind\": \"sequences\"", "\"kind\": \"globals\"",
     "segments[4] is globals, which only the first can be"},
    {"\"kind\": \"pre-data\"", "\"kind\": \"globals\"", "segments[1] of 7 is table"},
    {"\"kind\": \"sequences\"", "\"kind\": \"post-data\"", "segments[4] of 7 is post-data"},
    {"\"kind\": \"sequences\"", "\"kind\": \"table\"", "segments[4] is table and has no table"},
    {"\"kind\": \"sequences\"", "\"kind\": \"sequences\", \"table\": 1", "and has a table"},
    {"\"kind\": \"sequences\"", "\"kind\": \"other\"", "segments[4].kind is not a kind"},
    {"\"kind\": \"sequences\"", "\"kind\": \"sequences\", \"from_page\": 1",
     "segments[4].from_page is there, but the segment is not of a table"},
    {"\"table\": 1", "\"table\": 2", "segments[3] is of table 2 of 2"},
    {"\"table\": 1", "\"table\": -1", "segments[3].table is not a whole number"},
    {"\"table\": 1", "\"table\": 0", "segments[3] is not of tables[1]"},
    {"\"table\": 0, \"from_page\": 7", "\"table\": 1, \"from_page\": 7", "is not of tables[0]"},
    {"\"table\": 1, ", "\"table\": 1, \"from_page\": 3, ", "the pages of segments[3]"},
    {"\"from_page\": 0, ", "", "segments[1].until_page is not behind from_page"},
    {"\"from_page\": 0, ", "\"from_page\": 1, ", "the pages of segments[1] do not adjoin"},
    {"\"from_page\": 7", "\"from_page\": 8", "the pages of segments[2] do not adjoin"},
    {"\"from_page\": 7", "\"from_page\": 7, \"until_page\": 9", "the pages of segments[2]"},
    {"\"from_page\": 7", "\"from_page\": 7, \"until_page\": 7", "is not behind from_page"},
    {"\"until_page\": 7, ", "", "the pages of segments[1] do not adjoin"},
    {"\"offset\": 10, ", "\"offset\": 11, ", "segments[1] begins at byte 11, and what is before"},
    {"\"offset\": 10, ", "", "segments[1].offset is missing"},
    {"\"length\": 30", "\"length\": 29", "segments[3] begins at byte 60"},
    {"\"length\": 8, ", "\"length\": 9, ", "the bytes of the segments up to segments[6] are 87"},
    {"\"length\": 8, ", "\"length\": 7, ", "the bytes of its segments are 85 and not the 86"},
    {"\"length\": 8, ", "\"length\": 9223372036854775807, ", "more than the manifest's 86"},
    {"\"raw_length\": 80", "\"raw_length\": 79", "the raw bytes of its segments are 859"},
    {"\"raw_length\": 300", "\"raw_length\": 301", "segments up to segments[6] are 861"},
    {"\"rows\": 4,", "\"rows\": 5,", "the rows of the segments up to segments[3] are 9"},
    {"\"rows\": 4,", "\"rows\": 3,", "the rows of its segments are 7 and not the 8"},
    {"\"sha256\": \"ab01", "\"sha256\": \"ab0", "segments[1].sha256 is not 64 hex digits"},
    {"}]\n}\n", "},]\n}\n", "segments[7]: the value at byte"},
    {"}]\n}\n", "}]\n,}\n", "is not JSON"},
    {"}]\n}\n", "}]\n}\n}", "something follows its end"},
    {"}]\n}\n", "}]\n}\n{}", "something follows its end"},
    {"}]\n}\n", "}\n}\n", "segments: at byte"},
};

static void replace(const struct text *text, const char *find, const char *put, struct text *out)
{
    const char *at = strstr(text_string(text), find);

    if (at == NULL) {
        fail_msg("the good manifest has no '%s'", find);
    }
    text_append_bytes(out, text_string(text), (size_t)(at - text_string(text)));
    text_append(out, put);
    text_append(out, at + strlen(find));
    assert_false(out->failed);
}

static void assert_hostile(const struct backup_facts *facts, const struct text *text,
                           const char *find, const char *put, const char *words)
{
    struct text changed = TEXT_INIT(MIB);

    replace(text, find, put, &changed);
    put_memory(&changed, changed.length);
    assert_refused(facts, words, strlen(put) < 200 ? put : "a long one");
    text_clear(&changed);
}

static void test_hostile_documents(void **state)
{
    struct text text = TEXT_INIT(MIB);
    struct backup_facts facts;

    (void)state;
    small_text(&facts, &text);
    for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
        assert_hostile(&facts, &text, hostile[i].find, hostile[i].put, hostile[i].words);
    }
    text_clear(&text);
}

static void append_often(struct text *text, const char *string, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        text_append(text, string);
    }
}

static void test_what_is_too_much(void **state)
{
    static const char version[] = "\"version\": 1,";
    struct text text = TEXT_INIT(MIB);
    struct text more = TEXT_INIT(MIB);
    struct backup_facts facts;

    (void)state;
    small_text(&facts, &text);
    text_append(&more, "\"version\": 1, \"x\": ");
    append_often(&more, "[", 3000);
    append_often(&more, "]", 3000);
    text_append(&more, ",");
    assert_hostile(&facts, &text, version, text_string(&more), "maximum parsing depth");
    text_clear(&more);
    text_append(&more, "\"version\": 1, \"x\": \"");
    append_often(&more, "0123456789", 6600);
    text_append(&more, "\",");
    assert_hostile(&facts, &text, version, text_string(&more), "longer than the 65536 bytes");
    text_clear(&more);
    text_append(&more, "\"version\": 1, \"");
    append_often(&more, "0123456789", 26);
    text_append(&more, "\": 1,");
    assert_hostile(&facts, &text, version, text_string(&more), "a key is not a text of at most");
    text_clear(&more);
    text_append(&more, "\"version\": 1,");
    for (int i = 0; i < MANIFEST_MOST_KEYS; i++) {
        text_appendf(&more, "\"x%d\": 1,", i);
    }
    assert_hostile(&facts, &text, version, text_string(&more), "more than the 256 keys");
    text_clear(&more);
    text_append(&more, "\"schema\": \"");
    append_often(&more, "s", 1024);
    text_append(&more, "\"");
    assert_hostile(&facts, &text, "\"schema\": \"app\"", text_string(&more), "schema is too long");
    text_clear(&more);
    /* Blanks are no value, however many. */
    append_often(&more, " \n\t\r", 100000);
    text_append(&more, version);
    struct text changed = TEXT_INIT(MIB);
    replace(&text, version, text_string(&more), &changed);
    put_memory(&changed, changed.length);
    assert_read(&facts, &small);
    text_clear(&changed);
    text_clear(&more);
    text_clear(&text);
    memory.data = NULL;
    assert_int_equal(truncate(file, (off_t)MANIFEST_MOST_BYTES + 1), 0);
    assert_refused(&facts, "more than the 4294967296 allowed", "4 GiB");
}

static void test_of_another_backup(void **state)
{
    segments_place(&small);
    struct backup_facts facts = facts_of(&small);
    struct backup_facts other;

    (void)state;
    put_manifest(&small, &facts);
    other = facts;
    snprintf(other.run_id, sizeof(other.run_id), "fedcba9876543210");
    assert_refused(&other, "its run is '0123456789abcdef', the backup's is 'fedcba9876543210'",
                   "another run");
    other = facts;
    other.bytes = 85;
    assert_refused(&other, "its bytes is 86, the backup's is 85", "another length");
    other = facts;
    other.tables = 3;
    assert_refused(&other, "its number of tables is 2, the backup's is 3", "another count");
    /* Older backups do not tell. */
    other.has_rows = false;
    assert_read(&other, &small);
}

/* All that jansson holds at once. */
static size_t json_bytes;
static size_t json_peak;

static void *count_malloc(size_t size)
{
    void *piece = malloc(size);

    json_bytes += malloc_usable_size(piece);
    json_peak = json_bytes > json_peak ? json_bytes : json_peak;
    return piece;
}

static void count_free(void *piece)
{
    json_bytes -= malloc_usable_size(piece);
    free(piece);
}

static void test_very_many_segments(void **state)
{
    size_t pages = getenv("MEMCHECK") != NULL ? 2000 : 200000;
    struct segment_table table = {.schema = (char[]){"public"}, .name = (char[]){"large"}};
    struct segments segments = {.tables = &table, .table_count = 1, .count = pages + 2};
    struct error err = ERROR_INIT;
    struct manifest_copy copy;
    bool found;

    (void)state;
    segments.items = calloc(segments.count, sizeof(*segments.items));
    assert_non_null(segments.items);
    for (size_t i = 0; i < segments.count; i++) {
        segments.items[i] = (struct segment){.kind = SEGMENT_TABLE,
                                             .length = 1000000 + i,
                                             .raw_length = 4000000 + i,
                                             .rows = i,
                                             .fingerprint = {i * UINT64_C(0x9e3779b97f4a7c15), i},
                                             .is_range = true,
                                             .from_page = i - 1,
                                             .until_page = i == pages ? SEGMENT_OPEN_ENDED : i};
    }
    segments.items[0] =
        (struct segment){.kind = SEGMENT_PRE_DATA, .table = SEGMENT_NO_TABLE, .length = 10};
    segments.items[pages + 1] =
        (struct segment){.kind = SEGMENT_POST_DATA, .table = SEGMENT_NO_TABLE, .length = 10};
    segments_place(&segments);
    struct backup_facts facts = facts_of(&segments);
    put_manifest(&segments, &facts);
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    json_bytes = json_peak = 0;
    json_set_alloc_funcs(count_malloc, count_free);
    bool ok = read_manifest(&facts, &copy, &found, &err);
    json_set_alloc_funcs(malloc, free);
    size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
    if (!ok) {
        fail_msg("%s", err.text);
    }
    assert_true(json_peak > 0 && json_peak < 64 * 1024);
    assert_int_equal(json_bytes, 0);
    /* What is kept, which grows by doubling. */
    assert_true(after < before + 2 * segments.count * sizeof(struct segment) + MIB);
    assert_segments(&copy.segments, &segments);
    manifest_copy_clear(&copy);
    free(segments.items);
}

static void test_words(void **state)
{
    static const char *const bad[] = {"",
                                      "0",
                                      "0123456789abcdef0123456789abcde",
                                      "0123456789abcdef0123456789abcdef0",
                                      "0123456789ABCDEF0123456789abcdef",
                                      "-123456789abcdef0123456789abcdef"};
    const struct fingerprint sum = {UINT64_C(0x0123456789abcdef), UINT64_MAX};
    struct fingerprint parsed = {0, 0};
    char text[FINGERPRINT_HEX_SIZE];
    enum segment_kind kind = SEGMENT_TABLE;

    (void)state;
    fingerprint_format(text, &sum);
    assert_true(fingerprint_parse(text, &parsed));
    assert_memory_equal(&parsed, &sum, sizeof(sum));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(fingerprint_parse(bad[i], &parsed));
    }
    assert_memory_equal(&parsed, &sum, sizeof(sum));
    for (int i = SEGMENT_GLOBALS; i <= SEGMENT_POST_DATA; i++) {
        assert_true(segment_kind_parse(segment_kind_name((enum segment_kind)i), &kind));
        assert_int_equal(kind, i);
    }
    assert_false(segment_kind_parse("", &kind));
    assert_false(segment_kind_parse("tables", &kind));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_round_trip),
        TEST(test_a_manual_backup),
        TEST(test_a_part),
        TEST(test_no_table),
        TEST(test_globals),
        TEST(test_where_there_is_none),
        TEST(test_another_order_and_more),
        TEST(test_without_a_locale),
        TEST(test_every_flipped_bit),
        TEST(test_every_truncation),
        TEST(test_hostile_documents),
        TEST(test_what_is_too_much),
        TEST(test_of_another_backup),
        TEST(test_very_many_segments),
        cmocka_unit_test(test_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

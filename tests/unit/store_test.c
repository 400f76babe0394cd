/*
 * The part that all stores share: names, facts, metadata, lists, URLs, the pool.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/redact.h"
#include "base/settings.h"
#include "store/backup_object.h"
#include "store/store.h"
#include "store/store_pool.h"

#define BEGUN_MS INT64_C(1738116001123)
#define RUN_ID   "0123456789abcdef"
#define SCHEDULE "11111111-1111-4111-8111-111111111111"
#define SHA256   "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* Names. */

static void test_names_formatted(void **state)
{
    static const char *const suffixes[] = {"", ".zst", ".gz"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char name[BACKUP_NAME_SIZE];
        char expected[BACKUP_NAME_SIZE];
        int64_t begun_ms = 0;
        backup_name_format(name, BEGUN_MS, suffixes[i]);
        snprintf(expected, sizeof(expected), "rythm-backup-2025-01-29T02-00-01-123Z.sql%s",
                 suffixes[i]);
        assert_string_equal(name, expected);
        assert_true(backup_name_parse(name, &begun_ms));
        assert_true(begun_ms == BEGUN_MS);
    }
}

static void test_names_of_the_old_service(void **state)
{
    int64_t begun_ms = 0;

    (void)state;
    assert_true(backup_name_parse("rythm-backup-2025-01-29T02:00:01.123Z.sql", &begun_ms));
    assert_true(begun_ms == BEGUN_MS);
    assert_true(backup_name_parse("rythm-backup-2024-02-29T23-59-59-999Z.sql", &begun_ms));
    assert_true(begun_ms == INT64_C(1709251199999));
}

static void test_names_that_are_not_ours(void **state)
{
    static const char *const bad[] = {
        "",
        "rythm-backup-",
        "rythm-backup-.sql",
        "x.sql",
        "Rythm-backup-2025-01-29T02-00-01-123Z.sql",
        "rythm-backup-2025-01-29T02-00-01-123Z",
        "rythm-backup-2025-01-29T02-00-01-123Z.SQL",
        "rythm-backup-2025-01-29T02-00-01-123Z.sqlx",
        "rythm-backup-2025-01-29T02-00-01-123Z.sql.bz2",
        "rythm-backup-2025-01-29T02-00-01-123Z.sql.zst.json",
        "rythm-backup-2025-01-29T02-00-01-123Z.sql.meta",
        "rythm-backup-2025-01-29T02-00-01-123Z.zst",
        "rythm-backup-2025-01-29T02-00-01-123.sql",
        "rythm-backup-2025-01-29T02-00-01Z.sql",
        "rythm-backup-2025-01-29 02-00-01-123Z.sql",
        "rythm-backup-2025-01-29T02-00-01.123Z.sql",
        "rythm-backup-2025-01-29T02:00:01-123Z.sql",
        "rythm-backup-2025-01-29T02:00-01.123Z.sql",
        "rythm-backup-2025-01-29T02:00:01.123Z.sql.zst",
        "rythm-backup-2025-02-30T02-00-01-123Z.sql",
        "rythm-backup-2025-13-01T02-00-01-123Z.sql",
        "rythm-backup-2025-00-01T02-00-01-123Z.sql",
        "rythm-backup-2025-01-00T02-00-01-123Z.sql",
        "rythm-backup-2025-01-29T24-00-01-123Z.sql",
        "rythm-backup-2025-01-29T02-60-01-123Z.sql",
        "rythm-backup-2025-01-29T02-00-60-123Z.sql",
        "rythm-backup-2025-1-29T02-00-01-1234Z.sql",
        "rythm-backup-2025-01-29T02-00-01--12Z.sql",
        "rythm-backup-+025-01-29T02-00-01-123Z.sql",
        " rythm-backup-2025-01-29T02-00-01-123Z.sql",
        "../rythm-backup-2025-01-29T02-00-01-123Z.sql",
        "rythm-backup-2025-01-29T02-00-01-123Z.sql\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t begun_ms = 77;
        if (backup_name_parse(bad[i], &begun_ms)) {
            fail_msg("accepted: %s", bad[i]);
        }
        assert_true(begun_ms == 77);
    }
}

/* Facts. */

static struct backup_facts some_facts(void)
{
    struct backup_facts facts = {.has_occurrence = true,
                                 .occurrence_ms = INT64_C(1738116000000),
                                 .bytes = 4096,
                                 .raw_bytes = UINT64_C(9007199254740993),
                                 .duration_ms = 8123};

    snprintf(facts.run_id, sizeof(facts.run_id), RUN_ID);
    snprintf(facts.schedule_id, sizeof(facts.schedule_id), SCHEDULE);
    snprintf(facts.type, sizeof(facts.type), "scheduled");
    snprintf(facts.database, sizeof(facts.database), "rythm");
    snprintf(facts.ledger, sizeof(facts.ledger), "rythm_ledger");
    snprintf(facts.system, sizeof(facts.system), "7300000000000000001");
    snprintf(facts.source, sizeof(facts.source), "7300000000000000002");
    snprintf(facts.schemas, sizeof(facts.schemas), "0123456789abcdef");
    snprintf(facts.server_version, sizeof(facts.server_version), "15.8 (Debian 15.8-0+deb12u1)");
    snprintf(facts.tool_version, sizeof(facts.tool_version), "0.1.0");
    snprintf(facts.compression, sizeof(facts.compression), "zstd");
    snprintf(facts.sha256, sizeof(facts.sha256), SHA256);
    snprintf(facts.manifest_sha256, sizeof(facts.manifest_sha256), SHA256);
    return facts;
}

static struct object backup_of(const char *name, const struct backup_facts *facts)
{
    struct object object = OBJECT_INIT;
    struct error err = ERROR_INIT;

    object.name = strdup(name);
    assert_non_null(object.name);
    object.bytes = facts->bytes;
    assert_true(backup_facts_format(facts, &object.metadata, &err));
    return object;
}

static void check_round_trip(const struct backup_facts *facts)
{
    struct object object = backup_of("rythm-backup-2025-01-29T02-00-01-123Z.sql.zst", facts);
    struct backup_object parsed;

    assert_true(backup_object_parse(&object, &parsed));
    assert_ptr_equal(parsed.object, &object);
    assert_true(parsed.begun_ms == BEGUN_MS);
    assert_false(parsed.legacy);
    assert_string_equal(parsed.facts.run_id, facts->run_id);
    assert_string_equal(parsed.facts.schedule_id, facts->schedule_id);
    assert_int_equal(parsed.facts.has_occurrence, facts->has_occurrence);
    assert_true(parsed.facts.occurrence_ms == facts->occurrence_ms);
    assert_string_equal(parsed.facts.type, facts->type);
    assert_string_equal(parsed.facts.database, facts->database);
    assert_string_equal(parsed.facts.ledger, facts->ledger);
    assert_string_equal(parsed.facts.system, facts->system);
    assert_string_equal(parsed.facts.source, facts->source);
    assert_string_equal(parsed.facts.schemas, facts->schemas);
    assert_string_equal(parsed.facts.server_version, facts->server_version);
    assert_string_equal(parsed.facts.tool_version, facts->tool_version);
    assert_string_equal(parsed.facts.compression, facts->compression);
    assert_true(parsed.facts.bytes == facts->bytes);
    assert_true(parsed.facts.raw_bytes == facts->raw_bytes);
    assert_true(parsed.facts.duration_ms == facts->duration_ms);
    assert_string_equal(parsed.facts.sha256, facts->sha256);
    assert_string_equal(parsed.facts.manifest_sha256, facts->manifest_sha256);
    object_clear(&object);
}

static void test_facts_round_trip(void **state)
{
    static const char *const databases[] = {"rythm",
                                            "my db",
                                            " ends ",
                                            "100%",
                                            "%41",
                                            "gr\xc3\xbc\xc3\x9f"
                                            "e",
                                            "a\r\nx-ms-meta-b: c",
                                            "\"quoted\"",
                                            "\xff\xfe",
                                            ""};
    struct backup_facts facts = some_facts();

    (void)state;
    check_round_trip(&facts);
    for (size_t i = 0; i < sizeof(databases) / sizeof(databases[0]); i++) {
        facts = some_facts();
        snprintf(facts.database, sizeof(facts.database), "%s", databases[i]);
        check_round_trip(&facts);
        snprintf(facts.ledger, sizeof(facts.ledger), "%s", databases[i]);
        check_round_trip(&facts);
    }
    facts = some_facts();
    memset(facts.database, 'd', sizeof(facts.database) - 1);
    memset(facts.ledger, 'l', sizeof(facts.ledger) - 1);
    memset(facts.system, '9', sizeof(facts.system) - 1);
    check_round_trip(&facts);
    facts = (struct backup_facts){.type = "manual", .run_id = RUN_ID, .sha256 = SHA256};
    check_round_trip(&facts);
}

static void test_facts_in_metadata(void **state)
{
    static const char *const expected[][2] = {
        {"run", RUN_ID},
        {"schedule", SCHEDULE},
        {"type", "scheduled"},
        {"occurrence", "2025-01-29T02:00:00.000Z"},
        {"database", "my%20db"},
        {"server", "15.8%20(Debian%2015.8-0+deb12u1)"},
        {"ledger", "its%20own"},
        {"manifest", SHA256},
        {"system", "7300000000000000001"},
        {"source", "7300000000000000002"},
        {"schemas", "0123456789abcdef"},
        {"tool", "0.1.0"},
        {"compression", "zstd"},
        {"durationms", "8123"},
        {"rawbytes", "9007199254740993"},
        {"bytes", "4096"},
        {"sha256", SHA256},
    };
    struct backup_facts facts = some_facts();

    (void)state;
    snprintf(facts.database, sizeof(facts.database), "my db");
    snprintf(facts.ledger, sizeof(facts.ledger), "its own");
    struct object object = backup_of("x", &facts);
    assert_int_equal(object.metadata.count, sizeof(expected) / sizeof(expected[0]));
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_string_equal(metadata_get(&object.metadata, expected[i][0]), expected[i][1]);
    }
    object_clear(&object);
}

static void check_schemas(char *const *schemas, const char *expected)
{
    char identity[BACKUP_SCHEMAS_SIZE] = "?";
    struct error err = ERROR_INIT;

    struct scope scope = {.lists = {NULL}};

    for (size_t i = 0; schemas != NULL && schemas[i] != NULL; i++) {
        assert_true(scope_add(&scope, SCOPE_SCHEMAS, schemas[i], &err));
    }
    assert_true(backup_schemas_identify(&scope, identity, &err));
    assert_string_equal(identity, expected);
    scope_clear(&scope);
}

/* As "printf 'app\0audit\0' | sha256sum" says; the order and doubles do not matter. */
static void test_schemas(void **state)
{
    char *const none[] = {NULL};
    char *const one[] = {"app", NULL};
    char *const two[] = {"app", "audit", NULL};
    char *const others[] = {"audit", "app", "audit", NULL};
    char *const joined[] = {"appaudit", NULL};

    (void)state;
    check_schemas(NULL, "");
    check_schemas(none, "");
    check_schemas(one, "5211eaadbd87b181");
    check_schemas(two, "c28c0ed0e4a83ca3");
    check_schemas(others, "c28c0ed0e4a83ca3");
    check_schemas(joined, "159092e12086f621");
}

/* "printf 'app\\0\\0exclude_tables\\0a.*\\0b\\0' | sha256sum" */
static void test_tables_of_schemas(void **state)
{
    char identity[BACKUP_SCHEMAS_SIZE] = "?";
    char other[BACKUP_SCHEMAS_SIZE] = "?";
    struct error err = ERROR_INIT;
    struct scope scope = {.lists = {NULL}};

    (void)state;
    assert_true(scope_add(&scope, SCOPE_SCHEMAS, "app", &err));
    assert_true(scope_add(&scope, SCOPE_EXCLUDED_TABLES, "b", &err));
    assert_true(scope_add(&scope, SCOPE_EXCLUDED_TABLES, "a.*", &err));
    assert_true(backup_schemas_identify(&scope, identity, &err));
    assert_string_equal(identity, "70626094e12d9a78");
    char **list = scope.lists[SCOPE_EXCLUDED_TABLES];
    scope.lists[SCOPE_EXCLUDED_TABLES] = NULL;
    scope.lists[SCOPE_EXCLUDED_DATA] = list;
    assert_true(backup_schemas_identify(&scope, other, &err));
    assert_string_not_equal(identity, other);
    scope_clear(&scope);
}

static void test_facts_that_are_incomplete(void **state)
{
    struct metadata metadata = METADATA_INIT;
    struct error err = ERROR_INIT;

    (void)state;
    for (int i = 0; i < 6; i++) {
        struct backup_facts facts = some_facts();
        facts.run_id[0] = i == 0 ? '\0' : i == 1 ? 'G' : facts.run_id[0];
        facts.sha256[63] = i == 2 ? '\0' : facts.sha256[63];
        facts.type[0] = i == 3 ? 'x' : facts.type[0];
        facts.duration_ms = i == 4 ? -1 : 0;
        facts.manifest_sha256[63] = i == 5 ? '\0' : facts.manifest_sha256[63];
        assert_false(backup_facts_format(&facts, &metadata, &err));
        assert_int_equal(metadata.count, 0);
    }
}

/* An object whose metadata differ from good ones in one value; NULL takes it away. */
static bool parses_with(const char *name, const char *value)
{
    struct backup_facts facts = some_facts();
    struct object good = backup_of("rythm-backup-2025-01-29T02-00-01-123Z.sql.zst", &facts);
    struct object changed = OBJECT_INIT;
    struct backup_object parsed = {.begun_ms = 77};
    struct error err = ERROR_INIT;

    changed.name = strdup(good.name);
    changed.bytes = good.bytes;
    for (size_t i = 0; i < good.metadata.count; i++) {
        const struct metadata_entry *entry = &good.metadata.entries[i];
        if (strcmp(entry->name, name) != 0) {
            assert_true(metadata_set(&changed.metadata, entry->name, entry->value, &err));
        }
    }
    if (value != NULL) {
        assert_true(metadata_set(&changed.metadata, name, value, &err));
    }
    bool ok = backup_object_parse(&changed, &parsed);
    assert_true(ok || parsed.begun_ms == 77);
    object_clear(&good);
    object_clear(&changed);
    return ok;
}

static void test_hostile_metadata(void **state)
{
    static const char long_text[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    static const struct {
        const char *name;
        const char *value;
    } bad[] = {
        {"run", NULL},
        {"run", ""},
        {"run", "0123456789abcde"},
        {"run", "0123456789abcdef0"},
        {"run", "0123456789ABCDEF"},
        {"run", "../../etc/passwd"},
        {"sha256", NULL},
        {"sha256", "abc"},
        {"sha256", SHA256 "0"},
        {"manifest", ""},
        {"manifest", "abc"},
        {"manifest", SHA256 "0"},
        {"type", NULL},
        {"type", "other"},
        {"type", "scheduled%00"},
        {"schedule", "none"},
        {"schedule", "11111111-1111-4111-8111-11111111111g"},
        {"schedule", "11111111-1111-4111-8111-1111111111111"},
        {"schedule", "111111111111141118111111111111111111"},
        {"occurrence", ""},
        {"occurrence", "2025-01-29T02:00:00Z"},
        {"occurrence", "2025-02-30T02:00:00.000Z"},
        {"occurrence", "2025-01-29T02:00:00.000Zx"},
        {"bytes", NULL},
        {"bytes", "4095"},
        {"bytes", "04097"},
        {"rawbytes", NULL},
        {"rawbytes", "-1"},
        {"rawbytes", "1e3"},
        {"rawbytes", "9223372036854775808"},
        {"durationms", NULL},
        {"durationms", "-1"},
        {"durationms", "9223372036854775807"},
        {"database", "%"},
        {"database", "a%00b"},
        {"database", "%zz"},
        {"database", long_text},
        {"ledger", "a%00b"},
        {"ledger", long_text},
        {"system", "%zz"},
        {"system", "184467440737095516151234"},
        {"server", long_text},
        {"tool", long_text},
        {"compression", long_text},
    };

    (void)state;
    assert_true(parses_with("unknown", "value"));
    assert_true(parses_with("schedule", NULL));
    assert_true(parses_with("occurrence", NULL));
    assert_true(parses_with("database", NULL));
    /* As the versions did that knew of no ledgers. */
    assert_true(parses_with("ledger", NULL));
    assert_true(parses_with("system", NULL));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (parses_with(bad[i].name, bad[i].value)) {
            fail_msg("accepted: %s = %s", bad[i].name, bad[i].value);
        }
    }
}

/* The old service's have no metadata and no compression; nothing else without them is a backup. */
static void test_objects_without_metadata(void **state)
{
    static const struct {
        char name[64];
        bool is_backup;
    } cases[] = {
        {"rythm-backup-2025-01-29T02-00-01-123Z.sql", true},
        {"rythm-backup-2025-01-29T02:00:01.123Z.sql", true},
        {"rythm-backup-2025-01-29T02-00-01-123Z.sql.zst", false},
        {"rythm-backup-2025-01-29T02-00-01-123Z.sql.gz", false},
        {"x.sql", false},
        {"sql", false},
        {"", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct object object = OBJECT_INIT;
        struct backup_object parsed;
        object.name = strdup(cases[i].name);
        /* An empty one is what the old service left when it failed. */
        assert_false(backup_object_parse(&object, &parsed));
        object.bytes = 1;
        assert_int_equal(backup_object_parse(&object, &parsed), cases[i].is_backup);
        if (cases[i].is_backup) {
            assert_true(parsed.legacy);
            assert_true(parsed.begun_ms == BEGUN_MS);
            assert_string_equal(parsed.facts.run_id, "");
        }
        object_clear(&object);
    }
}

/* Some of ours, but not what a backup must have: nobody's, although it ends in .sql. */
static void test_plain_sql_with_other_metadata(void **state)
{
    struct object object = OBJECT_INIT;
    struct backup_object parsed;
    struct error err = ERROR_INIT;

    (void)state;
    object.name = strdup("rythm-backup-2025-01-29T02-00-01-123Z.sql");
    object.bytes = 1;
    assert_true(metadata_set(&object.metadata, "mtime", "1", &err));
    assert_false(backup_object_parse(&object, &parsed));
    object_clear(&object);
}

/* Metadata. */

static void test_metadata(void **state)
{
    struct metadata metadata = METADATA_INIT;
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(metadata_set(&metadata, "run", "1", &err));
    assert_true(metadata_set(&metadata, "a1", "2", &err));
    assert_true(metadata_set(&metadata, "sha256", "3", &err));
    assert_true(metadata_set(&metadata, "run", "a b", &err));
    assert_true(metadata_set(&metadata, "empty", "", &err));
    assert_int_equal(metadata.count, 4);
    assert_string_equal(metadata.entries[0].name, "a1");
    assert_string_equal(metadata.entries[1].name, "empty");
    assert_string_equal(metadata.entries[2].name, "run");
    assert_string_equal(metadata.entries[3].name, "sha256");
    assert_string_equal(metadata_get(&metadata, "Run"), "a b");
    assert_string_equal(metadata_get(&metadata, "SHA256"), "3");
    assert_null(metadata_get(&metadata, "none"));
    metadata_clear(&metadata);
    assert_int_equal(metadata.count, 0);
    assert_null(metadata_get(&metadata, "run"));
}

static void test_metadata_refused(void **state)
{
    static const char *const bad_names[] = {"",         "Run", "1a",
                                            "a-b",      "a_b", "a b",
                                            "\xc3\xa4", "a:b", "abcdefghijklmnopqrstuvwxyzabcdef"};
    static const char *const bad_values[] = {" a", "a ", " ", "a\nb", "a\rb", "\x7f", "\xc3\xa4"};
    char long_value[METADATA_VALUE_SIZE + 1];
    struct metadata metadata = METADATA_INIT;
    struct error err = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); i++) {
        assert_false(metadata_set(&metadata, bad_names[i], "x", &err));
    }
    for (size_t i = 0; i < sizeof(bad_values) / sizeof(bad_values[0]); i++) {
        assert_false(metadata_set(&metadata, "x", bad_values[i], &err));
    }
    memset(long_value, 'x', sizeof(long_value));
    long_value[METADATA_VALUE_SIZE] = '\0';
    assert_false(metadata_set(&metadata, "x", long_value, &err));
    assert_int_equal(metadata.count, 0);
    long_value[METADATA_VALUE_SIZE - 1] = '\0';
    assert_true(metadata_set(&metadata, "x", long_value, &err));
    metadata_clear(&metadata);
}

static void test_metadata_is_bounded(void **state)
{
    struct metadata metadata = METADATA_INIT;
    struct error err = ERROR_INIT;
    char name[16];

    (void)state;
    for (int i = 0; i < METADATA_MOST; i++) {
        snprintf(name, sizeof(name), "m%d", i);
        assert_true(metadata_set(&metadata, name, "x", &err));
    }
    assert_false(metadata_set(&metadata, "onemore", "x", &err));
    assert_non_null(strstr(err.text, "more than 24"));
    assert_true(metadata_set(&metadata, "m0", "y", &err));
    assert_string_equal(metadata_get(&metadata, "m0"), "y");
    metadata_clear(&metadata);
}

/* Lists. */

static void test_objects(void **state)
{
    struct objects objects = OBJECTS_INIT;
    struct error err = ERROR_INIT;

    (void)state;
    for (int i = 0; i < 300; i++) {
        struct object object = OBJECT_INIT;
        object.name = strdup("name");
        object.bytes = (uint64_t)i;
        assert_true(metadata_set(&object.metadata, "x", "y", &err));
        assert_true(objects_add(&objects, &object, &err));
        assert_null(object.name);
        assert_int_equal(object.metadata.count, 0);
    }
    assert_int_equal(objects.count, 300);
    assert_int_equal(objects.items[299].bytes, 299);
    assert_string_equal(metadata_get(&objects.items[299].metadata, "x"), "y");
    objects_clear(&objects);
    assert_int_equal(objects.count, 0);
}

static void test_objects_are_bounded(void **state)
{
    struct objects objects = {.count = OBJECTS_MOST, .capacity = OBJECTS_MOST};
    struct object object = {.bytes = 7};
    struct error err = ERROR_INIT;

    (void)state;
    assert_false(objects_add(&objects, &object, &err));
    assert_int_equal(objects.count, OBJECTS_MOST);
    assert_int_equal(object.bytes, 7);
    assert_non_null(strstr(err.text, "more than 500000 objects"));
}

/* URLs. */

static void check_urls(const char *stores, const char *connection, const char *container,
                       const char *expected)
{
    struct settings settings = {.values = {NULL}};
    struct error err = ERROR_INIT;

    settings.values[SETTING_STORES] = stores != NULL ? strdup(stores) : NULL;
    settings.values[SETTING_AZURE_CONNECTION_STRING] =
        connection != NULL ? strdup(connection) : NULL;
    settings.values[SETTING_AZURE_CONTAINER] = container != NULL ? strdup(container) : NULL;
    char *urls = store_urls(&settings, &err);
    if (expected != NULL) {
        assert_non_null(urls);
        assert_string_equal(urls, expected);
    } else {
        assert_null(urls);
        assert_int_equal(err.kind, ERROR_CONFIG);
    }
    free(urls);
    settings_clear(&settings);
}

static void test_urls(void **state)
{
    (void)state;
    check_urls(NULL, NULL, NULL, "file:///var/lib/rythm-backup");
    check_urls("  ", NULL, NULL, "file:///var/lib/rythm-backup");
    check_urls(NULL, "AccountName=a;AccountKey=b", NULL, "azblob:///database-backups");
    check_urls(NULL, "AccountName=a;AccountKey=b", "mine", "azblob:///mine");
    check_urls("file:///a", "AccountName=a;AccountKey=b", NULL, "file:///a");
    check_urls(" file:///a \t azblob://b/c\n", NULL, NULL, "file:///a azblob://b/c");
    check_urls(NULL, "AccountName=a", "a/b", NULL);
    check_urls(NULL, "AccountName=a", "a b", NULL);
    check_urls(NULL, "AccountName=a", "a?b", NULL);
}

static void check_open_refused(const char *url, const char *part)
{
    struct settings settings = {.values = {NULL}};
    struct store *store = NULL;
    struct error err = ERROR_INIT;

    assert_false(store_open(url, &settings, &store, &err));
    assert_null(store);
    assert_int_equal(err.kind, ERROR_CONFIG);
    if (strstr(err.text, part) == NULL) {
        fail_msg("'%s' is not in: %s", part, err.text);
    }
    assert_null(strstr(err.text, "canary"));
}

static void test_urls_that_no_store_has(void **state)
{
    static const char forms[] = "write azblob://ACCOUNT/CONTAINER[/PREFIX] or "
                                "s3://BUCKET[/PREFIX] or file:///DIR";
    static const char *const bad[] = {"",        "/var/backups", "file:/var", "FILE:///var",
                                      "ftp://b", "files:///x",   "://x",      "azblob:/a/b",
                                      "fil:///x"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char quoted[64];
        snprintf(quoted, sizeof(quoted), "'%s' is not the URL of a store", bad[i]);
        check_open_refused(bad[i], forms);
        check_open_refused(bad[i], quoted);
    }
    check_open_refused("https://a.blob.core.windows.net/c?sv=1&sig=canary", forms);
    check_open_refused("https://user:canary@host/c", forms);
    check_open_refused("AccountName=a;AccountKey=canary==", forms);
}

static void test_file_urls(void **state)
{
    static const struct {
        const char *url;
        const char *part;
    } bad[] = {
        {"file://relative", "'file://relative': the folder's path must be absolute"},
        {"file://", "must be absolute"},
        {"file://localhost/x", "must be absolute"},
        {"file://./x", "must be absolute"},
        {"file:///a?x=canary", "has no option 'x'"},
        {"file:///a#x", "is written %3F or %23"},
        {"file:///a%", "'%' in it is not followed by two hex digits"},
        {"file:///a%0", "hex digits"},
        {"file:///a%00b", "hex digits"},
    };
    struct settings settings = {.values = {NULL}};
    struct store *store = NULL;
    struct error err = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        check_open_refused(bad[i].url, bad[i].part);
    }
    check_open_refused("file://relative", "; write file:///DIR");
    assert_true(store_open("file:///nowhere/at%20all//", &settings, &store, &err));
    assert_string_equal(store->location, "file:///nowhere/at%20all");
    store_close(store);
    store_close(NULL);
    store_upload_abandon(NULL);
}

static void test_url_options(void **state)
{
    static const char *const known[] = {"mode", "tier", NULL};
    struct store_url url;
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(store_url_parse("s3://b/p%20q?mode=a%26b%3D+&required=false", &url, &err));
    assert_string_equal(url.scheme, "s3");
    assert_string_equal(url.place, "b/p%20q");
    assert_string_equal(store_url_option(&url, "mode"), "a&b=+");
    assert_null(store_url_option(&url, "tier"));
    assert_false(url.required);
    assert_true(store_url_check_options(&url, known, &err));
    assert_false(store_url_check_options(&url, NULL, &err));
    assert_non_null(strstr(err.text, "store 's3://b/p%20q' has no option 'mode'"));
    assert_non_null(strstr(err.text, "its options: required"));
    store_url_clear(&url);

    assert_true(store_url_parse("file:///a?", &url, &err));
    assert_int_equal(url.option_count, 0);
    assert_true(url.required);
    store_url_clear(&url);
}

static void test_url_options_that_are_not(void **state)
{
    static const struct {
        const char *url;
        const char *part;
    } bad[] = {
        {"file:///a?required=canary", "must be true or false"},
        {"file:///a?required=", "must be true or false"},
        {"file:///a?canary", "not of the form NAME=VALUE"},
        {"file:///a?CANARY=canary", "not lower-case letters"},
        {"file:///a?=canary", "not lower-case letters"},
        {"file:///a?x=%xcanary", "not followed by two hex digits"},
        {"file:///a?x=canary%00", "not followed by two hex digits"},
        {"file:///a?x=canary&y=1&x=2", "'x' is given twice"},
        {"file:///a?a=1&b=1&c=1&d=1&e=1&f=1&g=1&h=1&i=1&j=1&k=1&l=1&m=1&n=1&o=1&p=1&q=canary",
         "too many options"},
        {"s3://key:canary@bucket/x", "a user or a password in it"},
        {"azblob://canary@account/x", "a user or a password in it"},
        {"s3://canary@bucket?x=/", "a user or a password in it"},
        {"s3://bucket:canary/x", "a user or a password in it"},
        {"://a", "SCHEME://PLACE"},
        {"a", "SCHEME://PLACE"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct store_url url;
        struct error err = ERROR_INIT;
        assert_false(store_url_parse(bad[i].url, &url, &err));
        assert_int_equal(err.kind, ERROR_CONFIG);
        if (strstr(err.text, bad[i].part) == NULL) {
            fail_msg("'%s' is not in: %s", bad[i].part, err.text);
        }
        assert_null(strstr(err.text, "canary"));
        store_url_clear(&url);
    }
}

/* The default Azure store's URL has no account: the connection string's is meant. */
static void test_azure_url_without_an_account(void **state)
{
    struct settings settings = {.values = {NULL}};
    struct store *store = NULL;
    struct error err = ERROR_INIT;

    (void)state;
    settings.values[SETTING_AZURE_CONNECTION_STRING] =
        strdup("DefaultEndpointsProtocol=https;AccountName=someaccount;AccountKey=c2VjcmV0a2V5;"
               "EndpointSuffix=core.windows.net");
    char *url = store_urls(&settings, &err);
    assert_string_equal(url, "azblob:///database-backups");
    assert_true(store_open(url, &settings, &store, &err));
    assert_non_null(strstr(store->location, "someaccount/database-backups"));
    assert_null(strstr(store->location, "c2VjcmV0a2V5"));
    store_close(store);
    free(url);
    settings_clear(&settings);
    redact_clear();
}

/* The pool. */

static struct store *pooled(struct store_pool *pool, const char *url)
{
    struct store_choice choice;
    struct error err = ERROR_INIT;

    if (!store_pool_choose(pool, url, &choice, &err)) {
        fail_msg("%s: %s", url != NULL ? url : "(configured)", err.text);
    }
    struct store *store = choice.stores[0];
    assert_int_equal(choice.count, 1);
    assert_int_equal(choice.required_count, 1);
    store_choice_clear(&choice);
    return store;
}

static void test_pool_opens_each_store_once(void **state)
{
    struct settings settings = {.values = {NULL}};
    struct store_pool pool = {.settings = &settings};

    (void)state;
    settings.values[SETTING_STORES] = strdup("  file:///nowhere/default ");
    struct store *configured = pooled(&pool, NULL);
    assert_string_equal(configured->location, "file:///nowhere/default");
    assert_ptr_equal(pooled(&pool, ""), configured);
    assert_ptr_equal(pooled(&pool, "file:///nowhere/default"), configured);
    assert_ptr_equal(pooled(&pool, "file:///nowhere/default//"), configured);
    assert_int_equal(pool.count, 1);

    struct store *other = pooled(&pool, "file:///nowhere/other");
    assert_ptr_not_equal(other, configured);
    assert_ptr_equal(pooled(&pool, "file:///nowhere/other"), other);
    assert_ptr_equal(pooled(&pool, NULL), configured);
    assert_int_equal(pool.count, 2);

    store_pool_clear(&pool);
    assert_int_equal(pool.count, 0);
    assert_ptr_equal(pool.settings, &settings);
    store_pool_clear(&pool);
    settings_clear(&settings);
}

/* With the credentials of the settings. */
static void test_pool_opens_stores_of_both_kinds(void **state)
{
    struct settings settings = {.values = {NULL}};
    struct store_pool pool = {.settings = &settings};

    (void)state;
    settings.values[SETTING_AZURE_CONNECTION_STRING] =
        strdup("DefaultEndpointsProtocol=https;AccountName=someaccount;AccountKey=c2VjcmV0a2V5;"
               "EndpointSuffix=core.windows.net");
    struct store *configured = pooled(&pool, NULL);
    assert_ptr_equal(pooled(&pool, "azblob://someaccount/database-backups"), configured);
    assert_ptr_not_equal(pooled(&pool, "azblob:///elsewhere"), configured);
    assert_string_equal(pooled(&pool, "file:///nowhere")->location, "file:///nowhere");
    assert_int_equal(pool.count, 3);
    store_pool_clear(&pool);
    settings_clear(&settings);
    redact_clear();
}

static void test_pool_chooses_several(void **state)
{
    struct settings settings = {.values = {NULL}};
    struct store_pool pool = {.settings = &settings};
    struct store_choice choice;
    struct error err = ERROR_INIT;
    static const char *const order[] = {"file:///b", "file:///d", "file:///a", "file:///c"};

    (void)state;
    assert_true(store_pool_choose(&pool,
                                  "  file:///a?required=false\tfile:///b\n"
                                  "file:///c?required=false file:///d?required=true",
                                  &choice, &err));
    assert_int_equal(choice.count, 4);
    assert_int_equal(choice.required_count, 2);
    for (size_t i = 0; i < choice.count; i++) {
        assert_string_equal(choice.stores[i]->location, order[i]);
        assert_int_equal(choice.required[i], i < 2);
        assert_ptr_equal(strstr(choice.urls[i], order[i]), choice.urls[i]);
    }
    store_choice_clear(&choice);
    /* What one list calls best effort may be required in another. */
    assert_true(store_pool_choose(&pool, "file:///a", &choice, &err));
    assert_true(choice.required[0]);
    assert_int_equal(pool.count, 4);
    store_choice_clear(&choice);
    store_pool_clear(&pool);
}

/* Each backup is stored as its own URL asks for it; who lists them sees one store. */
static void test_pool_heeds_each_urls_options(void **state)
{
    struct settings settings = {.values = {NULL}};
    struct store_pool pool = {.settings = &settings};
    struct store *got = NULL;
    struct error err = ERROR_INIT;

    (void)state;
    settings.values[SETTING_STORES] = strdup("file:///a");
    struct store *plain = pooled(&pool, NULL);
    struct store *shared = pooled(&pool, "file:///a?mode=0640&owner=0:0");
    assert_ptr_not_equal(shared, plain);
    assert_string_equal(shared->location, plain->location);
    assert_ptr_equal(pooled(&pool, "file:///a/?owner=0:0&required=true&mode=0640"), shared);
    assert_ptr_not_equal(pooled(&pool, "file:///a?mode=0600"), shared);
    assert_ptr_equal(pooled(&pool, "file:///a?required=true"), plain);
    assert_true(store_pool_get(&pool, "file:///a", &got, &err));
    assert_ptr_equal(got, plain);
    assert_int_equal(pool.count, 1);

    /* Also when the ledger's location came first. */
    assert_true(store_pool_get(&pool, "file:///b", &got, &err));
    assert_ptr_not_equal(pooled(&pool, "file:///b?mode=0640"), got);
    assert_int_equal(pool.count, 2);
    store_pool_clear(&pool);
    settings_clear(&settings);
}

static void test_pool_refuses_wrong_lists(void **state)
{
    static const struct {
        const char *url;
        const char *part;
    } bad[] = {
        {"file:///a,file:///b", "separate them by blanks"},
        {"file:///a;azblob://b/c", "separate them by blanks"},
        {"file:///a file:///b/ file:///b", "file:///b is named twice"},
        {"file:///b file:///b?mode=0600", "file:///b is named twice"},
        {"file:///a?required=false", "a backup needs one that is required"},
        {"file:///a?required=false file:///b?required=false", "every store has required=false"},
        {"file:///a?required=no", "must be true or false"},
        {"file:///1 file:///2 file:///3 file:///4 file:///5 file:///6 file:///7 file:///8 "
         "file:///9",
         "more than 8 stores"},
        {"/var/backups", "is not the URL of a store"},
        {"file://relative", "must be absolute"},
    };
    struct settings settings = {.values = {NULL}};
    struct store_pool pool = {.settings = &settings};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        /* By itself, and as what the settings say. */
        for (int configured = 0; configured < 2; configured++) {
            struct store_choice choice;
            struct error err = ERROR_INIT;
            settings.values[SETTING_STORES] = configured ? strdup(bad[i].url) : NULL;
            assert_false(store_pool_choose(&pool, configured ? NULL : bad[i].url, &choice, &err));
            store_choice_clear(&choice);
            assert_int_equal(err.kind, ERROR_CONFIG);
            if (strstr(err.text, bad[i].part) == NULL) {
                fail_msg("'%s' is not in: %s", bad[i].part, err.text);
            }
            settings_clear(&settings);
        }
        struct error err = ERROR_INIT;
        /* Which are the same store only opening them tells. */
        assert_int_equal(store_pool_check(bad[i].url, &err), strstr(bad[i].part, "twice") != NULL);
    }
    store_pool_clear(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_formatted),
        cmocka_unit_test(test_names_of_the_old_service),
        cmocka_unit_test(test_names_that_are_not_ours),
        cmocka_unit_test(test_facts_round_trip),
        cmocka_unit_test(test_facts_in_metadata),
        cmocka_unit_test(test_schemas),
        cmocka_unit_test(test_tables_of_schemas),
        cmocka_unit_test(test_facts_that_are_incomplete),
        cmocka_unit_test(test_hostile_metadata),
        cmocka_unit_test(test_objects_without_metadata),
        cmocka_unit_test(test_plain_sql_with_other_metadata),
        cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_metadata_refused),
        cmocka_unit_test(test_metadata_is_bounded),
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_objects_are_bounded),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_urls_that_no_store_has),
        cmocka_unit_test(test_file_urls),
        cmocka_unit_test(test_url_options),
        cmocka_unit_test(test_url_options_that_are_not),
        cmocka_unit_test(test_azure_url_without_an_account),
        cmocka_unit_test(test_pool_opens_each_store_once),
        cmocka_unit_test(test_pool_opens_stores_of_both_kinds),
        cmocka_unit_test(test_pool_chooses_several),
        cmocka_unit_test(test_pool_heeds_each_urls_options),
        cmocka_unit_test(test_pool_refuses_wrong_lists),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

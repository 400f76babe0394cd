/*
 * postgres/, as far as it needs no server: connection strings (FAULTS K1), arrays, the ledger's
 * name, and the migrations.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/redact.h"
#include "base/text.h"
#include "postgres/chosen_tables.h"
#include "postgres/conninfo.h"
#include "postgres/ledger.h"
#include "postgres/migrations.h"
#include "postgres/query.h"
#include "postgres/scratch_database.h"

/* As processSQLNamePattern() makes them. */
static void test_patterns(void **state)
{
    static const struct {
        const char *pattern;
        const char *schema;
        const char *name;
    } cases[] = {
        {"orders", "", "^(orders)$"},
        {"Orders", "", "^(orders)$"},
        {"\"Orders\"", "", "^(Orders)$"},
        {"app.t?_*", "^(app)$", "^(t._.*)$"},
        {"*.t", "^(.*)$", "^(t)$"},
        {"\"a.b\".\"say \"\"hi\"\"\"", "^(a\\.b)$", "^(say \"hi\")$"},
        {"cost$", "", "^(cost\\$)$"},
        {"x[]", "", "^(x\\[])$"},
        {"\"x[1]*\"", "", "^(x\\[1\\]\\*)$"},
        {"t[0-9]+|u", "", "^(t[0-9]+|u)$"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct text schema = TEXT_INIT(1000);
        struct text name = TEXT_INIT(1000);
        chosen_tables_translate(cases[i].pattern, &schema, &name);
        assert_string_equal(text_string(&schema), cases[i].schema);
        assert_string_equal(text_string(&name), cases[i].name);
        text_clear(&schema);
        text_clear(&name);
    }
}

static const char *value_of(const struct conninfo *conninfo, const char *keyword)
{
    for (size_t i = 0; i < conninfo->count; i++) {
        if (strcmp(conninfo->keywords[i], keyword) == 0) {
            return conninfo->values[i];
        }
    }
    return "";
}

static void test_good(void **state)
{
    static const struct {
        const char *text;
        const char *host;
        const char *port;
        const char *user;
        const char *password;
        const char *dbname;
    } good[] = {
        {"rythm", "", "", "", "", "rythm"},
        {"", "", "", "", "", ""},
        {"host=db port=5433 user=u password=s3cret dbname=rythm", "db", "5433", "u", "s3cret",
         "rythm"},
        {"password='s3 c\\'ret' dbname=rythm", "", "", "", "s3 c'ret", "rythm"},
        {"postgresql://u:s3cret@db:5433/rythm", "db", "5433", "u", "s3cret", "rythm"},
        {"postgres://u:s3cret@db/rythm", "db", "", "u", "s3cret", "rythm"},
        {"postgres://db", "db", "", "", "", ""},
        {"postgresql://", "", "", "", "", ""},
        {"postgresql:///rythm?host=/run/postgresql&port=5433", "/run/postgresql", "5433", "", "",
         "rythm"},
        {"postgresql://u:p%40ss%2Fw%3Ar%23d@db/rythm", "db", "", "u", "p@ss/w:r#d", "rythm"},
        {"postgresql://u:s3c?ret@db/rythm", "db", "", "u", "s3c?ret", "rythm"}, /* as libpq does */
        {"postgresql://u:s3cret@[::1]:5433/rythm", "::1", "5433", "u", "s3cret", "rythm"},
        {"postgresql://u:s3cret@a:5432,b:5433/rythm", "a,b", "5432,5433", "u", "s3cret", "rythm"},
        {"postgresql://db/rythm?options=-c%20x%3Dy@z", "db", "", "", "", "rythm"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct conninfo conninfo;
        struct error err = ERROR_INIT;
        if (!conninfo_parse(good[i].text, "DATABASE_URL", &conninfo, &err)) {
            fail_msg("%s: %s", good[i].text, err.text);
        }
        assert_string_equal(value_of(&conninfo, "host"), good[i].host);
        assert_string_equal(value_of(&conninfo, "port"), good[i].port);
        assert_string_equal(value_of(&conninfo, "user"), good[i].user);
        assert_string_equal(value_of(&conninfo, "password"), good[i].password);
        assert_string_equal(value_of(&conninfo, "dbname"), good[i].dbname);
        assert_null(conninfo.keywords[conninfo.count]);
        assert_null(conninfo.values[conninfo.count]);
        conninfo_clear(&conninfo);
        redact_clear();
    }
}

static void test_environment_alone(void **state)
{
    struct conninfo conninfo;
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(conninfo_parse(NULL, "DATABASE_URL", &conninfo, &err));
    assert_int_equal(conninfo.count, 0);
    assert_null(conninfo.keywords[0]);
    conninfo_clear(&conninfo);
}

/* FAULTS K1: libpq's own message about most of these quotes the password. Its pieces here are
 * CANARY, TWEET and NEST. */
static void test_malformed(void **state)
{
    static const char *const bad[] = {
        /* a bad percent sequence */
        "postgresql://u:CANARY%zzTWEET@db/rythm",
        "postgresql://u:CANARY%4@db/rythm",
        "postgresql://u:CANARY%00TWEET@db/rythm",
        "postgresql://u:CANARYTWEET%@db/rythm",
        /* a bracket that is not closed, or empty */
        "postgresql://u:CANARYTWEET@[::1/rythm",
        "postgresql://u:CANARYTWEET@[]/rythm",
        "postgresql://u:CANARYTWEET@[::1]x/rythm",
        /* an unescaped '/', which makes a port of the rest */
        "postgresql://u:CANARY/TWEET@db/rythm",
        "postgresql://u:CANARY/TWEET@db:5432/rythm",
        "postgresql://u:CANARY/TWEET@db/rythm?sslmode=require",
        "postgresql://u:CANARY",
        "postgresql://u:CANARY:TWEET",
        /* an unescaped '@', which makes a host of the rest */
        "postgresql://u:CANARY@TWEET@db/rythm",
        "postgresql://u:CANARY@TWEET@NEST@db:5432/rythm",
        /* more than one of them */
        "postgresql://u:CANARY/TWEET?NEST@db/rythm",
        "postgresql://u:CANARY@TWEET?NEST@db/rythm",
        "postgresql://u:CANARYTWEET@db:NEST/rythm",
        /* parameters */
        "postgresql://u:CANARY@db/rythm?TWEET",
        "postgresql://u:CANARY@db/rythm?TWEET=x",
        "postgresql://db/rythm?password=CANARY=TWEET",
        "postgresql://db/rythm?password=CANARY%zz",
        "postgresql://db/rythm?password=CANARY&TWEET",
        /* keywords */
        "host=db password=CANARY TWEET dbname=rythm",
        "host=db password='CANARY TWEET",
        "password=CANARY TWEET=x",
        "password=CANARY port=TWEET",
        "password = 'CANARY' TWEET",
        "passwort=CANARY",
        "=CANARY",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct conninfo conninfo;
        struct error err = ERROR_INIT;
        if (conninfo_parse(bad[i], "DATABASE_URL", &conninfo, &err)) {
            fail_msg("taken for good: %s", bad[i]);
        }
        assert_int_equal(err.kind, ERROR_CONFIG);
        assert_non_null(strstr(err.text, "DATABASE_URL"));
        assert_null(strstr(err.text, "CANARY"));
        assert_null(strstr(err.text, "TWEET"));
        assert_null(strstr(err.text, "NEST"));
        conninfo_clear(&conninfo);
        redact_clear();
    }
}

static void test_password_is_registered(void **state)
{
    struct conninfo conninfo;
    struct error err = ERROR_INIT;
    char text[] = "it was can@ry, or can%40ry";

    (void)state;
    assert_true(
        conninfo_parse("postgresql://u:can%40ry@db/rythm", "DATABASE_URL", &conninfo, &err));
    redact_text(text);
    assert_string_equal(text, "it was ***, or ***");
    conninfo_clear(&conninfo);
    redact_clear();
}

/* What must not be seen among a child's arguments. */
static void test_secrets(void **state)
{
    (void)state;
    assert_true(conninfo_is_secret("password", "*"));
    assert_true(conninfo_is_secret("sslpassword", "*"));
    assert_true(conninfo_is_secret("scram_client_key", "D"));
    assert_true(conninfo_is_secret("scram_server_key", "D"));
    assert_false(conninfo_is_secret("replication", "D"));
    assert_false(conninfo_is_secret("host", ""));
}

static void test_defaults(void **state)
{
    struct conninfo conninfo;
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(conninfo_parse("host=db application_name=mine", "DATABASE_URL", &conninfo, &err));
    conninfo_default(&conninfo, "application_name", "theirs");
    conninfo_default(&conninfo, "client_encoding", "UTF8");
    assert_string_equal(value_of(&conninfo, "application_name"), "mine");
    assert_string_equal(value_of(&conninfo, "client_encoding"), "UTF8");
    assert_null(conninfo.keywords[conninfo.count]);
    conninfo_clear(&conninfo);
    assert_int_equal(conninfo.count, 0);
}

#define EVERYTHING                                                                                 \
    "service=mine host=db hostaddr=192.0.2.1 port=5433 user=u password=s3cret dbname=rythm "       \
    "sslmode=require"

static void check_retarget(const char *text, const char *dbname, const char *service,
                           const char *const expected[])
{
    static const char *const keywords[] = {"service", "host",     "hostaddr", "port",
                                           "user",    "password", "dbname",   "sslmode"};
    struct conninfo conninfo;
    struct error err = ERROR_INIT;
    size_t set = 0;

    assert_true(conninfo_parse(text, "DATABASE_URL", &conninfo, &err));
    conninfo_retarget(&conninfo, dbname, service);
    for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
        assert_string_equal(value_of(&conninfo, keywords[i]), expected[i]);
        set += expected[i][0] != '\0';
    }
    assert_int_equal(conninfo.count, set);
    assert_null(conninfo.keywords[set]);
    assert_null(conninfo.values[set]);
    conninfo_clear(&conninfo);
    redact_clear();
}

static void test_another_database(void **state)
{
    const char *const same[] = {"mine", "db",     "192.0.2.1", "5433",
                                "u",    "s3cret", "rythm",     "require"};
    const char *const other[] = {"mine", "db",     "192.0.2.1", "5433",
                                 "u",    "s3cret", "tenants",   "require"};
    const char *const alone[] = {"", "", "", "", "", "", "tenants", ""};
    const char *const of_uri[] = {"", "db", "", "", "u", "s3cret", "a=b c", ""};

    (void)state;
    check_retarget(EVERYTHING, NULL, NULL, same);
    check_retarget(EVERYTHING, "tenants", NULL, other);
    check_retarget("rythm", "tenants", NULL, alone);
    check_retarget(NULL, "tenants", NULL, alone);
    check_retarget("postgresql://u:s3cret@db/rythm", "a=b c", NULL, of_uri);
}

/* What the service does not say must not come from the place that we leave. */
static void test_service_instead_of_a_place(void **state)
{
    const char *const expected[] = {"theirs", "", "", "", "u", "s3cret", "", "require"};
    const char *const alone[] = {"theirs", "", "", "", "", "", "", ""};
    const char *const of_uri[] = {"theirs", "", "", "", "u", "s3cret", "", ""};

    (void)state;
    check_retarget(EVERYTHING, NULL, "theirs", expected);
    check_retarget("rythm", NULL, "theirs", alone);
    check_retarget(NULL, NULL, "theirs", alone);
    check_retarget("postgresql://u:s3cret@a:5432,b:5433/rythm", NULL, "theirs", of_uri);
}

/* A result of one text column and one row, as libpq gives it. */
static PGresult *result_of(const char *value)
{
    PGresAttDesc column = {.name = (char[]){"schemas"}, .typlen = -1, .atttypmod = -1};
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    char *copy = text_copy(value);

    assert_non_null(result);
    assert_int_equal(PQsetResultAttrs(result, 1, &column), 1);
    assert_int_equal(PQsetvalue(result, 0, 0, copy, copy != NULL ? (int)strlen(copy) : -1), 1);
    free(copy);
    return result;
}

/* The texts are what a server gave for ARRAY[...]::text[]. */
static void test_arrays(void **state)
{
    static const struct {
        const char *text;
        const char *elements[5];
    } arrays[] = {
        {"{}", {NULL}},
        {"{public}", {"public", NULL}},
        {"{a,b,c}", {"a", "b", "c", NULL}},
        {"{\"a b\",\"c,d\",\"{e}\"}", {"a b", "c,d", "{e}", NULL}},
        {"{\"say \\\"hi\\\"\",\"back\\\\slash\",\"\"}", {"say \"hi\"", "back\\slash", "", NULL}},
        {"{\"NULL\",a.b,*,Größe}", {"NULL", "a.b", "*", "Größe", NULL}},
        {"{\"}\",\"\\\\\\\"\"}", {"}", "\\\"", NULL}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++) {
        struct error err = ERROR_INIT;
        PGresult *result = result_of(arrays[i].text);
        char **elements = NULL;
        size_t count = 0;
        assert_true(query_copy_array(result, 0, 0, &elements, &err));
        assert_non_null(elements);
        for (; arrays[i].elements[count] != NULL; count++) {
            assert_non_null(elements[count]);
            assert_string_equal(elements[count], arrays[i].elements[count]);
        }
        assert_null(elements[count]);
        text_list_free(elements);
        PQclear(result);
    }
}

/* No server sends these; they must end all the same, within their bytes. */
static void test_arrays_that_are_none(void **state)
{
    static const char *const bad[] = {
        "",          "{",   "}",   "{\"",           "{\"a",        "{\"a\\",
        "{a\\",      "{a,", "a,b", "{{a,b},{c,d}}", "[0:1]={a,b}", ",,,,",
        "{\"a\"b\"c"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct error err = ERROR_INIT;
        PGresult *result = result_of(bad[i]);
        char **elements = NULL;
        assert_true(query_copy_array(result, 0, 0, &elements, &err));
        text_list_free(elements);
        PQclear(result);
    }
}

static void test_array_that_is_null(void **state)
{
    struct error err = ERROR_INIT;
    PGresult *result = result_of(NULL);
    char *elements[] = {NULL};
    char **array = elements;
    char *text = elements[0];

    (void)state;
    assert_true(query_copy_array(result, 0, 0, &array, &err));
    assert_null(array);
    assert_true(query_copy_text(result, 0, 0, &text, &err));
    assert_null(text);
    PQclear(result);
    result = result_of("some text");
    assert_true(query_copy_text(result, 0, 0, &text, &err));
    assert_string_equal(text, "some text");
    free(text);
    PQclear(result);
}

static void test_ledger_text(void **state)
{
    struct ledger ledger = {.system = "18446744073709551615"};
    char text[LEDGER_TEXT_SIZE];

    (void)state;
    /* The longest that there can be: a name of 63 bytes. */
    memset(ledger.database, 'd', 63);
    ledger_format(text, &ledger);
    assert_int_equal(strlen(text), 20 + 1 + 63);
    assert_memory_equal(text, "18446744073709551615/ddd", 24);
}

static void test_migrations(void **state)
{
    (void)state;
    assert_true(migrations_count >= 5);
    assert_string_equal(migrations_all[0].name, "006_backup_schedule.sql");
    assert_string_equal(migrations_all[1].name, "009_backup_history.sql");
    for (size_t i = 0; i < migrations_count; i++) {
        assert_non_null(strstr(migrations_all[i].name, ".sql"));
        assert_true(strlen(migrations_all[i].sql) > 0);
        assert_true(i == 0 || strcmp(migrations_all[i - 1].name, migrations_all[i].name) < 0);
    }
}

static void test_database_name(void **state)
{
    char name[64] = "";
    struct error err = ERROR_INIT;
    char too_long[80];

    (void)state;
    assert_true(conninfo_database("host=db dbname='My \"db'", "--to", name, sizeof(name), &err));
    assert_string_equal(name, "My \"db");
    assert_true(
        conninfo_database("postgresql://u@db:5433/x%2Fy", "--to", name, sizeof(name), &err));
    assert_string_equal(name, "x/y");
    assert_true(conninfo_database("host=db user=somebody", "--to", name, sizeof(name), &err));
    assert_string_equal(name, "somebody");
    memset(too_long, 'x', sizeof(too_long) - 1);
    too_long[sizeof(too_long) - 1] = '\0';
    assert_false(conninfo_database(too_long, "--to", name, sizeof(name), &err));
    assert_int_equal(err.kind, ERROR_CONFIG);
    assert_non_null(strstr(err.text, "--to"));
    assert_false(conninfo_database("host=db passwort=geheim", "--to", name, sizeof(name), &err));
    assert_null(strstr(err.text, "geheim"));
    assert_string_equal(name, "somebody");
}

/* What has such a name is dropped: no other must pass. */
static void test_scratch_name(void **state)
{
    static const char *const wrong[] = {
        "",
        "rythm",
        "rythm_restore_",
        "rythm_restore_0123456789abcde",
        "rythm_restore_0123456789abcdef0",
        "rythm_restore_0123456789ABCDEF",
        "rythm_restore_0123456789abcdeg",
        "rythm_restore_0123456789abcdef\n",
        "xrythm_restore_0123456789abcdef",
        "rythm_backup_0123456789abcdef",
    };

    (void)state;
    assert_true(scratch_database_is_name("rythm_restore_0123456789abcdef"));
    assert_true(scratch_database_is_name("rythm_verify_0123456789abcdef"));
    assert_true(scratch_database_is_name("rythm_replaced_0123456789abcdef"));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(scratch_database_is_name(wrong[i]));
    }
}

static void what_may_be_sent_where(void **state)
{
    static const struct {
        struct conninfo_way way;
        enum conninfo_privacy privacy;
    } cases[] = {
        {{"verify-full", NULL, "db.example.org", NULL}, CONNINFO_PRIVATE},
        {{"verify-ca", "file", "db.example.org", NULL}, CONNINFO_PRIVATE},
        {{"require", NULL, "db.example.org", NULL}, CONNINFO_TO_ANYBODY},
        {{"require", "", "db.example.org", NULL}, CONNINFO_TO_ANYBODY},
        {{"require", "file", "db.example.org", NULL}, CONNINFO_PRIVATE},
        {{"require", NULL, "localhost", NULL}, CONNINFO_PRIVATE},
        {{"require", NULL, "localhost", "192.0.2.1"}, CONNINFO_TO_ANYBODY},
        {{"prefer", NULL, "db.example.org", NULL}, CONNINFO_IN_THE_CLEAR},
        {{"prefer", "file", "db.example.org", NULL}, CONNINFO_IN_THE_CLEAR},
        {{NULL, NULL, "db.example.org", NULL}, CONNINFO_IN_THE_CLEAR},
        {{"prefer", NULL, "localhost", NULL}, CONNINFO_PRIVATE},
        {{"prefer", NULL, "/run/postgresql,127.0.0.1,@abstract", NULL}, CONNINFO_PRIVATE},
        {{"prefer", NULL, "localhost,db.example.org", NULL}, CONNINFO_IN_THE_CLEAR},
        {{"prefer", NULL, "localhost", "192.0.2.1"}, CONNINFO_IN_THE_CLEAR},
        {{"prefer", NULL, "db.example.org", "127.0.0.1"}, CONNINFO_PRIVATE},
        {{"disable", NULL, NULL, NULL}, CONNINFO_PRIVATE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(conninfo_privacy(&cases[i].way), cases[i].privacy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_environment_alone),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_password_is_registered),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_another_database),
        cmocka_unit_test(test_service_instead_of_a_place),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_arrays_that_are_none),
        cmocka_unit_test(test_array_that_is_null),
        cmocka_unit_test(test_ledger_text),
        cmocka_unit_test(test_migrations),
        cmocka_unit_test(test_database_name),
        cmocka_unit_test(test_scratch_name),
        cmocka_unit_test(what_may_be_sent_where),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

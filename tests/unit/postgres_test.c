/*
 * postgres/, as far as it needs no server: connection strings (FAULTS K1) and the migrations.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/redact.h"
#include "postgres/conninfo.h"
#include "postgres/migrations.h"

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
        if (!conninfo_parse(good[i].text, &conninfo, &err)) {
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
    assert_true(conninfo_parse(NULL, &conninfo, &err));
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
        if (conninfo_parse(bad[i], &conninfo, &err)) {
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
    assert_true(conninfo_parse("postgresql://u:can%40ry@db/rythm", &conninfo, &err));
    redact_text(text);
    assert_string_equal(text, "it was ***, or ***");
    conninfo_clear(&conninfo);
    redact_clear();
}

static void test_defaults(void **state)
{
    struct conninfo conninfo;
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(conninfo_parse("host=db application_name=mine", &conninfo, &err));
    conninfo_default(&conninfo, "application_name", "theirs");
    conninfo_default(&conninfo, "client_encoding", "UTF8");
    assert_string_equal(value_of(&conninfo, "application_name"), "mine");
    assert_string_equal(value_of(&conninfo, "client_encoding"), "UTF8");
    assert_null(conninfo.keywords[conninfo.count]);
    conninfo_clear(&conninfo);
    assert_int_equal(conninfo.count, 0);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),      cmocka_unit_test(test_environment_alone),
        cmocka_unit_test(test_malformed), cmocka_unit_test(test_password_is_registered),
        cmocka_unit_test(test_defaults),  cmocka_unit_test(test_migrations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

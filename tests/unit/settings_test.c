/*
 * Settings: where a value comes from, what a file may look like, and what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/redact.h"
#include "base/settings.h"

static char folder[] = "/tmp/rythm-backup-settings-XXXXXX";
static char path[64];
static const char *const no_options[SETTING_COUNT];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(path, sizeof(path), "%s/conf", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

/* Nothing of the tester's own environment, nor of another test's. */
static int begin(void **state)
{
    (void)state;
    for (int i = 0; i < SETTING_COUNT; i++) {
        unsetenv(settings_table[i].name);
    }
    return 0;
}

static int end(void **state)
{
    begin(state);
    unlink(path);
    redact_clear();
    return 0;
}

static void write_bytes(const char *content, size_t size, mode_t mode)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void write_file(const char *content)
{
    write_bytes(content, strlen(content), 0600);
}

static void load_good(struct settings *settings, const char *const options[SETTING_COUNT])
{
    struct error err = ERROR_INIT;
    bool ok = settings_load(settings, options, path, &err);

    if (!ok) {
        print_error("%s\n", err.text);
    }
    assert_true(ok);
}

static void check_refused(const char *const options[SETTING_COUNT], enum error_kind kind,
                          const char *part)
{
    struct settings settings;
    struct error err = ERROR_INIT;

    assert_false(settings_load(&settings, options, path, &err));
    assert_int_equal(err.kind, kind);
    if (strstr(err.text, part) == NULL) {
        print_error("'%s' is not in: %s\n", part, err.text);
    }
    assert_non_null(strstr(err.text, part));
    settings_clear(&settings);
}

static void check_file_refused(const char *content, const char *part)
{
    write_file(content);
    check_refused(no_options, ERROR_CONFIG, part);
}

static void test_order(void **state)
{
    const char *options[SETTING_COUNT] = {NULL};
    struct settings settings;

    (void)state;
    write_file("");
    load_good(&settings, no_options);
    assert_string_equal(settings_get(&settings, SETTING_COMPRESSION), "zstd");
    assert_int_equal(settings.sources[SETTING_COMPRESSION], SETTING_FROM_DEFAULT);
    assert_null(settings_get(&settings, SETTING_STORES));
    settings_clear(&settings);

    write_file("RYTHM_BACKUP_COMPRESSION=gzip\n");
    load_good(&settings, no_options);
    assert_string_equal(settings_get(&settings, SETTING_COMPRESSION), "gzip");
    assert_int_equal(settings.sources[SETTING_COMPRESSION], SETTING_FROM_FILE);
    settings_clear(&settings);

    setenv("RYTHM_BACKUP_COMPRESSION", "zstd:7", 1);
    load_good(&settings, no_options);
    assert_string_equal(settings_get(&settings, SETTING_COMPRESSION), "zstd:7");
    assert_int_equal(settings.sources[SETTING_COMPRESSION], SETTING_FROM_ENVIRONMENT);
    settings_clear(&settings);

    options[SETTING_COMPRESSION] = "none";
    load_good(&settings, options);
    assert_string_equal(settings_get(&settings, SETTING_COMPRESSION), "none");
    assert_int_equal(settings.sources[SETTING_COMPRESSION], SETTING_FROM_OPTION);
    settings_clear(&settings);
}

static void test_empty_counts_as_not_set(void **state)
{
    struct settings settings;

    (void)state;
    write_file("RYTHM_BACKUP_KEEP_MIN=5\nRYTHM_BACKUP_UPLOADS=\nRYTHM_BACKUP_COMPRESSION=\"\"\n");
    setenv("RYTHM_BACKUP_KEEP_MIN", "", 1);
    load_good(&settings, no_options);
    assert_int_equal(settings_get_number(&settings, SETTING_KEEP_MIN), 5);
    assert_int_equal(settings_get_number(&settings, SETTING_UPLOADS), 4);
    assert_string_equal(settings_get(&settings, SETTING_COMPRESSION), "zstd");
    settings_clear(&settings);
}

static void test_forms_of_a_line(void **state)
{
    static const struct {
        const char *line;
        const char *value;
    } cases[] = {
        {"RYTHM_BACKUP_NOTIFY_TO=a@b", "a@b"},
        {"  RYTHM_BACKUP_NOTIFY_TO \t=\t a@b  \t", "a@b"},
        {"RYTHM_BACKUP_NOTIFY_TO=\"a@b\"", "a@b"},
        {"RYTHM_BACKUP_NOTIFY_TO='a@b, c@d'", "a@b, c@d"},
        {"RYTHM_BACKUP_NOTIFY_TO='a\"b'", "a\"b"},
        {"RYTHM_BACKUP_NOTIFY_TO=\" a \"", " a "},
        {"RYTHM_BACKUP_NOTIFY_TO=\"a", "\"a"},
        {"RYTHM_BACKUP_NOTIFY_TO='a\"", "'a\""},
        {"RYTHM_BACKUP_NOTIFY_TO=\"", "\""},
        {"RYTHM_BACKUP_NOTIFY_TO=a=b#c;d", "a=b#c;d"},
        {"RYTHM_BACKUP_NOTIFY_TO=a\r", "a"},
        {"RYTHM_BACKUP_NOTIFY_TO='a'\r", "a"},
        {"# RYTHM_BACKUP_NOTIFY_TO=x\n  ; comment = y\n\n\r\nRYTHM_BACKUP_NOTIFY_TO=z", "z"},
        {"RYTHM_BACKUP_NOTIFY_TO=first\nRYTHM_BACKUP_NOTIFY_TO=second\n", "second"},
        {"PATH=/evil\nNODE_ENV=production\nRYTHM_BACKUP_NOTIFY_TO=a\r\n", "a"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct settings settings;
        write_file(cases[i].line);
        load_good(&settings, no_options);
        assert_string_equal(settings_get(&settings, SETTING_NOTIFY_TO), cases[i].value);
        settings_clear(&settings);
    }
}

static void test_bad_lines(void **state)
{
    (void)state;
    check_file_refused("\n\nRYTHM_BACKUP_STORES\n", "line 3: not of the form NAME=VALUE");
    check_file_refused("RYTHM_BACKUP_STORE=x\n",
                       "line 1: there is no setting RYTHM_BACKUP_STORE; rythm-backup --help");
    check_file_refused("RYTHM_BACKUP_=x\n", "there is no setting RYTHM_BACKUP_");
    check_file_refused("export RYTHM_BACKUP_STORES=x\n", "line 1: leave out 'export'");
    write_bytes("A=b\0c\n", 6, 0600);
    check_refused(no_options, ERROR_CONFIG, "holds a NUL byte");
}

static void test_bad_values(void **state)
{
    static const struct {
        const char *line;
        const char *part;
    } cases[] = {
        {"RYTHM_BACKUP_KEEP_MIN=0", "RYTHM_BACKUP_KEEP_MIN = '0' is not a whole number from 1"},
        {"RYTHM_BACKUP_KEEP_MIN=-1", "from 1 to 100000"},
        {"RYTHM_BACKUP_KEEP_MIN=3.5", "'3.5' is not a whole number"},
        {"RYTHM_BACKUP_KEEP_MIN=100001", "is not a whole number"},
        {"RYTHM_BACKUP_UPLOADS=33",
         "RYTHM_BACKUP_UPLOADS = '33' is not a whole number from 1 to 32"},
        {"RYTHM_BACKUP_UPLOADS=four", "'four' is not a whole number"},
        {"RYTHM_BACKUP_CATCH_UP=59", "RYTHM_BACKUP_CATCH_UP = '59' is not a time from 60s"},
        {"RYTHM_BACKUP_CATCH_UP=2d", "write 90, 90s, 15m, 2h or 1d"},
        {"RYTHM_BACKUP_CATCH_UP=h", "is not a time"},
        {"RYTHM_BACKUP_CATCH_UP=1 h", "is not a time"},
        {"RYTHM_BACKUP_CATCH_UP=1w", "is not a time"},
        {"RYTHM_BACKUP_CATCH_UP=-5m", "is not a time"},
        {"RYTHM_BACKUP_CATCH_UP=99999999999999d", "is not a time"},
        {"RYTHM_BACKUP_CATCH_UP=1111111111111111111111h", "is not a time"},
        {"RYTHM_BACKUP_LOG_FORMAT=xml", "RYTHM_BACKUP_LOG_FORMAT = 'xml' is none of text|json"},
        {"RYTHM_BACKUP_LOG_FORMAT=text|json", "is none of"},
        {"RYTHM_BACKUP_LOG_FORMAT=JSON", "is none of"},
        {"RYTHM_BACKUP_LOG_FORMAT=tex", "is none of"},
        {"RYTHM_BACKUP_BEFORE=hook", "RYTHM_BACKUP_BEFORE: its program is no absolute path"},
        {"RYTHM_BACKUP_AFTER=/x 'open", "RYTHM_BACKUP_AFTER: a quote is not closed"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_file_refused(cases[i].line, cases[i].part);
        check_file_refused(cases[i].line, "conf, line 1: ");
    }
}

static void test_bad_values_elsewhere(void **state)
{
    const char *options[SETTING_COUNT] = {NULL};

    (void)state;
    write_file("");
    setenv("RYTHM_BACKUP_KEEP_MIN", "many", 1);
    check_refused(no_options, ERROR_CONFIG, "environment: RYTHM_BACKUP_KEEP_MIN = 'many'");
    unsetenv("RYTHM_BACKUP_KEEP_MIN");
    setenv("RYTHM_BACKUP_ON_FAILURE", "/bin/true", 1);
    check_refused(no_options, ERROR_CONFIG, "RYTHM_BACKUP_ON_FAILURE names a program to run");
    unsetenv("RYTHM_BACKUP_ON_FAILURE");
    options[SETTING_LOG_FORMAT] = "xml";
    check_refused(options, ERROR_USAGE, "option --log-format: ");
}

static void test_numbers(void **state)
{
    static const struct {
        const char *value;
        int64_t seconds;
    } cases[] = {{"90", 90}, {"90s", 90}, {"15m", 900}, {"2h", 7200}, {"1d", 86400}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct settings settings;
        write_file("");
        setenv("RYTHM_BACKUP_CATCH_UP", cases[i].value, 1);
        load_good(&settings, no_options);
        assert_int_equal(settings_get_number(&settings, SETTING_CATCH_UP), cases[i].seconds);
        settings_clear(&settings);
    }
}

/* Every default of a number must pass its own check. */
static void test_defaults_are_valid(void **state)
{
    struct settings settings;

    (void)state;
    write_file("");
    for (int i = 0; i < SETTING_COUNT; i++) {
        if (settings_table[i].fallback != NULL) {
            setenv(settings_table[i].name, settings_table[i].fallback, 1);
        }
        assert_non_null(settings_table[i].name);
        assert_non_null(settings_table[i].help);
    }
    load_good(&settings, no_options);
    settings_clear(&settings);
}

static void test_files_that_are_not_there(void **state)
{
    (void)state;
    check_refused(no_options, ERROR_CONFIG, "does not exist");
    assert_int_equal(mkdir(path, 0700), 0);
    check_refused(no_options, ERROR_CONFIG, "is not a regular file");
    assert_int_equal(rmdir(path), 0);
}

static void test_file_that_is_too_long(void **state)
{
    char *content = malloc(300000);

    (void)state;
    assert_non_null(content);
    memset(content, '#', 300000);
    write_bytes(content, 300000, 0600);
    free(content);
    check_refused(no_options, ERROR_CONFIG, "longer than the 262144 bytes allowed");
}

static void test_modes(void **state)
{
    static const char secret[] = "DATABASE_URL=postgres://u:hunter2@h/d\n";
    static const char plain[] = "RYTHM_BACKUP_KEEP_MIN=4\n";
    struct settings settings;

    (void)state;
    write_bytes(secret, strlen(secret), 0644);
    check_refused(no_options, ERROR_CONFIG,
                  "holds a secret and can be read by everyone (mode 0644)");
    check_refused(no_options, ERROR_CONFIG, "; chmod 600 ");
    write_bytes(plain, strlen(plain), 0602);
    check_refused(no_options, ERROR_CONFIG, "can be changed by everyone (mode 0602)");
    write_bytes(plain, strlen(plain), 0644);
    load_good(&settings, no_options);
    settings_clear(&settings);
    write_bytes(secret, strlen(secret), 0640);
    load_good(&settings, no_options);
    settings_clear(&settings);
}

/* Invariant I9: what is secret is masked from the moment it is read. */
static void test_secrets_are_registered(void **state)
{
    struct settings settings;
    char text[128] = "saw canary-one and canary-two";

    (void)state;
    write_file("ACS_CONNECTION_STRING=canary-one\n");
    setenv("AZURE_STORAGE_CONNECTION_STRING", "canary-two", 1);
    load_good(&settings, no_options);
    redact_text(text);
    assert_string_equal(text, "saw *** and ***");
    settings_clear(&settings);
}

/* Of DATABASE_URL only the password is (conninfo_parse registers it): a database's name must stay
 * legible in every line. */
static void test_a_database_name_is_no_secret(void **state)
{
    const char *options[SETTING_COUNT] = {NULL};
    struct settings settings;
    char text[128] = "backing up production";

    (void)state;
    write_file("");
    options[SETTING_DATABASE_URL] = "production";
    load_good(&settings, options);
    redact_text(text);
    assert_string_equal(text, "backing up production");
    settings_clear(&settings);
}

static bool holds(char *const *environment, const char *start)
{
    for (size_t i = 0; environment[i] != NULL; i++) {
        if (strncmp(environment[i], start, strlen(start)) == 0) {
            return true;
        }
    }
    return false;
}

static void test_child_environment(void **state)
{
    static const char *const extra[] = {"PGHOST=db", "HOME=/elsewhere", NULL};
    struct error err = ERROR_INIT;
    const char *home = NULL;

    (void)state;
    setenv("DATABASE_URL", "postgres://u:hunter2@h/d", 1);
    setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountKey=x", 1);
    setenv("ACS_CONNECTION_STRING", "accesskey=x", 1);
    setenv("RYTHM_BACKUP_KEEP_MIN", "4", 1);
    setenv("DATABASE_URLS", "not ours", 1);
    setenv("HOME", "/home", 1);
    setenv("PGPASSWORD", "hunter2", 1);
    char **environment = settings_child_environment(extra, &err);
    assert_non_null(environment);
    assert_false(holds(environment, "DATABASE_URL="));
    assert_false(holds(environment, "AZURE_STORAGE_CONNECTION_STRING="));
    assert_false(holds(environment, "ACS_CONNECTION_STRING="));
    assert_false(holds(environment, "PGPASSWORD="));
    assert_true(holds(environment, "RYTHM_BACKUP_KEEP_MIN=4"));
    assert_true(holds(environment, "DATABASE_URLS="));
    assert_true(holds(environment, "PGHOST=db"));
    for (size_t i = 0; environment[i] != NULL && home == NULL; i++) {
        home = strncmp(environment[i], "HOME=", 5) == 0 ? environment[i] : NULL;
    }
    assert_string_equal(home, "HOME=/elsewhere");
    free(environment);
    unsetenv("DATABASE_URLS");
    unsetenv("PGPASSWORD");
}

/* Its quotes are its own, and who else may write to the file decides whether it counts. */
static void test_commands(void **state)
{
    static const char content[] = "RYTHM_BACKUP_BEFORE='/a b/c' \"d e\"\n";
    struct settings settings;

    (void)state;
    write_file(content);
    load_good(&settings, no_options);
    assert_string_equal(settings_get(&settings, SETTING_BEFORE), "'/a b/c' \"d e\"");
    settings_clear(&settings);
    write_bytes(content, strlen(content), 0620);
    check_refused(no_options, ERROR_CONFIG, "can be changed by its group");
}

/* NAME_MEMBER, for one member alone: as secret as NAME. */
static void test_families(void **state)
{
    static const char *const extra[] = {NULL};
    struct settings settings;
    struct error err = ERROR_INIT;
    char name[SETTINGS_NAME_SIZE];
    char text[128] = "saw canary-one, canary-two, canary-three and canary-four";

    (void)state;
    setenv("AZURE_STORAGE_CONNECTION_STRING_FIRST", "canary-one", 1);
    setenv("AZURE_STORAGE_CONNECTION_STRING_", "of nobody", 1);
    setenv("AZURE_STORAGE_CONNECTION_STRING_lower", "of nobody", 1);
    write_file("AZURE_STORAGE_CONNECTION_STRING_FIRST=canary-two\n"
               "AZURE_STORAGE_CONNECTION_STRING_2ND='canary-three'\n"
               "AWS_SECRET_ACCESS_KEY_MY_BUCKET_2ND=canary-four\n");
    load_good(&settings, no_options);
    assert_string_equal(
        settings_get_for(&settings, SETTING_AZURE_CONNECTION_STRING, "firstly", 5, name),
        "canary-one");
    assert_string_equal(name, "AZURE_STORAGE_CONNECTION_STRING_FIRST");
    assert_string_equal(
        settings_get_for(&settings, SETTING_AZURE_CONNECTION_STRING, "2nd", 3, name),
        "canary-three");
    assert_null(settings_get_for(&settings, SETTING_AZURE_CONNECTION_STRING, "fir", 3, name));
    assert_string_equal(
        settings_get_for(&settings, SETTING_AWS_SECRET_ACCESS_KEY, "my-bucket.2nd", 13, name),
        "canary-four");
    assert_string_equal(name, "AWS_SECRET_ACCESS_KEY_MY_BUCKET_2ND");
    assert_null(settings_get_for(&settings, SETTING_ACS_CONNECTION_STRING, "first", 5, name));
    assert_null(settings_get(&settings, SETTING_AZURE_CONNECTION_STRING));
    redact_text(text);
    assert_string_equal(text, "saw ***, ***, *** and ***");
    char **environment = settings_child_environment(extra, &err);
    assert_non_null(environment);
    assert_false(holds(environment, "AZURE_STORAGE_CONNECTION_STRING_FIRST="));
    free(environment);
    settings_clear(&settings);
    assert_int_equal(chmod(path, 0644), 0);
    assert_false(settings_load(&settings, no_options, path, &err));
    assert_non_null(strstr(err.text, "holds a secret"));
    settings_clear(&settings);
    unsetenv("AZURE_STORAGE_CONNECTION_STRING_FIRST");
    unsetenv("AZURE_STORAGE_CONNECTION_STRING_");
    unsetenv("AZURE_STORAGE_CONNECTION_STRING_lower");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order, begin, end),
        cmocka_unit_test_setup_teardown(test_empty_counts_as_not_set, begin, end),
        cmocka_unit_test_setup_teardown(test_forms_of_a_line, begin, end),
        cmocka_unit_test_setup_teardown(test_bad_lines, begin, end),
        cmocka_unit_test_setup_teardown(test_bad_values, begin, end),
        cmocka_unit_test_setup_teardown(test_bad_values_elsewhere, begin, end),
        cmocka_unit_test_setup_teardown(test_numbers, begin, end),
        cmocka_unit_test_setup_teardown(test_defaults_are_valid, begin, end),
        cmocka_unit_test_setup_teardown(test_files_that_are_not_there, begin, end),
        cmocka_unit_test_setup_teardown(test_file_that_is_too_long, begin, end),
        cmocka_unit_test_setup_teardown(test_modes, begin, end),
        cmocka_unit_test_setup_teardown(test_secrets_are_registered, begin, end),
        cmocka_unit_test_setup_teardown(test_a_database_name_is_no_secret, begin, end),
        cmocka_unit_test_setup_teardown(test_child_environment, begin, end),
        cmocka_unit_test_setup_teardown(test_commands, begin, end),
        cmocka_unit_test_setup_teardown(test_families, begin, end),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

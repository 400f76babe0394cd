/*
 * base/: text, errors, redaction, the clock's text forms, files, child processes and waits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/command_line.h"
#include "base/database_locale.h"
#include "base/error.h"
#include "base/file.h"
#include "base/host.h"
#include "base/library.h"
#include "base/log.h"
#include "base/log_tail.h"
#include "base/process.h"
#include "base/redact.h"
#include "base/scope.h"
#include "base/stop.h"
#include "base/text.h"
#include "base/wait.h"
#include "base/watched_thread.h"

/* Command lines. */

static void test_command_lines(void **state)
{
    static const struct {
        const char *line;
        const char *words[5];
    } good[] = {
        {"/bin/true", {"/bin/true"}},
        {"  /bin/true \t a  b ", {"/bin/true", "a", "b"}},
        {"'/a b/c' \"d e\" f'g 'h", {"/a b/c", "d e", "fg h"}},
        {"/x '' \"\"", {"/x", "", ""}},
        {"/x 'a\\b' \"a\\\"b\" a\\ b", {"/x", "a\\b", "a\"b", "a b"}},
        {"/x $HOME *.c | `y` ", {"/x", "$HOME", "*.c", "|", "`y`"}},
        {"/x 'it'\\''s'", {"/x", "it's"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct error err = ERROR_INIT;
        char **argv = NULL;
        size_t count = 0;
        assert_true(command_line_split(good[i].line, &argv, &err));
        for (; count < 5 && good[i].words[count] != NULL; count++) {
            assert_string_equal(argv[count], good[i].words[count]);
        }
        assert_null(argv[count]);
        text_list_free(argv);
    }
}

static void test_wrong_command_lines(void **state)
{
    static const char *const wrong[][2] = {
        {"", "it names no program"},         {"  ", "it names no program"},
        {"true", "no absolute path"},        {"'' /bin/true", "no absolute path"},
        {"/x 'open", "quote is not closed"}, {"/x \"open\\\"", "quote is not closed"},
        {"/x y\\", "a backslash"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct error err = ERROR_INIT;
        char **argv = NULL;
        assert_false(command_line_split(wrong[i][0], &argv, &err));
        assert_int_equal(err.kind, ERROR_CONFIG);
        assert_non_null(strstr(err.text, wrong[i][1]));
    }
}

/* Scopes. */

static void test_database_locales(void **state)
{
    static const struct database_locale c = {"libc", "C", "C", "", ""};
    static const struct database_locale icu = {"icu", "C", "C", "de-AT", ""};
    static const struct database_locale ruled = {"icu", "C", "C", "de-AT", "&V << w"};
    static const struct database_locale halves[] = {
        {"", "", "", "", ""},      {"libc", "C", "", "", ""}, {"libc", "", "C", "", ""},
        {"icu", "C", "C", "", ""}, {"", "C", "C", "de", ""},
    };
    char text[DATABASE_LOCALE_TEXT_SIZE];

    (void)state;
    assert_true(database_locale_is_known(&c) && database_locale_is_known(&icu));
    for (size_t i = 0; i < sizeof(halves) / sizeof(halves[0]); i++) {
        assert_false(database_locale_is_known(&halves[i]));
    }
    assert_true(database_locale_equal(&icu, &icu));
    assert_false(database_locale_equal(&icu, &ruled));
    assert_false(database_locale_equal(&icu, &c));
    database_locale_format(text, &icu);
    assert_string_equal(text, "icu de-AT");
    database_locale_format(text, &ruled);
    assert_string_equal(text, "icu de-AT with rules of its own");
}

static void test_names_of_libc_locales(void **state)
{
    static const struct {
        const char *one;
        const char *other;
        bool equal;
    } cases[] = {
        {"C.UTF-8", "C.utf8", true},
        {"de_DE.ISO-8859-15", "de_DE.iso885915", true},
        {"de_DE.ISO-8859-15@euro", "de_DE.iso885915@euro", true},
        {"de_DE.ISO-8859-15@euro", "de_DE.iso885915@Euro", false},
        {"de_DE.UTF-8", "de_de.UTF-8", false},
        {"de_DE.UTF-8", "de_DE", false},
        {"de-DE", "deDE", false},
        {"C", "POSIX", false},
        {"C.UTF-8", "C.UTF-88", false},
        {"C.UTF-", "C.UTF", true},
    };
    char text[DATABASE_LOCALE_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct database_locale one = {.provider = "libc"};
        struct database_locale other = one;
        snprintf(one.collate, sizeof(one.collate), "%s", cases[i].one);
        snprintf(one.ctype, sizeof(one.ctype), "%s", cases[i].other);
        snprintf(other.collate, sizeof(other.collate), "%s", cases[i].other);
        snprintf(other.ctype, sizeof(other.ctype), "%s", cases[i].one);
        assert_int_equal(database_locale_equal(&one, &other), cases[i].equal);
        database_locale_format(text, &one);
        assert_int_equal(strstr(text, " with ctype ") == NULL, cases[i].equal);
    }
}

static void test_scopes(void **state)
{
    struct scope scope = {.lists = {NULL}};
    struct scope other = {.lists = {NULL}};
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(scope_is_whole(&scope) && scope_has_everything(&scope));
    assert_true(scope_add(&scope, SCOPE_EXCLUDED_DATA, "a", &err));
    assert_false(scope_is_whole(&scope) || scope_equal(&scope, &other));
    assert_true(scope_has_everything(&scope));
    assert_true(scope_add(&other, SCOPE_EXCLUDED_DATA, "a", &err));
    assert_true(scope_equal(&scope, &other));
    assert_true(scope_add(&other, SCOPE_EXCLUDED_DATA, "b", &err));
    assert_false(scope_equal(&scope, &other));
    assert_true(scope_add(&scope, SCOPE_TABLES, "a", &err));
    assert_false(scope_has_everything(&scope));
    scope_clear(&other);
    assert_true(scope_copy(&scope, &other, &err));
    assert_true(scope_equal(&scope, &other));
    assert_ptr_not_equal(scope.lists[SCOPE_TABLES][0], other.lists[SCOPE_TABLES][0]);
    scope_clear(&scope);
    scope_clear(&other);
    assert_true(scope_check_pattern("\"a.b\".\"c \"\"d\"\"\"", &err));
    assert_false(scope_check_pattern("a.b.c", &err));
}

/* Text. */

static void test_text_grows_and_keeps_what_it_had(void **state)
{
    struct text text = TEXT_INIT(10);

    (void)state;
    assert_string_equal(text_string(&text), "");
    text_append(&text, "12345");
    text_appendf(&text, "%d", 678);
    assert_string_equal(text_string(&text), "12345678");
    text_append(&text, "90");
    assert_false(text.failed);
    text_append(&text, "x");
    assert_true(text.failed);
    text_append(&text, "");
    text_appendf(&text, "%s", "y");
    assert_string_equal(text_string(&text), "1234567890");
    text_clear(&text);
    assert_false(text.failed);
    text_append_bytes(&text, "a\0b", 3);
    assert_int_equal(text.length, 3);
    assert_memory_equal(text.data, "a\0b", 4);
    text_clear(&text);
}

static void test_text_appendf_over_the_cap(void **state)
{
    struct text text = TEXT_INIT(4);

    (void)state;
    text_appendf(&text, "%s", "12345");
    assert_true(text.failed);
    assert_string_equal(text_string(&text), "");
    text_clear(&text);
}

static void test_text_html(void **state)
{
    struct text text = TEXT_INIT(1000);

    (void)state;
    text_append_html(&text, "<a href=\"x\">R&D's</a>");
    assert_string_equal(text_string(&text), "&lt;a href=&quot;x&quot;&gt;R&amp;D&#39;s&lt;/a&gt;");
    text_clear(&text);
}

static void test_text_copy(void **state)
{
    char *copy = text_copy("x");

    (void)state;
    assert_string_equal(copy, "x");
    free(copy);
    assert_null(text_copy(NULL));
}

static void test_text_make_one_line(void **state)
{
    static const struct {
        const char *from;
        const char *to;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"  a \r\n\t b  \n", "a b"},
        {"\n\n", ""},
        {"\x1b[2Jcleared\x07", "[2Jcleared"},
        {"del\x7f"
         "ete",
         "del ete"},
        {"c1 \xc2\x9b"
         "31m \xc2\x85next",
         "c1 31m next"},
        {"gr\xc3\xbc\xc3\x9f"
         "e \xc2\xa0"
         "\xe2\x9c\x85",
         "gr\xc3\xbc\xc3\x9f"
         "e \xc2\xa0"
         "\xe2\x9c\x85"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char string[64];
        snprintf(string, sizeof(string), "%s", cases[i].from);
        text_make_one_line(string);
        assert_string_equal(string, cases[i].to);
    }
}

static void test_text_cut_utf8(void **state)
{
    static const struct {
        const char *from;
        const char *to;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"\xc3\xbc", "\xc3\xbc"},
        {"x\xc3", "x"}, /* cut in the middle */
        {"x\xe2\x9c", "x"},
        {"x\xe2", "x"},
        {"x\xf0\x9f\x8e", "x"},
        {"\xf0\x9f\x8e\xaf", "\xf0\x9f\x8e\xaf"},
        {"a\xff"
         "b",
         "a?b"}, /* never UTF-8 */
        {"a\xc3"
         "b",
         "a?b"},
        {"\xc0\xaf", "??"}, /* overlong */
        {"\xe0\x80\xaf", "???"},
        {"\xed\xa0\x80", "???"},      /* a surrogate */
        {"\xf4\x90\x80\x80", "????"}, /* above U+10FFFF */
        {"\x80\x80", "??"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char string[64];
        snprintf(string, sizeof(string), "%s", cases[i].from);
        text_cut_utf8(string);
        assert_string_equal(string, cases[i].to);
    }
}

static void test_text_bytes(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1.0 KB"},
        {160256, "156.5 KB"},
        {1048576, "1.0 MB"},
        {UINT64_C(5) << 30, "5.0 GB"},
        {UINT64_MAX, "16.0 EB"},
        {UINT64_C(3) << 40, "3.0 TB"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[TEXT_BYTES_SIZE];
        text_format_bytes(text, cases[i].bytes);
        assert_string_equal(text, cases[i].text);
    }
}

static void test_text_integers(void **state)
{
    static const char *const bad[] = {"",    "-",  " 1",  "1 ",  "+1",  "1x",
                                      "0x1", "11", "-11", "1.0", "1e0", "99999999999999999999"};
    int64_t number = 77;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(text_parse_integer(bad[i], -10, 10, &number));
        assert_int_equal(number, 77);
    }
    assert_true(text_parse_integer("10", -10, 10, &number));
    assert_int_equal(number, 10);
    assert_true(text_parse_integer("-10", -10, 10, &number));
    assert_int_equal(number, -10);
    assert_true(text_parse_integer("-9223372036854775808", INT64_MIN, INT64_MAX, &number));
    assert_true(number == INT64_MIN);
    assert_false(text_parse_integer("9223372036854775808", INT64_MIN, INT64_MAX, &number));
}

static void test_text_percent(void **state)
{
    static const char *const bad[] = {"%", "%4", "%4g", "%g4", "%00", "a%", "%\x10\x11", "% 1"};
    char out[8];

    (void)state;
    assert_true(text_decode_percent(out, sizeof(out), "a%2fB%2F%c3"));
    assert_string_equal(out, "a/B/\xc3");
    assert_true(text_decode_percent(out, sizeof(out), ""));
    assert_string_equal(out, "");
    assert_true(text_decode_percent(out, sizeof(out), "1234567"));
    assert_false(text_decode_percent(out, sizeof(out), "12345678"));
    assert_false(text_decode_percent(out, 0, ""));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(text_decode_percent(out, sizeof(out), bad[i]));
    }
}

static void test_text_printable(void **state)
{
    (void)state;
    assert_true(text_is_printable_ascii(" az~"));
    assert_true(text_is_printable_ascii(""));
    assert_false(text_is_printable_ascii("a\nb"));
    assert_false(text_is_printable_ascii("\x7f"));
    assert_false(text_is_printable_ascii("\xc3\xbc"));
}

/* Errors. */

static void test_error_is_built_outward(void **state)
{
    struct error err = ERROR_INIT;

    (void)state;
    assert_false(error_set_system(&err, ENOENT, "opening %s", "x"));
    assert_int_equal(err.kind, ERROR_FAILED);
    assert_string_equal(err.text, "opening x: No such file or directory");
    err.retryable = true;
    assert_false(error_prefix(&err, "block %d", 7));
    assert_false(error_hint(&err, "try %s", "again"));
    assert_string_equal(err.text, "block 7: opening x: No such file or directory; try again");
    assert_true(err.retryable);
    assert_false(error_set(&err, ERROR_CONFIG, "new"));
    assert_false(err.retryable);
    assert_string_equal(err.text, "new");
    assert_false(error_set_memory(&err));
    assert_string_equal(err.text, "out of memory");
    error_clear(&err);
    assert_int_equal(err.kind, ERROR_NONE);
    assert_string_equal(err.text, "");
}

static void test_error_is_one_printable_line(void **state)
{
    struct error err = ERROR_INIT;

    (void)state;
    error_set(&err, ERROR_FAILED, "server said: %s", "FATAL:\n  \x1b[31mno\xff\r\n");
    assert_string_equal(err.text, "server said: FATAL: [31mno?");
}

static void test_error_is_cut_at_a_character(void **state)
{
    static char many[ERROR_TEXT_SIZE * 2];
    struct error err = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i + 3 < sizeof(many); i += 3) {
        memcpy(many + i, "\xe2\x9c\x85", 3);
    }
    for (int shift = 0; shift < 3; shift++) {
        error_set(&err, ERROR_FAILED, "%.*s%s", shift, "xx", many);
        size_t length = strlen(err.text);
        assert_true(length < ERROR_TEXT_SIZE && length > ERROR_TEXT_SIZE - 4);
        assert_int_equal((length - (size_t)shift) % 3, 0);
        error_prefix(&err, "%s", many);
        error_hint(&err, "%s", many);
        assert_true(strlen(err.text) < ERROR_TEXT_SIZE);
    }
}

/* Half a secret at the place where a long text is cut would not be recognised any more. */
static void test_error_cut_leaves_no_half_secret(void **state)
{
    static char filler[ERROR_TEXT_SIZE];
    struct error err = ERROR_INIT;

    (void)state;
    redact_register("topsecretvalue");
    memset(filler, 'x', ERROR_TEXT_SIZE - 8);
    error_set(&err, ERROR_FAILED, "%stopsecretvalue", filler);
    assert_null(strstr(err.text, "tops"));
    error_set(&err, ERROR_FAILED, "opening");
    error_prefix(&err, "%stopsecretvalue", filler);
    assert_null(strstr(err.text, "tops"));
    redact_clear();
}

static void test_error_exit_codes(void **state)
{
    static const struct {
        enum error_kind kind;
        int code;
    } cases[] = {{ERROR_NONE, 0},   {ERROR_FAILED, 1}, {ERROR_USAGE, 2},
                 {ERROR_CONFIG, 2}, {ERROR_BUSY, 4},   {ERROR_DEGRADED, 3}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool listed = false;
        assert_int_equal(error_exit_code(cases[i].kind), cases[i].code);
        for (size_t j = 0; j < error_exit_code_count; j++) {
            listed = listed || error_exit_codes[j].code == cases[i].code;
        }
        assert_true(listed);
    }
}

/* Redaction (invariant I9). */

static void check_redacted(const char *from, const char *to)
{
    char text[512];

    snprintf(text, sizeof(text), "%s", from);
    redact_text(text);
    assert_string_equal(text, to);
    /* What is masked stays as it is: errors pass here more than once. */
    redact_text(text);
    assert_string_equal(text, to);
}

static void test_redact_patterns(void **state)
{
    static const struct {
        const char *from;
        const char *to;
    } cases[] = {
        {"nothing to hide", "nothing to hide"},
        {"password=hunter2 host=db", "password=*** host=db"},
        {"PASSWORD=hunter2", "PASSWORD=***"},
        {"password = hunter2 host=db", "password = *** host=db"},
        {"password='hun ter\\'2' host=db", "password=*** host=db"},
        {"password='unfinished \\", "password=***"},
        {"password=ab", "password=**"},
        {"password=", "password="},
        {"the password is wrong", "the password is wrong"},
        {"password authentication failed for user \"x\"",
         "password authentication failed for user \"x\""},
        {"password=a,password=b&x=1", "password=***&x=1"},
        {"PGPASSWORD=x1234\nnext", "PGPASSWORD=***\nnext"},
        {"AccountName=a;AccountKey=abcd+/==;EndpointSuffix=b",
         "AccountName=a;AccountKey=***;EndpointSuffix=b"},
        {"endpoint=https://x/;accesskey=abc==", "endpoint=https://x/;accesskey=***"},
        {"SharedAccessSignature=sv=2020&sig=abc%3D;x", "SharedAccessSignature=***;x"},
        {"https://h/c?sv=1&sig=abc%2Fd%3D&se=2 end", "https://h/c?sv=1&sig=***&se=2 end"},
        {"<Url>https://h/c?sig=abc</Url>", "<Url>https://h/c?sig=***</Url>"},
        {"Authorization: SharedKey acct:abc=\r\nHost: x", "Authorization: ***\r\nHost: x"},
        {"authorization:Bearer abcdef", "authorization:***"},
        {"authorization failed", "authorization failed"},
        {"postgres://user:hunter2@db:5432/x", "postgres://user:***@db:5432/x"},
        {"postgres://user:p@ss@w/rd@db/x", "postgres://user:***@db/x"},
        {"\"postgres://user:hunter2@db/x\": no", "\"postgres://user:***@db/x\": no"},
        {"postgres://user@db/x and smtp://a:bcde@mail",
         "postgres://user@db/x and smtp://a:***@mail"},
        {"postgres://user:@db/x", "postgres://user:@db/x"},
        {"http://127.0.0.1:10000/devstoreaccount1", "http://127.0.0.1:10000/devstoreaccount1"},
        {"://", "://"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_redacted(cases[i].from, cases[i].to);
    }
}

static void test_redact_registered(void **state)
{
    (void)state;
    redact_register("p@ss w/rd%");
    redact_register("abc");
    redact_register(NULL);
    redact_register("");
    check_redacted("x p@ss w/rd% y p@ss w/rd%", "x *** y ***");
    check_redacted("url p%40ss%20w%2Frd%25!", "url ***!");
    check_redacted("abc is too short to hide", "abc is too short to hide");
    redact_clear();
    check_redacted("x p@ss w/rd% y", "x p@ss w/rd% y");
}

/* A secret that is the beginning of another must not uncover the other's rest. */
static void test_redact_longest_first(void **state)
{
    (void)state;
    redact_register("hunter2");
    redact_register("hunter2-and-more");
    redact_register("hunter2");
    check_redacted("a hunter2-and-more b hunter2", "a *** b ***");
    redact_clear();
}

/* printf %s "$secret" | base64, behind nothing, one byte and two bytes. */
static void test_redact_other_spellings(void **state)
{
    (void)state;
    redact_register("canary/s3cret+key");
    check_redacted("url canary%2fs3cret%2bkey!", "url ***!");
    check_redacted("{\"x\":\"canary\\/s3cret+key\"}", "{\"x\":\"***\"}");
    check_redacted("Y2FuYXJ5L3MzY3JldCtrZXk=", "***k=");
    check_redacted("eGNhbmFyeS9zM2NyZXQra2V5", "eG***");
    check_redacted("eHljYW5hcnkvczNjcmV0K2tleQ==", "eHl***Q==");
    redact_clear();
}

static void check_cut(const char *from, const char *to)
{
    char text[512];

    snprintf(text, sizeof(text), "%s", from);
    redact_cut(text);
    assert_string_equal(text, to);
}

static void test_redact_cut(void **state)
{
    (void)state;
    redact_register("topsecretvalue");
    check_cut("it was topsecretvalue and", "it was *** and");
    check_cut("it was topsecretvalu", "it was ***");
    check_cut("it was tops", "it was ***");
    check_cut("it was at the top", "it was at the top");
    check_cut("tops are not cut", "tops are not cut");
    check_cut("", "");
    redact_clear();
}

static void test_redact_copy(void **state)
{
    static const char text[] = "said: topsecretvalue";
    char out[16];

    (void)state;
    redact_register("topsecretvalue");
    redact_copy(out, sizeof(out), text, strlen(text));
    assert_string_equal(out, "said: ***");
    redact_copy(out, sizeof(out), text, 9);
    assert_string_equal(out, "said: top");
    redact_copy(out, sizeof(out), "said: twelve \xc3\xa9 \xc3\xa9", 18);
    assert_string_equal(out, "said: twelve \xc3\xa9");
    redact_copy(out, 1, text, strlen(text));
    assert_string_equal(out, "");
    redact_clear();
}

static void test_redact_tokens(void **state)
{
    char token[32];

    (void)state;
    for (int i = 0; i < 40; i++) {
        snprintf(token, sizeof(token), "eyJ0.token%d.x", i);
        redact_register_token(token);
        redact_register_token(token);
    }
    check_redacted("a eyJ0.token39.x b eyJ0.token24.x c", "a *** b *** c");
    check_redacted("eyJ0.token23.x is worth nothing", "eyJ0.token23.x is worth nothing");
    redact_register("topsecretvalue");
    check_cut("reply: eyJ0.token3", "reply: ***");
    redact_clear();
    check_redacted("eyJ0.token39.x", "eyJ0.token39.x");
}

static void test_redact_full_list(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        char secret[32];
        snprintf(secret, sizeof(secret), "secret%d", i);
        redact_register(secret);
    }
    check_redacted("secret0 password=secret199", "*** password=***");
    redact_clear();
}

/* The clock's text forms. */

static void test_clock_iso(void **state)
{
    char text[CLOCK_ISO_SIZE];

    (void)state;
    clock_format_iso(text, 0);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    clock_format_iso(text, INT64_C(1738116001123));
    assert_string_equal(text, "2025-01-29T02:00:01.123Z");
    clock_format_iso(text, -1);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
}

static void test_clock_parse_iso(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"2026-05-01", INT64_C(1777593600000)},
                {"2026-05-01T12:00Z", INT64_C(1777636800000)},
                {"2026-05-01T12:00:00Z", INT64_C(1777636800000)},
                {"2026-05-01T12:00:00.1234567+00:00", INT64_C(1777636800123)},
                {"2026-05-01T12:00:00.5Z", INT64_C(1777636800500)}};
    static const char *const bad[] = {"",
                                      "2026-05",
                                      "2026-5-01",
                                      "2026-05-01T12:00",
                                      "2026-05-01T12Z",
                                      "2026-05-01T12:00:00+02:00",
                                      "2026-05-01T12:00:0Z",
                                      "2026-02-30",
                                      "2026-05-01 12:00:00Z",
                                      "2026-05-01T12:00:00Z "};
    int64_t instant_ms;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(clock_parse_iso(good[i].text, &instant_ms));
        assert_true(instant_ms == good[i].ms);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(clock_parse_iso(bad[i], &instant_ms));
    }
}

static void check_host(const char *name, bool loopback, bool link_local)
{
    assert_int_equal(host_is_loopback(name, strlen(name)), loopback);
    assert_int_equal(host_is_link_local(name, strlen(name)), link_local);
}

static void test_host(void **state)
{
    (void)state;
    check_host("localhost", true, false);
    check_host("LocalHost", true, false);
    check_host("127.0.0.1", true, false);
    check_host("127.8.9.1", true, false);
    check_host("::1", true, false);
    check_host("[::1]", true, false);
    check_host("169.254.169.254", false, true);
    check_host("169.255.0.1", false, false);
    check_host("127.0.0.1.example.org", false, false);
    check_host("localhost.example.org", false, false);
    check_host("128.0.0.1", false, false);
    check_host("", false, false);
    assert_true(host_is_loopback("127.0.0.1:80", 9));
}

static void test_clock_http(void **state)
{
    static const char *const bad[] = {"",
                                      "Fri, 01 May 2026 12:00:00",
                                      "Fri, 01 May 2026 12:00:00 GMT ",
                                      "Fri, 01 Mai 2026 12:00:00 GMT",
                                      "Fri, 31 Apr 2026 12:00:00 GMT",
                                      "Fri, 01 May 2026 24:00:00 GMT",
                                      "2026-05-01T12:00:00Z"};
    char text[CLOCK_HTTP_SIZE];
    int64_t instant_ms;

    (void)state;
    clock_format_http(text, INT64_C(1777636800000));
    assert_string_equal(text, "Fri, 01 May 2026 12:00:00 GMT");
    assert_true(clock_parse_http(text, &instant_ms));
    assert_true(instant_ms == INT64_C(1777636800000));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(clock_parse_http(bad[i], &instant_ms));
    }
}

static void test_clock_civil(void **state)
{
    int64_t instant_ms = 5;

    (void)state;
    assert_true(clock_from_civil(2024, 2, 29, 23, 59, 59, 999, &instant_ms));
    assert_true(instant_ms == INT64_C(1709251199999));
    instant_ms = 5;
    assert_false(clock_from_civil(2025, 2, 29, 0, 0, 0, 0, &instant_ms));
    assert_false(clock_from_civil(2025, 13, 1, 0, 0, 0, 0, &instant_ms));
    assert_false(clock_from_civil(2025, 0, 1, 0, 0, 0, 0, &instant_ms));
    assert_false(clock_from_civil(2025, 1, 0, 0, 0, 0, 0, &instant_ms));
    assert_false(clock_from_civil(2025, 1, 1, 24, 0, 0, 0, &instant_ms));
    assert_false(clock_from_civil(2025, 1, 1, 0, 60, 0, 0, &instant_ms));
    assert_false(clock_from_civil(2025, 1, 1, 0, 0, 60, 0, &instant_ms));
    assert_false(clock_from_civil(2025, 1, 1, 0, 0, 0, 1000, &instant_ms));
    assert_false(clock_from_civil(2025, 1, 1, 0, 0, 0, -1, &instant_ms));
    assert_true(instant_ms == 5);
}

static void test_clock_duration(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {{0, "0s"},        {8000, "8s"},       {8499, "8s"},         {8500, "9s"},
                 {59999, "1m 0s"}, {192000, "3m 12s"}, {7500000, "2h 5m 0s"}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[CLOCK_DURATION_SIZE];
        clock_format_duration(text, cases[i].ms);
        assert_string_equal(text, cases[i].text);
    }
}

/* Files. */

static char folder[] = "/tmp/rythm-backup-base-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(path, sizeof(path), "%s/file", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void write_file(size_t size)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    for (size_t i = 0; i < size; i++) {
        fputc('a' + (int)(i % 26), file);
    }
    assert_int_equal(fclose(file), 0);
}

static void test_file_read(void **state)
{
    struct text content = TEXT_INIT(100000);
    struct stat status;
    struct error err = ERROR_INIT;
    bool found;

    (void)state;
    write_file(20000);
    assert_true(file_read(path, 20000, &content, &found, &status, &err));
    assert_true(found);
    assert_int_equal(content.length, 20000);
    assert_int_equal(content.data[19999], 'a' + 19999 % 26);
    assert_int_equal(status.st_size, 20000);
    text_clear(&content);

    assert_false(file_read(path, 19999, &content, &found, NULL, &err));
    assert_int_equal(err.kind, ERROR_CONFIG);
    assert_non_null(strstr(err.text, "longer than the 19999 bytes allowed"));
    assert_non_null(strstr(err.text, path));
    text_clear(&content);

    assert_int_equal(unlink(path), 0);
    assert_true(file_read(path, 10, &content, &found, NULL, &err));
    assert_false(found);
    text_clear(&content);
}

/* Must neither hang nor succeed. */
static void test_file_read_refuses_what_is_not_a_file(void **state)
{
    struct text content = TEXT_INIT(100);
    struct error err = ERROR_INIT;
    bool found;

    (void)state;
    assert_false(file_read(folder, 100, &content, &found, NULL, &err));
    assert_non_null(strstr(err.text, "is not a regular file"));
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_false(file_read(path, 100, &content, &found, NULL, &err));
    assert_non_null(strstr(err.text, "is not a regular file"));
    assert_int_equal(unlink(path), 0);
    text_clear(&content);
}

static void test_file_write_all(void **state)
{
    struct error err = ERROR_INIT;
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

    (void)state;
    assert_true(full >= 0);
    assert_false(file_write_all(full, "x", 1, &err));
    assert_int_equal(errno, ENOSPC);
    assert_non_null(strstr(err.text, "No space left on device"));
    assert_true(file_write_all(full, "", 0, &err));
    close(full);
}

static void test_file_standard_descriptors(void **state)
{
    int status;
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        struct error err = ERROR_INIT;
        close(0);
        close(2);
        bool ok = file_hold_standard_descriptors(&err) && write(2, "x", 1) < 0 &&
                  read(0, &status, 1) < 0 && open("/dev/null", O_RDONLY) > 2;
        _exit(ok ? 0 : 1);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_library_that_is_missing(void **state)
{
    void (*function)(void) = NULL;
    const struct library_symbol missing[] = {{"no_such_function", &function}};
    struct error err = ERROR_INIT;

    (void)state;
    assert_false(library_load("librythm-none.so.1", missing, 1, &err));
    assert_non_null(strstr(err.text, "librythm-none.so.1"));
    assert_false(library_load("libc.so.6", missing, 1, &err));
    assert_non_null(strstr(err.text, "no_such_function"));
    assert_true(function == NULL);
}

static void test_library_that_is_there(void **state)
{
    size_t (*length)(const char *) = NULL;
    const struct library_symbol symbols[] = {{"strlen", &length}};
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(library_load("libc.so.6", symbols, 1, &err));
    assert_int_equal(length("four"), 4);
}

/* Child processes. */

static void start_shell(struct process *process, const char *script)
{
    static char shell[] = "/bin/sh";
    static char option[] = "-c";
    static char variable[] = "GREETING=hello";
    char *copy = text_copy(script);
    char *argv[] = {shell, option, copy, NULL};
    char *envp[] = {variable, NULL};
    struct error err = ERROR_INIT;

    assert_true(process_start(process, argv, envp, &err));
    free(copy);
}

static size_t read_to_end(struct process *process, char *first, size_t size)
{
    static char buffer[65536];
    struct deadline deadline = deadline_in_ms(60000);
    struct error err = ERROR_INIT;
    size_t total = 0;
    size_t got;

    do {
        assert_true(process_read(process, buffer, sizeof(buffer), &deadline, &got, &err));
        for (size_t i = 0; i < got && total + i + 1 < size; i++) {
            first[total + i] = buffer[i];
            first[total + i + 1] = '\0';
        }
        total += got;
    } while (got > 0);
    return total;
}

static bool finish(struct process *process, struct error *err)
{
    struct deadline deadline = deadline_in_ms(60000);

    return process_finish(process, &deadline, err);
}

static void test_process_output_and_success(void **state)
{
    struct process process;
    struct error err = ERROR_INIT;
    char output[64] = "";

    (void)state;
    start_shell(&process, "echo $GREETING; echo remark >&2; cat");
    read_to_end(&process, output, sizeof(output));
    assert_string_equal(output, "hello\n");
    assert_true(finish(&process, &err));
    assert_string_equal(process.stderr_text, "remark\n");
    assert_int_equal(process.pid, 0);
    process_kill(&process);
}

static void test_process_exit_status(void **state)
{
    struct process process;
    struct error err = ERROR_INIT;

    (void)state;
    start_shell(&process, "echo 'no such\ntable' >&2; exit 3");
    read_to_end(&process, NULL, 0);
    assert_false(finish(&process, &err));
    assert_string_equal(err.text, "sh failed with exit status 3: no such table");
    start_shell(&process, "exit 1");
    read_to_end(&process, NULL, 0);
    assert_false(finish(&process, &err));
    assert_string_equal(err.text, "sh failed with exit status 1: it printed no reason");
}

static void test_process_killed(void **state)
{
    struct process process;
    struct error err = ERROR_INIT;

    (void)state;
    start_shell(&process, "kill -KILL $$");
    read_to_end(&process, NULL, 0);
    assert_false(finish(&process, &err));
    assert_string_equal(err.text, "sh was killed by SIGKILL: it printed no reason");
}

/* More on both than the pipes hold: neither side may block the other. */
static void test_process_large_output(void **state)
{
    struct process process;
    struct error err = ERROR_INIT;

    (void)state;
    start_shell(&process, "head -c 300000 /dev/zero | tr '\\0' e >&2; head -c 5000000 /dev/zero; "
                          "head -c 300000 /dev/zero | tr '\\0' f >&2; exit 9");
    assert_int_equal(read_to_end(&process, NULL, 0), 5000000);
    assert_false(finish(&process, &err));
    assert_int_equal(process.stderr_length, PROCESS_STDERR_SIZE - 1);
    assert_int_equal(strspn(process.stderr_text, "e"), PROCESS_STDERR_SIZE - 1);
    assert_non_null(strstr(err.text, "sh failed with exit status 9: eee"));
}

/* What is said after standard output was closed is part of the reason too. */
static void test_process_late_stderr(void **state)
{
    struct process process;
    struct error err = ERROR_INIT;

    (void)state;
    start_shell(&process, "exec >&-; head -c 300000 /dev/zero | tr '\\0' e >&2; exit 4");
    read_to_end(&process, NULL, 0);
    assert_false(finish(&process, &err));
    assert_non_null(strstr(err.text, "sh failed with exit status 4: eee"));
}

static void test_process_that_cannot_be_executed(void **state)
{
    static char program[] = "/nowhere/pg_dump";
    char *argv[] = {program, NULL};
    char *envp[] = {NULL};
    struct process process;
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(process_start(&process, argv, envp, &err));
    read_to_end(&process, NULL, 0);
    assert_false(finish(&process, &err));
    assert_string_equal(err.text,
                        "pg_dump failed with exit status 127: cannot be executed: ENOENT");
}

static void test_process_that_hangs(void **state)
{
    struct process process;
    struct deadline deadline = deadline_in_ms(30);
    struct error err = ERROR_INIT;
    char byte;
    size_t got;

    (void)state;
    start_shell(&process, "exec sleep 600");
    assert_false(process_read(&process, &byte, 1, &deadline, &got, &err));
    assert_non_null(strstr(err.text, "reading the output of sh: no answer within"));
    assert_false(process_finish(&process, &deadline, &err));
    assert_non_null(strstr(err.text, "waiting for sh to end: no answer within"));
    process_kill(&process);
    assert_int_equal(process.pid, 0);
    process_kill(&process);
}

static void test_process_that_ignores_sigterm(void **state)
{
    struct process process;
    char output[8] = "";
    struct deadline deadline = deadline_in_ms(60000);
    struct error err = ERROR_INIT;
    size_t got;

    (void)state;
    start_shell(&process, "trap '' TERM; echo on; while :; do sleep 1; done");
    assert_true(process_read(&process, output, sizeof(output), &deadline, &got, &err));
    pid_t pid = process.pid;
    process_kill(&process);
    assert_int_equal(process.pid, 0);
    assert_int_equal(kill(pid, 0), -1);
}

/* The reading end of a pipe that all of them inherit: it ends when the last one has gone. */
static int start_group(struct process *process, const char *script)
{
    static char shell[] = "/bin/sh";
    char option[] = "-c";
    char *argv[] = {shell, option, strdup(script), NULL};
    char *envp[] = {NULL};
    struct error err = ERROR_INIT;
    int held[2];

    assert_int_equal(pipe(held), 0);
    assert_true(process_start_group(process, argv, envp, &err));
    close(held[1]);
    free(argv[2]);
    return held[0];
}

static void read_until(struct process *process, char *output, size_t size, const char *last)
{
    struct deadline deadline = deadline_in_ms(60000);
    struct error err = ERROR_INIT;
    size_t length = 0;
    size_t got;

    output[0] = '\0';
    while (strstr(output, last) == NULL) {
        assert_true(
            process_read(process, output + length, size - 1 - length, &deadline, &got, &err));
        assert_true(got > 0);
        length += got;
        output[length] = '\0';
    }
}

static void kill_group(struct process *process, int held)
{
    char byte;

    process_kill(process);
    assert_int_equal(process->pid, 0);
    assert_int_equal(process->out_fd, -1);
    assert_int_equal(read(held, &byte, 1), 0);
    close(held);
}

/* What it has started ends with it, and both of its outputs are one. */
static void test_process_group(void **state)
{
    struct process process;
    char output[64];

    (void)state;
    int held = start_group(&process, "sleep 1000 & echo one >&2; echo two; wait");
    read_until(&process, output, sizeof(output), "two\n");
    assert_string_equal(output, "one\ntwo\n");
    kill_group(&process, held);
    assert_int_equal(process.exit_status, -1);
}

/* What it has started has the same grace, and no more, also when itself has ended. */
static void test_process_group_that_ignores_sigterm(void **state)
{
    static const char child[] = "(trap '' TERM; echo on; while :; do sleep 1; done) & ";
    static const char *const leaders[] = {"wait", "exit 0"};
    char script[128];
    struct process process;
    char output[64];

    (void)state;
    for (size_t i = 0; i < sizeof(leaders) / sizeof(leaders[0]); i++) {
        snprintf(script, sizeof(script), "%s%s", child, leaders[i]);
        int held = start_group(&process, script);
        read_until(&process, output, sizeof(output), "on\n");
        kill_group(&process, held);
    }
}

/* Who ends in an orderly way within the grace does so, though the first of them has ended. */
static void test_process_group_that_cleans_up(void **state)
{
    struct process process;
    char output[64];
    char made[] = "/tmp/base_test.XXXXXX";

    (void)state;
    assert_non_null(mkdtemp(made));
    char *script = NULL;
    assert_true(asprintf(&script,
                         "(trap 'head -c 200000 /dev/zero; rmdir %s; exit' TERM; echo on; "
                         "while :; do sleep 0.01; done) & exit 0",
                         made) > 0);
    int held = start_group(&process, script);
    read_until(&process, output, sizeof(output), "on\n");
    kill_group(&process, held);
    assert_int_equal(rmdir(made), -1);
    free(script);
}

/* Waiting. */

static void test_wait_deadline(void **state)
{
    struct error err = ERROR_INIT;
    struct deadline deadline = deadline_in_ms(20);
    int fds[2];

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    struct wait_fd waited[2] = {{.fd = fds[0], .events = POLLIN}, {.fd = -1, .events = POLLIN}};
    assert_false(wait_for(waited, 2, &deadline, &err));
    assert_int_equal(err.kind, ERROR_FAILED);
    assert_true(err.retryable);
    assert_non_null(strstr(err.text, "no answer within"));
    assert_int_equal(deadline_left_ms(&deadline), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    deadline = deadline_in_ms(60000);
    assert_true(wait_for(waited, 2, &deadline, &err));
    assert_true((waited[0].revents & POLLIN) != 0);
    deadline = deadline_in_ms(1);
    assert_true(wait_until(&deadline, &err));
    close(fds[0]);
    close(fds[1]);
}

/* In a child: a stop cannot be taken back. */
static bool stop_works(void)
{
    struct error err = ERROR_INIT;
    struct deadline patient = deadline_in_ms(60000);
    struct deadline cleaning = deadline_cleanup_in_ms(1);

    if (!stop_install(&err) || stop_signal() != 0 || !stop_check(&err)) {
        return false;
    }
    raise(SIGTERM);
    raise(SIGINT);
    if (stop_signal() != SIGTERM || wait_until(&patient, &err) || err.kind != ERROR_STOPPED ||
        strcmp(err.text, "stopped by SIGTERM") != 0) {
        return false;
    }
    return !wait_for(NULL, 0, &patient, &err) && err.kind == ERROR_STOPPED &&
           wait_until(&cleaning, &err);
}

static void test_wait_stop(void **state)
{
    int status;
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        _exit(stop_works() ? 0 : 1);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* The log's tail. */

static void test_log_tail(void **state)
{
    char line[64];
    char tail[LOG_TAIL_BYTES + 1];
    uint64_t begin = log_tail_position();

    (void)state;
    log_tail_copy(begin, tail);
    assert_string_equal(tail, "");
    log_tail_add("one");
    log_tail_add("two");
    log_tail_copy(begin, tail);
    assert_string_equal(tail, "one\ntwo\n");
    uint64_t second = log_tail_position();
    for (int i = 0; i < 1000; i++) {
        snprintf(line, sizeof(line), "line %d of many, \xc3\xa9", i);
        log_tail_add(line);
    }
    log_tail_copy(begin, tail);
    assert_true(strlen(tail) <= LOG_TAIL_BYTES && strlen(tail) > LOG_TAIL_BYTES - 64);
    /* Whole lines, the last of them. */
    assert_memory_equal(tail, "line ", 5);
    assert_non_null(strstr(tail, "\nline 999 of many, \xc3\xa9\n"));
    log_tail_add("end");
    log_tail_copy(second, tail);
    assert_string_equal(tail + strlen(tail) - 5, "\nend\n");
    log_tail_copy(log_tail_position(), tail);
    assert_string_equal(tail, "");
}

/* A quiet log keeps its tail all the same, masked; what is only for debugging is not in it. */
static void test_log_tail_of_a_quiet_log(void **state)
{
    char tail[LOG_TAIL_BYTES + 1];
    uint64_t begin = log_tail_position();

    (void)state;
    redact_register("c4nary-secret");
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT, false);
    log_info(LOG_MARK_OK, "test", "said %s\x1b[2J\n", "c4nary-secret");
    log_debug("test", "unsaid");
    log_configure(LOG_INFO, LOG_FORMAT_TEXT, false);
    log_tail_copy(begin, tail);
    assert_string_equal(tail, "said *** [2J\n");
    redact_clear();
}

/* Threads. */

static void read_byte(void *context)
{
    const int *fd = context;
    char byte;

    assert_int_equal(read(*fd, &byte, 1), 1);
}

static void test_a_thread_that_is_watched(void **state)
{
    struct watched_thread *thread = NULL;
    struct error err = ERROR_INIT;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    for (int i = 0; i < 2; i++) {
        assert_true(watched_thread_start(read_byte, &ends[0], &thread, &err));
        assert_false(watched_thread_has_ended(thread, 0));
        assert_false(watched_thread_has_ended(thread, 1));
        assert_int_equal(write(ends[1], "", 1), 1);
        if (i == 0) {
            assert_true(watched_thread_has_ended(thread, 60000));
            watched_thread_join(thread);
        } else {
            assert_true(watched_thread_end(thread));
        }
    }
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_lines),
        cmocka_unit_test(test_wrong_command_lines),
        cmocka_unit_test(test_database_locales),
        cmocka_unit_test(test_names_of_libc_locales),
        cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_log_tail),
        cmocka_unit_test(test_log_tail_of_a_quiet_log),
        cmocka_unit_test(test_text_grows_and_keeps_what_it_had),
        cmocka_unit_test(test_text_appendf_over_the_cap),
        cmocka_unit_test(test_text_html),
        cmocka_unit_test(test_text_copy),
        cmocka_unit_test(test_text_make_one_line),
        cmocka_unit_test(test_text_cut_utf8),
        cmocka_unit_test(test_text_bytes),
        cmocka_unit_test(test_text_integers),
        cmocka_unit_test(test_text_percent),
        cmocka_unit_test(test_text_printable),
        cmocka_unit_test(test_error_is_built_outward),
        cmocka_unit_test(test_error_is_one_printable_line),
        cmocka_unit_test(test_error_is_cut_at_a_character),
        cmocka_unit_test(test_error_cut_leaves_no_half_secret),
        cmocka_unit_test(test_error_exit_codes),
        cmocka_unit_test(test_redact_patterns),
        cmocka_unit_test(test_redact_registered),
        cmocka_unit_test(test_redact_longest_first),
        cmocka_unit_test(test_redact_other_spellings),
        cmocka_unit_test(test_redact_cut),
        cmocka_unit_test(test_redact_copy),
        cmocka_unit_test(test_redact_full_list),
        cmocka_unit_test(test_redact_tokens),
        cmocka_unit_test(test_clock_iso),
        cmocka_unit_test(test_clock_http),
        cmocka_unit_test(test_clock_parse_iso),
        cmocka_unit_test(test_host),
        cmocka_unit_test(test_clock_civil),
        cmocka_unit_test(test_clock_duration),
        cmocka_unit_test(test_file_read),
        cmocka_unit_test(test_file_read_refuses_what_is_not_a_file),
        cmocka_unit_test(test_file_write_all),
        cmocka_unit_test(test_file_standard_descriptors),
        cmocka_unit_test(test_library_that_is_missing),
        cmocka_unit_test(test_library_that_is_there),
        cmocka_unit_test(test_process_output_and_success),
        cmocka_unit_test(test_process_exit_status),
        cmocka_unit_test(test_process_killed),
        cmocka_unit_test(test_process_large_output),
        cmocka_unit_test(test_process_late_stderr),
        cmocka_unit_test(test_process_that_cannot_be_executed),
        cmocka_unit_test(test_process_that_hangs),
        cmocka_unit_test(test_process_that_ignores_sigterm),
        cmocka_unit_test(test_process_group),
        cmocka_unit_test(test_process_group_that_ignores_sigterm),
        cmocka_unit_test(test_process_group_that_cleans_up),
        cmocka_unit_test(test_wait_deadline),
        cmocka_unit_test(test_wait_stop),
        cmocka_unit_test(test_a_thread_that_is_watched),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

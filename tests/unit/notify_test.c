/*
 * notify/: the words of a message, the account, the signature, the service's replies, addresses.
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
#include "base/text.h"
#include "notify/acs_account.h"
#include "notify/acs_reply.h"
#include "notify/acs_sign.h"
#include "notify/hook.h"
#include "notify/mail_text.h"
#include "notify/message.h"
#include "notify/message_document.h"
#include "notify/recipients.h"
#include "notify/slack_channel.h"
#include "notify/smtp_account.h"
#include "notify/smtp_message.h"
#include "notify/teams_channel.h"
#include "notify/webhook_channel.h"
#include "notify/webhook_sign.h"

/* The words. */

static const struct outcome completed = {
    .completed = true,
    .history_id = "0a8f2d1c-5b1e-4a55-9a43-1f1d2c3b4a59",
    .run_id = "0123456789abcdef",
    .name = "rythm-backup-2025-01-29T02-00-01-123Z.sql.zst",
    .database = "rythm",
    .bytes = 160256,
    .duration_ms = 8000,
    .at_ms = 1738116009123,
    .has_next = true,
    .next_ms = 1738202400000,
};

static const char *const completed_facts[] = {
    "0a8f2d1c-5b1e-4a55-9a43-1f1d2c3b4a59",
    "rythm-backup-2025-01-29T02-00-01-123Z.sql.zst",
    "rythm",
    "156.5 KB",
    "8s",
    "2025-01-29T02:00:09.123Z",
    "2025-01-30T02:00:00.000Z",
};

static struct mail_text write_mail(const struct outcome *outcome)
{
    struct message message;
    struct mail_text words;
    struct error err = ERROR_INIT;

    assert_true(message_for_outcome(outcome, &message, &err));
    assert_true(mail_text_format(&message, &words, &err));
    message_clear(&message);
    return words;
}

static void test_message_of_a_completed_backup(void **state)
{
    struct mail_text message = write_mail(&completed);

    (void)state;
    assert_string_equal(message.subject, "✅ Database Backup Completed Successfully");
    for (size_t i = 0; i < sizeof(completed_facts) / sizeof(completed_facts[0]); i++) {
        assert_non_null(strstr(message.plain_text, completed_facts[i]));
        assert_non_null(strstr(message.html, completed_facts[i]));
    }
    assert_null(strstr(message.plain_text, "Error"));
    assert_null(strstr(message.html, "Error"));
    assert_null(strchr(message.plain_text, '\r'));
    mail_text_clear(&message);
    mail_text_clear(&message);
}

static void test_message_of_a_failed_backup(void **state)
{
    struct outcome outcome = completed;

    (void)state;
    outcome.completed = false;
    outcome.error = "pg_dump: exit status 1";
    outcome.has_next = false;
    outcome.database = NULL;
    struct mail_text message = write_mail(&outcome);
    assert_string_equal(message.subject, "❌ Database Backup Failed");
    assert_non_null(strstr(message.plain_text, "Error: pg_dump: exit status 1\n"));
    assert_non_null(strstr(message.html, "pg_dump: exit status 1"));
    assert_non_null(strstr(message.plain_text, "Next run: not scheduled\n"));
    assert_null(strstr(message.plain_text, "Size"));
    assert_null(strstr(message.plain_text, "Database:"));
    mail_text_clear(&message);
}

static void test_message_without_a_reason(void **state)
{
    struct outcome outcome = completed;

    (void)state;
    outcome.completed = false;
    struct mail_text message = write_mail(&outcome);
    assert_non_null(strstr(message.plain_text, "Error: no reason is known\n"));
    mail_text_clear(&message);
}

static size_t count_lines(const char *text)
{
    size_t lines = 0;

    for (; *text != '\0'; text++) {
        lines += *text == '\n';
    }
    return lines;
}

/* FAULTS I5, K12: foreign text adds no line, no control byte and no markup. */
static void test_message_of_hostile_text(void **state)
{
    struct outcome outcome = completed;

    (void)state;
    outcome.completed = false;
    outcome.error = "harmless";
    struct mail_text plain = write_mail(&outcome);
    outcome.error = "</td><script>alert('x')</script>\r\nBcc: all@example.com\n.\n"
                    "\x1b[2J\x07\x7f\xc2\x9b"
                    "31m \xff\xfe & \"quoted\" \xe2\x82";
    outcome.name = "x\r\n\r\n<b>y";
    struct mail_text message = write_mail(&outcome);
    assert_int_equal(count_lines(message.plain_text), count_lines(plain.plain_text));
    assert_int_equal(count_lines(message.html), count_lines(plain.html));
    for (const char *c = message.plain_text; *c != '\0'; c++) {
        assert_true((unsigned char)*c >= 0x20 || *c == '\n');
        assert_true(*c != 0x7f);
    }
    assert_null(strstr(message.plain_text, "\xc2\x9b"));
    assert_null(strstr(message.html, "<script"));
    assert_null(strstr(message.html, "<b>"));
    assert_non_null(strstr(message.html, "&lt;/td&gt;&lt;script&gt;alert(&#39;x&#39;)"));
    assert_non_null(strstr(message.html, "&amp; &quot;quoted&quot;"));
    char *copy = text_copy(message.plain_text);
    assert_non_null(copy);
    text_cut_utf8(copy);
    assert_string_equal(copy, message.plain_text);
    free(copy);
    mail_text_clear(&plain);
    mail_text_clear(&message);
}

/* FAULTS H9: bounded, and still UTF-8 where it was cut. */
static void test_message_of_a_megabyte(void **state)
{
    struct outcome outcome = completed;
    size_t size = 1024 * 1024;
    char *error = malloc(size + 1);

    (void)state;
    assert_non_null(error);
    for (size_t i = 0; i + 2 <= size; i += 2) {
        memcpy(error + i, "\xc3\xa9", 2);
    }
    memcpy(error, "x", 1);
    error[size] = '\0';
    outcome.completed = false;
    outcome.error = error;
    struct mail_text message = write_mail(&outcome);
    assert_true(strlen(message.plain_text) < 8000);
    assert_true(strlen(message.html) < 8000);
    char *copy = text_copy(message.html);
    assert_non_null(copy);
    text_cut_utf8(copy);
    assert_string_equal(copy, message.html);
    free(copy);
    free(error);
    mail_text_clear(&message);
}

/* Invariant I9. */
static void test_message_shows_no_secret(void **state)
{
    struct outcome outcome = completed;

    (void)state;
    redact_register("c4nary-s3cret");
    outcome.completed = false;
    outcome.error = "connecting with c4nary-s3cret to postgres://u:hunter22@host/x failed";
    struct mail_text message = write_mail(&outcome);
    assert_null(strstr(message.plain_text, "c4nary"));
    assert_null(strstr(message.html, "c4nary"));
    assert_null(strstr(message.html, "hunter22"));
    mail_text_clear(&message);
    redact_clear();
}

static struct mail_text write_refutation(const struct refutation *refutation)
{
    struct message message;
    struct mail_text words;
    struct error err = ERROR_INIT;

    assert_true(message_for_refutation(refutation, &message, &err));
    assert_true(mail_text_format(&message, &words, &err));
    message_clear(&message);
    return words;
}

static void test_message_of_a_failed_verification(void **state)
{
    struct refutation refutation = {
        .key = "0123456789abcdef verification failed",
        .run_id = "0123456789abcdef",
        .name = "rythm-backup-2025-01-29T02-00-01-123Z.sql.zst",
        .database = "rythm",
        .begun_ms = INT64_C(1738116001123),
        .duration_ms = 75000,
        .at_ms = INT64_C(1738119600000),
        .error = "table public.<orders>: 41 rows, 42 expected\nand more",
    };
    static const char *const facts[] = {"rythm-backup-2025-01-29T02-00-01-123Z.sql.zst", "rythm",
                                        "2025-01-29T02:00:01.123Z", "2025-01-29T03:00:00.000Z",
                                        "1m 15s"};
    struct mail_text mail = write_refutation(&refutation);

    (void)state;
    assert_string_equal(mail.subject, "❌ Database Backup Verification Failed");
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        assert_non_null(strstr(mail.plain_text, facts[i]));
        assert_non_null(strstr(mail.html, facts[i]));
    }
    assert_non_null(strstr(mail.plain_text, "public.<orders>: 41 rows, 42 expected and more"));
    assert_non_null(strstr(mail.html, "public.&lt;orders&gt;"));
    mail_text_clear(&mail);
    /* Of an object of the old service less is known. */
    refutation.database = NULL;
    refutation.error = NULL;
    mail = write_refutation(&refutation);
    assert_null(strstr(mail.plain_text, "Database: "));
    assert_non_null(strstr(mail.plain_text, "Error: no reason is known"));
    mail_text_clear(&mail);
}

static void test_message_for_a_test(void **state)
{
    struct message message;
    struct mail_text mail;
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(message_for_test(0, &message, &err));
    assert_true(mail_text_format(&message, &mail, &err));
    assert_non_null(strstr(mail.subject, "Test"));
    assert_non_null(strstr(mail.plain_text, "test message"));
    assert_non_null(strstr(mail.html, "test message"));
    mail_text_clear(&mail);
    message_clear(&message);
}

/* Failures that came together, `count` of them. */
static void merge_failures(struct message *out, size_t count)
{
    struct outcome outcome = completed;
    struct message one;
    struct error err = ERROR_INIT;
    char name[40];

    outcome.completed = false;
    outcome.error = "<it> & that";
    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "backup-%zu", i);
        outcome.name = name;
        assert_true(message_for_outcome(&outcome, i == 0 ? out : &one, &err));
        if (i > 0) {
            assert_true(message_merge(out, &one, &err));
            message_clear(&one);
        }
    }
}

static void test_message_of_several_failures(void **state)
{
    struct message message;
    struct mail_text mail;
    struct error err = ERROR_INIT;

    (void)state;
    merge_failures(&message, 3);
    assert_true(mail_text_format(&message, &mail, &err));
    assert_string_equal(mail.subject, "❌ 3 Database Backups Failed");
    assert_non_null(strstr(mail.plain_text, "Backup: backup-0\n"));
    assert_non_null(strstr(mail.plain_text, "Backup: backup-2\n"));
    assert_null(strstr(mail.plain_text, "more"));
    assert_non_null(strstr(mail.html, "&lt;it&gt; &amp; that"));
    mail_text_clear(&mail);
    message_clear(&message);

    merge_failures(&message, MESSAGE_MOST_ITEMS + 30);
    assert_int_equal(message.count, MESSAGE_MOST_ITEMS);
    assert_true(mail_text_format(&message, &mail, &err));
    assert_string_equal(mail.subject, "❌ 50 Database Backups Failed");
    assert_non_null(strstr(mail.plain_text, "and 30 more\n"));
    mail_text_clear(&mail);
    message_clear(&message);
}

static void test_message_as_a_document(void **state)
{
    struct message message;
    struct message read;
    struct mail_text mail;
    struct mail_text again;
    struct error err = ERROR_INIT;

    (void)state;
    merge_failures(&message, 2);
    char *document = message_document_format(&message, &err);
    assert_true(message_document_parse(document, &read, &err));
    assert_int_equal(read.items[1].numbers[FACT_DURATION], 8000);
    assert_int_equal(read.at_ms, message.at_ms);
    assert_true(mail_text_format(&message, &mail, &err));
    assert_true(mail_text_format(&read, &again, &err));
    assert_string_equal(mail.plain_text, again.plain_text);
    mail_text_clear(&mail);
    mail_text_clear(&again);
    message_clear(&message);
    message_clear(&read);
    free(document);
}

static void test_document_that_is_none(void **state)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{\"kind\":\"backup.failed\"}",
        "{\"kind\":\"backup.failed\",\"items\":[]}",
        "{\"kind\":\"backup.unknown\",\"items\":[{}]}",
        "{\"kind\":\"backup.failed\",\"more\":-1,\"items\":[{}]}",
        "{\"kind\":\"backup.failed\",\"items\":[{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}"
        ",{},{},{},{}]}",
    };
    struct message message;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct error err = ERROR_INIT;
        assert_false(message_document_parse(bad[i], &message, &err));
        assert_int_equal(err.kind, ERROR_FAILED);
    }
}

/* What is posted. */

/* `count` failures whose errors are as long as they can be, and hostile. */
static void merge_long_failures(struct message *out, size_t count)
{
    static char error[64 * 1024];
    struct outcome outcome = completed;
    struct message one;
    struct error err = ERROR_INIT;

    for (size_t i = 0; i + 8 < sizeof(error); i += 8) {
        memcpy(error + i, "<!&*_[\xc3\xa9", 8);
    }
    outcome.completed = false;
    outcome.error = error;
    for (size_t i = 0; i < count; i++) {
        assert_true(message_for_outcome(&outcome, i == 0 ? out : &one, &err));
        if (i > 0) {
            assert_true(message_merge(out, &one, &err));
            message_clear(&one);
        }
    }
}

static void assert_fits(char *(*format)(const struct message *message, struct error *err),
                        size_t most)
{
    static const size_t counts[] = {1, 2, MESSAGE_MOST_ITEMS};

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct message message;
        struct error err = ERROR_INIT;
        merge_long_failures(&message, counts[i]);
        char *document = format(&message, &err);
        assert_non_null(document);
        assert_true(strlen(document) <= most);
        /* Something of the error is left. */
        assert_non_null(strstr(document, "\xc3\xa9"));
        free(document);
        message_clear(&message);
    }
}

static void test_documents_fit(void **state)
{
    (void)state;
    assert_fits(slack_format, 96 * 1024);
    assert_fits(teams_format, 28 * 1024);
    assert_fits(webhook_format, 20 * 1000);
}

static void test_slack_addresses_nobody(void **state)
{
    struct outcome outcome = completed;
    struct message message;
    struct error err = ERROR_INIT;

    (void)state;
    outcome.completed = false;
    outcome.error = "<!channel> <@U1> & <https://x.example|y>";
    assert_true(message_for_outcome(&outcome, &message, &err));
    char *document = slack_format(&message, &err);
    assert_null(strchr(document, '<'));
    assert_non_null(
        strstr(document, "&lt;!channel&gt; &lt;@U1&gt; &amp; &lt;https://x.example|y&gt;"));
    free(document);
    message_clear(&message);
}

/* The vector of the specification's own implementations. */
#define WEBHOOK_SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

static void test_webhook_signature(void **state)
{
    static const char good[] = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    struct webhook_keys keys;
    char signature[WEBHOOK_SIGNATURE_SIZE];
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(webhook_keys_parse(WEBHOOK_SECRET, &keys, &err));
    assert_true(webhook_sign(&keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
                             "{\"test\": 2432232314}", signature, &err));
    assert_string_equal(signature, good);
    assert_true(webhook_keys_parse("  " WEBHOOK_SECRET " " WEBHOOK_SECRET, &keys, &err));
    assert_true(webhook_sign(&keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
                             "{\"test\": 2432232314}", signature, &err));
    assert_int_equal(strlen(signature), 2 * strlen(good) + 1);
    webhook_keys_clear(&keys);
    redact_clear();
}

static void test_webhook_secret_bad(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_",
        "whsec_MfKQ",
        "whsec_!!!!",
        WEBHOOK_SECRET " x",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
        WEBHOOK_SECRET " " WEBHOOK_SECRET " " WEBHOOK_SECRET " " WEBHOOK_SECRET " " WEBHOOK_SECRET,
        "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAA"};
    struct webhook_keys keys;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct error err = ERROR_INIT;
        assert_false(webhook_keys_parse(bad[i], &keys, &err));
        assert_int_equal(err.kind, ERROR_CONFIG);
        assert_null(strstr(err.text, "MfKQ"));
    }
    redact_clear();
}

static void test_hook_urls(void **state)
{
    static const char *const good[] = {"https://hooks.slack.com/services/T/B/X",
                                       "HTTPS://x.example",
                                       "https://u:p@x.example/a?b",
                                       "http://127.0.0.1:8080/x",
                                       "http://localhost/x",
                                       "http://[::1]:1/x",
                                       "https://x.example:443/a?sig=a%2Fb&sp=%2F"};
    static const char *const bad[] = {"",
                                      "hooks.slack.com/x",
                                      "ftp://x.example/",
                                      "http://x.example/",
                                      "https://",
                                      "https:///path",
                                      "https://:443/",
                                      "http://127.0.0.1.x.example/",
                                      "https://x.example/a b",
                                      "https://x.example/\r\nX",
                                      "https://x.example/{a}",
                                      "https://u@/x",
                                      "http://127.0.0.1@x/"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct error err = ERROR_INIT;
        assert_true(hook_check_url(SETTING_SLACK_WEBHOOK_URL, good[i], &err));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct error err = ERROR_INIT;
        assert_false(hook_check_url(SETTING_SLACK_WEBHOOK_URL, bad[i], &err));
        assert_int_equal(err.kind, ERROR_CONFIG);
        assert_non_null(strstr(err.text, "SLACK_WEBHOOK_URL: "));
    }
    redact_clear();
}

/* SMTP. */

static void test_hook_hides_its_signature_alone(void **state)
{
    char text[] = "bad signature S1gNaTuReOfAfLoW_4711-xyz of triggers";
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(hook_check_url(SETTING_TEAMS_WEBHOOK_URL,
                               "https://x.example/a?sp=triggers&sig=S1gNaTuReOfAfLoW_4711-xyz#f",
                               &err));
    redact_text(text);
    assert_string_equal(text, "bad signature *** of triggers");
    redact_clear();
}

static void test_smtp_account_good(void **state)
{
    static const struct {
        const char *setting;
        const char *url;
        const char *user;
        const char *password;
        bool must_encrypt;
    } good[] = {
        {"smtp://mail.example.org", "smtp://mail.example.org", "", "", true},
        {"smtp://mail.example.org:587/client.example", "smtp://mail.example.org:587/client.example",
         "", "", true},
        {"smtps://a%40b:c%3A%2Fd@mail.example.org:465", "smtps://mail.example.org:465", "a@b",
         "c:/d", false},
        {"smtp://a@b:cccc@localhost:25", "smtp://localhost:25", "a@b", "cccc", false},
        {"SMTP://[::1]:25/", "smtp://[::1]:25/", "", "", false},
        {"smtp://127.0.0.1.example.org", "smtp://127.0.0.1.example.org", "", "", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct smtp_account account;
        struct error err = ERROR_INIT;
        assert_true(smtp_account_parse(good[i].setting, &account, &err));
        assert_string_equal(account.url, good[i].url);
        assert_int_equal(account.has_login, *good[i].user != '\0');
        assert_string_equal(account.user, good[i].user);
        assert_string_equal(account.password, good[i].password);
        assert_int_equal(account.must_encrypt, good[i].must_encrypt);
        smtp_account_clear(&account);
    }
    redact_clear();
}

static struct text write_smtp(const char *subject, const char *body)
{
    const struct parcel mail = {.id = "0a8f2d1c-5b1e-4a55-9a43-1f1d2c3b4a59",
                                .to = "a@x.example",
                                .from = "b@y.example",
                                .subject = subject,
                                .plain_text = body,
                                .html = body};
    struct text out;
    struct error err = ERROR_INIT;

    assert_true(smtp_message_format(&mail, INT64_C(1777636800000), &out, &err));
    return out;
}

static void test_smtp_message(void **state)
{
    struct text out = write_smtp("✅ Done", "x = 1\n.\n\ntwo  \nübel");

    (void)state;
    const char *all = text_string(&out);
    assert_non_null(strstr(all, "From: <b@y.example>\r\nTo: <a@x.example>\r\nSubject: "
                                "=?UTF-8?B?4pyFIERvbmU=?=\r\nDate: Fri, 01 May 2026 12:00:00 +0000"
                                "\r\nMessage-ID: "
                                "<0a8f2d1c-5b1e-4a55-9a43-1f1d2c3b4a59@y.example>\r\n"));
    assert_non_null(strstr(all, "\r\n\r\nx =3D 1\r\n=2E\r\n\r\ntwo =20\r\n=C3=BCbel\r\n--=_0a8f"));
    assert_non_null(strstr(all, "-1f1d2c3b4a59--\r\n"));
    text_clear(&out);
}

static void test_smtp_lines_are_short(void **state)
{
    static char body[8000];
    static char subject[2000];

    (void)state;
    for (size_t i = 0; i + 2 < sizeof(body); i += 2) {
        memcpy(body + i, "\xc3\xa9", 2);
    }
    for (size_t i = 0; i + 3 < sizeof(subject); i += 3) {
        memcpy(subject + i, "\r\n\x1b", 3);
    }
    struct text out = write_smtp(subject, body);
    size_t fields = 0;
    for (const char *line = text_string(&out); *line != '\0'; line = strstr(line, "\r\n") + 2) {
        assert_true(strcspn(line, "\r\n") <= 100);
        fields += strncmp(line, "Subject:", 8) == 0;
    }
    assert_int_equal(fields, 1);
    assert_null(strchr(text_string(&out), 0x1b));
    text_clear(&out);
}

/* The account. */

#define KEY "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

static void test_account_good(void **state)
{
    static const struct {
        const char *string;
        const char *endpoint;
        const char *host;
    } good[] = {
        {"endpoint=https://contoso.communication.azure.com/;accesskey=" KEY,
         "https://contoso.communication.azure.com", "contoso.communication.azure.com"},
        {"accesskey=" KEY ";endpoint=https://contoso.communication.azure.com",
         "https://contoso.communication.azure.com", "contoso.communication.azure.com"},
        {" ENDPOINT = HTTPS://Contoso.Communication.Azure.com// ;; AccessKey=" KEY "\n;",
         "https://contoso.communication.azure.com", "contoso.communication.azure.com"},
        {"endpoint=https://h:443/;accesskey=" KEY, "https://h", "h"},
        {"endpoint=https://h:8443/;accesskey=" KEY, "https://h:8443", "h:8443"},
        {"endpoint=http://127.0.0.1:10080/;accesskey=" KEY, "http://127.0.0.1:10080",
         "127.0.0.1:10080"},
        {"endpoint=http://localhost:80;accesskey=" KEY, "http://localhost", "localhost"},
        {"endpoint=http://[::1]:8080/;accesskey=" KEY, "http://[::1]:8080", "[::1]:8080"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct acs_account account;
        struct error err = ERROR_INIT;
        assert_true(acs_account_parse(good[i].string, &account, &err));
        assert_string_equal(account.endpoint, good[i].endpoint);
        assert_string_equal(account.host, good[i].host);
        assert_int_equal(account.key_size, 32);
        assert_memory_equal(account.key, "0123456789abcdef0123456789abcdef", 32);
        acs_account_clear(&account);
        assert_int_equal(account.key[0], 0);
    }
}

static void test_account_bad(void **state)
{
    static const char *const bad[] = {
        "",
        ";",
        KEY,
        "endpoint=https://h/",
        "accesskey=" KEY,
        "endpoint=;accesskey=" KEY,
        "endpoint=https://h/;accesskey=",
        "endpoint=https://h/;accesskey=not-base64-" KEY,
        "endpoint=https://h/;accesskey=" KEY ";accesskey=" KEY,
        "endpoint=https://h/;endpoint=https://h/;accesskey=" KEY,
        "endpoint=https://h/;acesskey=" KEY,
        "endpoint=http://h/;accesskey=" KEY,
        "endpoint=http://127.0.0.1.example.com/;accesskey=" KEY,
        "endpoint=http://localhost.example.com/;accesskey=" KEY,
        "endpoint=http://128.0.0.1/;accesskey=" KEY,
        "endpoint=ftp://h/;accesskey=" KEY,
        "endpoint=h;accesskey=" KEY,
        "endpoint=https:///;accesskey=" KEY,
        "endpoint=https://u:p@h/;accesskey=" KEY,
        "endpoint=https://h/path;accesskey=" KEY,
        "endpoint=https://h?x=1;accesskey=" KEY,
        "endpoint=https://h#x;accesskey=" KEY,
        "endpoint=https://h:0/;accesskey=" KEY,
        "endpoint=https://h:65536/;accesskey=" KEY,
        "endpoint=https://h:port/;accesskey=" KEY,
        "endpoint=https://h\r\nX: y/;accesskey=" KEY,
        "endpoint=https://.h/;accesskey=" KEY,
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct acs_account account = {.key_size = 77};
        struct error err = ERROR_INIT;
        redact_clear(); /* the error must hold no secret by itself, not for having been masked */
        assert_false(acs_account_parse(bad[i], &account, &err));
        assert_int_equal(err.kind, ERROR_CONFIG);
        assert_int_equal(account.key_size, 77);
        assert_non_null(strstr(err.text, "ACS_CONNECTION_STRING"));
        assert_null(strstr(err.text, "MDEy"));
        assert_null(strstr(err.text, "127"));
        assert_null(strstr(err.text, "not-base64"));
    }
    redact_clear();
}

static void test_account_too_long(void **state)
{
    struct acs_account account;
    struct error err = ERROR_INIT;
    struct text string = TEXT_INIT(100000);

    (void)state;
    text_append(&string, "accesskey=" KEY ";endpoint=https://");
    while (string.length < 400) {
        text_append(&string, "h");
    }
    assert_false(acs_account_parse(text_string(&string), &account, &err));
    while (string.length < 50000) {
        text_append(&string, "h");
    }
    assert_false(acs_account_parse(text_string(&string), &account, &err));
    text_clear(&string);
    redact_clear();
}

static void test_account_key_is_registered(void **state)
{
    struct acs_account account;
    struct error err = ERROR_INIT;

    (void)state;
    redact_clear();
    assert_true(acs_account_parse("endpoint=https://h/;accesskey=" KEY, &account, &err));
    error_set(&err, ERROR_FAILED, "the key %s", KEY);
    assert_null(strstr(err.text, "MDEy"));
    redact_clear();
}

/* The signature. PROTOCOLS section 3. */

static void test_signature(void **state)
{
    static const char body[] = "{\"senderAddress\":\"a@b.c\"}";
    const struct acs_signed_request request = {
        .method = "POST",
        .path_and_query = "/emails:send?api-version=2023-03-31",
        .body = body,
        .body_size = sizeof(body) - 1,
    };
    struct acs_account account;
    struct acs_signature signature;
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(acs_account_parse(
        "endpoint=https://contoso.communication.azure.com/;accesskey=" KEY, &account, &err));
    assert_true(acs_sign(&account, &request, 1777636800000, &signature, &err));
    assert_string_equal(signature.date, "Fri, 01 May 2026 12:00:00 GMT");
    assert_string_equal(signature.content_hash, "JppGVhXOsxjTDFEjYrQyeJE/eLwcSbSYvYuKFodVIO0=");
    assert_string_equal(signature.authorization,
                        "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature="
                        "E22Zy8da6mD7+Qz88xyYENblr9xgjZpKojX9l7dQ9Rg=");
    redact_clear();
}

static void test_signature_of_no_body(void **state)
{
    const struct acs_signed_request request = {.method = "GET", .path_and_query = "/x"};
    struct acs_account account = {.host = "h", .key = "k", .key_size = 1};
    struct acs_signature signature;
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(acs_sign(&account, &request, 0, &signature, &err));
    assert_string_equal(signature.content_hash, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
}

/* Replies. */

static void set_reply(struct http_reply *reply, int status, const char *body)
{
    http_reply_clear(reply);
    reply->status = status;
    text_append(&reply->body, body);
}

static void test_reply_operation(void **state)
{
    static const struct {
        const char *body;
        enum acs_status status;
        const char *id;
        const char *problem;
    } good[] = {
        {"{\"id\":\"8540c0de-899f-5cce-acb5-3ec493af3800\",\"status\":\"Running\"}",
         ACS_STATUS_RUNNING, "8540c0de-899f-5cce-acb5-3ec493af3800", ""},
        {"{\"id\":\"a\",\"status\":\"NotStarted\",\"more\":[1,2]}", ACS_STATUS_RUNNING, "a", ""},
        {"{\"id\":\"a\",\"status\":\"Succeeded\",\"error\":null}", ACS_STATUS_SUCCEEDED, "a", ""},
        {"{\"id\":\"a\",\"status\":\"Failed\",\"error\":{\"code\":\"EmailDropped\","
         "\"message\":\"dropped\"}}",
         ACS_STATUS_FAILED, "a", "Failed, EmailDropped: dropped"},
        {"{\"id\":\"a\",\"status\":\"Canceled\"}", ACS_STATUS_FAILED, "a", "Canceled"},
        {"{\"id\":\"a\",\"status\":\"Failed\",\"error\":\"text\"}", ACS_STATUS_FAILED, "a",
         "Failed"},
        {"{\"id\":\"a\",\"status\":\"Failed\",\"error\":{\"code\":7,\"message\":[]}}",
         ACS_STATUS_FAILED, "a", "Failed"},
        /* An id that cannot be part of a URL is as good as none. */
        {"{\"status\":\"Running\"}", ACS_STATUS_RUNNING, "", ""},
        {"{\"id\":7,\"status\":\"Running\"}", ACS_STATUS_RUNNING, "", ""},
        {"{\"id\":\"\",\"status\":\"Running\"}", ACS_STATUS_RUNNING, "", ""},
        {"{\"id\":\"../../x\",\"status\":\"Running\"}", ACS_STATUS_RUNNING, "", ""},
        {"{\"id\":\"a?b\",\"status\":\"Running\"}", ACS_STATUS_RUNNING, "", ""},
        {"{\"id\":\"a\\r\\nb\",\"status\":\"Running\"}", ACS_STATUS_RUNNING, "", ""},
    };
    struct http_reply reply = HTTP_REPLY_INIT(ACS_REPLY_CAP);

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct acs_operation operation;
        struct error err = ERROR_INIT;
        set_reply(&reply, 200, good[i].body);
        assert_true(acs_reply_parse_operation(&reply, &operation, &err));
        assert_int_equal(operation.status, good[i].status);
        assert_string_equal(operation.id, good[i].id);
        assert_string_equal(operation.problem, good[i].problem);
    }
    http_reply_clear(&reply);
}

static void test_reply_that_is_no_operation(void **state)
{
    static const char *const bad[] = {
        "",
        "null",
        "7",
        "\"Running\"",
        "[]",
        "{}",
        "{",
        "{\"status\":\"Running\"",
        "{\"status\":\"Running\"} trailing",
        "{\"status\":7}",
        "{\"status\":null}",
        "{\"status\":{\"status\":\"Running\"}}",
        "{\"status\":\"running\"}",
        "{\"status\":\"Exploded\"}",
        "{\"status\":\"Running\",\"status\":\"Succeeded\"}",
        "{\"status\":\"Succeeded\\u0000\"}",
        "{\"status\":\"\xff\"}",
        "<html>502</html>",
    };
    struct http_reply reply = HTTP_REPLY_INIT(ACS_REPLY_CAP);

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct acs_operation operation = {.id = "untouched"};
        struct error err = ERROR_INIT;
        set_reply(&reply, 200, bad[i]);
        assert_false(acs_reply_parse_operation(&reply, &operation, &err));
        assert_string_equal(operation.id, "untouched");
        assert_true(strlen(err.text) > 0);
    }
    http_reply_clear(&reply);
}

static void test_reply_deep_and_long(void **state)
{
    struct http_reply reply = HTTP_REPLY_INIT(ACS_REPLY_CAP);
    struct acs_operation operation;
    struct error err = ERROR_INIT;

    (void)state;
    text_append(&reply.body, "{\"status\":\"Running\",\"x\":");
    for (int i = 0; i < 60000; i++) {
        text_append(&reply.body, "[");
    }
    assert_false(acs_reply_parse_operation(&reply, &operation, &err));
    set_reply(&reply, 200, "{\"id\":\"");
    for (int i = 0; i < 100; i++) {
        text_append(&reply.body, "a");
    }
    text_append(&reply.body, "\",\"status\":\"Failed\",\"error\":{\"message\":\"");
    for (int i = 0; i < 30000; i++) {
        text_append(&reply.body, "\xc3\xa9");
    }
    text_append(&reply.body, "\"}}");
    assert_true(acs_reply_parse_operation(&reply, &operation, &err));
    assert_string_equal(operation.id, "");
    char copy[sizeof(operation.problem)];
    snprintf(copy, sizeof(copy), "%s", operation.problem);
    text_cut_utf8(copy);
    assert_string_equal(copy, operation.problem);
    http_reply_clear(&reply);
}

static void test_reply_refused(void **state)
{
    struct http_reply reply = HTTP_REPLY_INIT(ACS_REPLY_CAP);
    struct error err = ERROR_INIT;

    (void)state;
    set_reply(&reply, 401, "{\"error\":{\"code\":\"Denied\",\"message\":\"who\\r\\nare you\"}}");
    assert_false(acs_reply_refused(&reply, &err));
    assert_string_equal(err.text, "the service answers 401 Denied: who are you");
    set_reply(&reply, 400, "not JSON");
    text_append(&reply.headers, "HTTP/1.1 400 Bad Request\r\nx-ms-error-code: BadRequest\r\n\r\n");
    acs_reply_refused(&reply, &err);
    assert_string_equal(err.text, "the service answers 400 BadRequest");
    set_reply(&reply, 503, "");
    acs_reply_refused(&reply, &err);
    assert_string_equal(err.text, "the service answers 503");
    http_reply_clear(&reply);
}

/* Addresses. */

static void test_addresses(void **state)
{
    static const char *const good[] = {"a@b", "admin@rythm.example", "first.last+tag@sub.example",
                                       "o'hara@example.org", "j\xc3\xbcrgen@example.org"};
    static const char *const bad[] = {
        "",        "@",       "a@",      "@b",          "a",       "a@b@c",
        "a b@c",   "a@b c",   " a@b",    "a@b ",        "a@b\n",   "a\r\nBcc:x@b",
        "a@b\x01", "a@b\x7f", "a,b@c",   "<a@b>",       "A <a@b>", "\"a\"@b",
        "a@b;c",   "a\tb@c",  "a@b\xff", "a@b\xe2\x82", "(x)a@b",  "mailto:a@b",
    };
    char longest[RECIPIENTS_LONGEST_ADDRESS + 2];

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(recipients_is_address(good[i]));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(recipients_is_address(bad[i]));
    }
    memset(longest, 'a', sizeof(longest));
    longest[1] = '@';
    longest[RECIPIENTS_LONGEST_ADDRESS] = '\0';
    assert_true(recipients_is_address(longest));
    longest[RECIPIENTS_LONGEST_ADDRESS] = 'a';
    longest[RECIPIENTS_LONGEST_ADDRESS + 1] = '\0';
    assert_false(recipients_is_address(longest));
}

static void test_recipients_of_the_setting(void **state)
{
    char list[] = " a@b.example, bad,, c@d.example ,a@b.example,x\r\n@y,";
    struct settings settings = {.values = {[SETTING_NOTIFY_TO] = list}};
    struct addresses addresses;
    const char *why_none;
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(recipients_read(NULL, &settings, &addresses, &why_none, &err));
    assert_int_equal(addresses.count, 2);
    assert_string_equal(addresses.items[0], "a@b.example");
    assert_string_equal(addresses.items[1], "c@d.example");
    admin_addresses_clear(&addresses);
}

static void test_recipients_of_a_setting_without_any(void **state)
{
    char list[] = " , bad ,";
    struct settings settings = {.values = {[SETTING_NOTIFY_TO] = list}};
    struct addresses addresses;
    const char *why_none;
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(recipients_read(NULL, &settings, &addresses, &why_none, &err));
    assert_int_equal(addresses.count, 0);
    assert_non_null(strstr(why_none, "RYTHM_BACKUP_NOTIFY_TO"));
    admin_addresses_clear(&addresses);
}

static void test_recipients_are_capped(void **state)
{
    struct addresses addresses = {.items = NULL};
    struct error err = ERROR_INIT;
    char address[32];

    (void)state;
    for (int i = 0; i < ADDRESSES_MOST; i++) {
        snprintf(address, sizeof(address), "a%d@b", i);
        assert_true(admin_addresses_add(&addresses, address, &err));
    }
    assert_true(admin_addresses_add(&addresses, "a7@b", &err));
    assert_false(admin_addresses_add(&addresses, "one-more@b", &err));
    assert_int_equal(err.kind, ERROR_CONFIG);
    assert_int_equal(addresses.count, ADDRESSES_MOST);
    admin_addresses_clear(&addresses);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message_of_a_completed_backup),
        cmocka_unit_test(test_message_of_a_failed_backup),
        cmocka_unit_test(test_message_without_a_reason),
        cmocka_unit_test(test_message_of_hostile_text),
        cmocka_unit_test(test_message_of_a_megabyte),
        cmocka_unit_test(test_message_shows_no_secret),
        cmocka_unit_test(test_message_of_a_failed_verification),
        cmocka_unit_test(test_message_for_a_test),
        cmocka_unit_test(test_message_of_several_failures),
        cmocka_unit_test(test_message_as_a_document),
        cmocka_unit_test(test_document_that_is_none),
        cmocka_unit_test(test_documents_fit),
        cmocka_unit_test(test_slack_addresses_nobody),
        cmocka_unit_test(test_webhook_signature),
        cmocka_unit_test(test_webhook_secret_bad),
        cmocka_unit_test(test_hook_urls),
        cmocka_unit_test(test_hook_hides_its_signature_alone),
        cmocka_unit_test(test_smtp_account_good),
        cmocka_unit_test(test_smtp_message),
        cmocka_unit_test(test_smtp_lines_are_short),
        cmocka_unit_test(test_account_good),
        cmocka_unit_test(test_account_bad),
        cmocka_unit_test(test_account_too_long),
        cmocka_unit_test(test_account_key_is_registered),
        cmocka_unit_test(test_signature),
        cmocka_unit_test(test_signature_of_no_body),
        cmocka_unit_test(test_reply_operation),
        cmocka_unit_test(test_reply_that_is_no_operation),
        cmocka_unit_test(test_reply_deep_and_long),
        cmocka_unit_test(test_reply_refused),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_recipients_of_the_setting),
        cmocka_unit_test(test_recipients_of_a_setting_without_any),
        cmocka_unit_test(test_recipients_are_capped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

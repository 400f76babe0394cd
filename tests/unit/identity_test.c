/*
 * Identities: what token endpoints answer, which source is asked, and how long a token is used. The
 * requests are in tests/integration.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/redact.h"
#include "base/text.h"
#include "identity/entra.h"
#include "identity/entra_reply.h"
#include "identity/token_cache.h"

#define NOW_MS    INT64_C(1777636800000) /* Fri, 01 May 2026 12:00:00 GMT */
#define CLIENT_ID "01234567-89ab-cdef-0123-456789abcdef"

static struct http_reply reply_with(int status, const char *body)
{
    struct http_reply reply = HTTP_REPLY_INIT(ENTRA_REPLY_CAP);

    reply.status = status;
    text_append(&reply.body, body);
    return reply;
}

static void tokens_in_every_dialect(void **state)
{
    static const struct {
        const char *body;
        int64_t life_s;
    } cases[] = {
        {"{\"access_token\":\"t.o.k\",\"expires_in\":3599,\"token_type\":\"Bearer\"}", 3599},
        {"{\"access_token\":\"t.o.k\",\"expires_in\":\"3599\",\"expires_on\":\"1\"}", 3599},
        {"{\"access_token\":\"t.o.k\",\"expires_on\":\"1777640400\"}", 3600},
        {"{\"access_token\":\"t.o.k\",\"expires_on\":1777640400,\"token_type\":\"bearer\"}", 3600},
        {"{\"access_token\":\"t.o.k\",\"expires_on\":\"2026-05-01T13:00:00.0000000Z\"}", 3600},
        {"{\"access_token\":\"t.o.k\",\"expires_in\":99999999999}", 604800},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_reply reply = reply_with(200, cases[i].body);
        struct token token = TOKEN_INIT;
        struct error err = ERROR_INIT;
        if (!entra_reply_parse(&reply, NOW_MS, &token, &err)) {
            fail_msg("%s: %s", cases[i].body, err.text);
        }
        assert_string_equal(token.value, "t.o.k");
        assert_true(token.life_ms == cases[i].life_s * 1000);
        token_clear(&token);
        assert_null(token.value);
        http_reply_clear(&reply);
    }
    redact_clear();
}

static void replies_that_are_no_token(void **state)
{
    static const struct {
        const char *body;
        const char *text;
    } cases[] = {
        {"", "not a JSON object"},
        {"[]", "not a JSON object"},
        {"{\"access_token\":\"s3cr", "not a JSON object"},
        {"{}", "no access_token"},
        {"{\"access_token\":5,\"expires_in\":5}", "no access_token"},
        {"{\"access_token\":\"\",\"expires_in\":5}", "no access_token"},
        {"{\"access_token\":\"s3cret token\",\"expires_in\":5}", "no access_token"},
        {"{\"access_token\":\"s3cret\\r\\nX: y\",\"expires_in\":5}", "no access_token"},
        {"{\"access_token\":\"s3cret\"}", "neither expires_in nor expires_on"},
        {"{\"access_token\":\"s3cret\",\"expires_on\":\"soon\"}", "neither expires_in"},
        {"{\"access_token\":\"s3cret\",\"expires_in\":0}", "has ended already"},
        {"{\"access_token\":\"s3cret\",\"expires_on\":\"1777636800\"}", "has ended already"},
        {"{\"access_token\":\"s3cret\",\"expires_in\":5,\"token_type\":\"pop\"}", "not Bearer"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_reply reply = reply_with(200, cases[i].body);
        struct token token = TOKEN_INIT;
        struct error err = ERROR_INIT;
        if (entra_reply_parse(&reply, NOW_MS, &token, &err)) {
            fail_msg("%s was taken for a token", cases[i].body);
        }
        if (strstr(err.text, cases[i].text) == NULL || strstr(err.text, "s3cr") != NULL) {
            fail_msg("'%s' is not in: %s", cases[i].text, err.text);
        }
        http_reply_clear(&reply);
    }
    redact_clear();
}

static void refusals_say_why(void **state)
{
    static const struct {
        const char *body;
        const char *text;
    } cases[] = {
        {"{\"error\":\"invalid_client\",\"error_description\":\"AADSTS700016: no such\\r\\nTrace"
         " ID: x\"}",
         "the answer was 400 invalid_client: AADSTS700016: no such"},
        {"{\"statusCode\":400,\"message\":\"No \\u001b[31midentity\"}",
         "the answer was 400: No [31midentity"},
        {"<html>", "the answer was 400"},
        {"{\"error\":{\"code\":5}}", "the answer was 400"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_reply reply = reply_with(400, cases[i].body);
        struct error err = ERROR_INIT;
        assert_false(entra_reply_refuse(&reply, &err));
        assert_string_equal(err.text, cases[i].text);
        http_reply_clear(&reply);
    }
}

struct given {
    enum setting_id id;
    const char *value;
};

static struct settings settings_of(const struct given given[4])
{
    struct settings settings = {.values = {NULL}};

    for (size_t i = 0; i < 4 && given[i].value != NULL; i++) {
        settings.values[given[i].id] = text_copy(given[i].value);
    }
    return settings;
}

static void sources_are_detected_in_order(void **state)
{
    static const struct {
        struct given given[4];
        const char *name;
    } cases[] = {
        {{{SETTING_AZURE_CLIENT_ID, CLIENT_ID}}, "the managed identity of this machine"},
        {{{SETTING_IDENTITY_ENDPOINT, "http://localhost:42356/msi/token"},
          {SETTING_IDENTITY_HEADER, "abc"}},
         "the managed identity of this app"},
        {{{SETTING_AZURE_TOKEN_FILE, "/var/run/secrets/token"},
          {SETTING_AZURE_CLIENT_ID, CLIENT_ID},
          {SETTING_AZURE_TENANT_ID, "contoso.onmicrosoft.com"},
          {SETTING_IDENTITY_ENDPOINT, "http://localhost:42356/msi/token"}},
         "the workload identity"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct settings settings = settings_of(cases[i].given);
        struct entra entra;
        struct error err = ERROR_INIT;
        if (!entra_find(&settings, &entra, &err)) {
            fail_msg("%s", err.text);
        }
        assert_string_equal(entra_name(&entra), cases[i].name);
        settings_clear(&settings);
    }
}

static void settings_that_are_not_complete(void **state)
{
    static const struct {
        struct given given[4];
        const char *text;
    } cases[] = {
        {{{SETTING_AZURE_CLIENT_ID, "backup-identity"}}, "AZURE_CLIENT_ID is not a client id"},
        {{{SETTING_AZURE_CLIENT_ID, "01234567-89ab-cdef-0123x456789abcdef"}}, "AZURE_CLIENT_ID"},
        {{{SETTING_AZURE_METADATA_HOST, "http://203.0.113.1"}},
         "AZURE_POD_IDENTITY_AUTHORITY_HOST is not a URL of this host"},
        {{{SETTING_AZURE_METADATA_HOST, "169.254.169.254"}}, "AZURE_POD_IDENTITY_AUTHORITY_HOST"},
        {{{SETTING_IDENTITY_ENDPOINT, "http://localhost/"}}, "IDENTITY_HEADER is not"},
        {{{SETTING_IDENTITY_ENDPOINT, "http://example.org/"}, {SETTING_IDENTITY_HEADER, "abc"}},
         "IDENTITY_ENDPOINT is not an https URL"},
        {{{SETTING_AZURE_TOKEN_FILE, "/t"}, {SETTING_AZURE_TENANT_ID, "t"}},
         "AZURE_CLIENT_ID is not"},
        {{{SETTING_AZURE_TOKEN_FILE, "/t"}, {SETTING_AZURE_CLIENT_ID, CLIENT_ID}},
         "AZURE_TENANT_ID is not"},
        {{{SETTING_AZURE_TOKEN_FILE, "/t"},
          {SETTING_AZURE_CLIENT_ID, CLIENT_ID},
          {SETTING_AZURE_TENANT_ID, "a/../b"}},
         "AZURE_TENANT_ID is not the id"},
        {{{SETTING_AZURE_TOKEN_FILE, "/t"},
          {SETTING_AZURE_CLIENT_ID, CLIENT_ID},
          {SETTING_AZURE_TENANT_ID, "t"},
          {SETTING_AZURE_AUTHORITY_HOST, "http://login.example.org/"}},
         "AZURE_AUTHORITY_HOST is not an https URL"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct settings settings = settings_of(cases[i].given);
        struct entra entra;
        struct error err = ERROR_INIT;
        assert_false(entra_find(&settings, &entra, &err));
        assert_int_equal(err.kind, ERROR_CONFIG);
        if (strstr(err.text, cases[i].text) == NULL) {
            fail_msg("'%s' is not in: %s", cases[i].text, err.text);
        }
        settings_clear(&settings);
    }
}

static void token_is_replaced_in_time(void **state)
{
    static const int64_t minute_ms = 60000;

    (void)state;
    assert_true(token_cache_use_ms(60 * minute_ms) == 55 * minute_ms);
    assert_true(token_cache_use_ms(11 * minute_ms) == 6 * minute_ms);
    assert_true(token_cache_use_ms(10 * minute_ms) == 5 * minute_ms);
    assert_true(token_cache_use_ms(2 * minute_ms) == minute_ms);
    assert_true(token_cache_use_ms(120 * minute_ms) == 60 * minute_ms);
    assert_true(token_cache_use_ms(1440 * minute_ms) == 720 * minute_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_in_every_dialect),
        cmocka_unit_test(replies_that_are_no_token),
        cmocka_unit_test(refusals_say_why),
        cmocka_unit_test(sources_are_detected_in_order),
        cmocka_unit_test(settings_that_are_not_complete),
        cmocka_unit_test(token_is_replaced_in_time),
    };

    log_configure(LOG_ERROR, LOG_FORMAT_TEXT, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

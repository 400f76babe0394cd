/*
 * metrics/: Prometheus' text, URLs and accounts of settings, what Application Insights and an
 * OpenTelemetry collector are sent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/redact.h"
#include "metrics/endpoint.h"
#include "metrics/exposition.h"
#include "metrics/insights_account.h"
#include "metrics/insights_envelope.h"
#include "metrics/otlp_metrics.h"
#include "metrics/otlp_settings.h"
#include "metrics/otlp_traces.h"

#define KEY "11111111-2222-3333-4444-555555555555"

static const struct metrics_schedule schedules[] = {
    {.id = "one",
     .name = "a \"b\" \\ c\nd",
     .database = "app",
     .values = {[METRIC_ENABLED] = {true, 1},
                [METRIC_LAST_OBJECT_SIZE] = {true, 9007199254740993},
                [METRIC_OVERDUE] = {true, 0}}},
    {.id = "two",
     .name = "two",
     .database = "other",
     .values = {[METRIC_ENABLED] = {true, 0}, [METRIC_LAST_ROWS] = {true, -1}}},
};

static const struct metrics_event events[] = {
    {.kind = METRICS_BACKUP,
     .run_id = "0123456789abcdef",
     .schedule = "one",
     .backup = "backup",
     .is_good = true,
     .ended_ms = 1000000,
     .duration_ms = 9000,
     .bytes = 5,
     .raw_bytes = 9007199254740993,
     .has_rows = true,
     .phases = {.items = {[PHASE_CLAIM] = {.begun_ms = 1000, .ended_ms = 1200, .was_entered = true},
                          [PHASE_DUMP] = {.begun_ms = 1200,
                                          .ended_ms = 20000,
                                          .was_entered = true,
                                          .failed = true}},
                .server_offset_ms = 989000}},
    {.kind = METRICS_VERIFICATION, .schedule = "one", .problem = "bad", .ended_ms = 2000000},
};

static const struct metrics_report report = {
    .host = "here",
    .ledger = "led\"ger",
    .has_schedules = true,
    .schedules = schedules,
    .schedule_count = 2,
    .now_ms = 1777636800123,
    .events = events,
    .event_count = 2,
};

static void test_exposition(void **state)
{
    static const char labels[] = "database=\"app\",ledger=\"led\\\"ger\",schedule=\"a \\\"b\\\" "
                                 "\\\\ c\\nd\",schedule_id=\"one\"";
    struct text out = TEXT_INIT(EXPOSITION_CAP);
    struct text expected = TEXT_INIT(EXPOSITION_CAP);

    (void)state;
    exposition_append(&out, &report);
    text_appendf(&expected,
                 "# HELP rythm_backup_enabled 1 when the schedule is enabled, else 0.\n"
                 "# TYPE rythm_backup_enabled gauge\n"
                 "rythm_backup_enabled{%s} 1\n"
                 "rythm_backup_enabled{database=\"other\",ledger=\"led\\\"ger\",schedule=\"two\","
                 "schedule_id=\"two\"} 0\n",
                 labels);
    assert_memory_equal(text_string(&out), text_string(&expected), expected.length);
    text_clear(&expected);
    text_appendf(&expected,
                 "# TYPE rythm_backup_last_object_size_bytes gauge\n"
                 "rythm_backup_last_object_size_bytes{%s} 9007199254740993\n",
                 labels);
    assert_non_null(strstr(text_string(&out), text_string(&expected)));
    assert_non_null(strstr(text_string(&out), "schedule_id=\"two\"} -1\n"));
    assert_null(strstr(text_string(&out), "last_success"));
    text_clear(&expected);
    text_clear(&out);
}

static void test_phases(void **state)
{
    struct run_phases phases = {.current = PHASE_NONE};

    (void)state;
    run_phases_leave(&phases, false);
    assert_true(run_phases_enter(&phases, PHASE_CLAIM));
    assert_true(run_phases_enter(&phases, PHASE_DUMP));
    run_phases_leave(&phases, false);
    run_phases_leave(&phases, true);
    assert_true(phases.items[PHASE_CLAIM].was_entered && !phases.items[PHASE_CLAIM].failed);
    assert_true(phases.items[PHASE_DUMP].was_entered && phases.items[PHASE_DUMP].failed);
    assert_false(phases.items[PHASE_NONE].was_entered || phases.items[PHASE_FLUSH].was_entered);
    assert_true(phases.items[PHASE_CLAIM].ended_ms <= phases.items[PHASE_DUMP].begun_ms);
}

static void test_endpoints(void **state)
{
    static const char *const good[] = {"http://a", "HTTPS://a.b:1/c/d%20e", "http://[::1]:4318"};
    static const char *const bad[] = {
        "",           "a:1",        "ftp://a",    "http://",    "http:///a",    "http://a?b",
        "http://a#b", "http://a b", "http://a\n", "http://u@a", "https://:443", "http://\xc3\xa9"};
    struct error err = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(endpoint_check(good[i], "SETTING", &err));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(endpoint_check(bad[i], "SETTING", &err));
        assert_int_equal(err.kind, ERROR_CONFIG);
        assert_memory_equal(err.text, "SETTING", 7);
    }
    assert_false(endpoint_check("http://me:canary@host", "SETTING", &err));
    assert_null(strstr(err.text, "canary"));
}

static void check_account(const char *string, const char *url)
{
    struct insights_account account = INSIGHTS_ACCOUNT_INIT;
    struct error err = ERROR_INIT;

    assert_true(insights_account_parse(string, &account, &err));
    assert_string_equal(account.key, KEY);
    assert_string_equal(text_string(&account.url), url);
    insights_account_clear(&account);
}

static void test_accounts(void **state)
{
    static const char *const bad[] = {"", "InstrumentationKey=canary", "canary",
                                      "InstrumentationKey=" KEY "0;",
                                      "InstrumentationKey=" KEY ";IngestionEndpoint=canary"};

    (void)state;
    check_account("instrumentationkey=" KEY ";Unknown=1", "https://dc.services.visualstudio.com"
                                                          "/v2.1/track");
    check_account("InstrumentationKey=" KEY ";IngestionEndpoint=https://x.in.example/;",
                  "https://x.in.example/v2.1/track");
    check_account("EndpointSuffix=ai.example;Location=west;InstrumentationKey=" KEY,
                  "https://west.dc.ai.example/v2.1/track");
    check_account("EndpointSuffix=ai.example;InstrumentationKey=" KEY,
                  "https://dc.ai.example/v2.1/track");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct insights_account account = INSIGHTS_ACCOUNT_INIT;
        struct error err = ERROR_INIT;
        assert_false(insights_account_parse(bad[i], &account, &err));
        assert_int_equal(err.kind, ERROR_CONFIG);
        assert_null(strstr(err.text, "canary"));
        insights_account_clear(&account);
    }
    redact_clear();
}

/* A member of a document by its path: names, and numbers for elements of arrays. */
static json_t *at(json_t *value, const char *path)
{
    char copy[256];
    char *rest = copy;
    char *name;

    snprintf(copy, sizeof(copy), "%s", path);
    while ((name = strsep(&rest, "/")) != NULL) {
        value = json_is_array(value) ? json_array_get(value, (size_t)atoi(name))
                                     : json_object_get(value, name);
        assert_non_null(value);
    }
    return value;
}

static void test_envelopes(void **state)
{
    struct insights_envelopes envelopes;
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(insights_envelopes_make(&envelopes, &report, KEY, &err));
    /* Two events, one exception, five metrics. */
    assert_int_equal(envelopes.count, 8);
    json_t *exception = json_loads(envelopes.lines[2], 0, NULL);
    assert_string_equal(json_string_value(at(exception, "name")),
                        "Microsoft.ApplicationInsights.Exception");
    assert_string_equal(json_string_value(at(exception, "time")), "1970-01-01T00:33:20.000Z");
    assert_string_equal(json_string_value(at(exception, "data/baseData/exceptions/0/message")),
                        "bad");
    json_decref(exception);
    for (size_t i = 0; i < envelopes.count; i++) {
        assert_string_equal(strchr(envelopes.lines[i], '\n'), "\n");
    }
    insights_envelopes_clear(&envelopes);
}

/* The settings hold their values as text that is theirs to free. */
static struct settings otlp_variables(const char *headers, const char *resource_attributes)
{
    struct settings settings = {.values = {NULL}};

    settings.values[SETTING_OTEL_ENDPOINT] = text_copy("http://collector:4318//");
    settings.values[SETTING_OTEL_TRACES_ENDPOINT] = text_copy("http://other/traces/");
    settings.values[SETTING_OTEL_HEADERS] = text_copy(headers);
    settings.values[SETTING_OTEL_ATTRIBUTES] = text_copy(resource_attributes);
    return settings;
}

static void test_otlp_settings(void **state)
{
    struct settings settings =
        otlp_variables(" api-key = canary%2C42 ,,b=", "service.name=mine,a=%ff");
    struct otlp_settings otlp = OTLP_SETTINGS_INIT;
    struct error err = ERROR_INIT;
    char masked[] = "it says canary,42.";

    (void)state;
    assert_true(otlp_settings_are_there(&settings));
    assert_true(otlp_settings_parse(&settings, &otlp, &err));
    assert_string_equal(text_string(&otlp.metrics_url), "http://collector:4318/v1/metrics");
    assert_string_equal(text_string(&otlp.traces_url), "http://other/traces/");
    assert_int_equal(otlp.timeout_ms, 10000);
    assert_int_equal(otlp.headers.count, 2);
    assert_string_equal(otlp.headers.names[0], "api-key");
    assert_string_equal(otlp.headers.values[0], "canary,42");
    assert_string_equal(otlp.headers.values[1], "");
    assert_string_equal(otlp.service, "mine");
    assert_string_equal(otlp.attributes.values[1], "?");
    redact_text(masked);
    assert_null(strstr(masked, "canary"));
    otlp_settings_clear(&otlp);
    settings_clear(&settings);
    redact_clear();
}

static void test_otlp_settings_bad(void **state)
{
    static const char *const bad[] = {"canary", "=canary", "a=canary%", "a=canary%zz",
                                      "a=canary%00"};
    char many[33 * 4 + 1] = "";

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]) + 1; i++) {
        struct otlp_settings otlp = OTLP_SETTINGS_INIT;
        struct error err = ERROR_INIT;
        for (size_t n = 0; n < 33; n++) {
            memcpy(many + n * 4, "a=b,", 5);
        }
        struct settings settings =
            otlp_variables(i < sizeof(bad) / sizeof(bad[0]) ? bad[i] : many, NULL);
        assert_false(otlp_settings_parse(&settings, &otlp, &err));
        assert_int_equal(err.kind, ERROR_CONFIG);
        assert_memory_equal(err.text, "OTEL_EXPORTER_OTLP_HEADERS", 26);
        assert_null(strstr(err.text, "canary"));
        otlp_settings_clear(&otlp);
        settings_clear(&settings);
    }
}

typedef bool append_function(const struct otlp_settings *settings,
                             const struct metrics_report *report, struct text *out,
                             struct error *err);

static json_t *make_document(append_function *append)
{
    const struct otlp_settings otlp = {.service = "mine"};
    struct text out = TEXT_INIT(1024 * 1024);
    struct error err = ERROR_INIT;

    assert_true(append(&otlp, &report, &out, &err));
    json_t *document = json_loads(text_string(&out), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(document);
    text_clear(&out);
    return document;
}

#define METRICS "resourceMetrics/0/scopeMetrics/0/metrics"
static void test_otlp_metrics(void **state)
{
    json_t *document = make_document(otlp_metrics_append);

    (void)state;
    assert_string_equal(json_string_value(at(
                            document, "resourceMetrics/0/resource/attributes/0/value/stringValue")),
                        "mine");
    assert_int_equal(json_array_size(at(document, METRICS)), 4);
    assert_string_equal(json_string_value(at(document, METRICS "/2/name")),
                        "rythm_backup.last_object_size");
    assert_string_equal(json_string_value(at(document, METRICS "/2/unit")), "By");
    assert_string_equal(json_string_value(at(document, METRICS "/2/gauge/dataPoints/0/asInt")),
                        "9007199254740993");
    assert_string_equal(
        json_string_value(at(document, METRICS "/0/gauge/dataPoints/1/timeUnixNano")),
        "1777636800123000000");
    json_decref(document);
}

#define SPANS "resourceSpans/0/scopeSpans/0/spans"
static void test_otlp_traces(void **state)
{
    json_t *document = make_document(otlp_traces_append);

    (void)state;
    /* Two phases, their root; and one that is alone. */
    assert_int_equal(json_array_size(at(document, SPANS)), 4);
    assert_string_equal(json_string_value(at(document, SPANS "/1/name")), "dump");
    assert_int_equal(json_integer_value(at(document, SPANS "/1/status/code")), 2);
    assert_string_equal(json_string_value(at(document, SPANS "/1/parentSpanId")),
                        json_string_value(at(document, SPANS "/2/spanId")));
    /* The root spans its phases. */
    assert_string_equal(json_string_value(at(document, SPANS "/2/startTimeUnixNano")),
                        "990000000000");
    assert_string_equal(json_string_value(at(document, SPANS "/2/endTimeUnixNano")),
                        "1009000000000");
    assert_null(json_object_get(at(document, SPANS "/2"), "parentSpanId"));
    assert_string_equal(json_string_value(at(document, SPANS "/3/status/message")), "bad");
    assert_int_equal(strlen(json_string_value(at(document, SPANS "/3/traceId"))), 32);
    assert_string_not_equal(json_string_value(at(document, SPANS "/3/traceId")),
                            json_string_value(at(document, SPANS "/2/traceId")));
    json_decref(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exposition),        cmocka_unit_test(test_phases),
        cmocka_unit_test(test_endpoints),         cmocka_unit_test(test_accounts),
        cmocka_unit_test(test_envelopes),         cmocka_unit_test(test_otlp_settings),
        cmocka_unit_test(test_otlp_settings_bad), cmocka_unit_test(test_otlp_metrics),
        cmocka_unit_test(test_otlp_traces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "metrics/otlp_metrics.h"

#include <stdio.h>

#include "metrics/json_document.h"
#include "metrics/otlp_json.h"

#define NAME_SIZE 80

static json_t *point(const struct metrics_report *report, const struct metrics_schedule *schedule,
                     int64_t value)
{
    json_t *attributes = json_array();

    otlp_json_add_text(attributes, "database", schedule->database);
    otlp_json_add_text(attributes, "ledger", report->ledger);
    otlp_json_add_text(attributes, "schedule", schedule->name);
    otlp_json_add_text(attributes, "schedule_id", schedule->id);
    return json_pack("{s:o, s:o, s:o}", "attributes", attributes, "timeUnixNano",
                     otlp_json_instant(report->now_ms), "asInt", otlp_json_number(value));
}

/* NULL when no schedule has a value. */
static json_t *gauge(const struct metrics_report *report, int id)
{
    static const char *const units[] = {
        [METRIC_PLAIN] = NULL, [METRIC_SECONDS] = "s", [METRIC_BYTES] = "By"};
    const struct metric *metric = &metric_table[id];
    json_t *points = json_array();
    char name[NAME_SIZE];

    for (size_t i = 0; i < report->schedule_count; i++) {
        const struct metric_value *value = &report->schedules[i].values[id];
        if (value->known) {
            json_array_append_new(points, point(report, &report->schedules[i], value->value));
        }
    }
    if (json_array_size(points) == 0) {
        json_decref(points);
        return NULL;
    }
    snprintf(name, sizeof(name), METRIC_PREFIX ".%s", metric->name);
    return json_pack("{s:s, s:s, s:s*, s:{s:o}}", "name", name, "description", metric->help, "unit",
                     units[metric->unit], "gauge", "dataPoints", points);
}

bool otlp_metrics_append(const struct otlp_settings *settings, const struct metrics_report *report,
                         struct text *out, struct error *err)
{
    const struct json_making making = json_making_begin();
    json_t *metrics = json_array();

    for (int id = 0; id < METRIC_COUNT; id++) {
        json_t *metric = gauge(report, id);
        if (metric != NULL) {
            json_array_append_new(metrics, metric);
        }
    }
    json_t *document = json_pack("{s:[{s:o, s:[{s:o, s:o}]}]}", "resourceMetrics", "resource",
                                 otlp_json_resource(settings, report), "scopeMetrics", "scope",
                                 otlp_json_scope(), "metrics", metrics);
    return json_making_append(&making, document, out, err);
}

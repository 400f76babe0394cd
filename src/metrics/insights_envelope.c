#include "metrics/insights_envelope.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/text.h"
#include "config.h"
#include "metrics/json_document.h"

#define LINE_CAP   ((size_t)64 * 1024)
#define NAME_SIZE  80
#define FIRST_ROOM 64

/* What an envelope is made of. */
struct content {
    const char *kind;      /* "Metric", "Event", "Exception" */
    const char *operation; /* the run, or NULL */
    int64_t at_ms;
    json_t *data; /* taken over */
};

static bool add_line(struct insights_envelopes *out, char *line, struct error *err)
{
    if (out->count == out->room) {
        size_t room = out->room > 0 ? out->room * 2 : FIRST_ROOM;
        char **longer = reallocarray(out->lines, room, sizeof(*longer));
        if (longer == NULL) {
            return error_set_memory(err);
        }
        out->lines = longer;
        out->room = room;
    }
    out->lines[out->count++] = line;
    return true;
}

static bool add(struct insights_envelopes *out, const struct metrics_report *report,
                const char *key, const struct json_making *making, const struct content *content,
                struct error *err)
{
    char time[CLOCK_ISO_SIZE];
    char name[NAME_SIZE];
    char type[NAME_SIZE];
    struct text line = TEXT_INIT(LINE_CAP);

    clock_format_iso(time, content->at_ms);
    snprintf(name, sizeof(name), "Microsoft.ApplicationInsights.%s", content->kind);
    snprintf(type, sizeof(type), "%sData", content->kind);
    json_t *tags =
        json_pack("{s:s, s:s, s:s, s:s*}", "ai.cloud.role", PACKAGE_NAME, "ai.cloud.roleInstance",
                  report->host, "ai.internal.sdkVersion", PACKAGE_NAME ":" PACKAGE_VERSION,
                  "ai.operation.id", content->operation);
    json_t *envelope = json_pack("{s:i, s:s, s:s, s:s, s:i, s:o, s:{s:s, s:o}}", "ver", 1, "name",
                                 name, "time", time, "iKey", key, "sampleRate", 100, "tags", tags,
                                 "data", "baseType", type, "baseData", content->data);
    bool ok = json_making_append(making, envelope, &line, err) && add_line(out, line.data, err);
    if (!ok) {
        text_clear(&line);
    }
    return ok;
}

static json_t *metric_data(const struct metrics_report *report,
                           const struct metrics_schedule *schedule, int id)
{
    char name[NAME_SIZE];
    double value = (double)schedule->values[id].value;

    snprintf(name, sizeof(name), METRIC_PREFIX ".%s", metric_table[id].name);
    return json_pack("{s:i, s:[{s:s, s:i, s:f, s:i, s:f, s:f, s:f}], s:{s:s, s:s, s:s, s:s}}",
                     "ver", 2, "metrics", "name", name, "kind", 0, "value", value, "count", 1,
                     "min", value, "max", value, "stdDev", 0.0, "properties", "schedule",
                     schedule->name, "schedule_id", schedule->id, "database", schedule->database,
                     "ledger", report->ledger);
}

static bool add_metrics(struct insights_envelopes *out, const struct metrics_report *report,
                        const char *key, const struct json_making *making, struct error *err)
{
    for (size_t i = 0; i < report->schedule_count; i++) {
        const struct metrics_schedule *schedule = &report->schedules[i];
        for (int id = 0; id < METRIC_COUNT; id++) {
            if (!schedule->values[id].known) {
                continue;
            }
            const struct content content = {.kind = "Metric",
                                            .at_ms = report->now_ms,
                                            .data = metric_data(report, schedule, id)};
            if (!add(out, report, key, making, &content, err)) {
                return false;
            }
        }
    }
    return true;
}

static json_t *properties(const struct metrics_report *report, const struct metrics_event *event)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "outcome",
                     event->is_good ? "good" : "failed", "schedule", event->schedule, "schedule_id",
                     event->schedule_id, "database", event->database, "backup", event->backup,
                     "run_id", event->run_id, "ledger", report->ledger);
}

/* Numbers that are known of it. */
static json_t *measurements(const struct metrics_event *event)
{
    json_t *all = json_pack("{s:f}", "duration_seconds", (double)event->duration_ms / 1000.0);

    if (event->kind == METRICS_BACKUP && event->is_good) {
        json_object_set_new(all, "object_bytes", json_real((double)event->bytes));
        json_object_set_new(all, "raw_bytes", json_real((double)event->raw_bytes));
    }
    if (event->has_rows) {
        json_object_set_new(all, "rows", json_real((double)event->rows));
        json_object_set_new(all, "tables", json_real((double)event->tables));
    }
    return all;
}

static bool add_event(struct insights_envelopes *out, const struct metrics_report *report,
                      const char *key, const struct json_making *making,
                      const struct metrics_event *event, struct error *err)
{
    char name[NAME_SIZE];
    const char *kind = metrics_event_name(event->kind);

    snprintf(name, sizeof(name), METRIC_PREFIX ".%s", kind);
    struct content content = {.kind = "Event",
                              .operation = event->run_id[0] != '\0' ? event->run_id : NULL,
                              .at_ms = event->ended_ms};
    content.data = json_pack("{s:i, s:s, s:o, s:o}", "ver", 2, "name", name, "properties",
                             properties(report, event), "measurements", measurements(event));
    if (!add(out, report, key, making, &content, err)) {
        return false;
    }
    if (event->is_good) {
        return true;
    }
    snprintf(name, sizeof(name), METRIC_PREFIX ".%s_failed", kind);
    content.kind = "Exception";
    content.data =
        json_pack("{s:i, s:i, s:[{s:s, s:s, s:b, s:[]}], s:o}", "ver", 2, "severityLevel", 3,
                  "exceptions", "typeName", name, "message", event->problem, "hasFullStack", 0,
                  "parsedStack", "properties", properties(report, event));
    return add(out, report, key, making, &content, err);
}

bool insights_envelopes_make(struct insights_envelopes *out, const struct metrics_report *report,
                             const char *key, struct error *err)
{
    const struct json_making making = json_making_begin();

    *out = (struct insights_envelopes){.lines = NULL};
    for (size_t i = 0; i < report->event_count; i++) {
        if (!add_event(out, report, key, &making, &report->events[i], err)) {
            return false;
        }
    }
    return add_metrics(out, report, key, &making, err);
}

void insights_envelopes_clear(struct insights_envelopes *envelopes)
{
    for (size_t i = 0; i < envelopes->count; i++) {
        free(envelopes->lines[i]);
    }
    free(envelopes->lines);
    *envelopes = (struct insights_envelopes){.lines = NULL};
}

#include "metrics/otlp_traces.h"

#include "crypto/digest.h"
#include "crypto/random.h"
#include "metrics/json_document.h"
#include "metrics/otlp_json.h"

/* Of opentelemetry/proto/trace/v1/trace.proto. */
#define TRACE_ID_BYTES     16
#define SPAN_ID_BYTES      8
#define SPAN_KIND_INTERNAL 1
#define STATUS_OK          1
#define STATUS_ERROR       2

struct span {
    const char *name;
    int64_t begun_ms;
    int64_t ended_ms;
    bool is_good;
    const char *problem;
    json_t *attributes; /* taken over */
};

struct trace {
    char id[DIGEST_HEX_SIZE(TRACE_ID_BYTES)];
    char root[DIGEST_HEX_SIZE(SPAN_ID_BYTES)];
    json_t *spans;
};

static bool make_id(char *out, size_t size, struct error *err)
{
    unsigned char bytes[TRACE_ID_BYTES];

    if (!random_bytes(bytes, size, err)) {
        return false;
    }
    digest_format_hex(out, bytes, size);
    return true;
}

/* `parent` is NULL for the root. */
static void add_span(struct trace *trace, const char *id, const char *parent,
                     const struct span *span)
{
    json_t *status = json_pack("{s:i, s:s*}", "code", span->is_good ? STATUS_OK : STATUS_ERROR,
                               "message", span->is_good ? NULL : span->problem);

    json_array_append_new(trace->spans,
                          json_pack("{s:s, s:s, s:s*, s:s, s:i, s:o, s:o, s:o, s:o}", "traceId",
                                    trace->id, "spanId", id, "parentSpanId", parent, "name",
                                    span->name, "kind", SPAN_KIND_INTERNAL, "startTimeUnixNano",
                                    otlp_json_instant(span->begun_ms), "endTimeUnixNano",
                                    otlp_json_instant(span->ended_ms), "attributes",
                                    span->attributes, "status", status));
}

static json_t *attributes_of(const struct metrics_report *report, const struct metrics_event *event)
{
    json_t *attributes = json_array();

    otlp_json_add_text(attributes, METRIC_PREFIX ".run_id", event->run_id);
    otlp_json_add_text(attributes, METRIC_PREFIX ".backup", event->backup);
    otlp_json_add_text(attributes, METRIC_PREFIX ".schedule", event->schedule);
    otlp_json_add_text(attributes, METRIC_PREFIX ".schedule_id", event->schedule_id);
    otlp_json_add_text(attributes, METRIC_PREFIX ".ledger", report->ledger);
    otlp_json_add_text(attributes, "db.system", "postgresql");
    otlp_json_add_text(attributes, "db.name", event->database);
    if (event->kind == METRICS_BACKUP && event->is_good) {
        otlp_json_add_number(attributes, METRIC_PREFIX ".object_bytes", (int64_t)event->bytes);
        otlp_json_add_number(attributes, METRIC_PREFIX ".raw_bytes", (int64_t)event->raw_bytes);
    }
    if (event->has_rows) {
        otlp_json_add_number(attributes, METRIC_PREFIX ".rows", (int64_t)event->rows);
        otlp_json_add_number(attributes, METRIC_PREFIX ".tables", (int64_t)event->tables);
    }
    return attributes;
}

static bool add_phases(struct trace *trace, const struct metrics_event *event, struct span *root,
                       struct error *err)
{
    const struct run_phases *phases = &event->phases;
    char id[DIGEST_HEX_SIZE(SPAN_ID_BYTES)];

    for (enum run_phase phase = PHASE_CLAIM; phase < PHASE_COUNT; phase++) {
        if (!phases->items[phase].was_entered) {
            continue;
        }
        struct span span = {
            .name = run_phases_name(phase),
            .begun_ms = phases->items[phase].begun_ms + phases->server_offset_ms,
            .ended_ms = phases->items[phase].ended_ms + phases->server_offset_ms,
            .is_good = !phases->items[phase].failed,
            .problem = event->problem,
            .attributes = json_array(),
        };
        if (span.begun_ms < root->begun_ms) {
            root->begun_ms = span.begun_ms;
        }
        if (span.ended_ms > root->ended_ms) {
            root->ended_ms = span.ended_ms;
        }
        if (!make_id(id, SPAN_ID_BYTES, err)) {
            json_decref(span.attributes);
            return false;
        }
        add_span(trace, id, trace->root, &span);
    }
    return true;
}

static bool add_trace(json_t *spans, const struct metrics_report *report,
                      const struct metrics_event *event, struct error *err)
{
    struct trace trace = {.spans = spans};
    struct span root = {
        .name = metrics_event_name(event->kind),
        .begun_ms = event->ended_ms - event->duration_ms,
        .ended_ms = event->ended_ms,
        .is_good = event->is_good,
        .problem = event->problem,
    };

    if (!make_id(trace.id, TRACE_ID_BYTES, err) || !make_id(trace.root, SPAN_ID_BYTES, err) ||
        !add_phases(&trace, event, &root, err)) {
        return false;
    }
    root.attributes = attributes_of(report, event);
    add_span(&trace, trace.root, NULL, &root);
    return true;
}

bool otlp_traces_append(const struct otlp_settings *settings, const struct metrics_report *report,
                        struct text *out, struct error *err)
{
    const struct json_making making = json_making_begin();
    json_t *spans = json_array();

    for (size_t i = 0; i < report->event_count; i++) {
        if (!add_trace(spans, report, &report->events[i], err)) {
            json_decref(spans);
            return false;
        }
    }
    json_t *document = json_pack("{s:[{s:o, s:[{s:o, s:o}]}]}", "resourceSpans", "resource",
                                 otlp_json_resource(settings, report), "scopeSpans", "scope",
                                 otlp_json_scope(), "spans", spans);
    return json_making_append(&making, document, out, err);
}

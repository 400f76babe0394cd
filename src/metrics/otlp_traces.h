/*
 * Traces in OTLP's JSON (opentelemetry-proto, docs/specification.md, "JSON Protobuf Encoding"): ids
 * are lower-case hex, not base64.
 */
#ifndef METRICS_OTLP_TRACES_H
#define METRICS_OTLP_TRACES_H

#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"
#include "metrics/otlp_settings.h"
#include "metrics/report.h"

/* Appends an ExportTraceServiceRequest: a trace per event, with a run's phases as the children of
 * its span. */
bool otlp_traces_append(const struct otlp_settings *settings, const struct metrics_report *report,
                        struct text *out, struct error *err);

#endif

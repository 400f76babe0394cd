/*
 * Metrics in OTLP's JSON (opentelemetry-proto, docs/specification.md, "JSON Protobuf Encoding").
 */
#ifndef METRICS_OTLP_METRICS_H
#define METRICS_OTLP_METRICS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"
#include "metrics/otlp_settings.h"
#include "metrics/report.h"

/* Appends an ExportMetricsServiceRequest: each metric with a point per schedule. */
bool otlp_metrics_append(const struct otlp_settings *settings, const struct metrics_report *report,
                         struct text *out, struct error *err);

#endif

/*
 * OpenTelemetry: metrics and traces by OTLP over HTTP, as JSON, to a collector
 * (opentelemetry-proto, docs/specification.md, "OTLP/HTTP").
 */
#ifndef METRICS_OTLP_H
#define METRICS_OTLP_H

#include "metrics/exporter.h"

extern const struct exporter exporter_otlp;

#endif

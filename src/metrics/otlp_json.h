/*
 * The pieces that OTLP's JSON of every signal is made of. Each is for the caller to pack, and NULL
 * when memory is out.
 */
#ifndef METRICS_OTLP_JSON_H
#define METRICS_OTLP_JSON_H

#include <jansson.h>
#include <stdint.h>

#include "metrics/otlp_settings.h"
#include "metrics/report.h"

/* Append a KeyValue; the first appends none for an empty value. */
void otlp_json_add_text(json_t *attributes, const char *key, const char *value);
void otlp_json_add_number(json_t *attributes, const char *key, int64_t value);

/* A 64-bit integer; an instant in nanoseconds. */
json_t *otlp_json_number(int64_t value);
json_t *otlp_json_instant(int64_t instant_ms);

/* The Resource: the service, this host, and what the settings add or say instead. */
json_t *otlp_json_resource(const struct otlp_settings *settings,
                           const struct metrics_report *report);
/* The InstrumentationScope. */
json_t *otlp_json_scope(void);

#endif

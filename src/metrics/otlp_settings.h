/*
 * OpenTelemetry's variables (its specification, "OpenTelemetry Protocol Exporter" and "Environment
 * Variable Specification"), taken apart.
 */
#ifndef METRICS_OTLP_SETTINGS_H
#define METRICS_OTLP_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/settings.h"
#include "base/text.h"

#define OTLP_MOST_PAIRS 32

/* key=value,key=value with percent-encoded values, as W3C Baggage has it. */
struct otlp_pairs {
    char *names[OTLP_MOST_PAIRS];
    char *values[OTLP_MOST_PAIRS];
    size_t count;
};

struct otlp_settings {
    struct text metrics_url; /* "": metrics are not sent */
    struct text traces_url;  /* "": traces are not sent */
    int64_t timeout_ms;      /* of one request */
    const char *service;     /* service.name; borrowed from the settings */
    struct otlp_pairs headers;
    struct otlp_pairs attributes; /* of the resource, but service.name */
};
#define OTLP_SETTINGS_INIT                                                                         \
    {                                                                                              \
        .metrics_url = TEXT_INIT(4096), .traces_url = TEXT_INIT(4096)                              \
    }

/* Whether an endpoint is set, and OTEL_SDK_DISABLED is not true. */
bool otlp_settings_are_there(const struct settings *settings);

/* False, with ERROR_CONFIG that names the variable, when one is wrong. Values of headers are
 * registered for redaction. The caller clears it, after a failure, too. */
bool otlp_settings_parse(const struct settings *settings, struct otlp_settings *out,
                         struct error *err);
void otlp_settings_clear(struct otlp_settings *settings);

#endif

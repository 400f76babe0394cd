/*
 * Telemetry as Application Insights takes it (ApplicationInsights-Home, EndpointSpecs, and the
 * schemas there): a metric of a schedule, an event, an exception, each an envelope of its own, for
 * of several metrics in one the service keeps the first.
 */
#ifndef METRICS_INSIGHTS_ENVELOPE_H
#define METRICS_INSIGHTS_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "metrics/report.h"

struct insights_envelopes {
    char **lines; /* JSON, each with a line break */
    size_t count;
    size_t room;
};

/* Makes all of a report's. The caller clears it, after a failure, too. */
bool insights_envelopes_make(struct insights_envelopes *out, const struct metrics_report *report,
                             const char *key, struct error *err);
void insights_envelopes_clear(struct insights_envelopes *envelopes);

#endif

/*
 * Prometheus' text format (its documentation, "Exposition formats", version 0.0.4).
 */
#ifndef METRICS_EXPOSITION_H
#define METRICS_EXPOSITION_H

#include "base/text.h"
#include "metrics/report.h"

#define EXPOSITION_CAP ((size_t)64 * 1024 * 1024)

/* Appends every metric of every schedule, without timestamps: node_exporter refuses them. */
void exposition_append(struct text *out, const struct metrics_report *report);

#endif

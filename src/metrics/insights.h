/*
 * Application Insights: metrics, an event per run and verification, an exception for each that
 * failed. The service may accept a part of what it is sent (206): then only what it was too busy
 * for is sent again.
 */
#ifndef METRICS_INSIGHTS_H
#define METRICS_INSIGHTS_H

#include "metrics/exporter.h"

extern const struct exporter exporter_insights;

#endif

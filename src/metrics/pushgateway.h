/*
 * Prometheus' Pushgateway (its README, "API"): the group of this ledger is replaced as a whole.
 * There is one group per ledger, not one per host or run, so that none is left over.
 */
#ifndef METRICS_PUSHGATEWAY_H
#define METRICS_PUSHGATEWAY_H

#include "metrics/exporter.h"

extern const struct exporter exporter_pushgateway;

#endif

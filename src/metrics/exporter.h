/*
 * Where metrics go. Invariant I7: what cannot be exported leaves every backup as it is, is logged,
 * and shows in the exit code; all exporters together end by a deadline (I10).
 *
 * To add an exporter: src/metrics/NAME.c and .h with one descriptor, its line in exporter_table[]
 * (exporter.c), Makefile.am, its settings, METRICS in the manual, and its tests.
 */
#ifndef METRICS_EXPORTER_H
#define METRICS_EXPORTER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/settings.h"
#include "base/wait.h"
#include "metrics/report.h"

struct exporter {
    const char *name; /* for messages */
    bool (*is_configured)(const struct settings *settings);
    /* Whether what was exported before has grown old, although nothing happened; must be cheap, for
     * each quiet tick asks. NULL: never. */
    bool (*is_stale)(const struct settings *settings);
    /* Checks its settings, too: false with ERROR_CONFIG when one is wrong. */
    bool (*send)(const struct settings *settings, const struct metrics_report *report,
                 const struct deadline *deadline, struct error *err);
};

/* Whether any exporter is configured, and whether one that is has grown stale. */
bool exporter_is_wanted(const struct settings *settings);
bool exporter_is_stale(const struct settings *settings);

/* Gives the report to each exporter that is configured, in turn; one that hangs leaves the others
 * their share of the time. Logs what fails; returns how many did. */
size_t exporter_send(const struct settings *settings, const struct metrics_report *report,
                     const struct deadline *deadline);

#endif

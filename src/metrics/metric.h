/*
 * Every metric of a schedule, in one table. Prometheus calls one rythm_backup_NAME, with its unit
 * behind it; OTLP and Application Insights rythm_backup.NAME, which a collector turns into the same
 * name. All are gauges and whole numbers.
 *
 * To add a metric: a member of `enum metric_id`, its row in metric_table[] (metric.c), its value in
 * backup/standing.c, a line in METRICS of the manual.
 */
#ifndef METRICS_METRIC_H
#define METRICS_METRIC_H

#include <stdbool.h>
#include <stdint.h>

enum metric_id {
    METRIC_ENABLED,
    METRIC_INVALID,
    METRIC_RUNNING,
    METRIC_OVERDUE,
    METRIC_EXPECTED_INTERVAL,
    METRIC_NEXT_RUN,
    METRIC_LAST_SUCCESS,
    METRIC_LAST_FAILURE,
    METRIC_FAILED_RUNS,
    METRIC_LAST_DURATION,
    METRIC_LAST_OBJECT_SIZE,
    METRIC_LAST_RAW_SIZE,
    METRIC_USUAL_RAW_SIZE,
    METRIC_LAST_ROWS,
    METRIC_LAST_TABLES,
    METRIC_VERIFY_EVERY,
    METRIC_NEWEST_VERIFIED,
    METRIC_UNVERIFIED,
    METRIC_REFUTED,
    METRIC_CHECKED,
    METRIC_COUNT
};

enum metric_unit { METRIC_PLAIN, METRIC_SECONDS, METRIC_BYTES };

struct metric {
    const char *name;
    enum metric_unit unit;
    const char *help; /* no backslash and no line break */
};
extern const struct metric metric_table[METRIC_COUNT];

struct metric_value {
    bool known;
    int64_t value; /* an instant is in seconds since 1970 */
};

#define METRIC_PREFIX "rythm_backup"

/* What Prometheus appends to the name: "_seconds", "_bytes" or "". */
const char *metric_suffix(enum metric_unit unit);

#endif

/*
 * What exporters are given: how every schedule stands, and what this process has just done. Texts
 * are UTF-8, without secrets (I9), and borrowed; instants are the server's clock's (I8).
 */
#ifndef METRICS_REPORT_H
#define METRICS_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "metrics/metric.h"
#include "metrics/run_phases.h"

struct metrics_schedule {
    char id[37];
    char name[256];     /* its id where it has no name */
    char database[256]; /* what is dumped: a database, a libpq service, or "*" for all */
    struct metric_value values[METRIC_COUNT];
};

enum metrics_event_kind { METRICS_BACKUP, METRICS_VERIFICATION };

struct metrics_event {
    enum metrics_event_kind kind;
    char run_id[17]; /* of the backup, as all that follows; or "" */
    char schedule_id[37];
    char schedule[256];
    char backup[256]; /* its name */
    char database[256];
    bool is_good;
    char problem[2048]; /* why not, or "" */
    int64_t ended_ms;
    int64_t duration_ms; /* of the run, or of the verification */
    uint64_t bytes;      /* of a good backup, as raw_bytes */
    uint64_t raw_bytes;
    bool has_rows; /* rows and tables are known */
    uint64_t rows;
    uint64_t tables;
    struct run_phases phases; /* of a run */
};

struct metrics_report {
    const char *host;
    const char *ledger; /* the database that holds schedules and ledger */
    bool has_schedules; /* else they could not be read: there are events alone */
    const struct metrics_schedule *schedules;
    size_t schedule_count;
    int64_t now_ms; /* when they were read */
    const struct metrics_event *events;
    size_t event_count;
};

/* "backup" or "verification". */
const char *metrics_event_name(enum metrics_event_kind kind);

#endif

/*
 * Figures of each schedule's runs, as the ledger has them, for metrics. How the schedule stands is
 * schedule_status.h's to say. What is dated after the server's clock is passed over. Of a schedule
 * of all databases they are those of all together (migrations/111).
 */
#ifndef POSTGRES_RUN_FIGURES_H
#define POSTGRES_RUN_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/backup_schedule.h"
#include "postgres/session.h"

/* A number that the ledger may not know. */
struct run_figure {
    bool known;
    int64_t value;
};

struct run_figures {
    char id[SCHEDULE_ID_SIZE];
    /* Of the backup that was completed last. */
    struct run_figure duration_s;
    struct run_figure bytes;
    struct run_figure raw_bytes;
    struct run_figure rows;
    struct run_figure tables;
    /* The median of up to seven backups before it, of the same database and the last 30 runs. */
    struct run_figure usual_raw_bytes;
    struct run_figure failed;    /* runs since then, of the last 30 */
    struct run_figure failed_ms; /* when one failed last, of the last 30 */
    /* The newest backup that was verified and found to be good: when it was completed. */
    struct run_figure proven_ms;
    struct run_figure unproven; /* backups since then, counted up to verify_every + 1 or 30 */
};

struct run_figures_list {
    struct run_figures *items; /* by id */
    size_t count;
};

/* Of every schedule, in one query, which reads by index: what it costs does not grow with the
 * ledger. The caller clears it. */
bool run_figures_read(struct session *session, struct run_figures_list *out, struct error *err);
void run_figures_clear(struct run_figures_list *list);

/* NULL when the schedule has come into being after they were read. */
const struct run_figures *run_figures_find(const struct run_figures_list *list, const char *id);

#endif

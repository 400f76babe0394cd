/*
 * How long each phase of a run took: a trace's spans. Phases follow one another; each is there at
 * most once. Zeroed is empty.
 */
#ifndef METRICS_RUN_PHASES_H
#define METRICS_RUN_PHASES_H

#include <stdbool.h>
#include <stdint.h>

enum run_phase {
    PHASE_NONE,
    PHASE_CLAIM,   /* lock and row */
    PHASE_PREPARE, /* of the source and the store */
    PHASE_DUMP,
    PHASE_FLUSH, /* what was still to be uploaded when the dump had ended */
    PHASE_COMMIT,
    PHASE_RECORD, /* the outcome, in the ledger */
    PHASE_PRUNE,
    PHASE_NOTIFY,
    PHASE_COUNT
};

struct run_phases {
    struct {
        int64_t begun_ms; /* on clock_monotonic_ms(), as ended_ms */
        int64_t ended_ms;
        bool was_entered;
        bool failed;
    } items[PHASE_COUNT];
    enum run_phase current;
    int64_t server_offset_ms; /* what makes such an instant one of the server's clock */
};

/* Ends the current phase, which went well, and begins this one. Always true, so that it can stand
 * between the steps of a chain. */
bool run_phases_enter(struct run_phases *phases, enum run_phase phase);
/* Ends the current phase, if there is one; `ok` tells whether it went well. */
void run_phases_leave(struct run_phases *phases, bool ok);

const char *run_phases_name(enum run_phase phase);

#endif

#include "metrics/run_phases.h"

#include "base/clock.h"

bool run_phases_enter(struct run_phases *phases, enum run_phase phase)
{
    run_phases_leave(phases, true);
    phases->current = phase;
    phases->items[phase].was_entered = true;
    phases->items[phase].begun_ms = clock_monotonic_ms();
    return true;
}

void run_phases_leave(struct run_phases *phases, bool ok)
{
    enum run_phase phase = phases->current;

    if (phase != PHASE_NONE) {
        phases->items[phase].ended_ms = clock_monotonic_ms();
        phases->items[phase].failed = !ok;
        phases->current = PHASE_NONE;
    }
}

const char *run_phases_name(enum run_phase phase)
{
    static const char *const names[PHASE_COUNT] = {
        [PHASE_NONE] = "none",     [PHASE_CLAIM] = "claim", [PHASE_PREPARE] = "prepare",
        [PHASE_DUMP] = "dump",     [PHASE_FLUSH] = "flush", [PHASE_COMMIT] = "commit",
        [PHASE_RECORD] = "record", [PHASE_PRUNE] = "prune", [PHASE_NOTIFY] = "notify",
    };

    return names[phase];
}

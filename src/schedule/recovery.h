/*
 * What a crash left behind: a 'started' row whose lock is free belongs to a run that died. If its
 * object was published before it died, the run is adopted as completed; otherwise it is marked
 * failed ("interrupted") and what it can have left in the store is removed (invariant I1).
 */
#ifndef SCHEDULE_RECOVERY_H
#define SCHEDULE_RECOVERY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "postgres/history_rows.h"
#include "postgres/session.h"
#include "store/store_pool.h"

struct recovery_report {
    size_t unresolved; /* rows that could not be resolved now; each was logged */
};

/* Resolves every such row, asking the stores that it names; if that takes minutes, the rest is left
 * to the next call. Runs that are still going on (their lock is held) are left alone. A run that
 * was begun in another ledger, of which this one is a copy, is marked failed without asking any
 * store. False only when the ledger cannot be read, or with ERROR_STOPPED. Nobody is told here:
 * history_rows_read_untold() has the news. */
bool recovery_run(const struct session_options *session, struct store_pool *stores,
                  struct recovery_report *out, struct error *err);

#endif

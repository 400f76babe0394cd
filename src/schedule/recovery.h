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
#include "postgres/backup_history.h"
#include "postgres/session.h"
#include "store/store.h"

struct recovered {
    struct history_row row; /* as it was; its error_message is NULL */
    bool adopted;           /* completed, else failed */
    uint64_t bytes;         /* adopted only */
    int64_t duration_ms;
};

struct recoveries {
    struct recovered *items;
    size_t count;
    size_t unresolved; /* rows that could not be resolved now; each was logged */
};

#define RECOVERY_MESSAGE                                                                           \
    "interrupted: the process that ran this backup died before it was published"

/* Resolves every such row. Runs that are still going on (their lock is held) are left alone. False
 * only when the ledger cannot be read. The caller clears *out. */
bool recovery_run(const struct session_options *session, struct store *store,
                  struct recoveries *out, struct error *err);
void recovery_clear(struct recoveries *recoveries);

#endif

/*
 * What is missing somewhere, copied there from a store that has it: a tick's last work. And what a
 * failed run may have left in a best-effort store, removed.
 */
#ifndef BACKUP_COPYING_H
#define BACKUP_COPYING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/settings.h"
#include "postgres/backup_schedule.h"
#include "postgres/session.h"
#include "store/store_pool.h"

struct copying {
    const struct settings *settings;
    const struct session_options *session;
    struct store_pool *stores;         /* nobody else's meanwhile */
    const struct schedules *schedules; /* as they stand: what names a store no more wants no copy */
};

/* Makes the copies that are due, a few of them: another tick goes on. Each is made by one process
 * at a time, in a thread. *failed: those that could not be made; each was logged, and is due again
 * later. A store in which nothing moves any more ends it: the thread is left behind
 * (base/thread.h), with settings, session and stores. False only when the ledger cannot be read, or
 * with ERROR_STOPPED. */
bool copying_run(const struct copying *copying, size_t *failed, struct error *err);

#endif

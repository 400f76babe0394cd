/*
 * Retention applied to a store: list, decide (retention/), delete, tell.
 */
#ifndef BACKUP_PRUNE_H
#define BACKUP_PRUNE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "postgres/backup_schedule.h"
#include "postgres/ledger.h"
#include "retention/retention.h"
#include "store/store.h"

enum prune_fate {
    PRUNE_KEPT,
    PRUNE_TO_DELETE, /* decided, not done */
    PRUNE_DELETED,
    PRUNE_GONE,      /* somebody else had deleted it */
    PRUNE_IMMUTABLE, /* the store protects it; passed over */
    PRUNE_CHANGED,   /* not the object that was listed; left alone, which is a failure */
    PRUNE_NOT_DELETED,
};

struct prune_item {
    struct backup_object backup; /* borrows from prune_plan.objects */
    enum prune_fate fate;
    char reason[RETENTION_TEXT_SIZE];
};

struct prune_plan {
    struct objects objects;
    struct prune_item *items; /* backups only, newest first; what is not ours is not here */
    size_t count;
    size_t not_whole;              /* objects with a backup's name; they are told, and not here */
    const struct object **orphans; /* manifests without their backup, which go, too */
    size_t orphan_count;
    bool listed; /* else it is empty because nothing is known */
    size_t deleted;
    size_t failed; /* PRUNE_CHANGED, PRUNE_NOT_DELETED */
};

struct prune_request {
    struct store *store;
    struct session *session; /* of the ledger, which knows what was verified */
    const struct schedules *schedules;
    const char *schedule_id;     /* only this one's backups; NULL: every schedule's */
    const struct ledger *ledger; /* of these schedules */
    int64_t keep_min;
    int64_t clock_shift_ms; /* of --now: a rehearsal deletes only what a rehearsal made */
};

/* Lists the store and decides. An incomplete listing is an error, and decides nothing (invariant
 * I6); so is a ledger that does not tell which backups were verified. A schedule that is wrong
 * keeps everything. The caller clears *out. */
bool prune_decide(const struct prune_request *request, struct prune_plan *out, struct error *err);
/* Lists the store without deciding anything: every item PRUNE_KEPT. */
bool prune_list(struct store *store, struct prune_plan *out, struct error *err);
bool prune_has(const struct prune_plan *plan, const char *name);
/* The same backup of the same run. */
bool prune_has_copy(const struct prune_plan *plan, const struct backup_object *backup);
/* Marks the backup of this name, which is in the plan, for deletion. False (ERROR_USAGE) when it is
 * the last unmarked one of its schedule and not `force`. */
bool prune_name(struct prune_plan *plan, const char *name, bool force, struct error *err);
/* Drops what is not marked for deletion from the plan. */
void prune_keep_named(struct prune_plan *plan);
/* Deletes what is PRUNE_TO_DELETE, oldest first, and logs each. False with ERROR_DEGRADED when one
 * could not be deleted, with ERROR_STOPPED when a stop came; the rest is still tried or left. */
bool prune_apply(struct store *store, struct prune_plan *plan, struct error *err);
void prune_clear(struct prune_plan *plan);

/* "deleted", "kept", ... */
const char *prune_fate_name(enum prune_fate fate);

#endif

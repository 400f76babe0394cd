/*
 * Retention: backups + policy + now -> a decision for each. Pure: no store, no database, no clock.
 *
 * Invariant I6 lives here: a backup is deleted only when at least keep_min newer completed backups
 * of the same schedule, server, database and schemas stand in the same listing, none of which has
 * failed its verification; of those that were verified the newest is never deleted; what is not
 * provably a backup of this schedule of this ledger is kept. (That the listing is whole is the
 * store's promise; who calls deletes nothing when listing failed.)
 */
#ifndef RETENTION_RETENTION_H
#define RETENTION_RETENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "retention/keep_rules.h"
#include "store/backup_object.h"

struct retention_policy {
    const char *schedule_id;
    /* The ledger of the schedule. A copy of its database elsewhere has schedules of the same ids: a
     * backup that names another ledger, or none, is not this schedule's. */
    const char *ledger;     /* the name of its database */
    const char *system;     /* its server's identifier */
    bool is_default;        /* the schedule that the old service's objects belong to */
    int64_t retention_days; /* 1 or more */
    int64_t keep_min;       /* 1 or more */
    struct keep_rules keep; /* beside the days: what one of them keeps is kept */
    int64_t now_ms;         /* the database server's */
};

/* How the last verification of a backup ended. */
enum retention_proof {
    RETENTION_UNPROVEN, /* there was none */
    RETENTION_VERIFIED,
    RETENTION_REFUTED,
};

/* The backups of one listing, all borrowed. */
struct retention_backups {
    const struct backup_object *items;
    const enum retention_proof *proofs; /* one per backup */
    size_t count;
};

enum retention_reason {
    RETENTION_KEEP_YOUNG,        /* not older than retention_days */
    RETENTION_KEEP_RULE,         /* policy.keep keeps it */
    RETENTION_KEEP_MINIMUM,      /* one of the newest keep_min */
    RETENTION_KEEP_VERIFIED,     /* the newest one that was verified */
    RETENTION_KEEP_FOREIGN,      /* another schedule's or another ledger's */
    RETENTION_KEEP_MANUAL_OTHER, /* a backup that belongs to no schedule */
    RETENTION_KEEP_FUTURE, /* dated after now: clocks disagree, nothing is concluded from it */
    RETENTION_DELETE_EXPIRED,
};

struct retention_decision {
    enum retention_reason reason;
    bool delete;
    int64_t age_days;
    unsigned kept_by; /* RETENTION_KEEP_RULE: keep_walk_next() */
};

/* Writes one decision per backup, in the same order. False, with nothing written, for a policy
 * whose numbers are out of bounds. */
bool retention_plan(const struct retention_backups *backups, const struct retention_policy *policy,
                    struct retention_decision *decisions, struct error *err);

/* "older than 30 days", "one of the newest 3", "the newest verified one", ... */
#define RETENTION_TEXT_SIZE KEEP_RULES_TEXT_SIZE
void retention_format(char out[RETENTION_TEXT_SIZE], const struct retention_decision *decision,
                      const struct retention_policy *policy);

/* How long a backup that began so long ago is not yet older than these days; 0: it is. */
int64_t retention_left_ms(int64_t retention_days, int64_t age_ms);

/* True when deleting `index` would leave no other backup of its schedule (and content) in the
 * list: the question that `prune NAME` asks. */
bool retention_is_last(const struct backup_object *backups, size_t count, size_t index);

#endif

/*
 * What the ledger knows of verifications: of each backup how the last one ended, in its row of
 * backup_history. The last outcome counts: a success clears the failure before it, a failure the
 * success.
 *
 * It stands in the ledger alone, for an object's metadata are as they were when it was published. A
 * ledger that a restore has rewound knows of fewer verified backups, never of more.
 */
#ifndef POSTGRES_VERIFICATION_H
#define POSTGRES_VERIFICATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/session.h"

enum verification_outcome {
    VERIFICATION_NONE, /* never, or nothing is known of it */
    VERIFICATION_GOOD,
    VERIFICATION_FAILED
};

/* Which backup: both its name and its run must be the row's. */
struct verified_backup {
    const char *name;
    const char *run_id; /* "" or NULL: of the old service, which had none */
};

/* Writes that the backup was verified now, with so many rows in so long. *recorded is false, with a
 * warning in the log, when the ledger has no completed row of it. */
bool verification_record(struct session *session, const struct verified_backup *backup,
                         uint64_t rows, int64_t duration_ms, bool *recorded, struct error *err);
/* The same of one that failed now, and why. `told`: who is to hear of it will, or nobody is to;
 * else it stays untold, unless it was told before. */
struct verification_failure {
    const char *why;
    int64_t duration_ms;
    bool told;
};
bool verification_record_failure(struct session *session, const struct verified_backup *backup,
                                 const struct verification_failure *failure, bool *recorded,
                                 struct error *err);

#define VERIFICATION_UUID_SIZE 37
/* A backup of this ledger that was found to be bad within a day, and nobody was told. */
struct untold_verification {
    char history_id[VERIFICATION_UUID_SIZE];
    char schedule_id[VERIFICATION_UUID_SIZE]; /* or "" */
    char run_id[32];                          /* or "" */
    char *name;                               /* the backup's */
    char *database;                           /* that was dumped; or NULL */
    char *why;                                /* or NULL */
    int64_t begun_ms;                         /* when the backup was */
    int64_t duration_ms;                      /* of the verification */
    int64_t failed_ms;                        /* when that ended */
};
struct untold_verifications {
    struct untold_verification *items;
    size_t count;
};
/* At most 1000, oldest first. The caller clears it. */
bool verification_read_untold(struct session *session, struct untold_verifications *out,
                              struct error *err);
void verification_clear_untold(struct untold_verifications *untold);
/* Marks it as told. *first is false when it was already, or somebody is telling it at this moment:
 * the notifications are theirs to write. In one transaction with them, it is told once. */
bool verification_tell(struct session *session, const char *history_id, bool *first,
                       struct error *err);

/* How the last verification of each ended, one outcome per backup. */
bool verification_read(struct session *session, const struct verified_backup backups[],
                       size_t count, enum verification_outcome outcomes[], struct error *err);

/* *due: the schedule asks for every Nth of its backups to be verified, and the one that this run
 * made is the Nth, or a later one, since the last that was, whatever the outcome. A backup that was
 * verified, or has a newer one that was, is not due; nor is one that the ledger does not know. */
bool verification_is_due(struct session *session, const char *schedule_id, const char *run_id,
                         bool *due, struct error *err);

#endif

/*
 * The table backup_history: the ledger, one row per run. A row of ours is known by its run_id,
 * which is also the fencing token: no update of ours touches a row that is no longer 'started'.
 */
#ifndef POSTGRES_BACKUP_HISTORY_H
#define POSTGRES_BACKUP_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/backup_schedule.h"
#include "postgres/session.h"

#define HISTORY_ID_SIZE     37
#define HISTORY_RUN_ID_SIZE 17
#define HISTORY_NAME_SIZE   256

struct history_start {
    const char *run_id;
    const char *name;        /* the object's */
    const char *schedule_id; /* NULL: belongs to none */
    const char *database;    /* that is dumped; NULL: the ledger's, or not known yet */
    bool of_all_databases;   /* one of a run of all */
    bool scheduled;          /* else manual */
    bool has_occurrence;
    int64_t occurrence_ms;
    int64_t attempt;
    const char *store; /* its location, without secrets; of several the first */
    /* Of several stores all of them, and which are required; else 0 of them. */
    char *const *stores;
    const bool *required;
    size_t store_count;
    const char *ledger; /* ledger_format() */
    bool silent;        /* nobody is to be told of its outcome */
};

enum history_claim {
    HISTORY_CLAIMED,
    HISTORY_OCCURRENCE_TAKEN, /* it has a started or completed row already (invariant I1) */
    HISTORY_NAME_TAKEN        /* another run has this name: choose another one */
};

/* Claims the occurrence, or of a run of all databases its part in it: inserts the 'started' row
 * and, of several stores, one for each into backup_copies, all in one statement. */
bool backup_history_start(struct session *session, const struct history_start *start,
                          char history_id[HISTORY_ID_SIZE], enum history_claim *claim,
                          struct error *err);

/* Notes which database the run dumps. Until then it is what backup_history_start() was told. */
bool backup_history_note_database(struct session *session, const char *run_id, const char *database,
                                  struct error *err);

struct history_result {
    const char *run_id;
    uint64_t bytes;     /* of the object */
    uint64_t raw_bytes; /* before compression */
    int64_t duration_ms;
    const char *sha256;
    const char *engine; /* "" where it was not recorded */
    bool has_rows;      /* tables and rows are known */
    uint64_t tables;
    uint64_t rows;
};
/* Both also set the schedule's next_run_at (the next scheduled instant), completion its last_run_at
 * (now). They fail when the row is not 'started' any more because somebody else resolved this run
 * (*fenced) or deleted it (not *fenced), but not when it says already what they would write. */
bool backup_history_complete(struct session *session, const struct history_result *result,
                             bool *fenced, struct error *err);
bool backup_history_fail(struct session *session, const char *run_id, int64_t duration_ms,
                         const char *message, struct error *err);
bool backup_history_is_started(struct session *session, const char *run_id, bool *started,
                               struct error *err);

/* A backup that a store has and the ledger does not know. */
struct history_found {
    struct history_start start;
    struct history_result result;
    const char *database; /* that was dumped; "" when that is not known */
    int64_t begun_ms;
};
/* What the ledger says of a run whose object stands in a store. */
struct history_standing {
    bool unknown; /* it has no row of this run */
    /* The run is recorded as failed, and this one completed the occurrence in its place; or "". */
    char superseded_by[HISTORY_RUN_ID_SIZE];
};
/* One standing per run; a NULL among the runs is no run, and nothing is said of it. */
bool backup_history_compare(struct session *session, const char *const runs[], size_t count,
                            struct history_standing standings[], struct error *err);
/* Inserts a completed row; *recorded is false when the occurrence has one already (of all
 * databases: of this one), or the name is taken. Both tell the schedule, too, as
 * backup_history_complete() does. */
bool backup_history_record_found(struct session *session, const struct history_found *found,
                                 bool *recorded, struct error *err);
/* Turns the started row of run `run_id` into the completed row of the backup that was found, whose
 * copies in the run's stores are then pending. */
bool backup_history_become_found(struct session *session, const char *run_id,
                                 const struct history_found *found, struct error *err);

/* Marks the outcome as told. *first is false when it was already, or somebody is telling it at this
 * moment: the mails are theirs to write. In one transaction with them, each outcome is told once.
 */
bool backup_history_tell(struct session *session, const char *history_id, bool *first,
                         struct error *err);
/* *used: a run completed in the store with this location, or its copy came there later. */
bool backup_history_used_store(struct session *session, const char *store, bool *used,
                               struct error *err);
/* How long the next dump will about be, before compression: as the newest completed one; 0 when
 * there is none. */
bool backup_history_estimate(struct session *session, uint64_t *raw_bytes, struct error *err);

#endif

/*
 * The right to make one backup: the schedule's lock, held by a session of its own, and a 'started'
 * row in the ledger that no other run of the occurrence can have (invariant I1).
 */
#ifndef SCHEDULE_CLAIM_H
#define SCHEDULE_CLAIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/backup_copies.h"
#include "postgres/backup_history.h"
#include "postgres/backup_schedule.h"
#include "postgres/ledger.h"
#include "postgres/session.h"
#include "store/backup_object.h"
#include "store/store_pool.h"

enum claim_result {
    CLAIM_TAKEN,
    CLAIM_LOCKED,  /* another process is backing up this schedule */
    CLAIM_NOT_DUE, /* meanwhile another process has made this backup, or tried to */
    CLAIM_CHANGED  /* meanwhile the schedule asks for another backup: read it again */
};

struct claim_request {
    const struct session_options *session;
    const struct schedule *schedule;
    const struct store_choice *stores;
    const char *suffix; /* of the object's name */
    int64_t catch_up_s; /* the setting; a schedule may have its own */
    bool scheduled;     /* else manual: no occurrence, always due */
    bool silent;        /* nobody is to be told of its outcome */
};

struct claim {
    struct session *session; /* holds the lock; borrow it only while the claim lasts */
    struct session_options session_options;
    struct ledger ledger;
    char schedule_id[SCHEDULE_ID_SIZE];
    bool is_locked;
    char one_of_all[LEDGER_DATABASE_SIZE]; /* the database, of a schedule of all; else "" */
    bool has_occurrence;
    int64_t occurrence_ms;
    char history_id[HISTORY_ID_SIZE];
    char run_id[BACKUP_RUN_ID_SIZE];
    char name[BACKUP_NAME_SIZE];
    int64_t begun_ms;      /* the server's clock */
    int64_t begun_mono_ms; /* for durations */
};
#define CLAIM_INIT                                                                                 \
    {                                                                                              \
        .session = NULL                                                                            \
    }

/* Anything but CLAIM_TAKEN leaves nothing behind. The caller ends a taken claim with
 * claim_complete() or claim_fail(), and then claim_close(). */
bool claim_take(const struct claim_request *request, struct claim *out, enum claim_result *result,
                struct error *err);

/* Immediately before the commit (invariant I3): the lock is held and the row is still ours. */
bool claim_confirm(struct claim *claim, struct error *err);

/* What the ledger records of a backup with these facts, which it borrows. */
struct history_result claim_result_of(const struct backup_facts *facts);

/* Record the outcome; the lock's session is replaced by a new one when it has died meanwhile.
 * *fenced: another process has taken this run for dead and recorded it as failed. `has_copies`: the
 * run has several stores. */
bool claim_complete(struct claim *claim, const struct history_result *done, bool *fenced,
                    struct error *err);
bool claim_fail(struct claim *claim, const char *message, bool has_copies, struct error *err);
/* Of several stores: what became of each copy. Before claim_complete(). */
bool claim_note_copies(struct claim *claim, const struct copy_note notes[], size_t count,
                       struct error *err);

/* Since claim_take(). */
int64_t claim_elapsed_ms(const struct claim *claim);

/* Closes the session, which releases the lock. A row that is still 'started' is then resolved by
 * the next check. */
void claim_close(struct claim *claim);

#endif

/*
 * The table backup_copies (migrations/107): where the copies of a run's backup are, and where one
 * is missing. A run with one store has no rows there.
 */
#ifndef POSTGRES_BACKUP_COPIES_H
#define POSTGRES_BACKUP_COPIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/backup_history.h"
#include "postgres/session.h"

/* What each means is written in the migration. */
enum copy_state { COPY_PENDING, COPY_STORED, COPY_MISSING, COPY_DAMAGED, COPY_GONE };

struct copy_row {
    char run_id[HISTORY_RUN_ID_SIZE];
    char name[HISTORY_NAME_SIZE]; /* of the backup; "" where the run was asked for */
    char schedule_id[SCHEDULE_ID_SIZE];
    char *store;
    bool required;
    enum copy_state state;
    char *error; /* or NULL */
    int64_t tried_ms;
    bool run_failed; /* what the run may have left there is to be removed */
};
struct copy_rows {
    struct copy_row *items;
    size_t count;
};

/* In SQL: whether a copy is to be tried at this time. What is due much later was written under a
 * clock that was ahead. */
#define BACKUP_COPIES_DUE(due_at, now)                                                             \
    "(" due_at " <= " now " OR " due_at " > " now " + interval '1 day')"

/* "missing", ... as in SQL. */
const char *backup_copies_state_name(enum copy_state state);

/* Writes what is known of one copy now. A missing one is due at once. */
struct copy_note {
    const char *store;
    bool required;
    enum copy_state state;
    const char *error; /* or NULL */
};
bool backup_copies_note(struct session *session, const char *run_id, const struct copy_note *note,
                        struct error *err);
/* Trying to copy it begins: should it not end, it is due again later, each time a longer while, and
 * so is what else is due in that store. */
bool backup_copies_note_attempt(struct session *session, const char *run_id, const char *store,
                                struct error *err);
/* The attempt ended well: what has not been tried there is due. */
bool backup_copies_note_answer(struct session *session, const char *store, struct error *err);
/* The attempt failed: the while begins now. */
bool backup_copies_note_failed(struct session *session, const char *run_id, const char *store,
                               const char *error, struct error *err);
/* A copy that was called damaged is not. */
bool backup_copies_note_good(struct session *session, const char *run_id, const char *store,
                             struct error *err);
/* The run failed: none is wanted. */
bool backup_copies_drop_run(struct session *session, const char *run_id, struct error *err);

/* Every copy of a run, the required ones first. The caller clears *out. */
bool backup_copies_read_run(struct session *session, const char *run_id, struct copy_rows *out,
                            struct error *err);
/* The copies of runs of this ledger that have ended that are pending or missing, and are due,
 * longest due first: at most `most` of them. */
bool backup_copies_read_due(struct session *session, size_t most, struct copy_rows *out,
                            struct error *err);
/* Those in this store that a verification found to be damaged: all of them. */
bool backup_copies_read_damaged(struct session *session, const char *store, struct copy_rows *out,
                                struct error *err);
/* Those that are pending, missing or damaged, due or not, of newest runs first: at most 10,000. */
bool backup_copies_read_amiss(struct session *session, struct copy_rows *out, struct error *err);
void backup_copies_clear(struct copy_rows *rows);

#endif

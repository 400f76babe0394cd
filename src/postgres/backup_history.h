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
    bool scheduled;          /* else manual */
    bool has_occurrence;
    int64_t occurrence_ms;
    int64_t attempt;
    const char *store; /* its location, without secrets */
};

/* Claims the occurrence: inserts the 'started' row. *claimed is false, without an error, when the
 * occurrence has a started or completed row already (invariant I1). */
bool backup_history_start(struct session *session, const struct history_start *start,
                          char history_id[HISTORY_ID_SIZE], bool *claimed, struct error *err);

struct history_result {
    const char *run_id;
    uint64_t bytes;     /* of the object */
    uint64_t raw_bytes; /* before compression */
    int64_t duration_ms;
    const char *sha256;
};
/* Both also set the schedule's next_run_at (the next scheduled instant), completion its last_run_at
 * (now). They fail when the row is not 'started' any more because somebody else resolved this run
 * (*fenced), but not when it says already what they would write. */
bool backup_history_complete(struct session *session, const struct history_result *result,
                             bool *fenced, struct error *err);
bool backup_history_fail(struct session *session, const char *run_id, int64_t duration_ms,
                         const char *message, struct error *err);
/* True when the row is still 'started'; else an error that says what it is. */
bool backup_history_is_started(struct session *session, const char *run_id, struct error *err);

struct history_row {
    char history_id[HISTORY_ID_SIZE];
    char run_id[HISTORY_RUN_ID_SIZE];
    char schedule_id[SCHEDULE_ID_SIZE];
    char name[HISTORY_NAME_SIZE];
    char type[16];
    char status[16];
    char store[HISTORY_NAME_SIZE]; /* its location, or "" */
    char *error_message;           /* or NULL */
    bool has_bytes;
    int64_t bytes;
    int64_t duration_s;
    int64_t started_ms;
    int64_t attempt;
    bool has_occurrence;
    int64_t occurrence_ms;
};
struct history_rows {
    struct history_row *items;
    size_t count;
};
#define HISTORY_ROWS_MOST 100000

/* Every 'started' row of ours. */
bool backup_history_read_started(struct session *session, struct history_rows *out,
                                 struct error *err);
/* Every row, newest first, at most HISTORY_ROWS_MOST. Works on the table as the application made
 * it, before any migration of ours. */
bool backup_history_read_all(struct session *session, struct history_rows *out, struct error *err);
/* The newest row with this object name; *found false without an error when there is none. */
bool backup_history_find(struct session *session, const char *name, struct history_rows *out,
                         struct error *err);
/* How long the next dump will about be, before compression: as the newest completed one; 0 when
 * there is none. */
bool backup_history_estimate(struct session *session, uint64_t *raw_bytes, struct error *err);
void backup_history_clear(struct history_rows *rows);

#endif

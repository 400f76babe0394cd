/*
 * Rows of backup_history, read. What writes them is backup_history.h.
 */
#ifndef POSTGRES_HISTORY_ROWS_H
#define POSTGRES_HISTORY_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/backup_history.h"
#include "postgres/backup_schedule.h"
#include "postgres/session.h"
#include "postgres/verification.h"

struct history_row {
    char history_id[HISTORY_ID_SIZE];
    char run_id[HISTORY_RUN_ID_SIZE];
    char schedule_id[SCHEDULE_ID_SIZE];
    char name[HISTORY_NAME_SIZE];
    char type[16];
    char status[16];
    char *store;                        /* its location, or NULL; of several the first */
    char ledger[HISTORY_NAME_SIZE * 2]; /* the one it was begun in, or "" */
    char database[64 * 4];              /* that was dumped, or "" when that was not recorded */
    bool of_all_databases;              /* one of a run of all */
    char *error_message;                /* or NULL */
    bool has_bytes;
    int64_t bytes;
    int64_t duration_s;
    int64_t started_ms;
    int64_t completed_ms; /* 0 while it goes on */
    int64_t attempt;
    bool has_occurrence;
    int64_t occurrence_ms;
    enum verification_outcome verification; /* how the last one ended */
    int64_t verification_ms;                /* when */
    bool has_verified_rows;                 /* only of a good one, as the number */
    int64_t verified_rows;
    char *verify_error; /* only of one that failed; or NULL */
};
struct history_rows {
    struct history_row *items;
    size_t count;
};

/* The runs of this ledger that ended within a day and were not told: who ran them died before that,
 * or is about to tell. At most 1000, oldest first. */
bool history_rows_read_untold(struct session *session, struct history_rows *out, struct error *err);

/* Every 'started' row of ours. */
bool history_rows_read_started(struct session *session, struct history_rows *out,
                               struct error *err);
/* Every row, newest first, at most 100,000. Works on the table as the application made
 * it, before any migration of ours. */
bool history_rows_read_all(struct session *session, struct history_rows *out, struct error *err);
/* The newest row with this object name; *found false without an error when there is none. */
bool history_rows_find(struct session *session, const char *name, struct history_rows *out,
                       struct error *err);
void history_rows_clear(struct history_rows *rows);

#endif

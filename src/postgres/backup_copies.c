#include "postgres/backup_copies.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "postgres/ledger.h"
#include "postgres/query.h"

#define NUMBER_SIZE 24

static const char *const state_names[] = {
    [COPY_PENDING] = "pending", [COPY_STORED] = "stored", [COPY_MISSING] = "missing",
    [COPY_DAMAGED] = "damaged", [COPY_GONE] = "gone",
};

const char *backup_copies_state_name(enum copy_state state)
{
    return state_names[state];
}

static enum copy_state parse_state(const char *name)
{
    for (size_t i = 0; i < sizeof(state_names) / sizeof(state_names[0]); i++) {
        if (name != NULL && strcmp(name, state_names[i]) == 0) {
            return (enum copy_state)i;
        }
    }
    return COPY_GONE;
}

bool backup_copies_note(struct session *session, const char *run_id, const struct copy_note *note,
                        struct error *err)
{
    const char *values[] = {
        session->shift,           run_id,     note->store, note->required ? "true" : "false",
        state_names[note->state], note->error};

    return query_execute(session,
                         "INSERT INTO backup_copies AS k (run_id, store, required, state,"
                         " error_message, tried_at, due_at) VALUES ($2, $3, $4, $5, $6, " QUERY_NOW(
                             1) ", " QUERY_NOW(1) ") ON CONFLICT (run_id, store) DO UPDATE SET"
                                                  " state = excluded.state,"
                                                  " error_message = excluded.error_message,"
                                                  " tried_at = excluded.tried_at,"
                                                  " due_at = excluded.due_at",
                         6, values, err) ||
           error_prefix(err, "noting the copy in %s in backup_copies", note->store);
}

/* In SQL: how long after so many attempts in vain the next one is due. */
#define BACKOFF(attempts)                                                                          \
    "least(interval '1 hour', interval '1 minute' * power(2::float8, least(" attempts              \
    ", 6)::float8))"

bool backup_copies_note_attempt(struct session *session, const char *run_id, const char *store,
                                struct error *err)
{
    const char *values[] = {session->shift, run_id, store};

    return query_execute(session,
                         "UPDATE backup_copies k SET attempts = attempts + (run_id = $2)::integer,"
                         " due_at = greatest(k.due_at, " QUERY_NOW(1) " + " BACKOFF(
                             "tried.most") ") FROM (SELECT max(attempts) AS most FROM backup_copies"
                                           " WHERE store = $3 AND state IN ('pending', 'missing'))"
                                           " tried WHERE k.store = $3"
                                           " AND k.state IN ('pending', 'missing')",
                         3, values, err) ||
           error_prefix(err, "noting the copy in %s in backup_copies", store);
}

bool backup_copies_note_answer(struct session *session, const char *store, struct error *err)
{
    const char *values[] = {session->shift, store};

    return query_execute(session,
                         "UPDATE backup_copies SET due_at = " QUERY_NOW(
                             1) " WHERE store = $2 AND state IN ('pending', 'missing')"
                                " AND attempts = 0",
                         2, values, err) ||
           error_prefix(err, "noting the copies in %s in backup_copies", store);
}

bool backup_copies_note_failed(struct session *session, const char *run_id, const char *store,
                               const char *error, struct error *err)
{
    const char *values[] = {session->shift, run_id, store, error};

    return query_execute(
               session,
               "WITH tried AS (UPDATE backup_copies SET state = CASE state WHEN 'pending' THEN"
               " state ELSE 'missing' END, error_message = $4,"
               " tried_at = " QUERY_NOW(1) ", due_at = " QUERY_NOW(1) " + " BACKOFF(
                   "attempts - 1") " WHERE run_id = $2 AND store = $3"
                                   " AND state IN ('pending', 'missing') RETURNING due_at)"
                                   " UPDATE backup_copies k SET due_at = greatest(k.due_at, "
                                   "tried.due_at)"
                                   " FROM tried WHERE k.store = $3 AND k.run_id <> $2"
                                   " AND k.state IN ('pending', 'missing')",
               4, values, err) ||
           error_prefix(err, "noting the copy in %s in backup_copies", store);
}

bool backup_copies_note_good(struct session *session, const char *run_id, const char *store,
                             struct error *err)
{
    const char *values[] = {run_id, store};

    return query_execute(session,
                         "UPDATE backup_copies SET state = 'stored', error_message = NULL"
                         " WHERE run_id = $1 AND store = $2 AND state = 'damaged'",
                         2, values, err) ||
           error_prefix(err, "noting the copy in %s in backup_copies", store);
}

bool backup_copies_drop_run(struct session *session, const char *run_id, struct error *err)
{
    const char *values[] = {run_id};

    return query_execute(session, "UPDATE backup_copies SET state = 'gone' WHERE run_id = $1", 1,
                         values, err) ||
           error_prefix(err, "noting in backup_copies that run %s failed", run_id);
}

static bool read_row(const PGresult *result, int row, void *item, struct error *err)
{
    struct copy_row *out = item;

    query_copy(result, row, 0, out->run_id, sizeof(out->run_id));
    query_copy(result, row, 1, out->name, sizeof(out->name));
    query_copy(result, row, 2, out->schedule_id, sizeof(out->schedule_id));
    out->required = query_bool(result, row, 4);
    out->state = parse_state(query_text(result, row, 5));
    out->tried_ms = query_number(result, row, 7);
    out->run_failed = query_bool(result, row, 8);
    return query_copy_text(result, row, 3, &out->store, err) &&
           query_copy_text(result, row, 6, &out->error, err);
}

static bool read_rows(struct session *session, const char *sql, int count,
                      const char *const values[], struct copy_rows *out, struct error *err)
{
    PGresult *result = query_run(session, sql, count, values, err);

    *out = (struct copy_rows){.items = NULL};
    if (result == NULL) {
        return error_prefix(err, "reading backup_copies");
    }
    void *items;
    bool ok = query_read_items(result, sizeof(*out->items), read_row, &items, &out->count, err);
    out->items = items;
    if (!ok) {
        backup_copies_clear(out);
    }
    return ok;
}

bool backup_copies_read_run(struct session *session, const char *run_id, struct copy_rows *out,
                            struct error *err)
{
    const char *values[] = {run_id};

    return read_rows(session,
                     "SELECT run_id, '', NULL, store, required, state, error_message,"
                     " " QUERY_MS("tried_at") ", false FROM backup_copies WHERE run_id = $1"
                                              " ORDER BY required DESC, store",
                     1, values, out, err);
}

/* Of this ledger: a copy of it elsewhere is not to act on them. */
#define SELECT_OF_LEDGER                                                                           \
    "SELECT k.run_id, h.backup_filename, h.schedule_id, k.store, k.required, k.state,"             \
    " left(k.error_message, 2000), " QUERY_MS(                                                     \
        "k.tried_at") ", h.status = 'failed' FROM backup_copies k"                                 \
                      " JOIN backup_history h ON h.run_id = k.run_id"                              \
                      " AND " LEDGER_IS_THIS("h.ledger") " "

bool backup_copies_read_due(struct session *session, size_t most, struct copy_rows *out,
                            struct error *err)
{
    char limit[NUMBER_SIZE];
    const char *values[] = {session->shift, limit};

    snprintf(limit, sizeof(limit), "%zu", most);
    return read_rows(session,
                     SELECT_OF_LEDGER "WHERE h.status IN ('completed', 'failed')"
                                      " AND k.state IN ('pending', 'missing')"
                                      " AND " BACKUP_COPIES_DUE(
                                          "k.due_at", QUERY_NOW(1)) " ORDER BY k.due_at LIMIT $2",
                     2, values, out, err);
}

bool backup_copies_read_amiss(struct session *session, struct copy_rows *out, struct error *err)
{
    return read_rows(session,
                     SELECT_OF_LEDGER "WHERE h.status = 'completed'"
                                      " AND k.state IN ('pending', 'missing', 'damaged')"
                                      " ORDER BY h.started_at DESC, k.store LIMIT 10000",
                     0, NULL, out, err);
}

bool backup_copies_read_damaged(struct session *session, const char *store, struct copy_rows *out,
                                struct error *err)
{
    return read_rows(session, SELECT_OF_LEDGER "WHERE k.state = 'damaged' AND k.store = $1", 1,
                     &store, out, err);
}

void backup_copies_clear(struct copy_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        free(rows->items[i].store);
        free(rows->items[i].error);
    }
    free(rows->items);
    *rows = (struct copy_rows){.items = NULL};
}

#include "postgres/history_rows.h"

#include <stdlib.h>
#include <string.h>

#include "postgres/ledger.h"
#include "postgres/query.h"

/* Rows that others have changed may bear both outcomes: the later one is the last. */
static bool read_verification(const PGresult *result, int row, struct history_row *out,
                              struct error *err)
{
    bool failed = query_text(result, row, 18) != NULL;
    int64_t verified_ms = query_number(result, row, 16);
    int64_t failed_ms = query_number(result, row, 18);

    if (query_text(result, row, 16) != NULL && (!failed || verified_ms > failed_ms)) {
        out->verification = VERIFICATION_GOOD;
        out->verification_ms = verified_ms;
        out->has_verified_rows = query_text(result, row, 17) != NULL;
        out->verified_rows = query_number(result, row, 17);
    } else if (failed) {
        out->verification = VERIFICATION_FAILED;
        out->verification_ms = failed_ms;
        return query_copy_text(result, row, 19, &out->verify_error, err);
    }
    return true;
}

static bool read_row(const PGresult *result, int row, void *item, struct error *err)
{
    struct history_row *out = item;

    query_copy(result, row, 0, out->history_id, sizeof(out->history_id));
    query_copy(result, row, 1, out->name, sizeof(out->name));
    query_copy(result, row, 2, out->type, sizeof(out->type));
    query_copy(result, row, 3, out->status, sizeof(out->status));
    out->has_bytes = query_text(result, row, 4) != NULL;
    out->bytes = query_number(result, row, 4);
    out->duration_s = query_number(result, row, 5);
    out->started_ms = query_number(result, row, 7);
    query_copy(result, row, 8, out->run_id, sizeof(out->run_id));
    query_copy(result, row, 9, out->schedule_id, sizeof(out->schedule_id));
    out->has_occurrence = query_text(result, row, 10) != NULL;
    out->occurrence_ms = query_number(result, row, 10);
    out->attempt = query_number(result, row, 11);
    query_copy(result, row, 13, out->ledger, sizeof(out->ledger));
    out->completed_ms = query_number(result, row, 14);
    query_copy(result, row, 15, out->database, sizeof(out->database));
    out->of_all_databases = query_bool(result, row, 20);
    return query_copy_text(result, row, 6, &out->error_message, err) &&
           query_copy_text(result, row, 12, &out->store, err) &&
           read_verification(result, row, out, err);
}

/* The columns of ours are read through to_jsonb(), which has no opinion on whether they exist: the
 * application's own table, not yet migrated, is as good. */
#define SELECT_ROWS                                                                                \
    "SELECT history_id, backup_filename, backup_type, status, file_size_bytes, duration_seconds,"  \
    " error_message, (extract(epoch FROM coalesce(started_at, created_at))::numeric * "            \
    "1000.0)::bigint,"                                                                             \
    " to_jsonb(h)->>'run_id', to_jsonb(h)->>'schedule_id',"                                        \
    " (extract(epoch FROM (to_jsonb(h)->>'occurrence_at')::timestamptz)::numeric * "               \
    "1000.0)::bigint,"                                                                             \
    " to_jsonb(h)->>'attempt', to_jsonb(h)->>'store', to_jsonb(h)->>'ledger',"                     \
    " (extract(epoch FROM completed_at)::numeric * 1000.0)::bigint, "                              \
    "to_jsonb(h)->>'database_name',"                                                               \
    " (extract(epoch FROM (to_jsonb(h)->>'verified_at')::timestamptz)::numeric * 1000.0)::bigint," \
    " to_jsonb(h)->>'verified_rows',"                                                              \
    " (extract(epoch FROM (to_jsonb(h)->>'verify_failed_at')::timestamptz)::numeric * "            \
    "1000.0)::bigint, left(to_jsonb(h)->>'verify_error', 2000),"                                   \
    " coalesce((to_jsonb(h)->>'of_all_databases')::boolean, false)"                                \
    " FROM backup_history h "

static bool read_rows(struct session *session, const char *sql, int count,
                      const char *const values[], struct history_rows *out, struct error *err)
{

    *out = (struct history_rows){.items = NULL};
    PGresult *result = query_run(session, sql, count, values, err);
    if (result == NULL) {
        return error_prefix(err, "reading backup_history");
    }
    void *items;
    bool ok = query_read_items(result, sizeof(*out->items), read_row, &items, &out->count, err);
    out->items = items;
    if (!ok) {
        history_rows_clear(out);
    }
    return ok;
}

bool history_rows_read_started(struct session *session, struct history_rows *out, struct error *err)
{
    return read_rows(session,
                     SELECT_ROWS "WHERE status = 'started' AND run_id IS NOT NULL"
                                 " ORDER BY started_at LIMIT 1000",
                     0, NULL, out, err);
}

bool history_rows_read_untold(struct session *session, struct history_rows *out, struct error *err)
{
    const char *values[] = {session->shift};

    return read_rows(session,
                     SELECT_ROWS "WHERE told_at IS NULL AND run_id IS NOT NULL"
                                 " AND status IN ('completed', 'failed') AND completed_at >"
                                 " clock_timestamp() + $1::float8 * interval '1 millisecond'"
                                 " - interval '1 day' AND " LEDGER_IS_THIS(
                                     "ledger") " ORDER BY completed_at LIMIT 1000",
                     1, values, out, err);
}

bool history_rows_read_all(struct session *session, struct history_rows *out, struct error *err)
{
    return read_rows(session, SELECT_ROWS "ORDER BY 8 DESC LIMIT 100000", 0, NULL, out, err);
}

bool history_rows_find(struct session *session, const char *name, struct history_rows *out,
                       struct error *err)
{
    const char *values[] = {name};

    return read_rows(session, SELECT_ROWS "WHERE backup_filename = $1 ORDER BY 8 DESC LIMIT 1", 1,
                     values, out, err);
}

void history_rows_clear(struct history_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        free(rows->items[i].error_message);
        free(rows->items[i].store);
        free(rows->items[i].verify_error);
    }
    free(rows->items);
    *rows = (struct history_rows){.items = NULL};
}

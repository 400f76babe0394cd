#include "postgres/schedule_details.h"

#include <stdlib.h>
#include <string.h>

#include "postgres/query.h"

/* A row of its own for each of the upcoming instants; one row where there is none. */
static const char read_query[] =
    "SELECT s.schedule_id, CASE WHEN isfinite(s.last_run_at) THEN"
    " (extract(epoch FROM s.last_run_at)::numeric * 1000.0)::bigint END,"
    " CASE WHEN isfinite(s.created_at) THEN (extract(epoch FROM s.created_at)::numeric * "
    "1000.0)::bigint END,"
    " CASE WHEN isfinite(s.updated_at) THEN (extract(epoch FROM s.updated_at)::numeric * "
    "1000.0)::bigint END,"
    " CASE WHEN isfinite(s.timed_at) THEN (extract(epoch FROM s.timed_at)::numeric * "
    "1000.0)::bigint END,"
    " CASE WHEN s.catch_up BETWEEN interval '-1000 days' AND interval '1000 days' THEN"
    " extract(epoch FROM s.catch_up)::bigint END, (extract(epoch FROM u.at)::numeric * "
    "1000.0)::bigint,"
    " (extract(epoch FROM (u.at AT TIME ZONE w.zone) - (u.at AT TIME ZONE 'UTC'))::numeric / "
    "60.0)::bigint"
    " FROM backup_schedule s"
    " CROSS JOIN (SELECT clock_timestamp() + $1::float8 * interval '1 millisecond' AS now) c"
    " CROSS JOIN LATERAL (SELECT $2::boolean AND rythm_backup_problem(s) IS NULL AS wanted"
    " OFFSET 0) p"
    " CROSS JOIN LATERAL (SELECT CASE WHEN p.wanted THEN coalesce(s.time_zone, 'UTC') END AS zone,"
    " CASE WHEN p.wanted THEN c.now END AS after OFFSET 0) w"
    " LEFT JOIN LATERAL (SELECT o.at FROM rythm_backup_occurrences(s.schedule_time, s.frequency,"
    " s.days, w.zone, w.after, w.after + 5 * rythm_backup_longest_gap(s.frequency)) o (at)"
    " ORDER BY o.at LIMIT 5) u ON true"
    " ORDER BY s.schedule_id, u.at";

static struct schedule_instant read_instant(const PGresult *result, int row, int column)
{
    return (struct schedule_instant){.known = query_text(result, row, column) != NULL,
                                     .ms = query_number(result, row, column)};
}

static void read_row(const PGresult *result, int row, struct schedule_details *out)
{
    query_copy(result, row, 0, out->id, sizeof(out->id));
    out->last_run = read_instant(result, row, 1);
    out->created = read_instant(result, row, 2);
    out->updated = read_instant(result, row, 3);
    out->timed = read_instant(result, row, 4);
    out->has_catch_up = query_text(result, row, 5) != NULL;
    out->catch_up_s = query_number(result, row, 5);
}

static void read_rows(const PGresult *result, struct schedule_details_list *out)
{
    for (int row = 0; row < PQntuples(result); row++) {
        const char *id = query_text(result, row, 0);
        if (out->count == 0 || strcmp(out->items[out->count - 1].id, id) != 0) {
            read_row(result, row, &out->items[out->count++]);
        }
        struct schedule_details *details = &out->items[out->count - 1];
        if (query_text(result, row, 6) != NULL && details->upcoming_count < SCHEDULE_UPCOMING) {
            details->upcoming[details->upcoming_count++] = (struct schedule_occurrence){
                query_number(result, row, 6), query_number(result, row, 7)};
        }
    }
}

bool schedule_details_read(struct session *session, bool upcoming,
                           struct schedule_details_list *out, struct error *err)
{
    const char *values[] = {session->shift, upcoming ? "true" : "false"};

    *out = (struct schedule_details_list){.items = NULL};
    PGresult *result = query_run(session, read_query, 2, values, err);
    if (result == NULL) {
        return error_prefix(err, "reading the schedules");
    }
    int rows = PQntuples(result);
    if (rows > 0) {
        out->items = calloc((size_t)rows, sizeof(*out->items));
    }
    bool ok = rows == 0 || out->items != NULL;
    if (ok) {
        read_rows(result, out);
    }
    PQclear(result);
    return ok ? true : error_set_memory(err);
}

void schedule_details_clear(struct schedule_details_list *list)
{
    free(list->items);
    *list = (struct schedule_details_list){.items = NULL};
}

static int by_id(const void *left, const void *right)
{
    const struct schedule_details *a = left;
    const struct schedule_details *b = right;

    return strcmp(a->id, b->id);
}

const struct schedule_details *schedule_details_find(const struct schedule_details_list *list,
                                                     const char *id)
{
    struct schedule_details key = {.has_catch_up = false};

    if (list->count == 0 || strlen(id) >= sizeof(key.id)) {
        return NULL;
    }
    memcpy(key.id, id, strlen(id) + 1);
    return bsearch(&key, list->items, list->count, sizeof(*list->items), by_id);
}

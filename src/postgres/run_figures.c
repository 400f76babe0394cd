#include "postgres/run_figures.h"

#include <stdlib.h>
#include <string.h>

#include "postgres/query.h"

static const char read_query[] =
    "SELECT s.schedule_id,"
    " CASE WHEN s.all_databases THEN a.duration ELSE l.duration_seconds END,"
    " CASE WHEN s.all_databases THEN a.bytes ELSE l.file_size_bytes END,"
    " CASE WHEN s.all_databases THEN a.raw_bytes ELSE l.raw_size_bytes END,"
    " CASE WHEN s.all_databases THEN a.row_count ELSE l.row_count END,"
    " CASE WHEN s.all_databases THEN a.table_count ELSE l.table_count END,"
    " CASE WHEN s.all_databases THEN a.usual ELSE f.median END,"
    " CASE WHEN s.all_databases THEN a.failures ELSE f.failures END,"
    " (extract(epoch FROM CASE WHEN s.all_databases THEN a.failed_at ELSE f.failed_at END)"
    "::numeric * 1000.0)::bigint,"
    " (extract(epoch FROM CASE WHEN s.all_databases THEN a.proven_at ELSE v.completed_at END)"
    "::numeric * 1000.0)::bigint,"
    " CASE WHEN s.all_databases THEN a.unproven ELSE n.count END"
    " FROM backup_schedule s"
    " CROSS JOIN (SELECT clock_timestamp() + $1::float8 * interval '1 millisecond' AS now) c"
    " LEFT JOIN LATERAL (SELECT h.* FROM backup_history h WHERE h.schedule_id = s.schedule_id"
    " AND h.status = 'completed' AND h.completed_at <= c.now"
    " ORDER BY h.completed_at DESC LIMIT 1) l ON true"
    " CROSS JOIN LATERAL (SELECT percentile_disc(0.5::float8) WITHIN GROUP"
    " (ORDER BY p.raw_size_bytes) FILTER (WHERE p.is_earlier AND p.position <= 7) AS median,"
    " max(p.completed_at) FILTER (WHERE p.status = 'failed') AS failed_at, count(*) FILTER"
    " (WHERE p.status = 'failed' AND (p.completed_at <= l.completed_at) IS NOT TRUE) AS failures"
    " FROM (SELECT b.*, count(*) FILTER (WHERE b.is_earlier) OVER (ORDER BY b.completed_at DESC)"
    " AS position FROM (SELECT h.status, h.completed_at, h.raw_size_bytes,"
    " h.status = 'completed' AND h.completed_at < l.completed_at AND h.raw_size_bytes IS NOT NULL"
    " AND h.database_name IS NOT DISTINCT FROM l.database_name AS is_earlier"
    " FROM backup_history h WHERE h.schedule_id = s.schedule_id AND h.completed_at <= c.now"
    " ORDER BY h.completed_at DESC LIMIT 30) b) p) f"
    " LEFT JOIN LATERAL (SELECT h.completed_at FROM backup_history h"
    " WHERE h.schedule_id = s.schedule_id AND h.status = 'completed' AND h.started_at <= c.now"
    " AND h.verified_at <= c.now AND (h.verify_failed_at < h.verified_at) IS NOT FALSE"
    " ORDER BY h.started_at DESC LIMIT 1) v ON true"
    " CROSS JOIN LATERAL (SELECT count(*) AS count FROM (SELECT FROM backup_history h"
    " WHERE h.schedule_id = s.schedule_id AND h.status = 'completed' AND h.completed_at <= c.now"
    " AND h.completed_at > coalesce(v.completed_at, timestamptz '-infinity')"
    " ORDER BY h.completed_at DESC LIMIT greatest(s.verify_every + 1, 30)) b) n"
    " LEFT JOIN LATERAL rythm_backup_sums(s.schedule_id, c.now) a ON s.all_databases"
    " ORDER BY s.schedule_id";

static struct run_figure read_figure(const PGresult *result, int row, int column)
{
    return (struct run_figure){.known = query_text(result, row, column) != NULL,
                               .value = query_number(result, row, column)};
}

static bool read_row(const PGresult *result, int row, void *item, struct error *err)
{
    struct run_figures *out = item;

    (void)err;
    query_copy(result, row, 0, out->id, sizeof(out->id));
    out->duration_s = read_figure(result, row, 1);
    out->bytes = read_figure(result, row, 2);
    out->raw_bytes = read_figure(result, row, 3);
    out->rows = read_figure(result, row, 4);
    out->tables = read_figure(result, row, 5);
    out->usual_raw_bytes = read_figure(result, row, 6);
    out->failed = read_figure(result, row, 7);
    out->failed_ms = read_figure(result, row, 8);
    out->proven_ms = read_figure(result, row, 9);
    out->unproven = read_figure(result, row, 10);
    return true;
}

bool run_figures_read(struct session *session, struct run_figures_list *out, struct error *err)
{
    const char *values[] = {session->shift};

    *out = (struct run_figures_list){.items = NULL};
    PGresult *result = query_run(session, read_query, 1, values, err);
    if (result == NULL) {
        return error_prefix(err, "reading the figures of the schedules' runs");
    }
    void *items;
    bool ok = query_read_items(result, sizeof(*out->items), read_row, &items, &out->count, err);
    out->items = items;
    return ok;
}

void run_figures_clear(struct run_figures_list *list)
{
    free(list->items);
    *list = (struct run_figures_list){.items = NULL};
}

static int by_id(const void *left, const void *right)
{
    const struct run_figures *a = left;
    const struct run_figures *b = right;

    return strcmp(a->id, b->id);
}

const struct run_figures *run_figures_find(const struct run_figures_list *list, const char *id)
{
    struct run_figures key = {.failed = {false, 0}};

    if (list->count == 0 || strlen(id) >= sizeof(key.id)) {
        return NULL;
    }
    memcpy(key.id, id, strlen(id) + 1);
    return bsearch(&key, list->items, list->count, sizeof(*list->items), by_id);
}

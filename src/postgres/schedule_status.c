#include "postgres/schedule_status.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "postgres/query.h"

/* The latest occurrence that is older than the grace is the one that must have been made, or one
 * after it. Each lateral reads one row by index, however long the ledger is, and of a schedule of
 * all databases a bounded number (migrations/111); the key of a schedule's lock is
 * advisory_lock.c's. */
static const char read_query[] =
    "WITH held AS MATERIALIZED (SELECT classid::bigint << 32 | objid::bigint AS key FROM pg_locks"
    " WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND database ="
    " (SELECT oid FROM pg_database WHERE datname = current_database()))"
    " SELECT s.schedule_id, (extract(epoch FROM greatest(d.completed_at,"
    " CASE WHEN isfinite(s.last_run_at) AND s.last_run_at <= c.now THEN s.last_run_at END))"
    "::numeric * 1000.0)::bigint, (extract(epoch FROM m.completed_at)::numeric * 1000.0)::bigint,"
    " f.status, (extract(epoch FROM f.completed_at)::numeric * 1000.0)::bigint,"
    " left(f.error_message, 2000), r.count,"
    " (extract(epoch FROM r.started_at)::numeric * 1000.0)::bigint,"
    " hashtextextended('rythm-backup:' || s.schedule_id::text, 0) IN (SELECT key FROM held),"
    " CASE WHEN s.enabled AND (o.at < date_trunc('minute', s.timed_at)"
    " AND s.timed_at < now() + interval '1 hour') IS NOT TRUE"
    " AND coalesce(g.lacks_one, NOT EXISTS (SELECT FROM backup_history h"
    " WHERE h.schedule_id = s.schedule_id"
    " AND h.status = 'completed' AND h.occurrence_at BETWEEN o.at AND c.now))"
    " THEN (extract(epoch FROM o.at)::numeric * 1000.0)::bigint END,"
    " v.backup_filename, (extract(epoch FROM v.verified_at)::numeric * 1000.0)::bigint,"
    " CASE WHEN w.failed THEN w.backup_filename END,"
    " (extract(epoch FROM w.ended_at)::numeric * 1000.0)::bigint,"
    " CASE WHEN w.failed THEN left(w.verify_error, 2000) END"
    " FROM backup_schedule s"
    " CROSS JOIN (SELECT clock_timestamp() + $1::float8 * interval '1 millisecond' AS now) c"
    " CROSS JOIN LATERAL (SELECT rythm_backup_problem(s) IS NULL AS fine OFFSET 0) p"
    " CROSS JOIN LATERAL (SELECT CASE WHEN p.fine THEN rythm_backup_latest(s.schedule_time,"
    " s.frequency, s.days, s.time_zone, c.now - interval '10 minutes') END AS at OFFSET 0) o"
    " LEFT JOIN LATERAL (SELECT h.completed_at FROM backup_history h"
    " WHERE h.schedule_id = s.schedule_id AND h.status = 'completed' AND h.completed_at <= c.now"
    " ORDER BY h.completed_at DESC LIMIT 1) d ON true"
    " LEFT JOIN LATERAL (SELECT h.completed_at FROM backup_history h"
    " WHERE h.schedule_id = s.schedule_id AND h.status = 'completed' AND h.completed_at <= c.now"
    " AND h.completed_at > c.now - rythm_backup_longest_gap(s.frequency)"
    " AND h.backup_type = 'manual' AND s.all_databases IS NOT TRUE"
    " AND h.of_all_databases IS NOT TRUE"
    " ORDER BY h.completed_at DESC LIMIT 1) m ON true"
    " LEFT JOIN LATERAL rythm_backup_newest_run(s.schedule_id, s.all_databases, c.now) f ON true"
    " LEFT JOIN LATERAL (SELECT rythm_backup_lacks_database(s.schedule_id, o.at, c.now)"
    " AS lacks_one) g ON s.all_databases"
    " CROSS JOIN LATERAL (SELECT count(*) AS count, max(h.started_at) AS started_at"
    " FROM backup_history h WHERE h.schedule_id = s.schedule_id AND h.status = 'started'"
    " AND h.run_id IS NOT NULL) r"
    " LEFT JOIN LATERAL (SELECT h.backup_filename, h.verified_at FROM backup_history h"
    " WHERE h.schedule_id = s.schedule_id AND h.status = 'completed' AND h.started_at <= c.now"
    " AND h.verified_at <= c.now AND (h.verify_failed_at < h.verified_at) IS NOT FALSE"
    " ORDER BY h.started_at DESC LIMIT 1) v ON true"
    " LEFT JOIN LATERAL (SELECT n.* FROM rythm_backup_newest_verifications(s.schedule_id,"
    " s.all_databases, c.now) n ORDER BY n.failed DESC, n.ended_at DESC LIMIT 1) w ON true"
    " ORDER BY s.schedule_id";

static bool read_row(const PGresult *result, int row, void *item, struct error *err)
{
    struct schedule_status *out = item;

    query_copy(result, row, 0, out->id, sizeof(out->id));
    out->has_completed = query_text(result, row, 1) != NULL;
    out->completed_ms = query_number(result, row, 1);
    out->has_manual = query_text(result, row, 2) != NULL;
    out->manual_ms = query_number(result, row, 2);
    query_copy(result, row, 3, out->outcome, sizeof(out->outcome));
    out->finished_ms = query_number(result, row, 4);
    out->started = query_number(result, row, 6);
    out->started_ms = query_number(result, row, 7);
    out->locked = query_bool(result, row, 8);
    out->has_missing = query_text(result, row, 9) != NULL;
    out->missing_ms = query_number(result, row, 9);
    query_copy(result, row, 10, out->verified_name, sizeof(out->verified_name));
    out->verified_ms = query_number(result, row, 11);
    query_copy(result, row, 12, out->refuted_name, sizeof(out->refuted_name));
    out->refuted_ms = query_number(result, row, 13);
    return query_copy_text(result, row, 5, &out->error, err) &&
           query_copy_text(result, row, 14, &out->verify_error, err);
}

bool schedule_status_read(struct session *session, struct schedule_statuses *out, struct error *err)
{
    const char *values[] = {session->shift};

    *out = (struct schedule_statuses){.items = NULL};
    PGresult *result = query_run(session, read_query, 1, values, err);
    if (result == NULL) {
        return error_prefix(err, "reading how the schedules stand");
    }
    void *items;
    bool ok = query_read_items(result, sizeof(*out->items), read_row, &items, &out->count, err);
    out->items = items;
    if (!ok) {
        schedule_status_clear(out);
    }
    return ok;
}

void schedule_status_clear(struct schedule_statuses *statuses)
{
    for (size_t i = 0; i < statuses->count; i++) {
        free(statuses->items[i].error);
        free(statuses->items[i].verify_error);
    }
    free(statuses->items);
    *statuses = (struct schedule_statuses){.items = NULL};
}

static int by_id(const void *left, const void *right)
{
    const struct schedule_status *a = left;
    const struct schedule_status *b = right;

    return strcmp(a->id, b->id);
}

const struct schedule_status *schedule_status_find(const struct schedule_statuses *statuses,
                                                   const char *id)
{
    struct schedule_status key = {.error = NULL};

    if (statuses->count == 0 || strlen(id) >= sizeof(key.id)) {
        return NULL;
    }
    memcpy(key.id, id, strlen(id) + 1);
    return bsearch(&key, statuses->items, statuses->count, sizeof(*statuses->items), by_id);
}

bool schedule_status_is_running(const struct schedule_status *status)
{
    return status != NULL && status->started > 0 && status->locked;
}

bool schedule_status_is_interrupted(const struct schedule_status *status)
{
    return status != NULL && status->started > (status->locked ? 1 : 0);
}

bool schedule_status_is_overdue(const struct schedule_status *status)
{
    return status != NULL && status->has_missing && !schedule_status_is_running(status) &&
           !(status->has_manual && status->manual_ms >= status->missing_ms);
}

bool schedule_status_has_failed(const struct schedule_status *status,
                                const struct schedule *schedule)
{
    return schedule->enabled && status != NULL && strcmp(status->outcome, "failed") == 0;
}

bool schedule_status_is_refuted(const struct schedule_status *status,
                                const struct schedule *schedule)
{
    return schedule->enabled && status != NULL && status->refuted_name[0] != '\0';
}

#include "postgres/backup_quiet.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "postgres/backup_copies.h"
#include "postgres/query.h"

#define NUMBER_SIZE 24

/* What is left out of the edits stays there, and the next tick is not quiet either. */
static const char read_query[] =
    "SELECT EXISTS (SELECT FROM backup_history WHERE status = 'started' AND run_id IS NOT NULL),"
    " EXISTS (SELECT FROM rythm_backup_deliveries WHERE state = 'pending'"
    " AND next_attempt_at <= c.now + $1::float8 * interval '1 millisecond')"
    " OR EXISTS (SELECT FROM email_logs e WHERE e.status = 'pending'"
    " AND e.metadata ? 'rythm_backup' AND NOT EXISTS (SELECT FROM rythm_backup_deliveries d"
    " WHERE d.delivery_id = e.email_log_id AND d.state = 'pending')),"
    " $1::bigint = 0 AND e.edits IS NULL AND q.catch_up = $2::float8 * interval '1 second'"
    " AND q.looked_at <= c.now AND c.now < q.looked_at + interval '10 minutes'"
    " AND c.now < q.quiet_until AND extract(minute FROM c.now)::integer <> 0, q.looked_at, e.edits,"
    " (extract(epoch FROM c.now)::numeric * 1000.0)::bigint + $1::bigint,"
    " EXISTS (SELECT FROM backup_history WHERE told_at IS NULL AND run_id IS NOT NULL"
    " AND status IN ('completed', 'failed')"
    " AND completed_at > c.now + $1::float8 * interval '1 millisecond' - interval '1 day')"
    " OR EXISTS (SELECT FROM backup_history WHERE verify_told_at IS NULL AND verified_at IS NULL"
    " AND status = 'completed' AND verify_failed_at"
    " > c.now + $1::float8 * interval '1 millisecond' - interval '1 day'),"
    " EXISTS (SELECT FROM backup_copies k JOIN backup_history h ON h.run_id = k.run_id"
    " AND h.status IN ('completed', 'failed') WHERE k.state IN ('pending', 'missing')"
    " AND " BACKUP_COPIES_DUE(
        "k.due_at",
        "c.now + $1::float8 * interval '1 millisecond'") ")"
                                                         " FROM (SELECT clock_timestamp() AS now) "
                                                         "c LEFT JOIN rythm_backup_quiet q ON true"
                                                         " CROSS JOIN (SELECT array_agg(edit_id) "
                                                         "AS edits"
                                                         " FROM (SELECT edit_id FROM "
                                                         "rythm_backup_edits LIMIT 1000) f) e";

/* Two ticks that look at the same time: the first to write is right, the other may have looked
 * before an edit that the first one saw. */
static const char note_query[] =
    "WITH noted AS (UPDATE rythm_backup_quiet SET"
    " looked_at = timestamptz 'epoch' + $1::float8 * interval '1 millisecond',"
    " catch_up = $2::float8 * interval '1 second',"
    " quiet_until = coalesce(timestamptz 'epoch' + $3::float8 * interval '1 millisecond',"
    " 'infinity') WHERE looked_at IS NOT DISTINCT FROM $4::timestamptz RETURNING 1)"
    " DELETE FROM rythm_backup_edits WHERE edit_id = ANY ($5::bigint[])"
    " AND EXISTS (SELECT FROM noted)";

bool backup_quiet_read(struct session *session, int64_t catch_up_s, struct backup_quiet *out,
                       struct error *err)
{
    char catch_up[NUMBER_SIZE];
    const char *values[] = {session->shift, catch_up};

    snprintf(catch_up, sizeof(catch_up), "%" PRId64, catch_up_s);
    PGresult *result = query_run(session, read_query, 2, values, err);
    if (result == NULL) {
        return error_prefix(err, "asking whether anything is due");
    }
    out->interrupted = query_bool(result, 0, 0);
    out->pending_mails = query_bool(result, 0, 1);
    out->quiet = query_bool(result, 0, 2);
    query_copy(result, 0, 3, out->looked_at, sizeof(out->looked_at));
    query_copy(result, 0, 4, out->edits, sizeof(out->edits));
    out->now_ms = query_number(result, 0, 5);
    out->untold = query_bool(result, 0, 6);
    out->copies_due = query_bool(result, 0, 7);
    PQclear(result);
    return true;
}

/* False when a tick before the next occurrence has something to do or to say. */
static bool is_settled(const struct schedules *schedules, int64_t *quiet_until_ms)
{
    *quiet_until_ms = INT64_MAX;
    for (size_t i = 0; i < schedules->count; i++) {
        const struct schedule *schedule = &schedules->items[i];
        switch (schedule->state) {
        case SCHEDULE_DISABLED:
            break;
        case SCHEDULE_WAITING:
        case SCHEDULE_MISSED:
        case SCHEDULE_EXHAUSTED:
            if (schedule->next_ms < *quiet_until_ms) {
                *quiet_until_ms = schedule->next_ms;
            }
            break;
        case SCHEDULE_INVALID:
        case SCHEDULE_GUARDED:
        case SCHEDULE_RETRY:
        case SCHEDULE_DUE:
            return false;
        }
    }
    return true;
}

bool backup_quiet_note(struct session *session, int64_t catch_up_s, const struct backup_quiet *seen,
                       const struct schedules *schedules, struct error *err)
{
    char now[NUMBER_SIZE];
    char catch_up[NUMBER_SIZE];
    char until[NUMBER_SIZE];
    int64_t until_ms;

    if (strcmp(session->shift, "0") != 0 || !is_settled(schedules, &until_ms)) {
        return true;
    }
    snprintf(now, sizeof(now), "%" PRId64, schedules->now_ms);
    snprintf(catch_up, sizeof(catch_up), "%" PRId64, catch_up_s);
    snprintf(until, sizeof(until), "%" PRId64, until_ms);
    const char *values[] = {now, catch_up, until_ms == INT64_MAX ? NULL : until,
                            seen->looked_at[0] != '\0' ? seen->looked_at : NULL,
                            seen->edits[0] != '\0' ? seen->edits : NULL};
    return query_execute(session, note_query, 5, values, err) ||
           error_prefix(err, "noting until when nothing is due");
}

#include "postgres/advisory_lock.h"

#include "postgres/query.h"

/* `status` looks for it, too (schedule_status.c). */
#define KEY "hashtextextended('rythm-backup:' || $1::text, 0)"

#define RELEASE_MS (5 * 1000)

bool advisory_lock_try(struct session *session, const char *schedule_id, bool *taken,
                       struct error *err)
{
    const char *values[] = {schedule_id};
    PGresult *result = query_run(session, "SELECT pg_try_advisory_lock(" KEY ")", 1, values, err);

    if (result == NULL) {
        return error_prefix(err, "taking the lock of schedule %s", schedule_id);
    }
    *taken = query_bool(result, 0, 0);
    PQclear(result);
    return true;
}

/* pg_locks shows a 64-bit key as two halves with objsubid 1 (manual, "pg_locks"). */
bool advisory_lock_held(struct session *session, const char *schedule_id, struct error *err)
{
    const char *values[] = {schedule_id};
    PGresult *result =
        query_run(session,
                  "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted"
                  " AND pid = pg_backend_pid() AND objsubid = 1"
                  " AND (classid::bigint << 32 | objid::bigint) = " KEY ")",
                  1, values, err);
    bool held = result != NULL && query_bool(result, 0, 0);

    if (result != NULL && !held) {
        error_set(err, ERROR_FAILED, "the lock is not held any more");
    }
    PQclear(result);
    if (!held) {
        return error_prefix(err, "making sure that the lock of schedule %s is still ours",
                            schedule_id);
    }
    return true;
}

void advisory_lock_release(struct session *session, const char *schedule_id)
{
    const char *values[] = {schedule_id};
    struct error ignored = ERROR_INIT;

    session_limit(session, RELEASE_MS);
    query_execute(session, "SELECT pg_advisory_unlock(" KEY ")", 1, values, &ignored);
}

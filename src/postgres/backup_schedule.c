#include "postgres/backup_schedule.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "postgres/query.h"

static const char *const state_names[] = {
    [SCHEDULE_DISABLED] = "disabled", [SCHEDULE_INVALID] = "invalid",
    [SCHEDULE_WAITING] = "waiting",   [SCHEDULE_GUARDED] = "guarded",
    [SCHEDULE_RETRY] = "retry",       [SCHEDULE_EXHAUSTED] = "exhausted",
    [SCHEDULE_DUE] = "due",
};

const char *backup_schedule_state_name(enum schedule_state state)
{
    return state_names[state];
}

/* The outer join gives one row, with no schedule in it, when the table is empty. */
static const char tick_query[] =
    "SELECT (extract(epoch FROM c.now) * 1000)::bigint,"
    " EXISTS (SELECT FROM backup_history WHERE status = 'started' AND run_id IS NOT NULL),"
    " EXISTS (SELECT FROM email_logs"
    " WHERE status = 'pending' AND metadata ? 'rythm_backup'),"
    " d.schedule_id, d.is_default, to_char(d.schedule_time, 'HH24:MI'), d.retention_days,"
    " (extract(epoch FROM d.occurrence_at) * 1000)::bigint,"
    " (extract(epoch FROM d.next_at) * 1000)::bigint, d.attempt, d.state, d.problem"
    " FROM (SELECT clock_timestamp() + $1::bigint * interval '1 millisecond' AS now) c"
    " LEFT JOIN LATERAL rythm_backup_due(c.now, $2::bigint * interval '1 second') d ON true"
    " ORDER BY d.occurrence_at, d.schedule_id LIMIT 20001";

static bool parse_state(const char *name, enum schedule_state *out)
{
    for (size_t i = 0; i < sizeof(state_names) / sizeof(state_names[0]); i++) {
        if (name != NULL && strcmp(name, state_names[i]) == 0) {
            *out = (enum schedule_state)i;
            return true;
        }
    }
    return false;
}

static bool read_row(const PGresult *result, int row, struct schedule *out, struct error *err)
{
    query_copy(result, row, 3, out->id, sizeof(out->id));
    out->is_default = query_bool(result, row, 4);
    query_copy(result, row, 5, out->time, sizeof(out->time));
    out->retention_days = query_number(result, row, 6);
    out->has_occurrence = query_text(result, row, 7) != NULL;
    out->occurrence_ms = query_number(result, row, 7);
    out->next_ms = query_number(result, row, 8);
    out->attempt = query_number(result, row, 9);
    query_copy(result, row, 11, out->problem, sizeof(out->problem));
    if (!parse_state(query_text(result, row, 10), &out->state)) {
        const char *state = query_text(result, row, 10);
        error_set(err, ERROR_CONFIG,
                  "schedule %s has the state '%s', which this version of "
                  "rythm-backup does not know",
                  out->id, state != NULL ? state : "(null)");
        return error_hint(err, "install the version that migrated this database");
    }
    return true;
}

bool backup_schedule_read(struct session *session, int64_t catch_up_s, struct schedules *out,
                          struct error *err)
{
    char catch_up[24];
    const char *values[] = {session->shift, catch_up};
    bool ok = true;

    *out = (struct schedules){.items = NULL};
    snprintf(catch_up, sizeof(catch_up), "%" PRId64, catch_up_s);
    PGresult *result = query_run(session, tick_query, 2, values, err);
    if (result == NULL) {
        return error_prefix(err, "reading the schedules");
    }
    int rows = PQntuples(result);
    out->now_ms = query_number(result, 0, 0);
    out->interrupted = query_bool(result, 0, 1);
    out->pending_mails = query_bool(result, 0, 2);
    if (rows > SCHEDULES_MOST) {
        ok = error_set(err, ERROR_CONFIG, "backup_schedule has more than %d rows", SCHEDULES_MOST);
    } else if (query_text(result, 0, 3) != NULL) {
        out->items = calloc((size_t)rows, sizeof(*out->items));
        ok = out->items != NULL ? true : error_set_memory(err);
    }
    for (int row = 0; ok && out->items != NULL && row < rows; row++) {
        ok = read_row(result, row, &out->items[out->count], err);
        out->count += ok;
    }
    PQclear(result);
    if (!ok) {
        backup_schedule_clear(out);
    }
    return ok;
}

void backup_schedule_clear(struct schedules *schedules)
{
    free(schedules->items);
    *schedules = (struct schedules){.items = NULL};
}

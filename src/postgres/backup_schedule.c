#include "postgres/backup_schedule.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "postgres/query.h"

static const char *const state_names[] = {
    [SCHEDULE_DISABLED] = "disabled",   [SCHEDULE_INVALID] = "invalid",
    [SCHEDULE_WAITING] = "waiting",     [SCHEDULE_MISSED] = "missed",
    [SCHEDULE_GUARDED] = "guarded",     [SCHEDULE_RETRY] = "retry",
    [SCHEDULE_EXHAUSTED] = "exhausted", [SCHEDULE_DUE] = "due",
};

const char *backup_schedule_state_name(enum schedule_state state)
{
    return state_names[state];
}

/* What was written into a column by mistake may hold a password or a key (I9): nobody gets to see
 * it. rythm_backup_problem() refuses it. The outer join gives one row, with no schedule in it, when
 * the table is empty. */
static const char read_query[] =
    "SELECT (extract(epoch FROM c.now)::numeric * 1000.0)::bigint, d.schedule_id, s.name, "
    "s.enabled,"
    " d.is_default, coalesce(s.frequency, 'daily'), to_char(s.schedule_time, 'HH24:MI'), s.days,"
    " coalesce(s.time_zone, 'UTC'), s.catch_up, s.tenant_id, s.retention_days,"
    " coalesce(d.database,"
    " CASE WHEN s.target_dbname ~ '=|://' THEN '(not shown)' ELSE s.target_dbname END),"
    " CASE WHEN s.target_service ~ '=|://' THEN '(not shown)' ELSE s.target_service END, s.schemas,"
    " CASE WHEN s.stores ~ '(^|\\s)(?!file://)[^\\s]*[;@]'"
    " OR s.stores ~* '(key|signature|sig|secret|token|password)=' THEN '(not shown)'"
    " ELSE btrim(s.stores, E' \\t\\r\\n') END,"
    " (extract(epoch FROM d.occurrence_at)::numeric * 1000.0)::bigint,"
    " (extract(epoch FROM d.next_at)::numeric * 1000.0)::bigint, d.attempt, d.state, d.problem,"
    " coalesce(s.verify_every, 0), coalesce(s.keep_last, 0), coalesce(s.keep_daily, 0),"
    " coalesce(s.keep_weekly, 0), coalesce(s.keep_monthly, 0), coalesce(s.keep_yearly, 0),"
    " s.only_tables, s.exclude_tables, s.exclude_table_data, s.notify_channels, s.notify_on,"
    " coalesce(s.all_databases, false)"
    " FROM (SELECT clock_timestamp() + $1::float8 * interval '1 millisecond' AS now) c"
    " LEFT JOIN LATERAL rythm_backup_schedules(c.now, $2::float8 * interval '1 second') d"
    " ON $3::uuid IS NULL OR d.schedule_id = $3::uuid"
    " LEFT JOIN backup_schedule s USING (schedule_id)"
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

static bool read_state(const PGresult *result, int row, struct schedule *out, struct error *err)
{
    const char *state = query_text(result, row, 19);

    if (parse_state(state, &out->state)) {
        return true;
    }
    error_set(err, ERROR_CONFIG,
              "schedule %s has the state '%s', which this version of rythm-backup does not know",
              out->name, state != NULL ? state : "(null)");
    return error_hint(err, "install the version that migrated this database");
}

static void read_timing(const PGresult *result, int row, struct schedule *out)
{
    query_copy(result, row, 5, out->frequency, sizeof(out->frequency));
    query_copy(result, row, 6, out->time, sizeof(out->time));
    query_copy(result, row, 7, out->days, sizeof(out->days));
    query_copy(result, row, 8, out->zone, sizeof(out->zone));
    query_copy(result, row, 9, out->catch_up, sizeof(out->catch_up));
    out->has_occurrence = query_text(result, row, 16) != NULL;
    out->occurrence_ms = query_number(result, row, 16);
    out->next_ms = query_number(result, row, 17);
    out->attempt = query_number(result, row, 18);
}

static void read_identity(const PGresult *result, int row, struct schedule *out)
{
    query_copy(result, row, 1, out->id, sizeof(out->id));
    out->is_named = query_text(result, row, 2) != NULL;
    query_copy(result, row, out->is_named ? 2 : 1, out->name, sizeof(out->name));
    out->enabled = query_bool(result, row, 3);
    out->is_default = query_bool(result, row, 4);
    query_copy(result, row, 10, out->tenant, sizeof(out->tenant));
    query_copy(result, row, 20, out->problem, sizeof(out->problem));
    out->verify_every = query_number(result, row, 21);
}

static void read_retention(const PGresult *result, int row, struct schedule *out)
{
    out->retention_days = query_number(result, row, 11);
    out->keep_last = query_number(result, row, 22);
    out->keep_daily = query_number(result, row, 23);
    out->keep_weekly = query_number(result, row, 24);
    out->keep_monthly = query_number(result, row, 25);
    out->keep_yearly = query_number(result, row, 26);
}

static bool read_scope(const PGresult *result, int row, struct schedule *out, struct error *err)
{
    static const int columns[SCOPE_LISTS] = {[SCOPE_SCHEMAS] = 14,
                                             [SCOPE_TABLES] = 27,
                                             [SCOPE_EXCLUDED_TABLES] = 28,
                                             [SCOPE_EXCLUDED_DATA] = 29};

    for (int i = 0; i < SCOPE_LISTS; i++) {
        if (!query_copy_array(result, row, columns[i], &out->scope.lists[i], err)) {
            return false;
        }
    }
    return true;
}

static bool read_row(const PGresult *result, int row, struct schedule *out, struct error *err)
{
    read_identity(result, row, out);
    read_timing(result, row, out);
    read_retention(result, row, out);
    out->all_databases = query_bool(result, row, 32);
    return query_copy_text(result, row, 12, &out->dbname, err) &&
           query_copy_text(result, row, 13, &out->service, err) &&
           read_scope(result, row, out, err) &&
           query_copy_text(result, row, 15, &out->stores, err) &&
           query_copy_array(result, row, 30, &out->notify_channels, err) &&
           query_copy_array(result, row, 31, &out->notify_on, err) &&
           read_state(result, row, out, err);
}

static bool read_some(struct session *session, int64_t catch_up_s, const char *id,
                      struct schedules *out, struct error *err)
{
    char catch_up[24];
    const char *values[] = {session->shift, catch_up, id};
    bool ok = true;

    *out = (struct schedules){.items = NULL};
    snprintf(catch_up, sizeof(catch_up), "%" PRId64, catch_up_s);
    PGresult *result = query_run(session, read_query, 3, values, err);
    if (result == NULL) {
        return error_prefix(err, "reading the schedules");
    }
    int rows = PQntuples(result);
    out->now_ms = query_number(result, 0, 0);
    if (rows > SCHEDULES_MOST) {
        ok = error_set(err, ERROR_CONFIG, "backup_schedule has more than %d rows", SCHEDULES_MOST);
    } else if (query_text(result, 0, 1) != NULL) {
        out->items = calloc((size_t)rows, sizeof(*out->items));
        ok = out->items != NULL ? true : error_set_memory(err);
    }
    for (int row = 0; ok && out->items != NULL && row < rows; row++) {
        ok = read_row(result, row, &out->items[out->count++], err);
    }
    PQclear(result);
    if (!ok) {
        backup_schedule_clear(out);
    }
    return ok;
}

bool backup_schedule_read(struct session *session, int64_t catch_up_s, struct schedules *out,
                          struct error *err)
{
    return read_some(session, catch_up_s, NULL, out, err);
}

bool backup_schedule_read_one(struct session *session, int64_t catch_up_s, const char *id,
                              struct schedules *out, struct error *err)
{
    return read_some(session, catch_up_s, id, out, err);
}

bool backup_schedule_read_databases(struct session *session, char ***out, struct error *err)
{
    PGresult *result = query_run(session,
                                 "SELECT array_agg(d.database ORDER BY d.database)"
                                 " FROM rythm_backup_databases(true) d",
                                 0, NULL, err);

    *out = NULL;
    bool ok = result != NULL && query_copy_array(result, 0, 0, out, err);
    PQclear(result);
    return ok ? true : error_prefix(err, "reading which databases there are");
}

void backup_schedule_clear(struct schedules *schedules)
{
    for (size_t i = 0; i < schedules->count; i++) {
        struct schedule *schedule = &schedules->items[i];
        free(schedule->dbname);
        free(schedule->service);
        scope_clear(&schedule->scope);
        free(schedule->stores);
        text_list_free(schedule->notify_channels);
        text_list_free(schedule->notify_on);
    }
    free(schedules->items);
    *schedules = (struct schedules){.items = NULL};
}

/* A row may bear another's id as its name: the id goes first. */
const struct schedule *backup_schedule_find(const struct schedules *schedules, const char *name)
{
    const struct schedule *named = NULL;

    for (size_t i = 0; i < schedules->count; i++) {
        const struct schedule *schedule = &schedules->items[i];
        if (strcasecmp(schedule->id, name) == 0) {
            return schedule;
        }
        if (named == NULL && strcmp(schedule->name, name) == 0) {
            named = schedule;
        }
    }
    return named;
}

/* NULL is a value of its own. */
static bool are_equal(const char *one, const char *other)
{
    return one == NULL || other == NULL ? one == other : strcmp(one, other) == 0;
}

bool backup_schedule_is_alike(const struct schedule *one, const struct schedule *other)
{
    return scope_equal(&one->scope, &other->scope) && one->all_databases == other->all_databases &&
           are_equal(one->dbname, other->dbname) && are_equal(one->service, other->service) &&
           are_equal(one->stores, other->stores);
}

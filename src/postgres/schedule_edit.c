#include "postgres/schedule_edit.h"

#include <string.h>

#include "base/text.h"
#include "postgres/advisory_lock.h"
#include "postgres/query.h"
#include "postgres/transaction.h"

#define SQL_CAP 8192

static const struct {
    const char *name;
    const char *type;
} columns[SCHEDULE_COLUMN_COUNT] = {
    [SCHEDULE_COLUMN_NAME] = {"name", "text"},
    [SCHEDULE_COLUMN_TIME] = {"schedule_time", "time"},
    [SCHEDULE_COLUMN_FREQUENCY] = {"frequency", "text"},
    [SCHEDULE_COLUMN_DAYS] = {"days", "integer[]"},
    [SCHEDULE_COLUMN_TIME_ZONE] = {"time_zone", "text"},
    [SCHEDULE_COLUMN_RETENTION_DAYS] = {"retention_days", "integer"},
    [SCHEDULE_COLUMN_CATCH_UP] = {"catch_up", "interval"},
    [SCHEDULE_COLUMN_TENANT] = {"tenant_id", "uuid"},
    [SCHEDULE_COLUMN_DBNAME] = {"target_dbname", "text"},
    [SCHEDULE_COLUMN_SERVICE] = {"target_service", "text"},
    [SCHEDULE_COLUMN_ALL_DATABASES] = {"all_databases", "boolean"},
    [SCHEDULE_COLUMN_SCHEMAS] = {"schemas", "text[]"},
    [SCHEDULE_COLUMN_ONLY_TABLES] = {"only_tables", "text[]"},
    [SCHEDULE_COLUMN_EXCLUDE_TABLES] = {"exclude_tables", "text[]"},
    [SCHEDULE_COLUMN_EXCLUDE_TABLE_DATA] = {"exclude_table_data", "text[]"},
    [SCHEDULE_COLUMN_STORES] = {"stores", "text"},
    [SCHEDULE_COLUMN_VERIFY_EVERY] = {"verify_every", "integer"},
    [SCHEDULE_COLUMN_KEEP_LAST] = {"keep_last", "integer"},
    [SCHEDULE_COLUMN_KEEP_DAILY] = {"keep_daily", "integer"},
    [SCHEDULE_COLUMN_KEEP_WEEKLY] = {"keep_weekly", "integer"},
    [SCHEDULE_COLUMN_KEEP_MONTHLY] = {"keep_monthly", "integer"},
    [SCHEDULE_COLUMN_KEEP_YEARLY] = {"keep_yearly", "integer"},
    [SCHEDULE_COLUMN_NOTIFY_CHANNELS] = {"notify_channels", "text[]"},
    [SCHEDULE_COLUMN_NOTIFY_ON] = {"notify_on", "text[]"},
    [SCHEDULE_COLUMN_ENABLED] = {"enabled", "boolean"},
};

const char *schedule_edit_column_name(enum schedule_column column)
{
    return columns[column].name;
}

static bool refuse(const char *name, int found, struct error *err)
{
    if (name == NULL && found == 0) {
        error_set(err, ERROR_CONFIG, "the table backup_schedule has no row");
        return error_hint(err, "'rythm-backup schedule add' adds one");
    }
    if (name == NULL) {
        error_set(err, ERROR_USAGE, "there is more than one schedule: name the one that is meant");
    } else {
        error_set(err, ERROR_USAGE, "there is no schedule '%s'", name);
    }
    return error_hint(err, "'rythm-backup schedule show' lists them");
}

bool schedule_edit_find(struct session *session, const char *name, char id[SCHEDULE_ID_SIZE],
                        struct error *err)
{
    const char *values[] = {name};
    PGresult *result = query_run(session,
                                 "SELECT schedule_id FROM backup_schedule WHERE $1::text IS NULL"
                                 " OR schedule_id::text = lower($1) OR name = $1"
                                 " ORDER BY schedule_id::text = lower($1) DESC LIMIT 2",
                                 1, values, err);

    if (result == NULL) {
        return error_prefix(err, "looking up the schedule");
    }
    /* A row may bear another's id as its name: the id goes first. */
    int found = PQntuples(result);
    bool ok = name != NULL ? found > 0 : found == 1;
    if (ok) {
        query_copy(result, 0, 0, id, SCHEDULE_ID_SIZE);
    }
    PQclear(result);
    return ok || refuse(name, found, err);
}

/* The value of a column in the statement: a parameter of its type, or the column's default. */
static void append_value(struct text *sql, enum schedule_column column, const char *value,
                         const char *parameters[], int *count)
{
    if (value == NULL) {
        text_append(sql, "DEFAULT");
        return;
    }
    parameters[(*count)++] = value;
    text_appendf(sql, "$%d::%s", *count, columns[column].type);
}

/* What the server refuses in a value is the user's to correct (manual, appendix A: 22 is a data
 * exception, 23 a violated constraint). */
static bool explain(const struct session *session, const struct schedule_values *values,
                    struct error *err)
{
    const char *name = values->values[SCHEDULE_COLUMN_NAME];

    if (strcmp(session->sqlstate, "23505") == 0 && name != NULL) {
        return error_set(err, ERROR_USAGE, "there is a schedule '%s' already", name);
    }
    if (strncmp(session->sqlstate, "22", 2) == 0 || strncmp(session->sqlstate, "23", 2) == 0) {
        err->kind = ERROR_USAGE;
    }
    return error_prefix(err, "writing to backup_schedule");
}

static PGresult *run_edit(struct session *session, const struct text *sql, int count,
                          const char *const parameters[], const struct schedule_values *values,
                          struct error *err)
{
    if (sql->failed) {
        error_set_memory(err);
        return NULL;
    }
    PGresult *result = query_run(session, text_string(sql), count, parameters, err);
    if (result == NULL) {
        explain(session, values, err);
    }
    return result;
}

bool schedule_edit_add(struct session *session, const struct schedule_values *values,
                       char id[SCHEDULE_ID_SIZE], struct error *err)
{
    struct text sql = TEXT_INIT(SQL_CAP);
    struct text list = TEXT_INIT(SQL_CAP);
    const char *parameters[SCHEDULE_COLUMN_COUNT];
    int count = 0;

    for (int i = 0; i < SCHEDULE_COLUMN_COUNT; i++) {
        if (values->given[i]) {
            text_appendf(&sql, "%s%s", sql.length > 0 ? ", " : "INSERT INTO backup_schedule (",
                         columns[i].name);
            text_append(&list, list.length > 0 ? ", " : "");
            append_value(&list, (enum schedule_column)i, values->values[i], parameters, &count);
        }
    }
    text_appendf(&sql, ") VALUES (%s) RETURNING schedule_id", text_string(&list));
    sql.failed = sql.failed || list.failed;
    PGresult *result = run_edit(session, &sql, count, parameters, values, err);
    text_clear(&sql);
    text_clear(&list);
    if (result == NULL) {
        return false;
    }
    query_copy(result, 0, 0, id, SCHEDULE_ID_SIZE);
    PQclear(result);
    return true;
}

bool schedule_edit_set(struct session *session, const char *id,
                       const struct schedule_values *values, struct error *err)
{
    struct text sql = TEXT_INIT(SQL_CAP);
    const char *parameters[SCHEDULE_COLUMN_COUNT + 2] = {id};
    int count = 1;

    text_append(&sql, "UPDATE backup_schedule SET updated_at = now()");
    for (int i = 0; i < SCHEDULE_COLUMN_COUNT; i++) {
        if (values->given[i]) {
            text_appendf(&sql, ", %s = ", columns[i].name);
            append_value(&sql, (enum schedule_column)i, values->values[i], parameters, &count);
        }
    }
    if (values->given[SCHEDULE_COLUMN_FREQUENCY] && !values->given[SCHEDULE_COLUMN_DAYS]) {
        parameters[count++] = values->values[SCHEDULE_COLUMN_FREQUENCY];
        text_appendf(&sql,
                     ", days = CASE WHEN coalesce(frequency, 'daily')"
                     " = coalesce($%d::text, 'daily') THEN days END",
                     count);
    }
    text_append(&sql, " WHERE schedule_id = $1::uuid");
    PGresult *result = run_edit(session, &sql, count, parameters, values, err);
    text_clear(&sql);
    PQclear(result);
    return result != NULL;
}

/* With the schedule's lock in our hands no run of it can begin, and none is going on. */
bool schedule_edit_remove(struct session *session, const char *id, struct error *err)
{
    const char *values[] = {id};
    bool taken = false;

    if (!advisory_lock_try(session, id, &taken, err)) {
        return false;
    }
    if (!taken) {
        return error_set(err, ERROR_BUSY, "a backup of it is being made");
    }
    PGresult *result = query_run(session,
                                 "DELETE FROM backup_schedule WHERE schedule_id = $1::uuid"
                                 " AND NOT EXISTS (SELECT FROM backup_history WHERE"
                                 " schedule_id = $1::uuid AND status = 'started'"
                                 " AND run_id IS NOT NULL) RETURNING schedule_id",
                                 1, values, err);
    if (result == NULL) {
        return error_prefix(err, "deleting from backup_schedule");
    }
    bool removed = PQntuples(result) == 1;
    PQclear(result);
    if (!removed) {
        error_set(err, ERROR_FAILED, "a run of it was interrupted and is not resolved yet");
        return error_hint(err, "'rythm-backup check' resolves it");
    }
    return true;
}

bool schedule_edit_note_next(struct session *session, const char *id, struct error *err)
{
    const char *values[] = {session->shift, id};

    return query_execute(session,
                         "UPDATE backup_schedule SET next_run_at = CASE WHEN enabled THEN"
                         " rythm_backup_next(schedule_time, frequency, days, time_zone,"
                         " clock_timestamp() + $1::float8 * interval '1 millisecond') END"
                         " WHERE schedule_id = $2::uuid",
                         2, values, err) ||
           error_prefix(err, "writing to backup_schedule");
}

bool schedule_edit_commit(struct session *session, struct error *err)
{
    if (transaction_commit(session, err)) {
        return true;
    }
    error_prefix(err, "committing the edit");
    return error_hint(err, "'rythm-backup schedule show' tells whether it was made");
}

#include "postgres/backup_history.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "postgres/query.h"

#define NUMBER_SIZE 24
#define STATUS_SIZE 16
#define MISSING     "missing"

static const char *format_number(char out[NUMBER_SIZE], int64_t number)
{
    snprintf(out, NUMBER_SIZE, "%" PRId64, number);
    return out;
}

/* Which of the two conflicts it was. */
static bool ask_for_name(struct session *session, const char *name, enum history_claim *claim,
                         struct error *err)
{
    const char *values[] = {name};
    PGresult *result = query_run(session,
                                 "SELECT EXISTS (SELECT FROM backup_history"
                                 " WHERE backup_filename = $1 AND run_id IS NOT NULL)",
                                 1, values, err);

    if (result == NULL) {
        return error_prefix(err, "looking for %s in backup_history", name);
    }
    if (query_bool(result, 0, 0)) {
        *claim = HISTORY_NAME_TAKEN;
    }
    PQclear(result);
    return true;
}

/* Whether a run stands for another of the same occurrence: all do, but two of a run of all
 * databases. What the schedule asks for may have changed in between. */
#define ONE_FOR(of_all, database, other_of_all, other_database)                                    \
    "(" of_all " IS NOT TRUE OR " other_of_all " IS NOT TRUE OR " database " = " other_database ")"

#define START                                                                                      \
    "INSERT INTO backup_history (backup_filename, backup_type, status, started_at, created_at,"    \
    " run_id, schedule_id, occurrence_at, attempt, store, ledger, database_name, told_at,"         \
    " of_all_databases)"                                                                           \
    " SELECT $2, $3, 'started', c.now, c.now, $4, $5::uuid,"                                       \
    " timestamptz 'epoch' + $6::float8 * interval '1 millisecond', $7, $8, $9,"                    \
    " coalesce($11, current_database()), CASE WHEN $10::boolean THEN c.now END,"                   \
    " nullif($12::boolean, false)"                                                                 \
    " FROM (SELECT clock_timestamp() + $1::float8 * interval '1 millisecond' AS now) c"            \
    " WHERE NOT EXISTS (SELECT FROM backup_history e WHERE e.schedule_id = $5::uuid"               \
    " AND e.occurrence_at = timestamptz 'epoch' + $6::float8 * interval '1 millisecond'"           \
    " AND e.status IN ('started', 'completed') AND " ONE_FOR(                                      \
        "e.of_all_databases", "e.database_name", "$12::boolean",                                   \
        "$11::text") ")"                                                                           \
                     " ON CONFLICT DO NOTHING RETURNING history_id"

#define START_WITH_COPIES                                                                          \
    "WITH run AS (" START                                                                          \
    "), copies AS (INSERT INTO backup_copies (run_id, store, required, due_at)"                    \
    " SELECT $4, s.store, s.required, " QUERY_NOW(                                                 \
        1) " FROM run, unnest($13::text[], $14::boolean[]) s (store, required))"                   \
           " SELECT history_id FROM run"

static bool format_stores(const struct history_start *start, char **stores, char **required,
                          struct error *err)
{
    struct text names = TEXT_INIT((size_t)64 * 1024);
    struct text flags = TEXT_INIT(1024);

    for (size_t i = 0; i < start->store_count; i++) {
        text_append(&names, i > 0 ? "," : "{");
        query_append_element(&names, start->stores[i]);
        text_appendf(&flags, "%s%s", i > 0 ? "," : "{", start->required[i] ? "true" : "false");
    }
    text_append(&names, "}");
    text_append(&flags, "}");
    if (names.failed || flags.failed) {
        text_clear(&names);
        text_clear(&flags);
        return error_set_memory(err);
    }
    *stores = names.data;
    *required = flags.data;
    return true;
}

bool backup_history_start(struct session *session, const struct history_start *start,
                          char history_id[HISTORY_ID_SIZE], enum history_claim *claim,
                          struct error *err)
{
    char occurrence[NUMBER_SIZE];
    char attempt[NUMBER_SIZE];
    const char *values[] = {
        session->shift,
        start->name,
        start->scheduled ? "scheduled" : "manual",
        start->run_id,
        start->schedule_id,
        start->has_occurrence ? format_number(occurrence, start->occurrence_ms) : NULL,
        format_number(attempt, start->attempt),
        start->store,
        start->ledger,
        start->silent ? "true" : "false",
        start->database,
        start->of_all_databases ? "true" : "false",
        NULL,
        NULL,
    };
    char *stores = NULL;
    char *required = NULL;
    if (start->store_count > 0 && !format_stores(start, &stores, &required, err)) {
        return false;
    }
    values[12] = stores;
    values[13] = required;
    PGresult *result = stores != NULL ? query_run(session, START_WITH_COPIES, 14, values, err)
                                      : query_run(session, START, 12, values, err);
    free(stores);
    free(required);
    if (result == NULL) {
        return error_prefix(err, "claiming the run in backup_history");
    }
    bool claimed = PQntuples(result) == 1;
    *claim = claimed ? HISTORY_CLAIMED : HISTORY_OCCURRENCE_TAKEN;
    if (claimed) {
        query_copy(result, 0, 0, history_id, HISTORY_ID_SIZE);
    }
    PQclear(result);
    return claimed || ask_for_name(session, start->name, claim, err);
}

bool backup_history_note_database(struct session *session, const char *run_id, const char *database,
                                  struct error *err)
{
    const char *values[] = {run_id, database};

    return query_execute(session,
                         "UPDATE backup_history SET database_name = $2"
                         " WHERE run_id = $1 AND status = 'started'",
                         2, values, err) ||
           error_prefix(err, "noting the database of run %s in backup_history", run_id);
}

/* One statement for both tables: the ledger and what the admin page shows agree. A schedule that
 * was deleted meanwhile is nobody's concern, and one that is wrong by now has no next time. `done`
 * is the row; `$shift` must be session->shift. */
#define NOTED(last_run_at, shift)                                                                  \
    " noted AS (UPDATE backup_schedule s SET last_run_at = " last_run_at ","                       \
    " next_run_at = CASE WHEN rythm_backup_problem(s) IS NULL THEN"                                \
    " rythm_backup_next(schedule_time, frequency, days, time_zone, " QUERY_NOW(                    \
        shift) ") END FROM done WHERE s.schedule_id = done.schedule_id)"

#define RECORD(history, last_run_at)                                                               \
    "WITH done AS (UPDATE backup_history SET " history                                             \
    " WHERE run_id = $2 AND status = 'started' RETURNING schedule_id, completed_at)," NOTED(       \
        last_run_at, 1) " SELECT count(*) FROM done"

/* A backup that was found may be older than the last one. */
#define RETURN_FOUND                                                                               \
    " RETURNING schedule_id, completed_at)," NOTED("greatest(s.last_run_at, done.completed_at)",   \
                                                   15) " SELECT count(*) FROM done"

/* MISSING for a run that has no row. */
static bool read_status(struct session *session, const char *run_id, char status[STATUS_SIZE],
                        struct error *err)
{
    const char *values[] = {run_id};
    PGresult *result =
        query_run(session, "SELECT status FROM backup_history WHERE run_id = $1", 1, values, err);

    if (result == NULL) {
        return false;
    }
    snprintf(status, STATUS_SIZE, MISSING);
    if (PQntuples(result) == 1) {
        query_copy(result, 0, 0, status, STATUS_SIZE);
    }
    PQclear(result);
    return true;
}

/* What the row says when it is not 'started': our own update, whose answer was lost, or somebody
 * else's. A row that is gone (deleted, rewound by a restore) is nobody's judgement of the run. */
static bool explain(struct session *session, const char *run_id, const char *wanted, bool *fenced,
                    struct error *err)
{
    char status[STATUS_SIZE];

    if (!read_status(session, run_id, status, err)) {
        return false;
    }
    if (strcmp(status, wanted) == 0) {
        return true;
    }
    if (strcmp(status, MISSING) == 0) {
        return error_set(err, ERROR_FAILED, "backup_history has no row of run %s any more", run_id);
    }
    *fenced = true;
    return error_set(err, ERROR_FAILED,
                     "run %s is '%s' in backup_history, not 'started': another process has taken "
                     "it for dead and resolved it",
                     run_id, status);
}

/* The fence: exactly one row, and it was still 'started'. */
static bool record(struct session *session, const char *sql, int count, const char *const values[],
                   const char *wanted, bool *fenced, struct error *err)
{
    const char *run_id = values[1];
    PGresult *result = query_run(session, sql, count, values, err);
    bool ok = result != NULL;

    *fenced = false;
    if (ok && query_number(result, 0, 0) != 1) {
        ok = explain(session, run_id, wanted, fenced, err);
    }
    PQclear(result);
    return ok ? true : error_prefix(err, "writing the result of run %s to backup_history", run_id);
}

bool backup_history_complete(struct session *session, const struct history_result *done,
                             bool *fenced, struct error *err)
{
    char bytes[NUMBER_SIZE];
    char raw_bytes[NUMBER_SIZE];
    char seconds[NUMBER_SIZE];
    char tables[NUMBER_SIZE];
    char rows[NUMBER_SIZE];
    const char *values[] = {
        session->shift,
        done->run_id,
        format_number(bytes, (int64_t)done->bytes),
        format_number(raw_bytes, (int64_t)done->raw_bytes),
        format_number(seconds, (done->duration_ms + 500) / 1000),
        done->sha256,
        *done->engine != '\0' ? done->engine : NULL,
        done->has_rows ? format_number(tables, (int64_t)done->tables) : NULL,
        done->has_rows ? format_number(rows, (int64_t)done->rows) : NULL,
    };

    return record(session,
                  RECORD("status = 'completed', completed_at = " QUERY_NOW(
                             1) ","
                                " file_size_bytes = $3, raw_size_bytes = $4, duration_seconds = $5,"
                                " sha256 = $6, engine = $7, table_count = $8, row_count = $9,"
                                " error_message = NULL",
                         "done.completed_at"),
                  9, values, "completed", fenced, err);
}

bool backup_history_fail(struct session *session, const char *run_id, int64_t duration_ms,
                         const char *message, struct error *err)
{
    char seconds[NUMBER_SIZE];
    bool fenced;
    const char *values[] = {session->shift, run_id,
                            format_number(seconds, (duration_ms + 500) / 1000), message};

    return record(session,
                  RECORD("status = 'failed', completed_at = " QUERY_NOW(
                             1) ","
                                " duration_seconds = $3, error_message = $4",
                         "s.last_run_at"),
                  4, values, "failed", &fenced, err);
}

bool backup_history_is_started(struct session *session, const char *run_id, bool *started,
                               struct error *err)
{
    char status[STATUS_SIZE];

    if (!read_status(session, run_id, status, err)) {
        return error_prefix(err, "looking up run %s in backup_history", run_id);
    }
    *started = strcmp(status, "started") == 0;
    return true;
}

static const char compare_query[] =
    "SELECT r.position, h.run_id IS NULL, c.run_id"
    " FROM unnest($1::text[]) WITH ORDINALITY r (run_id, position)"
    " LEFT JOIN backup_history h ON h.run_id = r.run_id"
    " LEFT JOIN backup_history c ON h.status = 'failed' AND c.status = 'completed'"
    " AND c.schedule_id = h.schedule_id AND c.occurrence_at = h.occurrence_at"
    " AND " ONE_FOR("c.of_all_databases", "c.database_name", "h.of_all_databases",
                    "h.database_name") " WHERE r.run_id IS NOT NULL AND (h.run_id IS NULL OR "
                                       "c.run_id IS NOT NULL)";

bool backup_history_compare(struct session *session, const char *const runs[], size_t count,
                            struct history_standing standings[], struct error *err)
{
    struct text list = TEXT_INIT((size_t)16 * 1024 * 1024);

    /* Run ids are hex digits: they need no quoting. Positions count from 1. */
    for (size_t i = 0; i < count; i++) {
        standings[i] = (struct history_standing){.unknown = false};
        text_appendf(&list, "%s%s", i > 0 ? "," : "{", runs[i] != NULL ? runs[i] : "NULL");
    }
    text_append(&list, count > 0 ? "}" : "{}");
    const char *values[] = {text_string(&list)};
    PGresult *result = NULL;
    if (list.failed) {
        error_set_memory(err);
    } else {
        result = query_run(session, compare_query, 1, values, err);
    }
    text_clear(&list);
    if (result == NULL) {
        return error_prefix(err, "looking up runs in backup_history");
    }
    for (int row = 0; row < PQntuples(result); row++) {
        int64_t position = query_number(result, row, 0);
        if (position >= 1 && (uint64_t)position <= count) {
            struct history_standing *standing = &standings[position - 1];
            standing->unknown = query_bool(result, row, 1);
            query_copy(result, row, 2, standing->superseded_by, sizeof(standing->superseded_by));
        }
    }
    PQclear(result);
    return true;
}

#define FOUND_VALUES 20
struct found_values {
    const char *values[FOUND_VALUES];
    char numbers[9][NUMBER_SIZE];
};

static void fill_found(struct found_values *out, const struct session *session,
                       const struct history_found *found)
{
    const struct history_start *start = &found->start;
    const struct history_result *result = &found->result;
    const char *const values[FOUND_VALUES] = {
        start->run_id,
        start->name,
        start->scheduled ? "scheduled" : "manual",
        start->schedule_id,
        start->has_occurrence ? format_number(out->numbers[0], start->occurrence_ms) : NULL,
        format_number(out->numbers[1], start->attempt),
        start->store,
        start->ledger,
        format_number(out->numbers[2], found->begun_ms),
        format_number(out->numbers[3], found->begun_ms + result->duration_ms),
        format_number(out->numbers[4], (int64_t)result->bytes),
        format_number(out->numbers[5], (int64_t)result->raw_bytes),
        format_number(out->numbers[6], (result->duration_ms + 500) / 1000),
        result->sha256,
        session->shift,
        found->database[0] != '\0' ? found->database : NULL,
        *result->engine != '\0' ? result->engine : NULL,
        result->has_rows ? format_number(out->numbers[7], (int64_t)result->tables) : NULL,
        result->has_rows ? format_number(out->numbers[8], (int64_t)result->rows) : NULL,
        start->of_all_databases ? "true" : NULL,
    };

    memcpy(out->values, values, sizeof(values));
}

bool backup_history_record_found(struct session *session, const struct history_found *found,
                                 bool *recorded, struct error *err)
{
    struct found_values with = {.values = {NULL}};

    fill_found(&with, session, found);
    PGresult *result = query_run(
        session,
        "WITH done AS (INSERT INTO backup_history (run_id, backup_filename, backup_type, status, "
        "schedule_id,"
        " occurrence_at, attempt, store, ledger, database_name, started_at, created_at, "
        "completed_at,"
        " told_at, file_size_bytes, raw_size_bytes, duration_seconds, sha256, engine,"
        " table_count, row_count, of_all_databases)"
        " SELECT $1, $2, $3, 'completed', $4::uuid, timestamptz 'epoch' + $5::float8 * u.ms, $6, "
        "$7,"
        " $8, $16, timestamptz 'epoch' + $9::float8 * u.ms, timestamptz 'epoch' + $9::float8 * "
        "u.ms,"
        " timestamptz 'epoch' + $10::float8 * u.ms, now(), $11, $12, $13, $14, $17, $18, $19, $20"
        " FROM (SELECT interval '1 millisecond' AS ms) u ON CONFLICT DO NOTHING" RETURN_FOUND,
        FOUND_VALUES, with.values, err);

    if (result == NULL) {
        return error_prefix(err, "recording backup %s in backup_history", found->start.name);
    }
    *recorded = query_number(result, 0, 0) == 1;
    PQclear(result);
    return true;
}

bool backup_history_become_found(struct session *session, const char *run_id,
                                 const struct history_found *found, struct error *err)
{
    struct found_values with = {.values = {NULL}};
    const char *values[FOUND_VALUES + 1];

    fill_found(&with, session, found);
    memcpy(values, with.values, sizeof(with.values));
    values[FOUND_VALUES] = run_id;
    PGresult *result = query_run(
        session,
        "WITH copies AS (UPDATE backup_copies SET run_id = $1 WHERE run_id = $21 AND NOT EXISTS"
        " (SELECT FROM backup_copies WHERE run_id = $1)),"
        " done AS (UPDATE backup_history SET run_id = $1, backup_filename = $2, backup_type = "
        "$3,"
        " status = 'completed', schedule_id = $4::uuid,"
        " occurrence_at = timestamptz 'epoch' + $5::float8 * u.ms, attempt = $6, store = $7,"
        " ledger = $8, database_name = $16, started_at = timestamptz 'epoch' + $9::float8 * u.ms,"
        " completed_at = timestamptz 'epoch' + $10::float8 * u.ms, told_at = now(),"
        " file_size_bytes = $11,"
        " raw_size_bytes = $12, duration_seconds = $13, sha256 = $14, engine = $17,"
        " table_count = $18, row_count = $19, of_all_databases = $20"
        " FROM (SELECT interval '1 millisecond' AS ms) u"
        " WHERE backup_history.run_id = $21 AND status = 'started'" RETURN_FOUND,
        FOUND_VALUES + 1, values, err);

    if (result == NULL) {
        return error_prefix(err, "recording backup %s in backup_history", found->start.name);
    }
    bool became = query_number(result, 0, 0) == 1;
    PQclear(result);
    return became || error_set(err, ERROR_FAILED,
                               "run %s is not 'started' in backup_history any more: another "
                               "process has resolved it",
                               run_id);
}

bool backup_history_tell(struct session *session, const char *history_id, bool *first,
                         struct error *err)
{
    const char *values[] = {history_id};
    PGresult *result = query_run(session,
                                 "UPDATE backup_history SET told_at = now() WHERE told_at IS NULL"
                                 " AND history_id = (SELECT history_id FROM backup_history"
                                 " WHERE history_id = $1 AND told_at IS NULL"
                                 " FOR UPDATE SKIP LOCKED) RETURNING history_id",
                                 1, values, err);

    if (result == NULL) {
        return error_prefix(err, "marking the run as told in backup_history");
    }
    *first = PQntuples(result) == 1;
    PQclear(result);
    return true;
}

bool backup_history_used_store(struct session *session, const char *store, bool *used,
                               struct error *err)
{
    const char *values[] = {store};
    PGresult *result = query_run(session,
                                 "SELECT EXISTS (SELECT FROM backup_history"
                                 " WHERE status = 'completed' AND store = $1) OR EXISTS (SELECT"
                                 " FROM backup_copies WHERE state = 'stored' AND store = $1)",
                                 1, values, err);

    if (result == NULL) {
        return error_prefix(err, "looking for backups of %s in backup_history", store);
    }
    *used = query_bool(result, 0, 0);
    PQclear(result);
    return true;
}

bool backup_history_estimate(struct session *session, uint64_t *raw_bytes, struct error *err)
{
    PGresult *result = query_run(session,
                                 "SELECT coalesce((SELECT raw_size_bytes FROM backup_history"
                                 " WHERE status = 'completed' AND raw_size_bytes IS NOT NULL"
                                 " ORDER BY completed_at DESC NULLS LAST LIMIT 1), 0)",
                                 0, NULL, err);

    if (result == NULL) {
        return error_prefix(err, "estimating the size of the dump");
    }
    *raw_bytes = (uint64_t)query_number(result, 0, 0);
    PQclear(result);
    return true;
}

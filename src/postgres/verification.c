#include "postgres/verification.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "postgres/ledger.h"
#include "postgres/query.h"

#define NUMBER_SIZE 24
#define LIST_CAP    ((size_t)64 * 1024 * 1024)
/* Of a reason: the ledger is no place for more. */
#define REASON_MOST "8000"

static const char *run_of(const struct verified_backup *backup)
{
    return backup->run_id != NULL && *backup->run_id != '\0' ? backup->run_id : NULL;
}

/* `sql` updates and has $2 and $3 as the backup's name and run. */
static bool record(struct session *session, const char *sql, int count, const char *const values[],
                   bool *recorded, struct error *err)
{
    const char *name = values[1];
    PGresult *result = query_run(session, sql, count, values, err);

    if (result == NULL) {
        return error_prefix(err, "recording the verification of %s in backup_history", name);
    }
    *recorded = strcmp(PQcmdTuples(result), "0") != 0;
    PQclear(result);
    if (!*recorded) {
        log_warning("verification_not_recorded",
                    "The verification of %s is not recorded: backup_history has no completed row "
                    "of it",
                    name);
    }
    return true;
}

#define OF_BACKUP                                                                                  \
    " WHERE status = 'completed' AND backup_filename = $2 AND run_id IS NOT DISTINCT FROM "        \
    "$3::text"

bool verification_record(struct session *session, const struct verified_backup *backup,
                         uint64_t rows, int64_t duration_ms, bool *recorded, struct error *err)
{
    char row_count[NUMBER_SIZE];
    char duration[NUMBER_SIZE];
    const char *values[] = {session->shift, backup->name, run_of(backup), row_count, duration};

    snprintf(row_count, sizeof(row_count), "%" PRIu64, rows);
    snprintf(duration, sizeof(duration), "%" PRId64, duration_ms);
    return record(session,
                  "UPDATE backup_history SET verified_at = " QUERY_NOW(
                      1) ", verified_rows = $4, verify_duration_ms = $5,"
                         " verify_failed_at = NULL, verify_error = NULL" OF_BACKUP,
                  5, values, recorded, err);
}

bool verification_record_failure(struct session *session, const struct verified_backup *backup,
                                 const struct verification_failure *failure, bool *recorded,
                                 struct error *err)
{
    char duration[NUMBER_SIZE];
    const char *values[] = {session->shift, backup->name, run_of(backup),
                            failure->why,   duration,     failure->told ? "true" : "false"};

    snprintf(duration, sizeof(duration), "%" PRId64, failure->duration_ms);
    return record(session,
                  "UPDATE backup_history SET verify_failed_at = " QUERY_NOW(
                      1) ", verify_error = left($4::text, " REASON_MOST "),"
                         " verify_duration_ms = $5, verified_at = NULL, verified_rows = NULL,"
                         " verify_told_at = coalesce(verify_told_at, CASE WHEN $6::boolean THEN "
                         "now() END)" OF_BACKUP,
                  6, values, recorded, err);
}

static bool read_untold(const PGresult *result, int row, void *item, struct error *err)
{
    struct untold_verification *out = item;

    query_copy(result, row, 0, out->history_id, sizeof(out->history_id));
    query_copy(result, row, 1, out->schedule_id, sizeof(out->schedule_id));
    query_copy(result, row, 2, out->run_id, sizeof(out->run_id));
    out->begun_ms = query_number(result, row, 6);
    out->duration_ms = query_number(result, row, 7);
    out->failed_ms = query_number(result, row, 8);
    return query_copy_text(result, row, 3, &out->name, err) &&
           query_copy_text(result, row, 4, &out->database, err) &&
           query_copy_text(result, row, 5, &out->why, err);
}

#define BEGUN  QUERY_MS("coalesce(started_at, created_at)")
#define FAILED QUERY_MS("verify_failed_at")
#define TODAY  "verify_failed_at > " QUERY_NOW(1) " - interval '1 day'"
#define OURS   LEDGER_IS_THIS("ledger")

static const char untold_query[] =
    "SELECT history_id, schedule_id, run_id, left(backup_filename::text, 255), database_name,"
    " left(verify_error, " REASON_MOST "), " BEGUN ", verify_duration_ms, " FAILED
    " FROM backup_history WHERE verify_told_at IS NULL AND verified_at IS NULL"
    " AND status = 'completed' AND " TODAY " AND " OURS
    " ORDER BY verify_failed_at, history_id LIMIT 1000";

bool verification_read_untold(struct session *session, struct untold_verifications *out,
                              struct error *err)
{
    const char *values[] = {session->shift};

    *out = (struct untold_verifications){.items = NULL};
    PGresult *result = query_run(session, untold_query, 1, values, err);
    if (result == NULL) {
        return error_prefix(err, "reading from backup_history which failed verifications are "
                                 "still to be told");
    }
    void *items;
    bool ok = query_read_items(result, sizeof(*out->items), read_untold, &items, &out->count, err);
    out->items = items;
    if (!ok) {
        verification_clear_untold(out);
    }
    return ok;
}

void verification_clear_untold(struct untold_verifications *untold)
{
    for (size_t i = 0; i < untold->count; i++) {
        free(untold->items[i].name);
        free(untold->items[i].database);
        free(untold->items[i].why);
    }
    free(untold->items);
    *untold = (struct untold_verifications){.items = NULL};
}

bool verification_tell(struct session *session, const char *history_id, bool *first,
                       struct error *err)
{
    const char *values[] = {history_id};
    PGresult *result =
        query_run(session,
                  "UPDATE backup_history SET verify_told_at = now() WHERE verify_told_at IS NULL"
                  " AND history_id = (SELECT history_id FROM backup_history"
                  " WHERE history_id = $1 AND verify_told_at IS NULL"
                  " FOR UPDATE SKIP LOCKED) RETURNING history_id",
                  1, values, err);

    if (result == NULL) {
        return error_prefix(err, "marking the failed verification as told in backup_history");
    }
    *first = PQntuples(result) == 1;
    PQclear(result);
    return true;
}

/* Rows that others have changed may bear both: the later one counts. Two rows of one name and run
 * can only be of the old service; then the later verification does, too. */
static const char read_query[] =
    "SELECT b.position, h.verify_failed_at IS NULL OR h.verified_at > h.verify_failed_at"
    " FROM unnest($1::text[], $2::text[]) WITH ORDINALITY b (name, run_id, position)"
    " JOIN backup_history h ON h.backup_filename::text = b.name"
    " AND h.run_id IS NOT DISTINCT FROM b.run_id"
    " WHERE h.status = 'completed' AND (h.verified_at IS NOT NULL OR h.verify_failed_at IS NOT "
    "NULL)"
    " ORDER BY greatest(h.verified_at, h.verify_failed_at)";

/* Names of backups and runs as array literals. */
static void format_lists(const struct verified_backup backups[], size_t count, struct text *names,
                         struct text *runs)
{
    text_append(names, "{");
    text_append(runs, "{");
    for (size_t i = 0; i < count; i++) {
        const char *run_id = run_of(&backups[i]);
        text_append(names, i > 0 ? "," : "");
        text_append(runs, i > 0 ? "," : "");
        query_append_element(names, backups[i].name);
        if (run_id != NULL) {
            query_append_element(runs, run_id);
        } else {
            text_append(runs, "NULL");
        }
    }
    text_append(names, "}");
    text_append(runs, "}");
}

bool verification_read(struct session *session, const struct verified_backup backups[],
                       size_t count, enum verification_outcome outcomes[], struct error *err)
{
    struct text names = TEXT_INIT(LIST_CAP);
    struct text runs = TEXT_INIT(LIST_CAP);
    PGresult *result = NULL;

    format_lists(backups, count, &names, &runs);
    if (names.failed || runs.failed) {
        error_set_memory(err);
    } else {
        const char *values[] = {text_string(&names), text_string(&runs)};
        result = query_run(session, read_query, 2, values, err);
    }
    text_clear(&names);
    text_clear(&runs);
    if (result == NULL) {
        return error_prefix(err, "reading from backup_history which backups were verified");
    }
    for (size_t i = 0; i < count; i++) {
        outcomes[i] = VERIFICATION_NONE;
    }
    for (int row = 0; row < PQntuples(result); row++) {
        int64_t position = query_number(result, row, 0);
        if (position >= 1 && (uint64_t)position <= count) {
            outcomes[position - 1] =
                query_bool(result, row, 1) ? VERIFICATION_GOOD : VERIFICATION_FAILED;
        }
    }
    PQclear(result);
    return true;
}

/* Backups are counted in the order in which they were begun, those of all databases for each. */
static const char due_query[] =
    "SELECT s.verify_every > 0 AND s.verify_every <= (SELECT count(*) FROM backup_history h"
    " WHERE h.schedule_id = s.schedule_id AND h.status = 'completed'"
    " AND (s.all_databases IS NOT TRUE OR h.database_name = r.database_name)"
    " AND h.started_at <= r.started_at"
    " AND h.started_at > coalesce(v.started_at, timestamptz '-infinity'))"
    " FROM backup_schedule s"
    " JOIN backup_history r ON r.run_id = $2 AND r.schedule_id = s.schedule_id"
    " AND r.status = 'completed'"
    " CROSS JOIN LATERAL (SELECT max(h.started_at) AS started_at FROM backup_history h"
    " WHERE h.schedule_id = s.schedule_id AND h.status = 'completed'"
    " AND (s.all_databases IS NOT TRUE OR h.database_name = r.database_name)"
    " AND (h.verified_at IS NOT NULL OR h.verify_failed_at IS NOT NULL)) v"
    " WHERE s.schedule_id = $1::uuid";

bool verification_is_due(struct session *session, const char *schedule_id, const char *run_id,
                         bool *due, struct error *err)
{
    const char *values[] = {schedule_id, run_id};
    PGresult *result = query_run(session, due_query, 2, values, err);

    if (result == NULL) {
        return error_prefix(err, "finding out whether the backup is to be verified");
    }
    *due = PQntuples(result) == 1 && query_bool(result, 0, 0);
    PQclear(result);
    return true;
}

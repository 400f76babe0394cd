#include "postgres/snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "postgres/query.h"

/* Names in one LOCK TABLE. */
#define LOCK_TABLES  500
#define LOCK_SQL_CAP ((size_t)1024 * 1024)
/* What is left for locking the others, when a table is waited for as long as may be. */
#define LOCK_GRACE_MS  ((int64_t)2000)
#define QUERY_CANCELED "57014"

bool snapshot_begin(struct session *session, struct error *err)
{
    return query_script(session, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", err);
}

/* Who holds, or waits for, a lock that keeps us out. Asked after the transaction has failed. */
static void name_blocker(struct session *session, const struct table_catalogue *tables,
                         struct error *err)
{
    struct text oids = TEXT_INIT((size_t)32 * 1024 * 1024);
    struct error ignored = ERROR_INIT;

    for (size_t i = 0; i < tables->count; i++) {
        text_appendf(&oids, "%s%" PRId64, i > 0 ? "," : "{", tables->items[i].oid);
    }
    text_append(&oids, "}");
    const char *values[] = {text_string(&oids)};
    PGresult *result = NULL;
    if (!oids.failed && query_script(session, "ROLLBACK", &ignored)) {
        result = query_run(session,
                           "SELECT l.relation::regclass, l.pid, a.application_name, a.state"
                           " FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)"
                           " WHERE l.mode = 'AccessExclusiveLock' AND l.relation = ANY ($1::oid[])"
                           " AND l.database = (SELECT oid FROM pg_database"
                           " WHERE datname = current_database()) ORDER BY l.granted DESC LIMIT 1",
                           1, values, &ignored);
    }
    if (result != NULL && PQntuples(result) == 1) {
        error_hint(err, "table %s is locked by the session with pid %s (%s, %s)",
                   PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1), PQgetvalue(result, 0, 2),
                   PQgetvalue(result, 0, 3));
    }
    PQclear(result);
    text_clear(&oids);
}

static bool lock_some(struct session *session, const struct table_entry *entries, size_t count,
                      struct error *err)
{
    struct text sql = TEXT_INIT(LOCK_SQL_CAP);

    text_append(&sql, "LOCK TABLE ONLY ");
    for (size_t i = 0; i < count; i++) {
        text_appendf(&sql, "%s%s", i > 0 ? ", ONLY " : "", entries[i].ident);
    }
    text_append(&sql, " IN ACCESS SHARE MODE");
    bool ok = sql.failed ? error_set_memory(err) : query_script(session, text_string(&sql), err);
    text_clear(&sql);
    return ok;
}

/* undefined_table, invalid_schema_name */
static bool is_gone(const char *sqlstate)
{
    return strcmp(sqlstate, "42P01") == 0 || strcmp(sqlstate, "3F000") == 0;
}

bool snapshot_lock(struct session *session, const struct table_catalogue *tables, int64_t lock_s,
                   bool *changed, struct error *err)
{
    char timeouts[128];
    int64_t limit_ms = session->limit_ms;

    *changed = false;
    /* The one is for each table, the other for all of a statement: several may be locked. */
    snprintf(timeouts, sizeof(timeouts),
             "SET LOCAL lock_timeout = %" PRId64 "; SET LOCAL statement_timeout = %" PRId64,
             lock_s * 1000, lock_s * 1000 + LOCK_GRACE_MS);
    if (!query_script(session, timeouts, err)) {
        return error_prefix(err, "locking the tables to dump");
    }
    /* The server ends the wait; it may be longer than any statement of ours takes by itself. */
    session->limit_ms += lock_s * 1000;
    bool ok = true;
    for (size_t first = 0; ok && first < tables->count; first += LOCK_TABLES) {
        size_t left = tables->count - first;
        ok =
            lock_some(session, &tables->items[first], left < LOCK_TABLES ? left : LOCK_TABLES, err);
    }
    session->limit_ms = limit_ms;
    if (ok) {
        return query_script(session, "SET LOCAL statement_timeout = 0", err) ||
               error_prefix(err, "locking the tables to dump");
    }
    *changed = is_gone(session->sqlstate);
    error_prefix(err, "locking the tables to dump");
    if (session_lacked_lock(session) || strcmp(session->sqlstate, QUERY_CANCELED) == 0) {
        name_blocker(session, tables, err);
        error_hint(err, "RYTHM_BACKUP_LOCK_TIMEOUT says how long to wait");
    }
    return false;
}

bool snapshot_export(struct session *session, char id[SNAPSHOT_ID_SIZE], int64_t *at_ms,
                     struct error *err)
{
    const char *values[] = {session->shift};
    PGresult *result =
        query_run(session, "SELECT pg_export_snapshot(), " QUERY_MS(QUERY_NOW(1)), 1, values, err);

    if (result == NULL) {
        return error_prefix(err, "taking the snapshot");
    }
    query_copy(result, 0, 0, id, SNAPSHOT_ID_SIZE);
    *at_ms = query_number(result, 0, 1);
    PQclear(result);
    return strspn(id, "0123456789ABCDEF-") == strlen(id) ||
           error_set(err, ERROR_FAILED, "the server named the snapshot '%s'", id);
}

bool snapshot_join(struct session *session, const char *id, struct error *err)
{
    char sql[SNAPSHOT_ID_SIZE + 64];

    snprintf(sql, sizeof(sql), "SET TRANSACTION SNAPSHOT '%s'", id);
    return (snapshot_begin(session, err) && query_script(session, sql, err)) ||
           error_prefix(err, "taking over the snapshot");
}

bool snapshot_was_gone(const struct session *session)
{
    /* ImportSnapshot(): invalid_parameter_value, since 17 undefined_object, when its file is gone;
     * object_not_in_prerequisite_state when its process is. */
    static const char *const states[] = {"22023", "42704", "55000"};

    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if (strcmp(session->sqlstate, states[i]) == 0) {
            return true;
        }
    }
    return false;
}

void snapshot_end(struct session *session)
{
    struct error ignored = ERROR_INIT;

    query_script(session, "ROLLBACK", &ignored);
}

/* As pg_dump's setup_connection() does, and what it leaves to the role: quote_all_identifiers, and
 * plans that would give rows in another order (parallel workers) or cost a compilation (jit). */
static const char reader_parameters[] =
    "SELECT set_config('search_path', '', false), set_config('IntervalStyle', 'postgres', false),"
    " set_config('extra_float_digits', '3', false), set_config('bytea_output', 'hex', false),"
    " set_config('xmlbinary', 'base64', false), set_config('synchronize_seqscans', 'off', false),"
    " set_config('quote_all_identifiers', 'on', false), set_config('jit', 'off', false),"
    " set_config('max_parallel_workers_per_gather', '0', false),"
    " set_config('enable_tidscan', 'on', false),"
    " set_config('client_encoding', current_setting('server_encoding'), false);"
    /* Views and foreign tables that took a table's name run no code of others (CVE-2024-7348). */
    "SELECT set_config(name, 'view, foreign-table', false) FROM pg_settings"
    " WHERE name = 'restrict_nonsystem_relation_kind'";

/* libpq's buffer begins with 16 KiB and grows to hold the longest message: after one of this length
 * a system call reads more rows. */
static const char long_message[] = "SELECT repeat(' ', 250000)";

bool snapshot_prepare_reader(struct session *session, struct error *err)
{
    session->is_reader = true;
    return (query_script(session, reader_parameters, err) &&
            query_script(session, long_message, err)) ||
           error_prefix(err, "preparing a session to read the tables");
}

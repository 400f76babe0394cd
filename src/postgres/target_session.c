#include "postgres/target_session.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "postgres/query.h"

/* A year: the server's own limits and the keepalives end a wait. */
#define UNLIMITED_MS ((int64_t)365 * 24 * 3600 * 1000)

#define PREPARING "preparing a session to restore"

/* What pg_dump writes at the start of a script, and what it relies on (pg_dump, setup_connection()
 * and doSetFixedOutputState()). */
static const char parameters[] =
    "SELECT set_config('search_path', '', false), set_config('statement_timeout', '0', false),"
    " set_config('lock_timeout', $2, false), set_config('check_function_bodies', 'off', false),"
    " set_config('client_encoding', coalesce($1, current_setting('server_encoding')), false),"
    " set_config('standard_conforming_strings', 'on', false),"
    " set_config('synchronous_commit', 'off', false), set_config('row_security', 'off', false),"
    " set_config('xmloption', 'content', false), set_config('xmlbinary', 'base64', false),"
    " set_config('DateStyle', 'ISO', false), set_config('IntervalStyle', 'postgres', false),"
    " set_config('extra_float_digits', '3', false), set_config('bytea_output', 'hex', false),"
    " set_config('client_min_messages', 'warning', false),"
    " set_config('quote_all_identifiers', 'on', false)";

bool target_session_prepare(struct session *session, const struct target_session_options *options,
                            struct error *err)
{
    char lock_timeout[24];
    const char *values[] = {options->encoding, lock_timeout};

    session->is_target = true;
    session->hides_values = options->hides_values;
    snprintf(lock_timeout, sizeof(lock_timeout), "%" PRId64, options->lock_timeout_ms);
    if (!query_execute(session, parameters, 2, values, err)) {
        return error_prefix(err, PREPARING);
    }
    session->limit_ms = UNLIMITED_MS;
    return true;
}

/* False for a result that ends the string; *failed keeps the first error. */
static bool take(struct session *session, const PGresult *result, bool *failed, struct error *err)
{
    switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_SINGLE_TUPLE:
    case PGRES_EMPTY_QUERY:
        return true;
    case PGRES_COPY_IN:
        if (PQputCopyEnd(session->connection, "no rows are expected here") != 1) {
            *failed = true;
            return query_report(session, "ending a COPY", err);
        }
        return true;
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
        *failed = true;
        error_set(err, ERROR_FAILED, "the statement copies rows out of the database");
        return false;
    default:
        if (!*failed) {
            *failed = true;
            query_report_context(session, result, err);
        }
        return true;
    }
}

bool target_session_run(struct session *session, const char *sql, struct error *err)
{
    struct deadline deadline = query_deadline(session);
    bool failed = false;
    bool more = true;

    session->sqlstate[0] = '\0';
    if (PQsendQuery(session->connection, sql) == 0 ||
        PQsetSingleRowMode(session->connection) == 0) {
        query_report(session, "talking to Postgres", err);
        err->retryable = true;
        return false;
    }
    while (more) {
        PGresult *result = NULL;
        struct error lost = ERROR_INIT;
        if (!query_next(session, &deadline, &result, &lost)) {
            if (!failed) {
                *err = lost;
            }
            return false;
        }
        more = result != NULL && take(session, result, &failed, err);
        PQclear(result);
    }
    return !failed;
}

const char *target_session_sqlstate(const struct session *session)
{
    return session->sqlstate;
}

uint64_t target_session_warnings(const struct session *session)
{
    return session->notices;
}

bool target_session_disable_triggers(struct session *session, bool *done, struct error *err)
{
    struct error refused = ERROR_INIT;
    bool set = query_script(session, "SET session_replication_role = replica", &refused);
    /* insufficient_privilege */
    if (!set && strcmp(session->sqlstate, "42501") != 0) {
        *err = refused;
        return error_prefix(err, "switching off triggers");
    }
    *done = set;
    return true;
}

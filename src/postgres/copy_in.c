#include "postgres/copy_in.h"

#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/stop.h"
#include "base/text.h"
#include "postgres/query.h"
#include "postgres/server_version.h"

#define RESTORING "restoring rows"
#define GIVEN_UP  "the restore was given up"

/* In one message to the server, and waiting in libpq before it is emptied. */
#define PIECE_BYTES ((size_t)64 * 1024)
#define QUEUE_BYTES ((size_t)256 * 1024)

/* A message that comes in pieces is whole by then. */
#define HEARD_MS 1000

static struct deadline stall_deadline(const struct copy_in *copy)
{
    return copy->session->ignore_stop ? deadline_cleanup_in_ms(copy->stall_ms)
                                      : deadline_in_ms(copy->stall_ms);
}

static void report(struct session *session, const PGresult *result, struct error *err)
{
    if (PQresultStatus(result) == PGRES_COPY_IN || PQresultStatus(result) == PGRES_COPY_OUT) {
        error_set(err, ERROR_FAILED, "a statement copies other rows");
    } else {
        query_report_context(session, result, err);
    }
}

/* Reads all that is left of the string. *err is the first error that the server reports. */
static bool drain(struct copy_in *copy, const struct deadline *deadline, bool *failed,
                  struct error *err)
{
    struct session *session = copy->session;
    PGresult *result = NULL;
    struct error lost = ERROR_INIT;

    for (;;) {
        if (!query_next(session, deadline, &result, &lost)) {
            if (!*failed) {
                *err = lost;
            }
            *failed = true;
            return false;
        }
        if (result == NULL) {
            return true;
        }
        ExecStatusType status = PQresultStatus(result);
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && !*failed) {
            *failed = true;
            report(session, result, err);
            err->retryable = err->retryable || PQstatus(session->connection) == CONNECTION_BAD;
        }
        PQclear(result);
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT) {
            return false;
        }
    }
}

/* The server has ended the COPY, or the connection: it says why. */
static bool fail(struct copy_in *copy, struct error *err)
{
    struct deadline deadline = stall_deadline(copy);
    bool failed = false;

    PQputCopyEnd(copy->session->connection, GIVEN_UP);
    drain(copy, &deadline, &failed, err);
    if (!failed) {
        query_report(copy->session, "talking to Postgres", err);
    }
    return error_prefix(err, RESTORING);
}

bool copy_in_formats_agree(const struct session *session)
{
    const char *client = PQparameterStatus(session->connection, "client_encoding");

    return client != NULL && (strcmp(client, "SQL_ASCII") != 0 || query_is_sql_ascii(session));
}

bool copy_in_begin(struct copy_in *copy, const char *sql, struct error *err)
{
    struct session *session = copy->session;
    struct deadline deadline = query_deadline(session);
    PGresult *result = NULL;

    copy->queued_bytes = 0;
    copy->notices = session->notices;
    copy->heard_ms = 0;
    session->sqlstate[0] = '\0';
    if (PQsendQuery(session->connection, sql) == 0) {
        query_report(session, RESTORING, err);
        err->retryable = true;
        return false;
    }
    for (;;) {
        if (!query_next(session, &deadline, &result, err)) {
            return error_prefix(err, RESTORING);
        }
        if (result == NULL) {
            return error_set(err, ERROR_FAILED, RESTORING ": the statement wants no rows");
        }
        ExecStatusType status = PQresultStatus(result);
        bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
        bool failed = !ok && status != PGRES_COPY_IN;
        if (failed) {
            report(session, result, err);
        }
        PQclear(result);
        if (failed) {
            drain(copy, &deadline, &failed, err);
            return error_prefix(err, RESTORING);
        }
        if (!ok) {
            return true;
        }
    }
}

/* Before the end of the rows a server says nothing but notices, unless it has failed: then it drops
 * what else is sent. libpq keeps that message until the end of the rows, so whether something has
 * come that was no notice is all that there is to see. Servers before 14 also report parameters
 * that a trigger changes. */
static bool listen(struct copy_in *copy, struct error *err)
{
    struct session *session = copy->session;
    struct pollfd fd = {.fd = PQsocket(session->connection), .events = POLLIN};

    if (poll(&fd, 1, 0) > 0) {
        if (PQconsumeInput(session->connection) == 0) {
            return fail(copy, err);
        }
        /* Notices go to their receiver. */
        (void)PQisBusy(session->connection);
        if (copy->heard_ms == 0) {
            copy->heard_ms = clock_monotonic_ms();
        }
    }
    if (copy->notices != session->notices) {
        copy->notices = session->notices;
        copy->heard_ms = 0;
    }
    if (copy->heard_ms != 0 && clock_monotonic_ms() - copy->heard_ms >= HEARD_MS &&
        server_version_has(PQserverVersion(session->connection), SERVER_QUIET_COPY)) {
        return fail(copy, err);
    }
    return true;
}

static bool flush(struct copy_in *copy, struct error *err)
{
    struct session *session = copy->session;

    for (;;) {
        if ((!session->ignore_stop && !stop_check(err)) || !listen(copy, err)) {
            return false;
        }
        int flushed = PQflush(session->connection);
        if (flushed < 0) {
            return fail(copy, err);
        }
        if (flushed == 0) {
            copy->queued_bytes = 0;
            return true;
        }
        struct deadline deadline = stall_deadline(copy);
        if (!query_wait(session, POLLIN | POLLOUT, &deadline, err)) {
            return error_prefix(err, RESTORING ": Postgres takes no more");
        }
    }
}

bool copy_in_write(struct copy_in *copy, const void *data, size_t size, struct error *err)
{
    const char *bytes = data;

    while (size > 0) {
        size_t piece = size < PIECE_BYTES ? size : PIECE_BYTES;
        int put = PQputCopyData(copy->session->connection, bytes, (int)piece);
        if (put < 0) {
            return fail(copy, err);
        }
        if (put > 0) {
            bytes += piece;
            size -= piece;
            copy->queued_bytes += piece;
        }
        if ((put == 0 || copy->queued_bytes > QUEUE_BYTES) && !flush(copy, err)) {
            return false;
        }
    }
    return true;
}

static bool count_rows(struct copy_in *copy, PGresult *result, int64_t *rows, struct error *err)
{
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        query_report_context(copy->session, result, err);
        err->retryable = err->retryable || PQstatus(copy->session->connection) == CONNECTION_BAD;
        return false;
    }
    return text_parse_integer(PQcmdTuples(result), 0, INT64_MAX, rows) ||
           error_set(err, ERROR_FAILED, "the server did not count them");
}

bool copy_in_end(struct copy_in *copy, int64_t *rows, struct error *err)
{
    struct session *session = copy->session;
    PGresult *result = NULL;
    int64_t counted = 0;
    int put;

    while ((put = PQputCopyEnd(session->connection, NULL)) == 0) {
        if (!flush(copy, err)) {
            return false;
        }
    }
    if (put < 0) {
        return fail(copy, err);
    }
    struct deadline deadline = query_deadline(session);
    if (!query_next(session, &deadline, &result, err)) {
        return error_prefix(err, RESTORING);
    }
    bool failed = !count_rows(copy, result, &counted, err);
    PQclear(result);
    if (!drain(copy, &deadline, &failed, err) || failed) {
        return error_prefix(err, RESTORING);
    }
    *rows = counted;
    return true;
}

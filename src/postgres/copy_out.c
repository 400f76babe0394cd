#include "config.h"

#include "postgres/copy_out.h"

#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <string.h>

#include "base/stop.h"
#include "base/text.h"
#include "postgres/query.h"

#define READING "reading rows from Postgres"
static bool lost(struct copy_out *copy, struct error *err)
{
    query_report(copy->session, READING, err);
    err->retryable = true;
    return false;
}

static bool refuse_row(const struct copy_out *copy, struct error *err)
{
    char longest[TEXT_BYTES_SIZE];

    text_format_bytes(longest, copy->longest_row);
    error_set(err, ERROR_CONFIG, "a row is longer than %s, and has to be held in memory", longest);
    return error_hint(err, "raise RYTHM_BACKUP_ROW_LIMIT, or set RYTHM_BACKUP_ENGINE=pg_dump");
}

/* What malloc has taken from the system in large pieces. libpq enlarges its buffer as soon as it
 * has read the length of a row, and fills it afterwards. Sanitizers have a malloc of their own, of
 * which mallinfo2() knows nothing. */
static uint64_t mapped_bytes(void)
{
#if defined(HAVE_MALLINFO2) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    return mallinfo2().hblkhd;
#else
    return 0;
#endif
}

static bool check_memory(const struct copy_out *copy, struct error *err)
{
    uint64_t mapped = mapped_bytes();

    return mapped <= copy->mapped_before || mapped - copy->mapped_before <= copy->most_mapped ||
           refuse_row(copy, err);
}

/* Reads what has come, or waits for it. */
static bool refill(struct copy_out *copy, struct error *err)
{
    struct session *session = copy->session;

    if (!stop_check(err)) {
        return false;
    }
    return PQconsumeInput(session->connection) != 0 || lost(copy, err);
}

static bool wait_for_more(struct copy_out *copy, struct error *err)
{
    struct session *session = copy->session;
    struct deadline deadline = deadline_in_ms(copy->stall_ms);
    int flushed = PQflush(session->connection);

    if (flushed < 0) {
        return lost(copy, err);
    }
    if (!query_wait(session, flushed > 0 ? POLLIN | POLLOUT : POLLIN, &deadline, err)) {
        return error_prefix(err, READING);
    }
    return refill(copy, err);
}

/* NULL at the end of the string, or with the error. */
static PGresult *next_result(struct copy_out *copy, bool *ok, struct error *err)
{
    *ok = true;
    while (PQisBusy(copy->session->connection) != 0) {
        if (!wait_for_more(copy, err)) {
            *ok = false;
            return NULL;
        }
    }
    return PQgetResult(copy->session->connection);
}

bool copy_out_send(struct copy_out *copy, const char *sql, struct error *err)
{
    return PQsendQuery(copy->session->connection, sql) != 0 || lost(copy, err);
}

bool copy_out_begin(struct copy_out *copy, bool *locked, struct error *err)
{
    bool ok;

    *locked = false;
    copy->rows = 0;
    copy->row_bytes = 0;
    copy->mapped_before = mapped_bytes();
    for (;;) {
        PGresult *result = next_result(copy, &ok, err);
        if (result == NULL) {
            return ok ? error_set(err, ERROR_FAILED, READING ": the server ended early") : false;
        }
        ExecStatusType status = PQresultStatus(result);
        if (status == PGRES_COPY_OUT) {
            PQclear(result);
            return true;
        }
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
            query_report_result(copy->session, result, err);
            *locked = session_lacked_lock(copy->session);
            PQclear(result);
            /* The rest of the string is not run: there is one more, empty result. */
            while ((result = next_result(copy, &ok, err)) != NULL) {
                PQclear(result);
            }
            return false;
        }
        PQclear(result);
    }
}

/* PQgetlineAsync() is the older of libpq's two ways to the rows (manual, "Obsolete Functions for
 * COPY"), and the one that writes them where we want them: PQgetCopyData() allocates and copies
 * each, which is more work than all that is done with a short one here. */
bool copy_out_read(struct copy_out *copy, char *buffer, size_t size, size_t *got, bool *whole,
                   struct error *err)
{
    int most = size < INT_MAX ? (int)size : INT_MAX;
    int count;

    /* First what has come already: waiting costs a system call. A row that is not there then is a
     * long one, or the server is slow. */
    for (int looks = 0; (count = PQgetlineAsync(copy->session->connection, buffer, most)) == 0;
         looks++) {
        if ((looks > 0 && !check_memory(copy, err)) ||
            !(looks % 2 == 0 ? refill(copy, err) : wait_for_more(copy, err))) {
            return false;
        }
    }
    *got = count > 0 ? (size_t)count : 0;
    /* In the text format a line end ends a row and stands nowhere else (manual, COPY). */
    *whole = count > 0 && buffer[count - 1] == '\n';
    copy->row_bytes += *got;
    if (copy->row_bytes > copy->longest_row) {
        return refuse_row(copy, err);
    }
    if (*whole) {
        copy->rows++;
        copy->row_bytes = 0;
    }
    return true;
}

bool copy_out_end(struct copy_out *copy, int64_t *rows, struct error *err)
{
    bool ok;
    int64_t counted = -1;
    PGresult *result = next_result(copy, &ok, err);

    if (result == NULL) {
        return ok ? error_set(err, ERROR_FAILED, READING ": the server ended early") : false;
    }
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        query_report_result(copy->session, result, err);
        PQclear(result);
        return false;
    }
    ok = text_parse_integer(PQcmdTuples(result), 0, INT64_MAX, &counted) && counted == copy->rows;
    PQclear(result);
    if (!ok) {
        return error_set(err, ERROR_FAILED,
                         READING ": %" PRId64 " came, but the server counted %" PRId64, copy->rows,
                         counted);
    }
    *rows = copy->rows;
    return true;
}

bool copy_out_finish(struct copy_out *copy, struct error *err)
{
    PGresult *result;
    bool ok;
    bool good = true;

    while ((result = next_result(copy, &ok, err)) != NULL) {
        if (good && PQresultStatus(result) != PGRES_COMMAND_OK) {
            query_report_result(copy->session, result, err);
            good = false;
        }
        PQclear(result);
    }
    return ok && good;
}

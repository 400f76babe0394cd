#include "postgres/query.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define TALKING "talking to Postgres"

struct deadline query_deadline(const struct session *session)
{
    return session->ignore_stop ? deadline_cleanup_in_ms(session->limit_ms)
                                : deadline_in_ms(session->limit_ms);
}

bool query_wait(struct session *session, short events, const struct deadline *deadline,
                struct error *err)
{
    struct wait_fd fd = {.fd = PQsocket(session->connection), .events = events};

    return wait_for(&fd, 1, deadline, err);
}

bool query_report(struct session *session, const char *doing, struct error *err)
{
    const char *message = PQerrorMessage(session->connection);

    return error_set(err, ERROR_FAILED, "%s: %s", doing,
                     *message != '\0' ? message : "no reason given");
}

/* Connection lost, resources short, serialization or deadlock, lock not had, server shutting down
 * (manual, appendix A). */
static bool may_pass(const char *sqlstate)
{
    static const char *const classes[] = {"08", "53", "40", "55P03", "57P"};

    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (strncmp(sqlstate, classes[i], strlen(classes[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* How much can be told of a message, or of its first `length` bytes. When it is about data the
 * server puts the value last, after a colon: «invalid input syntax for type integer: "..."»,
 * «COPY t, line 1, column c: "..."». */
static int told_length(const struct session *session, const char *message, size_t length)
{
    const char *value = session->hides_values ? strstr(message, ": \"") : NULL;

    return (int)(value != NULL && (size_t)(value - message) < length ? (size_t)(value - message)
                                                                     : length);
}

bool query_report_result(struct session *session, const PGresult *result, struct error *err)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    const char *advice = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);

    snprintf(session->sqlstate, sizeof(session->sqlstate), "%s", state != NULL ? state : "");
    if (primary == NULL) {
        return query_report(session, TALKING, err);
    }
    if (session->hides_values) {
        detail = NULL;
    }
    error_set(err, ERROR_FAILED, "Postgres says: %.*s%s%s",
              told_length(session, primary, strlen(primary)), primary, detail != NULL ? "; " : "",
              detail != NULL ? detail : "");
    /* insufficient resources: which parameter of the server limits them */
    if (advice != NULL && *advice != '\0' && strncmp(session->sqlstate, "53", 2) == 0) {
        int length = (int)strlen(advice);
        error_hint(err, "%.*s", advice[length - 1] == '.' ? length - 1 : length, advice);
    }
    err->retryable = may_pass(session->sqlstate);
    return false;
}

bool query_report_context(struct session *session, const PGresult *result, struct error *err)
{
    const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);

    query_report_result(session, result, err);
    /* But for COPY, it can be a statement of a function's, with values in it. */
    if (context != NULL && (!session->hides_values || strncmp(context, "COPY ", 5) == 0)) {
        error_hint(err, "%.*s", told_length(session, context, strcspn(context, "\n")), context);
    }
    return false;
}

/* Of a statement about tables of ours. */
static void hint(const struct session *session, struct error *err)
{
    if (session->is_target) {
        return;
    }
    /* undefined_table, undefined_column, undefined_function (manual, appendix A) */
    if (!session->is_reader &&
        (strcmp(session->sqlstate, "42P01") == 0 || strcmp(session->sqlstate, "42703") == 0 ||
         strcmp(session->sqlstate, "42883") == 0)) {
        err->kind = ERROR_CONFIG;
        error_hint(err, "run 'rythm-backup migrate' on this database");
    } else if (strcmp(session->sqlstate, "42501") == 0) {
        err->kind = ERROR_CONFIG;
        error_hint(err, "see PRIVILEGES in the manual page: migrate runs as the tables' owner, and "
                        "the role that backs up has grants");
    }
}

bool query_next(struct session *session, const struct deadline *deadline, PGresult **out,
                struct error *err)
{
    while (PQisBusy(session->connection) != 0) {
        int flushed = PQflush(session->connection);
        if (!query_wait(session, flushed > 0 ? POLLIN | POLLOUT : POLLIN, deadline, err)) {
            return error_prefix(err, "waiting for Postgres");
        }
        if (PQconsumeInput(session->connection) == 0) {
            query_report(session, TALKING, err);
            err->retryable = true;
            return false;
        }
    }
    *out = PQgetResult(session->connection);
    return true;
}

/* Collects the results of what was sent; keeps the last one, or the first that failed. */
static PGresult *collect(struct session *session, struct error *err)
{
    struct deadline deadline = query_deadline(session);
    PGresult *kept = NULL;

    for (;;) {
        PGresult *result = NULL;
        if (!query_next(session, &deadline, &result, err)) {
            PQclear(kept);
            return NULL;
        }
        if (result == NULL) {
            break;
        }
        ExecStatusType status = PQresultStatus(result);
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT) {
            PQclear(result);
            PQclear(kept);
            error_set(err, ERROR_FAILED, TALKING ": rows are being copied");
            return NULL;
        }
        if (kept != NULL && PQresultStatus(kept) == PGRES_FATAL_ERROR) {
            PQclear(result);
        } else {
            PQclear(kept);
            kept = result;
        }
    }
    if (kept == NULL) {
        query_report(session, TALKING, err);
        return NULL;
    }
    ExecStatusType status = PQresultStatus(kept);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        query_report_result(session, kept, err);
        hint(session, err);
        PQclear(kept);
        return NULL;
    }
    return kept;
}

/* The result of what libpq says that it has sent, or not. */
static PGresult *collect_sent(struct session *session, int sent, struct error *err)
{
    session->sqlstate[0] = '\0';
    if (sent == 0) {
        query_report(session, TALKING, err);
        err->retryable = true;
        return NULL;
    }
    return collect(session, err);
}

PGresult *query_run(struct session *session, const char *sql, int count, const char *const values[],
                    struct error *err)
{
    return collect_sent(
        session, PQsendQueryParams(session->connection, sql, count, NULL, values, NULL, NULL, 0),
        err);
}

PGresult *query_describe(struct session *session, const char *sql, struct error *err)
{
    PGresult *prepared =
        collect_sent(session, PQsendPrepare(session->connection, "", sql, 0, NULL), err);

    if (prepared == NULL) {
        return NULL;
    }
    PQclear(prepared);
    return collect_sent(session, PQsendDescribePrepared(session->connection, ""), err);
}

bool query_execute(struct session *session, const char *sql, int count, const char *const values[],
                   struct error *err)
{
    PGresult *result = query_run(session, sql, count, values, err);

    PQclear(result);
    return result != NULL;
}

bool query_update_pending(struct session *session, const char *sql, int count,
                          const char *const values[], struct error *err)
{
    PGresult *result = query_run(session, sql, count, values, err);

    if (result == NULL) {
        return false;
    }
    bool one = strcmp(PQcmdTuples(result), "1") == 0;
    PQclear(result);
    return one || error_set(err, ERROR_FAILED, "the row is not pending any more");
}

bool query_script(struct session *session, const char *sql, struct error *err)
{
    session->sqlstate[0] = '\0';
    if (PQsendQuery(session->connection, sql) == 0) {
        return query_report(session, TALKING, err);
    }
    PGresult *result = collect(session, err);
    PQclear(result);
    return result != NULL;
}

bool query_settle(struct session *session, struct error *err)
{
    struct error ignored = ERROR_INIT;

    if (PQtransactionStatus(session->connection) == PQTRANS_ACTIVE) {
        PQclear(collect(session, &ignored));
    }
    return PQtransactionStatus(session->connection) == PQTRANS_IDLE ||
           query_script(session, "ROLLBACK", err);
}

const char *query_text(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) != 0 ? NULL : PQgetvalue(result, row, column);
}

int64_t query_number(const PGresult *result, int row, int column)
{
    const char *text = query_text(result, row, column);
    int64_t number = 0;

    if (text != NULL && !text_parse_integer(text, INT64_MIN, INT64_MAX, &number)) {
        return 0;
    }
    return number;
}

bool query_bool(const PGresult *result, int row, int column)
{
    const char *text = query_text(result, row, column);

    return text != NULL && text[0] == 't';
}

void query_copy(const PGresult *result, int row, int column, char *out, size_t size)
{
    const char *text = query_text(result, row, column);

    snprintf(out, size, "%s", text != NULL ? text : "");
    text_cut_utf8(out);
}

bool query_copy_text(const PGresult *result, int row, int column, char **out, struct error *err)
{
    const char *text = query_text(result, row, column);

    *out = text_copy(text);
    return text == NULL || *out != NULL ? true : error_set_memory(err);
}

/* The next element of {a,"b c","d\"e"} (manual, "Array Input and Output Syntax"), unescaped into
 * `out`; returns what follows it. */
static const char *next_element(const char *array, char *out)
{
    bool quoted = *array == '"';

    array += quoted;
    while (*array != '\0' && (quoted ? *array != '"' : *array != ',' && *array != '}')) {
        array += *array == '\\' && array[1] != '\0';
        *out++ = *array++;
    }
    *out = '\0';
    array += quoted && *array == '"';
    return *array == ',' ? array + 1 : array;
}

bool query_copy_array(const PGresult *result, int row, int column, char ***out, struct error *err)
{
    const char *array = query_text(result, row, column);
    size_t count = 0;

    *out = NULL;
    if (array == NULL) {
        return true;
    }
    /* One dimension from 1 is what text[] columns hold; elements are fewer than its bytes. */
    array += *array == '{';
    char **list = calloc(strlen(array) + 1, sizeof(*list));
    char *element = malloc(strlen(array) + 1);
    bool ok = list != NULL && element != NULL;
    while (ok && *array != '\0' && *array != '}') {
        array = next_element(array, element);
        list[count] = text_copy(element);
        ok = list[count++] != NULL;
    }
    free(element);
    if (!ok) {
        text_list_free(list);
        return error_set_memory(err);
    }
    *out = list;
    return true;
}

void query_append_element(struct text *array, const char *element)
{
    text_append(array, "\"");
    for (const char *c = element; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\') {
            text_append(array, "\\");
        }
        text_append_bytes(array, c, 1);
    }
    text_append(array, "\"");
}

bool query_format_array(char *const *list, char **out, struct error *err)
{
    struct text array = TEXT_INIT((size_t)1024 * 1024);

    text_append(&array, "{");
    for (size_t i = 0; list[i] != NULL; i++) {
        text_append(&array, i > 0 ? "," : "");
        query_append_element(&array, list[i]);
    }
    text_append(&array, "}");
    if (array.failed) {
        text_clear(&array);
        return error_set_memory(err);
    }
    *out = array.data;
    return true;
}

static int hex_digit(char digit)
{
    return digit <= '9' ? digit - '0' : digit - 'a' + 10;
}

bool query_read_items(PGresult *result, size_t item_size,
                      bool (*read)(const PGresult *result, int row, void *item, struct error *err),
                      void **items, size_t *count, struct error *err)
{
    int rows = PQntuples(result);
    bool ok = true;

    *count = 0;
    *items = rows > 0 ? calloc((size_t)rows, item_size) : NULL;
    if (rows > 0 && *items == NULL) {
        ok = error_set_memory(err);
    }
    for (int row = 0; ok && row < rows; row++) {
        ++*count;
        ok = read(result, row, (char *)*items + (size_t)row * item_size, err);
    }
    PQclear(result);
    return ok;
}

void query_decode_hex(char *string)
{
    char *out = string;

    for (const char *c = string; c[0] != '\0' && c[1] != '\0'; c += 2) {
        *out++ = (char)(hex_digit(c[0]) * 16 + hex_digit(c[1]));
    }
    *out = '\0';
}

static bool has_encoding(const struct session *session, const char *name)
{
    const char *encoding = PQparameterStatus(session->connection, "server_encoding");

    return encoding != NULL && strcmp(encoding, name) == 0;
}

bool query_is_utf8(const struct session *session)
{
    return has_encoding(session, "UTF8");
}

bool query_is_sql_ascii(const struct session *session)
{
    return has_encoding(session, "SQL_ASCII");
}

const char *query_option_value(const struct session *session, const PQconninfoOption *option)
{
    if (strcmp(option->keyword, "host") == 0) {
        return PQhost(session->connection);
    }
    if (strcmp(option->keyword, "hostaddr") == 0) {
        return PQhostaddr(session->connection);
    }
    return strcmp(option->keyword, "port") == 0 ? PQport(session->connection) : option->val;
}

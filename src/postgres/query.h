/*
 * For the files of this folder: running one statement. Everyone else calls the functions named
 * after what they ask for.
 */
#ifndef POSTGRES_QUERY_H
#define POSTGRES_QUERY_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"
#include "base/wait.h"
#include "postgres/session.h"
#include "postgres/session_password.h"

struct session {
    PGconn *connection;
    bool ignore_stop;
    int64_t connect_ms; /* the limit for connecting */
    int64_t limit_ms;   /* for one statement */
    char shift[24];     /* of the clock, in milliseconds, as a parameter */
    char sqlstate[6];   /* of the last error, or "" */
    bool is_reader;     /* of what a dump reads, which are not tables of ours */
    bool is_target;     /* of a restore: neither tables nor privileges of ours */
    bool hides_values;  /* an error must not repeat what stands in a row */
    uint64_t notices;   /* that the server has sent */
    int interrupt_fd;   /* the connection's socket once more, for session_interrupt(); or -1 */
    bool is_pooled;     /* a pooler stands between us and the server process */
    const struct session_password *password; /* NULL: libpq's own ways */
};

/* No query of a run takes longer by itself; what waits behind a lock gives up. */
#define QUERY_LIMIT_MS ((int64_t)60 * 1000)

/* Waits for the connection's socket; `events` as for poll(2). */
bool query_wait(struct session *session, short events, const struct deadline *deadline,
                struct error *err);
/* "doing: " and libpq's last message about the connection; returns false. */
bool query_report(struct session *session, const char *doing, struct error *err);

/* What the server says in a result that is an error; its SQLSTATE goes to the session. False. */
bool query_report_result(struct session *session, const PGresult *result, struct error *err);
/* As query_report_result(), and in what it happened: "COPY t, line 3, column a". */
bool query_report_context(struct session *session, const PGresult *result, struct error *err);

/* Waits for the next result of what was sent; NULL after the last. False without one. */
bool query_next(struct session *session, const struct deadline *deadline, PGresult **out,
                struct error *err);

/* Runs one statement with text parameters (NULL = SQL null) whose types the server infers. Returns
 * its result, for PQclear(), or NULL with the error: a missing table, column or function says to
 * run migrate, a missing privilege names what the server named. */
PGresult *query_run(struct session *session, const char *sql, int count, const char *const values[],
                    struct error *err);
/* What the columns of its result would be: it is not run. */
PGresult *query_describe(struct session *session, const char *sql, struct error *err);
/* As query_run(), when only success matters. */
bool query_execute(struct session *session, const char *sql, int count, const char *const values[],
                   struct error *err);
/* As query_execute(), for a change of exactly one row. A row that does not take it (deleted,
 * resolved, or held back by a trigger), so that it would be worked on again and again, is an error.
 */
bool query_update_pending(struct session *session, const char *sql, int count,
                          const char *const values[], struct error *err);
/* Runs a script of several statements in one implicit transaction. */
bool query_script(struct session *session, const char *sql, struct error *err);
/* Makes the session good for another statement after a failure of any kind: what is left of one
 * whose wait was given up is waited for, and an open transaction is rolled back. */
bool query_settle(struct session *session, struct error *err);
/* The deadline of a statement that begins now. */
struct deadline query_deadline(const struct session *session);

/* In SQL an operator or function is given arguments of exactly the types that pg_catalog has it
 * for: otherwise one that fits better, made by whoever may create in a schema of the search path,
 * would run with our rights. */
/* now(), shifted: `$n` must be session->shift. */
#define QUERY_NOW(n) "(clock_timestamp() + $" #n "::float8 * interval '1 millisecond')"
/* An instant as milliseconds since the epoch. */
#define QUERY_MS(expression) "(extract(epoch FROM " expression ")::numeric * 1000.0)::bigint"

/* Field access: NULL/0/false for an SQL null. A number out of bounds reads as 0. */
const char *query_text(const PGresult *result, int row, int column);
int64_t query_number(const PGresult *result, int row, int column);
bool query_bool(const PGresult *result, int row, int column);
/* Copies a text field, cut to fit; "" for an SQL null. */
void query_copy(const PGresult *result, int row, int column, char *out, size_t size);
/* Copies a text field, or a field of type text[] (as an array that ends with NULL); NULL for an SQL
 * null. The caller frees the one, and the other with text_list_free(). */
bool query_copy_text(const PGresult *result, int row, int column, char **out, struct error *err);
bool query_copy_array(const PGresult *result, int row, int column, char ***out, struct error *err);

/* Reads each row of the result, which it clears, into an item of *items, an array that the caller
 * frees; NULL when there is no row. After a failure the first *count items hold what was read. */
bool query_read_items(PGresult *result, size_t item_size,
                      bool (*read)(const PGresult *result, int row, void *item, struct error *err),
                      void **items, size_t *count, struct error *err);

/* What the server's encode() wrote in hex, in place. */
void query_decode_hex(char *string);

/* Appends a string as an element of an array literal, quoted. */
void query_append_element(struct text *array, const char *element);
/* The list, which ends with NULL, as an array literal that the caller frees. */
bool query_format_array(char *const *list, char **out, struct error *err);

/* The value of one of PQconninfo()'s options; of several hosts, or several addresses of one, that
 * of the one that answered: a second connection must get there, too. */
const char *query_option_value(const struct session *session, const PQconninfoOption *option);

/* The encoding of the database, as the session was told. */
bool query_is_utf8(const struct session *session);
bool query_is_sql_ascii(const struct session *session);

#endif

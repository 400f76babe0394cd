/*
 * A last stage: takes a script apart, as pg_dump and our dump write it, into the statements and the
 * rows that a server is to be sent. psql is not needed and its commands are not run: a hostile dump
 * must not reach them.
 *
 * A statement ends at a ';' outside of quotes, comments, parentheses and the body of a routine
 * (BEGIN ATOMIC ... END). Scripts are not trusted (invariant I11): what is longer than the limit,
 * what sql_policy.h refuses and a script that ends in the middle of something are errors, which
 * begin with "line N: ". So is a psql command; \restrict and \unrestrict are passed over.
 */
#ifndef RESTORE_SQL_SCRIPT_H
#define RESTORE_SQL_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "stream/stage.h"

/* Bytes of a statement, or of a comment, that is in memory whole. */
#define SQL_STATEMENT_MOST ((size_t)64 * 1024 * 1024)

struct sql_statement {
    const char *text; /* NUL-terminated, with its ';' and without what stands before it */
    size_t length;
    const char *entry; /* the last comment before it that toc_entry.h can read, or "" */
    bool is_copy;      /* COPY ... FROM stdin: its rows follow */
    uint64_t line;     /* where it begins, from 1 */
};

/* What the script goes to. All is valid during the call alone. A function that fails has filled in
 * *err, and nothing is called any more. */
struct sql_script_sink {
    bool (*statement)(void *context, const struct sql_statement *statement, struct error *err);
    /* Rows of the COPY before, in pieces of any size, as they stand in the script. Both may be
     * NULL, for who has nothing to do there. */
    bool (*rows)(void *context, const char *rows, size_t size, struct error *err);
    bool (*rows_end)(void *context, struct error *err);
    void (*release)(void *context); /* when the stage is freed; or NULL */
    void *context;
};

/* `sink` is copied. Rows are passed on without being copied. */
struct stage *sql_script_stage_new(const struct sql_script_sink *sink, struct error *err);

#endif

/*
 * COPY TABLE (COLUMNS) FROM stdin, taken apart: the only form of COPY that a dump has, without a
 * list where a table has no columns.
 */
#ifndef RESTORE_COPY_STATEMENT_H
#define RESTORE_COPY_STATEMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

/* Parts of the statement's text, as they stand in it. */
struct copy_statement {
    const char *table; /* with its schema, quoted */
    size_t table_length;
    const char *columns; /* without the parentheses; NULL: there is no list */
    size_t columns_length;
};

/* False for anything else. */
bool copy_statement_read(const char *statement, size_t length, struct copy_statement *out);

/* The most that the two below append to what the table and the columns have. */
#define COPY_STATEMENT_MORE 64
/* The statement once more. `options`: "FORMAT binary, FREEZE", or "" for none. */
void copy_statement_append(const struct copy_statement *copy, const char *options,
                           struct text *out);
/* A query of the same columns; the statement must have a list. */
void copy_statement_append_query(const struct copy_statement *copy, struct text *out);

#endif

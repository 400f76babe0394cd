/*
 * Tells, token by token, where a statement ends: as psql does, but for one thing. Of the words that
 * open a block in the body of a routine only BEGIN ATOMIC and CASE count, for a function and a
 * column may be called "begin", which pg_dump writes without quotes.
 */
#ifndef RESTORE_STATEMENT_END_H
#define RESTORE_STATEMENT_END_H

#include <stdbool.h>
#include <stddef.h>

#include "restore/sql_token.h"

/* How far the words are those of CREATE [OR REPLACE] FUNCTION or PROCEDURE. */
enum statement_head { HEAD_NONE, HEAD_CREATE, HEAD_OR, HEAD_REPLACE, HEAD_ROUTINE, HEAD_OTHER };

/* Starts as zeroes. */
struct statement_end {
    enum statement_head head;
    bool after_begin;
    size_t blocks;
    size_t parentheses;
};

/* Takes the next token of the statement, blanks and comments left out; true when it is the last. */
bool statement_end_add(struct statement_end *end, const struct sql_token *token);

#endif

/*
 * SQL cut into tokens, as the server's and psql's scanners do it (PostgreSQL manual, "Lexical
 * Structure") with standard_conforming_strings on: no more than is needed to tell where a statement
 * ends, which words it has and whom it names. Numbers and operators are single bytes here.
 *
 * The text may grow while it is read. The encoding is one that a server can have: in these a byte
 * below 0x80 is always the ASCII character, and those above may be part of a name.
 */
#ifndef RESTORE_SQL_LEXER_H
#define RESTORE_SQL_LEXER_H

#include <stdbool.h>
#include <stddef.h>

#include "restore/sql_token.h"

enum sql_lexer_state {
    SQL_LEXER_BEGIN, /* between two tokens */
    SQL_LEXER_SYMBOL,
    SQL_LEXER_SPACE,
    SQL_LEXER_LINE_COMMENT,
    SQL_LEXER_BLOCK_COMMENT,
    SQL_LEXER_WORD,
    SQL_LEXER_QUOTED,
    SQL_LEXER_STRING,
    SQL_LEXER_ESCAPE_STRING,
    SQL_LEXER_DOLLAR_TAG,
    SQL_LEXER_DOLLAR_STRING,
};

struct sql_lexer {
    const char *text; /* borrowed; may move and become longer between two calls */
    size_t length;
    bool is_whole; /* nothing will follow */
    size_t start;  /* of the token that is being read, or of the next one */

    size_t at; /* the rest is the lexer's own */
    enum sql_lexer_state state;
    size_t depth;      /* of block comments */
    size_t tag_length; /* of a dollar quote */
    bool after_escape; /* the last token but blanks and comments was E'...' */
    bool after_break;  /* and a line break followed it */
};

/* For a text that is all there. */
void sql_lexer_init(struct sql_lexer *lexer, const char *text, size_t length);
/* The next token. After SQL_TOKEN_MORE, with more text, it goes on where it was. */
enum sql_token_kind sql_lexer_next(struct sql_lexer *lexer, struct sql_token *token);
/* The same, passing over blanks and comments. */
enum sql_token_kind sql_lexer_next_solid(struct sql_lexer *lexer, struct sql_token *token);
/* The text's first `size` bytes, which are before `start`, were removed. */
void sql_lexer_drop(struct sql_lexer *lexer, size_t size);
/* Bytes from `start` that are no SQL were used otherwise: the next token begins behind them. */
void sql_lexer_skip(struct sql_lexer *lexer, size_t size);
/* "a string", "a comment", "a quoted name": what the text ends in, or NULL. */
const char *sql_lexer_unfinished(const struct sql_lexer *lexer);

#endif

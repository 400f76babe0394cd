/*
 * A token of SQL, and what it says: a keyword, or a name without its quotes.
 */
#ifndef RESTORE_SQL_TOKEN_H
#define RESTORE_SQL_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum sql_token_kind {
    SQL_TOKEN_MORE,    /* no token: the text ends before one does */
    SQL_TOKEN_SPACE,   /* blanks and line breaks */
    SQL_TOKEN_COMMENT, /* without the line break */
    SQL_TOKEN_WORD,    /* a keyword or a name without quotes */
    SQL_TOKEN_QUOTED,  /* "a name", U&"a name" */
    SQL_TOKEN_STRING,  /* '...', E'...', U&'...', $tag$...$tag$ */
    SQL_TOKEN_SYMBOL,  /* one byte */
};

struct sql_token {
    enum sql_token_kind kind;
    const char *text;
    size_t length;
};

/* A keyword, in any case; `word` is in lower case. */
bool sql_token_is_word(const struct sql_token *token, const char *word);
bool sql_token_is_symbol(const struct sql_token *token, char symbol);
/* A word, or a quoted name. */
bool sql_token_is_name(const struct sql_token *token);

/* What a name or a '...' string says: a word in lower case, the others without quotes, for the
 * caller to free. The escapes of E'' and U& stay as they are, and so does a dollar quote. NULL when
 * there is no memory. */
char *sql_token_unquote(const struct sql_token *token, struct error *err);

#endif

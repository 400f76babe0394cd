#include "restore/sql_token.h"

#include <stdlib.h>
#include <string.h>

/* Of ASCII alone, whatever the locale. */
static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

bool sql_token_is_word(const struct sql_token *token, const char *word)
{
    if (token->kind != SQL_TOKEN_WORD || token->length != strlen(word)) {
        return false;
    }
    for (size_t i = 0; i < token->length; i++) {
        if (lower(token->text[i]) != word[i]) {
            return false;
        }
    }
    return true;
}

bool sql_token_is_symbol(const struct sql_token *token, char symbol)
{
    return token->kind == SQL_TOKEN_SYMBOL && token->text[0] == symbol;
}

bool sql_token_is_name(const struct sql_token *token)
{
    return token->kind == SQL_TOKEN_WORD || token->kind == SQL_TOKEN_QUOTED;
}

/* Between the quotes, with doubled ones made single. */
static void copy_quoted(char *out, const struct sql_token *token)
{
    char quote = token->kind == SQL_TOKEN_QUOTED ? '"' : '\'';
    const char *end = token->text + token->length;
    const char *c = memchr(token->text, quote, token->length);

    for (c = c == NULL ? end : c + 1; c + 1 < end; c++) {
        *out++ = *c;
        c += c[0] == quote && c[1] == quote ? 1 : 0;
    }
    *out = '\0';
}

char *sql_token_unquote(const struct sql_token *token, struct error *err)
{
    char *out = malloc(token->length + 1);

    if (out == NULL) {
        error_set_memory(err);
        return NULL;
    }
    if (token->kind != SQL_TOKEN_WORD) {
        copy_quoted(out, token);
        return out;
    }
    for (size_t i = 0; i < token->length; i++) {
        out[i] = lower(token->text[i]);
    }
    out[token->length] = '\0';
    return out;
}

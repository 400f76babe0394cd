#include "restore/sql_lexer.h"

#include <string.h>

/* What came of reading on in a token. */
enum scan {
    SCAN_END,  /* it ends at `at` */
    SCAN_MORE, /* the text ends first */
    SCAN_TURN, /* it is of another kind: `state` has changed */
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static bool is_break(char c)
{
    return c == '\n' || c == '\r';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool begins_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

/* At the end of the text a token that has no end of its own ends only if nothing follows. */
static enum scan end_open_token(const struct sql_lexer *lexer)
{
    return lexer->at < lexer->length || lexer->is_whole ? SCAN_END : SCAN_MORE;
}

static enum scan turn(struct sql_lexer *lexer, enum sql_lexer_state state, size_t length)
{
    lexer->state = state;
    lexer->at = lexer->start + length;
    return SCAN_TURN;
}

static enum scan scan_space(struct sql_lexer *lexer)
{
    while (lexer->at < lexer->length && is_space(lexer->text[lexer->at])) {
        lexer->after_break |= is_break(lexer->text[lexer->at]);
        lexer->at++;
    }
    return end_open_token(lexer);
}

static enum scan scan_line_comment(struct sql_lexer *lexer)
{
    while (lexer->at < lexer->length && !is_break(lexer->text[lexer->at])) {
        lexer->at++;
    }
    return end_open_token(lexer);
}

static enum scan scan_block_comment(struct sql_lexer *lexer)
{
    while (lexer->at + 1 < lexer->length) {
        const char *c = lexer->text + lexer->at;
        if (c[0] == '/' && c[1] == '*') {
            lexer->depth++;
            lexer->at += 2;
        } else if (c[0] == '*' && c[1] == '/') {
            lexer->depth--;
            lexer->at += 2;
            if (lexer->depth == 0) {
                return SCAN_END;
            }
        } else {
            lexer->at++;
        }
    }
    return SCAN_MORE;
}

/* E, U& and what follows them make one token. */
static enum scan scan_word(struct sql_lexer *lexer)
{
    const char *c = lexer->text + lexer->start;

    while (lexer->at < lexer->length &&
           (begins_word(lexer->text[lexer->at]) || is_digit(lexer->text[lexer->at]) ||
            lexer->text[lexer->at] == '$')) {
        lexer->at++;
    }
    if (lexer->at == lexer->length) {
        return end_open_token(lexer);
    }
    if (lexer->at - lexer->start > 1) {
        return SCAN_END;
    }
    if ((c[0] == 'E' || c[0] == 'e') && c[1] == '\'') {
        return turn(lexer, SQL_LEXER_ESCAPE_STRING, 2);
    }
    if ((c[0] == 'U' || c[0] == 'u') && c[1] == '&') {
        if (lexer->at + 1 == lexer->length) {
            return lexer->is_whole ? SCAN_END : SCAN_MORE;
        }
        if (c[2] == '\'' || c[2] == '"') {
            return turn(lexer, c[2] == '"' ? SQL_LEXER_QUOTED : SQL_LEXER_STRING, 3);
        }
    }
    return SCAN_END;
}

/* At a quote: the last one, unless another follows. Only SCAN_MORE leaves `at` where it is. */
static enum scan scan_quote(struct sql_lexer *lexer, char quote)
{
    if (lexer->at + 1 == lexer->length && !lexer->is_whole) {
        return SCAN_MORE;
    }
    lexer->at++;
    if (lexer->at == lexer->length || lexer->text[lexer->at] != quote) {
        return SCAN_END;
    }
    lexer->at++;
    return SCAN_TURN;
}

static enum scan scan_quoted(struct sql_lexer *lexer, char quote)
{
    while (lexer->at < lexer->length) {
        const char *found = memchr(lexer->text + lexer->at, quote, lexer->length - lexer->at);
        lexer->at = found == NULL ? lexer->length : (size_t)(found - lexer->text);
        enum scan result = found == NULL ? SCAN_MORE : scan_quote(lexer, quote);
        if (result != SCAN_TURN) {
            return result;
        }
    }
    return SCAN_MORE;
}

static enum scan scan_escape_string(struct sql_lexer *lexer)
{
    while (lexer->at < lexer->length) {
        char c = lexer->text[lexer->at];
        if (c == '\'') {
            enum scan result = scan_quote(lexer, '\'');
            if (result != SCAN_TURN) {
                return result;
            }
        } else if (c != '\\') {
            lexer->at++;
        } else if (lexer->at + 1 < lexer->length) {
            lexer->at += 2;
        } else {
            return SCAN_MORE;
        }
    }
    return SCAN_MORE;
}

/* "$tag$", or a '$' that is something else. */
static enum scan scan_dollar_tag(struct sql_lexer *lexer)
{
    while (lexer->at < lexer->length) {
        char c = lexer->text[lexer->at];
        if (c == '$') {
            lexer->tag_length = lexer->at + 1 - lexer->start;
            return turn(lexer, SQL_LEXER_DOLLAR_STRING, lexer->tag_length);
        }
        if (!begins_word(c) && (lexer->at == lexer->start + 1 || !is_digit(c))) {
            return turn(lexer, SQL_LEXER_SYMBOL, 1);
        }
        lexer->at++;
    }
    return lexer->is_whole ? turn(lexer, SQL_LEXER_SYMBOL, 1) : SCAN_MORE;
}

static enum scan scan_dollar_string(struct sql_lexer *lexer)
{
    const char *found = memmem(lexer->text + lexer->at, lexer->length - lexer->at,
                               lexer->text + lexer->start, lexer->tag_length);

    if (found != NULL) {
        lexer->at = (size_t)(found - lexer->text) + lexer->tag_length;
        return SCAN_END;
    }
    if (lexer->length - lexer->at >= lexer->tag_length) {
        lexer->at = lexer->length - lexer->tag_length + 1;
    }
    return SCAN_MORE;
}

/* A comment begins wherever its two characters stand, in the middle of an operator, too. */
static enum scan scan_comment_mark(struct sql_lexer *lexer)
{
    const char *c = lexer->text + lexer->start;

    if (lexer->start + 1 == lexer->length) {
        return lexer->is_whole ? turn(lexer, SQL_LEXER_SYMBOL, 1) : SCAN_MORE;
    }
    if (c[0] == '-' && c[1] == '-') {
        return turn(lexer, SQL_LEXER_LINE_COMMENT, 2);
    }
    if (c[0] == '/' && c[1] == '*') {
        lexer->depth = 1;
        return turn(lexer, SQL_LEXER_BLOCK_COMMENT, 2);
    }
    return turn(lexer, SQL_LEXER_SYMBOL, 1);
}

static enum scan scan_beginning(struct sql_lexer *lexer)
{
    if (lexer->start == lexer->length) {
        return SCAN_MORE;
    }
    char c = lexer->text[lexer->start];
    if (c == '-' || c == '/') {
        return scan_comment_mark(lexer);
    }
    if (is_space(c)) {
        return turn(lexer, SQL_LEXER_SPACE, 0);
    }
    if (begins_word(c)) {
        return turn(lexer, SQL_LEXER_WORD, 1);
    }
    if (c == '\'') {
        /* A string goes on in another line as it began (manual, "String Constants"). */
        bool goes_on = lexer->after_escape && lexer->after_break;
        return turn(lexer, goes_on ? SQL_LEXER_ESCAPE_STRING : SQL_LEXER_STRING, 1);
    }
    return turn(lexer,
                c == '"'   ? SQL_LEXER_QUOTED
                : c == '$' ? SQL_LEXER_DOLLAR_TAG
                           : SQL_LEXER_SYMBOL,
                1);
}

static enum scan scan(struct sql_lexer *lexer)
{
    switch (lexer->state) {
    case SQL_LEXER_BEGIN:
        return scan_beginning(lexer);
    case SQL_LEXER_SYMBOL:
        return SCAN_END;
    case SQL_LEXER_SPACE:
        return scan_space(lexer);
    case SQL_LEXER_LINE_COMMENT:
        return scan_line_comment(lexer);
    case SQL_LEXER_BLOCK_COMMENT:
        return scan_block_comment(lexer);
    case SQL_LEXER_WORD:
        return scan_word(lexer);
    case SQL_LEXER_QUOTED:
        return scan_quoted(lexer, '"');
    case SQL_LEXER_STRING:
        return scan_quoted(lexer, '\'');
    case SQL_LEXER_ESCAPE_STRING:
        return scan_escape_string(lexer);
    case SQL_LEXER_DOLLAR_TAG:
        return scan_dollar_tag(lexer);
    case SQL_LEXER_DOLLAR_STRING:
        break;
    }
    return scan_dollar_string(lexer);
}

void sql_lexer_init(struct sql_lexer *lexer, const char *text, size_t length)
{
    *lexer = (struct sql_lexer){.text = text, .length = length, .is_whole = true};
}

enum sql_token_kind sql_lexer_next(struct sql_lexer *lexer, struct sql_token *token)
{
    static const enum sql_token_kind kinds[] = {
        [SQL_LEXER_BEGIN] = SQL_TOKEN_MORE,
        [SQL_LEXER_SYMBOL] = SQL_TOKEN_SYMBOL,
        [SQL_LEXER_SPACE] = SQL_TOKEN_SPACE,
        [SQL_LEXER_LINE_COMMENT] = SQL_TOKEN_COMMENT,
        [SQL_LEXER_BLOCK_COMMENT] = SQL_TOKEN_COMMENT,
        [SQL_LEXER_WORD] = SQL_TOKEN_WORD,
        [SQL_LEXER_QUOTED] = SQL_TOKEN_QUOTED,
        [SQL_LEXER_STRING] = SQL_TOKEN_STRING,
        [SQL_LEXER_ESCAPE_STRING] = SQL_TOKEN_STRING,
        [SQL_LEXER_DOLLAR_TAG] = SQL_TOKEN_SYMBOL,
        [SQL_LEXER_DOLLAR_STRING] = SQL_TOKEN_STRING,
    };
    enum scan result;

    do {
        result = scan(lexer);
    } while (result == SCAN_TURN);
    if (result == SCAN_MORE) {
        return SQL_TOKEN_MORE;
    }
    *token = (struct sql_token){.kind = kinds[lexer->state],
                                .text = lexer->text + lexer->start,
                                .length = lexer->at - lexer->start};
    if (lexer->state != SQL_LEXER_SPACE && lexer->state != SQL_LEXER_LINE_COMMENT) {
        lexer->after_escape = lexer->state == SQL_LEXER_ESCAPE_STRING;
        lexer->after_break = false;
    }
    lexer->start = lexer->at;
    lexer->state = SQL_LEXER_BEGIN;
    return token->kind;
}

enum sql_token_kind sql_lexer_next_solid(struct sql_lexer *lexer, struct sql_token *token)
{
    enum sql_token_kind kind;

    do {
        kind = sql_lexer_next(lexer, token);
    } while (kind == SQL_TOKEN_SPACE || kind == SQL_TOKEN_COMMENT);
    return kind;
}

void sql_lexer_drop(struct sql_lexer *lexer, size_t size)
{
    lexer->start -= size;
    lexer->at -= size;
    lexer->length -= size;
}

void sql_lexer_skip(struct sql_lexer *lexer, size_t size)
{
    lexer->start += size;
    lexer->at = lexer->start;
    lexer->state = SQL_LEXER_BEGIN;
    lexer->after_escape = false;
}

const char *sql_lexer_unfinished(const struct sql_lexer *lexer)
{
    switch (lexer->state) {
    case SQL_LEXER_BLOCK_COMMENT:
        return "a comment";
    case SQL_LEXER_QUOTED:
        return "a quoted name";
    case SQL_LEXER_STRING:
    case SQL_LEXER_ESCAPE_STRING:
    case SQL_LEXER_DOLLAR_STRING:
        return "a string";
    default:
        return NULL;
    }
}

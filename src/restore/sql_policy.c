#include "restore/sql_policy.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "restore/copy_statement.h"
#include "restore/sql_lexer.h"

/* Of the encodings that only clients have, where a byte of a character may be a quote or backslash
 * (manual, "Character Set Support"), all names, as the server compares them. */
static const char *const client_encodings[] = {
    "big5",         "gb18030",    "gbk",        "johab",      "mskanji",    "shiftjis",
    "shiftjis2004", "sjis",       "uhc",        "win932",     "win936",     "win949",
    "win950",       "windows932", "windows936", "windows949", "windows950",
};

static bool refuse_copy(struct error *err)
{
    return error_set(
        err, ERROR_DAMAGED,
        "COPY in a form that dumps do not have; restore runs only COPY TABLE (COLUMNS) "
        "FROM stdin");
}

static bool is_client_encoding(char *name)
{
    size_t length = 0;

    for (const char *c = name; *c != '\0'; c++) {
        if (isalnum((unsigned char)*c)) {
            name[length++] = (char)tolower((unsigned char)*c);
        }
    }
    name[length] = '\0';
    for (size_t i = 0; i < sizeof(client_encodings) / sizeof(client_encodings[0]); i++) {
        if (strcmp(name, client_encodings[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool check_value(bool is_strings, const struct sql_token *value, struct error *err)
{
    char *text = sql_token_unquote(value, err);

    if (text == NULL) {
        return false;
    }
    bool ok = true;
    if (is_strings && strcmp(text, "on") != 0) {
        ok = error_set(err, ERROR_DAMAGED,
                       "standard_conforming_strings is not set to on; restore cannot read such a "
                       "script");
    } else if (!is_strings && is_client_encoding(text)) {
        ok =
            error_set(err, ERROR_DAMAGED,
                      "client_encoding is set to %.40s, which no database can have; restore cannot "
                      "read such a script",
                      text);
    }
    free(text);
    return ok;
}

/* What follows the word SET. */
static bool check_set(struct sql_lexer *lexer, struct error *err)
{
    struct sql_token token = {.kind = SQL_TOKEN_MORE};

    sql_lexer_next_solid(lexer, &token);
    if (sql_token_is_word(&token, "session") || sql_token_is_word(&token, "local")) {
        sql_lexer_next_solid(lexer, &token);
    }
    bool is_strings = sql_token_is_word(&token, "standard_conforming_strings");
    if (!is_strings && !sql_token_is_word(&token, "client_encoding")) {
        return true;
    }
    sql_lexer_next_solid(lexer, &token); /* = or TO */
    sql_lexer_next_solid(lexer, &token);
    return check_value(is_strings, &token, err);
}

bool sql_policy_check(const char *statement, size_t length, bool *is_copy, struct error *err)
{
    struct sql_lexer lexer;
    struct sql_token token = {.kind = SQL_TOKEN_MORE};

    sql_lexer_init(&lexer, statement, length);
    sql_lexer_next_solid(&lexer, &token);
    if (sql_token_is_word(&token, "set") && !check_set(&lexer, err)) {
        return false;
    }
    struct copy_statement copy;
    bool copies = sql_token_is_word(&token, "copy");
    if (copies && !copy_statement_read(statement, length, &copy)) {
        return refuse_copy(err);
    }
    *is_copy = copies;
    return true;
}

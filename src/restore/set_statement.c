#include "restore/set_statement.h"

#include <stddef.h>
#include <string.h>

#include "restore/sql_lexer.h"

/* Of a SET, the parameter. */
static bool read_name(const struct sql_statement *statement, struct sql_token *name)
{
    struct sql_lexer lexer;
    struct sql_token verb;

    sql_lexer_init(&lexer, statement->text, statement->length);
    return sql_lexer_next_solid(&lexer, &verb) != SQL_TOKEN_MORE &&
           sql_token_is_word(&verb, "set") && sql_lexer_next_solid(&lexer, name) != SQL_TOKEN_MORE;
}

bool set_statement_is(const struct sql_statement *statement)
{
    static const char function[] = "SELECT pg_catalog.set_config(";
    struct sql_token name;

    return read_name(statement, &name) || strncmp(statement->text, function, strlen(function)) == 0;
}

bool set_statement_is_of_time(const struct sql_statement *statement)
{
    static const char *const names[] = {"statement_timeout", "lock_timeout", "transaction_timeout",
                                        "idle_in_transaction_session_timeout",
                                        "idle_session_timeout"};
    struct sql_token name;

    if (!read_name(statement, &name)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (sql_token_is_word(&name, names[i])) {
            return true;
        }
    }
    return false;
}

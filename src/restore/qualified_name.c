#include "restore/qualified_name.h"

#include <stdlib.h>

void qualified_name_clear(struct qualified_name *name)
{
    free(name->schema);
    free(name->name);
    *name = (struct qualified_name){NULL, NULL};
}

bool qualified_name_next(struct sql_lexer *lexer, struct qualified_name *out, bool *found,
                         struct error *err)
{
    struct sql_token before = {.kind = SQL_TOKEN_MORE};
    struct sql_token token;
    bool after_dot = false;

    *found = false;
    while (!*found && sql_lexer_next_solid(lexer, &token) != SQL_TOKEN_MORE) {
        if (after_dot && sql_token_is_name(&token)) {
            out->schema = sql_token_unquote(&before, err);
            out->name = out->schema != NULL ? sql_token_unquote(&token, err) : NULL;
            *found = true;
        }
        after_dot = sql_token_is_symbol(&token, '.') && sql_token_is_name(&before);
        if (!after_dot) {
            before = token;
        }
    }
    if (*found && out->name == NULL) {
        qualified_name_clear(out);
        *found = false;
        return false;
    }
    return true;
}

bool qualified_name_first(const char *text, size_t length, struct qualified_name *out, bool *found,
                          struct error *err)
{
    struct sql_lexer lexer;

    sql_lexer_init(&lexer, text, length);
    return qualified_name_next(&lexer, out, found, err);
}

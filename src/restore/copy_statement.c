#include "restore/copy_statement.h"

#include "restore/sql_lexer.h"

/* "name" or "schema.name"; *token is what follows. */
static bool read_table(struct sql_lexer *lexer, struct sql_token *token, struct copy_statement *out)
{
    sql_lexer_next_solid(lexer, token);
    out->table = token->text;
    out->table_length = token->length;
    if (!sql_token_is_name(token)) {
        return false;
    }
    if (sql_lexer_next_solid(lexer, token) != SQL_TOKEN_SYMBOL ||
        !sql_token_is_symbol(token, '.')) {
        return true;
    }
    sql_lexer_next_solid(lexer, token);
    bool is_name = sql_token_is_name(token);
    out->table_length = (size_t)(token->text + token->length - out->table);
    sql_lexer_next_solid(lexer, token);
    return is_name;
}

/* "(a, b)", or nothing. */
static bool read_columns(struct sql_lexer *lexer, struct sql_token *token,
                         struct copy_statement *out)
{
    if (!sql_token_is_symbol(token, '(')) {
        return true;
    }
    out->columns = token->text + token->length;
    do {
        sql_lexer_next_solid(lexer, token);
    } while (sql_token_is_name(token) || sql_token_is_symbol(token, ','));
    if (!sql_token_is_symbol(token, ')')) {
        return false;
    }
    out->columns_length = (size_t)(token->text - out->columns);
    sql_lexer_next_solid(lexer, token);
    return true;
}

bool copy_statement_read(const char *statement, size_t length, struct copy_statement *out)
{
    struct sql_lexer lexer;
    struct sql_token token = {.kind = SQL_TOKEN_MORE};

    *out = (struct copy_statement){.table = NULL};
    sql_lexer_init(&lexer, statement, length);
    sql_lexer_next_solid(&lexer, &token);
    if (!sql_token_is_word(&token, "copy") || !read_table(&lexer, &token, out) ||
        !read_columns(&lexer, &token, out) || !sql_token_is_word(&token, "from")) {
        return false;
    }
    sql_lexer_next_solid(&lexer, &token);
    if (!sql_token_is_word(&token, "stdin")) {
        return false;
    }
    sql_lexer_next_solid(&lexer, &token);
    return sql_token_is_symbol(&token, ';');
}

void copy_statement_append(const struct copy_statement *copy, const char *options, struct text *out)
{
    text_append(out, "COPY ");
    text_append_bytes(out, copy->table, copy->table_length);
    if (copy->columns != NULL) {
        text_append(out, " (");
        text_append_bytes(out, copy->columns, copy->columns_length);
        text_append(out, ")");
    }
    text_append(out, " FROM stdin");
    if (*options != '\0') {
        text_append(out, " WITH (");
        text_append(out, options);
        text_append(out, ")");
    }
}

void copy_statement_append_query(const struct copy_statement *copy, struct text *out)
{
    text_append(out, "SELECT ");
    text_append_bytes(out, copy->columns, copy->columns_length);
    text_append(out, " FROM ");
    text_append_bytes(out, copy->table, copy->table_length);
}

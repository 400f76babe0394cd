#include "restore/statement_end.h"

static enum statement_head read_head(enum statement_head head, const struct sql_token *token)
{
    bool is_routine = sql_token_is_word(token, "function") || sql_token_is_word(token, "procedure");

    switch (head) {
    case HEAD_NONE:
        return sql_token_is_word(token, "create") ? HEAD_CREATE : HEAD_OTHER;
    case HEAD_CREATE:
        return is_routine ? HEAD_ROUTINE : sql_token_is_word(token, "or") ? HEAD_OR : HEAD_OTHER;
    case HEAD_OR:
        return sql_token_is_word(token, "replace") ? HEAD_REPLACE : HEAD_OTHER;
    case HEAD_REPLACE:
        return is_routine ? HEAD_ROUTINE : HEAD_OTHER;
    default:
        return head;
    }
}

/* Of a routine, outside of parentheses. */
static void read_body(struct statement_end *end, const struct sql_token *token)
{
    if (end->blocks == 0) {
        end->blocks = end->after_begin && sql_token_is_word(token, "atomic") ? 1 : 0;
    } else if (sql_token_is_word(token, "case")) {
        end->blocks++;
    } else if (sql_token_is_word(token, "end")) {
        end->blocks--;
    }
    end->after_begin = sql_token_is_word(token, "begin");
}

bool statement_end_add(struct statement_end *end, const struct sql_token *token)
{
    end->head = read_head(end->head, token);
    if (end->head == HEAD_ROUTINE && end->parentheses == 0) {
        read_body(end, token);
    }
    if (sql_token_is_symbol(token, '(')) {
        end->parentheses++;
    } else if (sql_token_is_symbol(token, ')') && end->parentheses > 0) {
        end->parentheses--;
    }
    return end->parentheses == 0 && end->blocks == 0 && sql_token_is_symbol(token, ';');
}

#include "identity/token.h"

#include <stdlib.h>
#include <string.h>

void token_clear(struct token *token)
{
    if (token->value != NULL) {
        explicit_bzero(token->value, strlen(token->value));
        free(token->value);
    }
    *token = (struct token)TOKEN_INIT;
}

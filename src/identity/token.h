/*
 * A bearer token (RFC 6750), which its holder gives as it is and nobody takes apart.
 */
#ifndef IDENTITY_TOKEN_H
#define IDENTITY_TOKEN_H

#include <stdint.h>

/* Tokens have 1.5 to 3 KB; with their name they must fit into a header's line. */
#define TOKEN_CAP (12 * 1024)

struct token {
    char *value;     /* printable, without blanks; registered with base/redact.h; NULL: none */
    int64_t life_ms; /* it is good for so long from its arrival on; more than 0 */
};
#define TOKEN_INIT                                                                                 \
    {                                                                                              \
        .value = NULL                                                                              \
    }
/* Wipes it. */
void token_clear(struct token *token);

#endif

/*
 * The token of one resource, kept and replaced before it ends, for all threads of the process.
 */
#ifndef IDENTITY_TOKEN_CACHE_H
#define IDENTITY_TOKEN_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"
#include "identity/entra.h"

struct token_cache;

/* Copies *entra; `resource` is borrowed. Nobody is asked yet. */
struct token_cache *token_cache_new(const struct entra *entra, const char *resource,
                                    struct error *err);
/* NULL is fine. */
void token_cache_free(struct token_cache *cache);

/* Appends the token to *out, asked for first when there is none, or when it is time: 5 minutes
 * before it ends or, with one that is good for two hours or more, when half of that is over. While
 * one thread asks, the others wait for it. A new one that cannot be had is no error while the old
 * one is good. */
bool token_cache_get(struct token_cache *cache, const struct entra_patience *patience,
                     struct text *out, struct error *err);

/* A service has refused this token: the next token_cache_get() asks for a new one, unless another
 * thread has done so meanwhile. */
void token_cache_reject(struct token_cache *cache, const char *token);

/* What to call whoever gives the tokens. */
const char *token_cache_name(const struct token_cache *cache);

/* For how long of its life a token is given out before a new one is asked for. */
int64_t token_cache_use_ms(int64_t life_ms);

#endif

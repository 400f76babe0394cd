#include "identity/token_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define MARGIN_MS    ((int64_t)5 * 60 * 1000)
#define LONG_LIFE_MS ((int64_t)2 * 3600 * 1000)

struct token_cache {
    struct entra entra;
    const char *resource;
    pthread_mutex_t lock; /* of what follows */
    struct token token;
    int64_t renew_at_ms; /* on clock_monotonic_ms() */
    int64_t end_at_ms;
};

struct token_cache *token_cache_new(const struct entra *entra, const char *resource,
                                    struct error *err)
{
    struct token_cache *cache = calloc(1, sizeof(*cache));

    if (cache == NULL) {
        error_set_memory(err);
        return NULL;
    }
    cache->entra = *entra;
    cache->resource = resource;
    pthread_mutex_init(&cache->lock, NULL);
    return cache;
}

void token_cache_free(struct token_cache *cache)
{
    if (cache != NULL) {
        token_clear(&cache->token);
        pthread_mutex_destroy(&cache->lock);
        free(cache);
    }
}

int64_t token_cache_use_ms(int64_t life_ms)
{
    if (life_ms >= LONG_LIFE_MS || life_ms <= 2 * MARGIN_MS) {
        return life_ms / 2;
    }
    return life_ms - MARGIN_MS;
}

static bool renew(struct token_cache *cache, const struct entra_patience *patience,
                  struct error *err)
{
    int64_t now_ms = clock_monotonic_ms();
    struct token fresh = TOKEN_INIT;
    struct error problem = ERROR_INIT;

    if (cache->token.value != NULL && now_ms < cache->renew_at_ms) {
        return true;
    }
    if (entra_request_token(&cache->entra, cache->resource, patience, &fresh, &problem)) {
        token_clear(&cache->token);
        cache->token = fresh;
        /* From before it was asked for: it cannot be older. */
        cache->renew_at_ms = now_ms + token_cache_use_ms(fresh.life_ms);
        cache->end_at_ms = now_ms + fresh.life_ms;
        return true;
    }
    if (cache->token.value == NULL || clock_monotonic_ms() >= cache->end_at_ms) {
        *err = problem;
        return false;
    }
    log_warning("token_not_renewed", "%s; the present one is still good for %lld s", problem.text,
                (long long)(cache->end_at_ms - clock_monotonic_ms()) / 1000);
    cache->renew_at_ms = clock_monotonic_ms() + (cache->end_at_ms - clock_monotonic_ms()) / 2;
    return true;
}

bool token_cache_get(struct token_cache *cache, const struct entra_patience *patience,
                     struct text *out, struct error *err)
{
    pthread_mutex_lock(&cache->lock);
    bool ok = renew(cache, patience, err);
    if (ok) {
        text_append(out, cache->token.value);
    }
    pthread_mutex_unlock(&cache->lock);
    return ok;
}

void token_cache_reject(struct token_cache *cache, const char *token)
{
    pthread_mutex_lock(&cache->lock);
    if (cache->token.value != NULL && strcmp(cache->token.value, token) == 0) {
        token_clear(&cache->token);
    }
    pthread_mutex_unlock(&cache->lock);
}

const char *token_cache_name(const struct token_cache *cache)
{
    return entra_name(&cache->entra);
}

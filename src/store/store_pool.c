#include "store/store_pool.h"

#include <stdlib.h>
#include <string.h>

/* However they are separated. */
static bool names_several(const char *url)
{
    const char *first = strstr(url, "://");
    const char *second = first != NULL ? strstr(first + 1, "://") : NULL;

    /* An option may hold a URL. */
    return url[strcspn(url, " \t\r\n")] != '\0' ||
           (second != NULL && second < url + strcspn(url, "?"));
}

static bool check_single(const char *url, struct error *err)
{
    if (names_several(url)) {
        error_set(
            err, ERROR_CONFIG,
            "RYTHM_BACKUP_STORES or a schedule's stores names more than one store, which this "
            "version does not support");
        error_hint(err, "name one");
        return false;
    }
    return true;
}

static bool check_required(const struct store *store, struct error *err)
{
    return store->is_required ||
           error_set(err, ERROR_CONFIG,
                     "store %s: required=false, but a backup needs one store that is required",
                     store->location);
}

static bool add(struct store_pool *pool, struct store *store, struct error *err)
{
    struct store **grown = reallocarray(pool->items, pool->count + 1, sizeof(*grown));

    if (grown == NULL) {
        return error_set_memory(err);
    }
    pool->items = grown;
    pool->items[pool->count++] = store;
    return true;
}

bool store_pool_get(struct store_pool *pool, const char *url, struct store **out, struct error *err)
{
    char *configured = NULL;
    struct store *opened = NULL;

    if (url == NULL || *url == '\0') {
        configured = store_urls(pool->settings, err);
        if (configured == NULL) {
            return false;
        }
        url = configured;
    }
    bool ok = check_single(url, err) && store_open(url, pool->settings, &opened, err) &&
              check_required(opened, err);
    free(configured);
    if (!ok) {
        store_close(opened);
        return false;
    }
    for (size_t i = 0; i < pool->count; i++) {
        if (strcmp(pool->items[i]->location, opened->location) == 0) {
            store_close(opened);
            *out = pool->items[i];
            return true;
        }
    }
    if (!add(pool, opened, err)) {
        store_close(opened);
        return false;
    }
    *out = opened;
    return true;
}

bool store_pool_check(const char *url, struct error *err)
{
    return check_single(url, err) && store_check(url, err);
}

void store_pool_clear(struct store_pool *pool)
{
    for (size_t i = 0; i < pool->count; i++) {
        store_close(pool->items[i]);
    }
    free(pool->items);
    *pool = (struct store_pool){.settings = pool->settings};
}

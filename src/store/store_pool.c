#include "store/store_pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define BLANKS   " \t\r\n"
#define LIST_CAP 8192

/* Calls `take` for each URL of the list, until it fails. */
static bool for_each(const char *urls, bool (*take)(void *context, const char *url, struct error *),
                     void *context, struct error *err)
{
    bool ok = strlen(urls) <= LIST_CAP;
    char *list = ok ? text_copy(urls) : NULL;
    char *rest = list;

    if (!ok) {
        return error_set(err, ERROR_CONFIG, "a list of stores is longer than %d bytes", LIST_CAP);
    }
    if (list == NULL) {
        return error_set_memory(err);
    }
    for (char *url = strsep(&rest, BLANKS); ok && url != NULL; url = strsep(&rest, BLANKS)) {
        ok = *url == '\0' || take(context, url, err);
    }
    free(list);
    return ok;
}

/* What is meant to be separated by something else. */
static bool check_one(const char *url, struct error *err)
{
    const char *scheme = strstr(url, "://");

    if (scheme != NULL && strstr(scheme + 1, "://") != NULL && strchr(url, '?') == NULL) {
        error_set(err, ERROR_CONFIG, "'%s' holds more than one URL of a store", url);
        return error_hint(err, "separate them by blanks");
    }
    return true;
}

/* *required: as this URL has it, whatever another one of the same store had. */
static bool open_once(struct store_pool *pool, const char *url, struct store **out, bool *required,
                      struct error *err)
{
    struct store *opened = NULL;

    if (!check_one(url, err) || !store_open(url, pool->settings, &opened, err)) {
        return false;
    }
    *required = opened->is_required;
    for (size_t i = 0; i < pool->count; i++) {
        if (strcmp(pool->items[i]->location, opened->location) == 0) {
            store_close(opened);
            *out = pool->items[i];
            return true;
        }
    }
    if (pool->count == STORE_POOL_MOST) {
        store_close(opened);
        return error_set(err, ERROR_CONFIG, "more than %d different stores are named",
                         STORE_POOL_MOST);
    }
    pool->items[pool->count++] = opened;
    *out = opened;
    return true;
}

bool store_pool_get(struct store_pool *pool, const char *url, struct store **out, struct error *err)
{
    bool required;

    if (url == NULL || *url == '\0') {
        return error_set(err, ERROR_CONFIG, "no store is named");
    }
    return open_once(pool, url, out, &required, err);
}

struct choosing {
    struct store_pool *pool;
    struct store_choice *choice;
};

/* Required ones come before the others, each in the order of the list. */
static bool choose(void *context, const char *url, struct error *err)
{
    struct choosing *choosing = context;
    struct store_choice *choice = choosing->choice;
    struct store *store = NULL;
    bool required = true;

    if (choice->count == STORES_MOST) {
        return error_set(err, ERROR_CONFIG, "more than %d stores are named", STORES_MOST);
    }
    if (!open_once(choosing->pool, url, &store, &required, err)) {
        return false;
    }
    for (size_t i = 0; i < choice->count; i++) {
        if (choice->stores[i] == store) {
            return error_set(err, ERROR_CONFIG, "store %s is named twice", store->location);
        }
    }
    char *copy = text_copy(url);
    if (copy == NULL) {
        return error_set_memory(err);
    }
    size_t at = required ? choice->required_count++ : choice->count;
    for (size_t i = choice->count++; i > at; i--) {
        choice->stores[i] = choice->stores[i - 1];
        choice->required[i] = choice->required[i - 1];
        choice->urls[i] = choice->urls[i - 1];
    }
    choice->stores[at] = store;
    choice->required[at] = required;
    choice->urls[at] = copy;
    return true;
}

static bool check_number(size_t count, size_t required_count, struct error *err)
{
    if (count == 0) {
        return error_set(err, ERROR_CONFIG, "no store is named");
    }
    if (required_count > 0) {
        return true;
    }
    error_set(err, ERROR_CONFIG,
              "every store has required=false, and a backup needs one that is "
              "required");
    return error_hint(err, "leave required=false out at one of them");
}

bool store_pool_choose(struct store_pool *pool, const char *urls, struct store_choice *out,
                       struct error *err)
{
    struct choosing choosing = {.pool = pool, .choice = out};
    char *configured = NULL;

    *out = (struct store_choice){.count = 0};
    if (urls == NULL || *urls == '\0') {
        configured = store_urls(pool->settings, err);
        if (configured == NULL) {
            return false;
        }
        urls = configured;
    }
    bool ok = for_each(urls, choose, &choosing, err) &&
              check_number(out->count, out->required_count, err);
    free(configured);
    return ok;
}

void store_choice_clear(struct store_choice *choice)
{
    for (size_t i = 0; i < choice->count; i++) {
        free(choice->urls[i]);
    }
    *choice = (struct store_choice){.count = 0};
}

struct counting {
    size_t count;
    size_t required_count;
};

static bool check_url(void *context, const char *url, struct error *err)
{
    struct counting *counting = context;
    struct store_url parsed = {.parts = NULL};
    bool ok = check_one(url, err) && store_check(url, err) && store_url_parse(url, &parsed, err);

    counting->count++;
    counting->required_count += parsed.required;
    store_url_clear(&parsed);
    return ok && (counting->count <= STORES_MOST ||
                  error_set(err, ERROR_CONFIG, "more than %d stores are named", STORES_MOST));
}

bool store_pool_check(const char *urls, struct error *err)
{
    struct counting counting = {.count = 0};

    return for_each(urls, check_url, &counting, err) &&
           check_number(counting.count, counting.required_count, err);
}

void store_pool_clear(struct store_pool *pool)
{
    for (size_t i = 0; i < pool->count; i++) {
        store_close(pool->items[i]);
    }
    *pool = (struct store_pool){.settings = pool->settings};
}

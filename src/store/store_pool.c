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

static struct store *find_place(const struct store_pool *pool, const char *location)
{
    for (size_t i = 0; i < pool->count; i++) {
        if (strcmp(pool->items[i]->location, location) == 0) {
            return pool->items[i];
        }
    }
    return NULL;
}

/* *found is NULL when none was opened at this location with the options of this URL. */
static bool find_opened(const struct store_pool *pool, const char *location, const char *url,
                        struct store **found, struct error *err)
{
    *found = NULL;
    for (size_t i = 0; *found == NULL && i < pool->opened_count; i++) {
        bool same = false;
        if (strcmp(pool->opened[i].store->location, location) != 0) {
            continue;
        }
        if (!store_url_same_options(pool->opened[i].url, url, &same, err)) {
            return false;
        }
        *found = same ? pool->opened[i].store : NULL;
    }
    return true;
}

/* Takes the store over, unless it fails. */
static bool keep(struct store_pool *pool, struct store *store, const char *url, struct error *err)
{
    if (pool->opened_count == STORE_POOL_MOST) {
        return error_set(err, ERROR_CONFIG, "more than %d different stores are named",
                         STORE_POOL_MOST);
    }
    char *copy = text_copy(url);
    if (copy == NULL) {
        return error_set_memory(err);
    }
    store->watch = &pool->watch;
    if (find_place(pool, store->location) == NULL) {
        pool->items[pool->count++] = store;
    }
    pool->opened[pool->opened_count].url = copy;
    pool->opened[pool->opened_count++].store = store;
    return true;
}

/* *required: as this URL has it, whatever another one of the same store had. */
static bool open_once(struct store_pool *pool, const char *url, bool any_options,
                      struct store **out, bool *required, struct error *err)
{
    struct store *store = NULL;

    *out = NULL;
    if (!check_one(url, err) || !store_open(url, pool->settings, &store, err)) {
        return false;
    }
    *required = store->is_required;
    bool ok = true;
    if (any_options) {
        *out = find_place(pool, store->location);
    } else {
        ok = find_opened(pool, store->location, url, out, err);
    }
    if (ok && *out == NULL && keep(pool, store, url, err)) {
        *out = store;
        return true;
    }
    store_close(store);
    return *out != NULL;
}

bool store_pool_get(struct store_pool *pool, const char *url, struct store **out, struct error *err)
{
    bool required;

    if (url == NULL || *url == '\0') {
        return error_set(err, ERROR_CONFIG, "no store is named");
    }
    return open_once(pool, url, true, out, &required, err);
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
    if (!open_once(choosing->pool, url, false, &store, &required, err)) {
        return false;
    }
    for (size_t i = 0; i < choice->count; i++) {
        if (strcmp(choice->stores[i]->location, store->location) == 0) {
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
    for (size_t i = 0; i < pool->opened_count; i++) {
        store_close(pool->opened[i].store);
        free(pool->opened[i].url);
    }
    *pool = (struct store_pool){.settings = pool->settings};
}

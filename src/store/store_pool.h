/*
 * The stores of one process, each opened once: the configured ones, those that schedules name, and
 * those that the ledger names as a run's; and which of them a backup goes to. One that is named
 * with other options by another URL is opened once for each: a backup is stored as its own URL asks
 * for it, whatever was opened before.
 */
#ifndef STORE_STORE_POOL_H
#define STORE_STORE_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/settings.h"
#include "store/store.h"

/* Of all schedules together. */
#define STORE_POOL_MOST 1000

struct store_pool {
    const struct settings *settings; /* borrowed */
    /* One for each location, for who reads and removes: what was opened for it first. */
    struct store *items[STORE_POOL_MOST];
    size_t count;
    /* All of them, with the URLs that opened them. */
    struct {
        struct store *store;
        char *url;
    } opened[STORE_POOL_MOST];
    size_t opened_count;
    struct store_watch watch; /* of all of them */
};

/* A backup goes to at most so many. */
#define STORES_MOST 8

/* The stores that a backup goes to, those that are required first: it is good when each of these
 * has it. */
struct store_choice {
    struct store *stores[STORES_MOST]; /* the pool's */
    bool required[STORES_MOST];
    char *urls[STORES_MOST]; /* which open them once more */
    size_t count;
    size_t required_count;
};

/* The stores of these URLs, which blanks separate, each with its URL's options; NULL or "" means
 * those that the settings ask for. Nothing is asked of the stores yet. ERROR_CONFIG for what is not
 * a list of different stores, at least one of them required. The caller clears *out, also after a
 * failure. */
bool store_pool_choose(struct store_pool *pool, const char *urls, struct store_choice *out,
                       struct error *err);
void store_choice_clear(struct store_choice *choice);
/* Whether the URLs have the form of such a list: no setting is needed. */
bool store_pool_check(const char *urls, struct error *err);

/* The one store of a URL or a location, as the ledger has it; with whatever options it was opened
 * when it is there. */
bool store_pool_get(struct store_pool *pool, const char *url, struct store **out,
                    struct error *err);
/* Closes them all. */
void store_pool_clear(struct store_pool *pool);

#endif

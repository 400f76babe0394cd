/*
 * The stores of one process, each opened once: the configured one, those that schedules name, and
 * those that the ledger names as a run's.
 */
#ifndef STORE_STORE_POOL_H
#define STORE_STORE_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/settings.h"
#include "store/store.h"

struct store_pool {
    const struct settings *settings; /* borrowed */
    struct store **items;
    size_t count;
};

/* The store of this URL; NULL or "" means the one that the settings ask for. *out belongs to the
 * pool. Nothing is asked of the store yet. ERROR_CONFIG for what is not the URL of one store. */
bool store_pool_get(struct store_pool *pool, const char *url, struct store **out,
                    struct error *err);
/* Whether this is the URL of one store, by its form alone: no setting is needed. */
bool store_pool_check(const char *url, struct error *err);
/* Closes them all. */
void store_pool_clear(struct store_pool *pool);

#endif

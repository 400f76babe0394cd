#include "commands/store_plans.h"

#include <stdlib.h>

#include "base/log.h"
#include "postgres/backup_history.h"

/* A schedule's own store, or a second one, need not exist before its first backup. Where the ledger
 * does not answer, one that is not there is taken for one that is not mounted. */
static void find_new(struct context *context)
{
    struct session *session = NULL;
    struct error ignored = ERROR_INIT;
    bool used = true;

    if (context->stores.count > 1 && context_connect(context, &session, &ignored)) {
        for (size_t i = 0; i < context->stores.count; i++) {
            struct store *store = context->stores.items[i];
            store->is_new = store != context->configured.stores[0] &&
                            backup_history_used_store(session, store->location, &used, &ignored) &&
                            !used;
        }
    }
    session_close(session);
}

bool store_plans_open(struct context *context, const struct schedules *schedules,
                      struct store_plans *out, struct error *err)
{
    *out = (struct store_plans){.stores = &context->stores};
    out->left_out = context_open_stores(context, schedules);
    find_new(context);
    out->items = calloc(context->stores.count, sizeof(*out->items));
    return out->items != NULL ? true : error_set_memory(err);
}

static bool list_one(struct store *store, const struct prune_request *request,
                     struct prune_plan *out, struct error *err)
{
    if (request == NULL) {
        return prune_list(store, out, err);
    }
    struct prune_request own = *request;
    own.store = store;
    return prune_decide(&own, out, err);
}

/* Each but the first when all failed: that one is the command's own error. */
static void tell(const struct error *problems, size_t count, bool all)
{
    for (size_t i = all ? 1 : 0; i < count; i++) {
        if (problems[i].kind != ERROR_NONE) {
            log_warning("store_not_listed", "A store was left out: %s", problems[i].text);
        }
    }
}

bool store_plans_list(struct store_plans *plans, const struct prune_request *request,
                      struct error *err)
{
    size_t count = plans->stores->count;
    struct error *problems = calloc(count, sizeof(*problems));
    size_t failed = 0;
    bool stopped = false;

    if (problems == NULL) {
        return error_set_memory(err);
    }
    for (size_t i = 0; !stopped && i < count; i++) {
        if (!list_one(plans->stores->items[i], request, &plans->items[i], &problems[i])) {
            failed++;
            stopped = problems[i].kind == ERROR_STOPPED;
            *err = stopped || failed == 1 ? problems[i] : *err;
        }
    }
    if (!stopped) {
        tell(problems, count, failed == count);
    }
    free(problems);
    plans->left_out += failed;
    return !stopped && failed < count;
}

void store_plans_clear(struct store_plans *plans)
{
    for (size_t i = 0; plans->items != NULL && i < plans->stores->count; i++) {
        prune_clear(&plans->items[i]);
    }
    free(plans->items);
    *plans = (struct store_plans){.items = NULL};
}

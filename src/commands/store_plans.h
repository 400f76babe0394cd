/*
 * What the stores hold, for the commands that look at all of them: the configured ones, and those
 * that schedules name. A store that fails leaves the others as they are.
 */
#ifndef COMMANDS_STORE_PLANS_H
#define COMMANDS_STORE_PLANS_H

#include <stdbool.h>
#include <stddef.h>

#include "backup/prune.h"
#include "base/error.h"
#include "commands/context.h"
#include "postgres/backup_schedule.h"
#include "store/store_pool.h"

struct store_plans {
    const struct store_pool *stores; /* borrowed from the context */
    struct prune_plan *items;        /* one per store, in their order; empty for one that failed */
    size_t left_out;                 /* stores that could not be opened or listed */
};

/* Opens the configured stores and those of `schedules`. The caller clears *out, also after a
 * failure. */
bool store_plans_open(struct context *context, const struct schedules *schedules,
                      struct store_plans *out, struct error *err);
/* Lists every store and, with a request (whose `store` does not count), decides. A store that
 * cannot be listed is told and left out; that none can is an error, and so is a stop. */
bool store_plans_list(struct store_plans *plans, const struct prune_request *request,
                      struct error *err);
void store_plans_clear(struct store_plans *plans);

#endif

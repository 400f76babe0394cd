/* Retention, or the deletion of named backups. */

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "commands/command.h"
#include "commands/context.h"
#include "commands/output.h"
#include "commands/store_plans.h"

enum { OPTION_DRY_RUN, OPTION_FORCE, OPTION_JSON };

static void add_rows(struct output_table *table, const struct prune_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct prune_item *item = &plan->items[i];
        output_table_add(table, (const char *[]){item->backup.object->name,
                                                 prune_fate_name(item->fate), item->reason});
    }
}

/* With several stores each has a table of its own, under its name. */
static bool print_tables(const struct store_plans *plans, struct error *err)
{
    bool ok = true;

    for (size_t i = 0; ok && i < plans->stores->count; i++) {
        struct output_table table = OUTPUT_TABLE_INIT(3);
        if (plans->items[i].count == 0) {
            continue;
        }
        if (plans->stores->count > 1) {
            printf("%s%s:\n", i > 0 ? "\n" : "", plans->stores->items[i]->location);
        }
        output_table_add(&table, (const char *[]){"NAME", "ACTION", "REASON"});
        add_rows(&table, &plans->items[i]);
        ok = output_table_print(&table, err);
    }
    return ok;
}

static bool print_json(const struct store_plans *plans, struct error *err)
{
    json_t *list = json_array();
    json_int_t deleted = 0;
    json_int_t failed = 0;

    for (size_t s = 0; s < plans->stores->count; s++) {
        const struct prune_plan *plan = &plans->items[s];
        deleted += (json_int_t)plan->deleted;
        failed += (json_int_t)plan->failed;
        for (size_t i = 0; i < plan->count; i++) {
            const struct prune_item *item = &plan->items[i];
            json_array_append_new(list, json_pack("{s:o, s:s, s:s, s:o}", "name",
                                                  output_json_text(item->backup.object->name),
                                                  "store", plans->stores->items[s]->location,
                                                  "action", prune_fate_name(item->fate), "reason",
                                                  output_json_text(item->reason)));
        }
    }
    return output_json(
        json_pack("{s:o, s:I, s:I}", "backups", list, "deleted", deleted, "failed", failed), err);
}

/* How many schedules are wrong; each is told. */
static size_t tell_wrong(const struct schedules *schedules)
{
    size_t wrong = 0;

    for (size_t i = 0; i < schedules->count; i++) {
        if (schedules->items[i].problem[0] != '\0') {
            wrong++;
            log_warning("schedule_invalid",
                        "Schedule %s is wrong, so none of its backups is deleted: %s",
                        schedules->items[i].name, schedules->items[i].problem);
        }
    }
    return wrong;
}

static bool decide(struct context *context, const struct schedules *schedules,
                   struct store_plans *plans, struct error *err)
{
    struct session *session = NULL;
    struct ledger ledger;
    struct prune_request request = {
        .schedules = schedules,
        .ledger = &ledger,
        .keep_min = settings_get_number(&context->settings, SETTING_KEEP_MIN),
    };

    bool ok = context_connect(context, &session, err) && ledger_identify(session, &ledger, err);
    request.session = session;
    ok = ok && store_plans_list(plans, &request, err);
    session_close(session);
    return ok;
}

/* The named ones, and only if each can be deleted: all or none. */
static bool decide_named(struct context *context, const struct invocation *invocation,
                         struct store_plans *plans, struct error *err)
{
    bool force = invocation->options[OPTION_FORCE] != NULL;
    bool ok = store_plans_list(plans, NULL, err);

    for (int i = 0; ok && i < invocation->argument_count; i++) {
        const char *name = invocation->arguments[i];
        bool found = false;
        for (size_t s = 0; ok && s < context->stores.count; s++) {
            if (prune_has(&plans->items[s], name)) {
                found = true;
                ok = prune_name(&plans->items[s], name, force, err);
            }
        }
        if (ok && !found) {
            error_set(err, ERROR_USAGE, "there is no backup '%s'; nothing was deleted", name);
            ok = error_hint(err, "'rythm-backup list' shows their names");
        }
    }
    for (size_t i = 0; ok && i < context->stores.count; i++) {
        prune_keep_named(&plans->items[i]);
    }
    return ok;
}

static bool apply(struct context *context, const struct invocation *invocation,
                  struct store_plans *plans, struct error *err)
{
    bool dry_run = invocation->options[OPTION_DRY_RUN] != NULL;
    bool json = invocation->options[OPTION_JSON] != NULL;
    struct error problem = ERROR_INIT;
    bool applied = true;

    for (size_t i = 0; !dry_run && i < context->stores.count; i++) {
        if (!prune_apply(context->stores.items[i], &plans->items[i], &problem) && applied) {
            *err = problem;
            applied = false;
        }
    }
    if (!(json ? print_json(plans, &problem) : !dry_run || print_tables(plans, &problem))) {
        *err = problem;
        return false;
    }
    return applied;
}

/* Names can be deleted while the database is down; then only in the configured store. */
static bool open_stores(struct context *context, bool named, struct schedules *schedules,
                        struct store_plans *plans, struct error *err)
{
    struct error problem = ERROR_INIT;

    if (!context_read_schedules(context, schedules, &problem) && !named) {
        *err = problem;
        return false;
    }
    return store_plans_open(context, schedules, plans, err);
}

static bool run(struct context *context, const struct invocation *invocation, struct error *err)
{
    bool named = invocation->argument_count > 0;
    struct schedules schedules = {.items = NULL};
    struct store_plans plans = {.items = NULL};

    bool ok = open_stores(context, named, &schedules, &plans, err);
    size_t wrong = ok && !named ? tell_wrong(&schedules) : 0;
    ok = ok && (named ? decide_named(context, invocation, &plans, err)
                      : decide(context, &schedules, &plans, err));
    ok = ok && apply(context, invocation, &plans, err);
    bool degraded = wrong > 0 || plans.left_out > 0;
    store_plans_clear(&plans);
    backup_schedule_clear(&schedules);
    return ok && degraded ? error_set(err, ERROR_DEGRADED, "%s", "") : ok;
}

const struct command command_prune = {
    .name = "prune",
    .arguments = "[NAME...]",
    .most_arguments = -1,
    .summary = "apply retention, or delete the named backups",
    .description =
        "Deletes the backups that are older than their schedule's retention_days and that none of\n"
        "its rules keeps (keep_last to keep_yearly), but never one of the newest\n"
        "RYTHM_BACKUP_KEEP_MIN of a schedule, and never what is not a backup of this database's\n"
        "schedules. With names, deletes these backups: all of them or, when one cannot\n"
        "be, none. The last backup of a schedule needs --force.",
    .options = {{"dry-run", NULL, "print keep or delete for each backup, and why; delete nothing"},
                {"force", NULL, "with names: also the last backup of its schedule"},
                {"json", NULL, "print the outcome as JSON"}},
    .needs_store = true,
    .run = run,
};

/* Retention, or the deletion of named backups. */

#include <stdlib.h>
#include <string.h>

#include "backup/prune.h"
#include "base/log.h"
#include "commands/command.h"
#include "commands/context.h"
#include "commands/output.h"

enum { OPTION_DRY_RUN, OPTION_FORCE, OPTION_JSON };

static bool print_table(const struct prune_plan *plan, struct error *err)
{
    struct output_table table = OUTPUT_TABLE_INIT(3);

    if (plan->count == 0) {
        return true;
    }
    output_table_add(&table, (const char *[]){"NAME", "ACTION", "REASON"});
    for (size_t i = 0; i < plan->count; i++) {
        const struct prune_item *item = &plan->items[i];
        output_table_add(&table, (const char *[]){item->backup.object->name,
                                                  prune_fate_name(item->fate), item->reason});
    }
    return output_table_print(&table, err);
}

static bool print_json(const struct prune_plan *plan, struct error *err)
{
    json_t *list = json_array();

    for (size_t i = 0; i < plan->count; i++) {
        const struct prune_item *item = &plan->items[i];
        json_array_append_new(list, json_pack("{s:o, s:s, s:o}", "name",
                                              output_json_text(item->backup.object->name), "action",
                                              prune_fate_name(item->fate), "reason",
                                              output_json_text(item->reason)));
    }
    return output_json(json_pack("{s:o, s:I, s:I}", "backups", list, "deleted",
                                 (json_int_t)plan->deleted, "failed", (json_int_t)plan->failed),
                       err);
}

static bool decide(struct context *context, struct prune_plan *plan, size_t *wrong,
                   struct error *err)
{
    struct session *session = NULL;
    struct schedules schedules = {.items = NULL};
    struct server_facts server;
    struct prune_request request = {
        .store = context->store,
        .schedules = &schedules,
        .database = server.database,
        .keep_min = settings_get_number(&context->settings, SETTING_KEEP_MIN),
    };

    bool ok =
        context_read_schedules(context, &schedules, err) && context_connect(context, &session, err);
    if (ok) {
        session_facts(session, &server);
        ok = prune_decide(&request, plan, err);
    }
    for (size_t i = 0; ok && i < schedules.count; i++) {
        if (schedules.items[i].problem[0] != '\0') {
            ++*wrong;
            log_warning("schedule_invalid",
                        "Schedule %s is wrong, so none of its backups is deleted: %s",
                        schedules.items[i].id, schedules.items[i].problem);
        }
    }
    session_close(session);
    backup_schedule_clear(&schedules);
    return ok;
}

/* The named ones, and only if each can be deleted: all or none. */
static bool decide_named(struct context *context, const struct invocation *invocation,
                         struct prune_plan *plan, struct error *err)
{
    bool force = invocation->options[OPTION_FORCE] != NULL;

    if (!prune_list(context->store, plan, err)) {
        return false;
    }
    for (int i = 0; i < invocation->argument_count; i++) {
        if (!prune_name(plan, invocation->arguments[i], force, err)) {
            return false;
        }
    }
    prune_keep_named(plan);
    return true;
}

static bool run(struct context *context, const struct invocation *invocation, struct error *err)
{
    struct prune_plan plan = {.items = NULL};
    bool dry_run = invocation->options[OPTION_DRY_RUN] != NULL;
    bool json = invocation->options[OPTION_JSON] != NULL;
    size_t wrong = 0;

    bool ok = invocation->argument_count > 0 ? decide_named(context, invocation, &plan, err)
                                             : decide(context, &plan, &wrong, err);
    if (!ok) {
        prune_clear(&plan);
        return false;
    }
    bool applied = dry_run || prune_apply(context->store, &plan, err);
    struct error problem = ERROR_INIT;
    if (!(json ? print_json(&plan, &problem) : !dry_run || print_table(&plan, &problem))) {
        *err = problem;
        applied = false;
    }
    prune_clear(&plan);
    return applied && wrong > 0 ? error_set(err, ERROR_DEGRADED, "%s", "") : applied;
}

const struct command command_prune = {
    .name = "prune",
    .arguments = "[NAME...]",
    .most_arguments = -1,
    .summary = "apply retention, or delete the named backups",
    .description =
        "Deletes the backups that are older than their schedule's retention_days, but never one "
        "of\n"
        "the newest RYTHM_BACKUP_KEEP_MIN of a schedule, and never what is not a backup of this\n"
        "database's schedules. With names, deletes these backups: all of them or, when one cannot\n"
        "be, none. The last backup of a schedule needs --force.",
    .options = {{"dry-run", NULL, "print keep or delete for each backup, and why; delete nothing"},
                {"force", NULL, "with names: also the last backup of its schedule"},
                {"json", NULL, "print the outcome as JSON"}},
    .needs_store = true,
    .run = run,
};

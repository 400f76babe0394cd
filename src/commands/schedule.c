/* Schedules, shown and edited. */

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "commands/command.h"
#include "commands/context.h"
#include "commands/output.h"
#include "commands/schedule_options.h"
#include "commands/schedule_view.h"
#include "commands/scope_options.h"
#include "postgres/schedule_details.h"
#include "postgres/schedule_edit.h"
#include "postgres/transaction.h"

enum verb { VERB_SHOW, VERB_ADD, VERB_SET, VERB_ENABLE, VERB_DISABLE, VERB_REMOVE };

static const struct {
    const char *name;
    bool needs_schedule; /* by name, also when there is only one */
    bool takes_columns;  /* the options of the columns */
    bool takes_next;
    const char *event; /* for the log, and what happened to the schedule */
    const char *done;
} verbs[] = {
    [VERB_SHOW] = {.name = "show", .takes_next = true},
    [VERB_ADD] = {"add", false, true, true, "schedule_added", "added"},
    [VERB_SET] = {"set", false, true, true, "schedule_changed", "changed"},
    [VERB_ENABLE] = {"enable", false, false, true, "schedule_enabled", "enabled"},
    [VERB_DISABLE] = {"disable", false, false, false, "schedule_disabled", "disabled"},
    [VERB_REMOVE] = {"remove", true, false, false, "schedule_removed", "removed"},
};
#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

/* One call of the command. */
struct call {
    enum verb verb;
    const char *name; /* the schedule's, or NULL */
    struct schedule_options options;
    bool next;
    bool json;
    struct session *session;
    char id[SCHEDULE_ID_SIZE]; /* "": all */
    struct schedules schedules;
    struct schedule_details_list details;
};

static bool hint_help(struct error *err)
{
    return error_hint(err, "see rythm-backup schedule --help");
}

static bool read_verb(const struct invocation *invocation, struct call *call, struct error *err)
{
    const char *word = invocation->argument_count > 0 ? invocation->arguments[0] : "show";

    for (size_t i = 0; i < VERB_COUNT; i++) {
        if (strcmp(word, verbs[i].name) == 0) {
            call->verb = (enum verb)i;
            call->name = invocation->argument_count > 1 ? invocation->arguments[1] : NULL;
            if (verbs[i].needs_schedule && call->name == NULL) {
                error_set(err, ERROR_USAGE, "schedule %s: name the schedule, or give its id", word);
                return error_hint(err, "'rythm-backup schedule show' lists them");
            }
            return true;
        }
    }
    error_set(err, ERROR_USAGE,
              "there is no 'schedule %s': it is one of show, add, set, enable, disable, remove",
              word);
    return hint_help(err);
}

static bool takes(enum verb verb, int option)
{
    switch (option) {
    case SCHEDULE_OPTION_JSON:
        return true;
    case SCHEDULE_OPTION_NEXT:
        return verbs[verb].takes_next;
    case SCHEDULE_OPTION_NOW:
        return verb == VERB_SHOW;
    case SCHEDULE_OPTION_DISABLED:
        return verb == VERB_ADD;
    default:
        return verbs[verb].takes_columns;
    }
}

/* What has no meaning there must not seem to have been heard. */
static bool refuse_others(const struct invocation *invocation, enum verb verb, struct error *err)
{
    for (int i = 0; i <= SCHEDULE_OPTION_JSON; i++) {
        if (invocation->options[i] != NULL && !takes(verb, i)) {
            error_set(err, ERROR_USAGE, "schedule %s takes no option '--%s'", verbs[verb].name,
                      invocation->command->options[i].name);
            return hint_help(err);
        }
    }
    return true;
}

static void give(struct call *call, enum schedule_column column, const char *value)
{
    call->options.values.given[column] = true;
    call->options.values.values[column] = value;
}

static bool take_name(struct call *call, struct error *err)
{
    if (call->options.values.given[SCHEDULE_COLUMN_NAME]) {
        return error_set(err, ERROR_USAGE, "schedule add: there are two names, '%s' and --name",
                         call->name);
    }
    give(call, SCHEDULE_COLUMN_NAME, call->name);
    return schedule_options_check_name(call->name, err);
}

static bool read_call(const struct invocation *invocation, struct call *call, struct error *err)
{
    if (!read_verb(invocation, call, err) || !refuse_others(invocation, call->verb, err) ||
        !schedule_options_read(invocation, &call->options, err)) {
        return false;
    }
    call->next = invocation->options[SCHEDULE_OPTION_NEXT] != NULL;
    call->json = invocation->options[SCHEDULE_OPTION_JSON] != NULL;
    /* Its form alone: who edits schedules need not have the key of the store. */
    const char *stores = call->options.values.values[SCHEDULE_COLUMN_STORES];
    if (stores != NULL && !store_pool_check(stores, err)) {
        return error_prefix(err, "option '--stores'");
    }
    switch (call->verb) {
    case VERB_SHOW:
    case VERB_REMOVE:
        break;
    case VERB_ADD:
        give(call, SCHEDULE_COLUMN_ENABLED,
             invocation->options[SCHEDULE_OPTION_DISABLED] != NULL ? "false" : "true");
        return call->name == NULL || take_name(call, err);
    case VERB_SET:
        if (!call->options.any) {
            error_set(err, ERROR_USAGE, "schedule set: no option says what to change");
            return hint_help(err);
        }
        break;
    case VERB_ENABLE:
    case VERB_DISABLE:
        give(call, SCHEDULE_COLUMN_ENABLED, call->verb == VERB_ENABLE ? "true" : "false");
    }
    return true;
}

static bool read_rows(struct context *context, struct call *call, struct error *err)
{
    if (!context_read_schedules_in(context, call->session, &call->schedules, err) ||
        !schedule_details_read(call->session, call->next, &call->details, err)) {
        return false;
    }
    context_judge_stores(context, &call->schedules);
    return true;
}

/* Without a name all of them are meant. */
static bool choose_shown(struct call *call, struct error *err)
{
    if (call->name == NULL) {
        return true;
    }
    const struct schedule *found = backup_schedule_find(&call->schedules, call->name);
    if (found == NULL) {
        error_set(err, ERROR_USAGE, "there is no schedule '%s'", call->name);
        return error_hint(err, "'rythm-backup schedule show' lists them");
    }
    memcpy(call->id, found->id, sizeof(call->id));
    return true;
}

/* Before the commit: what was written must be a schedule that can run. */
static bool judge(const struct call *call, struct error *err)
{
    const struct schedule *schedule = backup_schedule_find(&call->schedules, call->id);

    if (schedule == NULL) {
        return error_set(err, ERROR_FAILED, "the row cannot be read back");
    }
    if (verbs[call->verb].takes_columns) {
        return schedule_options_judge(&call->options, schedule, err);
    }
    if (call->verb == VERB_ENABLE && schedule->problem[0] != '\0') {
        error_set(err, ERROR_USAGE, "it is wrong: %s", schedule->problem);
        return error_hint(err, "correct it with 'rythm-backup schedule set'");
    }
    return true;
}

static bool remove_row(struct context *context, struct call *call, struct error *err)
{
    if (!read_rows(context, call, err)) {
        return false;
    }
    const struct schedule *schedule = backup_schedule_find(&call->schedules, call->id);
    if (schedule != NULL && schedule->is_default) {
        error_set(err, ERROR_USAGE,
                  "it is the default schedule, the oldest, to which the backups without metadata "
                  "belong, so it stays");
        return error_hint(err, "'rythm-backup schedule disable' switches it off");
    }
    return schedule_edit_remove(call->session, call->id, err);
}

static bool write_row(struct context *context, struct call *call, struct error *err)
{
    const struct schedule_values *values = &call->options.values;

    bool ok = call->verb == VERB_ADD ? schedule_edit_add(call->session, values, call->id, err)
                                     : schedule_edit_set(call->session, call->id, values, err);
    return ok && read_rows(context, call, err) && judge(call, err) &&
           schedule_edit_note_next(call->session, call->id, err);
}

static bool edit(struct context *context, struct call *call, struct error *err)
{
    bool ok =
        transaction_begin(call->session, err) &&
        (call->verb == VERB_ADD || schedule_edit_find(call->session, call->name, call->id, err)) &&
        (call->verb == VERB_REMOVE ? remove_row(context, call, err)
                                   : write_row(context, call, err));

    if (!ok) {
        error_prefix(err, "schedule %s%s%s", verbs[call->verb].name, call->name != NULL ? " " : "",
                     call->name != NULL ? call->name : "");
        return error_hint(err, "nothing was changed");
    }
    return schedule_edit_commit(call->session, err);
}

static bool print_json(const struct call *call, const struct schedule_view *view, struct error *err)
{
    json_t *list = json_array();

    for (size_t i = 0; list != NULL && i < view->count; i++) {
        if (json_array_append_new(list, schedule_view_json(view, i, call->next)) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    if (list == NULL) {
        return error_set_memory(err);
    }
    json_t *document = json_pack(
        "{s:o, s:o}", "now", output_json_instant(true, call->schedules.now_ms), "schedules", list);
    if (document != NULL && call->verb == VERB_REMOVE) {
        json_object_set_new(document, "removed", json_true());
    }
    return output_json(document, err);
}

static void warn_of_wrong(const struct schedule_view *view)
{
    for (size_t i = 0; i < view->count; i++) {
        const struct schedule *schedule = view->items[i];
        if (schedule->problem[0] != '\0') {
            log_warning("schedule_invalid",
                        "Schedule %s is wrong: %s; correct it with "
                        "'rythm-backup schedule set'",
                        schedule->name, schedule->problem);
        }
    }
}

static void print_removed(const struct schedule *schedule)
{
    printf("Removed schedule %s. Its backups stay where they are, and are not pruned any more;\n"
           "'rythm-backup prune NAME' deletes one.\n",
           schedule->name);
}

static bool print_text(const struct call *call, const struct schedule_view *view, struct error *err)
{
    if (call->verb == VERB_REMOVE) {
        print_removed(view->items[0]);
        return true;
    }
    if (!schedule_view_print(view, err)) {
        return false;
    }
    warn_of_wrong(view);
    return !call->next || schedule_view_print_upcoming(view, err);
}

/* After the commit. */
static void tell(const struct call *call, const struct schedule *schedule)
{
    char next[CLOCK_ISO_SIZE] = "";

    if (call->verb == VERB_REMOVE) {
        return;
    }
    if (schedule_view_has_next(schedule)) {
        clock_format_iso(next, schedule->next_ms);
    }
    log_write(&LOG_WITH(LOG_INFO, LOG_MARK_OK, verbs[call->verb].event,
                        LOG_TEXT("schedule_id", schedule->id), LOG_TEXT("schedule", schedule->name),
                        LOG_TEXT("next", next[0] != '\0' ? next : NULL)),
              "Schedule %s was %s; %s%s", schedule->name, verbs[call->verb].done,
              next[0] != '\0' ? "next run: " : "it does not run while it is disabled", next);
}

static bool carry_out(struct context *context, struct call *call, struct error *err)
{
    struct schedule_view view = {.items = NULL};

    bool ok = context_connect(context, &call->session, err) &&
              (call->verb == VERB_SHOW ? read_rows(context, call, err) && choose_shown(call, err)
                                       : edit(context, call, err)) &&
              schedule_view_select(&call->schedules, call->id[0] != '\0' ? call->id : NULL,
                                   &call->details, &view, err);
    if (ok && call->verb != VERB_SHOW) {
        tell(call, view.items[0]);
    }
    ok = ok && (call->json ? print_json(call, &view, err) : print_text(call, &view, err));
    schedule_view_clear(&view);
    return ok;
}

static bool run(struct context *context, const struct invocation *invocation, struct error *err)
{
    struct call call = {.verb = VERB_SHOW};
    const char *now = invocation->options[SCHEDULE_OPTION_NOW];

    bool ok = read_call(invocation, &call, err) &&
              (now == NULL || context_pretend_now(context, now, err)) &&
              carry_out(context, &call, err);
    session_close(call.session);
    schedule_details_clear(&call.details);
    backup_schedule_clear(&call.schedules);
    schedule_options_clear(&call.options);
    return ok;
}

const struct command command_schedule = {
    .name = "schedule",
    .arguments = "[VERB [SCHEDULE]]",
    .most_arguments = 2,
    .summary = "show and edit the schedules",
    .description =
        "Shows and edits the schedules. SCHEDULE is a name or an id; set, enable and disable take\n"
        "the only one, when there is one. VERB is one of\n\n"
        "    show [SCHEDULE]     all of them, or one; also what 'schedule' alone does\n"
        "    add [NAME]          a new one: daily at 02:00 UTC, kept 30 days, unless the options\n"
        "                        say otherwise; enabled, unless --disabled is given\n"
        "    set [SCHEDULE]      change what the options say, at least one\n"
        "    enable [SCHEDULE]   switch it on; it does not catch up what was before\n"
        "    disable [SCHEDULE]  switch it off\n"
        "    remove SCHEDULE     delete its row; its backups stay and are not pruned any more\n\n"
        "An edit that would make a schedule wrong is refused, and changes nothing. With an empty\n"
        "value (--time-zone=) add and set write the default. For example:\n\n"
        "    rythm-backup schedule add nightly --time 02:00 --time-zone Europe/Stockholm\n"
        "    rythm-backup schedule set nightly --frequency weekly --days mon,fri\n"
        "    rythm-backup schedule show nightly --next",
    .options =
        {[SCHEDULE_COLUMN_NAME] = {"name", "NAME",
                                   "1 to 63 letters, digits, '.', '_' and '-'; with set: "
                                   "rename it"},
         [SCHEDULE_COLUMN_TIME] = {"time", "HH:MM",
                                   "when, in its time zone; of an hourly one the minute "
                                   "counts [02:00]"},
         [SCHEDULE_COLUMN_FREQUENCY] = {"frequency", "WORD",
                                        "hourly, daily, weekly or monthly [daily]"},
         [SCHEDULE_COLUMN_DAYS] = {"days", "LIST",
                                   "weekly: mon,fri or 1 (Monday) to 7; monthly: 1 to 31, "
                                   "last (or -1)"},
         [SCHEDULE_COLUMN_TIME_ZONE] = {"time-zone", "ZONE", "a name as Europe/Stockholm [UTC]"},
         [SCHEDULE_COLUMN_RETENTION_DAYS] = {"retention-days", "N",
                                             "how long its backups are kept [30]"},
         [SCHEDULE_COLUMN_CATCH_UP] = {"catch-up", "TIME",
                                       "how late it may start, 1m to 1d "
                                       "[RYTHM_BACKUP_CATCH_UP]"},
         [SCHEDULE_COLUMN_TENANT] = {"tenant", "UUID", "the application's tenant"},
         [SCHEDULE_COLUMN_DBNAME] = {"dbname", "NAME", "back up this database of the same server"},
         [SCHEDULE_COLUMN_SERVICE] = {"service", "NAME",
                                      "back up what this libpq service names, with the "
                                      "same credentials"},
         [SCHEDULE_COLUMN_ALL_DATABASES] = {"all-databases", "yes|no",
                                            "back up every database of this server, each by "
                                            "itself [no]"},
         [SCHEDULE_COLUMN_SCHEMAS] = {"schemas", "LIST",
                                      "only these, by their exact names: a,b; one with a "
                                      "comma in double quotes"},
         [SCHEDULE_COLUMN_ONLY_TABLES] = SCOPE_OPTION_TABLE,
         [SCHEDULE_COLUMN_EXCLUDE_TABLES] = SCOPE_OPTION_EXCLUDE_TABLE,
         [SCHEDULE_COLUMN_EXCLUDE_TABLE_DATA] = SCOPE_OPTION_EXCLUDE_TABLE_DATA,
         [SCHEDULE_COLUMN_STORES] = {"stores", "URLS",
                                     "where its backups go [RYTHM_BACKUP_STORES]"},
         [SCHEDULE_COLUMN_VERIFY_EVERY] = {"verify-every", "N",
                                           "verify each Nth backup once it is made; 1: all, 0: "
                                           "none [0]"},
         [SCHEDULE_COLUMN_KEEP_LAST] = {"keep-last", "N",
                                        "also the last N, however old they are [0]"},
         [SCHEDULE_COLUMN_KEEP_DAILY] =
             {"keep-daily", "N", "also the newest of each of the last N days that have one [0]"},
         [SCHEDULE_COLUMN_KEEP_WEEKLY] = {"keep-weekly", "N", "the same for weeks"},
         [SCHEDULE_COLUMN_KEEP_MONTHLY] = {"keep-monthly", "N", "the same for months"},
         [SCHEDULE_COLUMN_KEEP_YEARLY] = {"keep-yearly", "N", "the same for years"},
         [SCHEDULE_COLUMN_NOTIFY_CHANNELS] = {"channels", "LIST",
                                              "through which channels: acs,slack; or none [all "
                                              "that are configured]"},
         [SCHEDULE_COLUMN_NOTIFY_ON] = {"notify-on", "LIST",
                                        "of what: success,failure,recovery (a success after a "
                                        "failure); or none [success,failure]"},
         [SCHEDULE_OPTION_DISABLED] = {"disabled", NULL, "add: do not switch it on yet"},
         [SCHEDULE_OPTION_NEXT] = {"next", NULL,
                                   "also print the next five times, in UTC and in its own "
                                   "time zone"},
         [SCHEDULE_OPTION_NOW] = {"now", "TIMESTAMP",
                                  "show: pretend that it is this time (UTC unless it says "
                                  "otherwise)"},
         [SCHEDULE_OPTION_JSON] = {"json", NULL, "print the outcome as JSON"}},
    .repeatable = SCOPE_OPTIONS_REPEATABLE,
    .run = run,
};

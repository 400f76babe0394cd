/* A backup now. */

#include <stdio.h>
#include <string.h>

#include "backup/export.h"
#include "base/log.h"
#include "base/text.h"
#include "commands/command.h"
#include "commands/context.h"
#include "commands/manual_backup.h"
#include "commands/scope_options.h"
#include "dump/dump.h"
#include "notify/ping.h"

enum {
    OPTION_OUTPUT,
    OPTION_RESTRICT_KEY,
    OPTION_NO_PRUNE,
    OPTION_NO_NOTIFY,
    OPTION_NO_VERIFY,
    OPTION_TABLE,
    OPTION_EXCLUDE_TABLE,
    OPTION_EXCLUDE_TABLE_DATA,
    OPTION_ALL_DATABASES,
    OPTION_JSON
};

/* The schedule whose backup this is: the one named, or the only one. */
static bool choose(const struct schedules *schedules, const char *name,
                   const struct schedule **chosen, struct error *err)
{
    *chosen = name != NULL ? backup_schedule_find(schedules, name) : &schedules->items[0];
    if (name == NULL && schedules->count > 1) {
        error_set(err, ERROR_USAGE, "there are %zu schedules: name the one to back up",
                  schedules->count);
        return error_hint(err, "'rythm-backup schedule show' lists them");
    }
    if (*chosen == NULL) {
        error_set(err, ERROR_USAGE, "there is no schedule '%s'", name);
        return error_hint(err, "'rythm-backup schedule show' lists them");
    }
    if ((*chosen)->problem[0] != '\0') {
        error_set(err, ERROR_CONFIG, "schedule %s is wrong: %s", (*chosen)->name,
                  (*chosen)->problem);
        return error_hint(err, "correct it with 'rythm-backup schedule set'");
    }
    return true;
}

/* False when no table is named, and the schedule's own scope counts. */
static bool has_scope(const struct invocation *invocation)
{
    return invocation->options[OPTION_TABLE] != NULL ||
           invocation->options[OPTION_EXCLUDE_TABLE] != NULL ||
           invocation->options[OPTION_EXCLUDE_TABLE_DATA] != NULL;
}

/* The options stand for all that the schedule says of tables; --table for its schemas, too. */
static bool read_scope(const struct invocation *invocation, const struct schedule *schedule,
                       struct scope *scope, struct error *err)
{
    bool has_tables = invocation->options[OPTION_TABLE] != NULL;
    char *const *schemas =
        schedule != NULL && !has_tables ? schedule->scope.lists[SCOPE_SCHEMAS] : NULL;

    for (size_t i = 0; schemas != NULL && schemas[i] != NULL; i++) {
        if (!scope_add(scope, SCOPE_SCHEMAS, schemas[i], err)) {
            return false;
        }
    }
    return scope_options_read(invocation, OPTION_TABLE, SCOPE_TABLES, scope, err) &&
           scope_options_read(invocation, OPTION_EXCLUDE_TABLE, SCOPE_EXCLUDED_TABLES, scope,
                              err) &&
           scope_options_read(invocation, OPTION_EXCLUDE_TABLE_DATA, SCOPE_EXCLUDED_DATA, scope,
                              err);
}

static bool read_databases(struct context *context, char ***out, struct error *err)
{
    struct session *session = NULL;

    bool ok = context_connect(context, &session, err) &&
              backup_schedule_read_databases(session, out, err);
    session_close(session);
    return ok;
}

/* The others may have taken hours. Where it cannot be asked, the backup tells why. */
static bool is_there_still(struct context *context, const char *database)
{
    struct error ignored = ERROR_INIT;
    char **databases = NULL;
    bool found = !read_databases(context, &databases, &ignored);

    for (size_t i = 0; databases != NULL && databases[i] != NULL && !found; i++) {
        found = strcmp(databases[i], database) == 0;
    }
    text_list_free(databases);
    return found;
}

/* How the backups of all databases came out. */
struct tally {
    size_t made;
    size_t failed;
    size_t degraded;
};

/* False when none of the others is to be begun with. */
static bool count_outcome(struct tally *tally, const char *database, bool ok,
                          const struct error *problem)
{
    if (ok || problem->kind == ERROR_DEGRADED) {
        tally->made++;
        tally->degraded += !ok;
        return true;
    }
    if (problem->kind == ERROR_BUSY || problem->kind == ERROR_STOPPED) {
        return false;
    }
    tally->failed++;
    log_write(
        &LOG_WITH(LOG_ERROR, LOG_MARK_FAILED, "backup_failed", LOG_TEXT("database", database)),
        "Database %s was not backed up: %s", database, problem->text);
    return true;
}

static bool report(const struct tally *tally, struct error *err)
{
    if (tally->failed > 0) {
        return error_set(err, ERROR_FAILED, "%zu of %zu databases were not backed up",
                         tally->failed, tally->made + tally->failed);
    }
    return tally->degraded == 0 || error_set(err, ERROR_DEGRADED, "%s", "");
}

/* One that fails keeps none of the others from being backed up. What there is to tell is told when
 * all are made. */
static bool run_each(const struct manual_backup *manual, const struct schedule *schedule,
                     struct error *err)
{
    struct ping ping = {.settings = NULL};
    struct manual_backup each = *manual;
    struct schedule one = *schedule;
    struct tally tally = {.made = 0};
    char **databases = NULL;
    struct error problem = ERROR_INIT;
    bool goes_on = true;

    if (!read_databases(manual->context, &databases, err)) {
        return false;
    }
    one.all_databases = true;
    each.ping = &ping;
    for (size_t i = 0; goes_on && databases[i] != NULL; i++) {
        struct error failure = ERROR_INIT;
        one.dbname = databases[i];
        if (!is_there_still(manual->context, one.dbname)) {
            continue;
        }
        bool ok = manual_backup_run(&each, &one, &failure);
        goes_on = count_outcome(&tally, databases[i], ok, &failure);
        if (!goes_on) {
            *err = failure;
        }
    }
    text_list_free(databases);
    ping_end(&ping, tally.failed > 0 || !goes_on ? "not every database was backed up" : NULL);
    if (!manual->silent && !manual_backup_deliver(manual->context, &problem)) {
        tally.degraded++;
        log_warning("degraded", "%s", problem.text);
    }
    return goes_on ? report(&tally, err)
                   : error_prefix(err, "after %zu databases", tally.made + tally.failed);
}

/* What speaks of one database has no meaning for all. */
static bool check_all(const struct schedule *schedule, const struct scope *scope, struct error *err)
{
    const struct scope *chosen = scope != NULL ? scope : &schedule->scope;

    if (!schedule->all_databases && (schedule->dbname != NULL || schedule->service != NULL)) {
        error_set(err, ERROR_USAGE, "schedule %s is of %s: --all-databases does not go with it",
                  schedule->name, schedule->dbname != NULL ? schedule->dbname : schedule->service);
        return error_hint(err, "name a schedule that has neither --dbname nor --service");
    }
    if (chosen->lists[SCOPE_SCHEMAS] != NULL || chosen->lists[SCOPE_TABLES] != NULL) {
        return error_set(err, ERROR_USAGE,
                         "--all-databases does not go with a choice of schemas or tables: not "
                         "every database has them");
    }
    return true;
}

static bool run_schedule(const struct manual_backup *manual, const struct invocation *invocation,
                         const struct schedule *schedule, struct error *err)
{
    if (invocation->options[OPTION_ALL_DATABASES] == NULL && !schedule->all_databases) {
        return manual_backup_run(manual, schedule, err);
    }
    return check_all(schedule, manual->scope, err) && run_each(manual, schedule, err);
}

static bool run_to_store(struct context *context, const struct invocation *invocation,
                         struct error *err)
{
    struct schedules schedules = {.items = NULL};
    struct store_choice stores = {.count = 0};
    const struct schedule *schedule = NULL;
    struct scope scope = {.lists = {NULL}};
    const struct manual_backup manual = {
        .context = context,
        .stores = &stores,
        .scope = has_scope(invocation) ? &scope : NULL,
        .restrict_key = invocation->options[OPTION_RESTRICT_KEY],
        .no_prune = invocation->options[OPTION_NO_PRUNE] != NULL,
        .silent = invocation->options[OPTION_NO_NOTIFY] != NULL,
        .no_verify = invocation->options[OPTION_NO_VERIFY] != NULL,
        .json = invocation->options[OPTION_JSON] != NULL,
        .show_progress = context_wants_progress(context, invocation),
    };

    bool ok = context_read_schedules(context, &schedules, err) &&
              choose(&schedules, invocation->argument_count > 0 ? invocation->arguments[0] : NULL,
                     &schedule, err) &&
              store_pool_choose(&context->stores, schedule->stores, &stores, err) &&
              read_scope(invocation, schedule, &scope, err) &&
              run_schedule(&manual, invocation, schedule, err);
    scope_clear(&scope);
    store_choice_clear(&stores);
    backup_schedule_clear(&schedules);
    return ok;
}

/* What has no meaning there must not seem to have been heard. */
static bool refuse_with_output(const struct invocation *invocation, struct error *err)
{
    static const int refused[] = {OPTION_NO_PRUNE, OPTION_NO_NOTIFY, OPTION_NO_VERIFY,
                                  OPTION_ALL_DATABASES, OPTION_JSON};

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (invocation->options[refused[i]] != NULL) {
            return error_set(err, ERROR_USAGE, "run --output takes no option '--%s'",
                             invocation->command->options[refused[i]].name);
        }
    }
    if (invocation->argument_count > 0) {
        return error_set(err, ERROR_USAGE, "run --output dumps the database: it takes no schedule");
    }
    return true;
}

static bool run_to_file(struct context *context, const struct invocation *invocation,
                        struct error *err)
{
    struct session *session = NULL;
    struct stream_digest written = {.bytes = 0};
    struct scope scope = {.lists = {NULL}};
    const char *path = invocation->options[OPTION_OUTPUT];
    char size[TEXT_BYTES_SIZE];

    if (!refuse_with_output(invocation, err) || !read_scope(invocation, NULL, &scope, err) ||
        !context_connect(context, &session, err)) {
        scope_clear(&scope);
        return false;
    }
    struct export_request request = {
        .settings = &context->settings,
        .session = session,
        .compression = context->compression,
        .restrict_key = invocation->options[OPTION_RESTRICT_KEY],
        .scope = &scope,
        .path = path,
        .show_progress = context_wants_progress(context, invocation),
    };
    bool ok = export_run(&request, &written, err);
    session_close(session);
    scope_clear(&scope);
    if (ok) {
        text_format_bytes(size, written.bytes);
        log_write(&LOG_WITH(LOG_INFO, LOG_MARK_OK, "dump_written",
                            LOG_NUMBER("bytes", (int64_t)written.bytes),
                            LOG_TEXT("sha256", written.sha256)),
                  "Wrote %s (sha256 %s)", size, written.sha256);
    }
    return ok;
}

static bool run(struct context *context, const struct invocation *invocation, struct error *err)
{
    const char *key = invocation->options[OPTION_RESTRICT_KEY];

    if (key != NULL && !dump_check_restrict_key(key, err)) {
        return false;
    }
    return invocation->options[OPTION_OUTPUT] != NULL ? run_to_file(context, invocation, err)
                                                      : run_to_store(context, invocation, err);
}

const struct command command_run = {
    .name = "run",
    .arguments = "[SCHEDULE]",
    .most_arguments = 1,
    .summary = "back up now",
    .description =
        "Backs up the database now, as a manual backup of the schedule with this name or id (of "
        "the\n"
        "only one, when there is one), and prints the backup's name. Retention and notifications\n"
        "follow as after a scheduled backup.",
    .options = {{"output", "FILE",
                 "write to FILE ('-': standard output) instead of the store; no "
                 "schedule and no ledger is needed"},
                {"restrict-key", "KEY",
                 "the script's \\restrict key, to make equal objects of equal databases"},
                {"no-prune", NULL, "do not apply retention afterwards"},
                {"no-notify", NULL, "do not notify"},
                {"no-verify", NULL, "do not verify it, though the schedule asks for that"},
                SCOPE_OPTION_TABLE,
                SCOPE_OPTION_EXCLUDE_TABLE,
                SCOPE_OPTION_EXCLUDE_TABLE_DATA,
                {"all-databases", NULL,
                 "every database of this server, each by itself: an object, a name and, with "
                 "--json, a document for each"},
                {"json", NULL, "print the outcome as JSON"}},
    .repeatable = SCOPE_OPTIONS_REPEATABLE,
    .run = run,
};

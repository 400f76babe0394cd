/* A backup, back into a database or into a file. */

#include <string.h>
#include <unistd.h>

#include "backup/output_file.h"
#include "backup/progress.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "commands/chosen_backup.h"
#include "commands/command.h"
#include "commands/context.h"
#include "commands/output.h"
#include "restore/plain_script.h"
#include "restore/restore.h"
#include "stream/digest_stage.h"

enum {
    OPTION_TO,
    OPTION_CREATE,
    OPTION_CLEAN,
    OPTION_TABLE,
    OPTION_DATA_ONLY,
    OPTION_SCHEMA_ONLY,
    OPTION_CREATE_ROLES,
    OPTION_NO_OWNER,
    OPTION_NO_PRIVILEGES,
    OPTION_OUTPUT,
    OPTION_JSON
};

static bool has(const struct invocation *invocation, int option)
{
    return invocation->options[option] != NULL;
}

static bool refuse_pair(const struct invocation *invocation, int one, int other, struct error *err)
{
    if (!has(invocation, one) || !has(invocation, other)) {
        return true;
    }
    return error_set(err, ERROR_USAGE, "--%s and --%s exclude each other",
                     invocation->command->options[one].name,
                     invocation->command->options[other].name);
}

/* What contradicts must not seem to have been heard. */
static bool check_options(const struct invocation *invocation, struct error *err)
{
    static const int pairs[][2] = {
        {OPTION_TO, OPTION_OUTPUT},
        {OPTION_CREATE, OPTION_CLEAN},
        {OPTION_DATA_ONLY, OPTION_SCHEMA_ONLY},
        {OPTION_CREATE_ROLES, OPTION_NO_OWNER},
        {OPTION_TABLE, OPTION_CREATE},
        {OPTION_TABLE, OPTION_CLEAN},
        {OPTION_DATA_ONLY, OPTION_CREATE},
        {OPTION_DATA_ONLY, OPTION_CLEAN},
        {OPTION_OUTPUT, OPTION_CREATE},
        {OPTION_OUTPUT, OPTION_CLEAN},
        {OPTION_OUTPUT, OPTION_TABLE},
        {OPTION_OUTPUT, OPTION_DATA_ONLY},
        {OPTION_OUTPUT, OPTION_SCHEMA_ONLY},
        {OPTION_OUTPUT, OPTION_CREATE_ROLES},
        {OPTION_OUTPUT, OPTION_NO_OWNER},
        {OPTION_OUTPUT, OPTION_NO_PRIVILEGES},
        {OPTION_OUTPUT, OPTION_JSON},
    };

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        if (!refuse_pair(invocation, pairs[i][0], pairs[i][1], err)) {
            return false;
        }
    }
    if (invocation->argument_count == 0) {
        error_set(err, ERROR_USAGE, "restore needs the name of a backup");
        return error_hint(err, "'rythm-backup list' lists them; 'latest' is the newest");
    }
    if (has(invocation, OPTION_OUTPUT) && invocation->options[OPTION_OUTPUT][0] == '\0') {
        return error_set(err, ERROR_USAGE, "--output names no file");
    }
    /* Not the default of libpq: --to "$UNSET" --clean would replace a database nobody named. */
    if (has(invocation, OPTION_TO) && invocation->options[OPTION_TO][0] == '\0') {
        return error_set(err, ERROR_USAGE, "--to names no database");
    }
    if (!has(invocation, OPTION_TO) && !has(invocation, OPTION_OUTPUT)) {
        error_set(err, ERROR_USAGE, "restore does not know where to");
        return error_hint(err, "--to CONNINFO names the database, --output FILE a file");
    }
    return true;
}

static bool print_json(const struct backup_choice *choice, const struct restore_outcome *outcome,
                       struct error *err)
{
    return output_json(
        json_pack("{s:s, s:s, s:o, s:o, s:o, s:I, s:I}", "name", choice->backup.object->name,
                  "store", choice->store->location, "database", output_json_text(outcome->database),
                  "tables", output_json_count(outcome->has_rows, outcome->tables), "rows",
                  output_json_count(outcome->has_rows, outcome->rows), "raw_bytes",
                  (json_int_t)outcome->raw_bytes, "duration_ms", (json_int_t)outcome->duration_ms),
        err);
}

static void tell(const struct backup_choice *choice, const struct restore_outcome *outcome,
                 enum restore_part part)
{
    char size[TEXT_BYTES_SIZE];
    char duration[CLOCK_DURATION_SIZE];

    text_format_bytes(size, outcome->raw_bytes);
    clock_format_duration(duration, outcome->duration_ms);
    log_write(&LOG_WITH(LOG_INFO, LOG_MARK_OK, "restored",
                        LOG_TEXT("name", choice->backup.object->name),
                        LOG_TEXT("database", outcome->database),
                        LOG_NUMBER("rows", (int64_t)outcome->rows),
                        LOG_NUMBER("duration_ms", outcome->duration_ms)),
              "Restored %s into database %s in %s (%s of SQL)", choice->backup.object->name,
              outcome->database, duration, size);
    if (part != RESTORE_SCHEMA) {
        log_info(
            LOG_MARK_NOTE, "analyze",
            "What was restored has no statistics yet: vacuumdb --analyze-in-stages makes them");
    }
}

/* Of a copied database the backups may stand beside the original's. */
static void tell_choice(const struct backup_choice *choice)
{
    const struct backup_facts *facts = &choice->backup.facts;
    char begun[CLOCK_ISO_SIZE];

    clock_format_iso(begun, choice->backup.begun_ms);
    log_info(LOG_MARK_NOTE, "backup_chosen", "%s of %s, database %s, from %s", choice->object.name,
             begun, facts->database[0] != '\0' ? facts->database : "unknown",
             choice->store->location);
}

static enum restore_part part_of(const struct invocation *invocation)
{
    return has(invocation, OPTION_DATA_ONLY)     ? RESTORE_ROWS
           : has(invocation, OPTION_SCHEMA_ONLY) ? RESTORE_SCHEMA
                                                 : RESTORE_ALL;
}

static bool restore_to_database(struct context *context, const struct invocation *invocation,
                                const struct backup_choice *choice, struct error *err)
{
    const char *tables[COMMAND_MOST_REPEATS];
    struct progress progress;
    const struct session_options target = {
        .conninfo = invocation->options[OPTION_TO],
        .given_by = "--to",
        .connect_s = context->session_options.connect_s,
        .password = context->session_options.password,
    };
    const struct restore_request request = {
        .settings = &context->settings,
        .store = choice->store,
        .backup = &choice->backup,
        .target = &target,
        .part = part_of(invocation),
        .tables = tables,
        .table_count = command_repeated(invocation, OPTION_TABLE, tables),
        .create = has(invocation, OPTION_CREATE),
        .clean = has(invocation, OPTION_CLEAN),
        .create_roles = has(invocation, OPTION_CREATE_ROLES),
        .no_owner = has(invocation, OPTION_NO_OWNER),
        .no_privileges = has(invocation, OPTION_NO_PRIVILEGES),
        .progress = progress_update,
        .progress_context = &progress,
    };
    struct restore_outcome outcome;

    progress_begin(&progress, "Restoring", choice->backup.facts.raw_bytes,
                   context_wants_progress(context, invocation));
    bool ok = restore_run(&request, &outcome, err);
    progress_end(&progress);
    if (!ok) {
        error_prefix(err, "restoring %s", choice->backup.object->name);
        return err->kind == ERROR_DAMAGED
                   ? error_hint(err, "'rythm-backup list' shows older backups")
                   : false;
    }
    tell(choice, &outcome, request.part);
    return !has(invocation, OPTION_JSON) || print_json(choice, &outcome, err);
}

/* What is written to a file, and how much of it has been. */
struct script {
    struct backup_source source;
    struct stream_digest written;
};

static bool write_script(void *context, struct stage *out, struct error *err)
{
    struct script *script = context;
    struct stage *counted = digest_stage_new(&script->written, stage_borrow_new(out, err), err);
    bool ok = counted != NULL && plain_script_write(&script->source, counted, NULL, err);

    stage_free(counted);
    return ok;
}

/* *touched: of what failed something stays in the file, which is a pipe or a device. */
static bool restore_to_file(struct context *context, const struct invocation *invocation,
                            const struct backup_choice *choice, bool *touched, struct error *err)
{
    struct script script = {.source = BACKUP_SOURCE_INIT};
    const struct output_file file = {
        .path = invocation->options[OPTION_OUTPUT],
        .stall_ms = settings_get_number(&context->settings, SETTING_STALL_TIMEOUT) * 1000,
        .produce = write_script,
        .context = &script,
    };

    bool ok = backup_source_open(choice->store, &choice->backup, &script.source, err) &&
              output_file_write(&file, err);
    backup_source_clear(&script.source);
    *touched = !ok && script.written.bytes > 0 && !output_file_is_replaced(file.path);
    if (ok && strcmp(file.path, "-") != 0) {
        log_info(LOG_MARK_OK, "written", "Wrote %s as plain SQL to %s", choice->object.name,
                 file.path);
    }
    return ok;
}

/* A copy that is damaged or cannot be read is told, and the next one tried: what was restored from
 * it is not in the target, which is whole or untouched. */
static bool restore_first_good(struct context *context, const struct invocation *invocation,
                               struct backup_choice *choice, struct error *err)
{
    bool found = true;
    bool touched = false;

    for (;;) {
        struct error problem = ERROR_INIT;
        tell_choice(choice);
        if (has(invocation, OPTION_OUTPUT)
                ? restore_to_file(context, invocation, choice, &touched, &problem)
                : restore_to_database(context, invocation, choice, &problem)) {
            return true;
        }
        *err = problem;
        if (!backup_choice_is_at_fault(choice, &problem) || touched) {
            return false;
        }
        const char *location = choice->store->location;
        if (!backup_choice_next(&context->stores, choice, &found, err) || !found) {
            return false;
        }
        log_warning("copy_not_good", "The copy in %s is of no use: %s; the next one is tried",
                    location, problem.text);
    }
}

static bool run(struct context *context, const struct invocation *invocation, struct error *err)
{
    struct chosen_backup chosen;

    if (!check_options(invocation, err)) {
        return false;
    }
    bool ok = chosen_backup_open(context, invocation->arguments[0], &chosen, err);
    if (ok) {
        ok = restore_first_good(context, invocation, &chosen.choice, err);
    }
    chosen_backup_clear(&chosen);
    return ok;
}

const struct command command_restore = {
    .name = "restore",
    .arguments = "NAME",
    .most_arguments = 1,
    .summary = "restore a backup, or some tables of it",
    .description =
        "Restores the backup NAME ('latest': the newest; 'latest:SCHEDULE': the newest of that\n"
        "schedule; 'latest:SCHEDULE/DATABASE': of one that is of all databases) into the\n"
        "database that --to names. It goes into a scratch database beside it, which takes its\n"
        "name when all of it is there: the database is whole or untouched. A database that is\n"
        "not empty is refused without --clean. With --table or --data-only the existing\n"
        "database gets tables or rows, in one transaction.",
    .options = {{"to", "CONNINFO", "the database: connection string, URI or name"},
                {"create", NULL, "make the database, which must not exist"},
                {"clean", NULL, "replace the database; what it holds is dropped at the end"},
                {"table", "SCHEMA.TABLE", "only this table; may be given several times"},
                {"data-only", NULL, "rows alone, into tables that exist and are empty"},
                {"schema-only", NULL, "no rows"},
                {"create-roles", NULL,
                 "make roles that are missing: as the backup holds them, else NOLOGIN"},
                {"no-owner", NULL, "objects belong to who restores them"},
                {"no-privileges", NULL, "no GRANT and REVOKE"},
                {"output", "FILE", "write the plain SQL to FILE ('-': standard output) instead"},
                {"json", NULL, "print the outcome as JSON"}},
    .needs_store = true,
    .repeatable = {"table"},
    .run = run,
};

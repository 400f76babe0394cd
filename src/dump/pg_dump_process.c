#include "dump/pg_dump_process.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/settings.h"
#include "base/text.h"
#include "postgres/session_child.h"

#define ARGUMENTS_CAP ((size_t)1024 * 1024)

/* Arguments one after the other, each with its NUL. */
struct arguments {
    struct text text;
    size_t count;
};

static void end_argument(struct arguments *arguments)
{
    text_append_bytes(&arguments->text, "", 1);
    arguments->count++;
}

static void add(struct arguments *arguments, const char *option, const char *value)
{
    if (value != NULL) {
        text_appendf(&arguments->text, "%s%s", option, value);
        end_argument(arguments);
    }
}

/* pg_dump takes patterns; between double quotes everything but a double quote stands for itself
 * (manual, psql, "Patterns"). */
static void add_schema(struct arguments *arguments, const char *schema)
{
    text_append(&arguments->text, "--schema=\"");
    for (const char *c = schema; *c != '\0'; c++) {
        text_append_bytes(&arguments->text, *c == '"' ? "\"\"" : c, *c == '"' ? 2 : 1);
    }
    text_append(&arguments->text, "\"");
    end_argument(arguments);
}

static void add_scope(struct arguments *arguments, const struct scope *scope)
{
    char *const *schemas = scope->lists[SCOPE_SCHEMAS];

    for (size_t i = 0; schemas != NULL && schemas[i] != NULL; i++) {
        add_schema(arguments, schemas[i]);
    }
    for (int list = SCOPE_TABLES; list < SCOPE_LISTS; list++) {
        char *const *patterns = scope->lists[list];
        for (size_t i = 0; patterns != NULL && patterns[i] != NULL; i++) {
            text_appendf(&arguments->text, "--%s=%s", scope_option((enum scope_list)list),
                         patterns[i]);
            end_argument(arguments);
        }
    }
}

static void add_all(struct arguments *arguments, const struct pg_dump_options *options,
                    const char *conninfo)
{
    struct server_facts server;
    char lock_wait[32];

    session_facts(options->session, &server);
    snprintf(lock_wait, sizeof(lock_wait), "%" PRId64, options->lock_wait_ms);
    add(arguments, options->tool->path, "");
    add(arguments, "--format=plain", "");
    add(arguments, "--no-password", "");
    add(arguments, "--strict-names", "");
    add(arguments, "--encoding=", server.encoding);
    add(arguments, "--lock-wait-timeout=", lock_wait);
    add(arguments, "--section=", options->section);
    add(arguments, "--snapshot=", options->snapshot);
    add(arguments, "--restrict-key=", options->restrict_key);
    add(arguments, "--dbname=", conninfo);
    add_scope(arguments, options->scope);
}

/* NULL-terminated; the caller frees the array alone. */
static char **point_at(const struct arguments *arguments, struct error *err)
{
    char **argv = calloc(arguments->count + 1, sizeof(*argv));
    char *argument = arguments->text.data;

    if (argv == NULL) {
        error_set_memory(err);
        return NULL;
    }
    for (size_t i = 0; i < arguments->count; i++) {
        argv[i] = argument;
        argument += strlen(argument) + 1;
    }
    return argv;
}

bool pg_dump_process_start(const struct pg_dump_options *options, struct process *process,
                           struct error *err)
{
    struct arguments arguments = {.text = TEXT_INIT(ARGUMENTS_CAP)};
    struct session_child child = {NULL, NULL};
    char **argv = NULL;
    char **environment = NULL;
    bool ok = false;

    if (!session_child_init(&child, options->session, err)) {
        return false;
    }
    /* PGTZ: offsets in the text of timestamps do not depend on the role's or host's setting.
     * PGHOSTADDR would go before a host that the arguments name without an address. */
    const char *password = child.password[0] != '\0' ? child.password : NULL;
    const char *extra[] = {"PGTZ=UTC", "PGHOSTADDR=", password, NULL};
    environment = settings_child_environment(extra, err);
    add_all(&arguments, options, child.conninfo);
    if (arguments.text.failed) {
        error_set_memory(err);
    } else if (environment != NULL) {
        argv = point_at(&arguments, err);
        ok = argv != NULL && process_start(process, argv, environment, err);
        process->name = "pg_dump";
    }
    free(argv);
    free(environment);
    text_clear(&arguments.text);
    session_child_clear(&child);
    return ok;
}

bool pg_dump_process_was_locking(const struct process *process)
{
    return strstr(process->stderr_text, "LOCK TABLE") != NULL &&
           strstr(process->stderr_text, PG_DUMP_PROCESS_LOCKS_PARAMETER) == NULL;
}

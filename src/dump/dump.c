#include "dump/dump.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/process.h"
#include "base/text.h"
#include "base/wait.h"
#include "dump/pg_dump.h"
#include "postgres/session_child.h"

#define CHUNK_SIZE    (256 * 1024)
#define EXIT_LIMIT_MS (60 * 1000)

/* pg_dump writes this, and little after it, at the end of every script that it finished. */
#define END_MARK  "\n-- PostgreSQL database dump complete\n"
#define TAIL_SIZE 512

/* The last bytes of the script. */
struct tail {
    char bytes[TAIL_SIZE];
    size_t length;
};

static void tail_add(struct tail *tail, const char *data, size_t size)
{
    if (size >= sizeof(tail->bytes)) {
        memcpy(tail->bytes, data + size - sizeof(tail->bytes), sizeof(tail->bytes));
        tail->length = sizeof(tail->bytes);
        return;
    }
    size_t kept =
        sizeof(tail->bytes) - size < tail->length ? sizeof(tail->bytes) - size : tail->length;
    memmove(tail->bytes, tail->bytes + tail->length - kept, kept);
    memcpy(tail->bytes + kept, data, size);
    tail->length = kept + size;
}

static bool tail_has_end(const struct tail *tail)
{
    return memmem(tail->bytes, tail->length, END_MARK, strlen(END_MARK)) != NULL;
}

static bool find_tool(const struct dump_options *options, struct pg_dump *tool, struct error *err)
{
    struct server_facts facts;

    session_facts(options->session, &facts);
    return pg_dump_find(settings_get(options->settings, SETTING_PG_DUMP), facts.version_number,
                        tool, err);
}

bool dump_check(const struct dump_options *options, struct error *err)
{
    struct pg_dump tool;

    return find_tool(options, &tool, err);
}

/* pg_dump takes patterns; between double quotes everything but a double quote stands for itself
 * (manual, psql, "Patterns"). */
static bool append_schemas(struct text *out, char *const *schemas)
{
    for (size_t i = 0; schemas != NULL && schemas[i] != NULL; i++) {
        text_append(out, "--schema=\"");
        for (const char *c = schemas[i]; *c != '\0'; c++) {
            text_append_bytes(out, *c == '"' ? "\"\"" : c, *c == '"' ? 2 : 1);
        }
        text_append_bytes(out, "\"", 2); /* with its NUL: each is an argument */
    }
    return !out->failed;
}

static size_t count_schemas(char *const *schemas)
{
    size_t count = 0;

    while (schemas != NULL && schemas[count] != NULL) {
        count++;
    }
    return count;
}

/* The arguments, NULL-terminated; the caller frees the array alone. `schemas` holds what
 * append_schemas() wrote. */
static char **make_arguments(char *const fixed[], size_t fixed_count, struct text *schemas,
                             size_t count, struct error *err)
{
    char **argv = calloc(fixed_count + count + 1, sizeof(*argv));
    char *schema = schemas->data;

    if (argv == NULL) {
        error_set_memory(err);
        return NULL;
    }
    memcpy(argv, fixed, fixed_count * sizeof(*argv));
    for (size_t i = 0; i < count; i++) {
        argv[fixed_count + i] = schema;
        schema += strlen(schema) + 1;
    }
    return argv;
}

static bool start(const struct dump_options *options, struct pg_dump *tool, struct process *process,
                  struct error *err)
{
    struct text schemas = TEXT_INIT(1024 * 1024);
    char strict[] = "--strict-names";
    char **argv = NULL;
    struct session_child child = {NULL, NULL};
    struct text database = TEXT_INIT(128 * 1024);
    char wait_option[64];
    char plain[] = "--format=plain";
    char never_ask[] = "--no-password";
    char **environment = NULL;
    bool ok = false;

    snprintf(wait_option, sizeof(wait_option), "--lock-wait-timeout=%" PRId64,
             settings_get_number(options->settings, SETTING_LOCK_TIMEOUT) * 1000);
    if (!session_child_init(&child, options->session, err)) {
        return false;
    }
    /* PGTZ: offsets in the text of timestamps do not depend on the role's or host's setting.
     * PGHOSTADDR would go before a host that the arguments name without an address. */
    const char *password = child.password[0] != '\0' ? child.password : NULL;
    const char *extra[] = {"PGTZ=UTC", "PGHOSTADDR=", password, NULL};
    environment = settings_child_environment(extra, err);
    text_appendf(&database, "--dbname=%s", child.conninfo);
    if (database.failed || !append_schemas(&schemas, options->schemas)) {
        error_set_memory(err);
    } else if (environment != NULL) {
        char *const fixed[] = {tool->path, plain, never_ask, strict, wait_option, database.data};
        argv = make_arguments(fixed, sizeof(fixed) / sizeof(fixed[0]), &schemas,
                              count_schemas(options->schemas), err);
        ok = argv != NULL && process_start(process, argv, environment, err);
    }
    free(argv);
    free(environment);
    text_clear(&schemas);
    text_clear(&database);
    session_child_clear(&child);
    return ok;
}

static bool pump(const struct dump_options *options, struct process *process, char *buffer,
                 struct stage *stream, uint64_t *raw_bytes, struct error *err)
{
    int64_t stall_ms = settings_get_number(options->settings, SETTING_STALL_TIMEOUT) * 1000;
    struct tail tail = {.length = 0};
    size_t got = 0;

    for (;;) {
        struct deadline deadline = deadline_in_ms(stall_ms);
        if (!process_read(process, buffer, CHUNK_SIZE, &deadline, &got, err)) {
            return false;
        }
        if (got == 0) {
            break;
        }
        tail_add(&tail, buffer, got);
        if (!stage_write(stream, buffer, got, err)) {
            return false;
        }
        *raw_bytes += got;
        if (options->progress != NULL) {
            options->progress(options->progress_context, *raw_bytes);
        }
    }
    struct deadline deadline = deadline_in_ms(EXIT_LIMIT_MS);
    if (!process_finish(process, &deadline, err)) {
        /* pg_dump says it in terms of a statement timeout, which it sets for this alone. */
        if (strstr(process->stderr_text, "LOCK TABLE") != NULL &&
            strstr(process->stderr_text, "timeout") != NULL) {
            error_hint(err, "another session has held a lock on it for longer than "
                            "RYTHM_BACKUP_LOCK_TIMEOUT; pg_locks shows whose");
        }
        return false;
    }
    if (!tail_has_end(&tail)) {
        return error_set(err, ERROR_FAILED,
                         "pg_dump ended well but its script does not end as a whole one does");
    }
    return true;
}

bool dump_run(const struct dump_options *options, struct stage *stream, uint64_t *raw_bytes,
              struct error *err)
{
    struct process process = PROCESS_INIT;
    struct pg_dump tool;
    uint64_t passed = 0;

    if (!find_tool(options, &tool, err)) {
        return false;
    }
    char *buffer = malloc(CHUNK_SIZE);
    if (buffer == NULL) {
        return error_set_memory(err);
    }
    bool ok = start(options, &tool, &process, err) &&
              pump(options, &process, buffer, stream, &passed, err);
    process_kill(&process);
    free(buffer);
    if (!ok) {
        return error_prefix(err, "dumping the database");
    }
    *raw_bytes = passed;
    return true;
}

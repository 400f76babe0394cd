#include "dump/whole_script.h"

#include <stdlib.h>
#include <string.h>

#include "dump/pg_dump_process.h"
#include "stream/script_end.h"

#define CHUNK_SIZE ((size_t)256 * 1024)

static bool end_child(struct process *process, struct error *err)
{
    struct deadline deadline = deadline_in_ms(PG_DUMP_EXIT_LIMIT_MS);

    if (process_finish(process, &deadline, err)) {
        return true;
    }
    if (pg_dump_process_was_locking(process) && strstr(process->stderr_text, "timeout") != NULL) {
        error_hint(err, "another session has held a lock on it for longer than "
                        "RYTHM_BACKUP_LOCK_TIMEOUT; pg_locks shows whose");
    }
    return false;
}

static bool pass_on(const struct dump_options *options, struct stage *stream, const char *data,
                    size_t size, uint64_t *raw_bytes, struct error *err)
{
    if (!stage_write(stream, data, size, err)) {
        return false;
    }
    *raw_bytes += size;
    if (options->progress != NULL) {
        options->progress(options->progress_context, *raw_bytes);
    }
    return true;
}

static bool pump(const struct dump_options *options, struct process *process, char *buffer,
                 struct stage *stream, uint64_t *raw_bytes, struct error *err)
{
    int64_t stall_ms = settings_get_number(options->settings, SETTING_STALL_TIMEOUT) * 1000;
    struct script_tail tail = {.length = 0};
    size_t got = 0;

    do {
        struct deadline deadline = deadline_in_ms(stall_ms);
        if (!process_read(process, buffer, CHUNK_SIZE, &deadline, &got, err)) {
            return false;
        }
        script_tail_add(&tail, buffer, got);
        if (got > 0 && !pass_on(options, stream, buffer, got, raw_bytes, err)) {
            return false;
        }
    } while (got > 0);
    if (!end_child(process, err)) {
        return false;
    }
    if (!script_tail_is_whole(&tail)) {
        return error_set(err, ERROR_FAILED,
                         "pg_dump ended well but its script does not end as a whole one does");
    }
    return pass_on(options, stream, "\n" SCRIPT_END_LINE, strlen("\n" SCRIPT_END_LINE), raw_bytes,
                   err);
}

bool whole_script_run(const struct dump_options *options, const struct pg_dump *tool,
                      const char *restrict_key, struct stage *stream, uint64_t *raw_bytes,
                      struct error *err)
{
    struct process process = PROCESS_INIT;
    const struct pg_dump_options child = {
        .tool = tool,
        .session = options->session,
        .scope = options->scope,
        .restrict_key = restrict_key,
        .lock_wait_ms = settings_get_number(options->settings, SETTING_LOCK_TIMEOUT) * 1000,
    };
    char *buffer = malloc(CHUNK_SIZE);

    if (buffer == NULL) {
        return error_set_memory(err);
    }
    *raw_bytes = 0;
    bool ok = pg_dump_process_start(&child, &process, err) &&
              pump(options, &process, buffer, stream, raw_bytes, err);
    process_kill(&process);
    free(buffer);
    return ok;
}

#include "dump/section_script.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/wait.h"
#include "dump/pg_dump_process.h"
#include "stream/script_end.h"

#define BEGINNING      "--\n-- PostgreSQL database dump\n--\n\n"
#define BEGINNING_MOST 256
#define CHUNK_SIZE     ((size_t)128 * 1024)

/* What was read and not yet written: always enough to tell the end from the rest. */
struct window {
    char bytes[SCRIPT_TAIL_SIZE + BEGINNING_MOST + CHUNK_SIZE];
    size_t length;
    bool begun; /* something was written */
};

bool section_script_wait(struct section_script *script, bool *ended, struct error *err)
{
    struct deadline deadline = deadline_in_ms(script->stall_ms);

    return process_await(&script->process, &deadline, ended, err) ||
           error_prefix(err, "waiting for pg_dump");
}

/* The length of what the last section leaves out at its beginning. */
static bool measure_beginning(const struct section_script *script, const struct window *window,
                              size_t *length, struct error *err)
{
    char expected[BEGINNING_MOST];

    *length = 0;
    if (!script->is_last) {
        return true;
    }
    int size = script->restrict_key == NULL
                   ? snprintf(expected, sizeof(expected), BEGINNING)
                   : snprintf(expected, sizeof(expected), BEGINNING "\\restrict %s\n\n",
                              script->restrict_key);
    if (size < 0 || size >= (int)sizeof(expected) || window->length < (size_t)size ||
        memcmp(window->bytes, expected, (size_t)size) != 0) {
        return error_set(err, ERROR_FAILED,
                         "pg_dump's post-data section does not begin as expected; set "
                         "RYTHM_BACKUP_ENGINE=pg_dump, and report its version");
    }
    *length = (size_t)size;
    return true;
}

/* Writes all but the last `kept` bytes. */
static bool slide(const struct section_script *script, struct window *window, size_t kept,
                  struct segment_stream *stream, struct error *err)
{
    size_t skipped = 0;
    size_t end = window->length - kept;

    if (!window->begun && !measure_beginning(script, window, &skipped, err)) {
        return false;
    }
    window->begun = true;
    if (skipped < end &&
        !segment_stream_write(stream, window->bytes + skipped, end - skipped, err)) {
        return false;
    }
    memmove(window->bytes, window->bytes + end, kept);
    window->length = kept;
    return true;
}

static bool write_end(const struct section_script *script, struct segment_stream *stream,
                      struct error *err)
{
    if (!script->is_last) {
        return true;
    }
    if (!segment_stream_print(stream, SCRIPT_END_COMMENT "\n", err)) {
        return false;
    }
    if (script->restrict_key != NULL && !(segment_stream_print(stream, "\\unrestrict ", err) &&
                                          segment_stream_print(stream, script->restrict_key, err) &&
                                          segment_stream_print(stream, "\n\n", err))) {
        return false;
    }
    return segment_stream_print(stream, SCRIPT_END_LINE, err);
}

static bool copy(struct section_script *script, struct window *window,
                 struct segment_stream *stream, struct error *err)
{
    size_t got = 0;

    do {
        struct deadline deadline = deadline_in_ms(script->stall_ms);
        if (!process_read(&script->process, window->bytes + window->length,
                          sizeof(window->bytes) - window->length, &deadline, &got, err)) {
            return false;
        }
        window->length += got;
        if (window->length >= SCRIPT_TAIL_SIZE + BEGINNING_MOST &&
            !slide(script, window, SCRIPT_TAIL_SIZE, stream, err)) {
            return false;
        }
    } while (got > 0);
    atomic_store(&script->at_end, true);
    const char *end = script_end_find(window->bytes, window->length);
    if (end == NULL) {
        return error_set(err, ERROR_FAILED, "pg_dump's script does not end as a whole one does");
    }
    return slide(script, window, (size_t)(window->bytes + window->length - end), stream, err) &&
           write_end(script, stream, err);
}

bool section_script_copy(struct section_script *script, struct segment_stream *stream,
                         struct error *err)
{
    struct window *window = malloc(sizeof(*window));

    if (window == NULL) {
        return error_set_memory(err);
    }
    window->length = 0;
    window->begun = false;
    bool ok = copy(script, window, stream, err);
    free(window);
    return ok;
}

/* It is not waited for before section_script_close(): the process id is still its own. */
void section_script_interrupt(struct section_script *script)
{
    if (script->process.pid > 0 && !atomic_load(&script->at_end)) {
        script->interrupted = true;
        kill(script->process.pid, SIGTERM);
    }
}

bool section_script_close(struct section_script *script, struct error *err)
{
    struct deadline deadline = deadline_in_ms(PG_DUMP_EXIT_LIMIT_MS);

    return process_finish(&script->process, &deadline, err);
}

/*
 * A file, standard output, or a device that the user named as the place for a result.
 */
#ifndef BACKUP_OUTPUT_FILE_H
#define BACKUP_OUTPUT_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "stream/stage.h"

struct output_file {
    const char *path; /* "-": standard output */
    int64_t stall_ms; /* fd_stage_new() */
    /* Writes all of it to `out`, which is borrowed. */
    bool (*produce)(void *context, struct stage *out, struct error *err);
    void *context;
};

/* Whether output_file_write() leaves nothing of a failure there: else it is a pipe or a device. */
bool output_file_is_replaced(const char *path);

/* A regular file appears, or is replaced, whole or not at all; what stands half-written beside it
 * meanwhile is removed after a failure. To anything else it is written as it comes. */
bool output_file_write(const struct output_file *file, struct error *err);

#endif

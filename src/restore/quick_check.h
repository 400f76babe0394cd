/*
 * Is a backup what its manifest and metadata say? Reads all of it, and restores nothing: the digest
 * of the object and of each segment, the compression to its end, the script's form, and the rows of
 * each table, counted and summed again.
 */
#ifndef RESTORE_QUICK_CHECK_H
#define RESTORE_QUICK_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "restore/backup_source.h"

struct quick_check {
    const struct backup_source *source;
    /* Called now and then; NULL: no progress. */
    void (*progress)(void *context, uint64_t raw_bytes);
    void *progress_context;
};

struct quick_check_result {
    bool has_rows; /* tables and rows were counted: there is a manifest */
    uint64_t tables;
    uint64_t rows;
    uint64_t raw_bytes;
};

/* False with what is wrong with it (ERROR_DAMAGED), or with why it could not be read. */
bool quick_check_run(const struct quick_check *check, struct quick_check_result *result,
                     struct error *err);

#endif

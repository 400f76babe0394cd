/*
 * Whole small files, and descriptors.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/text.h"

/* Reads the whole of a regular file of at most `cap` bytes into *out (empty on entry; the caller
 * clears it, also after a failure). *found is false, without an error, when there is no such file.
 * `status` may be NULL. */
bool file_read(const char *path, size_t cap, struct text *out, bool *found, struct stat *status,
               struct error *err);

/* Writes all of it, through short writes and EINTR. The error is the system's alone, and
 * errno is kept: the caller knows what the descriptor is. */
bool file_write_all(int fd, const void *data, size_t size, struct error *err);

/* Opens /dev/null on each of 0, 1 and 2 that is closed, the wrong way round, so that no file of
 * ours lands there and that using one still fails. */
bool file_hold_standard_descriptors(struct error *err);

#endif

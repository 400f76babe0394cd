/*
 * A backup that is read as one script from its beginning to its end: because it has no manifest, or
 * because all of it is wanted.
 */
#ifndef RESTORE_WHOLE_OBJECT_H
#define RESTORE_WHOLE_OBJECT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"
#include "restore/backup_source.h"
#include "restore/fill.h"
#include "stream/stage.h"

/* Reads it, writes its text to `out` (neither finished nor freed), and finds out on the way whether
 * it is whole: its length, its SHA-256 where its metadata have one, its compression to the end, and
 * the mark at the end of the script. What was written before that is known may be wrong.
 * `raw_bytes` (may be NULL) grows with the text. */
bool whole_object_read(const struct backup_source *source, struct stage *out,
                       atomic_uint_least64_t *raw_bytes, struct error *err);

/* The same into a stage that is finished then, and freed in any case; NULL is passed on as the
 * failure of whoever made it. */
bool whole_object_take(const struct backup_source *source, struct stage *stage,
                       atomic_uint_least64_t *raw_bytes, struct error *err);

/* As fill_database(), without a manifest. */
bool whole_object_replay(const struct fill_options *options, struct fill_result *result,
                         struct error *err);

#endif

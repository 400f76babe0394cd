/*
 * Fetches a segment of a backup: nothing of its text is given out before the SHA-256 of its bytes
 * has been found to be the manifest's (so that no wrong row is ever sent to a database).
 *
 * A segment of up to SEGMENT_READER_MEMORY bytes is held in memory meanwhile. A longer one is read
 * twice: once to be checked, once to be given out, and checked again (I5). One that is found to be
 * wrong when it is checked is read once more before it is called damaged, for it may have been
 * damaged on its way; what differs only when a long one is given out is no damage of the backup.
 */
#ifndef RESTORE_SEGMENT_READER_H
#define RESTORE_SEGMENT_READER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "crypto/digest.h"
#include "restore/backup_source.h"
#include "stream/segment.h"
#include "stream/stage.h"

#define SEGMENT_READER_MEMORY ((size_t)24 * 1024 * 1024)

/* For one thread at a time; several may read the same source. */
struct segment_reader;

/* `raw_bytes` (borrowed, may be NULL) grows with what is given out. */
struct segment_reader *segment_reader_new(const struct backup_source *source,
                                          atomic_uint_least64_t *raw_bytes, struct error *err);
void segment_reader_free(struct segment_reader *reader);
/* From another thread: what it is reading ends soon, with an error. */
void segment_reader_cancel(struct segment_reader *reader);
/* Every byte that is given out goes into this digest, too: the object's, when all of its segments
 * are read in their order. Borrowed. */
void segment_reader_digest(struct segment_reader *reader, struct digest *digest);

/* Writes the segment's text to `out`, which is neither finished nor freed. False when it is not
 * what the manifest says; only of a long segment can something have been written then. */
bool segment_reader_run(struct segment_reader *reader, const struct segment *segment,
                        struct stage *out, struct error *err);
/* The same into a stage that is finished then, and freed in any case; NULL is passed on as the
 * failure of whoever made it. */
bool segment_reader_take(struct segment_reader *reader, const struct segment *segment,
                         struct stage *stage, struct error *err);

#endif

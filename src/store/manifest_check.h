/*
 * Does what a manifest says fit together, and fit its backup? Pure: what was read is compared, no
 * store is asked.
 */
#ifndef STORE_MANIFEST_CHECK_H
#define STORE_MANIFEST_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "store/backup_object.h"
#include "store/manifest_read.h"
#include "stream/fingerprint.h"

/* What a manifest says of a table's segments: their sums and their place. */
struct manifest_claim {
    uint64_t rows;
    uint64_t bytes;
    uint64_t raw_bytes;
    struct fingerprint fingerprint;
    uint64_t first_segment;
    uint64_t segment_count;
};

/* The manifest names this backup, with its run, length and digest; its segments cover the object
 * without gap, from pre-data to post-data; the segments of each table stand together, cover its
 * pages, and have the sums claimed (one claim for each table). An error names what disagrees. */
bool manifest_check(const struct manifest_copy *manifest, const struct manifest_claim *claims,
                    const struct backup_object *backup, struct error *err);

#endif

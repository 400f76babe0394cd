/*
 * Manifests whose backup is not there, and metadata whose backup or manifest is not there, where a
 * store keeps them beside it (S3): a run died between the two, or between their removals.
 */
#ifndef BACKUP_ORPHAN_MANIFESTS_H
#define BACKUP_ORPHAN_MANIFESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/ledger.h"
#include "store/objects.h"

/* Those of a whole listing that are provably of this ledger (I6) and whose runs began more than a
 * week ago, so that none can be about to publish. `now_ms` is the real time. The caller frees the
 * array, which borrows from the listing. */
bool orphan_manifests_find(const struct objects *objects, const struct ledger *ledger,
                           int64_t now_ms, const struct object ***out, size_t *count,
                           struct error *err);

#endif

/*
 * Reading a manifest (store/manifest.h) back. It comes from outside (I11): it is parsed piece by
 * piece, so that memory is only needed for what is kept of it, and whatever is not as
 * manifest_write() writes it, or does not fit its backup or itself, is an error that names it. A
 * key that is not known is passed over: a later program of this version may write more.
 */
#ifndef STORE_MANIFEST_READ_H
#define STORE_MANIFEST_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/database_locale.h"
#include "base/error.h"
#include "store/backup_object.h"
#include "store/store.h"
#include "stream/segment.h"

/* More is refused. */
#define MANIFEST_MOST_BYTES    (UINT64_C(4) * 1024 * 1024 * 1024)
#define MANIFEST_MOST_SEGMENTS 5000000
#define MANIFEST_MOST_TABLES   1000000
#define MANIFEST_MOST_KEYS     256
#define MANIFEST_MOST_CHOICES  10000

struct manifest_copy {
    char name[BACKUP_NAME_SIZE]; /* of the backup */
    struct backup_facts facts;   /* what a manifest does not tell is from the backup's metadata */
    int64_t snapshot_ms;         /* 0: not known */
    char encoding[32];
    struct database_locale locale; /* not known: of an older program */
    struct scope scope;            /* which part of the database */
    struct segments segments;
};

/* Reads and checks the manifest beside this backup. When the backup's metadata have its digest, the
 * manifest has not been changed since; it is the backup's and consistent in any case
 * (store/manifest_check.h). *found is false, without an error, when there is none: beside an object
 * of the old service or of the engine pg_dump, or when somebody took it away (then
 * facts.manifest_sha256 of the backup is not empty). *out is the caller's to clear when it was
 * found, and untouched otherwise. */
bool manifest_read(struct store *store, const struct backup_object *backup,
                   struct manifest_copy *out, bool *found, struct error *err);
void manifest_copy_clear(struct manifest_copy *manifest);

#endif

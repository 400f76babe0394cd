/*
 * The manifest: beside a backup NAME stands NAME.json, which says what the backup holds: each
 * segment with where it is, its digest, and the rows that it has, and per table the totals.
 *
 * It is stored before the backup is published and removed after it. It is no backup: nothing that
 * lists backups takes it for one. contrib/manifest.schema.json is its schema; a change of what a
 * field means, or a new one that no program may pass over, raises MANIFEST_VERSION, and a manifest
 * is of the lowest version that can say what it says.
 */
#ifndef STORE_MANIFEST_H
#define STORE_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/database_locale.h"
#include "base/error.h"
#include "store/backup_object.h"
#include "store/store.h"
#include "stream/digest_stage.h"
#include "stream/segment.h"
#include "stream/stage.h"

#define MANIFEST_FORMAT    "rythm-backup manifest"
#define MANIFEST_VERSION   2 /* the newest that is read */
#define MANIFEST_SUFFIX    ".json"
#define MANIFEST_NAME_SIZE (BACKUP_NAME_SIZE + sizeof(MANIFEST_SUFFIX))

/* NAME.json */
void manifest_name(char out[MANIFEST_NAME_SIZE], const char *backup_name);
/* The backup's name in the name of a manifest; false for another kind of name. */
bool manifest_name_parse(const char *name, char backup_name[BACKUP_NAME_SIZE]);

struct manifest {
    const char *name; /* of the backup */
    const struct backup_facts *facts;
    int64_t snapshot_ms;
    const char *encoding; /* of the database, and so of the script */
    struct database_locale locale;
    int64_t retain_ms; /* for so long from now on it is kept; upload_options.retain_ms */
    const struct segments *segments;
    const struct scope *scope; /* NULL: a whole database */
};

/* Writes it piece by piece, so that it need not fit in memory. */
bool manifest_write(const struct manifest *manifest, struct stage *stage, struct error *err);

/* Stores it, unless there is one of this name; `metadata` are the backup's. `digest` is what was
 * stored: what manifest_read() compares with. */
bool manifest_store(const struct manifest *manifest, struct store *store,
                    const struct metadata *metadata, struct stream_digest *digest,
                    struct error *err);
/* Removes a backup, as store_remove() does, and then its manifest. *result is the backup's; of a
 * manifest that stays behind only the log tells, for it does no harm. */
bool manifest_remove_backup(struct store *store, const struct object *backup,
                            enum store_removal *result, struct error *err);
/* Removes the manifest of this backup of this run, if there is one. */
bool manifest_remove(struct store *store, const char *backup_name, const char *run_id,
                     struct error *err);

#endif

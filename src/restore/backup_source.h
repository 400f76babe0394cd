/*
 * What is restored or verified: a published backup and, where it has one, its manifest. Without a
 * manifest (the engine pg_dump, the old service) it is one script that can only be read whole.
 */
#ifndef RESTORE_BACKUP_SOURCE_H
#define RESTORE_BACKUP_SOURCE_H

#include <stdbool.h>

#include "base/error.h"
#include "store/backup_object.h"
#include "store/manifest_read.h"
#include "store/store.h"
#include "stream/compress.h"

struct backup_source {
    struct store *store;                /* borrowed */
    const struct backup_object *backup; /* borrowed */
    enum compression_method method;
    bool has_manifest;
    bool manifest_is_lost;         /* it had one */
    struct manifest_copy manifest; /* when it has */
};
#define BACKUP_SOURCE_INIT                                                                         \
    {                                                                                              \
        .store = NULL                                                                              \
    }

/* Reads and checks the manifest. `store` and `backup` must outlive *out. */
bool backup_source_open(struct store *store, const struct backup_object *backup,
                        struct backup_source *out, struct error *err);
void backup_source_clear(struct backup_source *source);

/* Of the database, and so of the script; NULL where only the script tells. */
const char *backup_source_encoding(const struct backup_source *source);
/* The same; NULL also of a backup that an older program made. */
const struct database_locale *backup_source_locale(const struct backup_source *source);

#endif

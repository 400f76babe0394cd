/*
 * A published backup, copied from one store to another with its manifest: the same names, bytes and
 * metadata, checked while they pass.
 */
#ifndef STORE_BACKUP_COPY_H
#define STORE_BACKUP_COPY_H

#include <stdbool.h>

#include "base/error.h"
#include "store/backup_object.h"
#include "store/store.h"

struct backup_copy {
    struct store *from;
    const struct backup_object *backup; /* in `from`; not of the old service */
    struct store *to;                   /* prepared */
    int parallel;                       /* requests in flight */
    int64_t retain_ms;                  /* as in struct upload_options */
    upload_permit permit;               /* before each attempt to publish the backup */
    void *permit_context;
};

/* Removes what an earlier attempt of the same run left, and publishes only if no object has the
 * name (I2). ERROR_DAMAGED when the bytes are not those that the metadata tell: then nothing is
 * published, and another store may have better ones. */
bool backup_copy_run(const struct backup_copy *copy, struct error *err);

#endif

/*
 * A backup becoming visible in its store, or not: the manifest, the commit, and what can be said of
 * it afterwards, whatever answer was lost.
 */
#ifndef BACKUP_PUBLICATION_H
#define BACKUP_PUBLICATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "dump/dump.h"
#include "schedule/claim.h"
#include "store/backup_object.h"
#include "store/store.h"

struct publication {
    struct store *store;
    struct claim *claim;
    const struct dump_result *dump;
    char encoding[32];         /* of the dumped database */
    int64_t retention_days;    /* of the schedule */
    struct backup_facts facts; /* set before publication_commit() */
    bool tried;                /* the store may have been asked to publish */
};

/* Invariant I3, an upload_permit: are lock and row still ours, and was no stop asked for? */
bool publication_permit(void *publication, struct error *err);

/* How long from now on retention keeps it, for upload_options.retain_ms. */
int64_t publication_retain_ms(const struct publication *publication);

/* Stores the manifest and commits the upload, which is freed in any case. Every source has ended
 * well by then. */
bool publication_commit(struct publication *publication, struct upload *upload, struct error *err);

/* After a failure: *settled is false when the object may be there all the same. Otherwise it is
 * not, and neither is its manifest. */
void publication_settle(struct publication *publication, bool *settled);

/* While we stood still between the last look at the lock and the commit, another process took this
 * run for dead: the occurrence is its to make (I1), and our object goes. Adds to the error what
 * became of it; returns false. */
bool publication_withdraw(struct publication *publication, struct error *err);

#endif

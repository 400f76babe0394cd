/*
 * A backup becoming visible in its stores, or not: the manifests, the commits, and what can be said
 * of them afterwards, whatever answer was lost.
 *
 * With several stores the first commit decides (DESIGN, "Several stores"): until then nothing is
 * published and any required store's failure is the run's; from then on the backup is made, and a
 * store without it is one to which the backup is copied later.
 */
#ifndef BACKUP_PUBLICATION_H
#define BACKUP_PUBLICATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/database_locale.h"
#include "base/error.h"
#include "dump/dump.h"
#include "postgres/backup_copies.h"
#include "schedule/claim.h"
#include "store/backup_object.h"
#include "store/fan_out.h"
#include "store/store_pool.h"

/* What became of one store's copy. */
struct publication_copy {
    enum copy_state state;
    bool tried;           /* the store may have been asked to publish */
    struct error problem; /* why it is missing */
};

struct publication {
    const struct store_choice *stores;
    struct claim *claim;
    const struct dump_result *dump;
    char encoding[32];             /* of the dumped database */
    struct database_locale locale; /* the same */
    int64_t retention_days;        /* of the schedule */
    struct backup_facts facts;     /* set before publication_commit() */
    struct metadata manifest_metadata;
    struct metadata metadata;
    struct publication_copy copies[STORES_MOST];
    size_t current; /* the store whose commit is under way */
};

/* Invariant I3, an upload_permit: are lock and row still ours, and was no stop asked for? */
bool publication_permit(void *publication, struct error *err);

/* How long from now on retention keeps it, for upload_options.retain_ms. */
int64_t publication_retain_ms(const struct publication *publication);

/* Stores the manifests and commits the uploads. Every source has ended well by then. True when the
 * backup is published: in the first of the required stores at least. */
bool publication_commit(struct publication *publication, struct fan_out *fan_out,
                        struct error *err);
void publication_clear(struct publication *publication);

/* In how many stores the published backup is missing. */
size_t publication_missing(const struct publication *publication);

/* After a failure: *settled is false when the object may be there all the same. Otherwise it is
 * not, and neither is its manifest. */
void publication_settle(struct publication *publication, bool *settled);

/* While we stood still between the last look at the lock and the commit, another process took this
 * run for dead: the occurrence is its to make (I1), and our objects go. Adds to the error what
 * became of them; returns false. */
bool publication_withdraw(struct publication *publication, struct error *err);

#endif

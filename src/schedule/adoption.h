/*
 * Backups that a store has and the ledger does not know, because a restore rewound it: they are
 * recorded again from their metadata, which are the truth about what exists. Above all an
 * occurrence whose backup is there is then not made a second time (invariant I1).
 */
#ifndef SCHEDULE_ADOPTION_H
#define SCHEDULE_ADOPTION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "postgres/ledger.h"
#include "postgres/session.h"
#include "schedule/claim.h"
#include "store/backup_object.h"
#include "store/store.h"

/* Records those of `backups`, all of them the store's, that bear this ledger's mark and a run id
 * that it does not know. One whose store cannot confirm it is passed over with a warning. Removes
 * those whose run the ledger took for dead, if the backup that was made in their place is there. */
bool adoption_record(struct session *session, const struct ledger *ledger, struct store *store,
                     const struct backup_object *backups, size_t count, struct error *err);

/* Before the run of an occurrence is dumped: the same for what was begun since it, by a listing of
 * those days only, up to a backup of this very occurrence. *covered: there is one; the claim's row
 * has become that backup's, completed, and there is nothing left to run. False when there may be
 * one, and the store cannot tell. */
bool adoption_before_run(struct claim *claim, struct store *store, bool *covered,
                         struct error *err);

#endif

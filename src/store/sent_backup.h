/*
 * What a run has published in a store, looked at afterwards by whoever must know what it is worth:
 * the recovery of a run that died, and who copies what is missing.
 */
#ifndef STORE_SENT_BACKUP_H
#define STORE_SENT_BACKUP_H

#include <stdbool.h>

#include "base/error.h"
#include "store/backup_object.h"
#include "store/store.h"

/* An object that bears the run's id. One that cannot be read as ours (a newer version's, say) is an
 * error: it is nobody's to judge here, nor to remove. */
bool sent_backup_parse(const struct object *object, struct backup_object *backup,
                       struct error *err);

/* As sent_backup_parse(). *whole: this object, which bears the run's id, is what was sent, as far
 * as the store can tell; then *backup is it. Otherwise it is removed, for nothing is to be
 * concluded while it stands there: an error when the store does not let it go. */
bool sent_backup_examine(struct store *store, const struct object *object, const char *run_id,
                         struct backup_object *backup, bool *whole, struct error *err);

#endif

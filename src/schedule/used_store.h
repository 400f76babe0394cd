/*
 * A store that something is to be put into, or asked about, by somebody who has not made it.
 */
#ifndef SCHEDULE_USED_STORE_H
#define SCHEDULE_USED_STORE_H

#include <stdbool.h>

#include "base/error.h"
#include "postgres/session.h"
#include "store/store.h"

/* Prepares a store that has held no backup yet: a run may have died before its container or folder
 * was made. One that has held backups and is not there any more is not made again: its file system
 * is not mounted, and says nothing of any run. */
bool used_store_prepare(struct session *session, struct store *store, struct error *err);

#endif

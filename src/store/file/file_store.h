/*
 * A folder of a local (or mounted) file system as a store: file:///DIR.
 *
 * An object NAME is the regular file NAME, its metadata are the sidecar NAME.meta. Hidden files,
 * *.meta and whatever is not a regular file are not objects. An object whose sidecar is
 * damaged is listed with the one value sidecar=damaged, which makes it nobody's backup: retention
 * never touches it. Processes that share the folder exclude each other while they publish or
 * remove, with a lock on .rythm-backup.lock.
 */
#ifndef STORE_FILE_FILE_STORE_H
#define STORE_FILE_FILE_STORE_H

#include "store/store.h"

extern const struct store_kind file_store_kind;

#endif

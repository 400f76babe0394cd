/*
 * What is in the folder of a file store, as objects. The etag is device, inode, modification time
 * and size.
 */
#ifndef STORE_FILE_FILE_LIST_H
#define STORE_FILE_FILE_LIST_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/error.h"
#include "store/file/file_folder.h"
#include "store/objects.h"
#include "store/store.h"

/* Every object whose name starts with `prefix`, sorted by name, or an error. Changes nothing. */
bool file_list_all(const struct file_folder *folder, const char *prefix, struct objects *out,
                   struct error *err);

/* One object; *found = false without an error when it is not there. */
bool file_list_head(const struct file_folder *folder, const char *name, struct object *out,
                    bool *found, struct error *err);

/* Is a file with this status the object, unchanged? */
bool file_list_matches(const struct stat *status, const struct object *object);

/* *same = false when the object is gone or another one by now. */
bool file_list_is_still(const struct file_folder *folder, const struct object *object, bool *same,
                        struct error *err);

/* Reads the object, which may take long: the store, whose folder it is, is told that it goes on.
 * *same: its SHA-256 is the one in its metadata. */
bool file_list_check_digest(struct store *store, const struct file_folder *folder,
                            const struct object *object, bool *same, struct error *err);

#endif

/*
 * An object of a folder being read. The functions fill in struct store_ops.
 *
 * A file that stays open can be read after it was removed or replaced; that is an error all the
 * same, as it is in every other kind of store.
 */
#ifndef STORE_FILE_FILE_DOWNLOAD_H
#define STORE_FILE_FILE_DOWNLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "store/file/file_folder.h"
#include "store/store.h"

/* `folder` is open and outlives the download. */
bool file_download_open(struct store *store, const struct file_folder *folder,
                        const struct object *object, struct download **out, struct error *err);
bool file_download_read(struct download *download, uint64_t offset, void *buffer, size_t size,
                        struct error *err);
void file_download_close(struct download *download);

#endif

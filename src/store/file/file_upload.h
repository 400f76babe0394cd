/*
 * An upload to a folder: blocks go to a hidden partial file, which a rename publishes that cannot
 * replace anything (I2). The functions fill in struct store_ops.
 */
#ifndef STORE_FILE_FILE_UPLOAD_H
#define STORE_FILE_FILE_UPLOAD_H

#include <stdbool.h>

#include "base/error.h"
#include "store/file/file_folder.h"
#include "store/store.h"

/* `folder` is open and outlives the upload. */
bool file_upload_begin(struct store *store, const struct file_folder *folder,
                       const struct upload_options *options, struct upload **out,
                       struct error *err);
bool file_upload_block(struct upload *upload, struct block *block, struct error *err);
bool file_upload_flush(struct upload *upload, struct error *err);
bool file_upload_commit(struct upload *upload, const struct metadata *metadata, struct error *err);
void file_upload_abandon(struct upload *upload);

/* Removes what an upload of this run that died can have left behind. */
bool file_upload_discard(const struct file_folder *folder, const char *name, const char *run_id,
                         struct error *err);

#endif

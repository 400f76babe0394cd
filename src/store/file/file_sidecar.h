/*
 * The sidecar of an object in a folder: NAME.meta, a flat JSON object of strings with the object's
 * metadata. It is there before its object becomes visible and until after it is gone, so that a
 * visible object never lacks it; one without an object means nothing.
 */
#ifndef STORE_FILE_FILE_SIDECAR_H
#define STORE_FILE_FILE_SIDECAR_H

#include <stdbool.h>

#include "base/error.h"
#include "store/file/file_folder.h"
#include "store/metadata.h"

#define FILE_SIDECAR_SUFFIX ".meta"

/* The sidecar's name; false when it would be too long for a file. */
bool file_sidecar_name(char out[FILE_FOLDER_NAME_SIZE], const char *name);

/* Writes metadata to a new file of this name (the caller renames it), durably. */
bool file_sidecar_write(const struct file_folder *folder, const char *file_name,
                        const struct metadata *metadata, struct error *err);

enum file_sidecar_state { FILE_SIDECAR_GOOD, FILE_SIDECAR_MISSING, FILE_SIDECAR_DAMAGED };

/* Reads the sidecar of the object `name` into *out (empty on entry; left empty unless good). A
 * sidecar that is not what file_sidecar_write() writes is damaged; an error is the system's. */
bool file_sidecar_read(const struct file_folder *folder, const char *name, struct metadata *out,
                       enum file_sidecar_state *state, struct error *err);

/* Removes the sidecar of an object that is not there, when it says that this run wrote it. The
 * caller holds the folder's lock. */
bool file_sidecar_remove_orphan(const struct file_folder *folder, const char *name,
                                const char *run_id, struct error *err);

#endif

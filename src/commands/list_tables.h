/*
 * What is in one backup, as its manifest tells: printed by `list NAME`.
 */
#ifndef COMMANDS_LIST_TABLES_H
#define COMMANDS_LIST_TABLES_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "store/manifest_read.h"

/* A row per table: its rows, and its bytes in the object and before compression. */
bool list_tables_print(const struct manifest_copy *manifest, struct error *err);

/* Adds to what is known of the backup, an object, what its manifest tells; NULL for a backup that
 * has none: then all of it is null. False when memory is out. */
bool list_tables_json(json_t *backup, const struct manifest_copy *manifest);

#endif

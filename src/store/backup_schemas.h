/*
 * Which schemas a backup holds, in a few characters: backups of different schemas do not stand for
 * each other, and their names may be more than an object's metadata can take.
 */
#ifndef STORE_BACKUP_SCHEMAS_H
#define STORE_BACKUP_SCHEMAS_H

#include <stdbool.h>

#include "base/error.h"

#define BACKUP_SCHEMAS_SIZE 17 /* 16 hex digits */

/* The start of the SHA-256 of the names, sorted, each once and with its NUL; "" for no list (NULL),
 * which is a whole database. */
bool backup_schemas_identify(char *const *schemas, char out[BACKUP_SCHEMAS_SIZE],
                             struct error *err);

#endif

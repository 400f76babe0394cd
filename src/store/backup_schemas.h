/*
 * Which part of a database a backup holds, in a few characters: backups of different schemas or
 * tables do not stand for each other, and their names may be more than an object's metadata take.
 */
#ifndef STORE_BACKUP_SCHEMAS_H
#define STORE_BACKUP_SCHEMAS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/scope.h"

#define BACKUP_SCHEMAS_SIZE 17 /* 16 hex digits */

/* The start of the SHA-256 of the schemas' names, sorted, each once and with its NUL, and of each
 * other list a NUL, its key with its NUL and its patterns in that way; "" for a whole database. */
bool backup_schemas_identify(const struct scope *scope, char out[BACKUP_SCHEMAS_SIZE],
                             struct error *err);

#endif

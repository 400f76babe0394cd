/*
 * Finds the table that a statement is about among the tables of a backup.
 */
#ifndef RESTORE_TABLE_NAMES_H
#define RESTORE_TABLE_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "restore/sql_script.h"
#include "stream/segment.h"

struct table_names;

/* Borrows the segments. NULL when memory is out. */
struct table_names *table_names_new(const struct segments *segments, struct error *err);
void table_names_free(struct table_names *names);

/* *table: the one that is named first in the statement, as an index into segments.tables; or
 * SEGMENT_NO_TABLE. The statement is in its database's encoding, segments are in UTF-8: where these
 * differ, names that are not ASCII are not found. */
bool table_names_find(const struct table_names *names, const struct sql_statement *statement,
                      size_t *table, struct error *err);

#endif

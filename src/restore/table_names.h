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

/* *table: the one that is named first in the statement, as an index into segments.tables, which the
 * manifest has in the order of schemas and names; or SEGMENT_NO_TABLE. The statement is in its
 * database's encoding, segments are in UTF-8: where these differ, names that are not ASCII are not
 * found. */
bool table_names_find(const struct segments *segments, const struct sql_statement *statement,
                      size_t *table, struct error *err);

#endif

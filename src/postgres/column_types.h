/*
 * The types of the values that a binary COPY into a table has. Only the catalogue is read for that:
 * no function of the database's own is called.
 */
#ifndef POSTGRES_COLUMN_TYPES_H
#define POSTGRES_COLUMN_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/session.h"

/* Of the columns of `query`, a SELECT from the table that is neither run nor planned: OIDs, in an
 * array for the caller to free. Of a domain it is the type that it is over, and of an enum that of
 * text: so are its values sent, in both formats.
 *
 * None, when there can be no binary COPY: any column of the table, of the query or not, has a type
 * without a receive function, which COPY looks up for all of them (BeginCopyFrom()). None, too,
 * when the server refuses the query; in a transaction, which that ends, it is an error. */
bool column_types_read(struct session *session, const char *query, uint32_t **types, size_t *count,
                       struct error *err);

#endif

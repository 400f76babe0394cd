/*
 * The types of a query's columns, without running it or even planning it: no function of the
 * database's is called.
 */
#ifndef POSTGRES_COLUMN_TYPES_H
#define POSTGRES_COLUMN_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/session.h"

/* OIDs, in an array for the caller to free. Of a domain it is the type that it is over, and of an
 * enum that of text: so are its values sent, in both formats. None, when the server refuses the
 * query; in a transaction, which that ends, it is an error. */
bool column_types_read(struct session *session, const char *query, uint32_t **types, size_t *count,
                       struct error *err);

#endif

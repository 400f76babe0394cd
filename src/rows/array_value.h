/*
 * Arrays of one dimension (PostgreSQL manual, "Array Input and Output Syntax"; array_recv()). Those
 * of more, or whose first element is not the first, are left to the server.
 */
#ifndef ROWS_ARRAY_VALUE_H
#define ROWS_ARRAY_VALUE_H

#include <stddef.h>

#include "rows/value_type.h"

/* Writes nothing behind ARRAY_VALUE_MOST(length) bytes at `out` and returns the value's end; NULL:
 * only the server can read it. What stands in quotes is unquoted in place. */
unsigned char *array_value_encode(const struct value_type *element, char *text, size_t length,
                                  unsigned char *out);

/* A head, and for an element and its comma a length and what VALUE_MOST() says. */
#define ARRAY_VALUE_MOST(length) (20 + 8 * (length))

#endif

/*
 * numeric: a sign and digits of base 10,000. As value_type.h says of encode.
 */
#ifndef ROWS_NUMERIC_VALUE_H
#define ROWS_NUMERIC_VALUE_H

#include <stddef.h>

unsigned char *numeric_encode(const char *text, size_t length, unsigned char *out);

#endif

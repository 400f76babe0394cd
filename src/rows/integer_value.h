/*
 * Integers of two, four and eight bytes, and object identifiers. As value_type.h says of encode.
 */
#ifndef ROWS_INTEGER_VALUE_H
#define ROWS_INTEGER_VALUE_H

#include <stddef.h>

unsigned char *integer_encode_2(const char *text, size_t length, unsigned char *out);
unsigned char *integer_encode_4(const char *text, size_t length, unsigned char *out);
unsigned char *integer_encode_8(const char *text, size_t length, unsigned char *out);
unsigned char *integer_encode_oid(const char *text, size_t length, unsigned char *out);

#endif

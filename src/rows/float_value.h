/*
 * Numbers of IEEE 754, single and double. As value_type.h says of encode.
 */
#ifndef ROWS_FLOAT_VALUE_H
#define ROWS_FLOAT_VALUE_H

#include <stddef.h>

unsigned char *float_encode_4(const char *text, size_t length, unsigned char *out);
unsigned char *float_encode_8(const char *text, size_t length, unsigned char *out);

#endif

/*
 * Dates and times of day, with DateStyle ISO: days and microseconds since 2000-01-01. As
 * value_type.h says of encode.
 */
#ifndef ROWS_TIME_VALUE_H
#define ROWS_TIME_VALUE_H

#include <stddef.h>

unsigned char *date_encode(const char *text, size_t length, unsigned char *out);
unsigned char *time_encode(const char *text, size_t length, unsigned char *out);
/* Without time zone, and with one. */
unsigned char *timestamp_encode(const char *text, size_t length, unsigned char *out);
unsigned char *instant_encode(const char *text, size_t length, unsigned char *out);

#endif

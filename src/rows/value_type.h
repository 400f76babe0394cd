/*
 * Types whose values we can turn from what their output functions write into what their receive
 * functions read (PostgreSQL, src/backend/utils/adt: int4recv() and so on; the formats have not
 * changed since 8.4, with 64-bit timestamps).
 *
 * Only what an output function writes is read, under the settings of a dump (ISO dates, hexadecimal
 * bytes). What it writes seldom (infinite dates, years before Christ), and all that is no value of
 * the type, is left to the server.
 */
#ifndef ROWS_VALUE_TYPE_H
#define ROWS_VALUE_TYPE_H

#include <stddef.h>
#include <stdint.h>

struct value_type {
    uint32_t oid;   /* pg_type.dat: the same in every database */
    uint32_t array; /* the type of its arrays */
    /* Writes the value at `out`, and nothing behind VALUE_MOST(length) bytes, and returns its end;
     * NULL: only the server can read it. */
    unsigned char *(*encode)(const char *text, size_t length, unsigned char *out);
};

/* "1" may become 8 bytes, and as a numeric 10. */
#define VALUE_MOST(length) (8 * (length) + 4)

/* What stands in place of the length of a null. */
#define VALUE_NULL UINT32_MAX

/* NULL: not among them. */
const struct value_type *value_type_find(uint32_t oid);
const struct value_type *value_type_of_array(uint32_t oid);

#endif

/*
 * Integers as COPY's binary format has them: most significant byte first. Each function writes at
 * `out` and returns where the next byte goes.
 */
#ifndef ROWS_NETWORK_ORDER_H
#define ROWS_NETWORK_ORDER_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline unsigned char *put_16(unsigned char *out, uint16_t value)
{
    uint16_t bytes = htobe16(value);

    memcpy(out, &bytes, sizeof(bytes));
    return out + sizeof(bytes);
}

static inline unsigned char *put_32(unsigned char *out, uint32_t value)
{
    uint32_t bytes = htobe32(value);

    memcpy(out, &bytes, sizeof(bytes));
    return out + sizeof(bytes);
}

static inline unsigned char *put_64(unsigned char *out, uint64_t value)
{
    uint64_t bytes = htobe64(value);

    memcpy(out, &bytes, sizeof(bytes));
    return out + sizeof(bytes);
}

#endif

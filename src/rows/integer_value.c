#include "rows/integer_value.h"

#include <stdbool.h>
#include <stdint.h>

#include "rows/network_order.h"

/* Any number of so many digits is less than 2^64. */
#define MOST_DIGITS 19

/* Digits alone. */
static bool parse_digits(const char *text, size_t length, uint64_t *out)
{
    uint64_t value = 0;

    if (length == 0 || length > MOST_DIGITS) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        unsigned digit = (unsigned)(text[i] - '0');
        if (digit > 9) {
            return false;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

/* From -most - 1 to most; as two's complement. */
static bool parse_signed(const char *text, size_t length, uint64_t most, uint64_t *out)
{
    bool is_negative = length > 0 && *text == '-';
    uint64_t value = 0;

    if (!parse_digits(text + is_negative, length - is_negative, &value) ||
        value > most + is_negative) {
        return false;
    }
    *out = is_negative ? 0 - value : value;
    return true;
}

unsigned char *integer_encode_2(const char *text, size_t length, unsigned char *out)
{
    uint64_t value;

    return parse_signed(text, length, INT16_MAX, &value) ? put_16(out, (uint16_t)value) : NULL;
}

unsigned char *integer_encode_4(const char *text, size_t length, unsigned char *out)
{
    uint64_t value;

    return parse_signed(text, length, INT32_MAX, &value) ? put_32(out, (uint32_t)value) : NULL;
}

unsigned char *integer_encode_8(const char *text, size_t length, unsigned char *out)
{
    uint64_t value;

    return parse_signed(text, length, INT64_MAX, &value) ? put_64(out, value) : NULL;
}

unsigned char *integer_encode_oid(const char *text, size_t length, unsigned char *out)
{
    uint64_t value;

    return parse_digits(text, length, &value) && value <= UINT32_MAX ? put_32(out, (uint32_t)value)
                                                                     : NULL;
}

#include "rows/numeric_value.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "rows/network_order.h"

/* Decimal digits in one of base 10,000. */
#define GROUP 4
/* numeric_recv() takes up to 3,000 digits of base 10,000. */
#define MOST_LENGTH ((size_t)8000)

#define POSITIVE 0x0000
#define NEGATIVE 0x4000

/* ndigits, weight, sign, dscale */
#define HEAD_SIZE (4 * sizeof(uint16_t))

/* [-]INTEGER[.FRACTION] */
struct decimal {
    bool is_negative;
    const char *integer; /* without zeroes in front */
    size_t integer_length;
    const char *fraction;
    size_t fraction_length;
};

static size_t count_digits(const char *text, const char *end)
{
    const char *at = text;

    while (at < end && *at >= '0' && *at <= '9') {
        at++;
    }
    return (size_t)(at - text);
}

static bool read_decimal(const char *text, const char *end, struct decimal *out)
{
    *out = (struct decimal){.is_negative = text < end && *text == '-'};
    text += out->is_negative;
    out->integer = text;
    out->integer_length = count_digits(text, end);
    text += out->integer_length;
    if (out->integer_length == 0) {
        return false;
    }
    if (text < end && *text == '.') {
        text++;
        out->fraction = text;
        out->fraction_length = count_digits(text, end);
        text += out->fraction_length;
    }
    while (out->integer_length > 0 && *out->integer == '0') {
        out->integer++;
        out->integer_length--;
    }
    return text == end;
}

/* `count` digits, and zeroes in place of those that are missing behind them. */
static uint16_t read_group(const char *digits, size_t count, size_t missing)
{
    unsigned value = 0;

    for (size_t i = 0; i < count; i++) {
        value = value * 10 + (unsigned)(digits[i] - '0');
    }
    for (size_t i = 0; i < missing; i++) {
        value *= 10;
    }
    return (uint16_t)value;
}

/* The first group has what the others, of four each, leave over. */
static unsigned char *put_integer(const struct decimal *decimal, unsigned char *out)
{
    size_t first = decimal->integer_length % GROUP;

    if (first > 0) {
        out = put_16(out, read_group(decimal->integer, first, 0));
    }
    for (size_t i = first; i < decimal->integer_length; i += GROUP) {
        out = put_16(out, read_group(decimal->integer + i, GROUP, 0));
    }
    return out;
}

static unsigned char *put_fraction(const struct decimal *decimal, unsigned char *out)
{
    for (size_t i = 0; i < decimal->fraction_length; i += GROUP) {
        size_t left = decimal->fraction_length - i;
        size_t count = left < GROUP ? left : GROUP;
        out = put_16(out, read_group(decimal->fraction + i, count, GROUP - count));
    }
    return out;
}

unsigned char *numeric_encode(const char *text, size_t length, unsigned char *out)
{
    static const unsigned char zero[sizeof(uint16_t)] = {0, 0};
    struct decimal decimal;

    if (length > MOST_LENGTH || !read_decimal(text, text + length, &decimal)) {
        return NULL;
    }
    unsigned char *digits = out + HEAD_SIZE;
    unsigned char *end = put_fraction(&decimal, put_integer(&decimal, digits));
    int weight = (int)((decimal.integer_length + GROUP - 1) / GROUP) - 1;
    unsigned char *first = digits;
    while (end > first && memcmp(end - sizeof(zero), zero, sizeof(zero)) == 0) {
        end -= sizeof(zero);
    }
    while (first < end && memcmp(first, zero, sizeof(zero)) == 0) {
        first += sizeof(zero);
        weight--;
    }
    size_t size = (size_t)(end - first);
    memmove(digits, first, size);
    out = put_16(out, (uint16_t)(size / sizeof(zero)));
    out = put_16(out, (uint16_t)(size > 0 ? weight : 0));
    out = put_16(out, size > 0 && decimal.is_negative ? NEGATIVE : POSITIVE);
    put_16(out, (uint16_t)decimal.fraction_length);
    return digits + size;
}

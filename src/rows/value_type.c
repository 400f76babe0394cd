#include "rows/value_type.h"

#include <stdbool.h>
#include <string.h>

#include "rows/float_value.h"
#include "rows/integer_value.h"
#include "rows/network_order.h"
#include "rows/numeric_value.h"
#include "rows/time_value.h"

#define JSONB_VERSION 1

#define UUID_LENGTH 36

static unsigned char *encode_boolean(const char *text, size_t length, unsigned char *out)
{
    if (length != 1 || (*text != 't' && *text != 'f')) {
        return NULL;
    }
    *out = *text == 't' ? 1 : 0;
    return out + 1;
}

static unsigned char *encode_text(const char *text, size_t length, unsigned char *out)
{
    memcpy(out, text, length);
    return out + length;
}

static unsigned char *encode_jsonb(const char *text, size_t length, unsigned char *out)
{
    *out = JSONB_VERSION;
    return encode_text(text, length, out + 1);
}

/* The digit's value; more than 15: it is none. */
static unsigned hex_digit(char c)
{
    /* one more than the value */
    static const unsigned char digits[256] = {
        ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
        ['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
        ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    };

    return digits[(unsigned char)c] - 1U;
}

/* Pairs of hex digits. */
static unsigned char *encode_hex(const char *text, size_t length, unsigned char *out)
{
    unsigned wrong = 0;

    for (size_t i = 0; i + 1 < length; i += 2) {
        unsigned high = hex_digit(text[i]);
        unsigned low = hex_digit(text[i + 1]);
        wrong |= high | low;
        *out++ = (unsigned char)((high << 4) | (low & 15));
    }
    return length % 2 == 0 && wrong < 16 ? out : NULL;
}

static unsigned char *encode_bytea(const char *text, size_t length, unsigned char *out)
{
    bool is_hex = length >= 2 && text[0] == '\\' && text[1] == 'x';

    return is_hex ? encode_hex(text + 2, length - 2, out) : NULL;
}

/* 8, 4, 4, 4 and 12 digits, with a dash between these groups. */
static unsigned char *encode_uuid(const char *text, size_t length, unsigned char *out)
{
    static const size_t groups[] = {8, 4, 4, 4, 12};
    const char *end = text + length;

    if (length != UUID_LENGTH) {
        return NULL;
    }
    for (size_t i = 0; out != NULL && i < sizeof(groups) / sizeof(groups[0]); i++) {
        out = encode_hex(text, groups[i], out);
        text += groups[i];
        if (text < end && *text++ != '-') {
            return NULL;
        }
    }
    return out;
}

static const struct value_type types[] = {
    {16, 1000, encode_boolean},     /* boolean */
    {17, 1001, encode_bytea},       /* bytea */
    {20, 1016, integer_encode_8},   /* bigint */
    {21, 1005, integer_encode_2},   /* smallint */
    {23, 1007, integer_encode_4},   /* integer */
    {25, 1009, encode_text},        /* text */
    {26, 1028, integer_encode_oid}, /* oid */
    {114, 199, encode_text},        /* json */
    {700, 1021, float_encode_4},    /* real */
    {701, 1022, float_encode_8},    /* double precision */
    {1042, 1014, encode_text},      /* character */
    {1043, 1015, encode_text},      /* character varying */
    {1082, 1182, date_encode},      /* date */
    {1083, 1183, time_encode},      /* time without time zone */
    {1114, 1115, timestamp_encode}, /* timestamp without time zone */
    {1184, 1185, instant_encode},   /* timestamp with time zone */
    {1700, 1231, numeric_encode},   /* numeric */
    {2950, 2951, encode_uuid},      /* uuid */
    {3802, 3807, encode_jsonb},     /* jsonb */
};

#define TYPE_COUNT (sizeof(types) / sizeof(types[0]))

const struct value_type *value_type_find(uint32_t oid)
{
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (types[i].oid == oid) {
            return &types[i];
        }
    }
    return NULL;
}

const struct value_type *value_type_of_array(uint32_t oid)
{
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (types[i].array == oid) {
            return &types[i];
        }
    }
    return NULL;
}

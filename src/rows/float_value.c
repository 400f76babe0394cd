#include "rows/float_value.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rows/network_order.h"

/* The longest is "-2.2250738585072014e-308". */
#define NUMBER_SIZE 32

struct special {
    const char *text;
    double value;
};

static const struct special specials[] = {
    {"NaN", NAN}, {"Infinity", INFINITY}, {"-Infinity", -INFINITY}};

static bool find_special(const char *text, size_t length, double *out)
{
    for (size_t i = 0; i < sizeof(specials) / sizeof(specials[0]); i++) {
        if (length == strlen(specials[i].text) && memcmp(text, specials[i].text, length) == 0) {
            *out = specials[i].value;
            return true;
        }
    }
    return false;
}

/* A decimal number, for strtod(), which takes others, too. */
static bool copy_number(const char *text, size_t length, char out[NUMBER_SIZE])
{
    static const char signs[] = {'+', '-', '.', 'e'};

    if (length == 0 || length >= NUMBER_SIZE) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if ((text[i] < '0' || text[i] > '9') && memchr(signs, text[i], sizeof(signs)) == NULL) {
            return false;
        }
        out[i] = text[i];
    }
    out[length] = '\0';
    return true;
}

/* The point is a point: of the locale nothing but LC_CTYPE is ever set. */
static bool parse_single(const char *text, size_t length, float *out)
{
    char number[NUMBER_SIZE];
    char *end = number;

    errno = 0;
    *out = copy_number(text, length, number) ? strtof(number, &end) : 0;
    return errno == 0 && end > number && *end == '\0';
}

static bool parse_double(const char *text, size_t length, double *out)
{
    char number[NUMBER_SIZE];
    char *end = number;

    errno = 0;
    *out = copy_number(text, length, number) ? strtod(number, &end) : 0;
    return errno == 0 && end > number && *end == '\0';
}

unsigned char *float_encode_4(const char *text, size_t length, unsigned char *out)
{
    double special = 0;
    float value = 0;
    uint32_t bits;

    if (find_special(text, length, &special)) {
        value = (float)special;
    } else if (!parse_single(text, length, &value)) {
        return NULL;
    }
    memcpy(&bits, &value, sizeof(bits));
    return put_32(out, bits);
}

unsigned char *float_encode_8(const char *text, size_t length, unsigned char *out)
{
    double value = 0;
    uint64_t bits;

    if (!find_special(text, length, &value) && !parse_double(text, length, &value)) {
        return NULL;
    }
    memcpy(&bits, &value, sizeof(bits));
    return put_64(out, bits);
}

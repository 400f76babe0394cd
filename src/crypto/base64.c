#include "crypto/base64.h"

#include <stdint.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(char *out, const void *data, size_t size)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t group = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (left > 2 ? bytes[i + 2] : 0);
        *out++ = alphabet[group >> 18];
        *out++ = alphabet[group >> 12 & 63];
        *out++ = left > 1 ? alphabet[group >> 6 & 63] : '=';
        *out++ = left > 2 ? alphabet[group & 63] : '=';
    }
    *out = '\0';
}

static bool decode_group(const char *text, size_t digits, uint32_t *group)
{
    *group = 0;
    for (size_t i = 0; i < 4; i++) {
        const char *digit = i < digits ? strchr(alphabet, text[i]) : alphabet;
        if (digit == NULL || *digit == '\0') {
            return false;
        }
        *group = *group << 6 | (uint32_t)(digit - alphabet);
    }
    /* The bits that no byte takes must be 0, else two texts would stand for the same bytes. */
    return digits == 4 || (*group & (digits == 3 ? 0xff : 0xffff)) == 0;
}

bool base64_decode(const char *text, unsigned char *out, size_t capacity, size_t *size)
{
    size_t length = strlen(text);
    size_t padding = 0;
    uint32_t group;

    if (length % 4 != 0) {
        return false;
    }
    while (padding < 2 && padding < length && text[length - 1 - padding] == '=') {
        padding++;
    }
    size_t total = length / 4 * 3 - padding;
    if (total > capacity) {
        return false;
    }
    for (size_t i = 0, at = 0; i < length; i += 4) {
        if (!decode_group(text + i, i + 4 == length ? 4 - padding : 4, &group)) {
            return false;
        }
        for (int shift = 16; shift >= 0 && at < total; shift -= 8) {
            out[at++] = (unsigned char)(group >> shift);
        }
    }
    *size = total;
    return true;
}

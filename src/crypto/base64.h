/*
 * Base64 (RFC 4648 section 4: the standard alphabet, padded, no line breaks).
 */
#ifndef CRYPTO_BASE64_H
#define CRYPTO_BASE64_H

#include <stdbool.h>
#include <stddef.h>

/* Room for the text of `size` bytes, with the NUL. */
#define BASE64_SIZE(size) (((size) + 2) / 3 * 4 + 1)
void base64_encode(char *out, const void *data, size_t size);

/* Decodes the whole of `text`; false for anything that is not exactly base64, or that needs more
 * than `capacity` bytes. */
bool base64_decode(const char *text, unsigned char *out, size_t capacity, size_t *size);

#endif

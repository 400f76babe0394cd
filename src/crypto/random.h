/*
 * Unpredictable bytes (OpenSSL's RAND_bytes).
 */
#ifndef CRYPTO_RANDOM_H
#define CRYPTO_RANDOM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

bool random_bytes(void *out, size_t size, struct error *err);

/* A version 4 UUID (RFC 9562) in its text form. */
#define RANDOM_UUID_SIZE 37
bool random_uuid(char out[RANDOM_UUID_SIZE], struct error *err);

#endif

/*
 * Message digests and HMAC-SHA256, and the two text forms of bytes. The only folder that uses
 * OpenSSL.
 */
#ifndef CRYPTO_DIGEST_H
#define CRYPTO_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define DIGEST_MD5_SIZE    16
#define DIGEST_SHA256_SIZE 32

/* Lower-case hex of `size` bytes, with the NUL: 2 * size + 1 bytes are written. */
#define DIGEST_HEX_SIZE(size) (2 * (size) + 1)
void digest_format_hex(char *out, const unsigned char *bytes, size_t size);

enum digest_kind { DIGEST_MD5, DIGEST_SHA256 };

/* A digest taken piece by piece. */
struct digest;
struct digest *digest_new(enum digest_kind kind, struct error *err);
bool digest_update(struct digest *digest, const void *data, size_t size, struct error *err);
/* Writes the kind's number of bytes; the digest can then only be freed. */
bool digest_final(struct digest *digest, unsigned char *out, struct error *err);
void digest_free(struct digest *digest);

/* A digest of one buffer. */
bool digest_of(enum digest_kind kind, const void *data, size_t size, unsigned char *out,
               struct error *err);

/* HMAC-SHA256 (RFC 2104). */
bool digest_hmac_sha256(const void *key, size_t key_size, const void *data, size_t size,
                        unsigned char out[DIGEST_SHA256_SIZE], struct error *err);

#endif

#include "crypto/digest.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>

struct digest {
    EVP_MD_CTX *context;
};

void digest_format_hex(char *out, const unsigned char *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < size; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

static bool refuse(const char *what, struct error *err)
{
    char reason[256];

    ERR_error_string_n(ERR_get_error(), reason, sizeof(reason));
    return error_set(err, ERROR_FAILED, "%s: OpenSSL refused: %s", what, reason);
}

static const EVP_MD *method_of(enum digest_kind kind)
{
    return kind == DIGEST_MD5 ? EVP_md5() : EVP_sha256();
}

struct digest *digest_new(enum digest_kind kind, struct error *err)
{
    struct digest *digest = calloc(1, sizeof(*digest));

    if (digest == NULL) {
        error_set_memory(err);
        return NULL;
    }
    digest->context = EVP_MD_CTX_new();
    if (digest->context == NULL ||
        EVP_DigestInit_ex2(digest->context, method_of(kind), NULL) != 1) {
        refuse("beginning a digest", err);
        digest_free(digest);
        return NULL;
    }
    return digest;
}

bool digest_update(struct digest *digest, const void *data, size_t size, struct error *err)
{
    if (EVP_DigestUpdate(digest->context, data, size) != 1) {
        return refuse("taking a digest", err);
    }
    return true;
}

bool digest_final(struct digest *digest, unsigned char *out, struct error *err)
{
    if (EVP_DigestFinal_ex(digest->context, out, NULL) != 1) {
        return refuse("ending a digest", err);
    }
    return true;
}

void digest_free(struct digest *digest)
{
    if (digest != NULL) {
        EVP_MD_CTX_free(digest->context);
        free(digest);
    }
}

bool digest_of(enum digest_kind kind, const void *data, size_t size, unsigned char *out,
               struct error *err)
{
    if (EVP_Digest(data, size, out, NULL, method_of(kind), NULL) != 1) {
        return refuse("taking a digest", err);
    }
    return true;
}

bool digest_hmac_sha256(const void *key, size_t key_size, const void *data, size_t size,
                        unsigned char out[DIGEST_SHA256_SIZE], struct error *err)
{
    if (EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, key_size, data, size, out,
                  DIGEST_SHA256_SIZE, NULL) == NULL) {
        return refuse("signing with HMAC-SHA256", err);
    }
    return true;
}

#include "crypto/random.h"

#include <limits.h>
#include <openssl/rand.h>
#include <stdio.h>

bool random_bytes(void *out, size_t size, struct error *err)
{
    if (size > INT_MAX || RAND_bytes(out, (int)size) != 1) {
        return error_set(err, ERROR_FAILED, "OpenSSL gave no random bytes");
    }
    return true;
}

bool random_uuid(char out[RANDOM_UUID_SIZE], struct error *err)
{
    unsigned char b[16];

    if (!random_bytes(b, sizeof(b), err)) {
        return false;
    }
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    snprintf(out, RANDOM_UUID_SIZE,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
             b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
             b[15]);
    return true;
}

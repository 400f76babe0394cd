/*
 * Signing a request to Azure Communication Services with the access key (its documentation, "Sign
 * an HTTP request using HMAC").
 */
#ifndef NOTIFY_ACS_SIGN_H
#define NOTIFY_ACS_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "crypto/base64.h"
#include "crypto/digest.h"
#include "notify/acs_account.h"

/* The values of three headers. */
struct acs_signature {
    char date[CLOCK_HTTP_SIZE];                               /* x-ms-date */
    char content_hash[BASE64_SIZE(DIGEST_SHA256_SIZE)];       /* x-ms-content-sha256 */
    char authorization[80 + BASE64_SIZE(DIGEST_SHA256_SIZE)]; /* Authorization */
};

struct acs_signed_request {
    const char *method;
    const char *path_and_query; /* as it goes on the wire */
    const void *body;
    size_t body_size;
};

/* Good for 5 minutes around `now_utc_ms`: an attempt that comes later is signed anew. */
bool acs_sign(const struct acs_account *account, const struct acs_signed_request *request,
              int64_t now_utc_ms, struct acs_signature *out, struct error *err);

#endif

/*
 * Version 4 of AWS' signature of a request, in its Authorization header.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
 *
 * The path is signed as it is on the wire, once encoded and not normalised, as S3 wants it (other
 * services of AWS encode it twice). libcurl 7.88 signs too, but not a query that is unsorted or has
 * a name without '='.
 */
#ifndef STORE_S3_S3_SIGN_H
#define STORE_S3_S3_SIGN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"
#include "http/message.h"

struct s3_sign_key {
    const char *access_key_id;
    const char *secret;
    const char *region;
    const char *service; /* "s3" */
};

/* 20130524T000000Z */
#define S3_SIGN_DATE_SIZE 20
void s3_sign_date(char out[S3_SIGN_DATE_SIZE], int64_t instant_ms);

/* What is hashed: all headers of the request, with Host, which the URL gives. */
bool s3_sign_canonical(const struct http_request *request, const char *payload_hash,
                       struct text *out, struct error *err);

/* The value of the Authorization header for this request, which must have its x-amz-date, as it
 * goes on the wire. `payload_hash` is the SHA-256 of its body, in hex. */
#define S3_SIGN_SIZE 2048
bool s3_sign(const struct s3_sign_key *key, const struct http_request *request, const char *date,
             const char *payload_hash, char out[S3_SIGN_SIZE], struct error *err);

#endif

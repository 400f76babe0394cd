/*
 * One operation of S3's REST interface, tried until it is answered for good: the URL is built, the
 * request signed anew for each attempt, what is transient tried again (http/retry.h), and a refusal
 * turned into an error that gives the service's code and message and what to do.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/Welcome.html
 *
 * What an operation means (a missing object, one that exists) is its caller's business, who names
 * the statuses that are answers to it.
 */
#ifndef STORE_S3_S3_REQUEST_H
#define STORE_S3_S3_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "http/exchange.h"
#include "http/retry.h"
#include "store/metadata.h"
#include "store/s3/s3_bucket.h"
#include "store/s3/s3_identity.h"

#define S3_META_PREFIX "x-amz-meta-"

/* Who asks whom, how, and about which bucket. All are borrowed; the client makes it usable from one
 * thread at a time. */
struct s3_session {
    const struct s3_bucket *bucket;
    struct s3_identity *identity;
    struct http_client *client;
    struct retry_policy policy;
};

#define S3_REQUEST_MOST_PARAMETERS 6
#define S3_REQUEST_MOST_HEADERS    6
#define S3_REQUEST_MOST_ANSWERS    5

struct s3_request {
    const char *method;
    const char *key; /* the object's, whole; NULL: the bucket itself */
    /* The query, names and values as they are before encoding. Up to a name that is NULL. */
    struct http_header parameters[S3_REQUEST_MOST_PARAMETERS];
    /* Headers of this operation. Up to a name that is NULL. */
    struct http_header headers[S3_REQUEST_MOST_HEADERS];
    const struct metadata *metadata; /* goes along as x-amz-meta-*; or NULL */
    const void *body;
    size_t body_size;
    /* The outcome may come in the body of a 200, as that of CompleteMultipartUpload does: an
     * <Error> there counts as the status that it would have had. */
    bool outcome_in_body;
    /* Asked before each attempt; NULL: no need. When it says no, the request ends with its error.
     */
    bool (*permit)(void *context, struct error *err);
    void *permit_context;
    /* Statuses beside 2xx that the caller deals with. Up to 0. */
    int answers[S3_REQUEST_MOST_ANSWERS];
};

/* True with a reply of 2xx or one of `answers`. Otherwise the error tells why, retryable when only
 * patience ended, and the reply's status is 0 when the outcome is unknown (none came). */
bool s3_request_send(const struct s3_session *session, const struct s3_request *request,
                     struct http_reply *reply, struct error *err);

/* The error for a reply that the caller cannot accept after all; returns false. */
bool s3_request_refuse(const struct s3_session *session, const struct http_reply *reply,
                       struct error *err);

/* The service's code of a refusal: "NoSuchKey"; "" without one, as after HEAD. */
#define S3_REQUEST_CODE_SIZE 64
void s3_request_code(const struct http_reply *reply, char out[S3_REQUEST_CODE_SIZE]);

#endif

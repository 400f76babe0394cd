/*
 * One operation of the Blob service's REST interface, tried until it is answered for good: the URL
 * is built, the request signed anew for each attempt, what is transient tried again (http/retry.h),
 * and a refusal turned into an error that gives the service's code and message and what to do.
 *
 * What an operation means (a missing blob, a blob that exists) is its caller's business, who names
 * the statuses that are answers to it.
 */
#ifndef STORE_AZURE_AZURE_REQUEST_H
#define STORE_AZURE_AZURE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "http/exchange.h"
#include "http/retry.h"
#include "identity/token_cache.h"
#include "store/azure/azure_account.h"
#include "store/azure/azure_options.h"
#include "store/metadata.h"

/* The oldest version that has all we use; emulators know it. Sent with every request. */
#define AZURE_REQUEST_VERSION "2021-12-02"

/* Who asks whom, how, and about which container. All are borrowed; the client makes it usable from
 * one thread at a time. */
struct azure_session {
    const struct azure_account *account;
    const struct azure_options *options;
    struct token_cache *tokens; /* for an account without key and signature; else NULL */
    const char *container;
    struct http_client *client;
    struct retry_policy policy;
};

#define AZURE_REQUEST_MOST_PARAMETERS 8
#define AZURE_REQUEST_MOST_HEADERS    8
#define AZURE_REQUEST_MOST_ANSWERS    4

/* Which headers of encryption an operation takes. */
enum azure_encryption {
    AZURE_ENCRYPTION_NONE,
    AZURE_ENCRYPTION_READ, /* the customer-provided key, if there is one */
    AZURE_ENCRYPTION_WRITE /* the same, or the scope */
};

struct azure_request {
    const char *method;
    const char *blob; /* its whole name; NULL: the container itself */
    /* The query, names and values as they are before encoding. Up to a name that is NULL. */
    struct http_header parameters[AZURE_REQUEST_MOST_PARAMETERS];
    /* Headers of this operation. Up to a name that is NULL. */
    struct http_header headers[AZURE_REQUEST_MOST_HEADERS];
    const struct metadata *metadata; /* goes along as x-ms-meta-*; or NULL */
    enum azure_encryption encryption;
    const void *body;
    size_t body_size;
    /* Asked before each attempt; NULL: no need. When it says no, the request ends with its error.
     */
    bool (*permit)(void *context, struct error *err);
    void *permit_context;
    /* Statuses beside 2xx that the caller deals with. Up to 0. */
    int answers[AZURE_REQUEST_MOST_ANSWERS];
};

/* True with a reply of 2xx or one of `answers`. Otherwise the error tells why, retryable when only
 * patience ended, and the reply's status is 0 when the outcome is unknown (none came). */
bool azure_request_send(const struct azure_session *session, const struct azure_request *request,
                        struct http_reply *reply, struct error *err);

/* The error for a reply that the caller cannot accept after all; returns false. */
bool azure_request_refuse(const struct azure_session *session, const struct http_reply *reply,
                          struct error *err);

/* The service's code of a refusal, from the header or the body: "BlobNotFound"; "" without one. */
#define AZURE_REQUEST_CODE_SIZE 64
void azure_request_code(const struct http_reply *reply, char out[AZURE_REQUEST_CODE_SIZE]);

#endif

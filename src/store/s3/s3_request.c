#include "store/s3/s3_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/redact.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "store/s3/s3_sign.h"
#include "store/service_reply.h"

#define URL_CAP         (16 * 1024)
#define MESSAGE_CAP     2048
#define MOST_RESENDINGS 2

/* What one attempt sends, and the texts that its headers borrow. */
struct attempt {
    struct http_request request;
    struct text url;
    struct s3_keys keys;
    char date[S3_SIGN_DATE_SIZE];
    char authorization[S3_SIGN_SIZE];
    char meta_names[METADATA_MOST][sizeof(S3_META_PREFIX) + METADATA_NAME_SIZE];
};

/* What all attempts have in common. */
struct effort {
    const struct s3_session *session;
    const struct s3_request *request;
    char payload_hash[DIGEST_HEX_SIZE(DIGEST_SHA256_SIZE)];
    int resendings;
    bool has_new_keys;
};

static bool build_url(const struct s3_session *session, const struct s3_request *request,
                      struct text *url, struct error *err)
{
    text_append(url, session->bucket->url);
    if (request->key != NULL) {
        text_append(url, "/");
        http_append_encoded(url, request->key, "/");
    }
    char separator = '?';
    for (int i = 0; i < S3_REQUEST_MOST_PARAMETERS && request->parameters[i].name != NULL; i++) {
        text_appendf(url, "%c%s=", separator, request->parameters[i].name);
        http_append_encoded(url, request->parameters[i].value, "");
        separator = '&';
    }
    if (url->failed) {
        return error_set(err, ERROR_FAILED, "building a URL: too long, or out of memory");
    }
    return true;
}

static bool add_headers(struct attempt *attempt, const struct s3_request *request,
                        struct error *err)
{
    struct http_request *http = &attempt->request;
    const struct metadata *metadata = request->metadata;

    for (int i = 0; i < S3_REQUEST_MOST_HEADERS && request->headers[i].name != NULL; i++) {
        if (!http_request_add(http, request->headers[i].name, request->headers[i].value, err)) {
            return false;
        }
    }
    for (size_t i = 0; metadata != NULL && i < metadata->count; i++) {
        char *name = attempt->meta_names[i];
        snprintf(name, sizeof(attempt->meta_names[i]), S3_META_PREFIX "%s",
                 metadata->entries[i].name);
        if (!http_request_add(http, name, metadata->entries[i].value, err)) {
            return false;
        }
    }
    return true;
}

/* Date and keys grow old within minutes: everything is made anew for each attempt. */
static bool build(const struct effort *effort, struct attempt *attempt, struct error *err)
{
    const struct s3_request *request = effort->request;
    struct http_request *http = &attempt->request;
    struct s3_keys *keys = &attempt->keys;

    if (!build_url(effort->session, request, &attempt->url, err)) {
        return false;
    }
    s3_sign_date(attempt->date, clock_utc_ms());
    *http = (struct http_request){.method = request->method,
                                  .url = text_string(&attempt->url),
                                  .body = request->body,
                                  .body_size = request->body_size};
    if (!http_request_add(http, "x-amz-date", attempt->date, err) ||
        !http_request_add(http, "x-amz-content-sha256", effort->payload_hash, err) ||
        !add_headers(attempt, request, err) ||
        (keys->session_token[0] != '\0' &&
         !http_request_add(http, "x-amz-security-token", keys->session_token, err))) {
        return false;
    }
    const struct s3_sign_key key = {.access_key_id = keys->access_key_id,
                                    .secret = keys->secret,
                                    .region = effort->session->bucket->region,
                                    .service = "s3"};
    return s3_sign(&key, http, attempt->date, effort->payload_hash, attempt->authorization, err) &&
           http_request_add(http, "Authorization", attempt->authorization, err);
}

/* "Common errors" and "CompleteMultipartUpload" of the reference. */
static int status_of_code(const char *code)
{
    static const struct {
        const char *code;
        int status;
    } known[] = {{"InternalError", 500},      {"ServiceUnavailable", 503},
                 {"SlowDown", 503},           {"NoSuchUpload", 404},
                 {"PreconditionFailed", 412}, {"ConditionalRequestConflict", 409}};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(code, known[i].code) == 0) {
            return known[i].status;
        }
    }
    return 400;
}

static void look_into_body(struct http_reply *reply)
{
    char code[S3_REQUEST_CODE_SIZE];

    s3_request_code(reply, code);
    if (reply->status == 200 && code[0] != '\0') {
        reply->status = status_of_code(code);
    }
}

/* The reply to a HEAD has no body that could say so. */
static bool is_too_old(const struct effort *effort, const struct http_reply *reply)
{
    char code[S3_REQUEST_CODE_SIZE];

    if (reply->status < 400) {
        return false;
    }
    if (reply->status == 400 && strcmp(effort->request->method, "HEAD") == 0) {
        return true;
    }
    s3_request_code(reply, code);
    return strcmp(code, "ExpiredToken") == 0 || strcmp(code, "ExpiredTokenException") == 0;
}

static bool exchange(struct effort *effort, struct http_reply *reply, struct error *err)
{
    struct attempt *attempt = calloc(1, sizeof(*attempt));

    http_reply_clear(reply);
    if (attempt == NULL) {
        return error_set_memory(err);
    }
    attempt->url = (struct text)TEXT_INIT(URL_CAP);
    bool ok = s3_identity_get(effort->session->identity, &attempt->keys, err);
    /* That was tried again already. */
    err->retryable = false;
    ok = ok && build(effort, attempt, err) &&
         http_exchange(effort->session->client, &attempt->request, reply, err);
    if (ok && effort->request->outcome_in_body) {
        look_into_body(reply);
    }
    if (ok && !effort->has_new_keys && is_too_old(effort, reply)) {
        effort->has_new_keys = s3_identity_discard(effort->session->identity, &attempt->keys);
        err->retryable = effort->has_new_keys;
    }
    text_clear(&attempt->url);
    explicit_bzero(attempt, sizeof(*attempt));
    free(attempt);
    return ok;
}

void s3_request_code(const struct http_reply *reply, char out[S3_REQUEST_CODE_SIZE])
{
    struct text code = TEXT_INIT(S3_REQUEST_CODE_SIZE - 1);

    service_reply_element(reply, "Code", &code);
    snprintf(out, S3_REQUEST_CODE_SIZE, "%s", text_string(&code));
    text_clear(&code);
}

/* Where the bucket is, as those say who are asked in the wrong region. */
static bool hint_region(const struct s3_session *session, const struct http_reply *reply,
                        struct error *err)
{
    struct text region = TEXT_INIT(64);
    char header[64];

    if (http_reply_header(reply, "x-amz-bucket-region", header, sizeof(header))) {
        text_append(&region, header);
    } else {
        service_reply_element(reply, "Region", &region);
    }
    bool other = region.length > 0 && strcmp(text_string(&region), session->bucket->region) != 0;
    if (other) {
        error_hint(err, "the bucket is in the region %s, not %s: set region=%s in its URL",
                   text_string(&region), session->bucket->region, text_string(&region));
    }
    text_clear(&region);
    return other;
}

static void hint(const struct s3_session *session, const struct http_reply *reply, const char *code,
                 struct error *err)
{
    static const char *const wrong_keys[] = {"InvalidAccessKeyId", "SignatureDoesNotMatch", NULL};
    static const char *const old_keys[] = {"ExpiredToken", "InvalidToken", NULL};

    if (hint_region(session, reply, err)) {
        return;
    }
    if (service_reply_is_one_of(code, wrong_keys)) {
        s3_identity_hint_key(session->identity, err);
    } else if (service_reply_is_one_of(code, old_keys)) {
        s3_identity_hint_token(session->identity, err);
    } else if (strcmp(code, "NoSuchBucket") == 0) {
        error_hint(err, "create the bucket, or check its name, region and endpoint");
    } else if (reply->status >= 300 && reply->status < 400) {
        error_hint(err, "redirects are not followed: check region and endpoint");
    } else if (reply->status == 403) {
        error_hint(err, "the credentials need s3:ListBucket, s3:ListBucketMultipartUploads, "
                        "s3:GetObject, s3:PutObject, s3:DeleteObject and "
                        "s3:AbortMultipartUpload on this bucket");
    }
    service_reply_hint_clock(reply, err);
}

bool s3_request_refuse(const struct s3_session *session, const struct http_reply *reply,
                       struct error *err)
{
    char code[S3_REQUEST_CODE_SIZE];
    char id[128];
    struct text message = TEXT_INIT(MESSAGE_CAP);

    s3_request_code(reply, code);
    service_reply_element(reply, "Message", &message);
    const char *line = text_string(&message);
    int length = (int)strcspn(line, "\r\n");
    error_set(err, ERROR_FAILED, "the service answered %d%s%s%s%.*s", reply->status,
              *code != '\0' ? " " : "", code, length > 0 ? ": " : "", length, line);
    if (http_reply_header(reply, "x-amz-request-id", id, sizeof(id))) {
        redact_cut(id);
        error_hint(err, "request id %s", id);
    }
    hint(session, reply, code, err);
    text_clear(&message);
    return false;
}

static bool is_answer(const struct s3_request *request, int status)
{
    for (int i = 0; i < S3_REQUEST_MOST_ANSWERS && request->answers[i] != 0; i++) {
        if (request->answers[i] == status) {
            return true;
        }
    }
    return status >= 200 && status < 300;
}

/* A body damaged on its way may be sent again, a few times: more often, it is not the way that
 * damages it. */
static bool is_worth_repeating(struct effort *effort, const struct http_reply *reply)
{
    static const char *const damaged[] = {"BadDigest", "XAmzContentSHA256Mismatch",
                                          "IncompleteBody", NULL};
    static const char *const later[] = {"RequestTimeout", "OperationAborted", "SlowDown", NULL};
    char code[S3_REQUEST_CODE_SIZE];

    /* Its body may be a piece of a backup, which is not to be looked into. */
    if (reply->status < 300) {
        return false;
    }
    s3_request_code(reply, code);
    if (reply->status == 400 && effort->request->body_size > 0 &&
        service_reply_is_one_of(code, damaged)) {
        return effort->resendings++ < MOST_RESENDINGS;
    }
    return retry_status_is_transient(reply->status) || service_reply_is_one_of(code, later);
}

static bool hash_payload(struct effort *effort, struct error *err)
{
    const struct s3_request *request = effort->request;
    unsigned char hash[DIGEST_SHA256_SIZE];

    if (!digest_of(DIGEST_SHA256, request->body, request->body_size, hash, err)) {
        return false;
    }
    digest_format_hex(effort->payload_hash, hash, sizeof(hash));
    return true;
}

bool s3_request_send(const struct s3_session *session, const struct s3_request *request,
                     struct http_reply *reply, struct error *err)
{
    struct effort effort = {.session = session, .request = request};
    struct retry retry;

    if (!hash_payload(&effort, err)) {
        return false;
    }
    retry_begin(&retry, &session->policy);
    do {
        if (request->permit != NULL && !request->permit(request->permit_context, err)) {
            return false;
        }
        bool had_new_keys = effort.has_new_keys;
        if (exchange(&effort, reply, err)) {
            bool renewed = effort.has_new_keys && !had_new_keys;
            bool repeat = renewed || is_worth_repeating(&effort, reply);
            if (!repeat && is_answer(request, reply->status)) {
                /* What earlier attempts left there is no error any more. */
                error_clear(err);
                return true;
            }
            s3_request_refuse(session, reply, err);
            error_prefix(err, "%s %s%s%s", request->method, session->bucket->url,
                         request->key != NULL ? "/" : "", request->key != NULL ? request->key : "");
            err->retryable = repeat;
        }
    } while (retry_again(&retry, reply, err));
    return false;
}

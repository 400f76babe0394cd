#include "metrics/post.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/redact.h"
#include "http/exchange.h"
#include "http/retry.h"

#define STALL_S 5

static const struct retry_policy policy = {
    .attempts = 3, .first_wait_ms = 200, .longest_wait_ms = 1000};

bool post_prepare(struct post *post, const char *method, const char *url, const char *type,
                  const struct text *body, struct error *err)
{
    if (body->failed) {
        return error_set_memory(err);
    }
    *post = (struct post){
        .request = {
            .method = method, .url = url, .body = text_string(body), .body_size = body->length}};
    return http_request_add(&post->request, "Content-Type", type, err);
}

static bool exchange(const struct post *post, int64_t left_ms, struct http_reply *reply,
                     struct error *err)
{
    const struct http_limits limits = {
        .connect_ms = left_ms, .stall_s = STALL_S, .reply_ms = left_ms};
    struct http_client *client = http_client_new(&limits, err);
    bool ok = client != NULL && http_exchange(client, &post->request, reply, err);

    http_client_free(client);
    return ok;
}

/* Says in the error whether it is worth another attempt. */
static bool try_once(const struct post *post, struct retry *retry, const struct deadline *deadline,
                     struct http_reply *reply, struct error *err)
{
    int64_t left_ms = deadline_left_ms(deadline);

    if (left_ms == 0) {
        return error_set(err, ERROR_FAILED, "no time was left for it");
    }
    if (!exchange(post, left_ms, reply, err)) {
        err->retryable = err->retryable && deadline_left_ms(deadline) > policy.longest_wait_ms;
        return false;
    }
    if (!post->is_transient(reply->status)) {
        return true;
    }
    post_refused(reply, err);
    err->retryable =
        retry_wait_ms(retry, reply, INT64_MAX, clock_utc_ms()) < deadline_left_ms(deadline);
    return false;
}

bool post_send(const struct post *post, const struct deadline *deadline, struct http_reply *reply,
               struct error *err)
{
    struct retry_policy limited = policy;
    struct retry retry;
    bool ok;

    limited.total_ms = deadline_left_ms(deadline);
    retry_begin(&retry, &limited);
    do {
        ok = try_once(post, &retry, deadline, reply, err);
    } while (!ok && retry_again(&retry, reply, err));
    return ok;
}

bool post_refused(const struct http_reply *reply, struct error *err)
{
    char said[POST_SHOWN_SIZE];

    redact_copy(said, sizeof(said), text_string(&reply->body), reply->body.length);
    text_make_one_line(said);
    return error_set(err, ERROR_FAILED, "it answered %d%s%s", reply->status,
                     *said != '\0' ? ": " : "", said);
}

#include "metrics/insights.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/redact.h"
#include "http/base_url.h"
#include "http/retry.h"
#include "metrics/endpoint.h"
#include "metrics/insights_account.h"
#include "metrics/insights_envelope.h"
#include "metrics/json_document.h"
#include "metrics/post.h"

#define BATCH         400 /* envelopes of one request */
#define BODY_CAP      ((size_t)32 * 1024 * 1024)
#define LOCATION_SIZE 2048
#define MOST_HOPS     3
#define MOST_SENDS    3 /* of what was accepted in part */
#define REASON_SIZE   200

struct sending {
    struct insights_account account;
    const struct deadline *deadline;
    size_t refused;           /* envelopes */
    char reason[REASON_SIZE]; /* of the first refusal */
};

static bool is_configured(const struct settings *settings)
{
    return settings_get(settings, SETTING_APPLICATION_INSIGHTS) != NULL;
}

/* The same request to where the service says, which it may do for a region of its own. */
static bool follow(struct sending *sending, const struct http_reply *reply, struct error *err)
{
    char location[LOCATION_SIZE];

    if (!http_reply_header(reply, "Location", location, sizeof(location)) ||
        !endpoint_check(location, "Location", err) ||
        (http_base_url_is_private(text_string(&sending->account.url)) &&
         !http_base_url_is_private(location))) {
        return error_set(err, ERROR_FAILED, "it answered %d without a URL to go to", reply->status);
    }
    text_clear(&sending->account.url);
    text_append(&sending->account.url, location);
    return !sending->account.url.failed || error_set_memory(err);
}

static bool post_body(struct sending *sending, const struct text *body, struct http_reply *reply,
                      struct error *err)
{
    for (int hop = 0; hop <= MOST_HOPS; hop++) {
        struct post post;
        if (!post_prepare(&post, "POST", text_string(&sending->account.url),
                          "application/x-json-stream", body, err)) {
            return false;
        }
        post.is_transient = retry_status_is_transient;
        if (!post_send(&post, sending->deadline, reply, err)) {
            return false;
        }
        if (reply->status != 307 && reply->status != 308) {
            return true;
        }
        if (!follow(sending, reply, err)) {
            return false;
        }
    }
    return error_set(err, ERROR_FAILED, "it answered with more than %d redirections", MOST_HOPS);
}

static void note_refusal(struct sending *sending, int64_t status, const json_t *message)
{
    const char *text = json_string_value(message);

    if (sending->refused++ == 0) {
        int wanted = snprintf(sending->reason, sizeof(sending->reason), "%lld %s",
                              (long long)status, text != NULL ? text : "");
        if (wanted >= (int)sizeof(sending->reason)) {
            redact_cut(sending->reason);
        }
        text_cut_utf8(sending->reason);
        text_make_one_line(sending->reason);
    }
}

/* Moves what is to be sent again to the front; *left is how much that is. */
static bool sift(struct sending *sending, const json_t *answer, char *lines[], size_t count,
                 size_t *left, struct error *err)
{
    bool again[BATCH] = {false};
    size_t named = 0;
    size_t at;
    json_t *problem;

    json_array_foreach(json_object_get(answer, "errors"), at, problem)
    {
        int64_t index = json_integer_value(json_object_get(problem, "index"));
        int64_t status = json_integer_value(json_object_get(problem, "statusCode"));
        if (index < 0 || (uint64_t)index >= count) {
            continue;
        }
        named++;
        if (retry_status_is_transient((int)status)) {
            again[index] = true;
        } else {
            note_refusal(sending, status, json_object_get(problem, "message"));
        }
    }
    *left = 0;
    for (size_t i = 0; i < count; i++) {
        if (again[i]) {
            char *line = lines[*left];
            lines[(*left)++] = lines[i];
            lines[i] = line;
        }
    }
    return named > 0 || error_set(err, ERROR_FAILED, "it accepted a part, and did not say which");
}

/* What the service accepted of it; *left is what is to be sent again. */
static bool send_once(struct sending *sending, char *lines[], size_t count,
                      struct http_reply *reply, size_t *left, struct error *err)
{
    struct text body = TEXT_INIT(BODY_CAP);

    for (size_t i = 0; i < count; i++) {
        text_append(&body, lines[i]);
    }
    bool ok = post_body(sending, &body, reply, err);
    text_clear(&body);
    *left = 0;
    if (!ok || reply->status == 200) {
        return ok;
    }
    if (reply->status != 206) {
        return post_refused(reply, err);
    }
    json_t *answer = json_document_read(reply, err);
    if (answer == NULL) {
        return false;
    }
    ok = sift(sending, answer, lines, count, left, err);
    json_decref(answer);
    return ok;
}

static bool send_batch(struct sending *sending, char *lines[], size_t count, struct error *err)
{
    static const struct retry_policy policy = {
        .attempts = MOST_SENDS, .first_wait_ms = 200, .longest_wait_ms = 1000, .total_ms = 5000};
    struct http_reply reply = HTTP_REPLY_INIT(POST_REPLY_CAP);
    struct retry retry;
    bool ok;

    retry_begin(&retry, &policy);
    for (;;) {
        size_t left;
        ok = send_once(sending, lines, count, &reply, &left, err);
        if (!ok || left == 0) {
            break;
        }
        count = left;
        error_set(err, ERROR_FAILED, "it had no room for %zu of the envelopes", left);
        err->retryable = retry_wait_ms(&retry, &reply, INT64_MAX, clock_utc_ms()) <
                         deadline_left_ms(sending->deadline);
        if (!retry_again(&retry, &reply, err)) {
            ok = false;
            break;
        }
    }
    http_reply_clear(&reply);
    return ok;
}

static bool send_all(struct sending *sending, struct insights_envelopes *envelopes,
                     struct error *err)
{
    for (size_t at = 0; at < envelopes->count; at += BATCH) {
        size_t count = envelopes->count - at < BATCH ? envelopes->count - at : BATCH;
        if (!send_batch(sending, envelopes->lines + at, count, err)) {
            return false;
        }
    }
    return sending->refused == 0 ||
           error_set(err, ERROR_FAILED, "it refused %zu of %zu envelopes, the first with %s",
                     sending->refused, envelopes->count, sending->reason);
}

static bool track(const struct settings *settings, const struct metrics_report *report,
                  const struct deadline *deadline, struct error *err)
{
    struct sending sending = {.account = INSIGHTS_ACCOUNT_INIT, .deadline = deadline};
    struct insights_envelopes envelopes = {.lines = NULL};

    bool ok = insights_account_parse(settings_get(settings, SETTING_APPLICATION_INSIGHTS),
                                     &sending.account, err) &&
              insights_envelopes_make(&envelopes, report, sending.account.key, err) &&
              send_all(&sending, &envelopes, err);
    insights_envelopes_clear(&envelopes);
    insights_account_clear(&sending.account);
    return ok;
}

const struct exporter exporter_insights = {
    .name = "Application Insights", .is_configured = is_configured, .send = track};

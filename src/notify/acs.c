#include "notify/acs.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_memory.h"
#include "base/log.h"
#include "base/text.h"
#include "base/wait.h"
#include "http/exchange.h"
#include "http/retry.h"
#include "notify/acs_reply.h"
#include "notify/acs_sign.h"

#define API_VERSION "?api-version=2023-03-31"
#define SEND_PATH   "/emails:send" API_VERSION

#define STALL_S             10
#define REPLY_MS            (15 * 1000)
#define LONGEST_THROTTLE_MS (5 * 1000) /* a longer wait than this is left to a later tick */
#define FOLLOW_MS           (60 * 1000)
#define FOLLOW_MOST_POLLS   6 /* the service counts every question (10 a minute, 20 an hour) */

struct acs {
    const struct acs_account *account;
    struct http_client *client;
};

static const struct retry_policy send_policy = {
    .attempts = 3, .first_wait_ms = 500, .longest_wait_ms = 5000, .total_ms = 15 * 1000};
static const struct retry_policy poll_policy = {.attempts = FOLLOW_MOST_POLLS,
                                                .first_wait_ms = 2000,
                                                .longest_wait_ms = 16 * 1000,
                                                .total_ms = FOLLOW_MS};

/* NULL when memory is out (CHANNEL_LATER) or a text is not UTF-8 (CHANNEL_NEVER). For free(). */
static char *format_mail(const struct parcel *mail, enum channel_result *result, struct error *err)
{
    unsigned refusals = json_memory_refusals();
    json_t *document = json_pack("{s:s, s:{s:s, s:s, s:s}, s:{s:[{s:s}]}, s:b}", "senderAddress",
                                 mail->from, "content", "subject", mail->subject, "plainText",
                                 mail->plain_text, "html", mail->html, "recipients", "to",
                                 "address", mail->to, "userEngagementTrackingDisabled", 1);
    char *text = json_dumps(document, JSON_COMPACT);

    json_decref(document);
    *result = CHANNEL_LATER;
    if (json_memory_refusals() != refusals) {
        free(text);
        error_set_memory(err);
        return NULL;
    }
    if (text == NULL) {
        *result = CHANNEL_NEVER;
        error_set(err, ERROR_FAILED, "it cannot be put into JSON: not UTF-8");
    }
    return text;
}

static bool add_signature(struct http_request *request, const struct acs_signature *signature,
                          struct error *err)
{
    return http_request_add(request, "x-ms-date", signature->date, err) &&
           http_request_add(request, "x-ms-content-sha256", signature->content_hash, err) &&
           http_request_add(request, "Authorization", signature->authorization, err);
}

/* One signed exchange. `id` is the Operation-Id of a POST, NULL for a GET. */
static bool exchange(struct acs *acs, const char *path_and_query, const char *id, const char *body,
                     struct http_reply *reply, struct error *err)
{
    struct acs_signature signature;
    struct text url = TEXT_INIT(1024);
    const struct acs_signed_request signed_request = {
        .method = id != NULL ? "POST" : "GET",
        .path_and_query = path_and_query,
        .body = body,
        .body_size = body != NULL ? strlen(body) : 0,
    };

    text_appendf(&url, "%s%s", acs->account->endpoint, path_and_query);
    struct http_request request = {
        .method = signed_request.method,
        .url = text_string(&url),
        .body = signed_request.body,
        .body_size = signed_request.body_size,
    };
    bool ok = url.failed ? error_set_memory(err)
                         : acs_sign(acs->account, &signed_request, clock_utc_ms(), &signature, err);
    ok = ok && add_signature(&request, &signature, err);
    if (ok && id != NULL) {
        ok = http_request_add(&request, "Content-Type", "application/json", err) &&
             http_request_add(&request, "Operation-Id", id, err);
    }
    ok = ok && http_exchange(acs->client, &request, reply, err);
    text_clear(&url);
    return ok;
}

/* Asks once. */
static bool ask(struct acs *acs, const char *operation_id, struct http_reply *reply,
                struct error *err)
{
    struct text path = TEXT_INIT(256);

    text_appendf(&path, "/emails/operations/%s" API_VERSION, operation_id);
    bool ok = path.failed ? error_set_memory(err)
                          : exchange(acs, text_string(&path), NULL, NULL, reply, err);
    text_clear(&path);
    return ok;
}

/* True when the service knows an operation by this id. */
static bool is_known(struct acs *acs, const char *id)
{
    struct http_reply reply = HTTP_REPLY_INIT(ACS_REPLY_CAP);
    struct acs_operation operation;
    struct error ignored = ERROR_INIT;
    bool known = ask(acs, id, &reply, &ignored) && reply.status == 200 &&
                 acs_reply_parse_operation(&reply, &operation, &ignored);

    http_reply_clear(&reply);
    return known;
}

/* Whether the same request may be made again within this delivery. */
static bool is_worth_a_retry(const struct http_reply *reply)
{
    int64_t asked_ms = retry_asked_ms(reply, clock_utc_ms());

    if (!retry_status_is_transient(reply->status)) {
        return false;
    }
    return asked_ms > 0 ? asked_ms <= LONGEST_THROTTLE_MS : reply->status != 429;
}

static enum channel_result refused(const struct http_reply *reply, struct channel_answer *answer,
                                   struct error *err)
{
    answer->wait_ms = retry_asked_ms(reply, clock_utc_ms());
    acs_reply_refused(reply, err);
    err->retryable = is_worth_a_retry(reply);
    switch (reply->status) {
    case 400:
        error_hint(err, "check ACS_SENDER_ADDRESS and the recipient's address");
        return CHANNEL_NEVER;
    case 401:
        error_hint(err, "check the access key in ACS_CONNECTION_STRING, and this host's clock");
        return CHANNEL_LATER;
    case 403:
    case 404:
        error_hint(err, "check ACS_CONNECTION_STRING, and that the domain of ACS_SENDER_ADDRESS is "
                        "linked to the resource");
        return CHANNEL_LATER;
    case 429:
        return CHANNEL_THROTTLED;
    default:
        return CHANNEL_LATER;
    }
}

/* With 202 the mail is theirs: should the id in the answer be of no use, ours is the operation's.
 */
static enum channel_result accepted(const struct parcel *mail, const struct http_reply *reply,
                                    struct channel_answer *answer)
{
    struct acs_operation operation = {.id = ""};
    struct error ignored = ERROR_INIT;
    struct retry pace;

    bool usable = acs_reply_parse_operation(reply, &operation, &ignored) && *operation.id != '\0';
    snprintf(answer->receipt, sizeof(answer->receipt), "%s", usable ? operation.id : mail->id);
    retry_begin(&pace, &poll_policy);
    answer->wait_ms = retry_wait_ms(&pace, reply, INT64_MAX, clock_utc_ms());
    return CHANNEL_DONE;
}

static enum channel_result not_answered(const struct error *err)
{
    if (err->kind == ERROR_STOPPED) {
        return CHANNEL_STOPPED;
    }
    return err->retryable ? CHANNEL_UNREACHABLE : CHANNEL_LATER;
}

static enum channel_result send_once(struct acs *acs, const struct parcel *mail, const char *body,
                                     struct http_reply *reply, struct channel_answer *answer,
                                     struct error *err)
{
    if (!exchange(acs, SEND_PATH, mail->id, body, reply, err)) {
        return not_answered(err);
    }
    if (reply->status == 202) {
        return accepted(mail, reply, answer);
    }
    /* Perhaps the service has this Operation-Id already, from a send whose answer was lost: what it
     * says to that is not documented. */
    if ((reply->status == 400 || reply->status == 409) && is_known(acs, mail->id)) {
        *answer = (struct channel_answer){.wait_ms = 0};
        snprintf(answer->receipt, sizeof(answer->receipt), "%s", mail->id);
        return CHANNEL_DONE;
    }
    return refused(reply, answer, err);
}

struct acs *acs_new(const struct acs_account *account, int64_t connect_ms, struct error *err)
{
    const struct http_limits limits = {
        .connect_ms = connect_ms, .stall_s = STALL_S, .reply_ms = connect_ms + REPLY_MS};
    struct acs *acs = calloc(1, sizeof(*acs));

    if (acs == NULL) {
        error_set_memory(err);
        return NULL;
    }
    acs->account = account;
    acs->client = http_client_new(&limits, err);
    if (acs->client == NULL) {
        acs_free(acs);
        return NULL;
    }
    return acs;
}

void acs_free(struct acs *acs)
{
    if (acs != NULL) {
        http_client_free(acs->client);
        free(acs);
    }
}

enum channel_result acs_send(struct acs *acs, const struct parcel *mail,
                             struct channel_answer *answer, struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(ACS_REPLY_CAP);
    struct retry retry;
    enum channel_result result;

    if (!acs_reply_is_id(mail->id)) {
        error_set(err, ERROR_FAILED, "its id cannot serve as an Operation-Id");
        return CHANNEL_NEVER;
    }
    char *body = format_mail(mail, &result, err);
    if (body == NULL) {
        return result;
    }
    retry_begin(&retry, &send_policy);
    do {
        result = send_once(acs, mail, body, &reply, answer, err);
    } while (result != CHANNEL_DONE && result != CHANNEL_STOPPED &&
             retry_again(&retry, &reply, err));
    if (result != CHANNEL_DONE && err->kind == ERROR_STOPPED) {
        result = CHANNEL_STOPPED;
    }
    free(body);
    http_reply_clear(&reply);
    return result;
}

/* CHANNEL_LATER: not ended yet, or no answer that says so. A 404 is no more than that: the service
 * may know an operation only some time after it accepted it. */
static enum channel_result poll_once(struct acs *acs, const char *operation_id,
                                     struct http_reply *reply, struct error *err)
{
    struct acs_operation operation;

    if (!ask(acs, operation_id, reply, err)) {
        return not_answered(err);
    }
    if (reply->status != 200) {
        acs_reply_refused(reply, err);
        return CHANNEL_LATER;
    }
    if (!acs_reply_parse_operation(reply, &operation, err)) {
        return CHANNEL_LATER;
    }
    switch (operation.status) {
    case ACS_STATUS_SUCCEEDED:
        return CHANNEL_DONE;
    case ACS_STATUS_FAILED:
        error_set(err, ERROR_FAILED, "the service could not send it: %s", operation.problem);
        return CHANNEL_NEVER;
    case ACS_STATUS_RUNNING:
        break;
    }
    error_set(err, ERROR_FAILED, "the service is still sending it");
    return CHANNEL_LATER;
}

/* CHANNEL_DONE: it is our turn to ask. CHANNEL_LATER: it will not be before `end`. */
static enum channel_result wait_for_turn(int64_t wait_ms, const struct deadline *end,
                                         struct error *err)
{
    struct deadline turn = deadline_in_ms(wait_ms);

    if (wait_ms >= deadline_left_ms(end)) {
        return CHANNEL_LATER;
    }
    return wait_until(&turn, err) ? CHANNEL_DONE : CHANNEL_STOPPED;
}

enum channel_result acs_follow(struct acs *acs, const struct channel_answer *accepted,
                               struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(ACS_REPLY_CAP);
    struct deadline end = deadline_in_ms(FOLLOW_MS);
    int64_t wait_ms = accepted->wait_ms;
    enum channel_result result = CHANNEL_LATER;
    struct retry pace;
    int unreachable = 0;

    if (!acs_reply_is_id(accepted->receipt)) {
        error_set(err, ERROR_FAILED, "its operation's id is not one");
        return CHANNEL_NEVER;
    }
    error_set(err, ERROR_FAILED, "the service has accepted it and is still sending it");
    for (retry_begin(&pace, &poll_policy); pace.attempt <= FOLLOW_MOST_POLLS; pace.attempt++) {
        enum channel_result turn = wait_for_turn(wait_ms, &end, err);
        if (turn != CHANNEL_DONE) {
            result = turn;
            break;
        }
        result = poll_once(acs, accepted->receipt, &reply, err);
        unreachable += result == CHANNEL_UNREACHABLE;
        if ((result != CHANNEL_LATER && result != CHANNEL_UNREACHABLE) || unreachable > 1) {
            break;
        }
        wait_ms = retry_wait_ms(&pace, &reply, INT64_MAX, clock_utc_ms());
        log_debug("mail_operation", "e-mail operation %s: %s", accepted->receipt, err->text);
    }
    http_reply_clear(&reply);
    return result;
}

#include "identity/entra.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "http/exchange.h"
#include "http/retry.h"
#include "identity/entra_reply.h"
#include "identity/entra_source.h"

#define STALL_S               20
#define REPLY_MS              (30 * 1000)
#define CLEANUP_MS            (10 * 1000)
#define MOST_UNANSWERED       3 /* attempts that nobody answers: perhaps there is nobody */
#define UUID_DIGITS_AND_SIGNS 36

/* The metadata service may be away for 70 s. */
static const struct retry_policy policy = {
    .attempts = 14, .first_wait_ms = 1000, .longest_wait_ms = 15 * 1000, .total_ms = 150 * 1000};

/* In the order of detection. */
static const struct entra_source *const sources[] = {&entra_workload, &entra_app_service,
                                                     &entra_machine};

void entra_append_client_id(struct text *url, const struct settings *settings)
{
    const char *id = settings_get(settings, SETTING_AZURE_CLIENT_ID);

    if (id != NULL) {
        text_append(url, "&client_id=");
        http_append_encoded(url, id, "");
    }
}

bool entra_check_client_id(const struct settings *settings, struct error *err)
{
    const char *id = settings_get(settings, SETTING_AZURE_CLIENT_ID);
    static const char hex[] = "0123456789abcdefABCDEF";

    if (id == NULL) {
        return true;
    }
    bool ok = strlen(id) == UUID_DIGITS_AND_SIGNS;
    for (size_t i = 0; ok && i < UUID_DIGITS_AND_SIGNS; i++) {
        ok = i == 8 || i == 13 || i == 18 || i == 23 ? id[i] == '-' : strchr(hex, id[i]) != NULL;
    }
    return ok || error_set(err, ERROR_CONFIG,
                           "%s is not a client id, as 01234567-89ab-cdef-0123-456789abcdef is one",
                           settings_table[SETTING_AZURE_CLIENT_ID].name);
}

bool entra_find(const struct settings *settings, struct entra *out, struct error *err)
{
    size_t i = 0;

    while (!sources[i]->is_configured(settings)) {
        i++;
    }
    if (!sources[i]->check(settings, err)) {
        return false;
    }
    *out = (struct entra){.source = sources[i], .settings = settings};
    return true;
}

const char *entra_name(const struct entra *entra)
{
    return entra->source->name;
}

static bool exchange(const struct entra *entra, struct http_client *client, const char *resource,
                     struct http_reply *reply, struct error *err)
{
    struct entra_request wanted = ENTRA_REQUEST_INIT;
    bool ok = entra->source->build(entra->settings, resource, &wanted, err);

    if (ok && (wanted.url.failed || wanted.body.failed)) {
        ok = error_set(err, ERROR_FAILED, "the request for a token is too long");
    }
    struct http_request request = {.method = wanted.method,
                                   .url = text_string(&wanted.url),
                                   .body = wanted.body.data,
                                   .body_size = wanted.body.length};
    ok = ok &&
         (wanted.header == NULL ||
          http_request_add(&request, wanted.header, wanted.header_value, err)) &&
         (wanted.content_type == NULL ||
          http_request_add(&request, "Content-Type", wanted.content_type, err)) &&
         http_exchange(client, &request, reply, err);
    if (wanted.body.data != NULL) {
        explicit_bzero(wanted.body.data, wanted.body.length);
    }
    text_clear(&wanted.url);
    text_clear(&wanted.body);
    return ok;
}

static bool ask(const struct entra *entra, struct http_client *client, const char *resource,
                struct http_reply *reply, struct token *out, struct error *err)
{
    const struct entra_source *source = entra->source;

    if (!exchange(entra, client, resource, reply, err)) {
        return err->retryable ? error_hint(err, "%s", source->when_unreachable) : false;
    }
    if (reply->status == 200) {
        return entra_reply_parse(reply, clock_utc_ms(), out, err);
    }
    entra_reply_refuse(reply, err);
    err->retryable =
        retry_status_is_transient(reply->status) || source->is_transient(reply->status);
    return err->retryable ? false : error_hint(err, "%s", source->when_refused);
}

bool entra_request_token(const struct entra *entra, const char *resource,
                         const struct entra_patience *patience, struct token *out,
                         struct error *err)
{
    int64_t connect_ms = settings_get_number(entra->settings, SETTING_CONNECT_TIMEOUT) * 1000;
    const struct http_limits limits = {
        .connect_ms = entra->source->connect_ms > 0 ? entra->source->connect_ms : connect_ms,
        .stall_s = STALL_S,
        .reply_ms = REPLY_MS};
    struct http_reply reply = HTTP_REPLY_INIT(ENTRA_REPLY_CAP);
    struct http_client *client = http_client_new(&limits, err);
    struct retry_policy own = policy;
    struct retry retry;
    int unanswered = 0;
    bool ok = false;

    if (client == NULL) {
        return false;
    }
    if (patience->ignore_stop) {
        http_client_ignore_stop(client);
        own.ignore_stop = true;
        own.total_ms = CLEANUP_MS;
    }
    http_client_cancel_with(client, patience->cancelled);
    own.cancelled = patience->cancelled;
    retry_begin(&retry, &own);
    do {
        ok = ask(entra, client, resource, &reply, out, err);
        unanswered += !ok && reply.status == 0;
        err->retryable = err->retryable && unanswered < MOST_UNANSWERED;
    } while (!ok && retry_again(&retry, &reply, err));
    if (reply.body.data != NULL) {
        explicit_bzero(reply.body.data, reply.body.length);
    }
    http_reply_clear(&reply);
    http_client_free(client);
    if (!ok) {
        return error_prefix(err, "asking %s for a token", entra->source->name);
    }
    error_clear(err);
    log_debug("entra_token", "%s gave a token for %s, good for %lld s", entra->source->name,
              resource, (long long)out->life_ms / 1000);
    return true;
}

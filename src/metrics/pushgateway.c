#include "metrics/pushgateway.h"

#include <stdio.h>
#include <string.h>

#include "crypto/base64.h"
#include "http/retry.h"
#include "metrics/endpoint.h"
#include "metrics/exposition.h"
#include "metrics/post.h"

#define URL_CAP   8192
#define NAME_SIZE 256 /* of a ledger */

static bool is_configured(const struct settings *settings)
{
    return settings_get(settings, SETTING_PUSHGATEWAY) != NULL;
}

/* A value with a '/' has a form of its own (README, "URL"): base64 with the URL's alphabet. */
static void append_group(struct text *url, const char *ledger)
{
    char encoded[BASE64_SIZE(NAME_SIZE)];

    if (strchr(ledger, '/') == NULL) {
        text_append(url, "/ledger/");
        http_append_encoded(url, ledger, "");
        return;
    }
    base64_encode(encoded, ledger, strnlen(ledger, NAME_SIZE));
    for (char *c = encoded; *c != '\0'; c++) {
        *c = (char)(*c == '+' ? '-' : *c == '/' ? '_' : *c);
    }
    text_append(url, "/ledger@base64/");
    text_append(url, encoded);
}

static bool put(const char *url, const struct metrics_report *report,
                const struct deadline *deadline, struct error *err)
{
    struct text body = TEXT_INIT(EXPOSITION_CAP);
    struct http_reply reply = HTTP_REPLY_INIT(POST_REPLY_CAP);
    struct post post;

    exposition_append(&body, report);
    bool ok = post_prepare(&post, "PUT", url, "text/plain; version=0.0.4", &body, err);
    post.is_transient = retry_status_is_transient;
    ok = ok && post_send(&post, deadline, &reply, err) &&
         (reply.status == 200 || reply.status == 202 || post_refused(&reply, err));
    http_reply_clear(&reply);
    text_clear(&body);
    return ok;
}

static bool push(const struct settings *settings, const struct metrics_report *report,
                 const struct deadline *deadline, struct error *err)
{
    const char *base = settings_get(settings, SETTING_PUSHGATEWAY);
    struct text url = TEXT_INIT(URL_CAP);

    if (!endpoint_check(base, settings_table[SETTING_PUSHGATEWAY].name, err)) {
        return false;
    }
    if (!report->has_schedules) {
        return true;
    }
    endpoint_append(&url, base, "/metrics/job/rythm-backup");
    append_group(&url, report->ledger);
    bool ok = url.failed ? error_set_memory(err) : put(text_string(&url), report, deadline, err);
    text_clear(&url);
    return ok;
}

const struct exporter exporter_pushgateway = {
    .name = "the Pushgateway", .is_configured = is_configured, .send = push};

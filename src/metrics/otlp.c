#include "metrics/otlp.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/redact.h"
#include "metrics/json_document.h"
#include "metrics/otlp_metrics.h"
#include "metrics/otlp_settings.h"
#include "metrics/otlp_traces.h"
#include "metrics/post.h"

#define DOCUMENT_CAP ((size_t)64 * 1024 * 1024)

static bool is_configured(const struct settings *settings)
{
    return otlp_settings_are_there(settings);
}

/* Of the specification's "Retryable Response Codes". */
static bool is_transient(int status)
{
    return status == 429 || status == 502 || status == 503 || status == 504;
}

/* A count may be a string, as all 64-bit integers. */
static int64_t count_of(const json_t *value)
{
    int64_t count = json_integer_value(value);

    if (json_is_string(value) &&
        !text_parse_integer(json_string_value(value), 0, INT64_MAX, &count)) {
        count = 1;
    }
    return count;
}

/* What was refused in part is not to be sent again; with nothing refused it is a warning. */
static bool check_reply(const struct http_reply *reply, const char *rejected, struct error *err)
{
    if (reply->status != 200) {
        return post_refused(reply, err);
    }
    if (reply->body.length == 0) {
        return true;
    }
    json_t *answer = json_document_read(reply, err);
    if (answer == NULL) {
        return false;
    }
    const json_t *partial = json_object_get(answer, "partialSuccess");
    const char *message = json_string_value(json_object_get(partial, "errorMessage"));
    int64_t refused = count_of(json_object_get(partial, rejected));
    char said[POST_SHOWN_SIZE] = "";
    if (message != NULL) {
        redact_copy(said, sizeof(said), message, strlen(message));
    }
    bool ok = refused == 0;
    if (!ok) {
        error_set(err, ERROR_FAILED, "it refused %" PRId64 " of what it was sent: %s", refused,
                  message != NULL ? said : "it does not say why");
    } else if (*said != '\0') {
        log_warning("otlp_warning", "The OTLP collector says: %s", said);
    }
    json_decref(answer);
    return ok;
}

/* `rejected` is the member of partialSuccess with the count of what was refused. */
static bool post_document(const struct otlp_settings *otlp, const struct text *url,
                          const struct text *document, const char *rejected,
                          const struct deadline *deadline, struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(POST_REPLY_CAP);
    struct deadline limit = deadline_in_ms(otlp->timeout_ms);
    struct post post;

    if (deadline->at_ms < limit.at_ms) {
        limit = *deadline;
    }
    bool ok = post_prepare(&post, "POST", text_string(url), "application/json", document, err);
    post.is_transient = is_transient;
    for (size_t i = 0; ok && i < otlp->headers.count; i++) {
        ok =
            http_request_add(&post.request, otlp->headers.names[i], otlp->headers.values[i], err) ||
            error_prefix(err, "%s", settings_table[SETTING_OTEL_HEADERS].name);
    }
    ok = ok && post_send(&post, &limit, &reply, err) && check_reply(&reply, rejected, err);
    http_reply_clear(&reply);
    return ok;
}

static bool send_metrics(const struct otlp_settings *otlp, const struct metrics_report *report,
                         const struct deadline *deadline, struct error *err)
{
    struct text document = TEXT_INIT(DOCUMENT_CAP);

    if (otlp->metrics_url.length == 0 || report->schedule_count == 0) {
        return true;
    }
    bool ok =
        otlp_metrics_append(otlp, report, &document, err) &&
        post_document(otlp, &otlp->metrics_url, &document, "rejectedDataPoints", deadline, err);
    text_clear(&document);
    return ok || error_prefix(err, "metrics");
}

static bool send_traces(const struct otlp_settings *otlp, const struct metrics_report *report,
                        const struct deadline *deadline, struct error *err)
{
    struct text document = TEXT_INIT(DOCUMENT_CAP);

    if (otlp->traces_url.length == 0 || report->event_count == 0) {
        return true;
    }
    bool ok = otlp_traces_append(otlp, report, &document, err) &&
              post_document(otlp, &otlp->traces_url, &document, "rejectedSpans", deadline, err);
    text_clear(&document);
    return ok || error_prefix(err, "traces");
}

/* One signal's failure does not keep the other from being sent; the traces are for this time alone,
 * and so the first. */
static bool send_signals(const struct settings *settings, const struct metrics_report *report,
                         const struct deadline *deadline, struct error *err)
{
    struct otlp_settings otlp = OTLP_SETTINGS_INIT;
    struct error problem = ERROR_INIT;
    bool ok = otlp_settings_parse(settings, &otlp, err);

    if (ok) {
        int64_t left_ms = deadline_left_ms(deadline);
        struct deadline first = deadline_in_ms(otlp.metrics_url.length > 0 ? left_ms / 2 : left_ms);
        ok = send_traces(&otlp, report, &first, err);
        if (!send_metrics(&otlp, report, deadline, &problem)) {
            if (ok) {
                *err = problem;
            } else {
                error_hint(err, "%s", problem.text);
            }
            ok = false;
        }
    }
    otlp_settings_clear(&otlp);
    return ok;
}

const struct exporter exporter_otlp = {
    .name = "the OTLP collector", .is_configured = is_configured, .send = send_signals};

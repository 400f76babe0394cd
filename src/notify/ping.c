#include "notify/ping.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/log_tail.h"
#include "base/text.h"
#include "crypto/random.h"
#include "http/exchange.h"
#include "http/message.h"
#include "notify/hook.h"

#define URL_CAP     8192
#define BODY_CAP    (LOG_TAIL_BYTES + ERROR_TEXT_SIZE + 16)
#define CONNECT_MS  ((int64_t)3 * 1000)
#define REPLY_CAP   (64 * 1024)
#define PLACEHOLDER "{schedule}"

/* The check's own URL: each "{schedule}" stands for the schedule's name. */
static bool base_url(const struct ping *ping, struct text *out, struct error *err)
{
    const char *from = settings_get(ping->settings, SETTING_PING_URL);

    for (const char *at; (at = strstr(from, PLACEHOLDER)) != NULL;
         from = at + strlen(PLACEHOLDER)) {
        text_append_bytes(out, from, (size_t)(at - from));
        http_append_encoded(out, ping->schedule, "");
    }
    text_append(out, from);
    return out->failed ? error_set_memory(err)
                       : hook_check_url(SETTING_PING_URL, text_string(out), err);
}

static bool signal_url(const struct ping *ping, const char *suffix, struct text *out,
                       struct error *err)
{
    struct text base = TEXT_INIT(URL_CAP);
    bool ok = base_url(ping, &base, err);
    const char *url = text_string(&base);
    size_t length = strcspn(url, "?#");

    if (ok) {
        text_append_bytes(out, url, length);
        text_append(out, suffix);
        text_append(out, url + length);
        if (ping->run[0] != '\0') {
            text_appendf(out, "%srid=%s", url[length] == '?' ? "&" : "?", ping->run);
        }
        ok = !out->failed || error_set_memory(err);
    }
    text_clear(&base);
    return ok;
}

static bool post(struct http_client *client, const char *url, const char *body, struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(REPLY_CAP);
    struct http_request request = {
        .method = "POST", .url = url, .body = body, .body_size = strlen(body)};

    bool ok = http_request_add(&request, "Content-Type", "text/plain; charset=utf-8", err) &&
              http_exchange(client, &request, &reply, err);
    if (ok && (reply.status < 200 || reply.status > 299)) {
        ok = error_set(err, ERROR_FAILED, "the service answers %d", reply.status);
        error_hint(err, "check RYTHM_BACKUP_PING_URL");
    }
    http_reply_clear(&reply);
    return ok;
}

static bool send_signal(const struct ping *ping, const char *suffix, const char *body,
                        bool ignore_stop, struct error *err)
{
    const struct http_limits limits = {
        .connect_ms = CONNECT_MS, .stall_s = PING_MS / 1000, .reply_ms = PING_MS};
    struct text url = TEXT_INIT(URL_CAP);
    struct http_client *client = NULL;

    bool ok = signal_url(ping, suffix, &url, err);
    if (ok) {
        client = http_client_new(&limits, err);
        ok = client != NULL;
    }
    if (ok && ignore_stop) {
        http_client_ignore_stop(client);
    }
    ok = ok && post(client, text_string(&url), body, err);
    http_client_free(client);
    text_clear(&url);
    return ok;
}

static void warn(const struct error *problem)
{
    if (problem->kind != ERROR_STOPPED) {
        log_warning("ping_not_sent", "the monitor was not told: %s", problem->text);
    }
}

void ping_begin(struct ping *ping, const struct settings *settings, const char *schedule)
{
    struct error problem = ERROR_INIT;

    *ping = (struct ping){.log_position = log_tail_position()};
    snprintf(ping->schedule, sizeof(ping->schedule), "%s", schedule);
    if (settings_get(settings, SETTING_PING_URL) == NULL) {
        return;
    }
    ping->settings = settings;
    if (!random_uuid(ping->run, &problem) || !send_signal(ping, "/start", "", false, &problem)) {
        warn(&problem);
    }
}

void ping_end(struct ping *ping, const char *problem)
{
    char tail[LOG_TAIL_BYTES + 1];
    struct text body = TEXT_INIT(BODY_CAP);
    struct error not_sent = ERROR_INIT;

    if (ping->settings == NULL) {
        return;
    }
    log_tail_copy(ping->log_position, tail);
    text_append(&body, tail);
    if (problem != NULL) {
        text_appendf(&body, "%s\n", problem);
    }
    if (!send_signal(ping, problem != NULL ? "/fail" : "", text_string(&body), true, &not_sent)) {
        warn(&not_sent);
    }
    text_clear(&body);
}

bool ping_test(const struct settings *settings, bool *configured, struct error *err)
{
    const struct ping ping = {.settings = settings, .schedule = "test"};

    *configured = settings_get(settings, SETTING_PING_URL) != NULL;
    return !*configured || send_signal(&ping, "/log", "rythm-backup: a test message\n", false, err);
}

#include "notify/hook.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/host.h"
#include "base/json_memory.h"
#include "base/redact.h"
#include "base/text.h"
#include "http/exchange.h"
#include "http/retry.h"

#define LONGEST_URL   4096
#define SHORTEST_PATH 12 /* a shorter one is a word, and no secret */
#define SHORTEST_KEY  20 /* the same of a value in its query */
#define STALL_S       10
#define REPLY_MS      (15 * 1000)
#define SHOWN         200 /* bytes of an answer */

struct hook {
    const char *url;
    struct http_client *client;
};

static bool malformed(enum setting_id id, const char *why, struct error *err)
{
    error_set(err, ERROR_CONFIG, "%s: %s (its value is not shown)", settings_table[id].name, why);
    return error_hint(err, "the form is https://HOST/PATH, as the service shows it");
}

/* A service may repeat what it did not like: a signature alone, say. */
static void register_values(char *query)
{
    char *save = NULL;

    for (char *pair = strtok_r(query, "&#", &save); pair != NULL;
         pair = strtok_r(NULL, "&#", &save)) {
        const char *value = strchr(pair, '=');
        if (value != NULL && strlen(value + 1) >= SHORTEST_KEY) {
            redact_register(value + 1);
        }
    }
}

/* Errors name the URL without its query, and a log of somebody else's may name its path. */
static void register_parts(const char *url, const char *path)
{
    size_t length = strcspn(url, "?#");
    char *without_query = strndup(url, length);

    redact_register(url);
    if (strlen(path) >= SHORTEST_PATH) {
        redact_register(path);
        redact_register(without_query);
    }
    if (without_query != NULL && strlen(without_query + (path - url)) >= SHORTEST_PATH) {
        redact_register(without_query + (path - url));
    }
    free(without_query);
    char *query = strdup(url + length);
    if (query != NULL) {
        register_values(query);
    }
    free(query);
}

bool hook_check_url(enum setting_id id, const char *url, struct error *err)
{
    bool secure = strncasecmp(url, "https://", 8) == 0;

    if (!secure && strncasecmp(url, "http://", 7) != 0) {
        return malformed(id, "it does not begin with https://", err);
    }
    if (strlen(url) > LONGEST_URL) {
        return malformed(id, "it is too long", err);
    }
    if (!text_is_printable_ascii(url) || strpbrk(url, " \"<>\\^`{|}") != NULL) {
        return malformed(id, "it holds a character that must be percent-encoded in a URL", err);
    }
    const char *host = url + (secure ? 8 : 7);
    size_t authority = strcspn(host, "/?#");
    const char *path = host + authority;
    const char *user_end = memrchr(host, '@', authority);
    host = user_end != NULL ? user_end + 1 : host;
    size_t length = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
    if (length == 0 || host + length > path) {
        return malformed(id, "it has no host", err);
    }
    if (!secure && !host_is_loopback(host, length)) {
        return malformed(id, "it is not https, and not of this host itself", err);
    }
    register_parts(url, path);
    return true;
}

bool hook_check(const struct settings *settings, enum setting_id url, struct error *err)
{
    return hook_check_url(url, settings_get(settings, url), err);
}

struct hook *hook_new(const struct settings *settings, enum setting_id url, struct error *err)
{
    int64_t connect_ms = settings_get_number(settings, SETTING_CONNECT_TIMEOUT) * 1000;
    const struct http_limits limits = {
        .connect_ms = connect_ms, .stall_s = STALL_S, .reply_ms = connect_ms + REPLY_MS};

    if (!hook_check(settings, url, err)) {
        return NULL;
    }
    struct hook *hook = calloc(1, sizeof(*hook));
    if (hook == NULL) {
        error_set_memory(err);
        return NULL;
    }
    hook->url = settings_get(settings, url);
    hook->client = http_client_new(&limits, err);
    if (hook->client == NULL) {
        hook_free(hook);
        return NULL;
    }
    return hook;
}

void hook_free(struct hook *hook)
{
    if (hook != NULL) {
        http_client_free(hook->client);
        free(hook);
    }
}

void hook_close(void *link)
{
    hook_free(link);
}

char *hook_fit(const struct message *message,
               char *(*format)(const struct message *message, size_t value_limit), size_t most,
               struct error *err)
{
    unsigned refusals = json_memory_refusals();
    size_t limit = message_value_limit(message);
    char *text = format(message, limit);

    while (text != NULL && strlen(text) > most && limit > 0) {
        free(text);
        limit /= 2;
        text = format(message, limit);
    }
    if (text == NULL || json_memory_refusals() != refusals) {
        free(text);
        error_set_memory(err);
        return NULL;
    }
    return text;
}

static enum channel_result judge(const struct http_reply *reply, struct channel_answer *answer,
                                 struct error *err)
{
    if (reply->status >= 200 && reply->status <= 299) {
        return CHANNEL_DONE;
    }
    char said[SHOWN + 1];
    redact_copy(said, sizeof(said), text_string(&reply->body), reply->body.length);
    error_set(err, ERROR_FAILED, "the service answers %d %s", reply->status, said);
    text_make_one_line(err->text);
    answer->wait_ms = retry_asked_ms(reply, clock_utc_ms());
    if (reply->status == 429) {
        return CHANNEL_THROTTLED;
    }
    return reply->status == 408 || reply->status >= 500 ? CHANNEL_LATER : CHANNEL_NEVER;
}

static bool add_headers(struct http_request *request, const struct hook_post *post,
                        struct error *err)
{
    bool ok = http_request_add(request, "Content-Type", "application/json", err);

    for (size_t i = 0; ok && i < post->header_count; i++) {
        ok = http_request_add(request, post->headers[i].name, post->headers[i].value, err);
    }
    return ok;
}

enum channel_result hook_send(struct hook *hook, const struct hook_post *post, int *status,
                              struct channel_answer *answer, struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(HOOK_REPLY_CAP);
    struct http_request request = {
        .method = "POST", .url = hook->url, .body = post->body, .body_size = strlen(post->body)};
    enum channel_result result = CHANNEL_LATER;

    if (add_headers(&request, post, err)) {
        if (http_exchange(hook->client, &request, &reply, err)) {
            result = judge(&reply, answer, err);
        } else if (err->kind == ERROR_STOPPED) {
            result = CHANNEL_STOPPED;
        } else if (reply.status >= 200 && reply.status <= 299) {
            /* It was taken, and what else the reply says is too long to be read. */
            error_clear(err);
            result = CHANNEL_DONE;
        } else if (err->retryable) {
            result = CHANNEL_UNREACHABLE;
        }
    }
    *status = reply.status;
    http_reply_clear(&reply);
    return result;
}

enum channel_result hook_send_body(struct hook *hook, char *body, const int *gone, const char *hint,
                                   struct channel_answer *answer, struct error *err)
{
    const struct hook_post post = {.body = body};
    int status;

    if (body == NULL) {
        return CHANNEL_LATER;
    }
    enum channel_result result = hook_send(hook, &post, &status, answer, err);
    for (; *gone != 0; gone++) {
        if (status == *gone) {
            error_hint(err, "%s", hint);
        }
    }
    free(body);
    return result;
}

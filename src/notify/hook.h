/*
 * A URL that somebody's service gave us and that is a secret as a whole: who knows it may post
 * there. One JSON document is posted, and the answer's status says what came of it.
 */
#ifndef NOTIFY_HOOK_H
#define NOTIFY_HOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/settings.h"
#include "http/message.h"
#include "notify/channel.h"

#define HOOK_REPLY_CAP (64 * 1024)

/* Whether what is made of the setting's value is an https URL, or an http one of this host itself.
 * What of it may be secret is registered for redaction; the error, ERROR_CONFIG, shows nothing of
 * it. */
bool hook_check_url(enum setting_id id, const char *url, struct error *err);
/* The same of the setting itself. */
bool hook_check(const struct settings *settings, enum setting_id url, struct error *err);

struct hook;
/* Checks the URL and makes ready to post. Borrows the settings. Loads libcurl. */
struct hook *hook_new(const struct settings *settings, enum setting_id url, struct error *err);
void hook_free(struct hook *hook);
/* The same in the form of struct channel. */
void hook_close(void *link);

/* What `format` makes of the message, a JSON document, with values as long as it can be without
 * having more than `most` bytes; the caller frees it. NULL with the error. */
char *hook_fit(const struct message *message,
               char *(*format)(const struct message *message, size_t value_limit), size_t most,
               struct error *err);

struct hook_post {
    const struct http_header *headers; /* beside Content-Type: application/json */
    size_t header_count;
    const char *body;
};
/* CHANNEL_DONE for 2xx; CHANNEL_THROTTLED for 429, CHANNEL_LATER for 408 and 5xx, each with the
 * pause that is asked for; CHANNEL_UNREACHABLE without an answer; CHANNEL_NEVER for all else. The
 * status, 0 without an answer, goes to *status: a channel may know better. */
enum channel_result hook_send(struct hook *hook, const struct hook_post *post, int *status,
                              struct channel_answer *answer, struct error *err);

/* Posts `body` alone, and frees it; NULL is CHANNEL_LATER, with the error of who could not make it.
 * The error of one of the `gone` statuses, which end with 0, gets the hint. */
enum channel_result hook_send_body(struct hook *hook, char *body, const int *gone, const char *hint,
                                   struct channel_answer *answer, struct error *err);

#endif

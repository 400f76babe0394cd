/*
 * One request to a service that takes metrics, tried again while that helps and time is left.
 */
#ifndef METRICS_POST_H
#define METRICS_POST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/wait.h"
#include "http/message.h"

#define POST_REPLY_CAP ((size_t)1024 * 1024)

struct post {
    struct http_request request;
    /* The statuses after which the same request may succeed. */
    bool (*is_transient)(int status);
};

/* A request with a body and its type, to which headers may be added. All is borrowed. */
bool post_prepare(struct post *post, const char *method, const char *url, const char *type,
                  const struct text *body, struct error *err);

/* True with a reply that is not transient, whatever it says. A service that asks to be left alone
 * for longer than is left is not asked again. */
bool post_send(const struct post *post, const struct deadline *deadline, struct http_reply *reply,
               struct error *err);

#define POST_SHOWN_SIZE 301 /* of what a service says, which is for redact_copy() to cut */
/* "it answered 400: " and the beginning of what it said. False. */
bool post_refused(const struct http_reply *reply, struct error *err);

#endif

/*
 * When to try a request again, and how long to wait before: exponential backoff with jitter, what
 * the server asks for (Retry-After, retry-after-ms, x-ms-retry-after-ms) when it does, a bounded
 * number of attempts and a bounded total time. The request is made, and signed, anew by the caller.
 *
 *     for (retry_begin(&retry, &policy); ; ) {
 *         ok = attempt(..., err);
 *         if (ok || !retry_again(&retry, reply_or_NULL, err)) break;
 *     }
 */
#ifndef HTTP_RETRY_H
#define HTTP_RETRY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "http/exchange.h"

struct retry_policy {
    int attempts;          /* at most, the first included */
    int64_t first_wait_ms; /* doubled each time */
    int64_t longest_wait_ms;
    int64_t total_ms; /* no new attempt begins after this */
    bool ignore_stop;
    const atomic_bool *cancelled; /* once true, waiting ends with ERROR_STOPPED; NULL: never */
};

struct retry {
    struct retry_policy policy;
    int attempt; /* begun so far */
    int64_t began_ms;
    unsigned seed; /* for the jitter */
};

void retry_begin(struct retry *retry, const struct retry_policy *policy);

/* How long to wait before the next attempt: what the server asks for, else the backoff after
 * `retry->attempt` attempts; in any case no longer than `left_ms`. The reply may be NULL. */
int64_t retry_wait_ms(struct retry *retry, const struct http_reply *reply, int64_t left_ms,
                      int64_t now_utc_ms);

/* What the server asks for (Retry-After and its kin); 0 when it does not. */
int64_t retry_asked_ms(const struct http_reply *reply, int64_t now_utc_ms);

/* To be called after a failed attempt with err->retryable telling whether trying again can help.
 * Waits and returns true, or returns false with the error (its number of attempts added when there
 * was more than one; ERROR_STOPPED when a stop came during the wait). */
bool retry_again(struct retry *retry, const struct http_reply *reply, struct error *err);

/* 408, 429, 500, 502, 503, 504: the service may answer the same request differently later. */
bool retry_status_is_transient(int status);

#endif

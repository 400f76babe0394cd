#include "http/retry.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "base/wait.h"

#define LONGEST_ASKED_S   (7 * 24 * 3600)
#define CANCEL_LOOK_MS    250
#define HEADER_VALUE_SIZE 64

/* What the server asks for; false when it does not, or not in a form that can be understood. */
static bool asked_ms(const struct http_reply *reply, int64_t now_utc_ms, int64_t *ms)
{
    static const char *const in_ms[] = {"retry-after-ms", "x-ms-retry-after-ms"};
    char value[HEADER_VALUE_SIZE];
    int64_t number;

    for (size_t i = 0; i < sizeof(in_ms) / sizeof(in_ms[0]); i++) {
        if (http_reply_header(reply, in_ms[i], value, sizeof(value)) &&
            text_parse_integer(value, 0, (int64_t)LONGEST_ASKED_S * 1000, ms)) {
            return true;
        }
    }
    if (!http_reply_header(reply, "Retry-After", value, sizeof(value))) {
        return false;
    }
    if (text_parse_integer(value, 0, LONGEST_ASKED_S, &number)) {
        *ms = number * 1000;
        return true;
    }
    if (clock_parse_http(value, &number)) {
        *ms = number > now_utc_ms ? number - now_utc_ms : 0;
        return true;
    }
    return false;
}

/* Half of it is certain, half is chance, so that those who failed together do not come back
 * together. */
static int64_t backoff_ms(struct retry *retry)
{
    int64_t wait = retry->policy.first_wait_ms;

    for (int i = 1; i < retry->attempt && wait < retry->policy.longest_wait_ms; i++) {
        wait *= 2;
    }
    if (wait > retry->policy.longest_wait_ms) {
        wait = retry->policy.longest_wait_ms;
    }
    return wait / 2 + rand_r(&retry->seed) % (wait / 2 + 1);
}

int64_t retry_wait_ms(struct retry *retry, const struct http_reply *reply, int64_t left_ms,
                      int64_t now_utc_ms)
{
    int64_t wait;

    /* Whoever asks to be asked again at once has no wish of his own. */
    if (reply == NULL || !asked_ms(reply, now_utc_ms, &wait) || wait == 0) {
        wait = backoff_ms(retry);
    }
    return wait < left_ms ? wait : left_ms;
}

int64_t retry_asked_ms(const struct http_reply *reply, int64_t now_utc_ms)
{
    int64_t wait_ms;

    return asked_ms(reply, now_utc_ms, &wait_ms) ? wait_ms : 0;
}

static bool is_cancelled(const struct retry *retry)
{
    return retry->policy.cancelled != NULL && atomic_load(retry->policy.cancelled);
}

static bool wait_for_turn(const struct retry *retry, int64_t wait_ms, struct error *err)
{
    struct deadline end =
        retry->policy.ignore_stop ? deadline_cleanup_in_ms(wait_ms) : deadline_in_ms(wait_ms);

    for (;;) {
        if (is_cancelled(retry)) {
            return error_set(err, ERROR_STOPPED, "given up because another transfer failed");
        }
        int64_t left = deadline_left_ms(&end);
        struct deadline look = end;
        if (retry->policy.cancelled != NULL && left > CANCEL_LOOK_MS) {
            look.at_ms -= left - CANCEL_LOOK_MS;
        }
        if (!wait_until(&look, err)) {
            return false;
        }
        if (deadline_left_ms(&end) == 0) {
            return true;
        }
    }
}

void retry_begin(struct retry *retry, const struct retry_policy *policy)
{
    *retry = (struct retry){.policy = *policy,
                            .attempt = 1,
                            .began_ms = clock_monotonic_ms(),
                            .seed = (unsigned)clock_utc_ms() ^ (unsigned)gettid() << 16};
}

bool retry_again(struct retry *retry, const struct http_reply *reply, struct error *err)
{
    int64_t left = retry->began_ms + retry->policy.total_ms - clock_monotonic_ms();

    if (!err->retryable || retry->attempt >= retry->policy.attempts || left <= 0) {
        if (retry->attempt > 1) {
            error_hint(err, "tried %d times", retry->attempt);
        }
        return false;
    }
    int64_t wait = retry_wait_ms(retry, reply, left, clock_utc_ms());
    log_warning("request_retry", "%s; trying again in %.1f s (attempt %d of %d)", err->text,
                (double)wait / 1000, retry->attempt + 1, retry->policy.attempts);
    if (!wait_for_turn(retry, wait, err)) {
        return false;
    }
    retry->attempt++;
    return true;
}

bool retry_status_is_transient(int status)
{
    return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
           status == 504;
}

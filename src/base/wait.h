/*
 * Waiting for a descriptor with an end (invariant I10: everything that can hang has a deadline) and
 * an ear for the stop flag.
 */
#ifndef BASE_WAIT_H
#define BASE_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct deadline {
    int64_t at_ms;    /* on clock_monotonic_ms() */
    bool ignore_stop; /* for cleaning up after a stop */
};

struct deadline deadline_in_ms(int64_t duration_ms);
/* As deadline_in_ms(), for work that must be done although a stop was requested. */
struct deadline deadline_cleanup_in_ms(int64_t duration_ms);
/* At least 0. */
int64_t deadline_left_ms(const struct deadline *deadline);

/* One descriptor to wait for; `events` and `revents` as for poll(2). */
struct wait_fd {
    int fd; /* -1 is passed over */
    short events;
    short revents;
};
#define WAIT_MOST_FDS 3

/* True when at least one descriptor is ready. False with ERROR_STOPPED, or with a retryable
 * ERROR_FAILED ("no answer within N s") when the deadline has passed. */
bool wait_for(struct wait_fd *fds, int count, const struct deadline *deadline, struct error *err);

/* Sleeps until the deadline: true when it has come, false with ERROR_STOPPED. */
bool wait_until(const struct deadline *deadline, struct error *err);

#endif

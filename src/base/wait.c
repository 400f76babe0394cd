#include "base/wait.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>

#include "base/clock.h"
#include "base/stop.h"

struct deadline deadline_in_ms(int64_t duration_ms)
{
    return (struct deadline){.at_ms = clock_monotonic_ms() + duration_ms};
}

struct deadline deadline_cleanup_in_ms(int64_t duration_ms)
{
    return (struct deadline){.at_ms = clock_monotonic_ms() + duration_ms, .ignore_stop = true};
}

int64_t deadline_left_ms(const struct deadline *deadline)
{
    int64_t left = deadline->at_ms - clock_monotonic_ms();

    return left > 0 ? left : 0;
}

/* The number of ready descriptors, 0 when the deadline passed, -1 on an error or a stop. */
static int poll_until(struct wait_fd *fds, int count, const struct deadline *deadline,
                      struct error *err)
{
    struct pollfd polled[WAIT_MOST_FDS + 1];

    for (;;) {
        if (!deadline->ignore_stop && !stop_check(err)) {
            return -1;
        }
        for (int i = 0; i < count; i++) {
            polled[i] = (struct pollfd){.fd = fds[i].fd, .events = fds[i].events};
        }
        polled[count] =
            (struct pollfd){.fd = deadline->ignore_stop ? -1 : stop_fd(), .events = POLLIN};
        int64_t left = deadline_left_ms(deadline);
        int ready = poll(polled, (nfds_t)count + 1, left > INT_MAX ? INT_MAX : (int)left);
        if (ready < 0 && errno != EINTR) {
            error_set_system(err, errno, "waiting for a descriptor");
            return -1;
        }
        if (ready <= 0) {
            if (ready == 0 && deadline_left_ms(deadline) == 0) {
                return 0;
            }
            continue;
        }
        int wanted = 0;
        for (int i = 0; i < count; i++) {
            fds[i].revents = polled[i].revents;
            wanted += fds[i].revents != 0;
        }
        if (wanted > 0) {
            return wanted;
        }
    }
}

bool wait_for(struct wait_fd *fds, int count, const struct deadline *deadline, struct error *err)
{
    int64_t limit_ms = deadline_left_ms(deadline);
    int ready = poll_until(fds, count, deadline, err);

    if (ready == 0) {
        error_set(err, ERROR_FAILED, "no answer within %lld s",
                  (long long)((limit_ms + 999) / 1000));
        err->retryable = true;
    }
    return ready > 0;
}

bool wait_until(const struct deadline *deadline, struct error *err)
{
    return poll_until(NULL, 0, deadline, err) == 0;
}

#include "base/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static atomic_int requested;
static int wake_pipe[2] = {-1, -1};

static void on_signal(int signal_number)
{
    int saved = errno;
    int none = 0;

    if (atomic_compare_exchange_strong(&requested, &none, signal_number)) {
        /* The byte is never read: the pipe stays readable for every wait that follows. */
        ssize_t written = write(wake_pipe[1], "", 1);
        (void)written;
    }
    errno = saved;
}

bool stop_install(struct error *err)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal};
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    if (pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK) != 0) {
        return error_set_system(err, errno, "creating the pipe that wakes us for a signal");
    }
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        struct sigaction before;
        sigaction(signals[i], NULL, &before);
        if (signals[i] == SIGTERM || before.sa_handler != SIG_IGN) {
            sigaction(signals[i], &action, NULL);
        }
    }
    sigaction(SIGPIPE, &ignore, NULL);
    /* A write beyond `ulimit -f` is an error like a full disk. */
    sigaction(SIGXFSZ, &ignore, NULL);
    return true;
}

int stop_signal(void)
{
    return atomic_load(&requested);
}

int stop_fd(void)
{
    return wake_pipe[0];
}

bool stop_check(struct error *err)
{
    int signal_number = stop_signal();

    if (signal_number == 0) {
        return true;
    }
    return error_set(err, ERROR_STOPPED, "stopped by SIG%s", sigabbrev_np(signal_number));
}

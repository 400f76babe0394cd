#include "base/thread.h"

#include <signal.h>
#include <stdatomic.h>

static atomic_bool left_behind;

bool thread_start(pthread_t *thread, void *(*work)(void *), void *context, struct error *err)
{
    sigset_t all;
    sigset_t before;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int errnum = pthread_create(thread, NULL, work, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return errnum == 0 || error_set_system(err, errnum, "starting a thread");
}

void thread_note_left_behind(void)
{
    atomic_store(&left_behind, true);
}

bool thread_is_left_behind(void)
{
    return atomic_load(&left_behind);
}

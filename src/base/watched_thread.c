#include "base/watched_thread.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/monitor.h"
#include "base/thread.h"

/* What can hear that it is to give up, does so sooner. */
#define LEAVE_MS (3 * 1000)

struct watched_thread {
    pthread_t thread;
    void (*work)(void *context);
    void *context;
    struct monitor monitor; /* of what follows */
    bool ended;             /* the thread is about to return */
};

static void *run(void *context)
{
    struct watched_thread *self = context;

    self->work(self->context);
    pthread_mutex_lock(&self->monitor.lock);
    self->ended = true;
    pthread_cond_broadcast(&self->monitor.changed);
    pthread_mutex_unlock(&self->monitor.lock);
    return NULL;
}

static void destroy(struct watched_thread *thread)
{
    monitor_clear(&thread->monitor);
    free(thread);
}

bool watched_thread_start(void (*work)(void *context), void *context, struct watched_thread **out,
                          struct error *err)
{
    struct watched_thread *self = calloc(1, sizeof(*self));

    if (self == NULL) {
        return error_set_memory(err);
    }
    self->work = work;
    self->context = context;
    monitor_init(&self->monitor);
    if (!thread_start(&self->thread, run, self, err)) {
        destroy(self);
        return false;
    }
    *out = self;
    return true;
}

bool watched_thread_has_ended(struct watched_thread *thread, int64_t within_ms)
{
    int64_t until_ms = clock_monotonic_ms() + within_ms;
    int64_t left_ms = within_ms;

    pthread_mutex_lock(&thread->monitor.lock);
    while (!thread->ended && left_ms > 0) {
        monitor_wait(&thread->monitor, left_ms);
        left_ms = until_ms - clock_monotonic_ms();
    }
    bool ended = thread->ended;
    pthread_mutex_unlock(&thread->monitor.lock);
    return ended;
}

void watched_thread_join(struct watched_thread *thread)
{
    pthread_join(thread->thread, NULL);
    destroy(thread);
}

bool watched_thread_end(struct watched_thread *thread)
{
    if (!watched_thread_has_ended(thread, LEAVE_MS)) {
        thread_note_left_behind();
        pthread_detach(thread->thread);
        return false;
    }
    watched_thread_join(thread);
    return true;
}

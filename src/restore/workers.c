#include "restore/workers.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/thread.h"

#define SECOND_NS 1000000000L
#define TICK_NS   (SECOND_NS / 4)

/* What workers_run() was called for. */
struct shift {
    struct workers *workers;
    worker_job job;
    void *context;
    size_t count;
    atomic_size_t next;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t ended; /* one more thread has */
    size_t running;
    bool failed;
    struct error failure;
};

static bool open_worker(struct worker *worker, const struct workers_options *options,
                        struct error *err)
{
    if (!row_sum_open(&worker->sum, err) ||
        !session_open_beside(options->base, &worker->session, err) ||
        !options->prepare(options->context, worker->session, err)) {
        return false;
    }
    if (options->source == NULL) {
        return true;
    }
    worker->reader = segment_reader_new(options->source, options->raw_bytes, err);
    return worker->reader != NULL;
}

/* Before any thread runs: what a session registers as secret is read by all. */
bool workers_open(struct workers *workers, const struct workers_options *options, struct error *err)
{
    workers->items = calloc(options->count, sizeof(*workers->items));
    if (workers->items == NULL) {
        return error_set_memory(err);
    }
    while (workers->count < options->count) {
        struct worker *worker = &workers->items[workers->count];
        worker->number = workers->count++;
        if (!open_worker(worker, options, err)) {
            return error_prefix(err, "opening connection %zu of %zu", workers->count,
                                options->count);
        }
    }
    return true;
}

void workers_close(struct workers *workers)
{
    for (size_t i = 0; i < workers->count; i++) {
        segment_reader_free(workers->items[i].reader);
        session_close(workers->items[i].session);
        row_sum_close(&workers->items[i].sum);
    }
    free(workers->items);
    *workers = (struct workers)WORKERS_INIT;
}

static bool has_failed(struct shift *shift)
{
    pthread_mutex_lock(&shift->lock);
    bool failed = shift->failed;
    pthread_mutex_unlock(&shift->lock);
    return failed;
}

static void fail(struct shift *shift, const struct worker *worker, const struct error *err)
{
    pthread_mutex_lock(&shift->lock);
    bool is_first = !shift->failed;
    if (is_first) {
        shift->failed = true;
        shift->failure = *err;
    }
    pthread_mutex_unlock(&shift->lock);
    for (size_t i = 0; is_first && i < shift->workers->count; i++) {
        struct worker *other = &shift->workers->items[i];
        if (other == worker) {
            continue;
        }
        session_interrupt(other->session);
        if (other->reader != NULL) {
            segment_reader_cancel(other->reader);
        }
    }
}

static void *work(void *context)
{
    struct worker *worker = context;
    struct shift *shift = worker->shift;
    struct error err = ERROR_INIT;
    size_t number;

    while (!has_failed(shift) && (number = atomic_fetch_add(&shift->next, 1)) < shift->count) {
        if (!shift->job(shift->context, worker, number, &err)) {
            fail(shift, worker, &err);
            break;
        }
    }
    pthread_mutex_lock(&shift->lock);
    shift->running--;
    pthread_cond_signal(&shift->ended);
    pthread_mutex_unlock(&shift->lock);
    return NULL;
}

static void await_end(struct shift *shift)
{
    struct timespec next;

    pthread_mutex_lock(&shift->lock);
    while (shift->running > 0) {
        clock_gettime(CLOCK_REALTIME, &next);
        next.tv_nsec += TICK_NS;
        if (next.tv_nsec >= SECOND_NS) {
            next.tv_nsec -= SECOND_NS;
            next.tv_sec++;
        }
        pthread_cond_timedwait(&shift->ended, &shift->lock, &next);
        if (shift->workers->tick != NULL) {
            pthread_mutex_unlock(&shift->lock);
            shift->workers->tick(shift->workers->tick_context);
            pthread_mutex_lock(&shift->lock);
        }
    }
    pthread_mutex_unlock(&shift->lock);
}

static bool start(struct shift *shift, struct worker *worker, struct error *err)
{
    worker->shift = shift;
    pthread_mutex_lock(&shift->lock);
    bool ok = thread_start(&worker->thread, work, worker, err);
    shift->running += ok;
    pthread_mutex_unlock(&shift->lock);
    return ok;
}

bool workers_run(struct workers *workers, size_t count, worker_job job, void *context,
                 struct error *err)
{
    struct shift shift = {.workers = workers, .job = job, .context = context, .count = count};
    struct error problem = ERROR_INIT;
    size_t started = 0;

    pthread_mutex_init(&shift.lock, NULL);
    pthread_cond_init(&shift.ended, NULL);
    while (started < workers->count && started < count &&
           start(&shift, &workers->items[started], &problem)) {
        started++;
    }
    if (problem.kind != ERROR_NONE) {
        fail(&shift, NULL, &problem);
    }
    await_end(&shift);
    for (size_t i = 0; i < started; i++) {
        pthread_join(workers->items[i].thread, NULL);
    }
    pthread_cond_destroy(&shift.ended);
    pthread_mutex_destroy(&shift.lock);
    if (shift.failed) {
        *err = shift.failure;
    }
    return !shift.failed;
}

#include "store/block_senders.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"

struct worker {
    struct block_senders *senders;
    struct block_sender sender;
    pthread_t thread;
};

struct block_senders {
    struct block_senders_options options;
    size_t parallel;
    struct worker workers[BLOCK_SENDERS_MOST];
    size_t worker_count; /* running */
    size_t *sizes;       /* of every block taken so far */
    uint32_t block_count;
    uint32_t block_capacity;
    atomic_bool own_cancelled;
    atomic_bool *cancelled; /* the transfers are to give up */

    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t work;  /* a block is queued, or closing */
    pthread_cond_t room;  /* a block has left, or a failure came */
    struct block *queue[BLOCK_SENDERS_MOST];
    size_t queued;
    size_t in_flight; /* queued or being sent */
    size_t in_flight_bytes;
    bool closing;
    bool failed;
    struct error failure; /* the first one */
};

/* Waits for a block to send; NULL when there is to be none any more. */
static struct block *take(struct block_senders *senders)
{
    struct block *block = NULL;

    pthread_mutex_lock(&senders->lock);
    while (senders->queued == 0 && !senders->closing) {
        pthread_cond_wait(&senders->work, &senders->lock);
    }
    if (senders->queued > 0) {
        block = senders->queue[0];
        senders->queued--;
        memmove(&senders->queue[0], &senders->queue[1],
                senders->queued * sizeof(senders->queue[0]));
    }
    pthread_mutex_unlock(&senders->lock);
    return block;
}

static void give_back(struct block_senders *senders, struct block *block, bool ok,
                      const struct error *err)
{
    pthread_mutex_lock(&senders->lock);
    if (!ok && !senders->failed) {
        senders->failed = true;
        senders->failure = *err;
        atomic_store(senders->cancelled, true);
    }
    senders->in_flight--;
    senders->in_flight_bytes -= block->size;
    pthread_cond_broadcast(&senders->room);
    pthread_mutex_unlock(&senders->lock);
    block_release(block);
}

static void *work(void *context)
{
    const struct worker *worker = context;
    struct block_senders *senders = worker->senders;
    struct block *block;

    while ((block = take(senders)) != NULL) {
        struct error err = ERROR_INIT;
        bool ok = !atomic_load(senders->cancelled) &&
                  senders->options.send(senders->options.context, &worker->sender, block, &err);
        give_back(senders, block, ok, &err);
    }
    return NULL;
}

static bool start_worker(struct block_senders *senders, struct error *err)
{
    struct worker *worker = &senders->workers[senders->worker_count];

    worker->senders = senders;
    worker->sender.cancelled = senders->cancelled;
    worker->sender.client = http_client_new(&senders->options.limits, err);
    if (worker->sender.client == NULL) {
        return false;
    }
    http_client_cancel_with(worker->sender.client, senders->cancelled);
    if (!thread_start(&worker->thread, work, worker, err)) {
        http_client_free(worker->sender.client);
        return error_prefix(err, "preparing the upload");
    }
    senders->worker_count++;
    return true;
}

static void stop_workers(struct block_senders *senders)
{
    pthread_mutex_lock(&senders->lock);
    senders->closing = true;
    pthread_cond_broadcast(&senders->work);
    pthread_mutex_unlock(&senders->lock);
    for (size_t i = 0; i < senders->worker_count; i++) {
        pthread_join(senders->workers[i].thread, NULL);
        http_client_free(senders->workers[i].sender.client);
    }
    senders->worker_count = 0;
}

/* As blocks grow, fewer of them are in flight, but always two, so that one is sent while the next
 * one waits (or one, where no more is allowed). */
static bool has_room(const struct block_senders *senders, size_t size)
{
    size_t budget = senders->parallel * BLOCK_FIRST_SIZE;

    if (budget < size * 2) {
        budget = size * 2;
    }
    return senders->in_flight < senders->parallel && senders->in_flight_bytes + size <= budget;
}

static bool remember_size(struct block_senders *senders, const struct block *block,
                          struct error *err)
{
    if (block->index != senders->block_count) {
        return error_set(err, ERROR_FAILED, "block %" PRIu32 " came instead of block %" PRIu32,
                         block->index, senders->block_count);
    }
    if (senders->block_count == senders->block_capacity) {
        uint32_t capacity = senders->block_capacity > 0 ? senders->block_capacity * 2 : 64;
        size_t *longer = reallocarray(senders->sizes, capacity, sizeof(*longer));
        if (longer == NULL) {
            return error_set_memory(err);
        }
        senders->sizes = longer;
        senders->block_capacity = capacity;
    }
    senders->sizes[senders->block_count++] = block->size;
    return true;
}

bool block_senders_new(const struct block_senders_options *options, struct block_senders **out,
                       struct error *err)
{
    if (options->parallel < 1 || options->parallel > BLOCK_SENDERS_MOST) {
        return error_set(err, ERROR_FAILED, "an upload with %d requests at once",
                         options->parallel);
    }
    struct block_senders *senders = calloc(1, sizeof(*senders));
    if (senders == NULL) {
        return error_set_memory(err);
    }
    pthread_mutex_init(&senders->lock, NULL);
    pthread_cond_init(&senders->work, NULL);
    pthread_cond_init(&senders->room, NULL);
    senders->options = *options;
    senders->cancelled = options->cancelled != NULL ? options->cancelled : &senders->own_cancelled;
    senders->parallel = (size_t)options->parallel;
    while (senders->worker_count < senders->parallel) {
        if (!start_worker(senders, err)) {
            block_senders_free(senders);
            return false;
        }
    }
    *out = senders;
    return true;
}

bool block_senders_take(struct block_senders *senders, struct block *block, struct error *err)
{
    if (!remember_size(senders, block, err)) {
        return false;
    }
    pthread_mutex_lock(&senders->lock);
    while (!senders->failed && !has_room(senders, block->size)) {
        pthread_cond_wait(&senders->room, &senders->lock);
    }
    bool ok = !senders->failed;
    if (ok) {
        block_keep(block);
        senders->queue[senders->queued++] = block;
        senders->in_flight++;
        senders->in_flight_bytes += block->size;
        pthread_cond_signal(&senders->work);
    } else {
        *err = senders->failure;
    }
    pthread_mutex_unlock(&senders->lock);
    return ok;
}

bool block_senders_flush(struct block_senders *senders, struct error *err)
{
    pthread_mutex_lock(&senders->lock);
    while (senders->in_flight > 0) {
        pthread_cond_wait(&senders->room, &senders->lock);
    }
    bool ok = !senders->failed;
    if (!ok) {
        *err = senders->failure;
    }
    pthread_mutex_unlock(&senders->lock);
    return ok;
}

const size_t *block_senders_sizes(const struct block_senders *senders, uint32_t *count)
{
    *count = senders->block_count;
    return senders->sizes;
}

void block_senders_free(struct block_senders *senders)
{
    if (senders == NULL) {
        return;
    }
    /* When all is sent, others may go on with what can be cancelled. */
    pthread_mutex_lock(&senders->lock);
    if (senders->in_flight > 0) {
        atomic_store(senders->cancelled, true);
    }
    pthread_mutex_unlock(&senders->lock);
    stop_workers(senders);
    pthread_cond_destroy(&senders->work);
    pthread_cond_destroy(&senders->room);
    pthread_mutex_destroy(&senders->lock);
    free(senders->sizes);
    free(senders);
}

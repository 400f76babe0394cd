#include "restore/segment_order.h"

#include <pthread.h>
#include <stdlib.h>

enum use {
    USE_ALONE,
    USE_AWAITED, /* alone as yet */
    USE_SHARED,
};

/* The segments of one table that are left; or one segment of something else. */
struct run {
    const struct segment *first;
    const struct segment *next;
    const struct segment *end;
    uint64_t raw_left;
    enum use use; /* once it is begun */
};

struct segment_order {
    pthread_mutex_t lock;   /* of what follows */
    pthread_cond_t changed; /* a run is shared now, or all is stopped */
    bool stopped;
    struct run *runs;
    size_t count;
    size_t begun;
    uint64_t raw_unbegun;
    size_t workers;
    struct run **current; /* of each worker; NULL before its first */
};

static bool has_more(const struct run *run)
{
    return run->next < run->end;
}

/* Of one that must be waited for, the next segment is gone by then. */
static bool can_be_helped(const struct run *run)
{
    return run->end - run->next > (run->use == USE_SHARED ? 0 : 1);
}

static int compare_runs(const void *a, const void *b)
{
    const struct run *left = a;
    const struct run *right = b;

    if (left->raw_left != right->raw_left) {
        return left->raw_left > right->raw_left ? -1 : 1;
    }
    return left->next < right->next ? -1 : 1;
}

static void divide(struct segment_order *order, const struct segment *segments, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct segment *segment = &segments[i];
        struct run *run = order->count > 0 ? &order->runs[order->count - 1] : NULL;
        if (run == NULL || segment->kind != SEGMENT_TABLE || run->next->kind != SEGMENT_TABLE ||
            run->next->table != segment->table) {
            run = &order->runs[order->count++];
            *run = (struct run){.first = segment, .next = segment};
        }
        run->end = segment + 1;
        run->raw_left += segment->raw_length;
        order->raw_unbegun += segment->raw_length;
    }
    qsort(order->runs, order->count, sizeof(*order->runs), compare_runs);
}

struct segment_order *segment_order_new(const struct segment *segments, size_t count,
                                        size_t workers, struct error *err)
{
    struct segment_order *order = calloc(1, sizeof(*order));

    if (order == NULL) {
        error_set_memory(err);
        return NULL;
    }
    pthread_mutex_init(&order->lock, NULL);
    pthread_cond_init(&order->changed, NULL);
    order->workers = workers;
    /* One more, for there may be none. */
    order->runs = calloc(count + 1, sizeof(*order->runs));
    order->current = calloc(workers, sizeof(struct run *));
    if (order->runs == NULL || order->current == NULL) {
        error_set_memory(err);
        segment_order_free(order);
        return NULL;
    }
    divide(order, segments, count);
    return order;
}

void segment_order_free(struct segment_order *order)
{
    if (order == NULL) {
        return;
    }
    pthread_cond_destroy(&order->changed);
    pthread_mutex_destroy(&order->lock);
    free(order->current);
    free(order->runs);
    free(order);
}

static struct run *longest_to_help(const struct segment_order *order)
{
    struct run *longest = NULL;

    for (size_t i = 0; i < order->workers; i++) {
        struct run *run = order->current[i];
        if (run != NULL && can_be_helped(run) &&
            (longest == NULL || run->raw_left > longest->raw_left)) {
            longest = run;
        }
    }
    return longest;
}

/* That nobody has been given, for each worker but the one whose run this is. */
static uint64_t raw_left_for_others(const struct segment_order *order, const struct run *run)
{
    uint64_t raw_left = order->raw_unbegun;

    for (size_t i = 0; i < order->workers; i++) {
        const struct run *current = order->current[i];
        raw_left += current != NULL && current != run ? current->raw_left : 0;
    }
    return order->workers > 1 ? raw_left / (order->workers - 1) : UINT64_MAX;
}

/* While at least half of it is filled: of less, being alone is not worth that others wait. */
static bool keeps_others_busy(const struct segment_order *order, const struct run *run)
{
    return raw_left_for_others(order, run) >= run->raw_left / 2;
}

/* Before its next segment is filled, the others will have nothing to do but to help. */
static bool will_be_awaited(const struct segment_order *order, const struct run *run)
{
    return run->use == USE_ALONE && can_be_helped(run) &&
           raw_left_for_others(order, run) < run->next->raw_length;
}

static struct run *begin_next(struct segment_order *order)
{
    struct run *run = &order->runs[order->begun++];

    order->raw_unbegun -= run->raw_left;
    run->use = keeps_others_busy(order, run) ? USE_ALONE : USE_SHARED;
    return run;
}

/* With the lock held, but for the time that it waits. NULL: nothing is left for it. */
static struct run *choose(struct segment_order *order, size_t worker)
{
    struct run *own = order->current[worker];

    while (!order->stopped) {
        if (own != NULL && has_more(own)) {
            return own;
        }
        if (order->begun < order->count) {
            return begin_next(order);
        }
        struct run *run = longest_to_help(order);
        if (run == NULL || run->use == USE_SHARED) {
            return run;
        }
        run->use = USE_AWAITED;
        pthread_cond_wait(&order->changed, &order->lock);
    }
    return NULL;
}

bool segment_order_take(struct segment_order *order, size_t worker, struct segment_turn *turn)
{
    pthread_mutex_lock(&order->lock);
    struct run *run = choose(order, worker);
    if (run != NULL) {
        turn->segment = run->next++;
        turn->alone = run->use != USE_SHARED;
        turn->is_first = turn->segment == run->first;
        turn->is_last = !has_more(run);
        run->raw_left -= turn->segment->raw_length;
        order->current[worker] = run;
    }
    pthread_mutex_unlock(&order->lock);
    return run != NULL;
}

bool segment_order_is_awaited(struct segment_order *order, size_t worker)
{
    pthread_mutex_lock(&order->lock);
    const struct run *run = order->current[worker];
    bool is_awaited = run->use == USE_AWAITED || will_be_awaited(order, run);
    pthread_mutex_unlock(&order->lock);
    return is_awaited;
}

void segment_order_share(struct segment_order *order, size_t worker)
{
    pthread_mutex_lock(&order->lock);
    order->current[worker]->use = USE_SHARED;
    pthread_cond_broadcast(&order->changed);
    pthread_mutex_unlock(&order->lock);
}

void segment_order_stop(struct segment_order *order)
{
    pthread_mutex_lock(&order->lock);
    order->stopped = true;
    pthread_cond_broadcast(&order->changed);
    pthread_mutex_unlock(&order->lock);
}

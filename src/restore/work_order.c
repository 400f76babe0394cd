#include "restore/work_order.h"

#include <pthread.h>
#include <stdlib.h>

#include "restore/build_queue.h"

/* Work is measured in bytes to fill in. An index's rows are sorted in the time that so many bytes
 * take for each: measured, with narrow rows, and no more than a guess for a longer key. */
#define BUILD_BYTES_PER_ROW 32

/* The segments of one table that are left; or one segment of something else. */
struct run {
    const struct segment *first;
    const struct segment *next;
    const struct segment *end;
    uint64_t left;   /* of the segments that nobody was given */
    uint64_t rows;   /* of all its segments */
    size_t undone;   /* segments, with those that are being filled in */
    bool is_shared;  /* or filled by one worker alone, once it is begun */
    size_t awaited;  /* workers that wait until it is shared */
    bool has_others; /* its segments hold rows of other tables, too */
    struct build_group group;
    struct build *builds; /* that wait for its rows */
};

/* What a worker was given. */
struct place {
    struct run *run; /* the last one; NULL before its first */
    bool is_filling;
    struct build *build; /* or NULL */
};

struct work_order {
    pthread_mutex_t lock;   /* of what follows */
    pthread_cond_t changed; /* a run is shared now, builds may be begun, or all is stopped */
    bool stopped;
    struct run *runs;
    size_t count;
    struct run **of_table; /* NULL: it has no segments */
    size_t table_count;
    size_t begun;
    struct run **open; /* begun, with segments that nobody was given */
    size_t open_count;
    size_t undone;     /* segments of all runs */
    uint64_t left;     /* of segments that nobody was given */
    uint64_t building; /* of builds that may be begun, or are */
    struct build *all_builds;
    size_t build_count;
    size_t builds_given;
    struct build *late; /* builds that wait for all rows */
    struct build_queue queue;
    struct place *places;
    size_t workers;
};

static bool has_more(const struct run *run)
{
    return run->next < run->end;
}

static int compare_runs(const void *a, const void *b)
{
    const struct run *left = a;
    const struct run *right = b;

    if (left->left != right->left) {
        return left->left > right->left ? -1 : 1;
    }
    return left->next < right->next ? -1 : 1;
}

static void divide(struct work_order *order, const struct segment *segments, size_t count)
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
        run->undone++;
        run->rows += segment->rows;
        run->left += segment->raw_length;
        order->left += segment->raw_length;
    }
    order->undone = count;
    qsort(order->runs, order->count, sizeof(*order->runs), compare_runs);
    for (size_t i = 0; i < order->count; i++) {
        if (order->runs[i].first->kind == SEGMENT_TABLE) {
            order->of_table[order->runs[i].first->table] = &order->runs[i];
        }
    }
}

struct work_order *work_order_new(const struct segment *segments, size_t count, size_t table_count,
                                  size_t workers, struct error *err)
{
    struct work_order *order = calloc(1, sizeof(*order));

    if (order == NULL) {
        error_set_memory(err);
        return NULL;
    }
    pthread_mutex_init(&order->lock, NULL);
    pthread_cond_init(&order->changed, NULL);
    order->workers = workers;
    order->table_count = table_count;
    /* One more, for there may be none. */
    order->runs = calloc(count + 1, sizeof(*order->runs));
    order->open = calloc(count + 1, sizeof(struct run *));
    order->of_table = calloc(table_count + 1, sizeof(struct run *));
    order->places = calloc(workers, sizeof(*order->places));
    if (order->runs == NULL || order->open == NULL || order->of_table == NULL ||
        order->places == NULL) {
        error_set_memory(err);
        work_order_free(order);
        return NULL;
    }
    divide(order, segments, count);
    return order;
}

void work_order_free(struct work_order *order)
{
    if (order == NULL) {
        return;
    }
    pthread_cond_destroy(&order->changed);
    pthread_mutex_destroy(&order->lock);
    free(order->all_builds);
    free(order->places);
    free(order->of_table);
    free(order->open);
    free(order->runs);
    free(order);
}

static void release(struct work_order *order, struct build **list)
{
    order->building += build_queue_release(&order->queue, list);
}

static void release_late(struct work_order *order)
{
    if (order->undone == 0) {
        release(order, &order->late);
    }
}

static int compare_builds(const void *a, const void *b)
{
    const struct build *left = a;
    const struct build *right = b;

    if (left->work != right->work) {
        return left->work < right->work ? -1 : 1;
    }
    return left->number > right->number ? -1 : 1;
}

static struct run *run_of(const struct work_order *order, const struct work_build *build)
{
    return build->table < order->table_count ? order->of_table[build->table] : NULL;
}

bool work_order_add_builds(struct work_order *order, const struct work_build *builds, size_t count,
                           struct error *err)
{
    order->all_builds = calloc(count + 1, sizeof(*order->all_builds));
    if (order->all_builds == NULL) {
        return error_set_memory(err);
    }
    order->build_count = count;
    for (size_t i = 0; i < count; i++) {
        struct run *run = run_of(order, &builds[i]);
        order->all_builds[i] =
            (struct build){.number = i,
                           .work = run != NULL ? run->rows * BUILD_BYTES_PER_ROW : 0,
                           .group = run != NULL ? &run->group : NULL,
                           .is_exclusive = builds[i].is_exclusive};
    }
    /* Each is put in front of those that are there. */
    qsort(order->all_builds, count, sizeof(*order->all_builds), compare_builds);
    for (size_t i = 0; i < count; i++) {
        struct build *build = &order->all_builds[i];
        struct run *run = run_of(order, &builds[build->number]);
        bool is_late = run == NULL || builds[build->number].needs_all_rows;
        build_list_put(is_late ? &order->late : &run->builds, build);
    }
    release_late(order);
    return true;
}

/* Segments that nobody was given and builds that can be begun, for each worker but the one whose
 * run this is. */
static uint64_t left_for_others(const struct work_order *order, const struct run *run)
{
    return order->workers > 1 ? (order->left - run->left + order->building) / (order->workers - 1)
                              : UINT64_MAX;
}

/* While at least half of it is filled: of less, being alone is not worth that others wait. */
static bool keeps_others_busy(const struct work_order *order, const struct run *run)
{
    return left_for_others(order, run) >= run->left / 2;
}

static struct run *begin_next(struct work_order *order)
{
    struct run *run = &order->runs[order->begun++];

    run->is_shared = !keeps_others_busy(order, run);
    order->open[order->open_count++] = run;
    return run;
}

static void close_run(struct work_order *order, const struct run *run)
{
    for (size_t i = 0; i < order->open_count; i++) {
        if (order->open[i] == run) {
            order->open[i] = order->open[--order->open_count];
            return;
        }
    }
}

/* Of one that must be waited for, the next segment is gone by then. */
static bool can_be_helped(const struct run *run)
{
    return run->end - run->next > (run->is_shared ? 0 : 1);
}

/* Before its next segment is filled, the others will have nothing to do but to help. */
static bool will_be_awaited(const struct work_order *order, const struct run *run)
{
    return can_be_helped(run) && left_for_others(order, run) < run->next->raw_length;
}

static struct run *longest_to_help(const struct work_order *order)
{
    struct run *longest = NULL;

    for (size_t i = 0; i < order->open_count; i++) {
        struct run *run = order->open[i];
        if (can_be_helped(run) && (longest == NULL || run->left > longest->left)) {
            longest = run;
        }
    }
    return longest;
}

/* What it has begun alone, only this worker can end. */
static bool is_bound(const struct run *own)
{
    return own != NULL && has_more(own) && !own->is_shared;
}

static struct build *choose_build(struct work_order *order, const struct run *own)
{
    struct build *build = is_bound(own) ? NULL : build_queue_take(&order->queue);

    order->builds_given += build != NULL;
    return build;
}

/* NULL: there is none for it, or (*awaited, else NULL) one that its worker is to share first. */
static struct run *choose_run(struct work_order *order, struct run *own, struct run **awaited)
{
    *awaited = NULL;
    if (own != NULL && has_more(own)) {
        return own;
    }
    if (order->begun < order->count) {
        return begin_next(order);
    }
    struct run *run = longest_to_help(order);
    if (run == NULL || run->is_shared) {
        return run;
    }
    *awaited = run;
    return NULL;
}

static void await_change(struct work_order *order, struct run *awaited)
{
    if (awaited != NULL) {
        awaited->awaited++;
    }
    pthread_cond_wait(&order->changed, &order->lock);
    if (awaited != NULL) {
        awaited->awaited--;
    }
}

/* With the lock held, but for the time that it waits. False: nothing is left for it. */
static bool choose(struct work_order *order, struct place *place)
{
    struct run *awaited;

    while (!order->stopped) {
        place->build = choose_build(order, place->run);
        if (place->build != NULL) {
            return true;
        }
        struct run *run = choose_run(order, place->run, &awaited);
        if (run != NULL) {
            place->run = run;
            place->is_filling = true;
            return true;
        }
        if (awaited == NULL && order->builds_given == order->build_count) {
            return false;
        }
        await_change(order, awaited);
    }
    return false;
}

static void end_filling(struct work_order *order, struct run *run)
{
    order->undone--;
    run->undone--;
    if (run->undone == 0 && run->has_others) {
        build_list_join(&order->late, &run->builds);
    } else if (run->undone == 0) {
        release(order, &run->builds);
    }
    release_late(order);
}

static void end_turn(struct work_order *order, struct place *place)
{
    if (place->is_filling) {
        end_filling(order, place->run);
    }
    if (place->build != NULL) {
        build_queue_end(place->build);
        order->building -= place->build->work;
    }
    place->is_filling = false;
    place->build = NULL;
    pthread_cond_broadcast(&order->changed);
}

static void give_segment(struct work_order *order, struct run *run, struct work_turn *turn)
{
    turn->segment = run->next++;
    turn->alone = !run->is_shared;
    turn->is_first = turn->segment == run->first;
    turn->is_last = !has_more(run);
    run->left -= turn->segment->raw_length;
    order->left -= turn->segment->raw_length;
    if (turn->is_last) {
        close_run(order, run);
    }
}

bool work_order_take(struct work_order *order, size_t worker, struct work_turn *turn)
{
    struct place *place = &order->places[worker];

    *turn = (struct work_turn){.segment = NULL};
    pthread_mutex_lock(&order->lock);
    end_turn(order, place);
    bool has_turn = choose(order, place);
    if (place->is_filling) {
        give_segment(order, place->run, turn);
    } else if (has_turn) {
        turn->build = place->build->number;
    }
    pthread_mutex_unlock(&order->lock);
    return has_turn;
}

void work_order_note_others(struct work_order *order, size_t worker)
{
    pthread_mutex_lock(&order->lock);
    order->places[worker].run->has_others = true;
    pthread_mutex_unlock(&order->lock);
}

bool work_order_is_to_share(struct work_order *order, size_t worker)
{
    pthread_mutex_lock(&order->lock);
    const struct run *run = order->places[worker].run;
    bool is_to_share = !run->is_shared && (run->awaited > 0 || will_be_awaited(order, run));
    pthread_mutex_unlock(&order->lock);
    return is_to_share;
}

void work_order_share(struct work_order *order, size_t worker)
{
    pthread_mutex_lock(&order->lock);
    order->places[worker].run->is_shared = true;
    pthread_cond_broadcast(&order->changed);
    pthread_mutex_unlock(&order->lock);
}

void work_order_stop(struct work_order *order)
{
    pthread_mutex_lock(&order->lock);
    order->stopped = true;
    pthread_cond_broadcast(&order->changed);
    pthread_mutex_unlock(&order->lock);
}

#include "store/fan_lane.h"

#include <stdlib.h>
#include <string.h>

static bool lane_permits(void *context, struct error *err)
{
    struct fan_lane *lane = context;

    return !atomic_load(&lane->left_out) ||
           error_set(err, ERROR_STOPPED, "the store was left out meanwhile");
}

static bool begin(struct fan_lane *lane, struct error *err)
{
    const struct upload_options options = {
        .name = lane->name,
        .run_id = lane->run_id,
        .parallel = lane->parallel,
        .retain_ms = lane->retain_ms,
        .permit = lane_permits,
        .permit_context = lane,
    };

    return lane->upload != NULL || (store_prepare(lane->store, err) &&
                                    store_upload_begin(lane->store, &options, &lane->upload, err));
}

/* The next block, or NULL when there is none any more. */
static struct block *take(struct fan_lane *lane)
{
    struct monitor *sync = lane->sync;
    struct block *block = NULL;

    pthread_mutex_lock(&sync->lock);
    while (lane->queued == 0 && !lane->closing && !atomic_load(&lane->cancelled)) {
        pthread_cond_wait(&sync->changed, &sync->lock);
    }
    if (lane->queued > 0) {
        block = lane->queue[0];
        lane->queued--;
        memmove(&lane->queue[0], &lane->queue[1], lane->queued * sizeof(lane->queue[0]));
    }
    pthread_mutex_unlock(&sync->lock);
    return block;
}

static bool send_all(struct fan_lane *lane, struct error *err)
{
    struct block *block;
    bool ok = true;

    while (ok && (block = take(lane)) != NULL) {
        ok = lane_permits(lane, err) && store_upload_block(lane->upload, block, err);
        block_release(block);
    }
    return ok && lane_permits(lane, err) && store_upload_flush(lane->upload, err);
}

/* True once it is to publish. */
static bool wait_for_publication(struct fan_lane *lane)
{
    struct monitor *sync = lane->sync;

    pthread_mutex_lock(&sync->lock);
    while (lane->state == FAN_LANE_FLUSHED && !atomic_load(&lane->cancelled)) {
        pthread_cond_wait(&sync->changed, &sync->lock);
    }
    bool publish = lane->state == FAN_LANE_PUBLISHING;
    pthread_mutex_unlock(&sync->lock);
    return publish;
}

static bool publish(struct fan_lane *lane, struct error *err)
{
    const struct fan_out_publication *publication = &lane->publication;

    if (!lane_permits(lane, err) || !publication->beside(publication->context, lane->store, err)) {
        return false;
    }
    struct upload *upload = lane->upload;
    lane->upload = NULL;
    return store_upload_commit(upload, publication->metadata, err);
}

/* A failure ends it, whatever comes after. */
static void reach(struct fan_lane *lane, enum fan_lane_state state, const struct error *failure)
{
    struct monitor *sync = lane->sync;

    pthread_mutex_lock(&sync->lock);
    if (lane->state != FAN_LANE_FAILED) {
        lane->state = state;
        if (state == FAN_LANE_FAILED) {
            lane->failure = *failure;
        }
    }
    pthread_cond_broadcast(&sync->changed);
    pthread_mutex_unlock(&sync->lock);
}

/* What nobody takes any more. Without the lock: letting a block go takes it. */
static void drop_queue(struct fan_lane *lane)
{
    struct block *dropped[FAN_LANE_MOST_BLOCKS];

    pthread_mutex_lock(&lane->sync->lock);
    size_t count = lane->queued;
    memcpy(dropped, lane->queue, count * sizeof(dropped[0]));
    lane->queued = 0;
    pthread_mutex_unlock(&lane->sync->lock);
    for (size_t i = 0; i < count; i++) {
        block_release(dropped[i]);
    }
}

static void run(void *context)
{
    struct fan_lane *lane = context;
    struct error err = ERROR_INIT;
    bool ok = begin(lane, &err) && send_all(lane, &err);

    reach(lane, ok ? FAN_LANE_FLUSHED : FAN_LANE_FAILED, &err);
    if (!ok) {
        /* Giving up may take its time, and nobody is to wait for these. */
        drop_queue(lane);
    }
    if (!lane->required) {
        if (ok && wait_for_publication(lane)) {
            ok = publish(lane, &err);
            reach(lane, ok ? FAN_LANE_PUBLISHED : FAN_LANE_FAILED, &err);
        }
        store_upload_abandon(lane->upload);
        lane->upload = NULL;
    }
    drop_queue(lane);
}

bool fan_lane_start(struct fan_lane *lane, struct error *err)
{
    return watched_thread_start(run, lane, &lane->thread, err);
}

static void let_go(void *context, uint32_t index, size_t size)
{
    struct fan_lane *lane = context;

    pthread_mutex_lock(&lane->sync->lock);
    for (size_t i = 0; i < lane->held_count; i++) {
        if (lane->held[i] == index) {
            lane->held[i] = lane->held[--lane->held_count];
            lane->held_bytes -= size;
            break;
        }
    }
    pthread_cond_broadcast(&lane->sync->changed);
    pthread_mutex_unlock(&lane->sync->lock);
}

bool fan_lane_push(struct fan_lane *lane, struct block *block, struct error *err)
{
    struct block *share = block_share(block);

    if (share == NULL) {
        return error_set_memory(err);
    }
    block_watch(share, let_go, lane);
    lane->queue[lane->queued++] = share;
    lane->held[lane->held_count++] = block->index;
    lane->held_bytes += block->size;
    pthread_cond_broadcast(&lane->sync->changed);
    return true;
}

uint32_t fan_lane_oldest(const struct fan_lane *lane)
{
    uint32_t oldest = UINT32_MAX;

    for (size_t i = 0; i < lane->held_count; i++) {
        oldest = lane->held[i] < oldest ? lane->held[i] : oldest;
    }
    return oldest;
}

bool fan_lane_is_alive(const struct fan_lane *lane)
{
    return lane->state != FAN_LANE_FAILED;
}

void fan_lane_cancel(struct fan_lane *lane, const struct error *reason)
{
    atomic_store(&lane->left_out, true);
    atomic_store(&lane->cancelled, true);
    if (reason != NULL) {
        reach(lane, FAN_LANE_FAILED, reason);
    } else {
        pthread_mutex_lock(&lane->sync->lock);
        pthread_cond_broadcast(&lane->sync->changed);
        pthread_mutex_unlock(&lane->sync->lock);
    }
    drop_queue(lane);
}

bool fan_lane_end(struct fan_lane *lane)
{
    /* A required store's requests have deadlines of their own, and nothing can go on without it. */
    if (lane->thread != NULL && lane->required) {
        watched_thread_join(lane->thread);
    } else if (lane->thread != NULL && !watched_thread_end(lane->thread)) {
        return false;
    }
    store_upload_abandon(lane->upload);
    if (lane->owns_store) {
        store_close(lane->store);
    } else {
        lane->store->cancelled = NULL;
    }
    free(lane);
    return true;
}

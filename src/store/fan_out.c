#include "store/fan_out.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stop.h"
#include "store/fan_lane.h"

/* Blocks that are alive beside those that one store sends at a time. */
#define BLOCKS_AHEAD 4
#define LOOK_MS      200 /* for a stop, while waiting */

struct fan_out {
    struct monitor *sync;
    struct fan_lane *lanes[STORES_MOST];
    size_t count;
    size_t required_count;
    bool is_alone; /* one store, and no thread */
    struct block_limits limits;
    size_t window;
    int64_t patience_ms;
    size_t alive_blocks; /* under the lock, as the next */
    size_t alive_bytes;
};

static struct monitor *sync_new(void)
{
    struct monitor *sync = calloc(1, sizeof(*sync));

    if (sync != NULL) {
        monitor_init(sync);
    }
    return sync;
}

static void sync_free(struct monitor *sync)
{
    monitor_clear(sync);
    free(sync);
}

/* Blocks that every store takes. A store that takes any number of them takes any size. */
static void fit(struct block_limits *limits, const struct block_limits *own)
{
    if (own->first_size > limits->first_size) {
        limits->first_size = own->first_size;
    }
    if (own->most_blocks == UINT32_MAX) {
        return;
    }
    bool is_first = limits->most_blocks == UINT32_MAX;
    if (is_first || own->most_size < limits->most_size) {
        limits->most_size = own->most_size;
    }
    if (own->most_blocks < limits->most_blocks) {
        limits->most_blocks = own->most_blocks;
    }
}

static bool add_lane(struct fan_out *fan_out, const struct fan_out_options *options, size_t index,
                     struct error *err)
{
    const struct store_choice *stores = options->stores;
    struct fan_lane *lane = calloc(1, sizeof(*lane));

    if (lane == NULL) {
        return error_set_memory(err);
    }
    lane->sync = fan_out->sync;
    lane->required = stores->required[index];
    lane->store = stores->stores[index];
    lane->parallel = options->upload.parallel;
    lane->retain_ms = options->upload.retain_ms;
    snprintf(lane->name, sizeof(lane->name), "%s", options->upload.name);
    snprintf(lane->run_id, sizeof(lane->run_id), "%s", options->upload.run_id);
    if (!lane->required) {
        if (!store_open(stores->urls[index], options->settings, &lane->store, err)) {
            free(lane);
            return false;
        }
        lane->owns_store = true;
    }
    fan_out->lanes[fan_out->count++] = lane;
    if (index == 0) {
        fan_out->limits = lane->store->block_limits;
    }
    fit(&fan_out->limits, &lane->store->block_limits);
    if (!fan_out->is_alone) {
        lane->store->cancelled = &lane->cancelled;
    }
    return !lane->required ||
           store_upload_begin(lane->store, &options->upload, &lane->upload, err) ||
           error_prefix(err, "store %s", lane->store->location);
}

bool fan_out_begin(const struct fan_out_options *options, struct fan_out **out, struct error *err)
{
    const struct store_choice *stores = options->stores;
    struct fan_out *fan_out = calloc(1, sizeof(*fan_out));
    bool ok = true;

    if (fan_out != NULL) {
        fan_out->sync = sync_new();
    }
    if (fan_out == NULL || fan_out->sync == NULL) {
        free(fan_out);
        return error_set_memory(err);
    }
    fan_out->required_count = stores->required_count;
    fan_out->is_alone = stores->count == 1;
    fan_out->patience_ms = options->patience_ms;
    for (size_t i = 0; ok && i < stores->count; i++) {
        ok = add_lane(fan_out, options, i, err);
    }
    fan_out->window = (size_t)options->upload.parallel + BLOCKS_AHEAD;
    if (fan_out->window > FAN_LANE_MOST_BLOCKS) {
        fan_out->window = FAN_LANE_MOST_BLOCKS;
    }
    for (size_t i = 0; ok && !fan_out->is_alone && i < stores->count; i++) {
        ok = fan_lane_start(fan_out->lanes[i], err);
    }
    if (!ok) {
        fan_out_end(fan_out);
        return false;
    }
    *out = fan_out;
    return true;
}

static void forget_block(void *context, uint32_t index, size_t size)
{
    struct fan_out *fan_out = context;

    (void)index;
    pthread_mutex_lock(&fan_out->sync->lock);
    fan_out->alive_blocks--;
    fan_out->alive_bytes -= size;
    pthread_cond_broadcast(&fan_out->sync->changed);
    pthread_mutex_unlock(&fan_out->sync->lock);
}

/* With the lock held. The one that a required store's failure is: the whole upload's. */
static bool check_required(const struct fan_out *fan_out, struct error *err)
{
    for (size_t i = 0; i < fan_out->required_count; i++) {
        const struct fan_lane *lane = fan_out->lanes[i];
        if (!fan_lane_is_alive(lane)) {
            *err = lane->failure;
            return error_prefix(err, "store %s", lane->store->location);
        }
    }
    return true;
}

/* With the lock held: what stores that are out of it have not let go yet. */
static size_t bytes_left_behind(const struct fan_out *fan_out)
{
    size_t bytes = 0;

    for (size_t i = 0; i < fan_out->count; i++) {
        bytes += fan_lane_is_alive(fan_out->lanes[i]) ? 0 : fan_out->lanes[i]->held_bytes;
    }
    return bytes;
}

/* With the lock held. Large blocks are few: then two are enough, one to send and one to come. */
static bool has_room(const struct fan_out *fan_out, size_t size)
{
    size_t budget = fan_out->window * fan_out->limits.first_size;

    budget = (budget < size * 2 ? size * 2 : budget) + bytes_left_behind(fan_out);
    return fan_out->alive_blocks == 0 ||
           (fan_out->alive_bytes + size <= budget && fan_out->alive_blocks < FAN_LANE_MOST_BLOCKS);
}

/* With the lock held: the oldest block that a required store holds. */
static uint32_t oldest_required(const struct fan_out *fan_out)
{
    uint32_t oldest = UINT32_MAX;

    for (size_t i = 0; i < fan_out->required_count; i++) {
        uint32_t own = fan_lane_oldest(fan_out->lanes[i]);
        oldest = own < oldest ? own : oldest;
    }
    return oldest;
}

/* With the lock held: whether the others wait for this one to reach the state. While blocks come it
 * is who is further behind than every required store. */
static bool is_waited_for(const struct fan_out *fan_out, const struct fan_lane *lane,
                          enum fan_lane_state state)
{
    if (lane->required || !fan_lane_is_alive(lane)) {
        return false;
    }
    return state == FAN_LANE_SENDING ? fan_lane_oldest(lane) < oldest_required(fan_out)
                                     : lane->state < state;
}

/* With the lock held, which is given up meanwhile. */
static void leave_out(struct fan_out *fan_out, struct fan_lane *lane, const struct error *reason)
{
    pthread_mutex_unlock(&fan_out->sync->lock);
    fan_lane_cancel(lane, reason);
    pthread_mutex_lock(&fan_out->sync->lock);
}

/* With the lock held: waits a moment, and puts it on the account of the best-effort stores that are
 * being waited for. */
static void wait_a_moment(struct fan_out *fan_out, enum fan_lane_state state)
{
    int64_t most_ms = LOOK_MS;
    int64_t began_ms = clock_monotonic_ms();
    bool waited_for[STORES_MOST] = {false};

    for (size_t i = fan_out->required_count; i < fan_out->count; i++) {
        int64_t left_ms = fan_out->patience_ms - fan_out->lanes[i]->waited_ms;
        waited_for[i] = is_waited_for(fan_out, fan_out->lanes[i], state);
        if (waited_for[i] && left_ms < most_ms) {
            most_ms = left_ms > 0 ? left_ms : 0;
        }
    }
    monitor_wait(fan_out->sync, most_ms);
    int64_t passed_ms = clock_monotonic_ms() - began_ms;
    for (size_t i = fan_out->required_count; i < fan_out->count; i++) {
        struct fan_lane *lane = fan_out->lanes[i];
        if (!waited_for[i]) {
            continue;
        }
        lane->waited_ms += passed_ms;
        if (lane->waited_ms >= fan_out->patience_ms && is_waited_for(fan_out, lane, state)) {
            struct error reason = ERROR_INIT;
            error_set(&reason, ERROR_FAILED, "it held the backup up for more than %" PRId64 " s",
                      fan_out->patience_ms / 1000);
            leave_out(fan_out, lane, &reason);
        }
    }
}

static bool hand_out(struct fan_out *fan_out, struct block *block, struct error *err)
{
    bool ok = check_required(fan_out, err);

    while (ok && !has_room(fan_out, block->size)) {
        wait_a_moment(fan_out, FAN_LANE_SENDING);
        ok = check_required(fan_out, err) && stop_check(err);
    }
    if (!ok) {
        return false;
    }
    block_watch(block, forget_block, fan_out);
    fan_out->alive_blocks++;
    fan_out->alive_bytes += block->size;
    for (size_t i = 0; ok && i < fan_out->count; i++) {
        struct fan_lane *lane = fan_out->lanes[i];
        ok = !fan_lane_is_alive(lane) || fan_lane_push(lane, block, err);
    }
    return ok;
}

static bool take_block(void *context, struct block *block, struct error *err)
{
    struct fan_out *fan_out = context;

    if (fan_out->is_alone) {
        return store_upload_block(fan_out->lanes[0]->upload, block, err);
    }
    pthread_mutex_lock(&fan_out->sync->lock);
    bool ok = hand_out(fan_out, block, err);
    pthread_mutex_unlock(&fan_out->sync->lock);
    return ok;
}

struct stage *fan_out_stage_new(struct fan_out *fan_out, struct error *err)
{
    return blocks_stage_new(&fan_out->limits, take_block, fan_out, err);
}

/* With the lock held. */
static bool is_flushed(const struct fan_out *fan_out, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++) {
        if (fan_out->lanes[i]->state == FAN_LANE_SENDING) {
            return false;
        }
    }
    return true;
}

static bool flush_all(struct fan_out *fan_out, struct error *err)
{
    bool ok = true;

    for (size_t i = 0; i < fan_out->count; i++) {
        fan_out->lanes[i]->closing = true;
    }
    pthread_cond_broadcast(&fan_out->sync->changed);
    while ((ok = check_required(fan_out, err)) &&
           !is_flushed(fan_out, 0, fan_out->required_count)) {
        monitor_wait(fan_out->sync, LOOK_MS);
    }
    while (ok && !is_flushed(fan_out, fan_out->required_count, fan_out->count)) {
        wait_a_moment(fan_out, FAN_LANE_FLUSHED);
        ok = stop_check(err);
    }
    return ok;
}

bool fan_out_flush(struct fan_out *fan_out, struct error *err)
{
    if (fan_out->is_alone) {
        return store_upload_flush(fan_out->lanes[0]->upload, err);
    }
    pthread_mutex_lock(&fan_out->sync->lock);
    bool ok = flush_all(fan_out, err);
    pthread_mutex_unlock(&fan_out->sync->lock);
    return ok;
}

bool fan_out_commit(struct fan_out *fan_out, size_t store, const struct metadata *metadata,
                    struct error *err)
{
    struct fan_lane *lane = fan_out->lanes[store];
    struct upload *upload = lane->upload;

    lane->upload = NULL;
    return store_upload_commit(upload, metadata, err);
}

/* With the lock held. */
static bool is_publishing(const struct fan_out *fan_out)
{
    for (size_t i = fan_out->required_count; i < fan_out->count; i++) {
        if (fan_out->lanes[i]->state == FAN_LANE_PUBLISHING) {
            return true;
        }
    }
    return false;
}

void fan_out_commit_rest(struct fan_out *fan_out, const struct fan_out_publication *publication)
{
    struct error stop = ERROR_INIT;

    pthread_mutex_lock(&fan_out->sync->lock);
    for (size_t i = fan_out->required_count; i < fan_out->count; i++) {
        struct fan_lane *lane = fan_out->lanes[i];
        if (lane->state == FAN_LANE_FLUSHED) {
            lane->publication = *publication;
            lane->state = FAN_LANE_PUBLISHING;
        }
    }
    pthread_cond_broadcast(&fan_out->sync->changed);
    while (is_publishing(fan_out) && stop_check(&stop)) {
        wait_a_moment(fan_out, FAN_LANE_PUBLISHED);
    }
    for (size_t i = fan_out->required_count; i < fan_out->count; i++) {
        if (fan_out->lanes[i]->state == FAN_LANE_PUBLISHING) {
            leave_out(fan_out, fan_out->lanes[i], &stop);
        }
    }
    pthread_mutex_unlock(&fan_out->sync->lock);
}

const struct error *fan_out_failure(const struct fan_out *fan_out, size_t store)
{
    const struct fan_lane *lane = fan_out->lanes[store];

    pthread_mutex_lock(&fan_out->sync->lock);
    bool failed = !fan_lane_is_alive(lane);
    pthread_mutex_unlock(&fan_out->sync->lock);
    return failed ? &lane->failure : NULL;
}

bool fan_out_end(struct fan_out *fan_out)
{
    bool all = true;

    if (fan_out == NULL) {
        return true;
    }
    for (size_t i = 0; i < fan_out->count; i++) {
        if (fan_out->lanes[i]->thread != NULL) {
            fan_lane_cancel(fan_out->lanes[i], NULL);
        }
    }
    for (size_t i = 0; i < fan_out->count; i++) {
        const char *location = fan_out->lanes[i]->store->location;
        if (!fan_lane_end(fan_out->lanes[i])) {
            log_warning("store_hangs", "Store %s hangs, and is left to itself", location);
            all = false;
        }
    }
    /* What hangs goes on using the lock, and the count of its blocks. */
    if (all) {
        sync_free(fan_out->sync);
        free(fan_out);
    }
    return all;
}

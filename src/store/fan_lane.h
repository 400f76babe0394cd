/*
 * One store's part in a fan-out (store/fan_out.h): the queue of its blocks, the thread that hands
 * them over, and how far it has come.
 */
#ifndef STORE_FAN_LANE_H
#define STORE_FAN_LANE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/monitor.h"
#include "base/watched_thread.h"
#include "store/fan_out.h"
#include "store/store.h"
#include "stream/blocks.h"

/* More blocks than this are never alive at once. */
#define FAN_LANE_MOST_BLOCKS 64

enum fan_lane_state {
    FAN_LANE_SENDING,
    FAN_LANE_FLUSHED,
    FAN_LANE_PUBLISHING, /* best effort: told to */
    FAN_LANE_PUBLISHED,
    FAN_LANE_FAILED, /* `failure` says why */
};

struct fan_lane {
    struct monitor *sync; /* of all lanes: of what more than one thread uses */
    struct store *store;
    bool owns_store; /* best effort: opened for this lane alone */
    bool required;
    struct upload *upload;
    char name[256];
    char run_id[32];
    int parallel;
    int64_t retain_ms;
    atomic_bool cancelled;         /* its store's requests give up, for whatever reason */
    atomic_bool left_out;          /* by fan_lane_cancel() */
    struct watched_thread *thread; /* NULL: not started */

    /* Under the lock. */
    struct block *queue[FAN_LANE_MOST_BLOCKS];
    size_t queued;
    uint32_t held[FAN_LANE_MOST_BLOCKS]; /* the blocks that the store has not done with */
    size_t held_count;
    size_t held_bytes;
    bool closing; /* no block comes any more */
    enum fan_lane_state state;
    struct error failure;
    int64_t waited_ms; /* for this one */
    struct fan_out_publication publication;
};

/* Starts the thread. With a required store the upload has been begun. */
bool fan_lane_start(struct fan_lane *lane, struct error *err);
/* With the lock held: one more block. */
bool fan_lane_push(struct fan_lane *lane, struct block *block, struct error *err);
/* With the lock held: the oldest block that it holds; UINT32_MAX when it holds none. */
uint32_t fan_lane_oldest(const struct fan_lane *lane);
/* With the lock held: it is part of the run. */
bool fan_lane_is_alive(const struct fan_lane *lane);
/* Without the lock: it is to give up, for this reason unless it has failed already. */
void fan_lane_cancel(struct fan_lane *lane, const struct error *reason);
/* Waits for its thread and frees it. False, and nothing is freed, when the thread does not come
 * back: of a best-effort store that is not waited for long. */
bool fan_lane_end(struct fan_lane *lane);

#endif

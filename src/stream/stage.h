/*
 * A stage of the stream: bytes go in at its front, what it makes of them goes on to the next stage.
 *
 *     compress -> digest -> block cutter -> upload
 *
 * A dump is pushed through by its producer (dump/): stage_write() returns when the bytes are taken,
 * so a slow store slows the dump down (invariant I5). Each stage owns its successor: freeing the
 * first frees all. A new kind of stage fills in `struct stage_ops`, embeds `struct stage` as its
 * first member, and writes to `next` with stage_write().
 */
#ifndef STREAM_STAGE_H
#define STREAM_STAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct stage;

struct stage_ops {
    bool (*write)(struct stage *stage, const void *data, size_t size, struct error *err);
    /* Writes what is still held back to the next stage; does not finish the next stage. */
    bool (*finish)(struct stage *stage, struct error *err);
    /* Releases the stage's own memory, not the next stage. */
    void (*free)(struct stage *stage);
};

struct stage {
    const struct stage_ops *ops;
    struct stage *next; /* NULL for the last one */
};

bool stage_write(struct stage *stage, const void *data, size_t size, struct error *err);

/* Ends the stream: finishes this stage and then, in order, all behind it. */
bool stage_finish(struct stage *first, struct error *err);

/* A last stage that writes to `next` and neither finishes nor frees it: for a chain that is only a
 * part of what goes there. */
struct stage *stage_borrow_new(struct stage *next, struct error *err);

/* Frees this stage and all behind it, finished or not. NULL is fine. */
void stage_free(struct stage *first);

#endif

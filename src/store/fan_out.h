/*
 * One upload to several stores at once: the stream is cut into blocks once, every store has a share
 * of each block, and what all of them hold is bounded (invariant I5).
 *
 * With one store it is that store's upload and nothing else. With more, each store has a lane: a
 * thread that hands its blocks to the store. A required store makes the stream wait, as it does
 * alone, and its failure is the upload's. A best-effort one may make the others wait for a while in
 * all; after that, or when it fails, it is left out, and the others go on. Everything of it, from
 * the making of its folder to its commit, happens in its lane with a store opened for that alone,
 * so that nothing that hangs there hangs anybody else.
 */
#ifndef STORE_FAN_OUT_H
#define STORE_FAN_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/settings.h"
#include "store/store.h"
#include "store/store_pool.h"

struct fan_out;

struct fan_out_options {
    const struct settings *settings;
    const struct store_choice *stores; /* prepared, as far as they are required */
    struct upload_options upload;      /* the permit is asked for the required ones */
    int64_t patience_ms; /* how long each best-effort store may be waited for, in all */
};

bool fan_out_begin(const struct fan_out_options *options, struct fan_out **out, struct error *err);
/* The stage that cuts what is written to it into blocks. Fails as soon as a required store has. */
struct stage *fan_out_stage_new(struct fan_out *fan_out, struct error *err);
/* Waits until every block is stored in every required store and, within the patience, in the
 * others. Still nothing is visible. */
bool fan_out_flush(struct fan_out *fan_out, struct error *err);
/* As store_upload_commit() of this one of the stores, which is a required one. */
bool fan_out_commit(struct fan_out *fan_out, size_t store, const struct metadata *metadata,
                    struct error *err);

/* What the best-effort stores are to publish. It is used in their threads. */
struct fan_out_publication {
    /* Stores what stands beside the object, before it. */
    bool (*beside)(void *context, struct store *store, struct error *err);
    void *context;
    const struct metadata *metadata;
};
/* Lets the best-effort stores that are still there publish, and waits within the patience. */
void fan_out_commit_rest(struct fan_out *fan_out, const struct fan_out_publication *publication);

/* Why a best-effort store was left out, or NULL. */
const struct error *fan_out_failure(const struct fan_out *fan_out, size_t store);

/* Gives up whatever was not committed, and frees. False when a thread does not come back from what
 * it does in a best-effort store (a file system that hangs): then the publication and what it
 * points to must not be freed while the process lives. NULL is fine. */
bool fan_out_end(struct fan_out *fan_out);

#endif

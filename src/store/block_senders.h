/*
 * The blocks of one upload on their way to a service: a bounded queue, and several threads that
 * send what is in it, each with a connection of its own.
 *
 * INVARIANT I5: the memory in use is that of the blocks in flight, whose number and bytes are
 * bounded; while the bound is reached, block_senders_take() waits.
 */
#ifndef STORE_BLOCK_SENDERS_H
#define STORE_BLOCK_SENDERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "http/exchange.h"
#include "stream/blocks.h"

#define BLOCK_SENDERS_MOST 64

struct block_senders;

/* What a thread sends with. */
struct block_sender {
    struct http_client *client;
    const atomic_bool *cancelled; /* for retry_policy: once true, the upload is given up */
};

struct block_senders_options {
    int parallel;              /* threads, and most blocks in flight; 1 to BLOCK_SENDERS_MOST */
    struct http_limits limits; /* of each thread's client */
    /* Called in any of the threads, for each block once. The first failure ends the upload. */
    bool (*send)(void *context, const struct block_sender *sender, const struct block *block,
                 struct error *err);
    void *context;
    /* Another thread may set it: the upload is given up. Its own failure sets it, too. NULL: there
     * is none. */
    atomic_bool *cancelled;
};

bool block_senders_new(const struct block_senders_options *options, struct block_senders **out,
                       struct error *err);
/* Takes the next block, which must have the next index, and keeps it until it is sent. */
bool block_senders_take(struct block_senders *senders, struct block *block, struct error *err);
/* Waits until every block is sent. */
bool block_senders_flush(struct block_senders *senders, struct error *err);
/* The bytes of every block taken so far, by its index; until the next call of any function here. */
const size_t *block_senders_sizes(const struct block_senders *senders, uint32_t *count);
/* Gives up what is being sent, and ends the threads. NULL is fine. */
void block_senders_free(struct block_senders *senders);

#endif

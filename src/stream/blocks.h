/*
 * The last stage: cuts the stream into blocks, which stores take one by one.
 *
 * A block is reference-counted, because an upload keeps it for sending it again, in a thread of its
 * own, while the cutter fills the next one. Blocks start at 8 MiB and double as their number grows,
 * so that an object of any size stays under the store's limit on their number; the memory in use is
 * the blocks in flight plus the one being filled.
 */
#ifndef STREAM_BLOCKS_H
#define STREAM_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "stream/stage.h"

struct block {
    uint32_t index;  /* 0, 1, 2, ... */
    uint64_t offset; /* of its first byte in the object */
    size_t size;
    unsigned char *data;
    /* private */
    int references;
    struct block *original; /* whose data these are, or NULL: its own */
    void (*freed)(void *context, uint32_t index, size_t size);
    void *freed_context;
};

/* Thread-safe. */
void block_keep(struct block *block);
void block_release(struct block *block);
/* `freed` is called when the last reference goes, in the thread that lets it go. Before others have
 * one. */
void block_watch(struct block *block, void (*freed)(void *context, uint32_t index, size_t size),
                 void *context);
/* The same bytes as a block of its own, with one reference: for who counts what each of several
 * holders has. NULL when memory is out. */
struct block *block_share(struct block *block);

struct block_limits {
    size_t first_size; /* bytes */
    size_t most_size;  /* bytes */
    uint32_t most_blocks;
};
#define BLOCK_FIRST_SIZE ((size_t)8 * 1024 * 1024)

/* The size of the block with this index: first_size, doubled after each tenth of most_blocks, at
 * most most_size. */
size_t block_size_at(const struct block_limits *limits, uint32_t index);

/* Called for each full block and, at the end, for the last one unless it is empty. Must call
 * block_keep() to hold on to it after returning. */
typedef bool (*block_sink)(void *context, struct block *block, struct error *err);

/* Fails with a clear text when the stream needs more than most_blocks. */
struct stage *blocks_stage_new(const struct block_limits *limits, block_sink sink, void *context,
                               struct error *err);

#endif

#include "stream/blocks.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

struct blocks_stage {
    struct stage stage;
    struct block_limits limits;
    block_sink sink;
    void *context;
    struct block *filling; /* NULL between blocks */
    size_t capacity;       /* of the one being filled */
    uint32_t next_index;
    uint64_t next_offset;
};

void block_keep(struct block *block)
{
    __atomic_fetch_add(&block->references, 1, __ATOMIC_RELAXED);
}

void block_release(struct block *block)
{
    /* Releases order each owner's accesses before the free by whoever comes last. */
    if (block == NULL || __atomic_sub_fetch(&block->references, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    struct block ended = *block;
    free(block);
    if (ended.original == NULL) {
        free(ended.data);
    }
    /* A share before its original: who counts both never sees more shares than there are blocks. */
    if (ended.freed != NULL) {
        ended.freed(ended.freed_context, ended.index, ended.size);
    }
    if (ended.original != NULL) {
        block_release(ended.original);
    }
}

void block_watch(struct block *block, void (*freed)(void *context, uint32_t index, size_t size),
                 void *context)
{
    block->freed = freed;
    block->freed_context = context;
}

struct block *block_share(struct block *block)
{
    struct block *share = calloc(1, sizeof(*share));

    if (share != NULL) {
        block_keep(block);
        *share = (struct block){.index = block->index,
                                .offset = block->offset,
                                .size = block->size,
                                .data = block->data,
                                .references = 1,
                                .original = block};
    }
    return share;
}

size_t block_size_at(const struct block_limits *limits, uint32_t index)
{
    uint32_t tenth = limits->most_blocks / 10 > 0 ? limits->most_blocks / 10 : 1;
    size_t size = limits->first_size;

    for (uint32_t doublings = index / tenth; doublings > 0 && size < limits->most_size;
         doublings--) {
        size = size > limits->most_size / 2 ? limits->most_size : size * 2;
    }
    return size < limits->most_size ? size : limits->most_size;
}

static bool refuse_another(const struct blocks_stage *self, struct error *err)
{
    char taken[TEXT_BYTES_SIZE];

    text_format_bytes(taken, self->next_offset);
    error_set(err, ERROR_FAILED,
              "the backup is larger than the store takes as one object: %u blocks with %s are full",
              self->limits.most_blocks, taken);
    return error_hint(err, "compress it more, or use another kind of store");
}

static bool begin_block(struct blocks_stage *self, struct error *err)
{
    if (self->next_index == self->limits.most_blocks) {
        return refuse_another(self, err);
    }
    struct block *block = calloc(1, sizeof(*block));
    if (block == NULL) {
        return error_set_memory(err);
    }
    self->capacity = block_size_at(&self->limits, self->next_index);
    block->data = malloc(self->capacity);
    if (block->data == NULL) {
        free(block);
        return error_set_memory(err);
    }
    block->references = 1;
    block->index = self->next_index;
    block->offset = self->next_offset;
    self->filling = block;
    return true;
}

static bool deliver(struct blocks_stage *self, struct error *err)
{
    struct block *block = self->filling;

    self->filling = NULL;
    self->next_index++;
    self->next_offset += block->size;
    bool ok = self->sink(self->context, block, err);
    block_release(block);
    return ok;
}

static bool blocks_write(struct stage *stage, const void *data, size_t size, struct error *err)
{
    struct blocks_stage *self = (struct blocks_stage *)stage;
    const unsigned char *from = data;

    while (size > 0) {
        if (self->filling == NULL && !begin_block(self, err)) {
            return false;
        }
        struct block *block = self->filling;
        size_t room = self->capacity - block->size;
        size_t taken = size < room ? size : room;
        memcpy(block->data + block->size, from, taken);
        block->size += taken;
        from += taken;
        size -= taken;
        if (block->size == self->capacity && !deliver(self, err)) {
            return false;
        }
    }
    return true;
}

static bool blocks_finish(struct stage *stage, struct error *err)
{
    struct blocks_stage *self = (struct blocks_stage *)stage;

    return self->filling == NULL || deliver(self, err);
}

static void blocks_free(struct stage *stage)
{
    struct blocks_stage *self = (struct blocks_stage *)stage;

    block_release(self->filling);
    free(self);
}

struct stage *blocks_stage_new(const struct block_limits *limits, block_sink sink, void *context,
                               struct error *err)
{
    static const struct stage_ops ops = {blocks_write, blocks_finish, blocks_free};
    struct blocks_stage *self = calloc(1, sizeof(*self));

    if (self == NULL) {
        error_set_memory(err);
        return NULL;
    }
    *self = (struct blocks_stage){
        .stage = {.ops = &ops}, .limits = *limits, .sink = sink, .context = context};
    return (struct stage *)self;
}

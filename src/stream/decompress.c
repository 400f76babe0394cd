#include "stream/decompress.h"

#include <inttypes.h>
#include <stdlib.h>

#include "stream/decompress_methods.h"

/* Stands behind the decoder, and alone where nothing was compressed. */
struct bound_stage {
    struct stage stage;
    uint64_t most;
    uint64_t left;
};

static bool bound_write(struct stage *stage, const void *data, size_t size, struct error *err)
{
    struct bound_stage *self = (struct bound_stage *)stage;

    if (size > self->left) {
        return error_set(err, ERROR_DAMAGED,
                         "the data are longer than the %" PRIu64 " bytes that they should be",
                         self->most);
    }
    self->left -= size;
    return stage_write(self->stage.next, data, size, err);
}

static bool bound_finish(struct stage *stage, struct error *err)
{
    (void)stage;
    (void)err;
    return true;
}

static void bound_free(struct stage *stage)
{
    free(stage);
}

static const struct stage_ops bound_ops = {bound_write, bound_finish, bound_free};

static struct stage *bound_new(uint64_t most_bytes, struct stage *next, struct error *err)
{
    struct bound_stage *self = calloc(1, sizeof(*self));

    if (self == NULL) {
        error_set_memory(err);
        return NULL;
    }
    *self = (struct bound_stage){
        .stage = {.ops = &bound_ops, .next = next}, .most = most_bytes, .left = most_bytes};
    return (struct stage *)self;
}

struct stage *decompress_stage_new(enum compression_method method, uint64_t most_bytes,
                                   struct stage *next, struct error *err)
{
    if (next == NULL) {
        return NULL;
    }
    struct stage *bound = bound_new(most_bytes, next, err);
    if (bound == NULL) {
        stage_free(next);
        return NULL;
    }
    struct stage *stage = method == COMPRESSION_ZSTD   ? decompress_zstd_new(bound, err)
                          : method == COMPRESSION_GZIP ? decompress_gzip_new(bound, err)
                                                       : bound;
    if (stage == NULL) {
        stage_free(bound);
    }
    return stage;
}

void decompress_stage_renew(struct stage *stage, uint64_t most_bytes)
{
    struct bound_stage *bound =
        (struct bound_stage *)(stage->ops == &bound_ops ? stage : stage->next);

    bound->most = most_bytes;
    bound->left = most_bytes;
}

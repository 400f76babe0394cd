#include <stdlib.h>
#include <zstd.h>

#include "stream/compress_methods.h"

struct zstd_stage {
    struct stage stage;
    ZSTD_CCtx *context;
    ZSTD_outBuffer output; /* .pos bytes wait to go on */
};

static bool pass_on(struct zstd_stage *self, struct error *err)
{
    size_t size = self->output.pos;

    self->output.pos = 0;
    return size == 0 || stage_write(self->stage.next, self->output.dst, size, err);
}

static bool check(size_t result, struct error *err)
{
    if (ZSTD_isError(result)) {
        return error_set(err, ERROR_FAILED, "compressing with zstd: %s", ZSTD_getErrorName(result));
    }
    return true;
}

static bool zstd_write(struct stage *stage, const void *data, size_t size, struct error *err)
{
    struct zstd_stage *self = (struct zstd_stage *)stage;
    ZSTD_inBuffer input = {.src = data, .size = size};

    while (input.pos < input.size) {
        if (self->output.pos == self->output.size && !pass_on(self, err)) {
            return false;
        }
        if (!check(ZSTD_compressStream2(self->context, &self->output, &input, ZSTD_e_continue),
                   err)) {
            return false;
        }
    }
    return true;
}

/* What is written after the end of a frame begins another one (zstd.h, ZSTD_compressStream2()). */
static bool zstd_finish(struct stage *stage, struct error *err)
{
    struct zstd_stage *self = (struct zstd_stage *)stage;
    size_t left = 0;

    do {
        ZSTD_inBuffer none = {.size = 0};
        left = ZSTD_compressStream2(self->context, &self->output, &none, ZSTD_e_end);
        if (!check(left, err) || !pass_on(self, err)) {
            return false;
        }
    } while (left > 0);
    return true;
}

static void zstd_free(struct stage *stage)
{
    struct zstd_stage *self = (struct zstd_stage *)stage;

    ZSTD_freeCCtx(self->context);
    free(self->output.dst);
    free(self);
}

struct stage *compress_zstd_new(int level, struct stage *next, struct error *err)
{
    static const struct stage_ops ops = {zstd_write, zstd_finish, zstd_free};
    struct zstd_stage *self = calloc(1, sizeof(*self));

    if (self == NULL) {
        error_set_memory(err);
        return NULL;
    }
    self->stage = (struct stage){.ops = &ops, .next = next};
    self->output.size =
        ZSTD_CStreamOutSize() > COMPRESS_BUFFER_SIZE ? ZSTD_CStreamOutSize() : COMPRESS_BUFFER_SIZE;
    self->output.dst = malloc(self->output.size);
    self->context = ZSTD_createCCtx();
    if (self->output.dst == NULL || self->context == NULL) {
        error_set_memory(err);
        goto failed;
    }
    /* The checksum lets `zstd -dc` find damage by itself. */
    if (!check(ZSTD_CCtx_setParameter(self->context, ZSTD_c_compressionLevel, level), err) ||
        !check(ZSTD_CCtx_setParameter(self->context, ZSTD_c_checksumFlag, 1), err)) {
        goto failed;
    }
    return (struct stage *)self;

failed:
    zstd_free((struct stage *)self);
    return NULL;
}

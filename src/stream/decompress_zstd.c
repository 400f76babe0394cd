#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "stream/decompress_methods.h"

/* 128 MiB, which is also the most that the zstd program takes without being asked. */
#define WINDOW_LOG_MOST 27

struct zstd_decoder {
    struct stage stage;
    ZSTD_DCtx *context;
    unsigned char *buffer; /* DECOMPRESS_BUFFER_SIZE bytes */
    bool at_end;           /* of a frame; another may follow */
};

static bool zstd_decoder_write(struct stage *stage, const void *data, size_t size,
                               struct error *err)
{
    struct zstd_decoder *self = (struct zstd_decoder *)stage;
    ZSTD_inBuffer input = {.src = data, .size = size};
    ZSTD_outBuffer output = {.dst = self->buffer, .size = DECOMPRESS_BUFFER_SIZE};

    /* A full buffer may hide that more is ready. At the end of a frame nothing is. */
    while (input.pos < input.size || (!self->at_end && output.pos == output.size)) {
        output.pos = 0;
        size_t left = ZSTD_decompressStream(self->context, &output, &input);
        if (ZSTD_getErrorCode(left) == ZSTD_error_memory_allocation) {
            return error_set_memory(err);
        }
        if (ZSTD_isError(left)) {
            return error_set(err, ERROR_DAMAGED, "decompressing with zstd: %s",
                             ZSTD_getErrorName(left));
        }
        self->at_end = left == 0;
        if (output.pos > 0 && !stage_write(self->stage.next, self->buffer, output.pos, err)) {
            return false;
        }
    }
    return true;
}

static bool zstd_decoder_finish(struct stage *stage, struct error *err)
{
    struct zstd_decoder *self = (struct zstd_decoder *)stage;

    if (!self->at_end) {
        return error_set(err, ERROR_DAMAGED,
                         "decompressing with zstd: the data end in the middle of a frame");
    }
    self->at_end = false;
    return true;
}

static void zstd_decoder_free(struct stage *stage)
{
    struct zstd_decoder *self = (struct zstd_decoder *)stage;

    ZSTD_freeDCtx(self->context);
    free(self->buffer);
    free(self);
}

struct stage *decompress_zstd_new(struct stage *next, struct error *err)
{
    static const struct stage_ops ops = {zstd_decoder_write, zstd_decoder_finish,
                                         zstd_decoder_free};
    struct zstd_decoder *self = calloc(1, sizeof(*self));

    if (self == NULL) {
        error_set_memory(err);
        return NULL;
    }
    self->stage = (struct stage){.ops = &ops, .next = next};
    self->context = ZSTD_createDCtx();
    self->buffer = malloc(DECOMPRESS_BUFFER_SIZE);
    if (self->context == NULL || self->buffer == NULL ||
        ZSTD_isError(ZSTD_DCtx_setParameter(self->context, ZSTD_d_windowLogMax, WINDOW_LOG_MOST))) {
        error_set_memory(err);
        zstd_decoder_free((struct stage *)self);
        return NULL;
    }
    return (struct stage *)self;
}

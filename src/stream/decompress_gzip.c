/* Makes zlib's input pointer a pointer to const. */
#define ZLIB_CONST
#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

#include "stream/decompress_methods.h"

#define WINDOW_BITS  15
#define GZIP_WRAPPER 16 /* added to the window bits (zlib.h, inflateInit2): nothing but gzip */

struct gzip_decoder {
    struct stage stage;
    z_stream inflate;
    bool open;
    unsigned char *buffer; /* DECOMPRESS_BUFFER_SIZE bytes */
    bool at_end;           /* of a member; another may follow */
};

static bool fail(const struct gzip_decoder *self, int result, struct error *err)
{
    if (result == Z_MEM_ERROR) {
        return error_set_memory(err);
    }
    return error_set(err, ERROR_DAMAGED, "decompressing with gzip: %s (%d)",
                     self->inflate.msg != NULL ? self->inflate.msg : "zlib refuses", result);
}

/* Decodes into the empty buffer and passes on what is there. */
static bool step(struct gzip_decoder *self, struct error *err)
{
    int result = self->at_end ? inflateReset(&self->inflate) : Z_OK;

    self->at_end = false;
    self->inflate.next_out = self->buffer;
    self->inflate.avail_out = (uInt)DECOMPRESS_BUFFER_SIZE;
    if (result == Z_OK) {
        result = inflate(&self->inflate, Z_NO_FLUSH);
    }
    /* Z_BUF_ERROR: there was nothing to do, which happens after a full buffer. */
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
        return fail(self, result, err);
    }
    self->at_end = result == Z_STREAM_END;
    size_t size = DECOMPRESS_BUFFER_SIZE - self->inflate.avail_out;
    return size == 0 || stage_write(self->stage.next, self->buffer, size, err);
}

static bool gzip_decoder_write(struct stage *stage, const void *data, size_t size,
                               struct error *err)
{
    struct gzip_decoder *self = (struct gzip_decoder *)stage;

    self->inflate.next_in = data;
    while (size > 0) {
        self->inflate.avail_in = size < UINT_MAX ? (uInt)size : UINT_MAX;
        size -= self->inflate.avail_in;
        do {
            if (!step(self, err)) {
                return false;
            }
        } while (self->inflate.avail_in > 0 || (!self->at_end && self->inflate.avail_out == 0));
    }
    return true;
}

static bool gzip_decoder_finish(struct stage *stage, struct error *err)
{
    struct gzip_decoder *self = (struct gzip_decoder *)stage;

    if (!self->at_end) {
        return error_set(err, ERROR_DAMAGED,
                         "decompressing with gzip: the data end in the middle of a member");
    }
    self->at_end = false;
    int result = inflateReset(&self->inflate);
    return result == Z_OK || fail(self, result, err);
}

static void gzip_decoder_free(struct stage *stage)
{
    struct gzip_decoder *self = (struct gzip_decoder *)stage;

    if (self->open) {
        inflateEnd(&self->inflate);
    }
    free(self->buffer);
    free(self);
}

struct stage *decompress_gzip_new(struct stage *next, struct error *err)
{
    static const struct stage_ops ops = {gzip_decoder_write, gzip_decoder_finish,
                                         gzip_decoder_free};
    struct gzip_decoder *self = calloc(1, sizeof(*self));

    if (self == NULL) {
        error_set_memory(err);
        return NULL;
    }
    self->stage = (struct stage){.ops = &ops, .next = next};
    self->buffer = malloc(DECOMPRESS_BUFFER_SIZE);
    if (self->buffer == NULL) {
        error_set_memory(err);
        goto failed;
    }
    int result = inflateInit2(&self->inflate, WINDOW_BITS + GZIP_WRAPPER);
    if (result != Z_OK) {
        fail(self, result, err);
        goto failed;
    }
    self->open = true;
    return (struct stage *)self;

failed:
    gzip_decoder_free((struct stage *)self);
    return NULL;
}

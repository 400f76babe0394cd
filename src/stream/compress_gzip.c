/* Makes zlib's input pointer a pointer to const. */
#define ZLIB_CONST
#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

#include "stream/compress_methods.h"

#define WINDOW_BITS  15
#define GZIP_WRAPPER 16 /* added to the window bits (zlib.h, deflateInit2) */
#define MEMORY_LEVEL 8

struct gzip_stage {
    struct stage stage;
    z_stream deflate;
    bool open;
    unsigned char *buffer; /* COMPRESS_BUFFER_SIZE bytes */
};

static bool pass_on(struct gzip_stage *self, struct error *err)
{
    size_t size = COMPRESS_BUFFER_SIZE - self->deflate.avail_out;

    self->deflate.next_out = self->buffer;
    self->deflate.avail_out = (uInt)COMPRESS_BUFFER_SIZE;
    return size == 0 || stage_write(self->stage.next, self->buffer, size, err);
}

static bool fail(const struct gzip_stage *self, int result, struct error *err)
{
    return error_set(err, ERROR_FAILED, "compressing with gzip: %s (%d)",
                     self->deflate.msg != NULL ? self->deflate.msg : "zlib refuses", result);
}

static bool gzip_write(struct stage *stage, const void *data, size_t size, struct error *err)
{
    struct gzip_stage *self = (struct gzip_stage *)stage;

    self->deflate.next_in = data;
    while (size > 0 || self->deflate.avail_in > 0) {
        if (self->deflate.avail_in == 0) {
            self->deflate.avail_in = size < UINT_MAX ? (uInt)size : UINT_MAX;
            size -= self->deflate.avail_in;
        }
        if (self->deflate.avail_out == 0 && !pass_on(self, err)) {
            return false;
        }
        int result = deflate(&self->deflate, Z_NO_FLUSH);
        if (result != Z_OK) {
            return fail(self, result, err);
        }
    }
    return true;
}

static bool gzip_finish(struct stage *stage, struct error *err)
{
    struct gzip_stage *self = (struct gzip_stage *)stage;
    int result;

    do {
        if (self->deflate.avail_out == 0 && !pass_on(self, err)) {
            return false;
        }
        result = deflate(&self->deflate, Z_FINISH);
        if (result != Z_OK && result != Z_STREAM_END) {
            return fail(self, result, err);
        }
    } while (result != Z_STREAM_END);
    return pass_on(self, err) &&
           (deflateReset(&self->deflate) == Z_OK || fail(self, Z_STREAM_ERROR, err));
}

static void gzip_free(struct stage *stage)
{
    struct gzip_stage *self = (struct gzip_stage *)stage;

    if (self->open) {
        deflateEnd(&self->deflate);
    }
    free(self->buffer);
    free(self);
}

struct stage *compress_gzip_new(int level, struct stage *next, struct error *err)
{
    static const struct stage_ops ops = {gzip_write, gzip_finish, gzip_free};
    struct gzip_stage *self = calloc(1, sizeof(*self));

    if (self == NULL) {
        error_set_memory(err);
        return NULL;
    }
    self->stage = (struct stage){.ops = &ops, .next = next};
    self->buffer = malloc(COMPRESS_BUFFER_SIZE);
    if (self->buffer == NULL) {
        error_set_memory(err);
        goto failed;
    }
    /* Without deflateSetHeader() the header holds no name and no time (I4). */
    int result = deflateInit2(&self->deflate, level, Z_DEFLATED, WINDOW_BITS + GZIP_WRAPPER,
                              MEMORY_LEVEL, Z_DEFAULT_STRATEGY);
    if (result != Z_OK) {
        fail(self, result, err);
        goto failed;
    }
    self->open = true;
    self->deflate.next_out = self->buffer;
    self->deflate.avail_out = (uInt)COMPRESS_BUFFER_SIZE;
    return (struct stage *)self;

failed:
    gzip_free((struct stage *)self);
    return NULL;
}

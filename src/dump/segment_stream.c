#include "dump/segment_stream.h"

#include <stdlib.h>
#include <string.h>

/* Rows are short: they are compressed by so many bytes at a time. */
#define BUFFER_SIZE ((size_t)64 * 1024)

/* The last stage of a segment. */
struct segment_sink {
    struct stage stage;
    struct ordered_writer *writer;
    size_t part;
    struct segment *segment;
    struct digest *digest;
};

struct segment_stream {
    struct stage *first;
    struct segment_sink *sink; /* the last stage of first */
    atomic_uint_least64_t *raw_bytes;
    size_t used;
    char buffer[BUFFER_SIZE];
};

static bool sink_write(struct stage *stage, const void *data, size_t size, struct error *err)
{
    struct segment_sink *sink = (struct segment_sink *)stage;

    if (sink->digest == NULL) {
        sink->digest = digest_new(DIGEST_SHA256, err);
    }
    if (sink->digest == NULL || !digest_update(sink->digest, data, size, err)) {
        return false;
    }
    sink->segment->length += size;
    return ordered_writer_write(sink->writer, sink->part, data, size, err);
}

static bool sink_finish(struct stage *stage, struct error *err)
{
    struct segment_sink *sink = (struct segment_sink *)stage;
    bool ok = sink->digest != NULL ? digest_final(sink->digest, sink->segment->sha256, err)
                                   : digest_of(DIGEST_SHA256, "", 0, sink->segment->sha256, err);

    digest_free(sink->digest);
    sink->digest = NULL;
    return ok;
}

static void sink_free(struct stage *stage)
{
    struct segment_sink *sink = (struct segment_sink *)stage;

    digest_free(sink->digest);
    free(sink);
}

static struct segment_sink *sink_new(struct ordered_writer *writer, struct error *err)
{
    static const struct stage_ops ops = {sink_write, sink_finish, sink_free};
    struct segment_sink *sink = calloc(1, sizeof(*sink));

    if (sink == NULL) {
        error_set_memory(err);
        return NULL;
    }
    sink->stage.ops = &ops;
    sink->writer = writer;
    return sink;
}

struct segment_stream *segment_stream_new(const struct compression *compression,
                                          struct ordered_writer *writer,
                                          atomic_uint_least64_t *raw_bytes, struct error *err)
{
    struct segment_stream *stream = calloc(1, sizeof(*stream));

    if (stream == NULL) {
        error_set_memory(err);
        return NULL;
    }
    stream->raw_bytes = raw_bytes;
    stream->sink = sink_new(writer, err);
    if (stream->sink != NULL) {
        stream->first = compress_stage_new(compression, &stream->sink->stage, err);
    }
    if (stream->first == NULL) {
        free(stream);
        return NULL;
    }
    return stream;
}

void segment_stream_free(struct segment_stream *stream)
{
    if (stream != NULL) {
        stage_free(stream->first);
        free(stream);
    }
}

void segment_stream_begin(struct segment_stream *stream, size_t part, struct segment *segment)
{
    stream->sink->part = part;
    stream->sink->segment = segment;
    stream->used = 0;
    segment->length = 0;
    segment->raw_length = 0;
}

static bool flush(struct segment_stream *stream, struct error *err)
{
    size_t used = stream->used;

    stream->used = 0;
    atomic_fetch_add_explicit(stream->raw_bytes, used, memory_order_relaxed);
    return used == 0 || stage_write(stream->first, stream->buffer, used, err);
}

bool segment_stream_write(struct segment_stream *stream, const void *data, size_t size,
                          struct error *err)
{
    if (size > BUFFER_SIZE - stream->used && !flush(stream, err)) {
        return false;
    }
    stream->sink->segment->raw_length += size;
    if (size > BUFFER_SIZE) {
        atomic_fetch_add_explicit(stream->raw_bytes, size, memory_order_relaxed);
        return stage_write(stream->first, data, size, err);
    }
    memcpy(stream->buffer + stream->used, data, size);
    stream->used += size;
    return true;
}

char *segment_stream_reserve(struct segment_stream *stream, size_t *room, struct error *err)
{
    if (BUFFER_SIZE - stream->used < SEGMENT_STREAM_ROOM && !flush(stream, err)) {
        return NULL;
    }
    *room = BUFFER_SIZE - stream->used;
    return stream->buffer + stream->used;
}

void segment_stream_commit(struct segment_stream *stream, size_t size)
{
    stream->used += size;
    stream->sink->segment->raw_length += size;
}

bool segment_stream_print(struct segment_stream *stream, const char *text, struct error *err)
{
    return segment_stream_write(stream, text, strlen(text), err);
}

bool segment_stream_end(struct segment_stream *stream, struct error *err)
{
    return flush(stream, err) && stage_finish(stream->first, err);
}

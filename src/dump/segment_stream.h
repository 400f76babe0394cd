/*
 * One segment on its way: text goes in, is compressed on its own, its digest is taken, and it goes
 * to the ordered writer. Used for one segment after the other, by one thread.
 */
#ifndef DUMP_SEGMENT_STREAM_H
#define DUMP_SEGMENT_STREAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "dump/ordered_writer.h"
#include "stream/compress.h"
#include "stream/segment.h"

struct segment_stream;

/* `raw_bytes` (borrowed) grows with what goes in, for the progress line. */
struct segment_stream *segment_stream_new(const struct compression *compression,
                                          struct ordered_writer *writer,
                                          atomic_uint_least64_t *raw_bytes, struct error *err);
void segment_stream_free(struct segment_stream *stream);

/* The segment, which must outlive its end, belongs to this part of the order. */
void segment_stream_begin(struct segment_stream *stream, size_t part, struct segment *segment);
bool segment_stream_write(struct segment_stream *stream, const void *data, size_t size,
                          struct error *err);
/* Room for at least SEGMENT_STREAM_ROOM bytes, to be filled in by the caller, who then says how
 * many there are: a write that copies nothing. NULL with the error. */
#define SEGMENT_STREAM_ROOM ((size_t)8 * 1024)
char *segment_stream_reserve(struct segment_stream *stream, size_t *room, struct error *err);
void segment_stream_commit(struct segment_stream *stream, size_t size);
bool segment_stream_print(struct segment_stream *stream, const char *text, struct error *err);
/* Fills in the segment's lengths and digest. */
bool segment_stream_end(struct segment_stream *stream, struct error *err);

#endif

/*
 * The decoders behind decompress_stage_new(), one per method, which bound nothing. Internal to
 * stream/: everybody else uses stream/decompress.h.
 */
#ifndef STREAM_DECOMPRESS_METHODS_H
#define STREAM_DECOMPRESS_METHODS_H

#include "base/error.h"
#include "stream/stage.h"

/* Bytes go on in writes of at most this size. */
#define DECOMPRESS_BUFFER_SIZE ((size_t)256 * 1024)

/* Both leave `next` to the caller when they fail. When one was finished without an error, another
 * stream can be written to it. */
struct stage *decompress_zstd_new(struct stage *next, struct error *err);
struct stage *decompress_gzip_new(struct stage *next, struct error *err);

#endif

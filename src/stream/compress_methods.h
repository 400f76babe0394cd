/*
 * The stages behind compress_stage_new(), one per method. Internal to stream/: everybody else uses
 * stream/compress.h, which has checked the level.
 */
#ifndef STREAM_COMPRESS_METHODS_H
#define STREAM_COMPRESS_METHODS_H

#include "base/error.h"
#include "stream/stage.h"

/* Compressed bytes are gathered up to this size before they go on, so that the stages behind get
 * few large writes. */
#define COMPRESS_BUFFER_SIZE ((size_t)256 * 1024)

/* Both leave `next` to the caller when they fail. */
struct stage *compress_zstd_new(int level, struct stage *next, struct error *err);
struct stage *compress_gzip_new(int level, struct stage *next, struct error *err);

#endif

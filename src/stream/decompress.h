/*
 * The opposite of compress.h: what was compressed goes in, what it was goes on to the next stage.
 *
 * Objects are not trusted (invariant I11): what comes out is counted and has a bound, the memory of
 * a decoder too, and what is cut short, damaged or followed by something else is an error.
 */
#ifndef STREAM_DECOMPRESS_H
#define STREAM_DECOMPRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "stream/compress.h"
#include "stream/stage.h"

#define DECOMPRESS_UNBOUNDED UINT64_MAX

/* Takes over `next`, also on failure; a NULL `next` is passed on as the failure of whoever made it.
 *
 * Gives out at most `most_bytes`; with one more the write fails. Frames (zstd) or members (gzip)
 * that follow one another are one stream; with none at all the finish fails. A zstd frame that
 * needs a window of more than 128 MiB is refused. */
struct stage *decompress_stage_new(enum compression_method method, uint64_t most_bytes,
                                   struct stage *next, struct error *err);

/* After it was finished without an error: another stream can be written, with this bound. */
void decompress_stage_renew(struct stage *stage, uint64_t most_bytes);

#endif

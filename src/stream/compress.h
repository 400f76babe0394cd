/*
 * The compressing stage: zstd (the default), gzip, or none.
 */
#ifndef STREAM_COMPRESS_H
#define STREAM_COMPRESS_H

#include <stdbool.h>

#include "base/error.h"
#include "stream/stage.h"

enum compression_method { COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_ZSTD };

struct compression {
    enum compression_method method;
    int level;
};

/* "zstd", "zstd:19", "gzip:6", "none"; the error names the setting's value and what is allowed. */
bool compression_parse(const char *value, struct compression *out, struct error *err);

/* ".zst", ".gz" or "": what it adds to a backup's name. */
const char *compression_suffix(enum compression_method method);
/* "zstd", "gzip", "none". */
const char *compression_name(enum compression_method method);
/* By the end of a backup's name: .sql.zst, .sql.gz or .sql. False for any other. */
bool compression_of_name(const char *backup_name, enum compression_method *out);

/* Takes over `next`, also on failure; a NULL `next` is passed on as the failure of whoever made it.
 * For COMPRESSION_NONE this returns `next` itself.
 *
 * When it is finished it can be written to again: what follows is a frame (zstd) or member (gzip)
 * of its own, which decompressors read as one stream with those before. */
struct stage *compress_stage_new(const struct compression *compression, struct stage *next,
                                 struct error *err);

#endif

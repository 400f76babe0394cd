/*
 * One object of a bucket being read: GetObject, a range at a time, on the condition that the object
 * is still the one that was listed.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
 */
#ifndef STORE_S3_S3_DOWNLOAD_H
#define STORE_S3_S3_DOWNLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "http/exchange.h"
#include "store/s3/s3_request.h"
#include "store/store.h"

struct s3_download_options {
    struct store *store;
    const struct s3_session *session; /* copied, but for its client; what it points to is borrowed
                                         to the end */
    struct http_limits limits;        /* of the client of the download's own */
    const char *key;                  /* whole */
    const char *etag;
    uint64_t bytes;
};

/* As their namesakes in struct store_ops; the end is range_download_close(). */
bool s3_download_open(const struct s3_download_options *options, struct download **out,
                      struct error *err);
bool s3_download_read(struct download *download, uint64_t offset, void *buffer, size_t size,
                      struct error *err);

#endif

/*
 * One object on its way into a bucket. One of a single block is one PutObject; others are parts
 * (s3_multipart.h), sent by several threads (store/block_senders.h). The end is s3_commit.h.
 */
#ifndef STORE_S3_S3_UPLOAD_H
#define STORE_S3_S3_UPLOAD_H

#include <stdbool.h>

#include "base/error.h"
#include "http/exchange.h"
#include "store/s3/s3_request.h"
#include "store/store.h"

struct s3_upload_options {
    struct store *store;
    const struct s3_session *session; /* copied; what it points to is borrowed to the end */
    struct http_limits block_limits;  /* of the clients that send the parts */
    const char *key;                  /* whole */
    const char *run_id;               /* 16 hex digits */
    int parallel;                     /* threads, and most parts in flight */
};

/* As their namesakes in struct store_ops. */
bool s3_upload_begin(const struct s3_upload_options *options, struct upload **out,
                     struct error *err);
bool s3_upload_block(struct upload *upload, struct block *block, struct error *err);
bool s3_upload_flush(struct upload *upload, struct error *err);
bool s3_upload_commit(struct upload *upload, const struct metadata *metadata, struct error *err);
void s3_upload_abandon(struct upload *upload);

#endif

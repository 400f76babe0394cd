/*
 * An upload in parts: begun, filled, given up. Nothing of it is visible, but what is stored of it
 * is paid for until it is completed or aborted.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
 */
#ifndef STORE_S3_S3_MULTIPART_H
#define STORE_S3_S3_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"
#include "store/s3/s3_request.h"

#define S3_MULTIPART_MOST_PARTS 10000
#define S3_MULTIPART_ID_CAP     2048
#define S3_MULTIPART_ETAG_SIZE  128

/* CreateMultipartUpload. *id is replaced. */
bool s3_multipart_begin(const struct s3_session *session, const char *key,
                        const struct metadata *metadata, struct text *id, struct error *err);
/* UploadPart: the same part again replaces it. `index` counts from 0. */
bool s3_multipart_put(const struct s3_session *session, const char *key, const char *id,
                      uint32_t index, const void *data, size_t size,
                      char etag[S3_MULTIPART_ETAG_SIZE], struct error *err);
/* AbortMultipartUpload, until ListParts tells of no part any more, a few times at most; one that is
 * gone is no error.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html */
bool s3_multipart_abort(const struct s3_session *session, const char *key, const char *id,
                        struct error *err);
/* Aborts every upload of this very key (ListMultipartUploads). */
bool s3_multipart_abort_all(const struct s3_session *session, const char *key, struct error *err);

#endif

/*
 * The end of an upload to a bucket: the request that makes the object, the resolution of an answer
 * that was lost, and the check of what the service has then.
 *
 * INVARIANT I2: the object comes into being with one CompleteMultipartUpload or PutObject, which
 * says If-None-Match: *, and before which the service is asked whether the name is free. Where a
 * service does not know the condition (it answers 501, or takes no notice), that question is all
 * there is. https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html INVARIANT
 * I3: afterwards the service is asked for the object; if it is not as long as what was sent, or of
 * another number of parts, it is removed again.
 */
#ifndef STORE_S3_S3_COMMIT_H
#define STORE_S3_S3_COMMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "store/s3/s3_request.h"
#include "store/store.h"

struct s3_commit {
    const struct s3_session *session;
    const char *key;
    const char *run_id;
    /* Of the object that is sent in one request: its bytes and what goes along. */
    const struct metadata *metadata;
    const struct block *whole; /* NULL: it is empty, or in parts */
    /* Of one in parts; NULL: it is in one. */
    const char *upload_id;
    const char *const *etags; /* by the part's index */
    uint32_t part_count;
    uint64_t bytes;
    upload_permit permit; /* before each attempt to publish */
    void *permit_context;
};

/* Makes the object unless there is one of that name, and proves it. After a failure there is no
 * object of ours, or the error says that there is or may be one. */
bool s3_commit_publish(const struct s3_commit *commit, struct error *err);

/* How many parts an etag tells of: 0 when it does not ("...-N" is how S3 writes them). */
int64_t s3_commit_parts_of(const char *etag);

#endif

/*
 * A bucket of S3, or of a service that speaks S3 (MinIO, R2, B2, Ceph), as a store:
 * s3://BUCKET[/PREFIX] (s3_bucket.h), reached with the credentials that s3_identity.h finds.
 */
#ifndef STORE_S3_S3_STORE_H
#define STORE_S3_S3_STORE_H

#include "store/store.h"

extern const struct store_kind s3_store_kind;

#endif

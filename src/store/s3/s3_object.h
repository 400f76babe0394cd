/*
 * One object of a bucket: what it is, and removing it.
 *
 * S3 takes an object's metadata when its upload begins, and at most 2 KB of them. What is known
 * only at its end (digests, lengths, rows), of an upload of several parts, is therefore an object
 * beside it: KEY.RUN.meta, flat JSON, written before the object is published and removed after it.
 * The object itself then says `run` and `metadata=beside`. The run's id in the name keeps the
 * metadata of two runs apart, so that a second one never writes over what belongs to a published
 * object.
 */
#ifndef STORE_S3_S3_OBJECT_H
#define STORE_S3_S3_OBJECT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "store/objects.h"
#include "store/s3/s3_request.h"
#include "store/store.h"

/* HeadObject, with the metadata beside it. The object gets `name` as its name. *found is false,
 * without an error, for 404. */
bool s3_object_head(const struct s3_session *session, const char *key, const char *name,
                    struct object *out, bool *found, struct error *err);
/* HeadObject alone: the object's own metadata, of which `run` is one. */
bool s3_object_peek(const struct s3_session *session, const char *key, struct object *out,
                    bool *found, struct error *err);

/* DeleteObject, and the metadata beside it, if its etag is still this one: asked before, and told
 * to services that know If-Match here. */
bool s3_object_remove(const struct s3_session *session, const char *key, const char *etag,
                      enum store_removal *result, struct error *err);

/* Whether metadata can go along with an object that is sent in one request. */
bool s3_object_takes(const struct metadata *metadata);
/* What the object itself says when its metadata stand beside it. */
bool s3_object_refer(struct metadata *out, const char *run_id, struct error *err);

bool s3_object_put_metadata(const struct s3_session *session, const char *key, const char *run_id,
                            const struct metadata *metadata, struct error *err);
/* It is no error when there are none. */
bool s3_object_remove_metadata(const struct s3_session *session, const char *key,
                               const char *run_id, struct error *err);
/* HeadObject of metadata beside an object that is not there, with what they say as its metadata.
 * *found is false, without an error, when they are gone, or no orphan any more. */
bool s3_object_head_orphan(const struct s3_session *session, const char *key, const char *name,
                           struct object *out, bool *found, struct error *err);

#endif

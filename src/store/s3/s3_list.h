/*
 * ListObjectsV2: every object whose key starts with a prefix, page by page, with metadata.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
 *
 * A list has no metadata, so each object is asked for, one after the other: a request for each, and
 * two for one whose metadata stand beside it. Those metadata are not in the list, unless they are
 * orphans: a process died between the object and them.
 *
 * Invariant I6 rests on it: whatever is not exactly as the service writes it fails the listing,
 * because a list that is silently short would make retention delete.
 */
#ifndef STORE_S3_S3_LIST_H
#define STORE_S3_S3_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/text.h"
#include "store/objects.h"
#include "store/s3/s3_request.h"

/* What is asked for. The names in the list are the keys without the bucket's folder. */
struct s3_list {
    const char *folder;   /* "" or "some/folder/" */
    const char *prefix;   /* within the folder */
    bool absent_is_empty; /* a bucket that does not exist is no error */
};

/* *out is empty before, and untouched on failure. */
bool s3_list_all(const struct s3_session *session, const struct s3_list *list, struct objects *out,
                 struct error *err);

/* Adds the objects of one page, as yet without metadata, to *out and replaces *token by the next
 * one's ("" = this was the last). */
bool s3_list_parse(const struct s3_list *list, const void *page, size_t size, struct objects *out,
                   struct text *token, struct error *err);

/* The first page alone, which tells whether the bucket is there and ours to read. */
bool s3_list_probe(const struct s3_session *session, const struct s3_list *list, struct error *err);

#endif

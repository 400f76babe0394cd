/*
 * Which bucket a URL means, and where it is: s3://BUCKET[/PREFIX] with the options endpoint,
 * region, style (path or virtual) and part_size, and the settings AWS_REGION, AWS_ENDPOINT_URL_S3
 * and AWS_ENDPOINT_URL for what it leaves out. Nothing here makes a request.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
 */
#ifndef STORE_S3_S3_BUCKET_H
#define STORE_S3_S3_BUCKET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/settings.h"
#include "store/store_url.h"

struct s3_bucket {
    char *name;
    char *folder; /* "" or "some/folder/" */
    char *region;
    char *url;        /* of the bucket itself: with its name in the host or as the path's end */
    char *location;   /* struct store's */
    size_t part_size; /* bytes, of every part but the last; 0: they grow with their number */
};

extern const char *const s3_bucket_options[];

/* `settings` NULL: the form alone is judged. The caller clears *out, also after a failure. */
bool s3_bucket_parse(const struct store_url *url, const struct settings *settings,
                     struct s3_bucket *out, struct error *err);
void s3_bucket_clear(struct s3_bucket *bucket);

/* The form of an endpoint, http(s)://HOST[:PORT][/PATH]; `name` is what has it as its value. */
bool s3_bucket_check_endpoint(const char *name, const char *endpoint, struct error *err);
/* Regions are part of host names and signatures. */
bool s3_bucket_check_region(const char *name, const char *region, struct error *err);

#endif

#include "store/s3/s3_download.h"

#include <string.h>

#include "store/range_read.h"
#include "store/s3/s3_object.h"

struct s3_download {
    struct range_download range;
    struct s3_session session;
};

static bool get(void *context, const char *range, size_t size, struct http_reply *reply,
                struct error *err)
{
    const struct s3_download *self = context;
    const struct s3_request request = {
        .method = "GET",
        .key = self->range.name,
        .headers = {{"Range", range}, {"If-Match", self->range.etag}},
        .answers = {403, 404, 412, 416},
    };

    (void)size;
    return s3_request_send(&self->session, &request, reply, err);
}

static bool exists(void *context, bool *found, struct error *err)
{
    const struct s3_download *self = context;
    struct object object = OBJECT_INIT;
    bool ok = s3_object_peek(&self->session, self->range.name, &object, found, err);

    object_clear(&object);
    return ok;
}

static bool refuse(void *context, const struct http_reply *reply, struct error *err)
{
    const struct s3_download *self = context;
    char code[S3_REQUEST_CODE_SIZE];

    s3_request_code(reply, code);
    s3_request_refuse(&self->session, reply, err);
    if (reply->status == 404) {
        return error_prefix(err, "it was removed meanwhile");
    }
    if (strcmp(code, "InvalidObjectState") == 0) {
        error_prefix(err, "it is in an archive's storage class and cannot be read there");
        return error_hint(err, "restore it (S3's RestoreObject) and wait until that is done, which "
                               "may last 48 hours");
    }
    return false;
}

bool s3_download_open(const struct s3_download_options *options, struct download **out,
                      struct error *err)
{
    const struct range_download_options inner = {.store = options->store,
                                                 .limits = &options->limits,
                                                 .name = options->key,
                                                 .etag = options->etag,
                                                 .bytes = options->bytes};
    struct range_download *range = NULL;

    if (!range_download_open(&inner, sizeof(struct s3_download), &range, err)) {
        return false;
    }
    struct s3_download *self = (struct s3_download *)range;
    self->session = *options->session;
    self->session.client = range->client;
    self->session.policy.cancelled = &range->base.cancelled;
    *out = &range->base;
    return true;
}

bool s3_download_read(struct download *base, uint64_t offset, void *buffer, size_t size,
                      struct error *err)
{
    struct s3_download *self = (struct s3_download *)base;
    const struct range_source source = {
        .name = self->range.name,
        .etag = self->range.etag,
        .bytes = base->bytes,
        .get = get,
        .refuse = refuse,
        .exists = exists,
        .context = self,
    };

    return range_read(&source, offset, buffer, size, err);
}

#include "store/azure/azure_download.h"

#include <string.h>

#include "store/azure/azure_object.h"
#include "store/range_read.h"

/* Of a longer range the service gives no MD5, and refuses to be asked for it (REST, Get Blob). */
#define MOST_BYTES_OF_MD5 ((size_t)4 * 1024 * 1024)

struct azure_download {
    struct range_download range;
    struct azure_session session;
};

static bool get(void *context, const char *range, size_t size, struct http_reply *reply,
                struct error *err)
{
    const struct azure_download *self = context;
    const struct azure_request request = {
        .method = "GET",
        .blob = self->range.name,
        .headers = {{"x-ms-range", range},
                    {"If-Match", self->range.etag},
                    {size <= MOST_BYTES_OF_MD5 ? "x-ms-range-get-content-md5" : NULL, "true"}},
        .encryption = AZURE_ENCRYPTION_READ,
        .answers = {404, 409, 412, 416},
    };

    return azure_request_send(&self->session, &request, reply, err);
}

static bool exists(void *context, bool *found, struct error *err)
{
    const struct azure_download *self = context;
    struct object object = OBJECT_INIT;
    bool ok =
        azure_object_head(&self->session, self->range.name, self->range.name, &object, found, err);

    object_clear(&object);
    return ok;
}

static bool refuse(void *context, const struct http_reply *reply, struct error *err)
{
    const struct azure_download *self = context;
    char code[AZURE_REQUEST_CODE_SIZE];

    azure_request_code(reply, code);
    azure_request_refuse(&self->session, reply, err);
    if (reply->status == 404) {
        return error_prefix(err, "it was removed meanwhile");
    }
    if (strcmp(code, "BlobArchived") == 0 || strcmp(code, "BlobBeingRehydrated") == 0) {
        error_prefix(err, "it is in the archive tier and cannot be read there");
        return error_hint(err, "rehydrate it: set its access tier to Hot or Cool, and wait until "
                               "the service has moved it, which may last 15 hours");
    }
    return false;
}

bool azure_download_open(const struct azure_download_options *options, struct download **out,
                         struct error *err)
{
    const struct range_download_options inner = {.store = options->store,
                                                 .limits = &options->limits,
                                                 .name = options->blob,
                                                 .etag = options->etag,
                                                 .bytes = options->bytes};
    struct range_download *range = NULL;

    if (!range_download_open(&inner, sizeof(struct azure_download), &range, err)) {
        return false;
    }
    struct azure_download *self = (struct azure_download *)range;
    self->session = *options->session;
    self->session.client = range->client;
    self->session.policy.cancelled = &range->base.cancelled;
    *out = &range->base;
    return true;
}

bool azure_download_read(struct download *base, uint64_t offset, void *buffer, size_t size,
                         struct error *err)
{
    struct azure_download *self = (struct azure_download *)base;
    const struct range_source source = {
        .name = self->range.name,
        .etag = self->range.etag,
        .bytes = base->bytes,
        .tells_md5 = true,
        .get = get,
        .refuse = refuse,
        .exists = exists,
        .context = self,
    };

    return range_read(&source, offset, buffer, size, err);
}

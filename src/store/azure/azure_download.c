#include "store/azure/azure_download.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "store/azure/azure_object.h"
#include "store/range_read.h"

struct azure_download {
    struct download base;
    struct azure_session session;
    char *blob;
    char *etag;
};

static bool get(void *context, const char *range, struct http_reply *reply, struct error *err)
{
    const struct azure_download *self = context;
    const struct azure_request request = {
        .method = "GET",
        .blob = self->blob,
        .headers = {{"x-ms-range", range},
                    {"x-ms-range-get-content-md5", "true"},
                    {"If-Match", self->etag}},
        .encryption = AZURE_ENCRYPTION_READ,
        .answers = {404, 409, 412, 416},
    };

    return azure_request_send(&self->session, &request, reply, err);
}

static bool exists(void *context, bool *found, struct error *err)
{
    const struct azure_download *self = context;
    struct object object = OBJECT_INIT;
    bool ok = azure_object_head(&self->session, self->blob, self->blob, &object, found, err);

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

static void end(struct azure_download *self)
{
    http_client_free(self->session.client);
    free(self->blob);
    free(self->etag);
    free(self);
}

bool azure_download_open(const struct azure_download_options *options, struct download **out,
                         struct error *err)
{
    struct azure_download *self = calloc(1, sizeof(*self));

    if (self == NULL) {
        return error_set_memory(err);
    }
    *self = (struct azure_download){
        .base = {.store = options->store, .bytes = options->bytes},
        .session = *options->session,
        .blob = text_copy(options->blob),
        .etag = text_copy(options->etag),
    };
    self->session.client = NULL;
    if (self->blob == NULL || self->etag == NULL) {
        error_set_memory(err);
        goto failed;
    }
    self->session.client = http_client_new(&options->limits, err);
    if (self->session.client == NULL) {
        goto failed;
    }
    http_client_cancel_with(self->session.client, &self->base.cancelled);
    self->session.policy.cancelled = &self->base.cancelled;
    *out = (struct download *)self;
    return true;

failed:
    end(self);
    return false;
}

bool azure_download_read(struct download *base, uint64_t offset, void *buffer, size_t size,
                         struct error *err)
{
    struct azure_download *self = (struct azure_download *)base;
    const struct range_source source = {
        .name = self->blob,
        .etag = self->etag,
        .bytes = base->bytes,
        .tells_md5 = true,
        .get = get,
        .refuse = refuse,
        .exists = exists,
        .context = self,
    };

    return range_read(&source, offset, buffer, size, err);
}

void azure_download_close(struct download *base)
{
    end((struct azure_download *)base);
}

#include "store/s3/s3_download.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "store/range_read.h"
#include "store/s3/s3_object.h"

struct s3_download {
    struct download base;
    struct s3_session session;
    char *key;
    char *etag;
};

static bool get(void *context, const char *range, struct http_reply *reply, struct error *err)
{
    const struct s3_download *self = context;
    const struct s3_request request = {
        .method = "GET",
        .key = self->key,
        .headers = {{"Range", range}, {"If-Match", self->etag}},
        .answers = {403, 404, 412, 416},
    };

    return s3_request_send(&self->session, &request, reply, err);
}

static bool exists(void *context, bool *found, struct error *err)
{
    const struct s3_download *self = context;
    struct object object = OBJECT_INIT;
    bool ok = s3_object_peek(&self->session, self->key, &object, found, err);

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

static void end(struct s3_download *self)
{
    http_client_free(self->session.client);
    free(self->key);
    free(self->etag);
    free(self);
}

bool s3_download_open(const struct s3_download_options *options, struct download **out,
                      struct error *err)
{
    struct s3_download *self = calloc(1, sizeof(*self));

    if (self == NULL) {
        return error_set_memory(err);
    }
    *self = (struct s3_download){
        .base = {.store = options->store, .bytes = options->bytes},
        .session = *options->session,
        .key = text_copy(options->key),
        .etag = text_copy(options->etag),
    };
    self->session.client = NULL;
    if (self->key == NULL || self->etag == NULL) {
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

bool s3_download_read(struct download *base, uint64_t offset, void *buffer, size_t size,
                      struct error *err)
{
    struct s3_download *self = (struct s3_download *)base;
    const struct range_source source = {
        .name = self->key,
        .etag = self->etag,
        .bytes = base->bytes,
        .get = get,
        .refuse = refuse,
        .exists = exists,
        .context = self,
    };

    return range_read(&source, offset, buffer, size, err);
}

void s3_download_close(struct download *base)
{
    end((struct s3_download *)base);
}

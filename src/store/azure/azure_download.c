#include "store/azure/azure_download.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/base64.h"
#include "crypto/digest.h"
#include "store/azure/azure_object.h"

/* A refusal's text is longer than a short range. */
#define REPLY_CAP        ((size_t)64 * 1024)
#define MOST_REPETITIONS 2
#define RANGE_TEXT_SIZE  96
#define ETAG_SIZE        128

struct azure_download {
    struct download base;
    struct azure_session session;
    char *blob;
    char *etag;
};

struct range {
    uint64_t offset;
    size_t size;
};

static uint64_t last_byte(const struct range *range)
{
    return range->offset + range->size - 1;
}

/* Whatever is asked for on the condition of an etag is refused alike when the blob is gone. */
static bool refuse_changed(const struct azure_download *self, struct error *err)
{
    struct object object = OBJECT_INIT;
    struct error ignored = ERROR_INIT;
    bool found = true;
    bool asked =
        azure_object_head(&self->session, self->blob, self->blob, &object, &found, &ignored);

    object_clear(&object);
    return error_set(err, ERROR_FAILED, "it was %s meanwhile",
                     !asked  ? "replaced or removed"
                     : found ? "replaced"
                             : "removed");
}

static bool refuse_ignored_range(struct error *err)
{
    return error_set(err, ERROR_FAILED,
                     "the service ignored the range that was asked for and sends the whole object");
}

static bool refuse(const struct azure_download *self, const struct http_reply *reply,
                   struct error *err)
{
    char code[AZURE_REQUEST_CODE_SIZE];

    azure_request_code(reply, code);
    if (reply->status == 412) {
        return refuse_changed(self, err);
    }
    if (reply->status == 416) {
        return error_set(err, ERROR_FAILED, "it is shorter than the %" PRIu64 " bytes listed",
                         self->base.bytes);
    }
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

/* Is this the answer to what was asked, whatever its bytes are? */
static bool check_answer(const struct azure_download *self, const struct range *range,
                         const struct http_reply *reply, struct error *err)
{
    char wanted[RANGE_TEXT_SIZE];
    char given[RANGE_TEXT_SIZE];
    char etag[ETAG_SIZE];

    if (reply->status >= 300) {
        return refuse(self, reply, err);
    }
    if (http_reply_header(reply, "ETag", etag, sizeof(etag)) && strcmp(etag, self->etag) != 0) {
        return error_set(err, ERROR_FAILED, "it was replaced meanwhile");
    }
    if (reply->status == 200) {
        return range->size == self->base.bytes || refuse_ignored_range(err);
    }
    snprintf(wanted, sizeof(wanted), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, range->offset,
             last_byte(range), self->base.bytes);
    http_reply_header(reply, "Content-Range", given, sizeof(given));
    if (reply->status != 206 || strcmp(given, wanted) != 0) {
        return error_set(err, ERROR_FAILED,
                         "the service answered %d with Content-Range '%s', not 206 with '%s'",
                         reply->status, given, wanted);
    }
    return true;
}

/* *damaged: the bytes are not as many as they should be, or have not the MD5 that the service
 * tells. That of a reply of 200 is a property that whoever wrote the blob has set: it proves
 * nothing. */
static bool examine_body(const struct range *range, const struct http_reply *reply, bool *damaged,
                         struct error *err)
{
    unsigned char md5[DIGEST_MD5_SIZE];
    char told[BASE64_SIZE(DIGEST_MD5_SIZE) + 1];
    char found[BASE64_SIZE(DIGEST_MD5_SIZE)];

    *damaged = reply->body.length != range->size;
    if (*damaged) {
        return error_set(err, ERROR_FAILED, "the reply has %zu bytes and not the %zu asked for",
                         reply->body.length, range->size);
    }
    if (reply->status != 206 || !http_reply_header(reply, "Content-MD5", told, sizeof(told))) {
        return true;
    }
    if (!digest_of(DIGEST_MD5, reply->body.data, reply->body.length, md5, err)) {
        return false;
    }
    base64_encode(found, md5, sizeof(md5));
    *damaged = strcmp(found, told) != 0;
    return !*damaged || error_set(err, ERROR_FAILED,
                                  "the bytes were damaged on their way: their MD5 is %s, the "
                                  "service says %s",
                                  found, told);
}

static bool send_request(const struct azure_download *self, const struct range *range,
                         struct http_reply *reply, struct error *err)
{
    char bytes[RANGE_TEXT_SIZE];
    const struct azure_request request = {
        .method = "GET",
        .blob = self->blob,
        .headers = {{"x-ms-range", bytes},
                    {"x-ms-range-get-content-md5", "true"},
                    {"If-Match", self->etag}},
        .answers = {404, 409, 412, 416},
    };

    snprintf(bytes, sizeof(bytes), "bytes=%" PRIu64 "-%" PRIu64, range->offset, last_byte(range));
    if (azure_request_send(&self->session, &request, reply, err)) {
        return true;
    }
    /* So much too long that it was not even read. */
    return reply->status == 200 ? refuse_ignored_range(err) : false;
}

/* What was damaged on its way is asked for again, a few times. */
static bool fetch(const struct azure_download *self, const struct range *range, char *out,
                  struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(range->size > REPLY_CAP ? range->size : REPLY_CAP);
    bool damaged = true;
    bool ok = false;

    for (int i = 0; damaged && i <= MOST_REPETITIONS; i++) {
        damaged = false;
        ok = send_request(self, range, &reply, err) && check_answer(self, range, &reply, err) &&
             examine_body(range, &reply, &damaged, err);
    }
    if (ok) {
        memcpy(out, reply.body.data, range->size);
        error_clear(err);
    }
    http_reply_clear(&reply);
    return ok ? true
              : error_prefix(err, "reading bytes %" PRIu64 " to %" PRIu64 " of %s", range->offset,
                             last_byte(range), self->blob);
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
    const struct azure_download *self = (const struct azure_download *)base;

    for (size_t done = 0; done < size;) {
        size_t left = size - done;
        const struct range range = {
            .offset = offset + done,
            .size = left < AZURE_DOWNLOAD_RANGE_SIZE ? left : AZURE_DOWNLOAD_RANGE_SIZE,
        };
        if (!fetch(self, &range, (char *)buffer + done, err)) {
            return false;
        }
        done += range.size;
    }
    return true;
}

void azure_download_close(struct download *base)
{
    end((struct azure_download *)base);
}

#include "store/range_read.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/base64.h"
#include "crypto/digest.h"

/* A refusal's text is longer than a short range. */
#define REPLY_CAP        ((size_t)64 * 1024)
#define MOST_REPETITIONS 2
#define RANGE_TEXT_SIZE  96
#define ETAG_SIZE        128

struct range {
    uint64_t offset;
    size_t size;
};

static uint64_t last_byte(const struct range *range)
{
    return range->offset + range->size - 1;
}

/* Whatever is asked for on the condition of an etag is refused alike when the object is gone. */
static bool refuse_changed(const struct range_source *source, struct error *err)
{
    struct error ignored = ERROR_INIT;
    bool found = true;
    bool asked = source->exists(source->context, &found, &ignored);

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

static bool refuse(const struct range_source *source, const struct http_reply *reply,
                   struct error *err)
{
    if (reply->status == 412) {
        return refuse_changed(source, err);
    }
    if (reply->status == 416) {
        return error_set(err, ERROR_FAILED, "it is shorter than the %" PRIu64 " bytes listed",
                         source->bytes);
    }
    return source->refuse(source->context, reply, err);
}

/* Is this the answer to what was asked, whatever its bytes are? */
static bool check_answer(const struct range_source *source, const struct range *range,
                         const struct http_reply *reply, struct error *err)
{
    char wanted[RANGE_TEXT_SIZE];
    char given[RANGE_TEXT_SIZE];
    char etag[ETAG_SIZE];

    if (reply->status >= 300) {
        return refuse(source, reply, err);
    }
    if (http_reply_header(reply, "ETag", etag, sizeof(etag)) && strcmp(etag, source->etag) != 0) {
        return error_set(err, ERROR_FAILED, "it was replaced meanwhile");
    }
    if (reply->status == 200) {
        return range->size == source->bytes || refuse_ignored_range(err);
    }
    snprintf(wanted, sizeof(wanted), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, range->offset,
             last_byte(range), source->bytes);
    http_reply_header(reply, "Content-Range", given, sizeof(given));
    if (reply->status != 206 || strcmp(given, wanted) != 0) {
        return error_set(err, ERROR_FAILED,
                         "the service answered %d with Content-Range '%s', not 206 with '%s'",
                         reply->status, given, wanted);
    }
    return true;
}

/* *damaged: the bytes are not as many as they should be, or have not the MD5 that the service
 * tells. That of a reply of 200 is a property that whoever wrote the object has set: it proves
 * nothing. */
static bool examine_body(const struct range_source *source, const struct range *range,
                         const struct http_reply *reply, bool *damaged, struct error *err)
{
    unsigned char md5[DIGEST_MD5_SIZE];
    char told[BASE64_SIZE(DIGEST_MD5_SIZE) + 1];
    char found[BASE64_SIZE(DIGEST_MD5_SIZE)];

    *damaged = reply->body.length != range->size;
    if (*damaged) {
        return error_set(err, ERROR_FAILED, "the reply has %zu bytes and not the %zu asked for",
                         reply->body.length, range->size);
    }
    if (!source->tells_md5 || reply->status != 206 ||
        !http_reply_header(reply, "Content-MD5", told, sizeof(told))) {
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

static bool get(const struct range_source *source, const struct range *range,
                struct http_reply *reply, struct error *err)
{
    char bytes[RANGE_TEXT_SIZE];

    snprintf(bytes, sizeof(bytes), "bytes=%" PRIu64 "-%" PRIu64, range->offset, last_byte(range));
    if (source->get(source->context, bytes, range->size, reply, err)) {
        return true;
    }
    /* So much too long that it was not even read. */
    return reply->status == 200 ? refuse_ignored_range(err) : false;
}

/* What was damaged on its way is asked for again, a few times. */
static bool fetch(const struct range_source *source, const struct range *range, char *out,
                  struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(range->size > REPLY_CAP ? range->size : REPLY_CAP);
    bool damaged = true;
    bool ok = false;

    for (int i = 0; damaged && i <= MOST_REPETITIONS; i++) {
        damaged = false;
        ok = get(source, range, &reply, err) && check_answer(source, range, &reply, err) &&
             examine_body(source, range, &reply, &damaged, err);
    }
    if (ok) {
        memcpy(out, reply.body.data, range->size);
        error_clear(err);
    }
    http_reply_clear(&reply);
    return ok ? true
              : error_prefix(err, "reading bytes %" PRIu64 " to %" PRIu64 " of %s", range->offset,
                             last_byte(range), source->name);
}

bool range_read(const struct range_source *source, uint64_t offset, void *buffer, size_t size,
                struct error *err)
{
    for (size_t done = 0; done < size;) {
        size_t left = size - done;
        const struct range range = {
            .offset = offset + done,
            .size = left < RANGE_READ_SIZE ? left : RANGE_READ_SIZE,
        };
        if (!fetch(source, &range, (char *)buffer + done, err)) {
            return false;
        }
        done += range.size;
    }
    return true;
}

static void close_download(struct range_download *self)
{
    http_client_free(self->client);
    free(self->name);
    free(self->etag);
    free(self);
}

bool range_download_open(const struct range_download_options *options, size_t size,
                         struct range_download **out, struct error *err)
{
    struct range_download *self = calloc(1, size);

    if (self == NULL) {
        return error_set_memory(err);
    }
    self->base.store = options->store;
    self->base.bytes = options->bytes;
    self->name = text_copy(options->name);
    self->etag = text_copy(options->etag);
    if (self->name == NULL || self->etag == NULL) {
        close_download(self);
        return error_set_memory(err);
    }
    self->client = http_client_new(options->limits, err);
    if (self->client == NULL) {
        close_download(self);
        return false;
    }
    http_client_cancel_with(self->client, &self->base.cancelled);
    *out = self;
    return true;
}

void range_download_close(struct download *base)
{
    close_download((struct range_download *)base);
}

#include "store/s3/s3_multipart.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/wait.h"
#include "store/backup_object.h"
#include "store/xml.h"

#define REPLY_CAP     (64 * 1024)
#define KEY_CAP       (1024 * 3)
#define MOST_ROUNDS   100
#define MOST_ABORTS   8 /* of one upload: for some 6 s in all */
#define FIRST_WAIT_MS 50

static bool read_id(const struct http_reply *reply, struct text *id, struct error *err)
{
    struct xml *xml = xml_parse(reply->body.data, reply->body.length, err);

    if (xml == NULL) {
        return false;
    }
    bool ok = xml_child_text(xml_root(xml), "UploadId", id) && id->length > 0;
    xml_free(xml);
    return ok || error_set(err, ERROR_FAILED, "the service's answer has no UploadId");
}

bool s3_multipart_begin(const struct s3_session *session, const char *key,
                        const struct metadata *metadata, struct text *id, struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(REPLY_CAP);
    const struct s3_request request = {
        .method = "POST",
        .key = key,
        .parameters = {{"uploads", ""}},
        .headers = {{"Content-Type", backup_object_media_type(key)}},
        .metadata = metadata,
    };
    bool ok = s3_request_send(session, &request, &reply, err) && read_id(&reply, id, err);

    http_reply_clear(&reply);
    return ok ? true : error_prefix(err, "beginning the upload of %s", key);
}

bool s3_multipart_put(const struct s3_session *session, const char *key, const char *id,
                      uint32_t index, const void *data, size_t size,
                      char etag[S3_MULTIPART_ETAG_SIZE], struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(REPLY_CAP);
    char number[16];
    const struct s3_request request = {
        .method = "PUT",
        .key = key,
        .parameters = {{"partNumber", number}, {"uploadId", id}},
        .body = data,
        .body_size = size,
    };

    snprintf(number, sizeof(number), "%" PRIu32, index + 1);
    bool ok = s3_request_send(session, &request, &reply, err);
    /* It goes into an XML document as it is. */
    if (ok && (!http_reply_header(&reply, "ETag", etag, S3_MULTIPART_ETAG_SIZE) ||
               etag[strcspn(etag, "<>& ")] != '\0')) {
        ok = error_set(err, ERROR_FAILED, "the service's answer has no valid ETag");
    }
    http_reply_clear(&reply);
    return ok ? true : error_prefix(err, "storing block %" PRIu32 " of %s", index, key);
}

static bool abort_once(const struct s3_session *session, const char *key, const char *id,
                       struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(REPLY_CAP);
    const struct s3_request request = {
        .method = "DELETE", .key = key, .parameters = {{"uploadId", id}}, .answers = {404}};
    bool ok = s3_request_send(session, &request, &reply, err);

    http_reply_clear(&reply);
    return ok;
}

/* ListParts: *empty when the upload is gone or has no part. Who may not ask takes it as gone. */
static bool is_empty(const struct s3_session *session, const char *key, const char *id, bool *empty,
                     struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(REPLY_CAP);
    const struct s3_request request = {.method = "GET",
                                       .key = key,
                                       .parameters = {{"uploadId", id}, {"max-parts", "1"}},
                                       .answers = {403, 404, 501}};
    bool ok = s3_request_send(session, &request, &reply, err);

    *empty = true;
    if (ok && reply.status < 300) {
        struct xml *xml = xml_parse(reply.body.data, reply.body.length, err);
        ok = xml != NULL;
        *empty = ok && xml_first(xml_root(xml), "Part") == NULL;
        xml_free(xml);
    }
    http_reply_clear(&reply);
    return ok;
}

/* A part that was under way may be stored after the abort: then the service wants another one. */
bool s3_multipart_abort(const struct s3_session *session, const char *key, const char *id,
                        struct error *err)
{
    bool empty = false;
    bool ok = true;

    for (int i = 0; ok && !empty && i < MOST_ABORTS; i++) {
        struct deadline pause = deadline_in_ms(i > 0 ? FIRST_WAIT_MS << (i - 1) : 0);
        pause.ignore_stop = session->policy.ignore_stop;
        ok = wait_until(&pause, err) && abort_once(session, key, id, err) &&
             is_empty(session, key, id, &empty, err);
    }
    if (ok && !empty) {
        ok = error_set(err, ERROR_FAILED, "the service still has parts of it after %d attempts",
                       MOST_ABORTS);
    }
    return ok ? true : error_prefix(err, "aborting an upload of %s", key);
}

static bool list_page(const struct s3_session *session, const char *key, struct xml **out,
                      struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(XML_CAP);
    const struct s3_request request = {
        .method = "GET",
        .parameters = {{"uploads", ""}, {"prefix", key}, {"max-uploads", "1000"}},
        .answers = {404},
    };
    bool ok = s3_request_send(session, &request, &reply, err);

    *out = NULL;
    if (ok && reply.status < 300) {
        *out = xml_parse(reply.body.data, reply.body.length, err);
        ok = *out != NULL;
    }
    http_reply_clear(&reply);
    return ok;
}

static bool abort_page(const struct s3_session *session, const char *key,
                       const struct xml_node *root, size_t *count, struct error *err)
{
    struct text text = TEXT_INIT(KEY_CAP);
    struct text id = TEXT_INIT(S3_MULTIPART_ID_CAP);
    bool ok = true;

    *count = 0;
    for (const struct xml_node *upload = xml_first(root, "Upload"); ok && upload != NULL;
         upload = xml_next(upload, "Upload")) {
        if (xml_child_text(upload, "Key", &text) && strcmp(text_string(&text), key) == 0 &&
            xml_child_text(upload, "UploadId", &id)) {
            ok = s3_multipart_abort(session, key, text_string(&id), err);
            ++*count;
        }
    }
    text_clear(&text);
    text_clear(&id);
    return ok;
}

/* The first page again and again: what was aborted is not on it any more. Other keys that begin
 * with this one are few, its manifest's above all. */
bool s3_multipart_abort_all(const struct s3_session *session, const char *key, struct error *err)
{
    size_t count = 1;
    bool ok = true;

    for (int round = 0; ok && count > 0 && round < MOST_ROUNDS; round++) {
        struct xml *xml = NULL;
        ok = list_page(session, key, &xml, err);
        count = 0;
        if (ok && xml != NULL) {
            ok = abort_page(session, key, xml_root(xml), &count, err);
        }
        xml_free(xml);
    }
    if (ok && count > 0) {
        ok = error_set(err, ERROR_FAILED, "the service lists uploads that were aborted");
    }
    return ok ? true : error_prefix(err, "looking for uploads of %s", key);
}

#include "store/azure/azure_object.h"

#include <string.h>

#include "store/object_reply.h"

#define REPLY_CAP   (64 * 1024)
#define META_PREFIX "x-ms-meta-"

/* `also` is one more status that means not found; or 0. */
static bool ask(const struct azure_session *session, const char *blob, const char *name, int also,
                struct object *out, bool *found, struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(REPLY_CAP);
    const struct azure_request request = {.method = "HEAD",
                                          .blob = blob,
                                          .encryption = AZURE_ENCRYPTION_READ,
                                          .answers = {404, also}};
    bool ok = azure_request_send(session, &request, &reply, err);

    if (ok) {
        *found = reply.status < 300;
        ok = !*found || object_reply_read(&reply, META_PREFIX, name, out, err);
    }
    http_reply_clear(&reply);
    return ok ? true : error_prefix(err, "asking for %s", blob);
}

bool azure_object_head(const struct azure_session *session, const char *blob, const char *name,
                       struct object *out, bool *found, struct error *err)
{
    return ask(session, blob, name, 0, out, found, err);
}

bool azure_object_head_encrypted(const struct azure_session *session, const char *blob,
                                 const char *name, struct object *out, bool *found,
                                 struct error *err)
{
    return ask(session, blob, name, 409, out, found, err);
}

static bool judge_removal(const struct azure_session *session, const struct http_reply *reply,
                          enum store_removal *result, struct error *err)
{
    char code[AZURE_REQUEST_CODE_SIZE];

    azure_request_code(reply, code);
    if (reply->status < 300) {
        *result = STORE_REMOVED;
    } else if (reply->status == 404) {
        *result = STORE_WAS_GONE;
    } else if (reply->status == 412 && strcmp(code, "ConditionNotMet") == 0) {
        *result = STORE_CHANGED;
    } else if (reply->status == 409 && strncmp(code, "BlobImmutable", 13) == 0) {
        *result = STORE_IMMUTABLE;
    } else {
        return azure_request_refuse(session, reply, err);
    }
    return true;
}

/* A condition on a blob that is not there fails like one on a blob that changed. */
static bool tell_gone_from_changed(const struct azure_session *session, const char *blob,
                                   enum store_removal *result, struct error *err)
{
    struct object object = OBJECT_INIT;
    bool found;
    bool ok = azure_object_head(session, blob, blob, &object, &found, err);

    if (ok) {
        *result = found ? STORE_CHANGED : STORE_WAS_GONE;
    }
    object_clear(&object);
    return ok;
}

bool azure_object_remove(const struct azure_session *session, const char *blob, const char *etag,
                         enum store_removal *result, struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(REPLY_CAP);
    char code[AZURE_REQUEST_CODE_SIZE];
    struct azure_request request = {.method = "DELETE",
                                    .blob = blob,
                                    .headers = {{"If-Match", etag}},
                                    .answers = {404, 409, 412}};
    bool ok = azure_request_send(session, &request, &reply, err);

    azure_request_code(&reply, code);
    if (ok && reply.status == 409 && strcmp(code, "SnapshotsPresent") == 0) {
        request.headers[1] = (struct http_header){"x-ms-delete-snapshots", "include"};
        ok = azure_request_send(session, &request, &reply, err);
    }
    ok = ok && judge_removal(session, &reply, result, err);
    http_reply_clear(&reply);
    if (ok && *result == STORE_CHANGED) {
        ok = tell_gone_from_changed(session, blob, result, err);
    }
    return ok ? true : error_prefix(err, "removing %s", blob);
}

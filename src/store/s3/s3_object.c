#include "store/s3/s3_object.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "store/backup_object.h"
#include "store/metadata_json.h"
#include "store/object_reply.h"

#define REPLY_CAP     (64 * 1024)
#define KEY_CAP       1024
#define META_BESIDE   "metadata"
#define MOST_OWN_SIZE 2048 /* "User-defined object metadata", names and values together */

bool s3_object_takes(const struct metadata *metadata)
{
    size_t size = 0;

    for (size_t i = 0; i < metadata->count; i++) {
        size += strlen(S3_META_PREFIX) + strlen(metadata->entries[i].name) +
                strlen(metadata->entries[i].value);
    }
    return size <= MOST_OWN_SIZE;
}

bool s3_object_refer(struct metadata *out, const char *run_id, struct error *err)
{
    return metadata_set(out, BACKUP_RUN_KEY, run_id, err) &&
           metadata_set(out, META_BESIDE, "beside", err);
}

static bool is_run_id(const char *run_id, size_t length)
{
    return length == METADATA_RUN_ID_DIGITS && strspn(run_id, "0123456789abcdef") >= length;
}

static bool name_metadata(struct text *out, const char *key, const char *run_id, struct error *err)
{
    text_appendf(out, "%s.%s" METADATA_SUFFIX, key, run_id);
    return !out->failed || error_set(err, ERROR_FAILED, "'%s' is too long for a key", key);
}

bool s3_object_put_metadata(const struct s3_session *session, const char *key, const char *run_id,
                            const struct metadata *metadata, struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(REPLY_CAP);
    struct text beside = TEXT_INIT(KEY_CAP);
    char *json = metadata_json_format(metadata);
    bool ok = json != NULL ? name_metadata(&beside, key, run_id, err) : error_set_memory(err);

    if (ok) {
        const struct s3_request request = {.method = "PUT",
                                           .key = text_string(&beside),
                                           .headers = {{"Content-Type", "application/json"}},
                                           .body = json,
                                           .body_size = strlen(json)};
        ok = s3_request_send(session, &request, &reply, err);
    }
    text_clear(&beside);
    free(json);
    http_reply_clear(&reply);
    return ok ? true : error_prefix(err, "storing the metadata of %s", key);
}

static bool delete (const struct s3_session *session, const char *key, const char *etag,
                    struct http_reply *reply, struct error *err)
{
    struct s3_request request = {.method = "DELETE", .key = key, .answers = {404, 409, 412, 501}};

    if (etag != NULL) {
        request.headers[0] = (struct http_header){"If-Match", etag};
    }
    return s3_request_send(session, &request, reply, err);
}

bool s3_object_remove_metadata(const struct s3_session *session, const char *key,
                               const char *run_id, struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(REPLY_CAP);
    struct text beside = TEXT_INIT(KEY_CAP);
    bool ok =
        name_metadata(&beside, key, run_id, err) &&
        delete (session, text_string(&beside), NULL, &reply, err) &&
        (reply.status < 300 || reply.status == 404 || s3_request_refuse(session, &reply, err));

    text_clear(&beside);
    http_reply_clear(&reply);
    return ok ? true : error_prefix(err, "removing the metadata of %s", key);
}

/* Metadata that are missing or damaged make the object nobody's, as "foreign" does. */
static bool read_metadata(const struct s3_session *session, const char *key, struct object *object,
                          struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(METADATA_JSON_CAP);
    struct text beside = TEXT_INIT(KEY_CAP);
    struct metadata metadata = METADATA_INIT;
    const char *run_id = metadata_get(&object->metadata, BACKUP_RUN_KEY);
    bool good = false;
    bool ok = true;

    if (run_id != NULL && is_run_id(run_id, strlen(run_id))) {
        ok = name_metadata(&beside, key, run_id, err);
        const struct s3_request request = {
            .method = "GET", .key = text_string(&beside), .answers = {404}};
        ok = ok && s3_request_send(session, &request, &reply, err);
        ok = ok &&
             (reply.status == 404 || metadata_json_parse(text_string(&reply.body),
                                                         reply.body.length, &metadata, &good, err));
    }
    if (ok && good) {
        metadata_clear(&object->metadata);
        object->metadata = metadata;
    }
    text_clear(&beside);
    http_reply_clear(&reply);
    return ok;
}

bool s3_object_peek(const struct s3_session *session, const char *key, struct object *out,
                    bool *found, struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(REPLY_CAP);
    const struct s3_request request = {.method = "HEAD", .key = key, .answers = {404}};
    bool ok = s3_request_send(session, &request, &reply, err);

    if (ok) {
        *found = reply.status != 404;
        ok = !*found || object_reply_read(&reply, S3_META_PREFIX, key, out, err);
    }
    http_reply_clear(&reply);
    return ok ? true : error_prefix(err, "asking for %s", key);
}

bool s3_object_head(const struct s3_session *session, const char *key, const char *name,
                    struct object *out, bool *found, struct error *err)
{
    struct object object = OBJECT_INIT;

    if (!s3_object_peek(session, key, &object, found, err)) {
        return false;
    }
    if (!*found) {
        return true;
    }
    free(object.name);
    object.name = text_copy(name);
    bool ok = object.name != NULL ? true : error_set_memory(err);
    if (ok && metadata_get(&object.metadata, META_BESIDE) != NULL) {
        ok = read_metadata(session, key, &object, err) ||
             error_prefix(err, "reading the metadata of %s", key);
    }
    if (ok) {
        *out = object;
    } else {
        object_clear(&object);
    }
    return ok;
}

/* With what is in it as its metadata; nobody's when that is damaged. */
static bool head_metadata(const struct s3_session *session, const char *key, const char *owner,
                          struct object *out, bool *found, struct error *err)
{
    char run_id[METADATA_RUN_ID_DIGITS + 1];

    snprintf(run_id, sizeof(run_id), "%s", key + strlen(owner) + 1);
    return s3_object_peek(session, key, out, found, err) &&
           (!*found || (metadata_set(&out->metadata, BACKUP_RUN_KEY, run_id, err) &&
                        read_metadata(session, owner, out, err)));
}

bool s3_object_head_orphan(const struct s3_session *session, const char *key, const char *name,
                           struct object *out, bool *found, struct error *err)
{
    struct object object = OBJECT_INIT;
    bool has_owner = false;
    char *owner = strndup(key, metadata_owner_length(key));
    bool ok = owner != NULL ? s3_object_peek(session, owner, &object, &has_owner, err)
                            : error_set_memory(err);

    *found = false;
    object_clear(&object);
    if (ok && !has_owner) {
        ok = head_metadata(session, key, owner, &object, found, err);
    }
    if (ok && *found) {
        free(object.name);
        object.name = text_copy(name);
        ok = object.name != NULL ? true : error_set_memory(err);
    }
    free(owner);
    if (ok && *found) {
        *out = object;
    } else {
        object_clear(&object);
    }
    return ok;
}

static bool judge_removal(const struct s3_session *session, const struct http_reply *reply,
                          enum store_removal *result, struct error *err)
{
    char code[S3_REQUEST_CODE_SIZE];

    s3_request_code(reply, code);
    if (reply->status < 300) {
        *result = STORE_REMOVED;
    } else if (strcmp(code, "ObjectLocked") == 0) {
        *result = STORE_IMMUTABLE;
    } else if (reply->status == 404 && strcmp(code, "NoSuchBucket") != 0) {
        *result = STORE_WAS_GONE;
    } else if (reply->status == 412) {
        *result = STORE_CHANGED;
    } else {
        return s3_request_refuse(session, reply, err);
    }
    return true;
}

static bool has_etag(const struct s3_session *session, const char *key, const char *etag,
                     bool *same, struct error *err)
{
    struct object object = OBJECT_INIT;
    bool found = false;
    bool ok = s3_object_peek(session, key, &object, &found, err);

    *same = ok && found && strcmp(object.etag, etag) == 0;
    object_clear(&object);
    return ok;
}

/* A service that does not know the condition says so (501), or takes no notice, or (Swift, of an
 * object in parts) compares it with an etag that it does not tell. */
static bool remove_unchanged(const struct s3_session *session, const char *key, const char *etag,
                             enum store_removal *result, struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(REPLY_CAP);
    bool ok = delete (session, key, etag, &reply, err);
    bool again = ok && reply.status == 501;

    if (ok && reply.status == 412) {
        ok = has_etag(session, key, etag, &again, err);
    }
    if (ok && again) {
        ok = delete (session, key, NULL, &reply, err);
    }
    ok = ok && judge_removal(session, &reply, result, err);
    http_reply_clear(&reply);
    return ok;
}

bool s3_object_remove(const struct s3_session *session, const char *key, const char *etag,
                      enum store_removal *result, struct error *err)
{
    struct object object = OBJECT_INIT;
    bool found = false;

    *result = STORE_WAS_GONE;
    if (!s3_object_peek(session, key, &object, &found, err)) {
        return false;
    }
    bool same = found && strcmp(object.etag, etag) == 0;
    bool ok = true;
    if (same) {
        ok = remove_unchanged(session, key, etag, result, err);
    } else if (found) {
        *result = STORE_CHANGED;
    }
    const char *run_id = metadata_get(&object.metadata, BACKUP_RUN_KEY);
    if (ok && same && (*result == STORE_REMOVED || *result == STORE_WAS_GONE) &&
        metadata_get(&object.metadata, META_BESIDE) != NULL && run_id != NULL) {
        ok = s3_object_remove_metadata(session, key, run_id, err);
    }
    object_clear(&object);
    return ok ? true : error_prefix(err, "removing %s", key);
}

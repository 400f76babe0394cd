#include "store/azure/azure_object.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/text.h"

#define REPLY_CAP   (64 * 1024)
#define META_PREFIX "x-ms-meta-"
#define ETAG_SIZE   128

bool azure_object_add_metadata(struct object *object, const char *name, const char *value,
                               struct error *err)
{
    char lower[METADATA_NAME_SIZE] = "";
    size_t length = strlen(name);

    for (size_t i = 0; i < length && length < sizeof(lower); i++) {
        lower[i] = (char)tolower((unsigned char)name[i]);
    }
    if (object->metadata.count == METADATA_MOST) {
        return true;
    }
    /* Somebody else's, and not to be taken for an object without metadata. */
    return metadata_allows(lower, value) ? metadata_set(&object->metadata, lower, value, err)
                                         : metadata_set(&object->metadata, "foreign", "yes", err);
}

bool azure_object_set_etag(struct object *object, const char *etag, struct error *err)
{
    char quoted[ETAG_SIZE];
    bool has_quotes = strchr(etag, '"') != NULL;

    if (*etag == '\0' || strlen(etag) + 3 > sizeof(quoted) || !text_is_printable_ascii(etag)) {
        return error_set(err, ERROR_FAILED, "its etag is missing or not one");
    }
    snprintf(quoted, sizeof(quoted), has_quotes ? "%s" : "\"%s\"", etag);
    free(object->etag);
    object->etag = text_copy(quoted);
    return object->etag != NULL ? true : error_set_memory(err);
}

static bool read_metadata(const struct http_reply *reply, struct object *object, struct error *err)
{
    struct http_reply_field field;
    size_t position = 0;
    bool ok = true;

    while (ok && http_reply_next(reply, &position, &field)) {
        char name[METADATA_NAME_SIZE];
        char value[METADATA_VALUE_SIZE];
        size_t prefix = strlen(META_PREFIX);
        if (field.name_length <= prefix || strncasecmp(field.name, META_PREFIX, prefix) != 0) {
            continue;
        }
        if (field.name_length - prefix >= sizeof(name) || field.value_length >= sizeof(value)) {
            ok = azure_object_add_metadata(object, "", "", err);
            continue;
        }
        snprintf(name, sizeof(name), "%.*s", (int)(field.name_length - prefix),
                 field.name + prefix);
        snprintf(value, sizeof(value), "%.*s", (int)field.value_length, field.value);
        ok = azure_object_add_metadata(object, name, value, err);
    }
    return ok;
}

static bool read_object(const struct http_reply *reply, const char *name, struct object *out,
                        struct error *err)
{
    struct object object = OBJECT_INIT;
    char length[32];
    char modified[CLOCK_HTTP_SIZE];
    char etag[ETAG_SIZE];
    int64_t bytes = 0;

    http_reply_header(reply, "ETag", etag, sizeof(etag));
    if (!http_reply_header(reply, "Content-Length", length, sizeof(length)) ||
        !text_parse_integer(length, 0, INT64_MAX, &bytes)) {
        error_set(err, ERROR_FAILED, "the reply has no Content-Length");
        goto failed;
    }
    object.bytes = (uint64_t)bytes;
    if (http_reply_header(reply, "Last-Modified", modified, sizeof(modified)) &&
        !clock_parse_http(modified, &object.modified_ms)) {
        error_set(err, ERROR_FAILED, "its Last-Modified is not a date");
        goto failed;
    }
    object.name = text_copy(name);
    if (object.name == NULL) {
        error_set_memory(err);
        goto failed;
    }
    if (!azure_object_set_etag(&object, etag, err) || !read_metadata(reply, &object, err)) {
        goto failed;
    }
    *out = object;
    return true;

failed:
    object_clear(&object);
    return false;
}

bool azure_object_head(const struct azure_session *session, const char *blob, const char *name,
                       struct object *out, bool *found, struct error *err)
{
    struct http_reply reply = HTTP_REPLY_INIT(REPLY_CAP);
    const struct azure_request request = {.method = "HEAD", .blob = blob, .answers = {404}};
    bool ok = azure_request_send(session, &request, &reply, err);

    if (ok) {
        *found = reply.status != 404;
        ok = !*found || read_object(&reply, name, out, err);
    }
    http_reply_clear(&reply);
    return ok ? true : error_prefix(err, "asking for %s", blob);
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

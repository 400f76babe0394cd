#include "store/object_reply.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/text.h"

#define ETAG_SIZE 128

bool object_reply_add_metadata(struct object *object, const char *name, const char *value,
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

bool object_reply_set_etag(struct object *object, const char *etag, struct error *err)
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

static bool read_metadata(const struct http_reply *reply, const char *metadata_prefix,
                          struct object *object, struct error *err)
{
    struct http_reply_field field;
    size_t position = 0;
    size_t prefix = strlen(metadata_prefix);
    bool ok = true;

    while (ok && http_reply_next(reply, &position, &field)) {
        char name[METADATA_NAME_SIZE];
        char value[METADATA_VALUE_SIZE];
        if (field.name_length <= prefix || strncasecmp(field.name, metadata_prefix, prefix) != 0) {
            continue;
        }
        if (field.name_length - prefix >= sizeof(name) || field.value_length >= sizeof(value)) {
            ok = object_reply_add_metadata(object, "", "", err);
            continue;
        }
        snprintf(name, sizeof(name), "%.*s", (int)(field.name_length - prefix),
                 field.name + prefix);
        snprintf(value, sizeof(value), "%.*s", (int)field.value_length, field.value);
        ok = object_reply_add_metadata(object, name, value, err);
    }
    return ok;
}

bool object_reply_read(const struct http_reply *reply, const char *metadata_prefix,
                       const char *name, struct object *out, struct error *err)
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
    if (!object_reply_set_etag(&object, etag, err) ||
        !read_metadata(reply, metadata_prefix, &object, err)) {
        goto failed;
    }
    *out = object;
    return true;

failed:
    object_clear(&object);
    return false;
}

#include "store/azure/azure_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/azure/azure_object.h"
#include "store/object_pages.h"
#include "store/object_reply.h"
#include "store/xml.h"

#define NAME_CAP  (1024 * 3) /* 1024 characters, each of them percent-encoded at most */
#define VALUE_CAP (8 * 1024)
/* The one value of a blob whose own are encrypted: like "foreign", it makes it nobody's. */
#define ENCRYPTED "encrypted"

/* A name with characters that XML cannot hold comes percent-encoded, and says so. */
static bool read_name(const struct xml_node *blob, struct text *out, struct error *err)
{
    const struct xml_node *name = xml_first(blob, "Name");
    struct text raw = TEXT_INIT(NAME_CAP);
    bool ok = xml_text(name, &raw) && raw.length > 0;

    text_clear(out);
    if (ok && xml_attribute_is(name, "Encoded", "true")) {
        ok = http_append_decoded(out, text_string(&raw), raw.length);
    } else if (ok) {
        text_append_bytes(out, raw.data, raw.length);
    }
    text_clear(&raw);
    return ok && !out->failed ? true : error_set(err, ERROR_FAILED, "a blob without a valid Name");
}

static bool name_object(const struct azure_list *list, const char *name, struct object *object,
                        struct error *err)
{
    size_t folder = strlen(list->folder);
    size_t prefix = strlen(list->prefix);

    if (strncmp(name, list->folder, folder) != 0 ||
        strncmp(name + folder, list->prefix, prefix) != 0) {
        return error_set(err, ERROR_FAILED, "blob '%s' is not under the prefix asked for", name);
    }
    object->name = text_copy(name + folder);
    return object->name != NULL ? true : error_set_memory(err);
}

static bool read_properties(const struct xml_node *blob, struct object *object, struct error *err)
{
    const struct xml_node *properties = xml_first(blob, "Properties");
    struct text value = TEXT_INIT(VALUE_CAP);
    int64_t bytes = 0;
    bool ok = xml_child_text(properties, "Content-Length", &value) &&
              text_parse_integer(text_string(&value), 0, INT64_MAX, &bytes);

    object->bytes = (uint64_t)bytes;
    if (!ok) {
        error_set(err, ERROR_FAILED, "blob '%s' without a valid Content-Length", object->name);
    } else if (xml_first(properties, "Last-Modified") != NULL) {
        ok = xml_child_text(properties, "Last-Modified", &value) &&
             clock_parse_http(text_string(&value), &object->modified_ms);
        if (!ok) {
            error_set(err, ERROR_FAILED, "blob '%s' without a valid Last-Modified", object->name);
        }
    }
    if (ok) {
        xml_child_text(properties, "Etag", &value);
        ok = object_reply_set_etag(object, text_string(&value), err) ||
             error_prefix(err, "blob '%s'", object->name);
    }
    text_clear(&value);
    return ok;
}

static bool read_metadata(const struct xml_node *blob, struct object *object, struct error *err)
{
    const struct xml_node *metadata = xml_first(blob, "Metadata");
    const struct xml_node *entry = xml_first(metadata, NULL);
    struct text value = TEXT_INIT(VALUE_CAP);
    bool ok = !xml_attribute_is(metadata, "Encrypted", "true") ||
              metadata_set(&object->metadata, ENCRYPTED, "yes", err);

    for (; ok && entry != NULL; entry = xml_next(entry, NULL)) {
        ok = xml_text(entry, &value);
        if (!ok) {
            error_set(err, ERROR_FAILED, "blob '%s' with metadata that are not text", object->name);
        } else {
            ok = object_reply_add_metadata(object, xml_name(entry), text_string(&value), err);
        }
    }
    text_clear(&value);
    return ok;
}

static bool child_is(const struct xml_node *node, const char *name, const char *value)
{
    struct text text = TEXT_INIT(64);
    bool is = xml_child_text(node, name, &text) && strcmp(text_string(&text), value) == 0;

    text_clear(&text);
    return is;
}

/* Snapshots, versions and deleted blobs are not asked for, and none of them is the blob itself. */
static bool is_current(const struct xml_node *blob)
{
    return xml_first(blob, "Snapshot") == NULL && !child_is(blob, "Deleted", "true") &&
           !child_is(blob, "IsCurrentVersion", "false");
}

static bool read_blob(const struct azure_list *list, const struct xml_node *blob,
                      struct objects *out, struct error *err)
{
    struct object object = OBJECT_INIT;
    struct text name = TEXT_INIT(NAME_CAP);
    bool ok = read_name(blob, &name, err) && name_object(list, text_string(&name), &object, err) &&
              read_properties(blob, &object, err) && read_metadata(blob, &object, err) &&
              objects_add(out, &object, err);

    object_clear(&object);
    text_clear(&name);
    return ok;
}

static bool read_page(const struct azure_list *list, const struct xml_node *root,
                      struct objects *out, struct text *marker, struct error *err)
{
    const struct xml_node *blobs = xml_first(root, "Blobs");

    if (strcmp(xml_name(root), "EnumerationResults") != 0 || blobs == NULL) {
        return error_set(err, ERROR_FAILED, "the reply is not a list of blobs");
    }
    for (const struct xml_node *blob = xml_first(blobs, NULL); blob != NULL;
         blob = xml_next(blob, NULL)) {
        if (strcmp(xml_name(blob), "Blob") != 0) {
            return error_set(err, ERROR_FAILED, "the list has an element <%s>, not asked for",
                             xml_name(blob));
        }
        if (is_current(blob) && !read_blob(list, blob, out, err)) {
            return false;
        }
    }
    /* The service writes it empty on the last page: without it, nobody knows whether this is it. */
    if (!xml_child_text(root, "NextMarker", marker)) {
        return error_set(err, ERROR_FAILED, "the list does not say whether there is more of it");
    }
    return true;
}

bool azure_list_parse(const struct azure_list *list, const void *page, size_t size,
                      struct objects *out, struct text *marker, struct error *err)
{
    struct xml *xml = xml_parse(page, size, err);
    bool ok = xml != NULL && read_page(list, xml_root(xml), out, marker, err);

    xml_free(xml);
    return ok;
}

struct inquiry {
    const struct azure_session *session;
    const struct azure_list *list;
};

/* Not in the midst of a list. */
static bool is_absent(const struct http_reply *reply, const struct text *marker)
{
    char code[AZURE_REQUEST_CODE_SIZE];

    azure_request_code(reply, code);
    return marker->length == 0 && strcmp(code, "ContainerNotFound") == 0;
}

static bool read_reply(const struct azure_session *session, const struct azure_list *list,
                       const struct http_reply *reply, struct objects *out, struct text *marker,
                       struct error *err)
{
    if (reply->status == 404) {
        return is_absent(reply, marker) || azure_request_refuse(session, reply, err);
    }
    return azure_list_parse(list, reply->body.data, reply->body.length, out, marker, err);
}

static bool fetch_page(void *context, struct objects *out, struct text *marker, struct error *err)
{
    const struct inquiry *inquiry = context;
    const struct azure_session *session = inquiry->session;
    const struct azure_list *list = inquiry->list;
    struct http_reply reply = HTTP_REPLY_INIT(XML_CAP);
    struct text prefix = TEXT_INIT(NAME_CAP);
    char size[16];
    struct azure_request request = {.method = "GET", .answers = {list->absent_is_empty ? 404 : 0}};
    size_t count = 0;
    bool ok;

    snprintf(size, sizeof(size), "%d", list->page_blobs);
    text_appendf(&prefix, "%s%s", list->folder, list->prefix);
    request.parameters[count++] = (struct http_header){"restype", "container"};
    request.parameters[count++] = (struct http_header){"comp", "list"};
    request.parameters[count++] = (struct http_header){"include", "metadata"};
    request.parameters[count++] = (struct http_header){"maxresults", size};
    if (prefix.length > 0) {
        request.parameters[count++] = (struct http_header){"prefix", text_string(&prefix)};
    }
    if (marker->length > 0) {
        request.parameters[count++] = (struct http_header){"marker", text_string(marker)};
    }
    if (prefix.failed) {
        ok = error_set(err, ERROR_FAILED, "a prefix that is too long, or out of memory");
    } else {
        ok = azure_request_send(session, &request, &reply, err) &&
             read_reply(session, list, &reply, out, marker, err);
    }
    text_clear(&prefix);
    http_reply_clear(&reply);
    return ok;
}

/* A list has no metadata of blobs that are encrypted with a customer-provided key: they are asked
 * for one by one. With another key, or without one, they stay nobody's. */
static bool decrypt(const struct azure_session *session, const struct azure_list *list,
                    struct objects *objects, struct error *err)
{
    struct text blob = TEXT_INIT(NAME_CAP);
    bool ok = true;

    for (size_t i = 0; ok && i < objects->count; i++) {
        struct object *object = &objects->items[i];
        struct object known = OBJECT_INIT;
        bool found = false;
        if (metadata_get(&object->metadata, ENCRYPTED) == NULL) {
            continue;
        }
        text_clear(&blob);
        text_appendf(&blob, "%s%s", list->folder, object->name);
        ok = azure_object_head_encrypted(session, text_string(&blob), object->name, &known, &found,
                                         err);
        if (ok && found) {
            object_clear(object);
            *object = known;
        }
    }
    text_clear(&blob);
    return ok;
}

bool azure_list_all(const struct azure_session *session, const struct azure_list *list,
                    struct objects *out, struct error *err)
{
    struct inquiry inquiry = {.session = session, .list = list};

    struct objects objects = OBJECTS_INIT;
    bool ok = object_pages_read(fetch_page, &inquiry, &objects, err) &&
              (session->options->key[0] == '\0' || decrypt(session, list, &objects, err));

    if (!ok) {
        objects_clear(&objects);
        return error_prefix(err, "listing container %s", session->container);
    }
    *out = objects;
    return true;
}

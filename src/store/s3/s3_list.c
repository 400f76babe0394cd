#include "store/s3/s3_list.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/object_pages.h"
#include "store/object_reply.h"
#include "store/s3/s3_object.h"
#include "store/xml.h"

#define KEY_CAP   (1024 * 3) /* 1024 bytes, each of them percent-encoded at most */
#define VALUE_CAP 1024
#define PAGE      "1000"

/* Percent-encoded, for that was asked for, where the service says that it did; '+' is a blank in
 * what some services write. */
static bool read_key(const struct xml_node *entry, bool encoded, struct text *out,
                     struct error *err)
{
    struct text raw = TEXT_INIT(KEY_CAP);
    bool ok = xml_child_text(entry, "Key", &raw) && raw.length > 0;

    text_clear(out);
    if (ok && encoded) {
        for (char *c = raw.data; *c != '\0'; c++) {
            *c = *c == '+' ? ' ' : *c;
        }
        ok = http_append_decoded(out, raw.data, raw.length);
    } else if (ok) {
        text_append_bytes(out, raw.data, raw.length);
    }
    text_clear(&raw);
    return ok && !out->failed ? true
                              : error_set(err, ERROR_FAILED, "an object without a valid Key");
}

static bool name_object(const struct s3_list *list, const char *key, struct object *object,
                        struct error *err)
{
    size_t folder = strlen(list->folder);

    if (strncmp(key, list->folder, folder) != 0 ||
        strncmp(key + folder, list->prefix, strlen(list->prefix)) != 0) {
        return error_set(err, ERROR_FAILED, "object '%s' is not under the prefix asked for", key);
    }
    object->name = text_copy(key + folder);
    return object->name != NULL ? true : error_set_memory(err);
}

static bool read_entry(const struct s3_list *list, const struct xml_node *entry, bool encoded,
                       struct objects *out, struct error *err)
{
    struct object object = OBJECT_INIT;
    struct text text = TEXT_INIT(KEY_CAP);
    int64_t bytes = 0;
    bool ok = read_key(entry, encoded, &text, err);

    ok = ok && name_object(list, text_string(&text), &object, err);
    if (ok && !(xml_child_text(entry, "Size", &text) &&
                text_parse_integer(text_string(&text), 0, INT64_MAX, &bytes))) {
        ok = error_set(err, ERROR_FAILED, "object '%s' without a valid Size", object.name);
    }
    object.bytes = (uint64_t)bytes;
    if (ok) {
        xml_child_text(entry, "ETag", &text);
        ok = object_reply_set_etag(&object, text_string(&text), err) ||
             error_prefix(err, "object '%s'", object.name);
    }
    ok = ok && objects_add(out, &object, err);
    object_clear(&object);
    text_clear(&text);
    return ok;
}

static bool read_end(const struct xml_node *root, struct text *token, struct error *err)
{
    struct text truncated = TEXT_INIT(16);
    bool told = xml_child_text(root, "IsTruncated", &truncated);
    bool more = told && strcmp(text_string(&truncated), "true") == 0;
    bool last = told && strcmp(text_string(&truncated), "false") == 0;

    text_clear(&truncated);
    text_clear(token);
    if (!more && !last) {
        return error_set(err, ERROR_FAILED, "the list does not say whether there is more of it");
    }
    if (more && !(xml_child_text(root, "NextContinuationToken", token) && token->length > 0)) {
        return error_set(err, ERROR_FAILED, "the list does not say where its next page begins");
    }
    return true;
}

static bool read_page(const struct s3_list *list, const struct xml_node *root, struct objects *out,
                      struct text *token, struct error *err)
{
    bool encoded = xml_first(root, "EncodingType") != NULL;

    if (strcmp(xml_name(root), "ListBucketResult") != 0) {
        return error_set(err, ERROR_FAILED, "the reply is not a list of objects");
    }
    for (const struct xml_node *entry = xml_first(root, "Contents"); entry != NULL;
         entry = xml_next(entry, "Contents")) {
        if (!read_entry(list, entry, encoded, out, err)) {
            return false;
        }
    }
    return read_end(root, token, err);
}

bool s3_list_parse(const struct s3_list *list, const void *page, size_t size, struct objects *out,
                   struct text *token, struct error *err)
{
    struct xml *xml = xml_parse(page, size, err);
    bool ok = xml != NULL && read_page(list, xml_root(xml), out, token, err);

    xml_free(xml);
    return ok;
}

struct inquiry {
    const struct s3_session *session;
    const struct s3_list *list;
};

static bool read_reply(const struct inquiry *inquiry, const struct http_reply *reply,
                       struct objects *out, struct text *token, struct error *err)
{
    char code[S3_REQUEST_CODE_SIZE];

    if (reply->status < 300) {
        return s3_list_parse(inquiry->list, reply->body.data, reply->body.length, out, token, err);
    }
    /* Not in the midst of a list. */
    s3_request_code(reply, code);
    return (token->length == 0 && strcmp(code, "NoSuchBucket") == 0) ||
           s3_request_refuse(inquiry->session, reply, err);
}

static bool fetch_page(void *context, struct objects *out, struct text *token, struct error *err)
{
    const struct inquiry *inquiry = context;
    const struct s3_list *list = inquiry->list;
    struct http_reply reply = HTTP_REPLY_INIT(XML_CAP);
    struct text prefix = TEXT_INIT(KEY_CAP);
    struct s3_request request = {
        .method = "GET",
        .parameters = {{"list-type", "2"}, {"max-keys", PAGE}, {"encoding-type", "url"}},
        .answers = {list->absent_is_empty ? 404 : 0},
    };

    text_appendf(&prefix, "%s%s", list->folder, list->prefix);
    request.parameters[3] = (struct http_header){"prefix", text_string(&prefix)};
    if (token->length > 0) {
        request.parameters[4] = (struct http_header){"continuation-token", text_string(token)};
    }
    bool ok = prefix.failed
                  ? error_set(err, ERROR_FAILED, "a prefix that is too long, or out of memory")
                  : s3_request_send(inquiry->session, &request, &reply, err) &&
                        read_reply(inquiry, &reply, out, token, err);
    text_clear(&prefix);
    http_reply_clear(&reply);
    return ok;
}

/* Whether the object of this name is among the first `count`, which services sort. */
static bool is_listed(const struct objects *objects, size_t count, const char *name, size_t length)
{
    for (size_t i = count; i > 0; i--) {
        const char *other = objects->items[i - 1].name;
        int order = strncmp(other, name, length);
        if (order == 0 && other[length] == '\0') {
            return true;
        }
        if (order < 0) {
            break;
        }
    }
    return false;
}

/* Metadata beside an object are a part of it. */
static void drop_metadata(struct objects *objects)
{
    size_t kept = 0;

    for (size_t i = 0; i < objects->count; i++) {
        struct object *object = &objects->items[i];
        size_t owner = metadata_owner_length(object->name);
        if (owner > 0 && is_listed(objects, kept, object->name, owner)) {
            object_clear(object);
        } else {
            objects->items[kept++] = *object;
        }
    }
    objects->count = kept;
}

/* One that is gone since it was listed is not there. */
static bool add_metadata(const struct s3_session *session, const struct s3_list *list,
                         struct objects *objects, struct error *err)
{
    struct text key = TEXT_INIT(KEY_CAP);
    size_t kept = 0;
    bool ok = true;

    for (size_t i = 0; ok && i < objects->count; i++) {
        struct object known = OBJECT_INIT;
        bool found = false;
        text_clear(&key);
        text_appendf(&key, "%s%s", list->folder, objects->items[i].name);
        const char *name = objects->items[i].name;
        bool is_orphan = metadata_owner_length(name) > 0;
        ok = key.failed ? error_set_memory(err)
             : is_orphan
                 ? s3_object_head_orphan(session, text_string(&key), name, &known, &found, err)
                 : s3_object_head(session, text_string(&key), name, &known, &found, err);
        object_clear(&objects->items[i]);
        if (ok && found) {
            objects->items[kept++] = known;
        }
    }
    if (ok) {
        objects->count = kept;
    }
    text_clear(&key);
    return ok;
}

bool s3_list_all(const struct s3_session *session, const struct s3_list *list, struct objects *out,
                 struct error *err)
{
    struct inquiry inquiry = {.session = session, .list = list};
    struct objects objects = OBJECTS_INIT;
    bool ok = object_pages_read(fetch_page, &inquiry, &objects, err);

    drop_metadata(&objects);
    ok = ok && add_metadata(session, list, &objects, err);
    if (ok) {
        *out = objects;
        return true;
    }
    objects_clear(&objects);
    return error_prefix(err, "listing bucket %s", session->bucket->name);
}

bool s3_list_probe(const struct s3_session *session, const struct s3_list *list, struct error *err)
{
    struct inquiry inquiry = {.session = session, .list = list};
    struct objects objects = OBJECTS_INIT;
    struct text token = TEXT_INIT(OBJECT_PAGES_MARKER_CAP);
    bool ok = fetch_page(&inquiry, &objects, &token, err);

    objects_clear(&objects);
    text_clear(&token);
    return ok;
}

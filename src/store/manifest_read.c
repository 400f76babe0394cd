#include "store/manifest_read.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_memory.h"
#include "base/text.h"
#include "store/json_window.h"
#include "store/manifest.h"
#include "store/manifest_check.h"
#include "store/manifest_element.h"
#include "store/manifest_field.h"

#define KEY_MOST 255

static const struct manifest_place outermost = {.array = NULL};

struct reader {
    struct json_window *window;
    json_t *top; /* the outermost object; NULL stands for what is not needed or kept elsewhere */
    struct manifest_copy copy;
    struct manifest_parts parts; /* its segments go to the copy when all are read */
};

struct array {
    const char *key;
    size_t most;
    bool (*take)(struct manifest_parts *parts, const struct manifest_place *place,
                 const json_t *element, struct error *err);
};

static bool read_element(struct reader *reader, const struct array *array, size_t index,
                         struct error *err)
{
    const struct manifest_place place = {.array = array->key, .index = index};
    json_t *element;

    if (index == array->most) {
        return error_set(err, ERROR_DAMAGED, "%s has more than the %zu elements allowed",
                         array->key, array->most);
    }
    if (!json_window_value(reader->window, &element, err)) {
        return error_prefix(err, "%s[%zu]", array->key, index);
    }
    bool ok = json_is_object(element)
                  ? array->take(&reader->parts, &place, element, err)
                  : error_set(err, ERROR_DAMAGED, "%s[%zu] is not an object", array->key, index);
    json_decref(element);
    return ok;
}

static bool read_array(struct reader *reader, const struct array *array, struct error *err)
{
    int next;

    if (!json_window_take(reader->window, '[', err)) {
        return error_prefix(err, "%s", array->key);
    }
    if (!json_window_peek(reader->window, &next, err)) {
        return false;
    }
    for (size_t i = 0; i == 0 ? next != ']' : next == ','; i++) {
        if ((i > 0 && !json_window_take(reader->window, ',', err)) ||
            !read_element(reader, array, i, err) || !json_window_peek(reader->window, &next, err)) {
            return false;
        }
    }
    return json_window_take(reader->window, ']', err) ? true : error_prefix(err, "%s", array->key);
}

static bool set_top(struct reader *reader, const char *key, json_t *value, struct error *err)
{
    unsigned refusals = json_memory_refusals();
    int result = json_object_set_new(reader->top, key, value);

    return result == 0 && json_memory_refusals() == refusals ? true : error_set_memory(err);
}

/* What it is, before anything that is only found in what it is. */
static bool check_form(const char *key, const json_t *value, struct error *err)
{
    if (strcmp(key, "format") == 0 &&
        (!json_is_string(value) || strcmp(json_string_value(value), MANIFEST_FORMAT) != 0)) {
        return manifest_field_refuse(&outermost, key, "is not '" MANIFEST_FORMAT "'", err);
    }
    if (strcmp(key, "version") != 0) {
        return true;
    }
    if (!json_is_integer(value) || json_integer_value(value) < 1) {
        return manifest_field_refuse(&outermost, key, "is not a whole number from 1 on", err);
    }
    if (json_integer_value(value) > MANIFEST_VERSION) {
        error_set(err, ERROR_FAILED,
                  "it is of version %" JSON_INTEGER_FORMAT ", and this program reads version %d",
                  json_integer_value(value), MANIFEST_VERSION);
        return error_hint(err, "use a newer rythm-backup");
    }
    return true;
}

/* The texts of the outermost object. */
static const struct top_text {
    const char *key;
    size_t offset; /* in struct manifest_copy */
    size_t size;
    enum { TEXT_REQUIRED, TEXT_OR_NULL, TEXT_IF_ANY, NAME_OR_NULL } form;
} top_texts[] = {
#define TOP_TEXT(key, member, form)                                                                \
    {                                                                                              \
        key, offsetof(struct manifest_copy, member), sizeof(((struct manifest_copy *)0)->member),  \
            form                                                                                   \
    }
    TOP_TEXT("name", name, TEXT_REQUIRED),
    TOP_TEXT("run", facts.run_id, TEXT_REQUIRED),
    TOP_TEXT("schedule", facts.schedule_id, TEXT_OR_NULL),
    TOP_TEXT("type", facts.type, TEXT_REQUIRED),
    TOP_TEXT("database", facts.database, NAME_OR_NULL),
    TOP_TEXT("ledger", facts.ledger, NAME_OR_NULL),
    TOP_TEXT("system", facts.system, TEXT_OR_NULL),
    TOP_TEXT("server_version", facts.server_version, TEXT_REQUIRED),
    TOP_TEXT("tool_version", facts.tool_version, TEXT_REQUIRED),
    TOP_TEXT("engine", facts.engine, TEXT_REQUIRED),
    TOP_TEXT("encoding", encoding, TEXT_REQUIRED),
    TOP_TEXT("locale_provider", locale.provider, TEXT_IF_ANY),
    TOP_TEXT("collate", locale.collate, TEXT_IF_ANY),
    TOP_TEXT("ctype", locale.ctype, TEXT_IF_ANY),
    TOP_TEXT("locale", locale.locale, TEXT_IF_ANY),
    TOP_TEXT("icu_rules", locale.icu_rules, TEXT_IF_ANY),
    TOP_TEXT("compression", facts.compression, TEXT_REQUIRED),
    TOP_TEXT("sha256", facts.sha256, TEXT_REQUIRED),
#undef TOP_TEXT
};
#define TOP_TEXT_COUNT (sizeof(top_texts) / sizeof(top_texts[0]))

/* Are the values of this key needed once the outermost object is read? */
static bool is_kept(const char *key)
{
    static const char *const others[] = {"format",     "version",    "database_hex", "ledger_hex",
                                         "encryption", "occurrence", "bytes",        "snapshot_at",
                                         "raw_bytes",  "rows"};

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (strcmp(key, others[i]) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < TOP_TEXT_COUNT; i++) {
        if (strcmp(key, top_texts[i].key) == 0) {
            return true;
        }
    }
    return false;
}

static bool read_value(struct reader *reader, const char *key, struct error *err)
{
    static const struct array arrays[] = {
        {"tables", MANIFEST_MOST_TABLES, manifest_element_table},
        {"scope", MANIFEST_MOST_CHOICES, manifest_element_choice},
        {"left_out", MANIFEST_MOST_TABLES, manifest_element_left_out},
        {"segments", MANIFEST_MOST_SEGMENTS, manifest_element_segment}};
    json_t *value;

    for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++) {
        if (strcmp(key, arrays[i].key) == 0) {
            return read_array(reader, &arrays[i], err) && set_top(reader, key, json_null(), err);
        }
    }
    if (!json_window_value(reader->window, &value, err)) {
        return error_prefix(err, "%s", key);
    }
    if (!check_form(key, value, err)) {
        json_decref(value);
        return false;
    }
    if (!is_kept(key)) {
        json_decref(value);
        value = json_null();
    }
    return set_top(reader, key, value, err);
}

static bool read_key(struct reader *reader, char key[KEY_MOST + 1], struct error *err)
{
    json_t *value;

    if (!json_window_value(reader->window, &value, err)) {
        return false;
    }
    bool ok = json_is_string(value) && json_string_length(value) <= KEY_MOST;
    if (ok) {
        memcpy(key, json_string_value(value), json_string_length(value) + 1);
    } else {
        error_set(err, ERROR_DAMAGED, "a key is not a text of at most %d bytes", KEY_MOST);
    }
    json_decref(value);
    return ok;
}

static bool read_member(struct reader *reader, struct error *err)
{
    char key[KEY_MOST + 1];

    if (!read_key(reader, key, err)) {
        return false;
    }
    if (json_object_get(reader->top, key) != NULL) {
        return manifest_field_refuse(&outermost, key, "is there twice", err);
    }
    if (json_object_size(reader->top) == MANIFEST_MOST_KEYS) {
        return error_set(err, ERROR_DAMAGED, "it has more than the %d keys allowed",
                         MANIFEST_MOST_KEYS);
    }
    return json_window_take(reader->window, ':', err) && read_value(reader, key, err);
}

static bool read_outermost(struct reader *reader, struct error *err)
{
    int next = ',';

    if (!json_window_take(reader->window, '{', err)) {
        return false;
    }
    for (bool first = true; next == ','; first = false) {
        if ((!first && !json_window_take(reader->window, ',', err)) || !read_member(reader, err) ||
            !json_window_peek(reader->window, &next, err)) {
            return false;
        }
    }
    if (!json_window_take(reader->window, '}', err) ||
        !json_window_peek(reader->window, &next, err)) {
        return false;
    }
    return next == -1 || error_set(err, ERROR_DAMAGED, "something follows its end");
}

static bool take_text(struct reader *reader, const struct top_text *text, struct error *err)
{
    char *out = (char *)&reader->copy + text->offset;

    switch (text->form) {
    case TEXT_REQUIRED:
        return manifest_field_text(&outermost, reader->top, text->key, out, text->size, err);
    case TEXT_IF_ANY:
        if (json_object_get(reader->top, text->key) == NULL) {
            out[0] = '\0';
            return true;
        }
        break;
    case TEXT_OR_NULL:
        break;
    case NAME_OR_NULL:
        return manifest_field_name(&outermost, reader->top, text->key, true, out, text->size, err);
    }
    return manifest_field_text_or_null(&outermost, reader->top, text->key, out, text->size, err);
}

static bool take_texts(struct reader *reader, struct error *err)
{
    bool ok = true;

    for (size_t i = 0; ok && i < TOP_TEXT_COUNT; i++) {
        ok = take_text(reader, &top_texts[i], err);
    }
    return ok;
}

static bool is_one_of(const char *text, const char *const allowed[])
{
    for (size_t i = 0; allowed[i] != NULL; i++) {
        if (strcmp(text, allowed[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* What a later version may write is not damage. */
static bool refuse_newer(const char *key, const char *what, struct error *err)
{
    manifest_field_refuse(&outermost, key, what, err);
    err->kind = ERROR_FAILED;
    return error_hint(err, "use a newer rythm-backup");
}

static bool check_words(const struct manifest_copy *copy, struct error *err)
{
    static const char *const types[] = {"scheduled", "manual", NULL};
    static const char *const engines[] = {"parallel", NULL};
    static const char *const compressions[] = {"zstd", "gzip", "none", NULL};
    const struct backup_facts *facts = &copy->facts;

    return (is_one_of(facts->type, types) ||
            manifest_field_refuse(&outermost, "type", "is neither scheduled nor manual", err)) &&
           (is_one_of(facts->engine, engines) || refuse_newer("engine", "is not parallel", err)) &&
           (is_one_of(facts->compression, compressions) ||
            refuse_newer("compression", "is not zstd, gzip or none", err));
}

/* What the outermost object says beside its arrays. */
static bool take_facts(struct reader *reader, struct error *err)
{
    struct manifest_copy *copy = &reader->copy;
    struct backup_facts *facts = &copy->facts;
    static const char *const required[] = {"format", "version", "tables", "segments"};
    unsigned char sha256[DIGEST_SHA256_SIZE];
    bool known;

    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
        if (json_object_get(reader->top, required[i]) == NULL) {
            return manifest_field_refuse(&outermost, required[i], "is missing", err);
        }
    }
    const json_t *encryption = json_object_get(reader->top, "encryption");
    if (encryption == NULL) {
        return manifest_field_refuse(&outermost, "encryption", "is missing", err);
    }
    if (!json_is_null(encryption)) {
        return refuse_newer("encryption", "is not null: this program reads no encrypted backups",
                            err);
    }
    facts->has_rows = true;
    facts->tables = reader->parts.segments.table_count;
    return take_texts(reader, err) && check_words(copy, err) &&
           manifest_field_sha256(&outermost, reader->top, sha256, err) &&
           manifest_field_instant(&outermost, reader->top, "occurrence", &facts->has_occurrence,
                                  &facts->occurrence_ms, err) &&
           manifest_field_instant(&outermost, reader->top, "snapshot_at", &known,
                                  &copy->snapshot_ms, err) &&
           manifest_field_count(&outermost, reader->top, "bytes", &facts->bytes, err) &&
           manifest_field_count(&outermost, reader->top, "raw_bytes", &facts->raw_bytes, err) &&
           manifest_field_count(&outermost, reader->top, "rows", &facts->rows, err);
}

/* Also of what could not be understood: that it was changed explains that best. */
static bool check_digest(struct reader *reader, const struct backup_facts *facts, bool understood,
                         struct error *err)
{
    char hex[DIGEST_HEX_SIZE(DIGEST_SHA256_SIZE)];
    struct error problem = ERROR_INIT;

    if (facts->manifest_sha256[0] == '\0') {
        return understood;
    }
    if (!json_window_digest(reader->window, hex, &problem)) {
        *err = understood ? problem : *err;
        return false;
    }
    if (strcmp(hex, facts->manifest_sha256) == 0) {
        return understood;
    }
    error_set(err, ERROR_DAMAGED,
              "its SHA-256 is %s, and the backup's metadata say %s: it is not the one that was "
              "stored with the backup",
              hex, facts->manifest_sha256);
    return false;
}

static bool read_all(struct reader *reader, const struct backup_object *backup, struct error *err)
{
    struct backup_facts *facts = &reader->copy.facts;

    reader->top = json_object();
    if (reader->top == NULL) {
        return error_set_memory(err);
    }
    bool ok = read_outermost(reader, err) && take_facts(reader, err);
    reader->copy.segments = reader->parts.segments;
    reader->parts.segments = (struct segments){.items = NULL};
    reader->copy.scope = reader->parts.scope;
    reader->parts.scope = (struct scope){.lists = {NULL}};
    ok = ok && manifest_check(&reader->copy, reader->parts.claims, backup, err);
    if (!check_digest(reader, &backup->facts, ok, err)) {
        return false;
    }
    facts->duration_ms = backup->facts.duration_ms;
    memcpy(facts->source, backup->facts.source, sizeof(facts->source));
    memcpy(facts->schemas, backup->facts.schemas, sizeof(facts->schemas));
    memcpy(facts->manifest_sha256, backup->facts.manifest_sha256, sizeof(facts->manifest_sha256));
    return true;
}

static bool read_object(struct store *store, const struct object *object,
                        const struct backup_object *backup, struct manifest_copy *out,
                        struct error *err)
{
    struct reader reader = {.window = NULL};
    struct download *download = NULL;
    bool ok = false;

    if (object->bytes > MANIFEST_MOST_BYTES) {
        error_set(err, ERROR_DAMAGED, "it has %" PRIu64 " bytes, more than the %" PRIu64 " allowed",
                  object->bytes, MANIFEST_MOST_BYTES);
        goto done;
    }
    if (!store_download_open(store, object, &download, err)) {
        goto done;
    }
    reader.window = json_window_new(download, object->bytes, err);
    if (reader.window == NULL || !read_all(&reader, backup, err)) {
        goto done;
    }
    *out = reader.copy;
    reader.copy = (struct manifest_copy){.name = ""};
    ok = true;

done:
    manifest_copy_clear(&reader.copy);
    manifest_parts_clear(&reader.parts);
    json_decref(reader.top);
    json_window_free(reader.window);
    store_download_close(download);
    return ok;
}

bool manifest_read(struct store *store, const struct backup_object *backup,
                   struct manifest_copy *out, bool *found, struct error *err)
{
    char name[MANIFEST_NAME_SIZE];
    struct object object = OBJECT_INIT;

    *found = false;
    if (backup->legacy) {
        return true;
    }
    manifest_name(name, backup->object->name);
    bool there = false;
    bool ok = store_head(store, name, &object, &there, err);
    if (ok && there) {
        ok = read_object(store, &object, backup, out, err);
        *found = ok;
    }
    object_clear(&object);
    return ok ? true : error_prefix(err, "reading the manifest %s", name);
}

void manifest_copy_clear(struct manifest_copy *manifest)
{
    segments_clear(&manifest->segments);
    scope_clear(&manifest->scope);
    *manifest = (struct manifest_copy){.name = ""};
}

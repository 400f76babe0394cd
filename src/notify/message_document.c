#include "notify/message_document.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_memory.h"

static json_t *format_item(const struct message_item *item)
{
    json_t *object = json_object();

    for (int i = 0; i < FACT_COUNT; i++) {
        if (item->values[i] == NULL) {
            continue;
        }
        json_object_set_new(object, message_fact_names[i].name, json_string(item->values[i]));
        if (message_fact_names[i].number != NULL) {
            json_object_set_new(object, message_fact_names[i].number,
                                json_integer(item->numbers[i]));
        }
    }
    return object;
}

char *message_document_format(const struct message *message, struct error *err)
{
    unsigned refusals = json_memory_refusals();
    json_t *items = json_array();

    for (size_t i = 0; i < message->count; i++) {
        json_array_append_new(items, format_item(&message->items[i]));
    }
    json_t *document =
        json_pack("{s:s, s:I, s:I, s:o}", "kind", message_words[message->kind].type, "at",
                  (json_int_t)message->at_ms, "more", (json_int_t)message->more, "items", items);
    char *text = json_dumps(document, JSON_COMPACT);
    json_decref(document);
    if (text == NULL || json_memory_refusals() != refusals) {
        free(text);
        error_set_memory(err);
        return NULL;
    }
    return text;
}

static bool parse_kind(const char *type, enum message_kind *out)
{
    for (int i = 0; type != NULL && i < MESSAGE_KINDS; i++) {
        if (strcmp(type, message_words[i].type) == 0) {
            *out = (enum message_kind)i;
            return true;
        }
    }
    return false;
}

static bool parse_item(const json_t *object, struct message_item *out)
{
    for (int i = 0; i < FACT_COUNT; i++) {
        const char *value = json_string_value(json_object_get(object, message_fact_names[i].name));
        if (value == NULL) {
            continue;
        }
        out->values[i] = message_cut_value(value, MESSAGE_LONGEST_VALUE);
        if (out->values[i] == NULL) {
            return false;
        }
        text_make_one_line(out->values[i]);
        if (message_fact_names[i].number != NULL) {
            out->numbers[i] =
                json_integer_value(json_object_get(object, message_fact_names[i].number));
        }
    }
    return true;
}

static bool parse_items(const json_t *document, struct message *out, struct error *err)
{
    const json_t *items = json_object_get(document, "items");
    json_int_t more = json_integer_value(json_object_get(document, "more"));

    if (!parse_kind(json_string_value(json_object_get(document, "kind")), &out->kind) ||
        json_array_size(items) == 0 || json_array_size(items) > MESSAGE_MOST_ITEMS || more < 0) {
        return error_set(err, ERROR_FAILED,
                         "what it is to tell is not in a form that this version knows");
    }
    out->at_ms = json_integer_value(json_object_get(document, "at"));
    out->more = (size_t)more;
    out->items = calloc(json_array_size(items), sizeof(*out->items));
    bool ok = out->items != NULL;
    for (size_t i = 0; ok && i < json_array_size(items); i++) {
        out->count++;
        ok = parse_item(json_array_get(items, i), &out->items[i]);
    }
    return ok ? true : error_set_memory(err);
}

bool message_document_parse(const char *document, struct message *out, struct error *err)
{
    unsigned refusals = json_memory_refusals();
    json_t *parsed = json_loads(document, JSON_REJECT_DUPLICATES, NULL);

    *out = (struct message){.items = NULL};
    bool ok =
        json_memory_refusals() == refusals ? parse_items(parsed, out, err) : error_set_memory(err);
    json_decref(parsed);
    if (!ok) {
        message_clear(out);
    }
    return ok;
}

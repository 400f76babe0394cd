#include "store/metadata_json.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/json_memory.h"

char *metadata_json_format(const struct metadata *metadata)
{
    unsigned refusals = json_memory_refusals();
    json_t *object = json_object();
    bool ok = object != NULL;

    for (size_t i = 0; ok && i < metadata->count; i++) {
        ok = json_object_set_new(object, metadata->entries[i].name,
                                 json_string(metadata->entries[i].value)) == 0;
    }
    char *text = ok ? json_dumps(object, JSON_INDENT(2)) : NULL;
    json_decref(object);
    if (json_memory_refusals() != refusals) {
        free(text);
        return NULL;
    }
    return text;
}

bool metadata_json_parse(const char *data, size_t size, struct metadata *out, bool *good,
                         struct error *err)
{
    unsigned refusals = json_memory_refusals();
    json_t *object = json_loadb(data, size, JSON_REJECT_DUPLICATES, NULL);
    bool ok = json_is_object(object);
    const char *name;
    json_t *value;
    bool no_memory = json_memory_refusals() != refusals;

    if (ok) {
        json_object_foreach(object, name, value)
        {
            ok = ok && json_is_string(value) && metadata_allows(name, json_string_value(value)) &&
                 out->count < METADATA_MOST;
            no_memory =
                no_memory || (ok && !metadata_set(out, name, json_string_value(value), err));
        }
    }
    if (!ok || no_memory) {
        metadata_clear(out);
    }
    json_decref(object);
    *good = ok;
    return !no_memory || error_set_memory(err);
}

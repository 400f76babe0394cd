#include "metrics/json_document.h"

#include <stdlib.h>

#include "base/json_memory.h"

struct json_making json_making_begin(void)
{
    return (struct json_making){.refusals = json_memory_refusals()};
}

bool json_making_append(const struct json_making *making, json_t *document, struct text *out,
                        struct error *err)
{
    char *line = json_dumps(document, JSON_COMPACT);

    json_decref(document);
    bool is_short = json_memory_refusals() != making->refusals;
    if (line == NULL && !is_short) {
        return error_set(err, ERROR_FAILED, "what was to be sent is not UTF-8");
    }
    if (!is_short) {
        text_append(out, line);
        text_append(out, "\n");
    }
    free(line);
    return !(is_short || out->failed) || error_set_memory(err);
}

json_t *json_document_read(const struct http_reply *reply, struct error *err)
{
    unsigned refusals = json_memory_refusals();
    json_error_t problem;
    json_t *document =
        json_loadb(text_string(&reply->body), reply->body.length, JSON_REJECT_DUPLICATES, &problem);

    if (json_memory_refusals() != refusals) {
        error_set_memory(err);
    } else if (!json_is_object(document)) {
        error_set(err, ERROR_FAILED, "its answer is not a JSON object");
    } else {
        return document;
    }
    json_decref(document);
    return NULL;
}

/*
 * JSON that exporters send and are answered, made and read with jansson; what it overlooks when
 * memory runs out is noticed (base/json_memory.h).
 */
#ifndef METRICS_JSON_DOCUMENT_H
#define METRICS_JSON_DOCUMENT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"
#include "http/message.h"

/* Notes how often jansson has been refused memory: before a document is made. */
struct json_making {
    unsigned refusals;
};
struct json_making json_making_begin(void);

/* Appends the document and a line break, and frees it; fails for one that is NULL or not whole. */
bool json_making_append(const struct json_making *making, json_t *document, struct text *out,
                        struct error *err);

/* The object in the body of a reply, for json_decref(); NULL, with the reason, when there is none.
 */
json_t *json_document_read(const struct http_reply *reply, struct error *err);

#endif

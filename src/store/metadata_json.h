/*
 * Metadata as a flat JSON object of strings: for what keeps them in a place of their own, beside
 * the object.
 */
#ifndef STORE_METADATA_JSON_H
#define STORE_METADATA_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "store/metadata.h"

#define METADATA_JSON_CAP (64 * 1024)

/* The caller frees; NULL when memory is out. */
char *metadata_json_format(const struct metadata *metadata);
/* *good: it is a flat object of names and values that metadata may have. *out is empty on entry,
 * and left empty unless good. False when memory is out. */
bool metadata_json_parse(const char *data, size_t size, struct metadata *out, bool *good,
                         struct error *err);

#endif

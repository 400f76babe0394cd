/*
 * The elements of a manifest's arrays, scope, left_out, tables and segments, as they are read one
 * by one. Each is checked for its form alone: what they have to do with each other is
 * store/manifest_check.h.
 */
#ifndef STORE_MANIFEST_ELEMENT_H
#define STORE_MANIFEST_ELEMENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/scope.h"
#include "store/manifest_check.h"
#include "store/manifest_field.h"
#include "stream/segment.h"

/* What was read so far; starts empty. */
struct manifest_parts {
    struct segments segments;
    struct manifest_claim *claims; /* one for each table */
    struct scope scope;
    size_t table_capacity;
    size_t bare_capacity;
    size_t segment_capacity;
};

/* Each adds one. */
bool manifest_element_table(struct manifest_parts *parts, const struct manifest_place *place,
                            const json_t *element, struct error *err);
bool manifest_element_choice(struct manifest_parts *parts, const struct manifest_place *place,
                             const json_t *element, struct error *err);
bool manifest_element_left_out(struct manifest_parts *parts, const struct manifest_place *place,
                               const json_t *element, struct error *err);
bool manifest_element_segment(struct manifest_parts *parts, const struct manifest_place *place,
                              const json_t *element, struct error *err);
void manifest_parts_clear(struct manifest_parts *parts);

#endif

/*
 * Objects as a store lists them.
 */
#ifndef STORE_OBJECTS_H
#define STORE_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "store/metadata.h"

struct object {
    char *name; /* within the store's prefix */
    char *etag; /* opaque; changes whenever the object does */
    uint64_t bytes;
    int64_t modified_ms;
    struct metadata metadata;
};
#define OBJECT_INIT                                                                                \
    {                                                                                              \
        .metadata = METADATA_INIT                                                                  \
    }
void object_clear(struct object *object);

/* More than this is refused: no list from outside grows without a bound (I11). */
#define OBJECTS_MOST 500000

struct objects {
    struct object *items;
    size_t count;
    size_t capacity;
};
#define OBJECTS_INIT                                                                               \
    {                                                                                              \
        .count = 0                                                                                 \
    }
/* Moves the object into the list (it is left empty), or fails and leaves both as they were. */
bool objects_add(struct objects *objects, struct object *object, struct error *err);
void objects_clear(struct objects *objects);

#endif

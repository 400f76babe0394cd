#include "store/objects.h"

#include <stdlib.h>

void object_clear(struct object *object)
{
    free(object->name);
    free(object->etag);
    metadata_clear(&object->metadata);
    *object = (struct object)OBJECT_INIT;
}

bool objects_add(struct objects *objects, struct object *object, struct error *err)
{
    if (objects->count == OBJECTS_MOST) {
        return error_set(err, ERROR_FAILED, "the store lists more than %d objects", OBJECTS_MOST);
    }
    if (objects->count == objects->capacity) {
        size_t capacity = objects->capacity > 0 ? objects->capacity * 2 : 64;
        struct object *items = realloc(objects->items, capacity * sizeof(*items));
        if (items == NULL) {
            return error_set_memory(err);
        }
        objects->items = items;
        objects->capacity = capacity;
    }
    objects->items[objects->count++] = *object;
    *object = (struct object)OBJECT_INIT;
    return true;
}

void objects_clear(struct objects *objects)
{
    for (size_t i = 0; i < objects->count; i++) {
        object_clear(&objects->items[i]);
    }
    free(objects->items);
    *objects = (struct objects)OBJECTS_INIT;
}

#include "base/json_memory.h"

#include <jansson.h>
#include <stdlib.h>

static _Thread_local unsigned refusals;

static void *allocate(size_t size)
{
    void *memory = malloc(size);

    refusals += memory == NULL;
    return memory;
}

void json_memory_watch(void)
{
    json_set_alloc_funcs(allocate, free);
}

unsigned json_memory_refusals(void)
{
    return refusals;
}

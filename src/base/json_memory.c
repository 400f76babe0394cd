#include "base/json_memory.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Never touched unless it is needed, and so only addresses. */
#define RESERVE_SIZE  ((size_t)256 * 1024)
#define RESERVE_COUNT 4

static _Thread_local unsigned refusals;
static _Atomic(void *) reserve[RESERVE_COUNT];

static void *take_reserve(size_t size)
{
    void *memory = NULL;

    for (int i = 0; memory == NULL && size <= RESERVE_SIZE && i < RESERVE_COUNT; i++) {
        memory = atomic_exchange(&reserve[i], NULL);
    }
    return memory;
}

static void *allocate(size_t size)
{
    void *memory = malloc(size);

    if (memory == NULL) {
        refusals++;
        memory = take_reserve(size);
    }
    return memory;
}

void json_memory_watch(void)
{
    for (int i = 0; i < RESERVE_COUNT; i++) {
        free(atomic_exchange(&reserve[i], malloc(RESERVE_SIZE)));
    }
    json_set_alloc_funcs(allocate, free);
}

unsigned json_memory_refusals(void)
{
    return refusals;
}

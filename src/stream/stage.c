#include "stream/stage.h"

bool stage_write(struct stage *stage, const void *data, size_t size, struct error *err)
{
    return stage->ops->write(stage, data, size, err);
}

bool stage_finish(struct stage *first, struct error *err)
{
    for (struct stage *stage = first; stage != NULL; stage = stage->next) {
        if (!stage->ops->finish(stage, err)) {
            return false;
        }
    }
    return true;
}

void stage_free(struct stage *first)
{
    while (first != NULL) {
        struct stage *next = first->next;
        first->ops->free(first);
        first = next;
    }
}

#include "stream/stage.h"

#include <stdlib.h>

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

struct borrow_stage {
    struct stage stage;
    struct stage *borrowed;
};

static bool borrow_write(struct stage *stage, const void *data, size_t size, struct error *err)
{
    return stage_write(((struct borrow_stage *)stage)->borrowed, data, size, err);
}

static bool borrow_finish(struct stage *stage, struct error *err)
{
    (void)stage;
    (void)err;
    return true;
}

static void borrow_free(struct stage *stage)
{
    free(stage);
}

struct stage *stage_borrow_new(struct stage *next, struct error *err)
{
    static const struct stage_ops ops = {borrow_write, borrow_finish, borrow_free};
    struct borrow_stage *self = calloc(1, sizeof(*self));

    if (self == NULL) {
        error_set_memory(err);
        return NULL;
    }
    *self = (struct borrow_stage){.stage = {.ops = &ops}, .borrowed = next};
    return (struct stage *)self;
}

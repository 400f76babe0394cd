#include "stream/fd_stage.h"

#include <stdlib.h>

#include "base/file.h"

struct fd_stage {
    struct stage base;
    int fd;
    const char *name;
};

static bool fd_stage_write(struct stage *base, const void *data, size_t size, struct error *err)
{
    struct fd_stage *stage = (struct fd_stage *)base;

    return file_write_all(stage->fd, data, size, err) ? true : error_prefix(err, "%s", stage->name);
}

static bool fd_stage_finish(struct stage *base, struct error *err)
{
    (void)base;
    (void)err;
    return true;
}

static void fd_stage_free(struct stage *base)
{
    free(base);
}

static const struct stage_ops ops = {
    .write = fd_stage_write, .finish = fd_stage_finish, .free = fd_stage_free};

struct stage *fd_stage_new(int fd, const char *name, struct error *err)
{
    struct fd_stage *stage = malloc(sizeof(*stage));

    if (stage == NULL) {
        error_set_memory(err);
        return NULL;
    }
    *stage = (struct fd_stage){.base = {.ops = &ops}, .fd = fd, .name = name};
    return (struct stage *)stage;
}

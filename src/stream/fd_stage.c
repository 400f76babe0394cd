#include "stream/fd_stage.h"

#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/wait.h"

struct fd_stage {
    struct stage base;
    int fd;
    const char *name;
    int64_t stall_ms;
    bool can_block;
};

/* poll(2) promises room for PIPE_BUF bytes, no more: a longer write could wait for ever. The
 * descriptor is not made non-blocking, for others may share it. */
static bool write_in_steps(const struct fd_stage *stage, const char *data, size_t size,
                           struct error *err)
{
    while (size > 0) {
        struct wait_fd fd = {.fd = stage->fd, .events = POLLOUT};
        struct deadline deadline = deadline_in_ms(stage->stall_ms);
        size_t step = size < PIPE_BUF ? size : PIPE_BUF;
        if (!wait_for(&fd, 1, &deadline, err) || !file_write_all(stage->fd, data, step, err)) {
            return false;
        }
        data += step;
        size -= step;
    }
    return true;
}

static bool fd_stage_write(struct stage *base, const void *data, size_t size, struct error *err)
{
    struct fd_stage *stage = (struct fd_stage *)base;
    bool ok = stage->can_block ? write_in_steps(stage, data, size, err)
                               : file_write_all(stage->fd, data, size, err);

    return ok ? true : error_prefix(err, "%s", stage->name);
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

struct stage *fd_stage_new(int fd, const char *name, int64_t stall_ms, struct error *err)
{
    struct stat status;
    struct fd_stage *stage = malloc(sizeof(*stage));

    if (stage == NULL) {
        error_set_memory(err);
        return NULL;
    }
    *stage = (struct fd_stage){
        .base = {.ops = &ops},
        .fd = fd,
        .name = name,
        .stall_ms = stall_ms,
        .can_block = fstat(fd, &status) != 0 || !S_ISREG(status.st_mode),
    };
    return (struct stage *)stage;
}

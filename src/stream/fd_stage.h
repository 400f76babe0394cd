/*
 * A last stage: writes the stream to a descriptor.
 */
#ifndef STREAM_FD_STAGE_H
#define STREAM_FD_STAGE_H

#include <stdint.h>

#include "base/error.h"
#include "stream/stage.h"

/* Borrows the descriptor; `name` (borrowed) is for messages. A pipe, terminal or device that takes
 * no byte for stall_ms has failed; a stop is heard meanwhile. */
struct stage *fd_stage_new(int fd, const char *name, int64_t stall_ms, struct error *err);

#endif

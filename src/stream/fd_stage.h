/*
 * A last stage: writes the stream to a descriptor.
 */
#ifndef STREAM_FD_STAGE_H
#define STREAM_FD_STAGE_H

#include "base/error.h"
#include "stream/stage.h"

/* Borrows the descriptor; `name` (borrowed) is for messages. */
struct stage *fd_stage_new(int fd, const char *name, struct error *err);

#endif

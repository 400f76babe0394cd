/*
 * The engine "pg_dump": one pg_dump whose output passes through.
 */
#ifndef DUMP_WHOLE_SCRIPT_H
#define DUMP_WHOLE_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "dump/dump.h"
#include "dump/pg_dump.h"
#include "stream/stage.h"

/* As dump_run(). */
bool whole_script_run(const struct dump_options *options, const struct pg_dump *tool,
                      const char *restrict_key, struct stage *stream, uint64_t *raw_bytes,
                      struct error *err);

#endif

/*
 * The engine "parallel": tables read by several connections under one snapshot, written as one
 * script in the order of the plan.
 *
 *   exporter   takes locks and the snapshot and keeps both to the end
 *   pg_dump    twice, under the snapshot: the schema before and after the data
 *   workers    take parts of the plan, each under the snapshot and with locks of its own
 *   writer     puts the parts into their order
 *
 * A lock that somebody waits for (a TRUNCATE, say) is not given to a worker any more: the lock
 * queue is fair, and the exporter, whom they wait for, would never end. Such a part the exporter
 * reads itself, for it has the lock.
 */
#ifndef DUMP_PARALLEL_DUMP_H
#define DUMP_PARALLEL_DUMP_H

#include <stdbool.h>

#include "base/error.h"
#include "dump/dump.h"
#include "dump/pg_dump.h"
#include "stream/stage.h"

/* Can it serve this server? */
bool parallel_dump_check(const struct dump_options *options, struct error *err);

/* As dump_run(); fills in all of *result but the engine, also on failure for the caller to clear.
 */
bool parallel_dump_run(const struct dump_options *options, const struct pg_dump *tool,
                       const char *restrict_key, struct stage *stream, struct dump_result *result,
                       struct error *err);

#endif

/*
 * Where a parallel dump reads from: the session that holds the locks and the snapshot, and the two
 * pg_dumps that write the schema under it.
 */
#ifndef DUMP_SOURCE_H
#define DUMP_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "dump/dump.h"
#include "dump/pg_dump.h"
#include "dump/section_script.h"
#include "postgres/snapshot.h"
#include "postgres/table_catalogue.h"

struct source {
    struct session *exporter;
    struct table_catalogue tables;
    char snapshot[SNAPSHOT_ID_SIZE];
    int64_t snapshot_ms;
    struct section_script pre_data;
    struct section_script post_data;
};
#define SOURCE_INIT                                                                                \
    {                                                                                              \
        .pre_data.process = PROCESS_INIT, .post_data.process = PROCESS_INIT                        \
    }

/* Locks, snapshot, schema: when it returns, nothing that is dumped can be changed any more. What
 * changed while this was under way, and what waits for our locks before pg_dump has its own, makes
 * it begin anew, within the time that a lock may take. */
bool source_open(struct source *source, const struct dump_options *options,
                 const struct pg_dump *tool, const char *restrict_key, struct error *err);
/* From any thread, after a failure of `reader`: when it comes of the exporter's end, the error says
 * so. Before session_interrupt() of the exporter. */
void source_explain(const struct source *source, const struct session *reader, struct error *err);
/* After the last row: both pg_dumps ended well, the exporter is there, and no table was renamed
 * behind our back. `session` has no transaction. */
bool source_confirm(struct source *source, struct session *session, struct error *err);
void source_close(struct source *source);

#endif

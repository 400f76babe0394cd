/*
 * A pg_dump under way: its arguments, and how it reaches the same database as a session of ours.
 */
#ifndef DUMP_PG_DUMP_PROCESS_H
#define DUMP_PG_DUMP_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/process.h"
#include "base/scope.h"
#include "dump/pg_dump.h"
#include "postgres/session.h"

struct pg_dump_options {
    const struct pg_dump *tool;
    struct session *session;   /* of the database: tells where and who */
    const struct scope *scope; /* in the database's encoding */
    const char *section;       /* "pre-data", "post-data"; NULL: all of them */
    const char *snapshot;      /* an exported one, or NULL */
    const char *restrict_key;  /* of the script's \restrict line; NULL: pg_dump's own */
    int64_t lock_wait_ms;
};

/* The script comes from its standard output, in the database's own encoding. `options` may go once
 * it runs. */
bool pg_dump_process_start(const struct pg_dump_options *options, struct process *process,
                           struct error *err);

/* Once its output has ended, it has so long to end itself. */
#define PG_DUMP_EXIT_LIMIT_MS ((int64_t)60 * 1000)

/* Of the server: named by the hint of whoever found no room for one more lock. */
#define PG_DUMP_PROCESS_LOCKS_PARAMETER "max_locks_per_transaction"

/* After a failure: was a table's lock not to be had in time? Room for it there was. The reason is
 * in the server's language. */
bool pg_dump_process_was_locking(const struct process *process);

#endif

/*
 * Reads one part of a plan from a session and writes it as SQL: rows of tables as COPY blocks,
 * sequences as setval(), the server's roles as one block, large objects as lowrite(), if need be
 * with what makes them.
 */
#ifndef DUMP_DATA_READER_H
#define DUMP_DATA_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/scope.h"
#include "dump/plan.h"
#include "dump/segment_stream.h"
#include "postgres/session.h"

struct data_reader {
    struct session *session;
    struct segment_stream *stream;
    struct fingerprint_row *long_row; /* for one at a time */
    struct plan *plan;
    const struct scope *scope;
    /* The snapshot to join for each part; NULL: the session's transaction has it, and the locks. */
    const char *snapshot;
    bool role_passwords;      /* the globals hold them */
    bool makes_large_objects; /* the schema's script does not */
    int64_t lock_wait_ms;     /* for what is locked while rows are read: an index of TOAST */
    int64_t stall_ms;
    uint64_t longest_row; /* and how much all readers may take for theirs: struct copy_out */
    uint64_t most_mapped;
};

/* *locked: somebody changes, or waits to change, one of these tables or its indexes, and so would
 * this session wait. False is returned without an error and nothing was written; the session that
 * has the tables' locks can read them. */
bool data_reader_run(const struct data_reader *reader, size_t part, bool *locked,
                     struct error *err);

#endif

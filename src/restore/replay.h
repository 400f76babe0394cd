/*
 * The last stage of a restore: runs the SQL that is written to it in a session, statement by
 * statement, and sends the rows of its COPY blocks. Nothing of it ever reaches psql.
 */
#ifndef RESTORE_REPLAY_H
#define RESTORE_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/session.h"
#include "restore/frozen_table.h"
#include "restore/row_sum.h"
#include "restore/row_transfer.h"
#include "restore/sql_script.h"
#include "stream/stage.h"

/* What is passed over. */
struct replay_rules {
    bool no_owner;
    bool no_privileges;
    bool globals; /* the only DO block that a backup has is wanted */
    /* What of the rest is wanted; NULL: all. */
    bool (*wants)(void *context, const struct sql_statement *statement);
    void *context;
};
bool replay_rules_want(const struct replay_rules *rules, const struct sql_statement *statement);

/* What may come. */
enum replay_content {
    REPLAY_STATEMENTS, /* statements without rows */
    REPLAY_ROWS,       /* one COPY block and nothing else */
    REPLAY_SCRIPT,     /* both */
};

struct replay {
    struct session *session;
    const struct replay_rules *rules;
    enum replay_content content;
    bool like_source;            /* all of a database, on its own server */
    int64_t stall_ms;            /* for the server to take more rows */
    struct frozen_table *frozen; /* that the rows are a part of; borrowed; or NULL */
    uint64_t size;               /* of all that comes, in bytes; 0: not known */
    struct row_sum *sum;         /* of all rows that were sent; borrowed */
    /* Takes over a statement that it can run later, or beside others: *taken. Before one that is
     * not taken it runs what that may need. NULL: takes nothing. */
    bool (*defer)(void *context, const struct sql_statement *statement, bool *taken,
                  struct error *err);
    void *context;
    /* private */
    struct row_transfer rows;
    uint64_t blocks;      /* of rows */
    uint64_t rows_before; /* in sum, when this block began */
    bool skipping;        /* this block */
};

/* After an error that the server reported in this session: ERROR_DAMAGED if it is the statement's
 * or the row's own fault, for then the backup does not restore. `like_source`: as in struct replay.
 * Returns false. */
bool replay_blame(const struct session *session, bool like_source, struct error *err);

/* Borrows the replay, whose public part is filled in. The caller finishes the stage: a script that
 * ends within a statement is an error then. */
struct stage *replay_stage_new(struct replay *replay, struct error *err);

#endif

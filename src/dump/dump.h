/*
 * The dump: a plain SQL script of one database, from one snapshot, compressed, pushed into a
 * stream. Nothing is stored here: whether what came is good is known when dump_run() returns
 * (invariant I3), and the stream is not finished.
 *
 * Two engines make it. "parallel" (parallel_dump.h) reads the tables by several connections and
 * knows its segments; "pg_dump" (whole_script.h) lets one pg_dump's output through.
 */
#ifndef DUMP_DUMP_H
#define DUMP_DUMP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/scope.h"
#include "base/settings.h"
#include "postgres/session.h"
#include "stream/compress.h"
#include "stream/segment.h"
#include "stream/stage.h"

struct dump_options {
    struct session *session; /* of the database to dump: tells where and who; not used to read */
    const struct settings *settings;
    struct compression compression;
    /* In UTF-8. A schema that is missing, and a pattern of SCOPE_TABLES that chooses nothing, are
     * errors. (pg_dump leaves large objects and extensions out of some schemas or tables.) */
    const struct scope *scope;
    const char *restrict_key; /* letters and digits; NULL: a random one */
    /* Called as bytes pass, with their number before compression; may be NULL. Never two calls at a
     * time, but not always from the caller's thread. */
    void (*progress)(void *context, uint64_t raw_bytes);
    void *progress_context;
};

struct dump_result {
    const char *engine;        /* "parallel" or "pg_dump" */
    const struct scope *scope; /* that of the options */
    uint64_t raw_bytes;
    int64_t snapshot_ms;      /* the server's clock; 0: not known */
    struct segments segments; /* none when pg_dump made it */
};
#define DUMP_RESULT_INIT                                                                           \
    {                                                                                              \
        .engine = NULL                                                                             \
    }
void dump_result_clear(struct dump_result *result);

/* The restrict key has a form that psql takes. */
bool dump_check_restrict_key(const char *key, struct error *err);

/* Finds the pg_dump for this server, or says why there is none; nothing is started. */
bool dump_check(const struct dump_options *options, struct error *err);

/* Writes the whole script, compressed, to `stream`. False when a source did not end well, the
 * stream did not take it, no byte moved for the stall timeout, or a stop was asked for; no child
 * and no thread is left behind. The caller clears *out after success. */
bool dump_run(const struct dump_options *options, struct stage *stream, struct dump_result *out,
              struct error *err);

#endif

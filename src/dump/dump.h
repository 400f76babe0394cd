/*
 * The dump: a plain SQL script of one database, from one snapshot, pushed into a stream.
 *
 * Made by one pg_dump whose output passes through. Nothing is stored here and no stage is finished:
 * whether what came is good is known when dump_run() returns (invariant I3).
 */
#ifndef DUMP_DUMP_H
#define DUMP_DUMP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/settings.h"
#include "postgres/session.h"
#include "stream/stage.h"

struct dump_options {
    struct session *session; /* of the database to dump: tells where and who */
    const struct settings *settings;
    /* Only these schemas, by their exact names, NULL-terminated; one that is missing is an error.
     * NULL: the whole database. (pg_dump leaves large objects and extensions out of a part.) */
    char *const *schemas;
    /* Called as bytes pass, with their number so far; may be NULL. */
    void (*progress)(void *context, uint64_t raw_bytes);
    void *progress_context;
};

/* Finds the pg_dump for this server, or says why there is none; nothing is started. */
bool dump_check(const struct dump_options *options, struct error *err);

/* Writes the whole script to `stream`. *raw_bytes is its length. False when the source did not end
 * well, the stream did not take it, no byte moved for the stall timeout, or a stop was asked for;
 * no child is left behind. */
bool dump_run(const struct dump_options *options, struct stage *stream, uint64_t *raw_bytes,
              struct error *err);

#endif

/*
 * Several sessions to the same database that work at the same time, each in a thread of its own.
 */
#ifndef RESTORE_WORKERS_H
#define RESTORE_WORKERS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "postgres/session.h"
#include "restore/frozen_table.h"
#include "restore/row_sum.h"
#include "restore/segment_reader.h"

struct worker {
    size_t number; /* from 0 on */
    struct session *session;
    struct segment_reader *reader; /* NULL without a source */
    struct row_sum sum;
    struct frozen_table frozen;
    /* private */
    struct shift *shift;
    pthread_t thread;
};

struct workers {
    struct worker *items;
    size_t count;
    /* Called a few times a second by workers_run(), in its caller's thread; or NULL. */
    void (*tick)(void *context);
    void *tick_context;
};
#define WORKERS_INIT                                                                               \
    {                                                                                              \
        .count = 0                                                                                 \
    }

struct workers_options {
    struct session *base; /* what their sessions are opened beside */
    size_t count;
    bool (*prepare)(const void *context, struct session *session, struct error *err);
    const void *context;
    const struct backup_source *source; /* for their readers; borrowed; or NULL: none */
    atomic_uint_least64_t *raw_bytes;   /* segment_reader_new() */
};
/* To be closed also after a failure. */
bool workers_open(struct workers *workers, const struct workers_options *options,
                  struct error *err);
void workers_close(struct workers *workers);

/* Does the jobs 0 ... count - 1, begun in this order, each by the worker that is free next; returns
 * when all have ended. The first failure stops the others, whose sessions are good for closing only
 * then, and is the one that is told. A job that waits for another one must be woken by that. */
typedef bool (*worker_job)(void *context, struct worker *worker, size_t number, struct error *err);
bool workers_run(struct workers *workers, size_t count, worker_job job, void *context,
                 struct error *err);

#endif

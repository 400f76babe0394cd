/*
 * Many producers, one stream: parts numbered 0, 1, 2, ... are made at the same time and come out in
 * the order of their numbers (invariant I4).
 *
 * The part whose turn it is, the head, goes straight through to the next stage. What belongs to a
 * later part waits in memory, up to a bound for all together; then its producer waits (I5). The
 * head never waits for another part, and parts are handed out in order, so somebody can always go
 * on: there is no deadlock, given that a producer makes one part at a time.
 *
 * A producer that cannot make its part itself defers it; take_deferred() gives it to another one,
 * when it is the head and not before, which keeps that true.
 *
 * One failure stops all: whoever calls afterwards is told the first one.
 */
#ifndef DUMP_ORDERED_WRITER_H
#define DUMP_ORDERED_WRITER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "stream/stage.h"

struct ordered_writer;

struct ordered_writer_options {
    struct stage *next;            /* borrowed; written to by one thread at a time, not finished */
    size_t parts;                  /* how many there are */
    size_t most_buffered;          /* bytes */
    void (*passed)(void *context); /* after bytes went to `next`; never two at a time; or NULL */
    void *context;
};

struct ordered_writer *ordered_writer_new(const struct ordered_writer_options *options,
                                          struct error *err);
void ordered_writer_free(struct ordered_writer *writer);

/* The next part that nobody makes yet. False when there is none, or all is over. */
bool ordered_writer_claim(struct ordered_writer *writer, size_t *part);
bool ordered_writer_write(struct ordered_writer *writer, size_t part, const void *data, size_t size,
                          struct error *err);
/* The part is complete. */
bool ordered_writer_end(struct ordered_writer *writer, size_t part, struct error *err);

/* Somebody else has to make this part, of which nothing may have been written. */
void ordered_writer_defer(struct ordered_writer *writer, size_t part);
/* Waits until the head is a deferred part, which is then the caller's to make. *any is false when
 * every part has ended. False with the first failure. */
bool ordered_writer_take_deferred(struct ordered_writer *writer, size_t *part, bool *any,
                                  struct error *err);

/* From here on everybody is told this failure, or the one before it, which *err becomes. */
void ordered_writer_fail(struct ordered_writer *writer, struct error *err);

#endif

/*
 * What each of several workers does next when a backup is restored: which segment it fills in, or
 * which index it builds.
 *
 * The largest table is begun first. A worker stays with its table as long as that has segments: two
 * sessions that fill one table wait for each other whenever it grows. An index is built when the
 * rows that it needs are there, the longest first, by the worker that is free next, or that fills a
 * table which others can go on with.
 *
 * So a table is filled by one worker alone at first, and can be filled in one transaction, unless
 * there is too little for the others to do. When they have nothing else left, or soon will not,
 * that worker, which asks between two segments, is to end its transaction and to share what is
 * left; who comes earlier waits for it.
 */
#ifndef RESTORE_WORK_ORDER_H
#define RESTORE_WORK_ORDER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "stream/segment.h"

/* May be used by all workers at once. */
struct work_order;

/* Of `count` segments of `table_count` tables, those of a table together; borrowed. NULL when
 * memory is out. */
struct work_order *work_order_new(const struct segment *segments, size_t count, size_t table_count,
                                  size_t workers, struct error *err);
void work_order_free(struct work_order *order);

struct work_build {
    size_t table;        /* an index into segments.tables, or SEGMENT_NO_TABLE */
    bool needs_all_rows; /* not only those of its table; so does one without a table */
    bool is_exclusive;   /* keeps others from building on its table */
};
/* Before the first turn, and once at most: the builds, which turns name by their number here. */
bool work_order_add_builds(struct work_order *order, const struct work_build *builds, size_t count,
                           struct error *err);

struct work_turn {
    const struct segment *segment; /* NULL: a build */
    size_t build;                  /* its number */
    bool alone;    /* no other worker has been given a segment of its table, nor is, until shared */
    bool is_first; /* segment of its table */
    bool is_last;
};
/* For the worker of this number, from 0 on, which has done, and committed, what it was given
 * before; false when nothing is left for it, or the order has been stopped. May wait for other
 * workers. After a segment, work_order_is_to_share() must have been asked, or the table shared. */
bool work_order_take(struct work_order *order, size_t worker, struct work_turn *turn);

/* Of the segment that the worker was given: it holds rows for other tables than its own, which no
 * index may keep from being filled. */
void work_order_note_others(struct work_order *order, size_t worker);

/* After each segment: another worker waits for its table, or soon would. */
bool work_order_is_to_share(struct work_order *order, size_t worker);
/* Then, when the worker has no transaction, or none any longer. */
void work_order_share(struct work_order *order, size_t worker);

/* After a failure: nobody waits any longer, and nobody is given anything. */
void work_order_stop(struct work_order *order);

#endif

/*
 * Which segment of rows each of several workers restores next.
 *
 * The largest table is begun first. A worker stays with its table as long as that has segments: two
 * sessions that fill one table wait for each other whenever it grows. Only when no table is left to
 * begin does a worker help with the one of which most is left.
 *
 * So a table is filled by one worker alone at first, and can be filled in one transaction, unless
 * there is too little for the others to do. When they have nothing else left, or soon will not,
 * that worker, which asks between two segments, is to end its transaction and to share what is
 * left; who comes earlier waits for it.
 */
#ifndef RESTORE_SEGMENT_ORDER_H
#define RESTORE_SEGMENT_ORDER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "stream/segment.h"

/* May be used by all workers at once. */
struct segment_order;

/* Of `count` segments, those of a table together; borrowed. NULL when memory is out. */
struct segment_order *segment_order_new(const struct segment *segments, size_t count,
                                        size_t workers, struct error *err);
void segment_order_free(struct segment_order *order);

struct segment_turn {
    const struct segment *segment;
    bool alone;    /* no other worker has been given a segment of its table, nor is, until shared */
    bool is_first; /* of its table */
    bool is_last;
};
/* For the worker of this number, from 0 on; false when nothing is left for it, or the order has
 * been stopped. May wait for another worker, which must not call it before it has asked whether it
 * is to share. */
bool segment_order_take(struct segment_order *order, size_t worker, struct segment_turn *turn);

/* After each turn: another worker waits for the table, or soon would. */
bool segment_order_is_awaited(struct segment_order *order, size_t worker);
/* Then, when the worker has no transaction, or none any longer. */
void segment_order_share(struct segment_order *order, size_t worker);

/* After a failure: nobody waits any longer, and nobody is given anything. */
void segment_order_stop(struct segment_order *order);

#endif

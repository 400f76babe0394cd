/*
 * Indexes to be built: those that may be begun now, the longest first, and lists of those that wait
 * for rows. Those of one table are a group, in which one that is exclusive is built alone.
 */
#ifndef RESTORE_BUILD_QUEUE_H
#define RESTORE_BUILD_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Starts as zeroes. */
struct build_group {
    size_t in_work;
    bool has_exclusive; /* in work */
};

struct build {
    size_t number;
    uint64_t work;
    struct build_group *group; /* NULL: of none, it keeps nothing waiting */
    bool is_exclusive;
    struct build *next; /* private */
};

/* A list is its first build, or NULL; the longest comes first. Into front of it: */
void build_list_put(struct build **list, struct build *build);
/* What is in `from`, which is empty then, comes in front, in about that order. */
void build_list_join(struct build **list, struct build **from);

/* Starts as zeroes. */
struct build_queue {
    struct build *first;
};

/* May be begun now: all of the list, which is empty then. It stays together, where the longest of
 * it belongs. Returns its work. */
uint64_t build_queue_release(struct build_queue *queue, struct build **list);
/* The longest that no other one of its group keeps waiting; NULL: there is none. */
struct build *build_queue_take(struct build_queue *queue);
/* It is built. */
void build_queue_end(struct build *build);

#endif

/*
 * Indexes that may be built now, the longest first. Those of one table are in a group, which is
 * released when the table's rows are there; in a group, one that is exclusive is built alone.
 */
#ifndef RESTORE_BUILD_QUEUE_H
#define RESTORE_BUILD_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All that a group holds must stay where it is. Starts as zeroes. */
struct build_group {
    /* private */
    struct build *waiting;
    size_t in_work;
    bool has_exclusive; /* in work */
};

struct build {
    size_t number;
    uint64_t work;
    bool is_exclusive;
    /* private */
    struct build_group *group;
    struct build *next;
};

/* In front of what the group has. */
void build_group_add(struct build_group *group, struct build *build);
/* What waits in `from` waits for what `group` waits for. */
void build_group_join(struct build_group *group, struct build_group *from);

/* Starts as zeroes. */
struct build_queue {
    struct build *first;
};

/* Returns the work of all of the group's builds. They are put where the first of them belongs: they
 * are as long, mostly. */
uint64_t build_queue_release(struct build_queue *queue, struct build_group *group);
/* The longest that is not kept waiting by another one of its group; NULL: there is none. */
struct build *build_queue_take(struct build_queue *queue);
/* It is built. */
void build_queue_end(struct build *build);

#endif

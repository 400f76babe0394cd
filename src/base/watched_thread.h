/*
 * A thread that somebody watches, for it may hang in what it does (a file system): its end can be
 * waited for with a deadline, and it can be left to itself.
 */
#ifndef BASE_WATCHED_THREAD_H
#define BASE_WATCHED_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct watched_thread;

/* Starts a thread that no signal reaches. One of the ends below must follow. */
bool watched_thread_start(void (*work)(void *context), void *context, struct watched_thread **out,
                          struct error *err);
/* Whether it ends within so long. */
bool watched_thread_has_ended(struct watched_thread *thread, int64_t within_ms);

/* Waits for its end, however long that takes, and frees it. */
void watched_thread_join(struct watched_thread *thread);
/* The same for one that has been told to give up, if it does so within a moment. False: it was left
 * behind (base/thread.h), and what it uses must not be freed while the process lives. */
bool watched_thread_end(struct watched_thread *thread);

#endif

/*
 * Threads of ours. Signals are the main thread's: it sleeps where a stop can wake it.
 */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

#include "base/error.h"

/* Starts a thread that no signal reaches; the caller joins it. */
bool thread_start(pthread_t *thread, void *(*work)(void *), void *context, struct error *err);

/* A thread does not come back from what it does (a file system that hangs) and goes on using
 * libraries and settings: main() then ends the process without tearing them down. */
void thread_note_left_behind(void);
bool thread_is_left_behind(void);

#endif

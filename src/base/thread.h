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

#endif

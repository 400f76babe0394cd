/*
 * A lock with one condition: what several threads share, and wait for a change of.
 */
#ifndef BASE_MONITOR_H
#define BASE_MONITOR_H

#include <pthread.h>
#include <stdint.h>

struct monitor {
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

void monitor_init(struct monitor *monitor);
void monitor_clear(struct monitor *monitor);
/* With the lock held, which is given up meanwhile: waits for a change, so long at most. */
void monitor_wait(struct monitor *monitor, int64_t most_ms);

#endif

/*
 * The dead-man's switch: a monitor that hears of each backup, and alarms when it hears nothing
 * (Healthchecks, "Pinging API": /start, success, /fail, each with the log's tail).
 *
 * Not through the outbox: what arrives hours late would say that the backup is fine when nobody
 * knows. What cannot be said now is not said; the monitor notices. So it is a warning, and nothing
 * else: neither the backup nor the exit code depend on it.
 */
#ifndef NOTIFY_PING_H
#define NOTIFY_PING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/settings.h"

/* No ping delays what it tells of by more than this. */
#define PING_MS ((int64_t)5 * 1000)

#define PING_RUN_SIZE      37
#define PING_SCHEDULE_SIZE 256

struct ping {
    const struct settings *settings; /* NULL: nobody is to be told */
    char schedule[PING_SCHEDULE_SIZE];
    char run[PING_RUN_SIZE]; /* tells apart the runs of one check */
    uint64_t log_position;
};

/* Tells that a run of the schedule with this name begins. Borrows the settings until ping_end().
 * Without RYTHM_BACKUP_PING_URL nothing is done, here and later. */
void ping_begin(struct ping *ping, const struct settings *settings, const char *schedule);
/* Tells how it ended: `problem` is NULL when it went well. Also after a stop was requested. */
void ping_end(struct ping *ping, const char *problem);

/* Tells the monitor something that changes nothing (/log). True, and *configured false, without
 * RYTHM_BACKUP_PING_URL. */
bool ping_test(const struct settings *settings, bool *configured, struct error *err);

#endif

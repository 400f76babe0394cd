/*
 * The stop flag: SIGTERM, SIGINT and SIGHUP ask the process to give up what it is doing, clean up
 * and exit with 128 + the signal's number. Waits (base/wait.h) wake up for it.
 */
#ifndef BASE_STOP_H
#define BASE_STOP_H

#include <stdbool.h>

#include "base/error.h"

/* Installs the handlers (a SIGHUP or SIGINT that is ignored stays so, for nohup) and ignores
 * SIGPIPE and SIGXFSZ: the write fails instead. Call once, before any thread. */
bool stop_install(struct error *err);

/* The signal that asked us to stop, or 0. */
int stop_signal(void);

/* A descriptor that becomes readable when a stop is requested, for poll(); -1 before
 * stop_install(). */
int stop_fd(void);

/* False, with ERROR_STOPPED in err, once a stop has been requested. */
bool stop_check(struct error *err);

#endif

/*
 * One round of delivering: what the outbox holds is handed to its channels, one after another.
 */
#ifndef NOTIFY_ROUND_H
#define NOTIFY_ROUND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/settings.h"
#include "postgres/session.h"

enum round_kind {
    ROUND_TICK,    /* what is due; what is too old after a failure is given up */
    ROUND_BY_HAND, /* whatever waits, but where a service has asked for a pause; nothing is too old
                    */
    ROUND_TESTS,   /* what outbox_test() has written */
};

struct round_report {
    size_t sent;
    size_t waiting; /* were to go, and stay pending for a later round */
    size_t failed;  /* given up */
};

/* False only when the outbox itself cannot be read or written, or with ERROR_STOPPED; each failure
 * is logged, and in the report. Another process that is delivering at this moment is left to do it
 * (all zero). */
bool round_run(struct session *session, const struct settings *settings, enum round_kind kind,
               struct round_report *report, struct error *err);

#endif

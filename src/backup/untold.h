/*
 * What nobody was told: runs that ended and verifications that failed, whose notifications could
 * not be written then, or whose process died before it did. A later tick makes up for it, for a
 * day.
 */
#ifndef BACKUP_UNTOLD_H
#define BACKUP_UNTOLD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/settings.h"
#include "postgres/backup_schedule.h"
#include "postgres/session.h"

struct untold_report {
    size_t found;  /* notifications may wait to be delivered */
    size_t failed; /* each is logged, and left to the next tick */
};

/* Writes their notifications to the outbox, each with its mark in the ledger (aftermath.h): once,
 * however many processes do it. */
void untold_enqueue(const struct settings *settings, const struct session_options *options,
                    const struct schedules *schedules, struct untold_report *report);

#endif

/*
 * How every schedule stands, as metrics: all of it is the ledger's, so that whoever tells it tells
 * the same, whichever process made the backups.
 */
#ifndef BACKUP_STANDING_H
#define BACKUP_STANDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/wait.h"
#include "metrics/report.h"
#include "postgres/ledger.h"
#include "postgres/session.h"

struct standing {
    char ledger[LEDGER_DATABASE_SIZE];
    int64_t now_ms;
    struct metrics_schedule *schedules;
    size_t count;
};

/* Reads it within the time that is left, with a session of its own. The caller clears it. */
bool standing_read(const struct session_options *session, int64_t catch_up_s,
                   const struct deadline *deadline, struct standing *out, struct error *err);
void standing_clear(struct standing *standing);

#endif

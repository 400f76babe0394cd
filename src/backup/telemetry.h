/*
 * What a process tells exporters (metrics/exporter.h): what it has done, and how the schedules
 * stand afterwards. Invariant I7: what cannot be told leaves every backup as it is.
 *
 * All the time that this takes, reading the ledger and every exporter, is bounded for the whole
 * process (TELEMETRY_MS), so that no run waits longer. Without an exporter every call does nothing.
 */
#ifndef BACKUP_TELEMETRY_H
#define BACKUP_TELEMETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backup/backup.h"
#include "backup/verify.h"
#include "base/error.h"
#include "base/settings.h"
#include "metrics/report.h"
#include "postgres/session.h"

#define TELEMETRY_MS 5000
/* More events than this are not told at a time. */
#define TELEMETRY_MOST_EVENTS 1000

struct telemetry {
    const struct settings *settings;
    const struct session_options *session; /* of the ledger */
    struct metrics_event *events;
    size_t count;
    int64_t left_ms;
};

/* Borrows both, which may still change. Under a pretended clock (--now) nothing is told. The caller
 * clears it. */
void telemetry_begin(struct telemetry *telemetry, const struct settings *settings,
                     const struct session_options *session);
void telemetry_clear(struct telemetry *telemetry);

/* Notes a run that has ended; `problem` when it did not go well. */
void telemetry_note_run(struct telemetry *telemetry, const struct backup_request *request,
                        const struct backup_result *result, const struct error *problem);
/* Phases that follow: of the run that was noted last, or of all. */
void telemetry_enter(struct telemetry *telemetry, enum run_phase phase);
void telemetry_enter_all(struct telemetry *telemetry, enum run_phase phase);
/* Ends them. */
void telemetry_leave(struct telemetry *telemetry, bool ok);

/* Notes a verification whose outcome is in the ledger: one that found out. */
void telemetry_note_verification(struct telemetry *telemetry, const struct backup_object *backup,
                                 const struct verify_outcome *outcome, const struct error *problem);

/* Whether there is something to tell although nothing is due: a quiet tick's question. */
bool telemetry_is_stale(const struct telemetry *telemetry);
/* Tells all that was noted, and how the schedules stand now. False, for the exit code, when a part
 * of that failed, which is logged. After a stop nothing is told. */
bool telemetry_export(struct telemetry *telemetry);

#endif

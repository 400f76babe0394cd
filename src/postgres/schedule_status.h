/*
 * How the runs of each schedule stand, as the ledger and the server's locks tell it, and what that
 * means for somebody who probes it.
 *
 * Running: it has a 'started' row of ours, and its lock is held.
 *
 * Interrupted: it has such a row whose run is dead, its lock being free: the next check resolves
 * it.
 *
 * Overdue: an enabled schedule of whose occurrences the latest that is older than 10 minutes was
 * missed: no run of it or of one after it is completed, no manual run has completed since, and it
 * is not running. (An occurrence before the minute in which the row was timed was not to be made.)
 * The grace is longer than three attempts with their pauses need when each fails at once, so that a
 * probe in the minute of a backup does not flap; what was missed before stays missed meanwhile.
 *
 * Failed: an enabled schedule whose newest finished run, by completed_at, is a failure.
 *
 * Refuted: an enabled schedule of whose backups the one that was verified last was found to be bad.
 *
 * A schedule of all databases is overdue, failed or refuted when one of them is that is there still
 * and was dumped, or was to be, in its last 1000 runs.
 *
 * What is dated after the server's clock (a rehearsal's, under --now) is passed over.
 */
#ifndef POSTGRES_SCHEDULE_STATUS_H
#define POSTGRES_SCHEDULE_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/backup_history.h"
#include "postgres/backup_schedule.h"
#include "postgres/session.h"

struct schedule_status {
    char id[SCHEDULE_ID_SIZE];
    bool has_completed; /* a run of it ever has; also one of the old service, by last_run_at */
    int64_t completed_ms;
    bool has_manual; /* a manual run has, no longer ago than two occurrences can be apart */
    int64_t manual_ms;
    char outcome[16]; /* of the newest finished run: "completed", "failed", or "" */
    int64_t finished_ms;
    char *error;        /* of that run, or NULL */
    int64_t started;    /* rows */
    int64_t started_ms; /* the newest of them */
    bool locked;
    char verified_name[HISTORY_NAME_SIZE]; /* the newest backup that was verified, or "" */
    int64_t verified_ms;                   /* when it was */
    char refuted_name[HISTORY_NAME_SIZE];  /* where the last verification of all failed, or "" */
    int64_t refuted_ms;
    char *verify_error; /* why, or NULL */
    bool has_missing;   /* an occurrence whose backup should have been made by now, and was not */
    int64_t missing_ms;
};

struct schedule_statuses {
    struct schedule_status *items; /* by id */
    size_t count;
};

/* Of every schedule, in one query. Read before the schedules are (backup_schedule_read()), so that
 * a run that ends in between is seen as running, or as done, but never as neither. The caller
 * clears it. */
bool schedule_status_read(struct session *session, struct schedule_statuses *out,
                          struct error *err);
void schedule_status_clear(struct schedule_statuses *statuses);

/* NULL when the schedule has come into being after they were read. */
const struct schedule_status *schedule_status_find(const struct schedule_statuses *statuses,
                                                   const char *id);

/* A NULL status is one that knows of no run. */
bool schedule_status_is_running(const struct schedule_status *status);
bool schedule_status_is_interrupted(const struct schedule_status *status);
bool schedule_status_is_overdue(const struct schedule_status *status);
bool schedule_status_has_failed(const struct schedule_status *status,
                                const struct schedule *schedule);
bool schedule_status_is_refuted(const struct schedule_status *status,
                                const struct schedule *schedule);

#endif

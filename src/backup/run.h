/*
 * A run under way, between the parts of backup_run(): what it is made of, moving the dump into the
 * stores, and what the ledger is told at its end. For backup/backup.c alone.
 */
#ifndef BACKUP_RUN_H
#define BACKUP_RUN_H

#include <stdbool.h>

#include "backup/backup.h"
#include "backup/publication.h"
#include "base/error.h"
#include "base/scope.h"
#include "dump/dump.h"
#include "postgres/ledger.h"
#include "postgres/session.h"
#include "schedule/claim.h"
#include "store/fan_out.h"

struct run {
    const struct backup_request *request;
    struct scope scope; /* a copy: a thread that is left behind outlives the request */
    struct claim claim;
    struct session *source; /* in the database to dump: the claim's, or one of its own */
    struct ledger dumped;   /* that database and its server */
    struct backup_result *result;
    struct dump_result dump;
    struct publication publication;
    struct fan_out *fan_out;
    bool left_behind; /* a thread goes on using this run */
};

/* From the first byte of the dump to the published object, in every store that is required. False
 * with BACKUP_FAILED (nothing is visible) or BACKUP_UNSETTLED in the result. */
bool run_transfer(struct run *run, struct error *err);

/* What the ledger is told. Completed: false with ERROR_DEGRADED when it could not be told, or with
 * BACKUP_FAILED when another process had taken the run for dead and what was published is
 * withdrawn. Failed: *err is the reason. Skipped: silently, as one attempt of the occurrence; sets
 * *err. */
bool run_record_completed(struct run *run, struct error *err);
void run_record_failed(struct run *run, const struct error *err);
void run_record_skipped(struct run *run, struct error *err);

#endif

/*
 * One run of one schedule, from claim to ledger: the whole story. `check` and `run` both tell it.
 */
#ifndef BACKUP_BACKUP_H
#define BACKUP_BACKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/settings.h"
#include "metrics/run_phases.h"
#include "postgres/backup_history.h"
#include "postgres/backup_schedule.h"
#include "postgres/session.h"
#include "store/backup_object.h"
#include "store/store_pool.h"
#include "stream/compress.h"
#include "stream/digest_stage.h"

struct ping; /* notify/ping.h */

struct backup_request {
    const struct settings *settings;
    const struct session_options *session; /* of the database that holds schedule and ledger */
    const struct store_choice *stores;
    const struct schedule *schedule;
    const struct scope *scope; /* NULL: the schedule's */
    struct compression compression;
    const char *restrict_key; /* NULL: a random one */
    bool scheduled;           /* else manual */
    bool silent;              /* nobody is to be told of its outcome */
    /* Of a run of all databases: told that it begins with the first, and ended by the caller. NULL:
     * the run has one of its own. */
    struct ping *ping;
    bool show_progress;
};

enum backup_status {
    BACKUP_FAILED,
    BACKUP_COMPLETED,
    BACKUP_LOCKED,    /* another process is backing up this schedule */
    BACKUP_NOT_DUE,   /* meanwhile another process made this backup, or tried to */
    BACKUP_CHANGED,   /* meanwhile the schedule asks for another backup: read it again */
    BACKUP_SKIPPED,   /* the hook before it asked for that: a failed attempt that is no news */
    BACKUP_UNSETTLED, /* whether the object was published is not known: the next check finds out */
};

struct backup_result {
    enum backup_status status;
    char history_id[HISTORY_ID_SIZE];
    char run_id[BACKUP_RUN_ID_SIZE];
    char name[BACKUP_NAME_SIZE];
    char database[64 * 4];       /* that was dumped; the ledger's until that is known */
    struct stream_digest object; /* length and SHA-256 of what is stored */
    uint64_t raw_bytes;
    const char *engine;
    bool has_rows; /* tables and rows are known */
    uint64_t tables;
    uint64_t rows;
    bool hook_failed; /* the one after it, or on failure; it has been told */
    int64_t duration_ms;
    int64_t ended_ms; /* the server's clock */
    struct run_phases phases;
    /* Of BACKUP_COMPLETED: the stores that do not have it, with the reasons, for people; or "". */
    size_t missing;
    char missing_in[1024];
    bool is_missing[STORES_MOST]; /* by the request's stores */
};

/* True for BACKUP_COMPLETED, BACKUP_LOCKED, BACKUP_NOT_DUE, BACKUP_CHANGED and BACKUP_SKIPPED.
 * False with BACKUP_FAILED (nothing is published, the ledger says failed unless it could not be
 * reached), BACKUP_UNSETTLED, or with BACKUP_COMPLETED and ERROR_DEGRADED: the backup is good but
 * the ledger could not be told, which the next check makes up for. A store that has no copy is no
 * failure: it is logged, and in the result. */
bool backup_run(const struct backup_request *request, struct backup_result *result,
                struct error *err);

#endif

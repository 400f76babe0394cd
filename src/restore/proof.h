/*
 * Proves that a backup is good, by restoring it into a scratch database and comparing every row, or
 * (quick) by reading all of it.
 */
#ifndef RESTORE_PROOF_H
#define RESTORE_PROOF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/settings.h"
#include "postgres/session.h"
#include "store/backup_object.h"
#include "store/store.h"

struct proof {
    const struct settings *settings;
    struct store *store;
    const struct backup_object *backup;
    bool quick;
    const struct session_options *server; /* where the scratch database is made; unless quick */
    /* Called now and then; NULL: no progress. */
    void (*progress)(void *context, uint64_t raw_bytes);
    void *progress_context;
};

struct proof_result {
    bool is_bad;   /* after a failure: the backup is not good; else it could not be verified */
    bool has_rows; /* tables and rows are known: the backup has a manifest */
    uint64_t tables;
    uint64_t rows;
    uint64_t raw_bytes;
    int64_t duration_ms;
};

/* A backup that is not good is ERROR_DAMAGED, and result->is_bad; every other error has only kept
 * us from finding out. Drops what a run that died has left on the server. */
bool proof_run(const struct proof *proof, struct proof_result *result, struct error *err);

#endif

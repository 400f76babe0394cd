/*
 * A verification of a backup, with what follows it: the ledger, and mails when it failed.
 */
#ifndef BACKUP_VERIFY_H
#define BACKUP_VERIFY_H

#include <stdbool.h>

#include "backup/backup_choice.h"
#include "base/error.h"
#include "base/settings.h"
#include "postgres/session.h"
#include "restore/proof.h"
#include "store/backup_object.h"
#include "store/store.h"

struct telemetry;

struct verify_request {
    const struct settings *settings;
    const struct session_options *ledger;
    const struct session_options *server; /* of the scratch database; unless quick */
    struct backup_choice *choice;    /* the copy to begin with; turned to others when it is bad */
    const struct store_pool *stores; /* where others may be */
    bool quick;
    bool silent; /* what is bad is recorded, and not mailed */
    bool show_progress;
    struct telemetry *telemetry; /* where good and bad are noted, too */
};

enum verify_verdict {
    VERIFY_GOOD,
    VERIFY_BAD,     /* every copy is, and every store answered; the error says why */
    VERIFY_UNKNOWN, /* the error says what kept us from finding out */
};

struct verify_outcome {
    enum verify_verdict verdict;
    struct proof_result proof;
    /* What could not be done afterwards (invariant I7), or ERROR_NONE. */
    struct error degraded;
};

/* True for a backup of which a copy is good: the first one is enough. Copies that are bad before it
 * are told, and recorded as damaged. Good and bad are recorded in the ledger (not a quick look,
 * which proves less), and what is bad is mailed; delivering is the caller's. */
bool verify_backup(const struct verify_request *request, struct verify_outcome *outcome,
                   struct error *err);

#endif

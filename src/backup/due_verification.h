/*
 * A verification that a schedule asks for after its backup (verify_every).
 */
#ifndef BACKUP_DUE_VERIFICATION_H
#define BACKUP_DUE_VERIFICATION_H

#include <stdbool.h>
#include <stdint.h>

#include "backup/backup.h"
#include "backup/verify.h"
#include "base/error.h"
#include "store/store_pool.h"

/* A backup that a run has made. */
struct made_backup {
    char schedule_id[SCHEDULE_ID_SIZE];
    int64_t verify_every;              /* of the schedule; 0: it is never verified */
    struct store *stores[STORES_MOST]; /* that have it */
    size_t store_count;
    char name[BACKUP_NAME_SIZE];
    char run_id[BACKUP_RUN_ID_SIZE];
};
void made_backup_note(struct made_backup *made, const struct backup_request *request,
                      const struct backup_result *result);

/* Asks the ledger whether it is to be verified now, and verifies it: *verified, and *outcome. Of
 * `how`, choice and stores do not count. False when that could not be asked, and as
 * verify_backup(). */
bool due_verification_run(const struct made_backup *made, const struct verify_request *how,
                          bool *verified, struct verify_outcome *outcome, struct error *err);

#endif

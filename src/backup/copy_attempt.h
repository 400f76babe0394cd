/*
 * One attempt to make a copy that is due: the backup is copied there from a store that has it, or
 * what a failed run may have left there is removed. It is a watched thread's work, for it may hang
 * in a file system, and so has all that it uses to itself.
 */
#ifndef BACKUP_COPY_ATTEMPT_H
#define BACKUP_COPY_ATTEMPT_H

#include <stdbool.h>

#include "base/error.h"
#include "base/settings.h"
#include "postgres/backup_copies.h"
#include "postgres/backup_schedule.h"
#include "postgres/session.h"
#include "store/store_pool.h"

struct copy_attempt;

struct copy_attempt_options {
    /* These are used to its end; the stores by nobody else meanwhile. */
    const struct settings *settings;
    const struct session_options *ledger;
    struct store_pool *stores;
    /* These by copy_attempt_new() alone. */
    const struct copy_row *row;
    const struct schedules *schedules;
};

bool copy_attempt_new(const struct copy_attempt_options *options, struct copy_attempt **out,
                      struct error *err);
/* For watched_thread_start(). Makes the copy, and writes to the ledger what became of it, unless
 * another process is at it or has done it. */
void copy_attempt_run(void *attempt);
/* From another thread: it is to publish nothing any more. */
void copy_attempt_give_up(struct copy_attempt *attempt);
/* Writes to the ledger that it failed, or hangs: it is due again, unless its schedule names the
 * store no more, which *reason then says. */
bool copy_attempt_note_failed(const struct copy_attempt *attempt, struct session *session,
                              struct error *reason, struct error *err);
/* Once it has run: false, with the reason, when it failed. */
bool copy_attempt_result(const struct copy_attempt *attempt, struct error *err);
void copy_attempt_free(struct copy_attempt *attempt);

#endif

/*
 * Which backup is meant: by its name, "latest", "latest:SCHEDULE" or "latest:SCHEDULE/DATABASE", in
 * the first store that answers and has it whole. For the commands that read one backup.
 */
#ifndef BACKUP_BACKUP_CHOICE_H
#define BACKUP_BACKUP_CHOICE_H

#include <stdbool.h>

#include "base/error.h"
#include "postgres/backup_schedule.h"
#include "store/backup_object.h"
#include "store/store_pool.h"

#define BACKUP_CHOICE_LATEST "latest"

/* Not to be copied or moved: `backup` borrows from `object`. */
struct backup_choice {
    struct store *store; /* borrowed from the pool */
    struct object object;
    struct backup_object backup;
    bool passed_over; /* a newer one, which is not whole; it has been told */
    bool unasked;     /* a store that did not answer may have a copy of it */
};

/* False (ERROR_USAGE) for what is neither a backup's name nor one of the words: nothing else is
 * ever made into a request or a path. No store is asked. */
bool backup_choice_check(const char *wanted, struct error *err);

/* Checks and finds it. SCHEDULE is a name or an id; without `schedules` (NULL: the database does
 * not answer) an id alone, and the old service's backups are then no schedule's. DATABASE is needed
 * (else ERROR_USAGE) where the latest one is of a run of all databases. The latest is the
 * one with the latest time in its name, of all stores, among those that hold the part of the
 * database that SCHEDULE asks for, or all of it; when there is none, of any part. One that is not
 * whole is passed over, and told when it is newer.
 *
 * A store that does not answer is told and left out when another has it; else it is the error.
 * ERROR_USAGE when all answer and none has it. *out is the caller's to clear, also after a
 * failure. */
bool backup_choice_find(const struct store_pool *stores, const struct schedules *schedules,
                        const char *wanted, struct backup_choice *out, struct error *err);
/* Turns to the next copy of the same backup, in a store that was not asked for it yet; *found is
 * false, and the choice is as it was, when there is none. A store that does not answer is told. */
bool backup_choice_next(const struct store_pool *stores, struct backup_choice *choice, bool *found,
                        struct error *err);
/* After a failure to read it, or to make anything of it: was it the copy's fault, so that another
 * one may do better? Ask once per failure. */
bool backup_choice_is_at_fault(const struct backup_choice *choice, const struct error *problem);
void backup_choice_clear(struct backup_choice *choice);

#endif

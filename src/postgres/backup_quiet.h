/*
 * The tables rythm_backup_quiet and rythm_backup_edits (migrations/103): until when nothing is due,
 * as an earlier tick found it, so that a tick need not look at every schedule.
 */
#ifndef POSTGRES_BACKUP_QUIET_H
#define POSTGRES_BACKUP_QUIET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/backup_schedule.h"
#include "postgres/session.h"

#define BACKUP_QUIET_EDITS_SIZE (32 * 1024)

struct backup_quiet {
    int64_t now_ms;     /* the server's clock, shifted as --now asks */
    bool quiet;         /* nothing is due, and no schedule was edited since that was found */
    bool interrupted;   /* the ledger holds started rows of ours: some may be crashed runs */
    bool pending_mails; /* notifications wait to be sent, and it is time to try */
    bool untold;        /* how a run ended, or a verification failed, nobody was told yet */
    bool copies_due;    /* a backup is missing in one of its stores, and may be copied there now */
    /* What the answer was made from, for backup_quiet_note(). */
    char looked_at[64];
    char edits[BACKUP_QUIET_EDITS_SIZE];
};

/* One small query. With a shifted clock it is never quiet; nor in the first minute of an hour, nor
 * ten minutes after the last look at all schedules, whatever the table says. */
bool backup_quiet_read(struct session *session, int64_t catch_up_s, struct backup_quiet *out,
                       struct error *err);

/* After looking at `schedules`, which were read after *seen: notes until when nothing is due, if
 * nothing is or may become so sooner. Another tick that noted something meanwhile goes first. */
bool backup_quiet_note(struct session *session, int64_t catch_up_s, const struct backup_quiet *seen,
                       const struct schedules *schedules, struct error *err);

#endif

/*
 * What a schedule says about its notifications: the columns notify_channels and notify_on of
 * backup_schedule.
 */
#ifndef POSTGRES_NOTIFY_CHOICE_H
#define POSTGRES_NOTIFY_CHOICE_H

#include <stdbool.h>

#include "base/error.h"
#include "postgres/session.h"

struct notify_choice {
    char **channels; /* their names, ending with NULL; NULL: all that are configured */
    char **on;       /* "success", "failure", "recovery", ending with NULL; NULL: the first two */
    bool recovered;  /* the schedule's run before this one has failed */
};

/* Of the schedule with this id, "" or NULL for none, and of its run in backup_history, which may be
 * NULL. A schedule that is gone has chosen nothing. The caller clears it. */
bool notify_choice_read(struct session *session, const char *schedule_id, const char *history_id,
                        struct notify_choice *out, struct error *err);
void notify_choice_clear(struct notify_choice *choice);

#endif

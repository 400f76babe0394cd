/*
 * The table rythm_backup_deliveries (migrations/108): the outbox, as who delivers sees it.
 *
 * pending -> begun again and again -> sent, or -> given up. An attempt is counted before it is
 * made; what a service has accepted is noted before anything else, so that whoever comes after a
 * crash asks what became of it instead of sending it again.
 */
#ifndef POSTGRES_DELIVERY_ROUNDS_H
#define POSTGRES_DELIVERY_ROUNDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/deliveries.h"
#include "postgres/session.h"

/* *any: there is something to deliver, due or not. Needs the right to read only. */
bool delivery_rounds_look(struct session *session, bool *any, struct error *err);
/* One deliverer at a time: a session-level advisory lock, gone with the session. */
bool delivery_rounds_lock(struct session *session, bool *taken, struct error *err);
/* Brings the outbox in line with email_logs, which others write, too: a mail of ours that is
 * pending there without a delivery (an earlier version wrote it, or somebody wants it sent after
 * all) gets one, and what is not pending there any more is withdrawn. */
bool delivery_rounds_sync(struct session *session, struct error *err);

struct due_delivery {
    char id[DELIVERY_ID_SIZE];
    char channel[32];
    char *recipient;
    char *receipt; /* the service has accepted it under this id; or NULL */
    bool is_mail;
    bool is_test;
    bool is_old;      /* a day has passed since it was written */
    bool is_held;     /* its channel's service has asked for a pause that is not over */
    int64_t attempts; /* that were begun before */
};
struct due_deliveries {
    struct due_delivery *items;
    size_t count;
};
#define DUE_DELIVERIES_MOST 500

/* What is due and not held, or with `all` whatever is pending; of each channel what has been due
 * longest first; at most DUE_DELIVERIES_MOST, of all channels alike. The caller clears it. */
bool delivery_rounds_read(struct session *session, bool all, struct due_deliveries *out,
                          struct error *err);
void delivery_rounds_clear(struct due_deliveries *due);

/* Counts an attempt, and gives what is to be told: NULL where the row knows none. *pending is false
 * when it is not pending any more. The caller frees. */
bool delivery_rounds_begin(struct session *session, const char *id, char **news, bool *pending,
                           struct error *err);
/* The service has it, under this id ("" where it gives none). Attempts are counted anew. */
bool delivery_rounds_accepted(struct session *session, const char *id, const char *receipt,
                              struct error *err);
/* To be tried again so long from now. `throttled`: and nothing else of its channel before. A NULL
 * reason leaves the last one. */
struct delivery_pause {
    int64_t wait_ms;
    bool throttled;
    const char *reason;
};
bool delivery_rounds_postpone(struct session *session, const char *id,
                              const struct delivery_pause *pause, struct error *err);
enum delivery_end { DELIVERY_SENT, DELIVERY_GIVEN_UP, DELIVERY_WITHDRAWN };
bool delivery_rounds_end(struct session *session, const char *id, enum delivery_end end,
                         const char *reason, struct error *err);

/* How many of a channel its service has accepted in the last hour. */
bool delivery_rounds_count(struct session *session, const char *channel, int64_t *count,
                           struct error *err);

#endif

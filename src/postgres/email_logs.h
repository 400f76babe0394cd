/*
 * The table email_logs as our outbox: one row per mail, ours being those whose metadata hold
 * "rythm_backup". The application may have made email_type and status enums or text: parameters are
 * left untyped, so that the server takes them as what the column is.
 *
 * pending -> sent, or -> failed when it was tried often enough or can never go. The row's id is the
 * mail's Operation-Id, so that sending again after a crash is the same operation to the service.
 */
#ifndef POSTGRES_EMAIL_LOGS_H
#define POSTGRES_EMAIL_LOGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/session.h"

#define EMAIL_ID_SIZE 37

struct email_draft {
    const char *key; /* with `to`: one mail per key and address, unless `again` */
    const char *run_id;
    const char *outcome; /* "completed", "failed", "verification failed" or "test" */
    const char *backup_name;
    const char *to;
    const char *from;
    const char *subject;
    const char *plain_text;
    const char *html;
    bool again; /* although there is one already (notify --backup) */
};
/* Adds a pending row unless there is one with this key (of any status) for this address; *added
 * tells. */
bool email_logs_add(struct session *session, const struct email_draft *draft, bool *added,
                    struct error *err);

struct email {
    char id[EMAIL_ID_SIZE];
    char *to;
    char *from;
    char *subject;
    char *plain_text;
    char *html;
    char *operation_id; /* the service's id of a send it accepted before, or NULL */
    int64_t attempts;   /* that failed; since the service accepted it, when it has */
    bool is_test;       /* "notify --test": not tried again */
};
struct emails {
    struct email *items;
    size_t count;
};
#define EMAILS_MOST 500

/* Our pending mails, oldest first, at most EMAILS_MOST. Rows that another process is delivering at
 * this moment are the caller's concern: it holds email_logs_lock(). */
bool email_logs_read_pending(struct session *session, struct emails *out, struct error *err);
void email_logs_clear(struct emails *emails);

/* One deliverer at a time: a session-level advisory lock, gone with the session. */
bool email_logs_lock(struct session *session, bool *taken, struct error *err);

/* The service accepted it under this id: should we die now, the next deliverer asks for the outcome
 * instead of sending a second mail. The count of attempts starts anew. */
bool email_logs_accepted(struct session *session, const char *id, const char *operation_id,
                         struct error *err);
bool email_logs_sent(struct session *session, const char *id, const char *message_id,
                     struct error *err);
/* One more attempt failed. The row stays pending until `most_attempts` are used up or `for_good`.
 */
bool email_logs_not_sent(struct session *session, const char *id, const char *reason,
                         int64_t most_attempts, bool for_good, struct error *err);

#endif

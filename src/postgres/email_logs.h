/*
 * The table email_logs, which is the application's: one row per mail of ours, for whoever looks
 * there. Ours are those whose metadata hold "rythm_backup"; the row's id is its delivery's
 * (postgres/deliveries.h), where when it is tried again is kept. The application may have made
 * email_type and status enums or text: parameters are left untyped, so that the server takes them
 * as what the column is.
 *
 * pending -> sent, or -> failed when it was given up. The row's id is the mail's Operation-Id, too,
 * so that sending again after a crash is the same operation to the service.
 */
#ifndef POSTGRES_EMAIL_LOGS_H
#define POSTGRES_EMAIL_LOGS_H

#include <stdbool.h>

#include "base/error.h"
#include "postgres/session.h"

struct email_draft {
    const char *id; /* the delivery's */
    const char *key;
    const char *channel;
    const char *run_id;
    const char *outcome; /* "completed", "failed", "verification failed" or "test" */
    const char *backup_name;
    const char *to;
    const char *from;
    const char *subject;
    const char *plain_text;
    const char *html;
};
/* Adds a pending row. */
bool email_logs_add(struct session *session, const struct email_draft *draft, struct error *err);
/* It says something else from now on. */
bool email_logs_rewrite(struct session *session, const char *id, const char *subject,
                        const char *plain_text, const char *html, struct error *err);

struct email {
    char *from;
    char *subject;
    char *plain_text;
    char *html;
};
/* The mail with this id; *pending is false, and nothing read, when it is not pending (any more). */
bool email_logs_read(struct session *session, const char *id, struct email *out, bool *pending,
                     struct error *err);
void email_logs_clear(struct email *email);

/* The service accepted it under this id: should we die now, the next deliverer asks for the outcome
 * instead of sending a second mail. The count of attempts starts anew. */
bool email_logs_accepted(struct session *session, const char *id, const char *operation_id,
                         struct error *err);
bool email_logs_sent(struct session *session, const char *id, const char *message_id,
                     struct error *err);
/* One more attempt failed. The row stays pending unless it is given up. */
bool email_logs_not_sent(struct session *session, const char *id, const char *reason, bool given_up,
                         struct error *err);
/* It is given up without an attempt. */
bool email_logs_not_tried(struct session *session, const char *id, const char *reason,
                          struct error *err);

#endif

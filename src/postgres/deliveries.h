/*
 * The table rythm_backup_deliveries (migrations/108): the outbox, as who puts something in sees it.
 * Who delivers uses postgres/delivery_rounds.h. What is told is a JSON document of the caller's, of
 * which only the member "kind" is looked at here.
 */
#ifndef POSTGRES_DELIVERIES_H
#define POSTGRES_DELIVERIES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "postgres/session.h"

#define DELIVERY_ID_SIZE 37

struct delivery_draft {
    const char *id;  /* a UUID */
    const char *key; /* with channel and recipient: one delivery, unless `again` */
    const char *channel;
    const char *recipient; /* an address; "" where the channel leads to one place */
    const char *news;
    bool is_mail;
    bool is_test;
    bool again;              /* although there is one already (notify --backup) */
    const char *merged_into; /* the delivery that tells this, too; NULL: it is told by itself */
};
/* Adds it, to be delivered at once, unless there is one with this key; *added tells. For a mail the
 * caller then adds the row in email_logs, in the same transaction. */
bool deliveries_add(struct session *session, const struct delivery_draft *draft, bool *added,
                    struct error *err);

/* A delivery that may take in more news: of this kind, for this channel and recipient, not begun
 * yet. */
struct open_delivery {
    char id[DELIVERY_ID_SIZE]; /* "" when there is none */
    char *news;
};
/* To be called in a transaction: until its end nobody begins to deliver it. The caller clears it.
 */
bool deliveries_find_open(struct session *session, const char *channel, const char *recipient,
                          const char *kind, struct open_delivery *out, struct error *err);
void deliveries_clear_open(struct open_delivery *open);
/* Tells something else from now on. */
bool deliveries_rewrite(struct session *session, const char *id, const char *news,
                        struct error *err);

#endif

/*
 * Several statements as one: all of them or none. For callers above this folder; a session whose
 * transaction failed has to be rolled back or closed.
 */
#ifndef POSTGRES_TRANSACTION_H
#define POSTGRES_TRANSACTION_H

#include <stdbool.h>

#include "base/error.h"
#include "postgres/session.h"

bool transaction_begin(struct session *session, struct error *err);
/* After a failure it is not known whether it was committed. */
bool transaction_commit(struct session *session, struct error *err);
/* Also after a failure of any statement, the commit included; what cannot be done here, closing the
 * session does. */
void transaction_rollback(struct session *session);

#endif

/*
 * Which ledger this is. A database is copied, with its schedules and its ledger in it (a restore
 * beside the original, a staging server): what distinguishes the original's backups and runs from
 * the copy's is the server's system identifier and the name of the database.
 */
#ifndef POSTGRES_LEDGER_H
#define POSTGRES_LEDGER_H

#include <stdbool.h>

#include "base/error.h"
#include "postgres/session.h"

#define LEDGER_SYSTEM_SIZE   24
#define LEDGER_DATABASE_SIZE (64 * 4)
#define LEDGER_TEXT_SIZE     (LEDGER_SYSTEM_SIZE + LEDGER_DATABASE_SIZE)

struct ledger {
    char system[LEDGER_SYSTEM_SIZE]; /* decimal (manual, pg_control_system()) */
    char database[LEDGER_DATABASE_SIZE];
};

/* Of the database that this session is in. */
bool ledger_identify(struct session *session, struct ledger *out, struct error *err);
/* In SQL: whether a row with this ledger is this one's, as far as it says. */
#define LEDGER_IS_THIS(ledger)                                                                     \
    "coalesce(" ledger " = (SELECT system_identifier::text || '/' || current_database()::text"     \
    " FROM pg_control_system()), true)"
/* "SYSTEM/DATABASE", as backup_history.ledger holds it. */
void ledger_format(char out[LEDGER_TEXT_SIZE], const struct ledger *ledger);

#endif

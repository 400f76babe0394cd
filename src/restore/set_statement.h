/*
 * SET in a script: what pg_dump writes to have the session's parameters as it needs them.
 */
#ifndef RESTORE_SET_STATEMENT_H
#define RESTORE_SET_STATEMENT_H

#include <stdbool.h>

#include "restore/sql_script.h"

/* SET, or the call of set_config() that pg_dump writes instead for the search path. */
bool set_statement_is(const struct sql_statement *statement);
/* SET statement_timeout and the like, which the session has set for itself, and of which an older
 * server does not know each. */
bool set_statement_is_of_time(const struct sql_statement *statement);

#endif

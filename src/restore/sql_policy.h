/*
 * Which statements of a script restore does not send to a server: those that pg_dump never writes
 * and that reach further than the database (COPY with files and programs), and those after which
 * the server would read the rest of the script in another way than we do. Not a sandbox: a script
 * is SQL, and runs with the rights of whoever restores it.
 */
#ifndef RESTORE_SQL_POLICY_H
#define RESTORE_SQL_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* For a whole statement. *is_copy: it is COPY ... FROM stdin, whose rows follow. */
bool sql_policy_check(const char *statement, size_t length, bool *is_copy, struct error *err);

#endif

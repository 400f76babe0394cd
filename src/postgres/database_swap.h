/*
 * Putting a restored database in the place of another by their names: one transaction, before and
 * after which the name stands for a whole database.
 *
 * The functions are called in the maintenance session that has created the scratch database
 * (postgres/scratch_database.h).
 */
#ifndef POSTGRES_DATABASE_SWAP_H
#define POSTGRES_DATABASE_SWAP_H

#include <stdbool.h>

#include "base/error.h"
#include "postgres/scratch_database.h"
#include "postgres/session.h"
#include "postgres/target_database.h"

/* To be asked before anything is made: whether this role may rename `target`, and whether anything
 * hangs on it that would be lost with it (subscriptions, logical replication slots, prepared
 * transactions). A target that does not exist is fine. Who is connected now is not asked. */
bool database_swap_check(struct session *session, const char *target, struct error *err);

/* To be asked before hours are spent on a restore: whether this role may give the properties of
 * `target` to `scratch`. Changes nothing. */
bool database_swap_rehearse(struct session *session, const char *scratch, const char *target,
                            struct error *err);

/* Gives `scratch` the properties of `target`, renames that to a scratch name, and `scratch` to
 * `target`. That must still be what it was when *expected was described. All other sessions in
 * `scratch` have to be closed. *replaced is the other's new name,
 * "" when there was none: it is for scratch_database_drop(), and if that fails the swap still
 * stands. Somebody connected to `target` is an error that names one; nothing is changed then, and
 * the call can be repeated. */
bool database_swap_commit(struct session *session, const char *scratch, const char *target,
                          const struct target_database *expected, char replaced[SCRATCH_NAME_SIZE],
                          struct error *err);

#endif

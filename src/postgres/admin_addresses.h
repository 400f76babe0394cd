/*
 * Who is told about backups: the addresses that RYTHM_BACKUP_ADMIN_QUERY gives.
 */
#ifndef POSTGRES_ADMIN_ADDRESSES_H
#define POSTGRES_ADMIN_ADDRESSES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "postgres/session.h"

struct addresses {
    char **items;
    size_t count;
};
#define ADDRESSES_MOST 1000

/* Adds a copy of `address` unless the list has it already. More than ADDRESSES_MOST are refused. */
bool admin_addresses_add(struct addresses *addresses, const char *address, struct error *err);

/* Runs the query in a read-only transaction and gives its first column, without nulls and doubles.
 * A table that does not exist gives none, with *missing set (where there is no users table,
 * RYTHM_BACKUP_NOTIFY_TO is the way). */
bool admin_addresses_read(struct session *session, const char *query, struct addresses *out,
                          bool *missing, struct error *err);
void admin_addresses_clear(struct addresses *addresses);

#endif

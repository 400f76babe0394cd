/*
 * What belongs to a database as a whole and is in no dump of its contents: who may connect, its
 * settings and those of roles in it, its limit of connections, comment and security labels.
 */
#ifndef POSTGRES_DATABASE_PROPERTIES_H
#define POSTGRES_DATABASE_PROPERTIES_H

#include <stdbool.h>

#include "base/error.h"
#include "postgres/session.h"

/* Gives `to`, which has none but an owner and an access list, those of `from`; if there is no such
 * database, those of a new one. To be called in a transaction. An error names the property, never
 * the value of a setting, which may be a secret. */
bool database_properties_copy(struct session *session, const char *from, const char *to,
                              struct error *err);

#endif

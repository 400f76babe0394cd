/*
 * The locales of a server's databases, whatever its version keeps of them: reading one, and asking
 * for one when a database is made.
 */
#ifndef POSTGRES_SERVER_LOCALE_H
#define POSTGRES_SERVER_LOCALE_H

#include <stdbool.h>

#include "base/database_locale.h"
#include "base/error.h"
#include "postgres/session.h"

/* Of any database of the session's server. Not known, without an error: there is none of this name,
 * or one of its texts is too long to be kept. */
bool server_locale_read(struct session *session, const char *database, struct database_locale *out,
                        struct error *err);

/* An SQL expression: what CREATE DATABASE says of the locale, " LC_COLLATE 'C' ...", of a row `d`
 * of pg_database. */
const char *server_locale_expression(const struct session *session);

/* The same of a known locale, for the caller to free. Whether the server has a locale of that name
 * only CREATE DATABASE tells; *clause is NULL, without an error, when it has not even the provider.
 */
bool server_locale_clause(struct session *session, const struct database_locale *locale,
                          char **clause, struct error *err);

#endif

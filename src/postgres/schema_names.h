/*
 * Names as a database has them: what we are told is in UTF-8, what is compared with the catalogue,
 * and given to pg_dump, is in the database's own encoding, and so is what stands in its dump.
 */
#ifndef POSTGRES_SCHEMA_NAMES_H
#define POSTGRES_SCHEMA_NAMES_H

#include <stdbool.h>

#include "base/error.h"
#include "postgres/session.h"

/* *out is the list, which ends with NULL, in the encoding of the session's database, for
 * text_list_free(); or NULL when that is UTF-8, or none (SQL_ASCII), and the names stay as they
 * are. A character that the encoding does not have is an error. */
bool schema_names_encode(struct session *session, char *const *names, char ***out,
                         struct error *err);

/* The same for any encoding, which need not be the database's; *out is never NULL. The session is
 * still to speak UTF-8. */
bool schema_names_convert(struct session *session, char *const *names, const char *encoding,
                          char ***out, struct error *err);

#endif

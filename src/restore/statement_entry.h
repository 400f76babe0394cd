/*
 * What the comment before a statement says of it. For messages and for choosing, never for deciding
 * what is safe: nothing in it is quoted.
 */
#ifndef RESTORE_STATEMENT_ENTRY_H
#define RESTORE_STATEMENT_ENTRY_H

#include <stdbool.h>

#include "base/error.h"
#include "restore/sql_script.h"

/* "INDEX", "FK CONSTRAINT": false for another type, and where no type can be read. */
bool statement_entry_has_type(const struct sql_statement *statement, const char *type);

/* Is it about rows, sequences' values or large objects: what pg_dump --schema-only leaves out? */
bool statement_entry_is_data(const struct sql_statement *statement);

/* A comment or label on an object of this type. */
bool statement_entry_remarks_on(const struct sql_statement *statement, const char *type);

/* Puts "TABLE public.t (line 12): " in front of the error; returns false. */
bool statement_entry_prefix(const struct sql_statement *statement, struct error *err);

#endif

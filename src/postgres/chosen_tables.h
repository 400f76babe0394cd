/*
 * Which tables a scope (base/scope.h) chooses: those that pg_dump would with the same options. The
 * server matches the same regular expressions that pg_dump makes of the patterns
 * (fe_utils/string_utils.c, processSQLNamePattern()), under the same search path, the role's own.
 */
#ifndef POSTGRES_CHOSEN_TABLES_H
#define POSTGRES_CHOSEN_TABLES_H

#include <stdbool.h>

#include "base/error.h"
#include "base/scope.h"
#include "base/text.h"
#include "postgres/session.h"

/* Values for queries: arrays of names and of oids, or NULL where there was no list. */
struct chosen_tables {
    char *schemas;
    char *oids[SCOPE_LISTS];
};

/* Only in a transaction when there are patterns: while it looks, the search path is the role's. A
 * sequence, view or foreign table may be among the oids. The caller clears *out. */
bool chosen_tables_find(struct session *session, const struct scope *scope,
                        struct chosen_tables *out, struct error *err);
void chosen_tables_clear(struct chosen_tables *chosen);

/* In SQL: may this relation be dumped? $1, $3, $4 are the schemas, the tables, the excluded. */
#define CHOSEN_TABLES_CONDITION(oid, schema)                                                       \
    "($1::text[] IS NULL OR " schema " = ANY ($1::text[]))"                                        \
    " AND ($3::oid[] IS NULL OR " oid " IN (SELECT unnest($3::oid[])))"                            \
    " AND ($4::oid[] IS NULL OR " oid " NOT IN (SELECT unnest($4::oid[])))"

/* Before a dump, in a session without a transaction: a pattern that is no regular expression, and
 * one of SCOPE_TABLES that chooses nothing, or a table of the system, is ERROR_CONFIG. Another that
 * chooses nothing is a warning, as it is none to pg_dump. */
bool chosen_tables_check(struct session *session, const struct scope *scope, struct error *err);

/* The regular expressions of a pattern: of the schema ("" when it names none) and of the name. */
void chosen_tables_translate(const char *pattern, struct text *schema, struct text *name);

#endif

/*
 * The database, or the table, that a backup is to be restored into: what is there already, and who
 * uses it.
 */
#ifndef POSTGRES_TARGET_DATABASE_H
#define POSTGRES_TARGET_DATABASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/session.h"

struct target_database {
    bool exists; /* false: the rest is empty */
    int64_t oid;
    char encoding[32]; /* "UTF8" */
};

/* Of any database of the session's server. */
bool target_database_describe(struct session *session, const char *name,
                              struct target_database *out, struct error *err);

/* False with ERROR_CONFIG when anybody but this session is connected to that database: the error
 * names one and says what to do. Who is just leaving is waited for. One that does not exist has
 * nobody in it. */
bool target_database_check_unused(struct session *session, const char *name, struct error *err);

/* The first thing in the session's own database that a new one has not ("table public.orders"), or
 * "" if there is none. */
bool target_database_find_object(struct session *session, char *out, size_t size,
                                 struct error *err);

/* In a transaction: nobody else changes this table's rows until it ends. The names of this one and
 * the next are in the session's encoding; an error leaves to the caller to say which table. */
bool target_database_lock_table(struct session *session, const char *schema, const char *name,
                                struct error *err);

/* A table as SQL has it: quoted, with ONLY in front or without. */
bool target_database_has_no_row(struct session *session, const char *table, bool *empty,
                                struct error *err);

/* A table, partitioned or not, by its names as they are in the database, unquoted. *empty is true
 * for one that does not exist. A view or anything else of that name is an error. */
bool target_database_table_state(struct session *session, const char *schema, const char *name,
                                 bool *exists, bool *empty, struct error *err);

#endif

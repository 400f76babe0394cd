/*
 * The tables that a dump reads: which they are, which of their columns, and how large they are.
 *
 * The selection is pg_dump's (manual, pg_dump; "Extension Configuration Tables"): ordinary and
 * partitioned tables of all schemas that are not the system's; of an extension's tables only those
 * that it has marked as configuration, by its condition, in whatever schema. Foreign tables, views,
 * materialized views and temporary tables have no data in a dump.
 */
#ifndef POSTGRES_TABLE_CATALOGUE_H
#define POSTGRES_TABLE_CATALOGUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/scope.h"
#include "postgres/session.h"

/* More tables than this are refused (I5, I11). */
#define TABLE_CATALOGUE_MOST 1000000

struct table_entry {
    int64_t oid;
    bool has_data;    /* false for a partitioned table, whose partitions have it */
    bool is_left_out; /* its rows are, by SCOPE_EXCLUDED_DATA; has_data is false */
    bool by_range;    /* its rows can be read by ranges of pages (TID range scan) */
    uint64_t pages;   /* of its heap */
    uint64_t bytes;   /* of heap and TOAST */
    char *schema;     /* in UTF-8, unless the database has no encoding (SQL_ASCII) */
    char *name;       /* likewise */
    char *ident;      /* SCHEMA.NAME, quoted, in the session's encoding */
    char *target;    /* where its rows are restored to: itself, or the partitioned table above it */
    char *columns;   /* "(a, b)", quoted likewise; "" when there is no column to read */
    char *condition; /* "WHERE ..." of an extension's configuration table, or "" */
};

struct table_catalogue {
    struct table_entry *items; /* by schema and name, in byte order */
    size_t count;
    size_t capacity;
};

/* Reads it as the session's snapshot has it, or the moment when there is none. Of the
 * scope only, in a transaction when it has patterns. Sizes are asked for only with the tables
 * locked: a table that somebody else has locked would keep it waiting. A table of which row-level
 * security would hide rows from this role is refused by name. */
bool table_catalogue_read(struct session *session, const struct scope *scope, bool with_sizes,
                          struct table_catalogue *out, struct error *err);
/* True when both list the same tables under the same names. */
bool table_catalogue_equal(const struct table_catalogue *a, const struct table_catalogue *b);
/* Asks again under which names these tables are known now, in a session without a snapshot of its
 * own; false when one has been renamed since it was read, by which data of another table may have
 * been read under its name. */
bool table_catalogue_confirm(struct session *session, const struct table_catalogue *tables,
                             struct error *err);
void table_catalogue_clear(struct table_catalogue *tables);

#endif

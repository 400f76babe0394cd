/*
 * Which part of a database a backup holds: some schemas, or some tables, or all but some. Tables
 * are named by patterns, as pg_dump's options take them (manual, psql, "Patterns"): wildcards, and
 * double quotes around what is meant as it stands; NAME alone is one in the search path.
 */
#ifndef BASE_SCOPE_H
#define BASE_SCOPE_H

#include <stdbool.h>

#include "base/error.h"

enum scope_list {
    SCOPE_SCHEMAS,         /* these alone, by their exact names */
    SCOPE_TABLES,          /* these alone; schemas do not count then */
    SCOPE_EXCLUDED_TABLES, /* all but these */
    SCOPE_EXCLUDED_DATA,   /* of these the definition without the rows */
    SCOPE_LISTS
};

/* All empty: the whole database. */
struct scope {
    char **lists[SCOPE_LISTS]; /* each ends with NULL; NULL: an empty one */
};

/* "table", "exclude-table", "exclude-table-data": of pg_dump, and of our commands. Not for
 * SCOPE_SCHEMAS. */
const char *scope_option(enum scope_list list);
/* "schemas", "only_tables", "exclude_tables", "exclude_table_data": as the columns of
 * backup_schedule, and in JSON. */
const char *scope_key(enum scope_list list);

bool scope_is_whole(const struct scope *scope);
/* False when schemas or tables are named: then it lacks what belongs to none of them (large
 * objects, extensions). */
bool scope_has_everything(const struct scope *scope);
/* The same lists in the same order. */
bool scope_equal(const struct scope *one, const struct scope *other);
/* ERROR_USAGE for what cannot be a pattern: empty, a quote that is not closed, more than one dot,
 * not UTF-8. A regular expression that is none the server finds. */
bool scope_check_pattern(const char *pattern, struct error *err);
/* Adds a copy of the name or pattern. */
bool scope_add(struct scope *scope, enum scope_list list, const char *name, struct error *err);
/* The caller clears *out, also after a failure. */
bool scope_copy(const struct scope *scope, struct scope *out, struct error *err);
/* Frees the lists. */
void scope_clear(struct scope *scope);

#endif

/*
 * The COPY statement that reads a table, or some pages of it, as a dump does.
 */
#ifndef POSTGRES_TABLE_COPY_H
#define POSTGRES_TABLE_COPY_H

#include <stdint.h>

#include "base/text.h"
#include "postgres/table_catalogue.h"

/* from <= page < until (UINT64_MAX: to the end) */
struct table_pages {
    uint64_t from;
    uint64_t until;
};

/* Appends "COPY ... TO STDOUT;". `pages`: NULL for all. Without a condition or range the table
 * itself is copied, which is the fastest; in any case without what inherits from it. */
void table_copy_append(struct text *sql, const struct table_entry *entry,
                       const struct table_pages *pages);

#endif

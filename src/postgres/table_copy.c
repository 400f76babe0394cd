#include "postgres/table_copy.h"

#include <inttypes.h>
#include <string.h>

/* "(a, b)" -> "a, b" */
static void append_bare_columns(struct text *sql, const struct table_entry *entry)
{
    size_t length = strlen(entry->columns);

    if (length > 2) {
        text_append_bytes(sql, entry->columns + 1, length - 2);
    }
}

void table_copy_append(struct text *sql, const struct table_entry *entry,
                       const struct table_pages *pages)
{
    if (pages == NULL && entry->condition[0] == '\0') {
        text_appendf(sql, "COPY %s %s TO STDOUT;", entry->ident, entry->columns);
        return;
    }
    text_append(sql, "COPY (SELECT ");
    append_bare_columns(sql, entry);
    text_appendf(sql, " FROM ONLY %s ", entry->ident);
    if (entry->condition[0] != '\0') {
        text_append(sql, entry->condition);
    } else {
        text_appendf(sql, "WHERE ctid >= '(%" PRIu64 ",0)'", pages->from);
        if (pages->until != UINT64_MAX) {
            text_appendf(sql, " AND ctid < '(%" PRIu64 ",0)'", pages->until);
        }
    }
    text_append(sql, ") TO STDOUT;");
}

#include "restore/table_names.h"

#include <stdlib.h>
#include <string.h>

#include "restore/qualified_name.h"

static int compare_tables(const void *a, const void *b)
{
    const struct segment_table *left = a;
    const struct segment_table *right = b;
    int difference = strcmp(left->schema, right->schema);

    return difference != 0 ? difference : strcmp(left->name, right->name);
}

bool table_names_find(const struct segments *segments, const struct sql_statement *statement,
                      size_t *table, struct error *err)
{
    struct qualified_name name = {NULL, NULL};
    bool found = false;

    *table = SEGMENT_NO_TABLE;
    if (!qualified_name_first(statement->text, statement->length, &name, &found, err)) {
        return false;
    }
    if (found && segments->table_count > 0) {
        const struct segment_table wanted = {.schema = name.schema, .name = name.name};
        const struct segment_table *at = bsearch(&wanted, segments->tables, segments->table_count,
                                                 sizeof(wanted), compare_tables);
        *table = at != NULL ? (size_t)(at - segments->tables) : SEGMENT_NO_TABLE;
    }
    qualified_name_clear(&name);
    return true;
}

#include "restore/table_names.h"

#include <stdlib.h>
#include <string.h>

#include "restore/qualified_name.h"

struct table_names {
    const struct segments *segments;
    const struct segment_table **sorted;
};

static int compare_tables(const void *a, const void *b)
{
    const struct segment_table *left = *(const struct segment_table *const *)a;
    const struct segment_table *right = *(const struct segment_table *const *)b;
    int difference = strcmp(left->name, right->name);

    return difference != 0 ? difference : strcmp(left->schema, right->schema);
}

struct table_names *table_names_new(const struct segments *segments, struct error *err)
{
    struct table_names *names = calloc(1, sizeof(*names));

    if (names == NULL) {
        error_set_memory(err);
        return NULL;
    }
    names->segments = segments;
    /* One more, for there may be none. */
    names->sorted = calloc(segments->table_count + 1, sizeof(struct segment_table *));
    if (names->sorted == NULL) {
        error_set_memory(err);
        table_names_free(names);
        return NULL;
    }
    for (size_t i = 0; i < segments->table_count; i++) {
        names->sorted[i] = &segments->tables[i];
    }
    qsort(names->sorted, segments->table_count, sizeof(struct segment_table *), compare_tables);
    return names;
}

void table_names_free(struct table_names *names)
{
    if (names != NULL) {
        free(names->sorted);
        free(names);
    }
}

bool table_names_find(const struct table_names *names, const struct sql_statement *statement,
                      size_t *table, struct error *err)
{
    struct qualified_name name = {NULL, NULL};
    bool found = false;

    *table = SEGMENT_NO_TABLE;
    if (!qualified_name_first(statement->text, statement->length, &name, &found, err)) {
        return false;
    }
    if (found) {
        const struct segment_table wanted = {.schema = name.schema, .name = name.name};
        const struct segment_table *key = &wanted;
        const struct segment_table **at = bsearch(&key, names->sorted, names->segments->table_count,
                                                  sizeof(struct segment_table *), compare_tables);
        *table = at != NULL ? (size_t)(*at - names->segments->tables) : SEGMENT_NO_TABLE;
    }
    qualified_name_clear(&name);
    return true;
}

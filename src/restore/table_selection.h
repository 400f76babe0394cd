/*
 * Some tables of a backup, and what of its script belongs to them: their definition, the sequences
 * that their columns own, defaults, keys, checks and indexes, comments, privileges and that row
 * security is on. Not what refers to other objects: foreign keys, triggers, rules, policies, the
 * parents of partitions.
 */
#ifndef RESTORE_TABLE_SELECTION_H
#define RESTORE_TABLE_SELECTION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "restore/qualified_name.h"
#include "restore/sql_script.h"
#include "stream/segment.h"

struct table_selection {
    const struct segments *segments; /* borrowed */
    bool *chosen;                    /* for each table of the segments */
    struct segment_table *written; /* the chosen, as the script writes them; NULL: as segments do */
    char **written_names;          /* of these, in their order: schema, name, schema, ... */
    struct qualified_name *sequences;
    size_t sequence_count;
    size_t sequence_capacity;
    bool last_wanted; /* of what a remark may be about */
    bool as_other;    /* a wanted SET SESSION AUTHORIZATION waits for its RESET */
    bool failed;      /* memory was out in one of the functions without an error */
};

/* `names` are SCHEMA.TABLE, as it is or as SQL would quote it; none: all tables. ERROR_USAGE names
 * the one that the backup does not have. */
bool table_selection_make(struct table_selection *selection, const struct segments *segments,
                          const char *const *names, size_t count, struct error *err);
void table_selection_clear(struct table_selection *selection);

/* The manifest is in UTF-8, the script in its database's encoding. Of the chosen tables, when that
 * is another one and a name in it differs: schema, name, schema, ..., for free() of the array; or
 * *names is NULL. */
bool table_selection_foreign_names(const struct table_selection *selection, const char *encoding,
                                   char ***names, struct error *err);
/* Takes over the same in that encoding. To be called before anything is learned. */
bool table_selection_rename(struct table_selection *selection, char **names, struct error *err);
/* The names of a chosen table as the script writes them. */
const struct segment_table *table_selection_written(const struct table_selection *selection,
                                                    size_t table);

/* To be shown each statement of the pre-data section, in order, before it is asked: learns which
 * sequences belong to the tables. */
bool table_selection_learn(struct table_selection *selection, const struct sql_statement *statement,
                           struct error *err);
/* In the form of struct replay_rules: `selection` is a struct table_selection. */
bool table_selection_wants(void *selection, const struct sql_statement *statement);
/* Does the statement begin with this table, as its COPY does? */
bool table_selection_names(const struct sql_statement *statement, const struct segment_table *table,
                           bool *names, struct error *err);
/* Of the sequences segment: does this set one of theirs? */
bool table_selection_wants_value(void *selection, const struct sql_statement *statement);

#endif

/*
 * Builds indexes and constraints with all workers at once, where the order of the script allows.
 *
 * Statements are handed in, in order. Those of entries that only need what stands before them all
 * (indexes, primary keys, unique and exclusion constraints, each of one table) make a batch; so do
 * foreign keys. What is neither ends the batch: it waits until all of it is there.
 */
#ifndef RESTORE_INDEX_BUILDER_H
#define RESTORE_INDEX_BUILDER_H

#include <stdbool.h>

#include "base/error.h"
#include "restore/sql_script.h"
#include "restore/workers.h"

struct index_builder;

/* Borrows the workers. `like_source`: as in struct replay. */
struct index_builder *index_builder_new(struct workers *workers, bool like_source,
                                        struct error *err);
void index_builder_free(struct index_builder *builder);

/* *taken: a copy was taken, and will be run. May first run what was taken before. A SET is run in
 * the sessions of all workers, and left to the caller, too. In the form that struct replay calls:
 * `builder` is a struct index_builder. */
bool index_builder_take(void *builder, const struct sql_statement *statement, bool *taken,
                        struct error *err);
/* Returns when all that was taken has been run. */
bool index_builder_run(void *builder, struct error *err);

#endif

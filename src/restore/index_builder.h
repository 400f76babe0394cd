/*
 * Builds indexes and constraints with all workers at once, where the order of the script allows;
 * with the first of them, the workers fill the tables.
 *
 * Statements are handed in, in order. Those of entries that only need what stands before them all
 * (indexes, primary keys, unique and exclusion constraints, each of one table) make a batch; so do
 * foreign keys. Comments among them are made when the batch is there. What is neither ends the
 * batch: it waits until all of it is there.
 */
#ifndef RESTORE_INDEX_BUILDER_H
#define RESTORE_INDEX_BUILDER_H

#include <stdbool.h>

#include "base/error.h"
#include "restore/sql_script.h"
#include "restore/work_order.h"
#include "restore/workers.h"
#include "stream/segment.h"

struct index_builder;

/* Rows that no table has yet. They are filled in before anything but SET is run, together with the
 * first batch: of its indexes, those that need nothing but the rows of one table (an expression may
 * read others) are begun when these are there. */
struct index_builder_rows {
    struct work_order *order;        /* of their segments, and nothing else; borrowed */
    const struct segments *segments; /* borrowed */
    /* Fills in the segment that the order has given to the worker. */
    bool (*fill)(void *context, struct worker *worker, const struct work_turn *turn,
                 struct error *err);
    void *context;
};

/* Borrows the workers; `rows` (NULL: all are there) is copied. `like_source`: as in struct replay.
 */
struct index_builder *index_builder_new(struct workers *workers,
                                        const struct index_builder_rows *rows, bool like_source,
                                        struct error *err);
void index_builder_free(struct index_builder *builder);

/* *taken: a copy was taken, and will be run; what was taken before may be run first. What is not
 * taken is for the caller to run, when this has run all that was taken before; a SET in the
 * sessions of all workers, too. In the form that struct replay calls: `builder` is a struct
 * index_builder. */
bool index_builder_take(void *builder, const struct sql_statement *statement, bool *taken,
                        struct error *err);
/* Returns when the rows are there, and all that was taken has been run. */
bool index_builder_run(void *builder, struct error *err);

/* After a failure, which may have come through a reader of the script that says where in the script
 * it was: if the workers have failed, it is theirs, as they told it. Returns false. */
bool index_builder_blame(const struct index_builder *builder, struct error *err);

#endif

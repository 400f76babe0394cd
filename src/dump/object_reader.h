/*
 * What is not in tables: sequences as setval(), large objects as lowrite(). The session is in the
 * snapshot's transaction.
 */
#ifndef DUMP_OBJECT_READER_H
#define DUMP_OBJECT_READER_H

#include <stdbool.h>

#include "base/error.h"
#include "dump/data_reader.h"

/* Both write the segment, which was begun, and count its rows; they do not end it. */
bool object_reader_sequences(const struct data_reader *reader, struct segment *segment,
                             struct error *err);
bool object_reader_large_objects(const struct data_reader *reader, const struct plan_part *part,
                                 struct segment *segment, struct error *err);

#endif

/*
 * Rows of tables as COPY blocks, one segment after the other.
 */
#ifndef DUMP_TABLE_READER_H
#define DUMP_TABLE_READER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "dump/data_reader.h"

/* A part that consists of tables; as data_reader_run(). */
bool table_reader_run(const struct data_reader *reader, size_t number, bool *locked,
                      struct error *err);

#endif

/*
 * Writes the roles of the server as SQL: one DO block that makes those that are missing where it is
 * run, with their settings and memberships. Roles that are there stay as they are, and what the
 * role that runs it may not do is a warning: it never fails.
 */
#ifndef DUMP_GLOBALS_READER_H
#define DUMP_GLOBALS_READER_H

#include <stdbool.h>

#include "base/error.h"
#include "dump/data_reader.h"

bool globals_reader_run(const struct data_reader *reader, struct error *err);

#endif

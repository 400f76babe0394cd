/*
 * The lines of a script that are for psql alone, beginning with a backslash. None is run: those
 * that pg_dump writes, \restrict and \unrestrict, are passed over, every other is an error.
 */
#ifndef RESTORE_PSQL_COMMAND_H
#define RESTORE_PSQL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define PSQL_KEY_SIZE 256

/* Of \restrict: "" before one. Starts as zeroes. */
struct psql_restriction {
    char key[PSQL_KEY_SIZE];
};

/* For a line that begins with a backslash, without its line break. An \unrestrict must have the key
 * of the \restrict before it, if there was one: the script may be the end of a longer one. */
bool psql_command_pass(struct psql_restriction *restriction, const char *line, size_t length,
                       struct error *err);

/* The error for a command, which is the backslash and what follows. */
bool psql_command_refuse(const char *line, size_t length, struct error *err);

#endif

/*
 * A program and its arguments, written as one line. No shell reads it: words stand between blanks;
 * single quotes keep what is between them as it is; in double quotes, and outside of quotes, a
 * backslash keeps the character behind it. Nothing else has a meaning: no variable, no wildcard,
 * no pipe.
 */
#ifndef BASE_COMMAND_LINE_H
#define BASE_COMMAND_LINE_H

#include <stdbool.h>

#include "base/error.h"

/* *argv ends with NULL, for text_list_free(). ERROR_CONFIG for a quote that is not closed, a
 * backslash at the end, no word, and a program that is no absolute path. Whether it is there is not
 * looked at. */
bool command_line_split(const char *line, char ***argv, struct error *err);

#endif

/*
 * The options of `schedule` that say who is notified, and of what, read as arrays of words.
 */
#ifndef COMMANDS_NOTIFY_OPTIONS_H
#define COMMANDS_NOTIFY_OPTIONS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"

/* Words separated by commas, appended to `array` as an array literal of Postgres; "none" is an
 * empty one. ERROR_USAGE, with the words that there are, for another word. */
bool notify_options_parse_channels(const char *list, struct text *array, struct error *err);
bool notify_options_parse_events(const char *list, struct text *array, struct error *err);

#endif

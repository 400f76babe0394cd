/*
 * The options that choose tables: --table, --exclude-table and --exclude-table-data of `run` and
 * `schedule`, which may each be given several times.
 */
#ifndef COMMANDS_SCOPE_OPTIONS_H
#define COMMANDS_SCOPE_OPTIONS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/scope.h"
#include "commands/command.h"

/* What they are in the table of a command's options. */
#define SCOPE_OPTION_TABLE                                                                         \
    {                                                                                              \
        "table", "PATTERN", "these tables alone; may be given several times"                       \
    }
#define SCOPE_OPTION_EXCLUDE_TABLE                                                                 \
    {                                                                                              \
        "exclude-table", "PATTERN", "all but these tables; may be given several times"             \
    }
#define SCOPE_OPTION_EXCLUDE_TABLE_DATA                                                            \
    {                                                                                              \
        "exclude-table-data", "PATTERN",                                                           \
            "not the rows of these tables; may be given several times"                             \
    }
/* And its repeatable ones. */
#define SCOPE_OPTIONS_REPEATABLE                                                                   \
    {                                                                                              \
        "table", "exclude-table", "exclude-table-data"                                             \
    }

/* Adds the patterns of option number `option` to a list, and checks each. */
bool scope_options_read(const struct invocation *invocation, int option, enum scope_list list,
                        struct scope *scope, struct error *err);

#endif

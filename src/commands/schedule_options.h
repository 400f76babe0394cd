/*
 * The options of `schedule add` and `schedule set`, read as values of the row's columns.
 *
 * What can be told from the option alone is refused here, before anything is connected to, and so
 * is what may hold a password: none must get into the table (invariant I9). The rest is for
 * rythm_backup_problem() to say once the row is written, and not committed.
 */
#ifndef COMMANDS_SCHEDULE_OPTIONS_H
#define COMMANDS_SCHEDULE_OPTIONS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/scope.h"
#include "base/text.h"
#include "commands/command.h"
#include "postgres/schedule_edit.h"

/* The command's options stand in this order: first those of the columns, which have its numbers. */
enum {
    SCHEDULE_OPTION_DISABLED = SCHEDULE_COLUMN_ENABLED,
    SCHEDULE_OPTION_NEXT,
    SCHEDULE_OPTION_NOW,
    SCHEDULE_OPTION_JSON,
};

struct schedule_options {
    struct schedule_values values; /* borrowed from here and from the invocation */
    struct text days;
    struct text schemas;
    struct text patterns[SCOPE_LISTS];
    struct text channels;
    struct text notify_on;
    const char *weekday; /* the first of --days that is a day's name, or NULL */
    bool any;
};

/* Reads the columns' options; the caller clears *out, also after a failure. An empty argument is a
 * column's default. */
bool schedule_options_read(const struct invocation *invocation, struct schedule_options *out,
                           struct error *err);
void schedule_options_clear(struct schedule_options *options);

/* A name for --name, or for the argument of `add`. */
bool schedule_options_check_name(const char *name, struct error *err);

/* What came of them: `schedule` is the row as it is written but not committed. */
bool schedule_options_judge(const struct schedule_options *options, const struct schedule *schedule,
                            struct error *err);

#endif

/*
 * A command: its descriptor, and what an invocation of it holds once the command line is read.
 *
 * To add a command:
 *   1. src/commands/NAME.c with a `const struct command command_NAME`;
 *   2. its line in this header's list and in command_table[] (command.c);
 *   3. the file in Makefile.am; a section in man/rythm-backup.1 (make check compares them);
 *   4. tests/integration/test_NAME.py.
 */
#ifndef COMMANDS_COMMAND_H
#define COMMANDS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/settings.h"

struct context;
struct invocation;

struct command_option {
    const char *name;     /* long option, without dashes */
    const char *argument; /* its argument's name in the help, or NULL for a flag */
    const char *help;
};
#define COMMAND_MOST_OPTIONS    40
#define COMMAND_MOST_REPEATABLE 4
#define COMMAND_MOST_REPEATS    1000

struct command {
    const char *name;
    const char *arguments; /* "[NAME...]", for the usage line; "" for none */
    int most_arguments;    /* -1: any number */
    const char *summary;   /* one line */
    const char *description;
    /* Ends with a NULL name. One that is called like a setting's option takes its place behind the
     * command. */
    struct command_option options[COMMAND_MOST_OPTIONS];
    /* Names of those that may be given several times, all of which count. */
    const char *repeatable[COMMAND_MOST_REPEATABLE];
    bool needs_store; /* always */
    /* False with the error that decides the exit code. An error whose text is empty has been told
     * already. */
    bool (*run)(struct context *context, const struct invocation *invocation, struct error *err);
};

struct invocation {
    const struct command *command;       /* NULL: none was named (--help, --version) */
    const char *settings[SETTING_COUNT]; /* given as options */
    const char *config_file;
    bool quiet;
    bool verbose;
    bool help;
    bool version;
    const char
        *options[COMMAND_MOST_OPTIONS]; /* the command's, in its order: the argument, or "" */
    /* Those of the repeatable ones, in the order of the command line. */
    struct {
        int option;
        const char *argument;
    } repeated[COMMAND_MOST_REPEATS];
    size_t repeated_count;
    char **arguments;
    int argument_count;
};

extern const struct command command_check;
extern const struct command command_run;
extern const struct command command_list;
extern const struct command command_prune;
extern const struct command command_notify;
extern const struct command command_schedule;
extern const struct command command_status;
extern const struct command command_migrate;
extern const struct command command_restore;
extern const struct command command_verify;

extern const struct command *const command_table[];
extern const size_t command_count;

/* The global options that are not settings. */
extern const struct command_option command_global_options[];
extern const size_t command_global_option_count;

/* True when the command, which may be NULL, has an option of this name of its own. */
bool command_has_option(const struct command *command, const char *name);

/* The arguments of one of the command's repeatable options, in their order; returns their number.
 */
size_t command_repeated(const struct invocation *invocation, int option,
                        const char *out[COMMAND_MOST_REPEATS]);

/* Reads the command line; what *out points to belongs to argv. Errors are ERROR_USAGE. */
bool command_parse(int argc, char *argv[], struct invocation *out, struct error *err);

#endif

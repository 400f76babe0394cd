/*
 * --help and --version, made from the tables of commands, options, settings and exit codes.
 */
#ifndef COMMANDS_HELP_H
#define COMMANDS_HELP_H

#include "commands/command.h"

/* `command` NULL: the program's own help. To standard output. */
void help_print(const struct command *command);
void help_print_version(void);

#endif

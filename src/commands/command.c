#include "commands/command.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

const struct command *const command_table[] = {
    &command_check,  &command_run,    &command_list,     &command_prune,  &command_restore,
    &command_verify, &command_notify, &command_schedule, &command_status, &command_migrate,
};
const size_t command_count = sizeof(command_table) / sizeof(command_table[0]);

const struct command_option command_global_options[] = {
    {"config", "FILE", "read settings from FILE (default " SETTINGS_DEFAULT_FILE ", if it exists)"},
    {"quiet", NULL, "log warnings and errors only"},
    {"verbose", NULL, "log more"},
    {"help", NULL, "print this help"},
    {"version", NULL, "print the version"},
};
const size_t command_global_option_count =
    sizeof(command_global_options) / sizeof(command_global_options[0]);

/* What getopt_long() returns for a long option: its place in one of the three tables. */
enum { FIRST_SETTING = 1000, FIRST_COMMAND_OPTION = 2000 };
#define MOST_OPTIONS (16 + SETTING_COUNT + COMMAND_MOST_OPTIONS)

bool command_has_option(const struct command *command, const char *name)
{
    for (int i = 0; command != NULL && i < COMMAND_MOST_OPTIONS; i++) {
        if (command->options[i].name == NULL) {
            break;
        }
        if (strcmp(command->options[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static const struct option *build_options(const struct command *command,
                                          struct option options[MOST_OPTIONS])
{
    static const int letters[] = {'c', 'q', 'v', 'h', 'V'};
    size_t count = 0;

    for (size_t i = 0; i < command_global_option_count; i++) {
        const struct command_option *global = &command_global_options[i];
        options[count++] = (struct option){
            global->name, global->argument != NULL ? required_argument : no_argument, NULL,
            letters[i]};
    }
    for (int i = 0; i < SETTING_COUNT; i++) {
        if (settings_table[i].option != NULL &&
            !command_has_option(command, settings_table[i].option)) {
            options[count++] = (struct option){settings_table[i].option, required_argument, NULL,
                                               FIRST_SETTING + i};
        }
    }
    for (int i = 0; command != NULL && i < COMMAND_MOST_OPTIONS; i++) {
        const struct command_option *own = &command->options[i];
        if (own->name == NULL) {
            break;
        }
        options[count++] =
            (struct option){own->name, own->argument != NULL ? required_argument : no_argument,
                            NULL, FIRST_COMMAND_OPTION + i};
    }
    options[count] = (struct option){NULL, 0, NULL, 0};
    return options;
}

/* The text of the option that getopt_long() has just refused. An unknown letter may stand anywhere
 * in its word, which is then not behind optind yet. */
static void name_refused(char *out, size_t size, char *const argv[], const char *letters)
{
    if (optopt > ' ' && optopt < 127 && strchr(letters, optopt) == NULL) {
        snprintf(out, size, "-%c", optopt);
    } else {
        snprintf(out, size, "%s", argv[optind - 1]);
    }
}

static bool refuse_option(int problem, const char *name, const struct command *command,
                          struct error *err)
{
    if (problem == ':') {
        error_set(err, ERROR_USAGE, "option '%s' needs an argument", name);
    } else {
        error_set(err, ERROR_USAGE, "unknown option '%s'", name);
    }
    return error_hint(err, "see rythm-backup %s%s--help", command != NULL ? command->name : "",
                      command != NULL ? " " : "");
}

static bool is_repeatable(const struct command *command, const char *option)
{
    for (int i = 0; i < COMMAND_MOST_REPEATABLE; i++) {
        if (command->repeatable[i] != NULL && strcmp(command->repeatable[i], option) == 0) {
            return true;
        }
    }
    return false;
}

static bool take_command_option(int number, struct invocation *out, struct error *err)
{
    const struct command_option *option = &out->command->options[number];

    out->options[number] = optarg != NULL ? optarg : "";
    if (!is_repeatable(out->command, option->name)) {
        return true;
    }
    if (out->repeated_count == COMMAND_MOST_REPEATS) {
        return error_set(err, ERROR_USAGE, "option '--%s' is given more than %d times",
                         option->name, COMMAND_MOST_REPEATS);
    }
    out->repeated[out->repeated_count].option = number;
    out->repeated[out->repeated_count++].argument = optarg;
    return true;
}

size_t command_repeated(const struct invocation *invocation, int option,
                        const char *out[COMMAND_MOST_REPEATS])
{
    size_t count = 0;

    for (size_t i = 0; i < invocation->repeated_count; i++) {
        if (invocation->repeated[i].option == option) {
            out[count++] = invocation->repeated[i].argument;
        }
    }
    return count;
}

static bool take_option(int value, struct invocation *out, struct error *err)
{
    switch (value) {
    case 'c':
        out->config_file = optarg;
        break;
    case 'd':
        out->settings[SETTING_DATABASE_URL] = optarg;
        break;
    case 'q':
        out->quiet = true;
        break;
    case 'v':
        out->verbose = true;
        break;
    case 'h':
        out->help = true;
        break;
    case 'V':
        out->version = true;
        break;
    default:
        if (value >= FIRST_COMMAND_OPTION) {
            return take_command_option(value - FIRST_COMMAND_OPTION, out, err);
        }
        if (value >= FIRST_SETTING && value < FIRST_SETTING + SETTING_COUNT) {
            out->settings[value - FIRST_SETTING] = optarg;
        }
    }
    return true;
}

/* Reads options up to the first word that is none ("+"), or, for a command, all of them, wherever
 * they stand; what is no option is moved to the end. */
static bool read_options(int argc, char *argv[], const char *letters, struct invocation *out,
                         struct error *err)
{
    struct option table[MOST_OPTIONS];
    const struct option *options = build_options(out->command, table);
    int value;

    opterr = 0;
    /* 0 makes glibc begin anew and read the first character of `letters` again. */
    optind = 0;
    while ((value = getopt_long(argc, argv, letters, options, NULL)) != -1) {
        if (value == '?' || value == ':') {
            char name[256];
            name_refused(name, sizeof(name), argv, letters);
            return refuse_option(value, name, out->command, err);
        }
        if (value == 'd' && out->settings[SETTING_DATABASE_URL] != NULL) {
            return error_set(err, ERROR_USAGE, "option '--database' is given twice");
        }
        if (!take_option(value, out, err)) {
            return false;
        }
    }
    return true;
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < command_count; i++) {
        if (strcmp(command_table[i]->name, name) == 0) {
            return command_table[i];
        }
    }
    return NULL;
}

bool command_parse(int argc, char *argv[], struct invocation *out, struct error *err)
{
    *out = (struct invocation){.command = NULL};
    if (!read_options(argc, argv, "+:c:d:qvhV", out, err)) {
        return false;
    }
    if (optind >= argc) {
        if (out->help || out->version) {
            return true;
        }
        error_set(err, ERROR_USAGE, "no command given");
        return error_hint(err, "see rythm-backup --help");
    }
    out->command = find(argv[optind]);
    if (out->command == NULL) {
        error_set(err, ERROR_USAGE, "there is no command '%s'", argv[optind]);
        return error_hint(err, "see rythm-backup --help");
    }
    char **rest = argv + optind;
    int count = argc - optind;
    if (!read_options(count, rest, ":c:d:qvhV", out, err)) {
        return false;
    }
    out->arguments = rest + optind;
    out->argument_count = count - optind;
    if (out->command->most_arguments >= 0 && out->argument_count > out->command->most_arguments &&
        !out->help) {
        error_set(err, ERROR_USAGE, "%s takes no argument '%s'", out->command->name,
                  out->arguments[out->command->most_arguments]);
        return error_hint(err, "see rythm-backup %s --help", out->command->name);
    }
    return true;
}

#include "commands/help.h"

#include <stdio.h>
#include <string.h>

#include "config.h"

#define COLUMN 28
#define WIDTH  96

/* A name in the left column, a text broken into lines in the right one. */
static void print_entry(const char *name, const char *text)
{
    int used = printf("  %s", name);

    if (used >= COLUMN) {
        putchar('\n');
        used = 0;
    }
    printf("%*s", COLUMN - used, "");
    int column = COLUMN;
    for (const char *word = text; *word != '\0';) {
        int length = (int)strcspn(word, " ");
        if (column > COLUMN && column + 1 + length > WIDTH) {
            printf("\n%*s", COLUMN, "");
            column = COLUMN;
        } else if (column > COLUMN) {
            putchar(' ');
            column++;
        }
        printf("%.*s", length, word);
        column += length;
        word += length;
        word += *word == ' ';
    }
    putchar('\n');
}

static void print_option(char letter, const char *name, const char *argument, const char *help)
{
    char left[128];
    char short_form[8] = "    ";

    if (letter != '\0') {
        snprintf(short_form, sizeof(short_form), "-%c, ", letter);
    }
    snprintf(left, sizeof(left), "%s--%s%s%s", short_form, name, argument != NULL ? " " : "",
             argument != NULL ? argument : "");
    print_entry(left, help);
}

static void print_global_options(const struct command *command)
{
    for (int i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &settings_table[i];
        if (setting->option != NULL && !command_has_option(command, setting->option)) {
            char help[256];
            snprintf(help, sizeof(help), "sets %s", setting->name);
            print_option(setting->letter, setting->option, setting->argument, help);
        }
    }
    for (size_t i = 0; i < command_global_option_count; i++) {
        const struct command_option *option = &command_global_options[i];
        char letter = strcmp(option->name, "version") == 0 ? 'V' : option->name[0];
        print_option(letter, option->name, option->argument, option->help);
    }
}

static void print_settings(void)
{
    for (int i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &settings_table[i];
        char help[768];
        char family[256] = "";
        if (setting->family != NULL) {
            snprintf(family, sizeof(family), "; %s_%s: of that one alone", setting->name,
                     setting->family);
        }
        snprintf(help, sizeof(help), "%s%s%s%s%s%s", setting->help, family,
                 setting->secret ? " (secret)" : "", setting->fallback != NULL ? " [" : "",
                 setting->fallback != NULL ? setting->fallback : "",
                 setting->fallback != NULL ? "]" : "");
        print_entry(setting->name, help);
    }
}

static void print_program(void)
{
    printf("rythm-backup backs up a Postgres database to Azure Blob Storage, S3 or folders, when\n"
           "its schedule says so, and tells the administrators.\n\n"
           "Usage: rythm-backup [OPTIONS] COMMAND [OPTIONS] [ARGUMENTS]\n\nCommands:\n");
    for (size_t i = 0; i < command_count; i++) {
        print_entry(command_table[i]->name, command_table[i]->summary);
    }
    printf("\nOptions of every command:\n");
    print_global_options(NULL);
    printf("\nSettings, from the environment or the configuration file (NAME=VALUE lines); an\n"
           "option wins over the environment, the environment over the file:\n");
    print_settings();
    printf("\nExit status:\n");
    for (size_t i = 0; i < error_exit_code_count; i++) {
        char code[16];
        snprintf(code, sizeof(code), "%d", error_exit_codes[i].code);
        print_entry(code, error_exit_codes[i].meaning);
    }
    print_entry("128+N", "stopped by signal N (SIGINT 130, SIGTERM 143)");
    printf("\nThe manual: man rythm-backup. Begin with: rythm-backup migrate\n");
}

void help_print(const struct command *command)
{
    if (command == NULL) {
        print_program();
        return;
    }
    printf("Usage: rythm-backup %s [OPTIONS]%s%s\n\n%s\n", command->name,
           command->arguments[0] != '\0' ? " " : "", command->arguments, command->description);
    if (command->options[0].name != NULL) {
        printf("\nOptions:\n");
    }
    for (int i = 0; i < COMMAND_MOST_OPTIONS && command->options[i].name != NULL; i++) {
        const struct command_option *option = &command->options[i];
        print_option('\0', option->name, option->argument, option->help);
    }
    printf("\nOptions of every command:\n");
    print_global_options(command);
    printf("\nSettings and exit status: rythm-backup --help\n");
}

void help_print_version(void)
{
    printf("rythm-backup %s\n", PACKAGE_VERSION);
}

#include "restore/psql_command.h"

#include <stdio.h>
#include <string.h>

#define SHOWN_MOST 32

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The line's second and last word, a key. */
static bool read_key(char key[PSQL_KEY_SIZE], const char *line, size_t length)
{
    size_t size = 0;

    while (length > 0 && is_blank(line[length - 1])) {
        length--;
    }
    while (length > 0 && is_blank(*line)) {
        line++;
        length--;
    }
    for (; size < length && size < PSQL_KEY_SIZE - 1; size++) {
        if (!is_alphanumeric(line[size])) {
            return false;
        }
        key[size] = line[size];
    }
    key[size] = '\0';
    return size == length && size > 0;
}

/* Whether the line is this command; *rest is what follows it. */
static bool is_command(const char *line, size_t length, const char *name, size_t *rest)
{
    *rest = strlen(name);
    return length > *rest && memcmp(line, name, *rest) == 0 && is_blank(line[*rest]);
}

bool psql_command_refuse(const char *line, size_t length, struct error *err)
{
    char shown[SHOWN_MOST + 1];
    size_t size = 0;

    while (size < length && size < SHOWN_MOST && line[size] > ' ' && line[size] < 0x7f) {
        shown[size] = line[size];
        size++;
    }
    shown[size] = '\0';
    return error_set(err, ERROR_DAMAGED,
                     "the script has the psql command %s, which restore does not run", shown);
}

bool psql_command_pass(struct psql_restriction *restriction, const char *line, size_t length,
                       struct error *err)
{
    char key[PSQL_KEY_SIZE];
    size_t rest;

    if (is_command(line, length, "\\restrict", &rest) &&
        read_key(key, line + rest, length - rest)) {
        if (restriction->key[0] != '\0') {
            return error_set(err, ERROR_DAMAGED,
                             "the script has a second \\restrict before an "
                             "\\unrestrict");
        }
        snprintf(restriction->key, sizeof(restriction->key), "%s", key);
        return true;
    }
    if (is_command(line, length, "\\unrestrict", &rest) &&
        read_key(key, line + rest, length - rest)) {
        if (restriction->key[0] != '\0' && strcmp(restriction->key, key) != 0) {
            return error_set(err, ERROR_DAMAGED,
                             "the script's \\unrestrict has another key than its \\restrict");
        }
        restriction->key[0] = '\0';
        return true;
    }
    return psql_command_refuse(line, length, err);
}

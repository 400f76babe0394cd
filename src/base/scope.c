#include "base/scope.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define PATTERN_MOST 1024
/* Bytes of a wrong pattern that are told. */
#define SHOWN 100

static const struct {
    const char *option;
    const char *key;
} names[SCOPE_LISTS] = {
    [SCOPE_SCHEMAS] = {NULL, "schemas"},
    [SCOPE_TABLES] = {"table", "only_tables"},
    [SCOPE_EXCLUDED_TABLES] = {"exclude-table", "exclude_tables"},
    [SCOPE_EXCLUDED_DATA] = {"exclude-table-data", "exclude_table_data"},
};

const char *scope_option(enum scope_list list)
{
    return names[list].option;
}

const char *scope_key(enum scope_list list)
{
    return names[list].key;
}

static bool is_empty(char *const *list)
{
    return list == NULL || list[0] == NULL;
}

bool scope_is_whole(const struct scope *scope)
{
    for (int i = 0; i < SCOPE_LISTS; i++) {
        if (!is_empty(scope->lists[i])) {
            return false;
        }
    }
    return true;
}

bool scope_has_everything(const struct scope *scope)
{
    return is_empty(scope->lists[SCOPE_SCHEMAS]) && is_empty(scope->lists[SCOPE_TABLES]);
}

static bool are_equal(char *const *one, char *const *other)
{
    static char *const none[] = {NULL};

    one = one != NULL ? one : none;
    other = other != NULL ? other : none;
    while (*one != NULL && *other != NULL && strcmp(*one, *other) == 0) {
        one++;
        other++;
    }
    return *one == *other;
}

bool scope_equal(const struct scope *one, const struct scope *other)
{
    for (int i = 0; i < SCOPE_LISTS; i++) {
        if (!are_equal(one->lists[i], other->lists[i])) {
            return false;
        }
    }
    return true;
}

static bool is_utf8(const char *text)
{
    char copy[PATTERN_MOST + 1];

    memcpy(copy, text, strlen(text) + 1);
    text_cut_utf8(copy);
    return strcmp(copy, text) == 0;
}

static bool refuse(const char *pattern, const char *problem, struct error *err)
{
    error_set(err, ERROR_USAGE, "'%.*s' is no pattern for tables: %s", SHOWN, pattern, problem);
    return error_hint(err, "write TABLE or SCHEMA.TABLE, with * and ? as wildcards, and double "
                           "quotes around capital letters and other characters");
}

bool scope_check_pattern(const char *pattern, struct error *err)
{
    size_t dots = 0;
    bool quoted = false;

    if (*pattern == '\0') {
        return refuse(pattern, "it is empty", err);
    }
    if (strlen(pattern) > PATTERN_MOST) {
        return refuse(pattern, "it is longer than 1024 bytes", err);
    }
    for (const char *c = pattern; *c != '\0'; c++) {
        quoted ^= *c == '"';
        dots += !quoted && *c == '.';
    }
    if (quoted) {
        return refuse(pattern, "a double quote is not closed", err);
    }
    if (dots > 1) {
        return refuse(pattern, "it has more than one dot", err);
    }
    return is_utf8(pattern) || refuse(pattern, "it is not UTF-8", err);
}

bool scope_add(struct scope *scope, enum scope_list list, const char *name, struct error *err)
{
    char **held = scope->lists[list];
    size_t count = 0;

    while (held != NULL && held[count] != NULL) {
        count++;
    }
    char **longer = reallocarray(held, count + 2, sizeof(*longer));
    if (longer == NULL) {
        return error_set_memory(err);
    }
    scope->lists[list] = longer;
    longer[count] = text_copy(name);
    longer[count + 1] = NULL;
    return longer[count] != NULL || error_set_memory(err);
}

bool scope_copy(const struct scope *scope, struct scope *out, struct error *err)
{
    *out = (struct scope){.lists = {NULL}};
    for (int list = 0; list < SCOPE_LISTS; list++) {
        for (char *const *name = scope->lists[list]; name != NULL && *name != NULL; name++) {
            if (!scope_add(out, (enum scope_list)list, *name, err)) {
                return false;
            }
        }
    }
    return true;
}

void scope_clear(struct scope *scope)
{
    for (int i = 0; i < SCOPE_LISTS; i++) {
        text_list_free(scope->lists[i]);
        scope->lists[i] = NULL;
    }
}

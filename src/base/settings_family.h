/*
 * The members of a family of settings: NAME_MEMBER sets NAME for one MEMBER alone (an account,
 * say). Which settings are families stands in settings_table[] (setting.family); settings.c reads
 * them.
 */
#ifndef BASE_SETTINGS_FAMILY_H
#define BASE_SETTINGS_FAMILY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct settings_member {
    int setting; /* enum setting_id */
    char *member;
    char *value;
};
/* Starts zeroed. */
struct settings_family {
    struct settings_member *items;
    size_t count;
};

/* True for "NAME_MEMBER" of a family, MEMBER being upper-case letters, digits and '_'; `name` need
 * not end after `length` bytes. */
bool settings_family_match(const char *name, size_t length, int *setting, const char **member,
                           size_t *member_length);

/* Sets it, or sets it anew. */
bool settings_family_set(struct settings_family *family, int setting, const char *member,
                         size_t member_length, const char *value, struct error *err);
/* How a member's character stands in a name: letters in upper case, digits, and else '_'. */
char settings_family_letter(char c);
/* NULL when it is not set. `member` as it is called elsewhere ("my-bucket"). */
const char *settings_family_get(const struct settings_family *family, int setting,
                                const char *member, size_t member_length);
/* Wipes what is secret. */
void settings_family_clear(struct settings_family *family);

#endif

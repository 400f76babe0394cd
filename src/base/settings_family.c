#include "base/settings_family.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/settings.h"
#include "base/text.h"

#define MEMBERS_MOST 256
#define LETTERS      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

bool settings_family_match(const char *name, size_t length, int *setting, const char **member,
                           size_t *member_length)
{
    for (int i = 0; i < SETTING_COUNT; i++) {
        size_t own = strlen(settings_table[i].name);
        if (settings_table[i].family == NULL || length < own + 2 ||
            memcmp(name, settings_table[i].name, own) != 0 || name[own] != '_' ||
            strspn(name + own + 1, LETTERS) < length - own - 1) {
            continue;
        }
        *setting = i;
        *member = name + own + 1;
        *member_length = length - own - 1;
        return true;
    }
    return false;
}

char settings_family_letter(char c)
{
    unsigned char letter = (unsigned char)c;

    return letter < 0x80 && isalnum(letter) ? (char)toupper(letter) : '_';
}

static bool is_member(const char *written, const char *member, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (written[i] != settings_family_letter(member[i])) {
            return false;
        }
    }
    return written[length] == '\0';
}

static struct settings_member *find(const struct settings_family *family, int setting,
                                    const char *member, size_t length)
{
    for (size_t i = 0; i < family->count; i++) {
        struct settings_member *item = &family->items[i];
        if (item->setting == setting && is_member(item->member, member, length)) {
            return item;
        }
    }
    return NULL;
}

static void wipe(char *value)
{
    if (value != NULL) {
        explicit_bzero(value, strlen(value));
    }
    free(value);
}

static struct settings_member *add(struct settings_family *family, int setting, const char *member,
                                   size_t length, struct error *err)
{
    if (family->count == MEMBERS_MOST) {
        error_set(err, ERROR_CONFIG, "%s_... is set for more than %d", settings_table[setting].name,
                  MEMBERS_MOST);
        return NULL;
    }
    struct settings_member *items = reallocarray(family->items, family->count + 1, sizeof(*items));
    if (items != NULL) {
        family->items = items;
    }
    char *copy = items != NULL ? strndup(member, length) : NULL;
    if (copy == NULL) {
        error_set_memory(err);
        return NULL;
    }
    items[family->count] = (struct settings_member){.setting = setting, .member = copy};
    return &items[family->count++];
}

bool settings_family_set(struct settings_family *family, int setting, const char *member,
                         size_t member_length, const char *value, struct error *err)
{
    struct settings_member *item = find(family, setting, member, member_length);
    char *copy = text_copy(value);

    if (copy != NULL && item == NULL) {
        item = add(family, setting, member, member_length, err);
        if (item == NULL) {
            wipe(copy);
            return false;
        }
    }
    if (copy == NULL) {
        return error_set_memory(err);
    }
    wipe(item->value);
    item->value = copy;
    return true;
}

const char *settings_family_get(const struct settings_family *family, int setting,
                                const char *member, size_t member_length)
{
    const struct settings_member *item = find(family, setting, member, member_length);

    return item != NULL ? item->value : NULL;
}

void settings_family_clear(struct settings_family *family)
{
    for (size_t i = 0; i < family->count; i++) {
        free(family->items[i].member);
        wipe(family->items[i].value);
    }
    free(family->items);
    *family = (struct settings_family){.items = NULL};
}

#include "base/connection_string.h"

#include <string.h>

#include "base/text.h"

static bool keep(const char *name, char *value, const char *setting, struct connection_part *parts,
                 size_t count, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(name, parts[i].name) != 0 || *value == '\0') {
            continue;
        }
        if (parts[i].value != NULL) {
            return error_set(err, ERROR_CONFIG, "%s: %s occurs twice", setting, parts[i].name);
        }
        parts[i].value = value;
    }
    return true;
}

bool connection_string_split(char *string, const char *setting, struct connection_part *parts,
                             size_t count, struct error *err)
{
    char *part;

    while ((part = strsep(&string, ";")) != NULL) {
        part = text_trim(part);
        if (*part == '\0') {
            continue;
        }
        char *equals = strchr(part, '=');
        if (equals == NULL) {
            return error_set(err, ERROR_CONFIG, "%s: a part of it is not of the form Name=value",
                             setting);
        }
        *equals = '\0';
        if (!keep(text_trim(part), text_trim(equals + 1), setting, parts, count, err)) {
            return false;
        }
    }
    return true;
}

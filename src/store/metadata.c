#include "store/metadata.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

static bool name_is_allowed(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    size_t length = strlen(name);

    return length > 0 && length < METADATA_NAME_SIZE && strchr(letters, name[0]) != NULL &&
           strspn(name, allowed) == length;
}

static bool value_is_allowed(const char *value)
{
    size_t length = strlen(value);

    return length < METADATA_VALUE_SIZE && text_is_printable_ascii(value) && value[0] != ' ' &&
           (length == 0 || value[length - 1] != ' ');
}

static bool replace(struct metadata_entry *entry, const char *value, struct error *err)
{
    char *copy = text_copy(value);

    if (copy == NULL) {
        return error_set_memory(err);
    }
    free(entry->value);
    entry->value = copy;
    return true;
}

static bool insert(struct metadata *metadata, size_t at, const char *name, const char *value,
                   struct error *err)
{
    struct metadata_entry entry = {.name = text_copy(name), .value = text_copy(value)};

    if (entry.name == NULL || entry.value == NULL) {
        free(entry.name);
        free(entry.value);
        return error_set_memory(err);
    }
    memmove(&metadata->entries[at + 1], &metadata->entries[at],
            (metadata->count - at) * sizeof(entry));
    metadata->entries[at] = entry;
    metadata->count++;
    return true;
}

bool metadata_allows(const char *name, const char *value)
{
    return name_is_allowed(name) && value_is_allowed(value);
}

bool metadata_set(struct metadata *metadata, const char *name, const char *value, struct error *err)
{
    size_t at = 0;

    if (!name_is_allowed(name)) {
        return error_set(err, ERROR_FAILED,
                         "metadata name '%s' is not of the form [a-z][a-z0-9]* with at most %d "
                         "characters",
                         name, METADATA_NAME_SIZE - 1);
    }
    if (!value_is_allowed(value)) {
        return error_set(err, ERROR_FAILED,
                         "the value of metadata '%s' is not printable ASCII of at most %d "
                         "characters without blanks at its ends",
                         name, METADATA_VALUE_SIZE - 1);
    }
    while (at < metadata->count && strcmp(metadata->entries[at].name, name) < 0) {
        at++;
    }
    if (at < metadata->count && strcmp(metadata->entries[at].name, name) == 0) {
        return replace(&metadata->entries[at], value, err);
    }
    if (metadata->count == METADATA_MOST) {
        return error_set(err, ERROR_FAILED, "more than %d metadata values", METADATA_MOST);
    }
    return insert(metadata, at, name, value, err);
}

const char *metadata_get(const struct metadata *metadata, const char *name)
{
    for (size_t i = 0; i < metadata->count; i++) {
        if (strcasecmp(metadata->entries[i].name, name) == 0) {
            return metadata->entries[i].value;
        }
    }
    return NULL;
}

void metadata_clear(struct metadata *metadata)
{
    for (size_t i = 0; i < metadata->count; i++) {
        free(metadata->entries[i].name);
        free(metadata->entries[i].value);
    }
    *metadata = (struct metadata)METADATA_INIT;
}

size_t metadata_owner_length(const char *name)
{
    size_t length = strlen(name);
    size_t tail = 1 + METADATA_RUN_ID_DIGITS + strlen(METADATA_SUFFIX);
    const char *run_id = length > tail ? name + length - tail + 1 : NULL;
    bool is_metadata = run_id != NULL && run_id[-1] == '.' &&
                       strspn(run_id, "0123456789abcdef") == METADATA_RUN_ID_DIGITS &&
                       strcmp(run_id + METADATA_RUN_ID_DIGITS, METADATA_SUFFIX) == 0;

    return is_metadata ? length - tail : 0;
}

/*
 * The few named values that a store keeps with an object. Names match [a-z][a-z0-9]* (so that every
 * service sorts and signs them alike), values are printable ASCII without blanks at the ends.
 */
#ifndef STORE_METADATA_H
#define STORE_METADATA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define METADATA_MOST       24
#define METADATA_NAME_SIZE  32
#define METADATA_VALUE_SIZE 512

struct metadata_entry {
    char *name;
    char *value;
};
struct metadata {
    struct metadata_entry entries[METADATA_MOST]; /* sorted by name */
    size_t count;
};
#define METADATA_INIT                                                                              \
    {                                                                                              \
        .count = 0                                                                                 \
    }

/* True for a name and a value that are as above. */
bool metadata_allows(const char *name, const char *value);
/* Sets a value, replacing one of the same name; refuses names and values that are not as above. */
bool metadata_set(struct metadata *metadata, const char *name, const char *value,
                  struct error *err);
/* NULL when there is none; names compare without regard to case. */
const char *metadata_get(const struct metadata *metadata, const char *name);
void metadata_clear(struct metadata *metadata);

/* Metadata that stand in an object of their own, beside the one that they are of, are in
 * NAME.RUN.meta: the length of NAME, or 0 for another name. */
#define METADATA_SUFFIX        ".meta"
#define METADATA_RUN_ID_DIGITS 16
size_t metadata_owner_length(const char *name);

#endif

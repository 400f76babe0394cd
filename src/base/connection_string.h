/*
 * Azure's connection strings: "Name=value" parts separated by ';'. The first '=' of a part
 * separates, for keys end in '=' and signatures are full of them. What the parts mean is the
 * caller's business.
 */
#ifndef BASE_CONNECTION_STRING_H
#define BASE_CONNECTION_STRING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct connection_part {
    const char *name; /* set by the caller; compared without regard to case */
    char *value;      /* filled in, within `string`; NULL: not there */
};

/* Takes `string` apart in place, for the parts in the table; empty values and parts with other
 * names are passed over. The errors (a part without '=', one that occurs twice) name `setting` and
 * never a value. */
bool connection_string_split(char *string, const char *setting, struct connection_part *parts,
                             size_t count, struct error *err);

#endif

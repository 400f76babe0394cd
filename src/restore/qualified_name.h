/*
 * The name of an object with its schema, as statements of a dump have it.
 */
#ifndef RESTORE_QUALIFIED_NAME_H
#define RESTORE_QUALIFIED_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "restore/sql_lexer.h"

/* Without quotes. */
struct qualified_name {
    char *schema;
    char *name;
};

/* The next SCHEMA.NAME from where the lexer is, to be cleared by the caller; *found is false at the
 * end of the text. False when memory is out. */
bool qualified_name_next(struct sql_lexer *lexer, struct qualified_name *out, bool *found,
                         struct error *err);
/* The first one of the text. */
bool qualified_name_first(const char *text, size_t length, struct qualified_name *out, bool *found,
                          struct error *err);
void qualified_name_clear(struct qualified_name *name);

#endif

/*
 * What the sequences of a database stand at. They are not transactional (manual, "Sequence
 * Manipulation Functions"): read after the snapshot they are at least as far as its rows.
 */
#ifndef POSTGRES_SEQUENCES_H
#define POSTGRES_SEQUENCES_H

#include <stdbool.h>

#include "base/error.h"
#include "base/scope.h"
#include "postgres/session.h"

/* Called for each sequence in the order of schema and name; the strings are valid for the call. */
typedef bool (*sequence_sink)(void *context, const char *ident, const char *last_value,
                              bool is_called, struct error *err);

/* The selection is that of table_catalogue_read(), `scope` as there; one
 * that a table owns goes with the table. `ident` is SCHEMA.NAME,
 * quoted where needed. */
bool sequences_read(struct session *session, const struct scope *scope, sequence_sink sink,
                    void *context, struct error *err);

#endif

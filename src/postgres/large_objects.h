/*
 * Large objects, as a session's snapshot has them (manual, "Large Objects"): their bytes, and the
 * statements that make them, for when the schema's script does not.
 */
#ifndef POSTGRES_LARGE_OBJECTS_H
#define POSTGRES_LARGE_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/session.h"
#include "stream/fingerprint.h"

/* So many bytes of a large object at a time. Part of the format: a fingerprint is taken of each
 * such piece. */
#define LARGE_OBJECT_PIECE 262144

/* Cuts the large objects, in the order of their oids, into parts of about `part_bytes`. *starts
 * are the first oids of the parts, for the caller to free; *count is 0 when there are none. */
bool large_objects_divide(struct session *session, uint64_t part_bytes, int64_t **starts,
                          size_t *count, struct error *err);

struct large_object_sink {
    /* `definition`: the statements that make it, empty, with its owner, privileges, comment and
     * security labels, each on lines of its own; NULL when they were not asked for. */
    bool (*begin)(void *context, const char *oid, const char *definition, struct error *err);
    /* In hex digits, without a prefix. */
    bool (*piece)(void *context, const char *oid, uint64_t offset, const char *hex, size_t digits,
                  struct error *err);
    bool (*end)(void *context, const char *oid, struct error *err);
    void *context;
};

/* Reads those with from <= oid < until (0: no bound), and with_definitions how they are made. One
 * that this role may not read is an error that names it. */
bool large_objects_read(struct session *session, int64_t from, int64_t until, bool with_definitions,
                        const struct large_object_sink *sink, struct error *err);

/* The fingerprint of large objects, as if each of them were a row OID, and each of its pieces a row
 * OID<tab>OFFSET<tab>HEX. */
void large_object_add(struct fingerprint *sum, const char *oid);
bool large_object_add_piece(struct fingerprint *sum, const char *oid, uint64_t offset,
                            const char *hex, size_t digits, struct error *err);

#endif

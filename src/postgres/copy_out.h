/*
 * COPY ... TO STDOUT, row by row (manual, libpq, "Functions Associated with the COPY Command").
 *
 * Several COPY statements may stand in one string: they cost one round trip. Between them nothing
 * is asked, so the rows of thousands of small tables come as one stream.
 *
 * The end of the rows is not success: only the result that follows it says whether the server had
 * all of them to give, and how many it counted (invariant I3).
 */
#ifndef POSTGRES_COPY_OUT_H
#define POSTGRES_COPY_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/session.h"

struct copy_out {
    struct session *session;
    int64_t stall_ms; /* no byte for so long: failed */
    /* Bytes. libpq holds a row whole: a longer one is refused, and as soon as more than most_mapped
     * bytes are taken for the rows of all sessions, before it has filled them (I5). */
    uint64_t longest_row;
    uint64_t most_mapped;
    /* private */
    uint64_t mapped_before;
    uint64_t row_bytes;
    int64_t rows;
};

/* Sends the string: COPY ... TO STDOUT statements, and others without rows between them. */
bool copy_out_send(struct copy_out *copy, const char *sql, struct error *err);
/* Goes to the rows of the next COPY. *locked: it, or a statement before it, did not get a lock in
 * time; false is returned, and the transaction has failed. */
bool copy_out_begin(struct copy_out *copy, bool *locked, struct error *err);
/* Reads a row with its line end, or the first or next `size` bytes of one that is longer, into
 * `buffer`. *got is 0 at the end of the rows; *whole: the row ends here. */
bool copy_out_read(struct copy_out *copy, char *buffer, size_t size, size_t *got, bool *whole,
                   struct error *err);
/* After the last row: what the server says of this COPY, and that it counted the same rows. */
bool copy_out_end(struct copy_out *copy, int64_t *rows, struct error *err);
/* After the last COPY: what the server says of the rest of the string. A session whose string has
 * not finished is only good for closing. */
bool copy_out_finish(struct copy_out *copy, struct error *err);

#endif

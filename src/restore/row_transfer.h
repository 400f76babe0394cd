/*
 * Sends the rows of a COPY block to the server: in COPY's binary format where that is worth it and
 * rows/row_encoder.h can, for it is the server's parsing of text that most of a restore's time is
 * spent on. Rows that it cannot, and all that follow, are sent as the text they are.
 *
 * So it may take several COPYs: outside of a transaction some rows may be in when a later one
 * fails.
 */
#ifndef RESTORE_ROW_TRANSFER_H
#define RESTORE_ROW_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"
#include "postgres/copy_in.h"
#include "postgres/session.h"
#include "restore/frozen_table.h"
#include "rows/row_encoder.h"

/* For shorter blocks it is not worth asking for the types of the columns. */
#define ROW_TRANSFER_BINARY_LEAST ((uint64_t)64 * 1024)

struct row_transfer {
    struct session *session;
    int64_t stall_ms;            /* for the server to take more rows */
    struct frozen_table *frozen; /* that the rows are a part of; borrowed; or NULL */
    uint64_t size;               /* of the rows, about, in bytes; 0: not known */
    /* private */
    enum { TRANSFER_NONE, TRANSFER_ASKS, TRANSFER_BINARY, TRANSFER_TEXT } state;
    struct copy_in copy;
    struct row_encoder *encoder; /* NULL: the rows are sent as they are */
    struct text as_binary;       /* the statement, for rows of either kind */
    struct text as_text;
    bool in_first_line; /* of text behind binary rows */
    int64_t rows;       /* of the COPYs before this one */
};

/* The public part is filled in, the rest zeroes; the statement is a dump's COPY. */
bool row_transfer_begin(struct row_transfer *transfer, const char *statement, size_t length,
                        struct error *err);
/* Pieces of any size. After a failure the COPY may be open: the session is good for closing. */
bool row_transfer_write(struct row_transfer *transfer, const char *rows, size_t size,
                        struct error *err);
/* As copy_in_end(). */
bool row_transfer_end(struct row_transfer *transfer, int64_t *rows, struct error *err);
/* After a failure, of which the server has said this code: true when it may be about what was made
 * of the rows here, or asked, so that it says nothing of the rows. */
bool row_transfer_may_be_to_blame(const struct row_transfer *transfer, const char *sqlstate);
/* Whether or not it has ended. */
void row_transfer_clear(struct row_transfer *transfer);

#endif

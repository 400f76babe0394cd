/*
 * Rows as COPY TO writes them, turned into its binary format (PostgreSQL manual, COPY, "Text
 * Format" and "Binary Format"), which costs the server a third less to read, or more: it need not
 * look for the end of each value, and parse it.
 *
 * What is not certain to be read as the server would read the text is left to the server: the
 * encoder stops in front of such a row.
 */
#ifndef ROWS_ROW_ENCODER_H
#define ROWS_ROW_ENCODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* In front of a longer row the encoder stops: it would be in memory whole. */
#define ROW_ENCODER_LONGEST ((size_t)1024 * 1024)

struct row_encoder;

/* For rows of columns of these types (value_type.h), or arrays of them. *out is NULL, without an
 * error, when there is none, or one of another type. */
bool row_encoder_new(const uint32_t *types, size_t count, struct row_encoder **out,
                     struct error *err);
void row_encoder_free(struct row_encoder *encoder);
/* Before the first row of each COPY: the format has a head. */
bool row_encoder_begin(struct row_encoder *encoder, struct error *err);

/* Reads on, in pieces of any size: *used says how far, which is less than `size` when there is
 * enough to be taken out, when the COPY is full, and when it stops. False when memory is out. */
bool row_encoder_read(struct row_encoder *encoder, const char *rows, size_t size, size_t *used,
                      struct error *err);
/* What is to be sent next, of *size bytes; valid until the encoder reads or
 * begins again. */
const void *row_encoder_take(struct row_encoder *encoder, size_t *size);
/* True: this COPY is to be ended, and another begun. A server collects up to 1,000 rows before it
 * stores them; of text no more than 64 KiB, but of binary rows it does not see how long they are
 * (CopyMultiInsertInfoStore() is told the length of the line, which is 0). */
bool row_encoder_is_full(const struct row_encoder *encoder);
/* True: it reads no more. It stops in front of a row that is left to the server, and when the rows
 * have grown by more than half, for then text costs the server no more, and is less. The rows go
 * on with the text of row_encoder_rest(), and then with what was not used. */
bool row_encoder_has_stopped(const struct row_encoder *encoder);
/* The beginning of a row whose end was not there yet. */
const char *row_encoder_rest(const struct row_encoder *encoder, size_t *size);

/* What ends the rows of a COPY. */
extern const unsigned char row_encoder_end[2];

#endif

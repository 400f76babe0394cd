/*
 * COPY ... FROM STDIN (manual, libpq, "Functions Associated with the COPY Command").
 *
 * Of the rows libpq holds a bounded part (I5): beyond that a write waits until the server has taken
 * them. That they were sent says nothing: only the result at the end does, and how many rows the
 * server counted.
 */
#ifndef POSTGRES_COPY_IN_H
#define POSTGRES_COPY_IN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "postgres/session.h"

struct copy_in {
    struct session *session;
    int64_t stall_ms; /* the server takes no byte for so long: failed */
    /* private */
    size_t queued_bytes;
    uint64_t notices;
    int64_t heard_ms;
};

/* Whether the server takes the same strings in the text format and in the binary one: where the
 * client's encoding is SQL_ASCII, and the database's is not, it checks the encoding in the latter
 * alone. */
bool copy_in_formats_agree(const struct session *session);
/* Sends the string, a COPY ... FROM STDIN, and waits until the server wants the rows. Other
 * statements may stand before and after it (TRUNCATE, to have both in one transaction). */
bool copy_in_begin(struct copy_in *copy, const char *sql, struct error *err);
/* Hands over the next bytes, wherever a row begins or ends. An error of the server's is noticed
 * here within seconds, if there is so much to write, or else by copy_in_end(). After any failure
 * but a stop or a stall the COPY has ended. */
bool copy_in_write(struct copy_in *copy, const void *data, size_t size, struct error *err);
/* Ends the rows and waits for what the server says of them, however long triggers take, and of the
 * rest of the string. *rows: how many it counted. An error has the server's context: "COPY t, line
 * 3, column a". */
bool copy_in_end(struct copy_in *copy, int64_t *rows, struct error *err);

#endif

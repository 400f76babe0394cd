/*
 * Finds the line that ends the rows of a COPY in a script: a backslash and a dot alone.
 */
#ifndef RESTORE_COPY_END_H
#define RESTORE_COPY_END_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Starts as zeroes. */
struct copy_end {
    bool in_line;    /* what comes is not at the beginning of a line */
    size_t held;     /* bytes that may begin the last line, and were not given out */
    uint64_t breaks; /* line breaks, the last line's included */
};

/* What a piece of the script holds: rows that were held back, and rows in the piece. */
struct copy_rows {
    const char *held;
    size_t held_size;
    const char *rows;
    size_t size;
    size_t used;   /* all of the piece, or up to the end of the last line */
    bool is_ended; /* the last line was found */
};

void copy_end_read(struct copy_end *end, const char *piece, size_t size, struct copy_rows *out);

#endif

/*
 * What rows are, whatever their order: the sum modulo 2^128 of the XXH3-128 hash (xxhash's
 * specification) of each row's COPY text without its line end. Equal sets of rows, counting each as
 * often as it stands there, have equal fingerprints. No proof against somebody who makes rows to
 * deceive: that is what the SHA-256 of the bytes is for.
 */
#ifndef STREAM_FINGERPRINT_H
#define STREAM_FINGERPRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct fingerprint {
    uint64_t high;
    uint64_t low;
};

void fingerprint_add(struct fingerprint *sum, const void *row, size_t size);

/* A row that comes in pieces. */
struct fingerprint_row;
struct fingerprint_row *fingerprint_row_new(struct error *err);
void fingerprint_row_free(struct fingerprint_row *row);
void fingerprint_row_extend(struct fingerprint_row *row, const void *piece, size_t size);
/* Adds it to the sum; the next piece begins another row. */
void fingerprint_row_end(struct fingerprint_row *row, struct fingerprint *sum);

void fingerprint_merge(struct fingerprint *sum, const struct fingerprint *other);

/* 32 lower-case hex digits, the most significant first. */
#define FINGERPRINT_HEX_SIZE 33
void fingerprint_format(char out[FINGERPRINT_HEX_SIZE], const struct fingerprint *sum);
/* Reads that form; false for any other. */
bool fingerprint_parse(const char *hex, struct fingerprint *out);

#endif

/*
 * Counts and sums the rows of COPY text that comes in pieces, as they were counted and summed when
 * it was dumped (stream/fingerprint.h).
 */
#ifndef RESTORE_ROW_SUM_H
#define RESTORE_ROW_SUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "stream/fingerprint.h"
#include "stream/segment.h"

struct row_sum {
    uint64_t rows;
    struct fingerprint fingerprint;
    /* private */
    struct fingerprint_row *long_row; /* one that came in pieces */
    bool inside;                      /* such a row */
};

bool row_sum_open(struct row_sum *sum, struct error *err);
void row_sum_close(struct row_sum *sum);
/* From nothing again. */
void row_sum_reset(struct row_sum *sum);
/* Lines, of which the first may continue the row before and the last may be continued. */
void row_sum_add(struct row_sum *sum, const char *data, size_t size);
/* ERROR_DAMAGED unless these are the rows of this segment. */
bool row_sum_check(const struct row_sum *sum, const struct segment *segment, struct error *err);

#endif

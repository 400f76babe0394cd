#include "restore/row_sum.h"

#include <inttypes.h>
#include <string.h>

bool row_sum_open(struct row_sum *sum, struct error *err)
{
    *sum = (struct row_sum){.long_row = fingerprint_row_new(err)};
    return sum->long_row != NULL;
}

void row_sum_close(struct row_sum *sum)
{
    fingerprint_row_free(sum->long_row);
    sum->long_row = NULL;
}

void row_sum_reset(struct row_sum *sum)
{
    if (sum->inside) {
        struct fingerprint ignored = {0, 0};
        fingerprint_row_end(sum->long_row, &ignored);
    }
    *sum = (struct row_sum){.long_row = sum->long_row};
}

static void add_row(struct row_sum *sum, const char *row, size_t size)
{
    sum->rows++;
    if (!sum->inside) {
        fingerprint_add(&sum->fingerprint, row, size);
        return;
    }
    fingerprint_row_extend(sum->long_row, row, size);
    fingerprint_row_end(sum->long_row, &sum->fingerprint);
    sum->inside = false;
}

void row_sum_add(struct row_sum *sum, const char *data, size_t size)
{
    const char *end = data + size;

    while (data < end) {
        const char *line_end = memchr(data, '\n', (size_t)(end - data));
        if (line_end == NULL) {
            fingerprint_row_extend(sum->long_row, data, (size_t)(end - data));
            sum->inside = true;
            return;
        }
        add_row(sum, data, (size_t)(line_end - data));
        data = line_end + 1;
    }
}

bool row_sum_check(const struct row_sum *sum, const struct segment *segment, struct error *err)
{
    if (sum->rows != segment->rows) {
        return error_set(err, ERROR_DAMAGED,
                         "there are %" PRIu64 " rows, and the manifest says %" PRIu64, sum->rows,
                         segment->rows);
    }
    return memcmp(&sum->fingerprint, &segment->fingerprint, sizeof(sum->fingerprint)) == 0 ||
           error_set(err, ERROR_DAMAGED,
                     "the %" PRIu64 " rows have not the fingerprint of the manifest", sum->rows);
}

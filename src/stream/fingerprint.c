#include "stream/fingerprint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rows are short: a call for each would cost more than the hash. */
#define XXH_INLINE_ALL
#include <xxhash.h>

void fingerprint_merge(struct fingerprint *sum, const struct fingerprint *other)
{
    sum->low += other->low;
    sum->high += other->high + (sum->low < other->low ? 1 : 0);
}

static void add_hash(struct fingerprint *sum, XXH128_hash_t hash)
{
    const struct fingerprint one = {.high = hash.high64, .low = hash.low64};

    fingerprint_merge(sum, &one);
}

void fingerprint_add(struct fingerprint *sum, const void *row, size_t size)
{
    add_hash(sum, XXH3_128bits(row, size));
}

struct fingerprint_row {
    XXH3_state_t *state;
};

struct fingerprint_row *fingerprint_row_new(struct error *err)
{
    struct fingerprint_row *row = calloc(1, sizeof(*row));

    if (row != NULL) {
        row->state = XXH3_createState();
    }
    if (row == NULL || row->state == NULL) {
        free(row);
        error_set_memory(err);
        return NULL;
    }
    XXH3_128bits_reset(row->state);
    return row;
}

void fingerprint_row_free(struct fingerprint_row *row)
{
    if (row != NULL) {
        XXH3_freeState(row->state);
        free(row);
    }
}

void fingerprint_row_extend(struct fingerprint_row *row, const void *piece, size_t size)
{
    XXH3_128bits_update(row->state, piece, size);
}

void fingerprint_row_end(struct fingerprint_row *row, struct fingerprint *sum)
{
    add_hash(sum, XXH3_128bits_digest(row->state));
    XXH3_128bits_reset(row->state);
}

void fingerprint_format(char out[FINGERPRINT_HEX_SIZE], const struct fingerprint *sum)
{
    snprintf(out, FINGERPRINT_HEX_SIZE, "%016" PRIx64 "%016" PRIx64, sum->high, sum->low);
}

bool fingerprint_parse(const char *hex, struct fingerprint *out)
{
    struct fingerprint parsed = {.high = 0};
    uint64_t *halves[] = {&parsed.high, &parsed.low};

    if (strlen(hex) != FINGERPRINT_HEX_SIZE - 1 ||
        strspn(hex, "0123456789abcdef") != FINGERPRINT_HEX_SIZE - 1) {
        return false;
    }
    for (size_t i = 0; i < FINGERPRINT_HEX_SIZE - 1; i++) {
        uint64_t digit = (uint64_t)(hex[i] <= '9' ? hex[i] - '0' : hex[i] - 'a' + 10);
        *halves[i / 16] = *halves[i / 16] << 4 | digit;
    }
    *out = parsed;
    return true;
}

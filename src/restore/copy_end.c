#include "restore/copy_end.h"

#include <string.h>

#define ONES  UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

static const char last_line[] = "\\.\n";
#define LAST_LINE_SIZE (sizeof(last_line) - 1)

/* Whether one of these bytes is zero. */
static bool has_zero(uint64_t bytes)
{
    return ((bytes - ONES) & ~bytes & HIGHS) != 0;
}

/* In each byte 1 for a zero, else 0. */
static uint64_t mark_zeroes(uint64_t bytes)
{
    return (~(((bytes & ~HIGHS) + ~HIGHS) | bytes) & HIGHS) >> 7;
}

/* Whether a backslash and a dot begin in these eight bytes, the last of which is before the end. */
static bool has_mark(const char *data, uint64_t *here)
{
    uint64_t next;

    memcpy(here, data, sizeof(*here));
    memcpy(&next, data + 1, sizeof(next));
    return has_zero((*here ^ ONES * '\\') | (next ^ ONES * '.'));
}

/* Where the next backslash stands that a dot follows, or nothing at all, or `size`; counts the line
 * breaks before. Many bytes at a time: rows are short, and so is what stands between their
 * backslashes, so that a call of memchr() for each costs more than the search. */
static size_t find_mark(const char *data, size_t size, uint64_t *breaks)
{
    size_t at = 0;
    uint64_t here = 0;
    uint64_t second = 0;

    while (size - at > 2 * sizeof(here) && !has_mark(data + at, &here) &&
           !has_mark(data + at + sizeof(here), &second)) {
        uint64_t marks = mark_zeroes(here ^ ONES * '\n') + mark_zeroes(second ^ ONES * '\n');
        *breaks += (marks * ONES) >> 56;
        at += 2 * sizeof(here);
    }
    while (size - at > sizeof(here) && !has_mark(data + at, &here)) {
        *breaks += (mark_zeroes(here ^ ONES * '\n') * ONES) >> 56;
        at += sizeof(here);
    }
    while (at < size && !(data[at] == '\\' && (at + 1 == size || data[at + 1] == '.'))) {
        *breaks += data[at] == '\n' ? 1 : 0;
        at++;
    }
    return at;
}

/* How many bytes of the last line, from its `seen`th, stand here. */
static size_t match(const char *data, size_t size, size_t seen)
{
    size_t count = 0;

    while (count < size && seen + count < LAST_LINE_SIZE &&
           data[count] == last_line[seen + count]) {
        count++;
    }
    return count;
}

/* Goes on with what the last piece ended in. True when that was the last line, or may be. */
static bool read_held(struct copy_end *end, const char *piece, size_t size, struct copy_rows *out)
{
    size_t count = match(piece, size, end->held);

    end->held += count;
    out->used = count;
    if (end->held == LAST_LINE_SIZE) {
        out->is_ended = true;
        end->held = 0;
        end->breaks++;
        return true;
    }
    if (count == size) {
        return true;
    }
    out->held = last_line;
    out->held_size = end->held;
    end->held = 0;
    end->in_line = true;
    return false;
}

void copy_end_read(struct copy_end *end, const char *piece, size_t size, struct copy_rows *out)
{
    *out = (struct copy_rows){.rows = piece};
    if (end->held > 0 && read_held(end, piece, size, out)) {
        return;
    }
    size_t first = out->used;
    size_t at = first;
    size_t count = 0;
    while (at < size) {
        at += find_mark(piece + at, size - at, &end->breaks);
        bool at_line = at == first ? !end->in_line : piece[at - 1] == '\n';
        count = at_line ? match(piece + at, size - at, 0) : 0;
        if (count == LAST_LINE_SIZE || at + count == size) {
            break;
        }
        at++;
        count = 0;
    }
    out->rows = piece + first;
    out->size = at - first;
    out->used = at + count;
    out->is_ended = count == LAST_LINE_SIZE;
    end->breaks += out->is_ended ? 1 : 0;
    end->held = out->is_ended ? 0 : count;
    if (at > first) {
        end->in_line = piece[at - 1] != '\n';
    }
}

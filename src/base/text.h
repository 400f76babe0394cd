/*
 * Growing text with a cap, and the few things that must be done to text from outside before it is
 * shown. Not a string library: what libc has is used as it is.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Start from TEXT_INIT(cap). Once an append fails (no memory, or the cap is reached) the text is
 * marked failed, keeps what it had and ignores further appends: check `failed` once, at the end. */
struct text {
    char *data; /* NUL-terminated, or NULL while empty */
    size_t length;
    size_t capacity;
    size_t cap; /* the longest length allowed */
    bool failed;
};
#define TEXT_INIT(longest)                                                                         \
    {                                                                                              \
        .cap = (longest)                                                                           \
    }

void text_append(struct text *text, const char *string);
void text_append_bytes(struct text *text, const void *data, size_t size);
void text_appendf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Appends with & < > " ' replaced by character references. */
void text_append_html(struct text *text, const char *string);
void text_clear(struct text *text);
/* "" while the text is empty; owned by the text. */
const char *text_string(const struct text *text);

/* A copy that the caller frees; NULL for NULL and when there is no memory. */
char *text_copy(const char *string);

/* Frees the strings of an array that ends with NULL, and the array. NULL is fine. */
void text_list_free(char **list);

/* Control bytes, line breaks and ESC become spaces; runs of spaces become one; ends are trimmed. */
void text_make_one_line(char *string);

/* Cuts blanks and line breaks off both ends, in place; returns the new beginning. */
char *text_trim(char *string);

/* Removes an incomplete UTF-8 sequence at the end and replaces invalid bytes by '?'. */
void text_cut_utf8(char *string);

/* 160256 -> "156.5 KB": binary multiples under the names the old service printed. */
#define TEXT_BYTES_SIZE 32
void text_format_bytes(char out[TEXT_BYTES_SIZE], uint64_t bytes);

/* The whole of `string` as a decimal integer within [min, max]. */
bool text_parse_integer(const char *string, int64_t min, int64_t max, int64_t *out);

/* Writes `string` with its %XX escapes (RFC 3986 section 2.1) decoded to `out`. False for an escape
 * that is malformed or gives a NUL, and when it does not fit in `size` bytes, the NUL included.
 * `out` may be `string`. */
bool text_decode_percent(char *out, size_t size, const char *string);

/* True when every byte is a printable ASCII character (0x20 to 0x7e). */
bool text_is_printable_ascii(const char *string);

#endif

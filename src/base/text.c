#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(struct text *text, size_t more)
{
    if (text->failed) {
        return false;
    }
    if (more > text->cap || text->length > text->cap - more) {
        text->failed = true;
        return false;
    }
    size_t needed = text->length + more + 1;
    if (needed <= text->capacity) {
        return true;
    }
    size_t capacity = text->capacity > 0 ? text->capacity : 64;
    while (capacity < needed) {
        capacity *= 2;
    }
    char *data = realloc(text->data, capacity);
    if (data == NULL) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->capacity = capacity;
    return true;
}

void text_append_bytes(struct text *text, const void *data, size_t size)
{
    if (size == 0 || !reserve(text, size)) {
        return;
    }
    memcpy(text->data + text->length, data, size);
    text->length += size;
    text->data[text->length] = '\0';
}

void text_append(struct text *text, const char *string)
{
    text_append_bytes(text, string, strlen(string));
}

void text_appendf(struct text *text, const char *format, ...)
{
    va_list args;
    va_list again;

    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    if (size < 0) {
        text->failed = true;
    } else if (size > 0 && reserve(text, (size_t)size)) {
        vsnprintf(text->data + text->length, (size_t)size + 1, format, again);
        text->length += (size_t)size;
    }
    va_end(again);
    va_end(args);
}

void text_append_html(struct text *text, const char *string)
{
    for (const char *c = string; *c != '\0'; c++) {
        switch (*c) {
        case '&':
            text_append(text, "&amp;");
            break;
        case '<':
            text_append(text, "&lt;");
            break;
        case '>':
            text_append(text, "&gt;");
            break;
        case '"':
            text_append(text, "&quot;");
            break;
        case '\'':
            text_append(text, "&#39;");
            break;
        default:
            text_append_bytes(text, c, 1);
        }
    }
}

void text_clear(struct text *text)
{
    free(text->data);
    *text = (struct text)TEXT_INIT(text->cap);
}

const char *text_string(const struct text *text)
{
    return text->data != NULL ? text->data : "";
}

char *text_copy(const char *string)
{
    return string != NULL ? strdup(string) : NULL;
}

char *text_trim(char *string)
{
    string += strspn(string, " \t\r\n");
    size_t length = strlen(string);
    while (length > 0 && strchr(" \t\r\n", string[length - 1]) != NULL) {
        string[--length] = '\0';
    }
    return string;
}

void text_list_free(char **list)
{
    for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
        free(list[i]);
    }
    free(list);
}

void text_make_one_line(char *string)
{
    char *to = string;

    for (const char *from = string; *from != '\0'; from++) {
        unsigned char c = (unsigned char)*from;
        if (c == 0xc2 && (unsigned char)from[1] >= 0x80 && (unsigned char)from[1] <= 0x9f) {
            /* C1 controls in UTF-8: terminals obey some of them as they do ESC. */
            from++;
            c = ' ';
        }
        if (c < 0x20 || c == 0x7f) {
            c = ' ';
        }
        if (c == ' ' && (to == string || to[-1] == ' ')) {
            continue;
        }
        *to++ = (char)c;
    }
    while (to > string && to[-1] == ' ') {
        to--;
    }
    *to = '\0';
}

/* The length of the well-formed UTF-8 sequence at s (Unicode 15, table 3-7); 0 when there is none.
 */
static size_t utf8_sequence(const unsigned char *s)
{
    if (s[0] < 0x80) {
        return 1;
    }
    if (s[0] >= 0xc2 && s[0] <= 0xdf) {
        return (s[1] & 0xc0) == 0x80 ? 2 : 0;
    }
    if ((s[0] & 0xf0) == 0xe0) {
        if ((s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80 || (s[0] == 0xe0 && s[1] < 0xa0) ||
            (s[0] == 0xed && s[1] > 0x9f)) {
            return 0;
        }
        return 3;
    }
    if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        if ((s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80 || (s[3] & 0xc0) != 0x80 ||
            (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)) {
            return 0;
        }
        return 4;
    }
    return 0;
}

/* True when s begins a sequence that only the end of the string cut short. */
static bool utf8_cut_short(const unsigned char *s)
{
    size_t want = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    size_t have = 1;

    if (s[0] < 0xc2 || s[0] > 0xf4) {
        return false;
    }
    while (have < want && (s[have] & 0xc0) == 0x80) {
        have++;
    }
    return have < want && s[have] == '\0';
}

void text_cut_utf8(char *string)
{
    unsigned char *s = (unsigned char *)string;

    while (*s != '\0') {
        size_t length = utf8_sequence(s);
        if (length > 0) {
            s += length;
        } else if (utf8_cut_short(s)) {
            *s = '\0';
        } else {
            *s++ = '?';
        }
    }
}

void text_format_bytes(char out[TEXT_BYTES_SIZE], uint64_t bytes)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "PB", "EB"};
    size_t unit = 0;
    double value = (double)bytes;

    while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    if (unit == 0) {
        snprintf(out, TEXT_BYTES_SIZE, "%" PRIu64 " B", bytes);
    } else {
        snprintf(out, TEXT_BYTES_SIZE, "%.1f %s", value, units[unit]);
    }
}

bool text_parse_integer(const char *string, int64_t min, int64_t max, int64_t *out)
{
    char *end = NULL;

    if (string[0] != '-' && (string[0] < '0' || string[0] > '9')) {
        return false;
    }
    errno = 0;
    long long value = strtoll(string, &end, 10);
    if (errno != 0 || end == string || *end != '\0' || value < min || value > max) {
        return false;
    }
    *out = value;
    return true;
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    const char *found = c != '\0' ? strchr(digits, c) : NULL;

    if (found == NULL) {
        return -1;
    }
    int value = (int)(found - digits);
    return value < 16 ? value : value - 6;
}

bool text_decode_percent(char *out, size_t size, const char *string)
{
    size_t used = 0;

    for (const char *c = string; *c != '\0'; c++) {
        int byte = (unsigned char)*c;
        if (*c == '%') {
            int high = hex_digit(c[1]);
            int low = high >= 0 ? hex_digit(c[2]) : -1;
            byte = low >= 0 ? high * 16 + low : 0;
            c += 2;
        }
        if (byte == 0 || used + 1 >= size) {
            return false;
        }
        out[used++] = (char)byte;
    }
    if (size == 0) {
        return false;
    }
    out[used] = '\0';
    return true;
}

bool text_is_printable_ascii(const char *string)
{
    for (const char *c = string; *c != '\0'; c++) {
        if (*c < 0x20 || *c > 0x7e) {
            return false;
        }
    }
    return true;
}

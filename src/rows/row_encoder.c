#include "rows/row_encoder.h"

#include <stdlib.h>
#include <string.h>

#include "rows/array_value.h"
#include "rows/network_order.h"
#include "rows/value_type.h"

/* So much is sent at a time. */
#define ENOUGH ((size_t)64 * 1024)

/* MAX_BUFFERED_TUPLES of the server, and how long these may be before it is told to store them:
 * long enough for what a COPY costs not to count. */
#define COLLECTED_ROWS  1000
#define COLLECTED_BYTES ((size_t)4 * 1024 * 1024)

/* How much of the rows tells what they grow by. */
#define MEASURED ((size_t)64 * 1024)

/* The signature of 11 bytes, no flags, no extension. */
static const unsigned char head[11 + 2 * sizeof(uint32_t)] = "PGCOPY\n\377\r\n";

const unsigned char row_encoder_end[2] = {0xff, 0xff};

struct column {
    const struct value_type *type; /* or its elements' */
    bool is_array;
};

struct bytes {
    unsigned char *data;
    size_t size;
    size_t capacity;
};

struct row_encoder {
    struct bytes out;
    struct bytes held;  /* a row whose end is not there yet */
    struct bytes value; /* one without its escapes */
    bool has_stopped;
    bool is_measured;
    size_t text_size; /* of all rows that were encoded */
    size_t binary_size;
    size_t collected_rows; /* by the server, at most */
    size_t collected_bytes;
    size_t count;
    struct column columns[];
};

static bool make_room(struct bytes *bytes, size_t more, struct error *err)
{
    if (bytes->capacity - bytes->size >= more) {
        return true;
    }
    size_t capacity =
        2 * bytes->capacity > bytes->size + more ? 2 * bytes->capacity : bytes->size + more;
    unsigned char *data = realloc(bytes->data, capacity);
    if (data == NULL) {
        return error_set_memory(err);
    }
    bytes->data = data;
    bytes->capacity = capacity;
    return true;
}

static bool append(struct bytes *bytes, const void *data, size_t size, struct error *err)
{
    if (!make_room(bytes, size, err)) {
        return false;
    }
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
    return true;
}

static bool find_type(uint32_t oid, struct column *out)
{
    out->type = value_type_find(oid);
    out->is_array = out->type == NULL;
    if (out->is_array) {
        out->type = value_type_of_array(oid);
    }
    return out->type != NULL;
}

bool row_encoder_new(const uint32_t *types, size_t count, struct row_encoder **out,
                     struct error *err)
{
    struct row_encoder *encoder = calloc(1, sizeof(*encoder) + count * sizeof(encoder->columns[0]));
    bool known = count > 0;

    *out = NULL;
    if (encoder == NULL) {
        return error_set_memory(err);
    }
    encoder->count = count;
    for (size_t i = 0; known && i < count; i++) {
        known = find_type(types[i], &encoder->columns[i]);
    }
    if (known) {
        *out = encoder;
    } else {
        row_encoder_free(encoder);
    }
    return true;
}

bool row_encoder_begin(struct row_encoder *encoder, struct error *err)
{
    encoder->collected_rows = 0;
    encoder->collected_bytes = 0;
    return append(&encoder->out, head, sizeof(head), err);
}

void row_encoder_free(struct row_encoder *encoder)
{
    if (encoder == NULL) {
        return;
    }
    free(encoder->out.data);
    free(encoder->held.data);
    free(encoder->value.data);
    free(encoder);
}

/* The byte that an escape stands for; 0: COPY TO does not write it. */
static char unescape(char c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'v':
        return '\v';
    case '\\':
        return '\\';
    default:
        return '\0';
    }
}

/* Into `out`, which is as long; false for an escape that is none. */
static bool copy_unescaped(const char *text, size_t length, char *out, size_t *size)
{
    const char *end = text + length;
    char *to = out;

    while (text < end) {
        const char *escape = memchr(text, '\\', (size_t)(end - text));
        size_t plain = (size_t)((escape != NULL ? escape : end) - text);
        memcpy(to, text, plain);
        to += plain;
        text += plain;
        if (text < end) {
            if (end - text < 2 || (*to++ = unescape(text[1])) == '\0') {
                return false;
            }
            text += 2;
        }
    }
    *size = (size_t)(to - out);
    return true;
}

/* A value that is not null. `copy` has room for it. */
static unsigned char *encode_value(const struct column *column, const char *text, size_t length,
                                   bool has_escapes, char *copy, unsigned char *out)
{
    if (!has_escapes && !column->is_array) {
        return column->type->encode(text, length, out);
    }
    if (!copy_unescaped(text, length, copy, &length)) {
        return NULL;
    }
    return column->is_array ? array_value_encode(column->type, copy, length, out)
                            : column->type->encode(copy, length, out);
}

/* A length, and a value. */
static unsigned char *put_value(const struct column *column, const char *text, size_t length,
                                bool has_escapes, char *copy, unsigned char *out)
{
    has_escapes = has_escapes && memchr(text, '\\', length) != NULL;
    if (has_escapes && length == 2 && text[1] == 'N') {
        return put_32(out, VALUE_NULL);
    }
    unsigned char *value = out + sizeof(uint32_t);
    unsigned char *end = encode_value(column, text, length, has_escapes, copy, value);
    if (end != NULL) {
        put_32(out, (uint32_t)(end - value));
    }
    return end;
}

/* Its line without the break. NULL: the server must read it. */
static unsigned char *put_row(struct row_encoder *encoder, const char *row, size_t length,
                              unsigned char *out)
{
    const char *end = row + length;
    bool has_escapes = memchr(row, '\\', length) != NULL;
    const char *at = row;

    out = put_16(out, (uint16_t)encoder->count);
    for (size_t i = 0; i < encoder->count; i++) {
        bool is_last = i + 1 == encoder->count;
        const char *tab = memchr(at, '\t', (size_t)(end - at));
        if (is_last != (tab == NULL)) {
            return NULL;
        }
        out = put_value(&encoder->columns[i], at, (size_t)((is_last ? end : tab) - at), has_escapes,
                        (char *)encoder->value.data, out);
        if (out == NULL) {
            return NULL;
        }
        at = is_last ? end : tab + 1;
    }
    return out;
}

static void note_row(struct row_encoder *encoder, size_t text_size, size_t binary_size)
{
    encoder->text_size += text_size;
    encoder->binary_size += binary_size;
    encoder->collected_rows++;
    encoder->collected_bytes += binary_size;
    if (encoder->collected_rows == COLLECTED_ROWS) {
        encoder->collected_rows = 0;
        encoder->collected_bytes = 0;
    }
}

/* COPY FROM takes a carriage return for the end of a line, or for an error. */
static bool encode_row(struct row_encoder *encoder, const char *row, size_t length,
                       struct error *err)
{
    _Static_assert(VALUE_MOST(0) <= ARRAY_VALUE_MOST(0), "no value is longer than an array may be");
    size_t most = sizeof(uint16_t) + ARRAY_VALUE_MOST(length) +
                  encoder->count * (sizeof(uint32_t) + ARRAY_VALUE_MOST(0));

    if (!make_room(&encoder->out, most, err) || !make_room(&encoder->value, length + 1, err)) {
        return false;
    }
    unsigned char *begin = encoder->out.data + encoder->out.size;
    unsigned char *end =
        memchr(row, '\r', length) == NULL ? put_row(encoder, row, length, begin) : NULL;
    encoder->has_stopped = end == NULL;
    if (end != NULL) {
        encoder->out.size += (size_t)(end - begin);
        note_row(encoder, length + 1, (size_t)(end - begin));
    }
    return true;
}

/* The rest of the row that is held, or as much of it as there is. */
static bool read_held(struct row_encoder *encoder, const char *rows, size_t length, bool is_whole,
                      struct error *err)
{
    struct bytes *held = &encoder->held;

    if (!append(held, rows, length, err)) {
        return false;
    }
    if (!is_whole) {
        return true;
    }
    if (!encode_row(encoder, (const char *)held->data, held->size, err)) {
        return false;
    }
    held->size = encoder->has_stopped ? held->size - length : 0;
    return true;
}

/* The next row, or what there is of it. */
static bool read_line(struct row_encoder *encoder, const char *rows, size_t length, bool is_whole,
                      struct error *err)
{
    if (encoder->held.size + length > ROW_ENCODER_LONGEST) {
        encoder->has_stopped = true;
        return true;
    }
    return encoder->held.size > 0 || !is_whole ? read_held(encoder, rows, length, is_whole, err)
                                               : encode_row(encoder, rows, length, err);
}

/* Once. */
static bool has_grown(struct row_encoder *encoder)
{
    if (encoder->is_measured || encoder->text_size < MEASURED) {
        return false;
    }
    encoder->is_measured = true;
    return encoder->binary_size > encoder->text_size + encoder->text_size / 2;
}

bool row_encoder_read(struct row_encoder *encoder, const char *rows, size_t size, size_t *used,
                      struct error *err)
{
    size_t at = 0;
    bool ok = true;

    while (ok && at < size && !encoder->has_stopped && encoder->out.size < ENOUGH &&
           !row_encoder_is_full(encoder)) {
        const char *line_end = memchr(rows + at, '\n', size - at);
        size_t length = line_end != NULL ? (size_t)(line_end - rows) - at : size - at;
        ok = read_line(encoder, rows + at, length, line_end != NULL, err);
        if (encoder->has_stopped) {
            break;
        }
        at += length + (line_end != NULL ? 1 : 0);
        encoder->has_stopped = has_grown(encoder);
    }
    *used = at;
    return ok;
}

const void *row_encoder_take(struct row_encoder *encoder, size_t *size)
{
    *size = encoder->out.size;
    encoder->out.size = 0;
    return encoder->out.data;
}

bool row_encoder_is_full(const struct row_encoder *encoder)
{
    return encoder->collected_bytes >= COLLECTED_BYTES;
}

bool row_encoder_has_stopped(const struct row_encoder *encoder)
{
    return encoder->has_stopped;
}

const char *row_encoder_rest(const struct row_encoder *encoder, size_t *size)
{
    *size = encoder->held.size;
    return (const char *)encoder->held.data;
}

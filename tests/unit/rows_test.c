/*
 * Values and rows turned into COPY's binary format. What is expected of values is what the types'
 * send functions of a server gave for the text (SELECT encode(int4send('7'), 'hex')).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "rows/array_value.h"
#include "rows/row_encoder.h"
#include "rows/value_type.h"

/* pg_type.dat */
enum {
    BOOLEAN = 16,
    BYTEA = 17,
    BIGINT = 20,
    SMALLINT = 21,
    INTEGER = 23,
    TEXT = 25,
    OID = 26,
    JSON = 114,
    REAL = 700,
    DOUBLE = 701,
    CHARACTER = 1042,
    VARCHAR = 1043,
    DATE = 1082,
    TIME = 1083,
    TIMESTAMP = 1114,
    TIMESTAMPTZ = 1184,
    NUMERIC = 1700,
    UUID = 2950,
    JSONB = 3802,
    INTEGER_ARRAY = 1007,
    TEXT_ARRAY = 1009,
    NUMERIC_ARRAY = 1231,
    TIMESTAMP_ARRAY = 1115,
    BYTEA_ARRAY = 1001,
    INTERVAL = 1186,
};

struct sample {
    uint32_t type;
    const char *text;
    const char *hex;
};

static const struct sample samples[] = {
    {BOOLEAN, "t", "01"},
    {BOOLEAN, "f", "00"},
    {BYTEA, "\\x", ""},
    {BYTEA, "\\x00ff5c0a", "00ff5c0a"},
    {BYTEA, "\\xdeadbeef", "deadbeef"},
    {BIGINT, "0", "0000000000000000"},
    {BIGINT, "-1", "ffffffffffffffff"},
    {BIGINT, "9223372036854775807", "7fffffffffffffff"},
    {BIGINT, "-9223372036854775808", "8000000000000000"},
    {SMALLINT, "32767", "7fff"},
    {SMALLINT, "-32768", "8000"},
    {SMALLINT, "7", "0007"},
    {INTEGER, "2147483647", "7fffffff"},
    {INTEGER, "-2147483648", "80000000"},
    {INTEGER, "0", "00000000"},
    {TEXT, "a b", "612062"},
    {TEXT, "", ""},
    {TEXT, "\303\244", "c3a4"},
    {OID, "4294967295", "ffffffff"},
    {OID, "0", "00000000"},
    {JSON, "{\"a\" :  1}", "7b226122203a2020317d"},
    {REAL, "1.5", "3fc00000"},
    {REAL, "-0", "80000000"},
    {REAL, "3.4028235e+38", "7f7fffff"},
    {REAL, "1.1754944e-38", "00800000"},
    {REAL, "0.1", "3dcccccd"},
    {REAL, "NaN", "7fc00000"},
    {REAL, "Infinity", "7f800000"},
    {REAL, "-Infinity", "ff800000"},
    {DOUBLE, "1.5", "3ff8000000000000"},
    {DOUBLE, "-0", "8000000000000000"},
    {DOUBLE, "1.7976931348623157e+308", "7fefffffffffffff"},
    {DOUBLE, "2.2250738585072014e-308", "0010000000000000"},
    {DOUBLE, "0.1", "3fb999999999999a"},
    {DOUBLE, "NaN", "7ff8000000000000"},
    {DOUBLE, "Infinity", "7ff0000000000000"},
    {DOUBLE, "-Infinity", "fff0000000000000"},
    {CHARACTER, "a   ", "61202020"},
    {VARCHAR, "x", "78"},
    {DATE, "2000-01-01", "00000000"},
    {DATE, "1999-12-31", "ffffffff"},
    {DATE, "0001-01-01", "fff4dbf9"},
    {DATE, "9999-12-31", "002c95d3"},
    {DATE, "2000-02-29", "0000003b"},
    {DATE, "1900-02-28", "ffff718e"},
    {DATE, "1900-03-01", "ffff718f"},
    {DATE, "2024-12-31", "000023ab"},
    {TIME, "00:00:00", "0000000000000000"},
    {TIME, "23:59:59.999999", "000000141dd75fff"},
    {TIME, "12:34:56.1", "0000000a8bdba2a0"},
    {TIMESTAMP, "2000-01-01 00:00:00", "0000000000000000"},
    {TIMESTAMP, "1999-12-31 23:59:59.999999", "ffffffffffffffff"},
    {TIMESTAMP, "0001-01-01 00:00:00", "ff1fe2ffc59c6000"},
    {TIMESTAMP, "9999-12-31 23:59:59.5", "0380e70b9133dee0"},
    {TIMESTAMPTZ, "2000-01-01 00:00:00+00", "0000000000000000"},
    {TIMESTAMPTZ, "2024-02-29 12:00:00.25+05:30", "0002b57e284fda90"},
    {TIMESTAMPTZ, "1970-01-01 00:00:00-00:44:30", "fffca2ff63ed1780"},
    {TIMESTAMPTZ, "1999-12-31 23:59:59.999999-08", "00000006b49d1fff"},
    {NUMERIC, "0", "0000000000000000"},
    {NUMERIC, "0.00", "0000000000000002"},
    {NUMERIC, "1", "00010000000000000001"},
    {NUMERIC, "-1", "00010000400000000001"},
    {NUMERIC, "10000", "00010001000000000001"},
    {NUMERIC, "9999", "0001000000000000270f"},
    {NUMERIC, "0.0001", "0001ffff000000040001"},
    {NUMERIC, "0.00001", "0001fffe0000000503e8"},
    {NUMERIC, "-0.00010", "0001ffff400000050001"},
    {NUMERIC, "12345678.87654321", "000400010000000804d2162e223d10e1"},
    {NUMERIC, "100000000", "00010002000000000001"},
    {NUMERIC, "1.10", "0002000000000002000103e8"},
    {NUMERIC, "123.4500", "0002000000000004007b1194"},
    {NUMERIC, "99999999.9999", "0003000100000004270f270f270f"},
    {NUMERIC, "0.1234567", "0002ffff0000000704d21626"},
    {NUMERIC, "1000000000000000000000000000000", "00010007000000000064"},
    {UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc999c0b4ef8bb6d6bb9bd380a11"},
    {JSONB, "{\"a\": 1}", "017b2261223a20317d"},
    {INTEGER_ARRAY, "{}", "000000000000000000000017"},
    {INTEGER_ARRAY, "{1,NULL,-3}",
     "00000001000000010000001700000003000000010000000400000001ffffffff00000004"
     "fffffffd"},
    {TEXT_ARRAY, "{a,\"\",NULL,\"NULL\",\"b,c\",\"d\\\"e\",\"f\\\\g\",\"{h}\",\" i\"}",
     "0000000100000001000000190000000900000001000000016100000000ffffffff000000"
     "044e554c4c00000003622c630000000364226500000003665c67000000037b687d000000"
     "022069"},
    {NUMERIC_ARRAY, "{1,0.5}",
     "0000000100000000000006a400000002000000010000000a000100000000000000010000"
     "000a0001ffff000000011388"},
    {TIMESTAMP_ARRAY, "{\"2000-01-01 00:00:01\"}",
     "00000001000000000000045a00000001000000010000000800000000000f4240"},
    {BYTEA_ARRAY, "{\"\\\\x00ff\"}", "00000001000000000000001100000001000000010000000200ff"},
};

/* Seldom written by a server, or never: hex is NULL. */
static const struct sample strange[] = {
    {BOOLEAN, "", NULL},
    {BOOLEAN, "true", NULL},
    {BYTEA, "abc", NULL},
    {BYTEA, "\\x0", NULL},
    {BYTEA, "\\x0g", NULL},
    {BIGINT, "9223372036854775808", NULL},
    {BIGINT, "-9223372036854775809", NULL},
    {BIGINT, "18446744073709551617", NULL},
    {SMALLINT, "32768", NULL},
    {SMALLINT, "-32769", NULL},
    {INTEGER, "", NULL},
    {INTEGER, "-", NULL},
    {INTEGER, "+1", NULL},
    {INTEGER, " 1", NULL},
    {INTEGER, "1 ", NULL},
    {INTEGER, "1.0", NULL},
    {INTEGER, "0x1", NULL},
    {INTEGER, "2147483648", NULL},
    {OID, "-1", NULL},
    {OID, "4294967296", NULL},
    {REAL, "", NULL},
    {REAL, "1e39", NULL},
    {REAL, "0x10", NULL},
    {REAL, "nan", NULL},
    {REAL, "1.5 ", NULL},
    {REAL, "e", NULL},
    {DOUBLE, "1e309", NULL},
    {DOUBLE, "1.2.3", NULL},
    {DOUBLE, "inf", NULL},
    {DOUBLE, "0.00000000000000000000000000000000001", NULL},
    {DATE, "infinity", NULL},
    {DATE, "0044-03-15 BC", NULL},
    {DATE, "10000-01-01", NULL},
    {DATE, "0000-01-01", NULL},
    {DATE, "2000-13-01", NULL},
    {DATE, "2000-00-01", NULL},
    {DATE, "2001-02-29", NULL},
    {DATE, "1900-02-29", NULL},
    {DATE, "2000-04-31", NULL},
    {DATE, "2000-04-00", NULL},
    {DATE, "2000-4-1", NULL},
    {DATE, "2000-04-01 ", NULL},
    {TIME, "24:00:00", NULL},
    {TIME, "12:60:00", NULL},
    {TIME, "12:00:60", NULL},
    {TIME, "12:00", NULL},
    {TIME, "12:00:00.", NULL},
    {TIME, "12:00:00.1234567", NULL},
    {TIMESTAMP, "infinity", NULL},
    {TIMESTAMP, "2000-01-01T00:00:00", NULL},
    {TIMESTAMP, "2000-01-01 00:00:00+00", NULL},
    {TIMESTAMP, "2000-01-01 00:00:00 BC", NULL},
    {TIMESTAMPTZ, "2000-01-01 00:00:00", NULL},
    {TIMESTAMPTZ, "2000-01-01 00:00:00 UTC", NULL},
    {TIMESTAMPTZ, "2000-01-01 00:00:00+16", NULL},
    {TIMESTAMPTZ, "2000-01-01 00:00:00+05:60", NULL},
    {TIMESTAMPTZ, "2000-01-01 00:00:00+05:", NULL},
    {NUMERIC, "", NULL},
    {NUMERIC, "-", NULL},
    {NUMERIC, ".5", NULL},
    {NUMERIC, "1e5", NULL},
    {NUMERIC, "NaN", NULL},
    {NUMERIC, "-Infinity", NULL},
    {NUMERIC, "1.2.3", NULL},
    {UUID, "a0eebc999c0b4ef8bb6d6bb9bd380a11", NULL},
    {UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g", NULL},
    {UUID, "a0eebc99-9c0b-4ef8-bb6d06bb9bd380a11", NULL},
    {INTEGER_ARRAY, "", NULL},
    {INTEGER_ARRAY, "{", NULL},
    {INTEGER_ARRAY, "{1", NULL},
    {INTEGER_ARRAY, "{1,", NULL},
    {INTEGER_ARRAY, "{1,}", NULL},
    {INTEGER_ARRAY, "{1}2", NULL},
    {INTEGER_ARRAY, "{1}}", NULL},
    {INTEGER_ARRAY, "{{1},{2}}", NULL},
    {INTEGER_ARRAY, "[0:1]={1,2}", NULL},
    {INTEGER_ARRAY, "{1,x}", NULL},
    {TEXT_ARRAY, "{\"a}", NULL},
    {TEXT_ARRAY, "{\"a\\", NULL},
    {TEXT_ARRAY, "{\"a\"b}", NULL},
    {TEXT_ARRAY, "{a b}", NULL},
    {TEXT_ARRAY, "{a\\}", NULL},
    {TEXT_ARRAY, "{a\"}", NULL},
};

#define GUARD 64

/* The value in hex, or NULL, to be freed. Nothing is written beyond what is said, and, as a checker
 * of memory sees, nothing read beyond the text. */
static char *encode(uint32_t oid, const char *text, size_t length)
{
    const struct value_type *type = value_type_find(oid);
    const struct value_type *element = value_type_of_array(oid);
    size_t most = type != NULL ? VALUE_MOST(length) : ARRAY_VALUE_MOST(length);
    char *copy = malloc(length > 0 ? length : 1);
    unsigned char *out = malloc(most + GUARD);
    char *hex = NULL;

    assert_true((type != NULL) != (element != NULL));
    assert_non_null(copy);
    assert_non_null(out);
    memcpy(copy, text, length);
    memset(out + most, 0xa5, GUARD);
    const unsigned char *end = type != NULL ? type->encode(copy, length, out)
                                            : array_value_encode(element, copy, length, out);
    if (end != NULL) {
        size_t size = (size_t)(end - out);
        assert_true(size <= most);
        hex = calloc(2 * size + 1, 1);
        assert_non_null(hex);
        for (size_t i = 0; i < size; i++) {
            snprintf(hex + 2 * i, 3, "%02x", out[i]);
        }
    }
    for (size_t i = 0; i < GUARD; i++) {
        assert_int_equal(out[most + i], 0xa5);
    }
    free(copy);
    free(out);
    return hex;
}

static void test_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        char *hex = encode(samples[i].type, samples[i].text, strlen(samples[i].text));
        assert_non_null(hex);
        assert_string_equal(hex, samples[i].hex);
        free(hex);
    }
}

static void test_strange_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
        char *hex = encode(strange[i].type, strange[i].text, strlen(strange[i].text));
        if (hex != NULL) {
            fail_msg("%s of type %u became %s", strange[i].text, strange[i].type, hex);
        }
    }
}

/* Digits of the longest numeric that is ours. */
static void test_long_numbers(void **state)
{
    char digits[8002];

    (void)state;
    memset(digits, '9', sizeof(digits));
    char *hex = encode(NUMERIC, digits, 8000);
    assert_non_null(hex);
    assert_memory_equal(hex, "07d007cf00000000270f", 20);
    free(hex);
    assert_null(encode(NUMERIC, digits, 8001));
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

/* A zero byte is no end. */
static void test_zero_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        const struct sample *sample = &samples[i];
        size_t length = strlen(sample->text);
        bool is_text = sample->type == TEXT || sample->type == VARCHAR ||
                       sample->type == CHARACTER || sample->type == JSON || sample->type == JSONB;
        char *hex = encode(sample->type, sample->text, length + 1);
        /* These the server looks into. */
        assert_true((hex != NULL) == is_text);
        free(hex);
    }
}

/* Whatever comes, no more is written than was said: encode() sees to it. */
static void test_random_values(void **state)
{
    static const char bytes[] = "0123456789.-+:eE {},\"\\xabcdefNULtBC";
    uint32_t random = 1;
    char text[40];

    (void)state;
    for (int i = 0; i < 200000; i++) {
        const struct sample *sample =
            &samples[next_random(&random) % (sizeof(samples) / sizeof(samples[0]))];
        size_t length = strlen(sample->text);
        length = length < sizeof(text) ? length : sizeof(text);
        memcpy(text, sample->text, length);
        for (uint32_t changes = next_random(&random) % 4; changes > 0 && length > 0; changes--) {
            text[next_random(&random) % length] = bytes[next_random(&random) % (sizeof(bytes) - 1)];
        }
        free(encode(sample->type, text, next_random(&random) % (length + 1)));
    }
}

static struct row_encoder *make(const uint32_t *types, size_t count)
{
    struct row_encoder *encoder = NULL;
    struct error err = ERROR_INIT;

    assert_true(row_encoder_new(types, count, &encoder, &err));
    assert_true(encoder == NULL || row_encoder_begin(encoder, &err));
    return encoder;
}

/* What came of rows in pieces of up to `most` bytes. */
struct encoded {
    struct text binary;
    struct text rest; /* that is to be sent as text */
};

static void take_all(struct row_encoder *encoder, struct text *out)
{
    size_t size;
    const void *bytes = row_encoder_take(encoder, &size);

    text_append_bytes(out, bytes, size);
}

static void feed(struct row_encoder *encoder, const char *rows, size_t length, size_t most,
                 struct encoded *out)
{
    struct error err = ERROR_INIT;
    size_t done = 0;

    *out = (struct encoded){.binary = TEXT_INIT(SIZE_MAX / 2), .rest = TEXT_INIT(SIZE_MAX / 2)};
    while (done < length && !row_encoder_has_stopped(encoder)) {
        size_t size = length - done < most ? length - done : most;
        size_t used = 0;
        char *piece = malloc(size);
        assert_non_null(piece);
        memcpy(piece, rows + done, size);
        assert_true(row_encoder_read(encoder, piece, size, &used, &err));
        assert_true(used <= size);
        take_all(encoder, &out->binary);
        free(piece);
        done += used;
    }
    take_all(encoder, &out->binary);
    size_t held;
    const char *rest = row_encoder_rest(encoder, &held);
    if (held > 0) {
        text_append_bytes(&out->rest, rest, held);
    }
    text_append_bytes(&out->rest, rows + done, length - done);
    assert_false(out->binary.failed || out->rest.failed);
}

#define HEAD "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0"

/* The binary rows, without their end, and what is left as text. */
static void check_rows(const uint32_t *types, size_t count, const char *rows, const char *binary,
                       size_t size, const char *rest)
{
    for (size_t most = 1; most <= strlen(rows) + 1; most++) {
        struct row_encoder *encoder = make(types, count);
        struct encoded encoded;
        assert_non_null(encoder);
        feed(encoder, rows, strlen(rows), most, &encoded);
        assert_int_equal(encoded.binary.length, sizeof(HEAD) - 1 + size);
        assert_memory_equal(encoded.binary.data, HEAD, sizeof(HEAD) - 1);
        assert_memory_equal(encoded.binary.data + sizeof(HEAD) - 1, binary, size);
        assert_string_equal(text_string(&encoded.rest), rest);
        text_clear(&encoded.binary);
        text_clear(&encoded.rest);
        row_encoder_free(encoder);
    }
}

#define ONE_A "\0\2\0\0\0\4\0\0\0\1\0\0\0\1a"
#define NULLS "\0\2\xff\xff\xff\xff\xff\xff\xff\xff"

static const uint32_t pair[] = {INTEGER, TEXT};

static void test_rows(void **state)
{
    static const char escapes[] = "\0\2\0\0\0\4\xff\xff\xff\xff\0\0\0\7\b\f\n\r\t\v\\";
    static const char empty[] = "\0\2\0\0\0\4\0\0\0\2\0\0\0\0";
    static const char word[] = "\0\2\0\0\0\4\0\0\0\2\0\0\0\2\\N";

    (void)state;
    check_rows(pair, 2, "", "", 0, "");
    check_rows(pair, 2, "1\ta\n\\N\t\\N\n", ONE_A NULLS, sizeof(ONE_A NULLS) - 1, "");
    check_rows(pair, 2, "-1\t\\b\\f\\n\\r\\t\\v\\\\\n", escapes, sizeof(escapes) - 1, "");
    check_rows(pair, 2, "2\t\n", empty, sizeof(empty) - 1, "");
    check_rows(pair, 2, "2\t\\\\N\n", word, sizeof(word) - 1, "");
}

static void test_rows_that_are_left(void **state)
{
    static const char *const left[] = {
        "x\ta\n1\ta\n", "1\n1\ta\n", "1\ta\tb\n", "\n",   "1\ta\\\n",  "1\ta\\x41\n",
        "1\t\\101\n",   "1\ta\r\n",  "\\.\n",     "1\ta", "1\t\\Nx\n", "\\NN\ta\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
        char rows[64];
        check_rows(pair, 2, left[i], "", 0, left[i]);
        snprintf(rows, sizeof(rows), "1\ta\n\\N\t\\N\n%s", left[i]);
        check_rows(pair, 2, rows, ONE_A NULLS, sizeof(ONE_A NULLS) - 1, left[i]);
    }
}

/* Not held in memory, however short its pieces are. */
static void test_a_long_row(void **state)
{
    static const size_t pieces[] = {1000, 65536};
    size_t length = ROW_ENCODER_LONGEST + 100;
    char *rows = malloc(length);

    (void)state;
    assert_non_null(rows);
    memset(rows, 'a', length);
    memcpy(rows, "1\ta\n1\t", 6);
    rows[length - 1] = '\n';
    for (size_t i = 0; i < 2; i++) {
        struct row_encoder *encoder = make(pair, 2);
        struct encoded encoded;
        feed(encoder, rows, length, pieces[i], &encoded);
        assert_true(row_encoder_has_stopped(encoder));
        assert_int_equal(encoded.binary.length, sizeof(HEAD ONE_A) - 1);
        assert_int_equal(encoded.rest.length, length - 4);
        assert_memory_equal(encoded.rest.data, rows + 4, length - 4);
        text_clear(&encoded.binary);
        text_clear(&encoded.rest);
        row_encoder_free(encoder);
    }
    free(rows);
}

/* `row` so often, in one piece. *size: of the binary rows, after which the encoder has stopped,
 * or was full, or had all. */
static struct row_encoder *repeat(const char *row, size_t count, size_t *used, size_t *size)
{
    struct row_encoder *encoder = make(pair, 2);
    struct error err = ERROR_INIT;
    size_t length = strlen(row);
    char *rows = malloc(length * count);
    size_t more = 1;

    assert_non_null(rows);
    for (size_t i = 0; i < count; i++) {
        memcpy(rows + i * length, row, length);
    }
    *used = 0;
    *size = 0;
    while (*used < length * count && !row_encoder_has_stopped(encoder) &&
           !row_encoder_is_full(encoder)) {
        size_t taken;
        assert_true(row_encoder_read(encoder, rows + *used, length * count - *used, &more, &err));
        row_encoder_take(encoder, &taken);
        /* what is sent at once, and not much more */
        assert_true(taken > 0 && taken <= (size_t)64 * 1024 + 2 * length + 64);
        *used += more;
        *size += taken;
    }
    free(rows);
    assert_int_equal(*used % length, 0);
    return encoder;
}

static void test_many_rows(void **state)
{
    size_t used;
    size_t size;
    struct row_encoder *encoder = repeat("1\tabcdefghijklmnopqrstuvwxyz\n", 100000, &used, &size);

    (void)state;
    assert_false(row_encoder_has_stopped(encoder) || row_encoder_is_full(encoder));
    assert_int_equal(used, 100000 * 29);
    assert_int_equal(size, sizeof(HEAD) - 1 + 100000 * (2 + 4 + 4 + 4 + 26));
    row_encoder_free(encoder);
}

/* Four bytes become fifteen: text is shorter, and costs the server no more. */
static void test_rows_that_grow(void **state)
{
    size_t used;
    size_t size;
    struct row_encoder *encoder = repeat("1\ta\n", 100000, &used, &size);
    size_t held;

    (void)state;
    assert_true(row_encoder_has_stopped(encoder));
    assert_int_equal(used, 64 * 1024);
    assert_int_equal(size, sizeof(HEAD) - 1 + used / 4 * (sizeof(ONE_A) - 1));
    row_encoder_rest(encoder, &held);
    assert_int_equal(held, 0);
    row_encoder_free(encoder);
}

/* The server would keep 1,000 of these in memory: after 4 MiB it is to store them. */
static void test_a_full_copy(void **state)
{
    struct error err = ERROR_INIT;
    size_t length = 10000;
    size_t used;
    size_t size;
    char *row = malloc(length + 1);

    (void)state;
    assert_non_null(row);
    memset(row, 'a', length);
    memcpy(row, "1\t", 2);
    memcpy(row + length - 1, "\n", 2);
    struct row_encoder *encoder = repeat(row, 1000, &used, &size);
    assert_true(row_encoder_is_full(encoder));
    assert_false(row_encoder_has_stopped(encoder));
    assert_in_range(size, (size_t)4 * 1024 * 1024, (size_t)4 * 1024 * 1024 + 2 * length);
    assert_true(row_encoder_begin(encoder, &err));
    assert_false(row_encoder_is_full(encoder));
    const char *head = row_encoder_take(encoder, &size);
    assert_int_equal(size, sizeof(HEAD) - 1);
    assert_memory_equal(head, HEAD, size);
    row_encoder_free(encoder);
    free(row);
}

static void test_types(void **state)
{
    static const uint32_t one_is_strange[] = {INTEGER, INTERVAL};

    (void)state;
    assert_null(make(one_is_strange, 2));
    assert_null(make(pair, 0));
    assert_null(value_type_find(INTEGER_ARRAY));
    assert_null(value_type_of_array(INTEGER));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_strange_values),
        cmocka_unit_test(test_long_numbers),
        cmocka_unit_test(test_zero_bytes),
        cmocka_unit_test(test_random_values),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_rows_that_are_left),
        cmocka_unit_test(test_a_long_row),
        cmocka_unit_test(test_many_rows),
        cmocka_unit_test(test_rows_that_grow),
        cmocka_unit_test(test_a_full_copy),
        cmocka_unit_test(test_types),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

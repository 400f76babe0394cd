/*
 * The stream: what the compressing stages write is read back by the libraries' own decompressors,
 * what the digest says is compared with a digest of the whole, and the block cutter is driven with
 * tiny limits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/text.h"
#include "crypto/digest.h"
#include "stream/blocks.h"
#include "stream/compress.h"
#include "stream/decompress.h"
#include "stream/digest_stage.h"

#define SINK_MOST 4096

struct sink {
    struct text bytes;
    uint32_t count;
    size_t sizes[SINK_MOST];
    uint32_t fail_at; /* the call that fails, from 1; 0: none */
    struct block *kept[SINK_MOST];
    bool keep;
};

static bool take_block(void *context, struct block *block, struct error *err)
{
    struct sink *sink = context;

    if (sink->fail_at == sink->count + 1) {
        return error_set(err, ERROR_FAILED, "the sink is full");
    }
    assert_int_equal(block->index, sink->count);
    assert_int_equal(block->offset, sink->bytes.length);
    assert_true(block->size > 0);
    assert_true(sink->count < SINK_MOST);
    if (sink->keep) {
        block_keep(block);
        sink->kept[sink->count] = block;
    }
    sink->sizes[sink->count++] = block->size;
    text_append_bytes(&sink->bytes, block->data, block->size);
    assert_false(sink->bytes.failed);
    return true;
}

static struct sink *sink_new(void)
{
    struct sink *sink = calloc(1, sizeof(*sink));

    assert_non_null(sink);
    sink->bytes = (struct text)TEXT_INIT((size_t)64 * 1024 * 1024);
    return sink;
}

static void sink_free(struct sink *sink)
{
    text_clear(&sink->bytes);
    free(sink);
}

static const struct block_limits usual = {
    .first_size = 4096, .most_size = 1024 * 1024, .most_blocks = 50000};

static struct stage *blocks_new(const struct block_limits *limits, struct sink *sink)
{
    struct error err = ERROR_INIT;
    struct stage *stage = blocks_stage_new(limits, take_block, sink, &err);

    assert_non_null(stage);
    return stage;
}

static struct stage *chain_new(const char *compression, struct stream_digest *digest,
                               const struct block_limits *limits, struct sink *sink)
{
    struct error err = ERROR_INIT;
    struct compression parsed;

    assert_true(compression_parse(compression, &parsed, &err));
    struct stage *stage = digest_stage_new(digest, blocks_new(limits, sink), &err);
    assert_non_null(stage);
    stage = compress_stage_new(&parsed, stage, &err);
    assert_non_null(stage);
    return stage;
}

/* Half text that compresses, half bytes that do not; the same every time. */
static unsigned char *sample_new(size_t size)
{
    unsigned char *data = malloc(size + 1);
    uint32_t state = 12345;

    assert_non_null(data);
    for (size_t i = 0; i < size; i++) {
        state = state * 1664525 + 1013904223;
        data[i] = i / 10000 % 2 == 0 ? (unsigned char)"INSERT INTO t VALUES (1);\n"[i % 26]
                                     : (unsigned char)(state >> 24);
    }
    return data;
}

static void write_in_pieces(struct stage *stage, const unsigned char *data, size_t size,
                            size_t piece)
{
    struct error err = ERROR_INIT;

    for (size_t at = 0; at < size; at += piece) {
        size_t length = size - at < piece ? size - at : piece;
        assert_true(stage_write(stage, data + at, length, &err));
    }
    assert_true(stage_write(stage, data, 0, &err));
    assert_true(stage_finish(stage, &err));
}

static void check_digest(const struct stream_digest *digest, const struct sink *sink)
{
    unsigned char raw[DIGEST_SHA256_SIZE];
    char hex[DIGEST_HEX_SIZE(DIGEST_SHA256_SIZE)];
    struct error err = ERROR_INIT;

    assert_true(digest_of(DIGEST_SHA256, text_string(&sink->bytes), sink->bytes.length, raw, &err));
    digest_format_hex(hex, raw, sizeof(raw));
    assert_string_equal(digest->sha256, hex);
    assert_int_equal(digest->bytes, sink->bytes.length);
}

static size_t gunzip(const struct text *from, unsigned char *to, size_t capacity)
{
    z_stream stream = {.next_in = (unsigned char *)from->data,
                       .avail_in = (uInt)from->length,
                       .next_out = to,
                       .avail_out = (uInt)capacity};

    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(stream.avail_in, 0);
    inflateEnd(&stream);
    return capacity - stream.avail_out;
}

static size_t decompress(const char *method, const struct text *from, unsigned char *to,
                         size_t capacity)
{
    if (strncmp(method, "zstd", 4) == 0) {
        size_t size = ZSTD_decompress(to, capacity, from->data, from->length);
        assert_false(ZSTD_isError(size));
        return size;
    }
    if (strncmp(method, "gzip", 4) == 0) {
        return gunzip(from, to, capacity);
    }
    assert_true(from->length <= capacity);
    if (from->length > 0) {
        memcpy(to, from->data, from->length);
    }
    return from->length;
}

static void round_trip(const char *method, size_t size, size_t piece)
{
    struct sink *sink = sink_new();
    struct stream_digest digest;
    unsigned char *data = sample_new(size);
    unsigned char *back = malloc(size + 64);
    struct stage *stage = chain_new(method, &digest, &usual, sink);

    assert_non_null(back);
    assert_string_equal(digest.sha256, "");
    write_in_pieces(stage, data, size, piece);
    stage_free(stage);
    check_digest(&digest, sink);
    assert_int_equal(decompress(method, &sink->bytes, back, size + 64), size);
    assert_memory_equal(data, back, size);
    free(back);
    free(data);
    sink_free(sink);
}

static void test_round_trips(void **state)
{
    static const char *const methods[] = {"none", "zstd", "zstd:1", "zstd:19", "gzip", "gzip:9"};

    (void)state;
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        round_trip(methods[i], 0, 1);
        round_trip(methods[i], 1, 1);
        round_trip(methods[i], 5000, 7);
        round_trip(methods[i], 1500000, 65536);
        round_trip(methods[i], 1500000, 1500000);
    }
}

/* An empty dump still is a whole zstd frame, gzip member, or nothing at all. */
static void test_empty_streams(void **state)
{
    static const struct {
        const char *method;
        bool has_bytes;
    } cases[] = {{"none", false}, {"zstd", true}, {"gzip", true}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sink *sink = sink_new();
        struct stream_digest digest;
        struct error err = ERROR_INIT;
        struct stage *stage = chain_new(cases[i].method, &digest, &usual, sink);
        assert_true(stage_finish(stage, &err));
        stage_free(stage);
        assert_int_equal(sink->count, cases[i].has_bytes ? 1 : 0);
        check_digest(&digest, sink);
        sink_free(sink);
    }
}

static struct sink *compressed(const char *method, const unsigned char *data, size_t size,
                               size_t piece)
{
    struct sink *sink = sink_new();
    struct stream_digest digest;
    struct stage *stage = chain_new(method, &digest, &usual, sink);

    write_in_pieces(stage, data, size, piece);
    stage_free(stage);
    return sink;
}

/* The bytes depend on what is written, not on when or in which pieces (I4). */
static void test_bytes_are_deterministic(void **state)
{
    static const char *const methods[] = {"zstd", "gzip"};
    size_t size = 700000;
    unsigned char *data = sample_new(size);

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct sink *one = compressed(methods[i], data, size, size);
        struct sink *other = compressed(methods[i], data, size, 4099);
        assert_int_equal(one->bytes.length, other->bytes.length);
        assert_memory_equal(one->bytes.data, other->bytes.data, one->bytes.length);
        sink_free(one);
        sink_free(other);
    }
    free(data);
}

static void test_zstd_damage_is_detected(void **state)
{
    unsigned char data[2000];
    unsigned char back[2000];

    (void)state;
    memset(data, 'x', sizeof(data));
    struct sink *sink = compressed("zstd", data, sizeof(data), sizeof(data));
    /* The checksum flag of the frame header descriptor (RFC 8878 section 3.1.1.1.1). */
    assert_true(((unsigned char)sink->bytes.data[4] & 4) != 0);
    sink->bytes.data[sink->bytes.length - 1] ^= 1;
    assert_true(
        ZSTD_isError(ZSTD_decompress(back, sizeof(back), sink->bytes.data, sink->bytes.length)));
    sink_free(sink);
}

static void test_gzip_header_holds_no_time(void **state)
{
    static const unsigned char none[5] = {0};
    struct sink *sink = compressed("gzip", (const unsigned char *)"x", 1, 1);

    (void)state;
    /* Flags and MTIME (RFC 1952 section 2.3). */
    assert_memory_equal(sink->bytes.data + 3, none, sizeof(none));
    sink_free(sink);
}

static void test_compression_values(void **state)
{
    static const struct {
        const char *value;
        enum compression_method method;
        int level;
        const char *suffix;
        const char *name;
    } good[] = {
        {"zstd", COMPRESSION_ZSTD, 3, ".zst", "zstd"},
        {"zstd:19", COMPRESSION_ZSTD, 19, ".zst", "zstd"},
        {"gzip", COMPRESSION_GZIP, 6, ".gz", "gzip"},
        {"gzip:1", COMPRESSION_GZIP, 1, ".gz", "gzip"},
        {"none", COMPRESSION_NONE, 0, "", "none"},
    };
    static const char *const bad[] = {"",        "zst",    "zstd:",   "zstd:0",  "zstd:20", "ZSTD",
                                      "gzip:10", "gzip:x", "gzip:-1", "none:1",  "none:",   "lz4",
                                      "zstd:3 ", " zstd",  "zstd:3:", "gzip:+1", "zstd19"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct compression parsed;
        struct error err = ERROR_INIT;
        assert_true(compression_parse(good[i].value, &parsed, &err));
        assert_int_equal(parsed.method, good[i].method);
        assert_int_equal(parsed.level, good[i].level);
        assert_string_equal(compression_suffix(parsed.method), good[i].suffix);
        assert_string_equal(compression_name(parsed.method), good[i].name);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct compression parsed;
        struct error err = ERROR_INIT;
        char quoted[64];
        snprintf(quoted, sizeof(quoted), "'%s'", bad[i]);
        assert_false(compression_parse(bad[i], &parsed, &err));
        assert_int_equal(err.kind, ERROR_CONFIG);
        assert_non_null(strstr(err.text, "zstd:LEVEL (1 to 19)"));
        assert_non_null(strstr(err.text, bad[i][0] == ' ' ? "zstd" : quoted));
    }
}

/* A last stage that keeps what comes. */
struct keep_stage {
    struct stage stage;
    struct text bytes;
};

static bool keep_write(struct stage *stage, const void *data, size_t size, struct error *err)
{
    struct keep_stage *self = (struct keep_stage *)stage;

    (void)err;
    text_append_bytes(&self->bytes, data, size);
    assert_false(self->bytes.failed);
    return true;
}

static bool keep_finish(struct stage *stage, struct error *err)
{
    (void)stage;
    (void)err;
    return true;
}

static void keep_free(struct stage *stage)
{
    text_clear(&((struct keep_stage *)stage)->bytes);
    free(stage);
}

static struct keep_stage *keep_new(void)
{
    static const struct stage_ops ops = {keep_write, keep_finish, keep_free};
    struct keep_stage *self = calloc(1, sizeof(*self));

    assert_non_null(self);
    *self =
        (struct keep_stage){.stage = {.ops = &ops}, .bytes = TEXT_INIT((size_t)256 * 1024 * 1024)};
    return self;
}

static bool feed(struct stage *stage, const void *data, size_t size, size_t piece,
                 struct error *err)
{
    for (size_t at = 0; at < size; at += piece) {
        size_t length = size - at < piece ? size - at : piece;
        if (!stage_write(stage, (const char *)data + at, length, err)) {
            return false;
        }
    }
    return stage_finish(stage, err);
}

static const struct {
    const char *name;
    enum compression_method method;
} decompressed[] = {
    {"zstd", COMPRESSION_ZSTD}, {"gzip", COMPRESSION_GZIP}, {"none", COMPRESSION_NONE}};
#define DECOMPRESSED (sizeof(decompressed) / sizeof(decompressed[0]))

/* Two streams after one another are one; then another one through the same stage. The bound is
 * exactly what there is. */
static void test_decompress_round_trips(void **state)
{
    static const size_t sizes[] = {0, 1, 5000, 262144, 1500000};
    static const size_t pieces[] = {1, 4099, SIZE_MAX / 2};

    (void)state;
    for (size_t i = 0; i < DECOMPRESSED * 5 * 3; i++) {
        size_t size = sizes[i / 3 % 5];
        size_t piece = pieces[i % 3];
        struct error err = ERROR_INIT;
        unsigned char *data = sample_new(size);
        struct sink *sink = compressed(decompressed[i / 15].name, data, size, 65536);
        struct text twice = TEXT_INIT((size_t)64 * 1024 * 1024);
        struct keep_stage *keep = keep_new();
        struct stage *stage =
            decompress_stage_new(decompressed[i / 15].method, 2 * size, &keep->stage, &err);
        assert_non_null(stage);
        text_append_bytes(&twice, sink->bytes.data, sink->bytes.length);
        text_append_bytes(&twice, sink->bytes.data, sink->bytes.length);
        assert_true(feed(stage, twice.data, twice.length, piece, &err));
        decompress_stage_renew(stage, size);
        assert_true(feed(stage, sink->bytes.data, sink->bytes.length, piece, &err));
        assert_int_equal(keep->bytes.length, 3 * size);
        for (size_t copy = 0; copy < 3 && size > 0; copy++) {
            assert_memory_equal(keep->bytes.data + copy * size, data, size);
        }
        stage_free(stage);
        text_clear(&twice);
        sink_free(sink);
        free(data);
    }
}

static void check_decompress_fails(enum compression_method method, const struct text *bytes,
                                   size_t length, uint64_t most, const char *expected)
{
    static const size_t pieces[] = {1, 100, SIZE_MAX / 2};

    for (size_t i = 0; i < 3; i++) {
        struct error err = ERROR_INIT;
        struct keep_stage *keep = keep_new();
        struct stage *stage = decompress_stage_new(method, most, &keep->stage, &err);
        assert_non_null(stage);
        assert_false(feed(stage, bytes->data, length, pieces[i], &err));
        if (strstr(err.text, expected) == NULL) {
            fail_msg("%s; not: %s", err.text, expected);
        }
        assert_true(keep->bytes.length <= most);
        stage_free(stage);
    }
}

static void test_decompress_bound(void **state)
{
    unsigned char *data = sample_new(300000);

    (void)state;
    for (size_t i = 0; i < DECOMPRESSED; i++) {
        struct sink *sink = compressed(decompressed[i].name, data, 300000, 65536);
        check_decompress_fails(decompressed[i].method, &sink->bytes, sink->bytes.length, 299999,
                               "longer than the 299999 bytes that they should be");
        check_decompress_fails(decompressed[i].method, &sink->bytes, sink->bytes.length, 0,
                               "longer than the 0 bytes");
        sink_free(sink);
    }
    free(data);
}

/* Cut short at every byte, every byte changed, and with something behind the end. */
static void test_decompress_damage(void **state)
{
    unsigned char *data = sample_new(400);

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        enum compression_method method = decompressed[i].method;
        struct sink *sink = compressed(decompressed[i].name, data, 400, 400);
        struct text *bytes = &sink->bytes;
        for (size_t length = 0; length < bytes->length; length++) {
            check_decompress_fails(method, bytes, length, 400, "in the middle of a");
        }
        bytes->data[bytes->length - 1] ^= 1;
        check_decompress_fails(method, bytes, bytes->length, 400, "decompressing with");
        bytes->data[bytes->length - 1] ^= 1;
        bytes->data[bytes->length / 2] ^= 4;
        check_decompress_fails(method, bytes, bytes->length, 400, "");
        bytes->data[bytes->length / 2] ^= 4;
        text_append(bytes, "trailing garbage");
        check_decompress_fails(method, bytes, bytes->length, 400, "decompressing with");
        sink_free(sink);
    }
    free(data);
}

/* A frame's header that asks for 256 MiB (RFC 8878 section 3.1.1.1.2). */
static void test_decompress_window(void **state)
{
    char frame[] = {0x28, (char)0xb5, 0x2f, (char)0xfd, 0x00, (char)((28 - 10) << 3),
                    0x01, 0x00,       0x00};
    const struct text bytes = {.data = frame, .length = sizeof(frame)};

    (void)state;
    check_decompress_fails(COMPRESSION_ZSTD, &bytes, bytes.length, 100, "too much memory");
}

static void test_compression_of_names(void **state)
{
    static const struct {
        const char *name;
        enum compression_method method;
    } good[] = {{"rythm-backup-2025-01-29T02-00-01-123Z.sql", COMPRESSION_NONE},
                {"a.sql.zst", COMPRESSION_ZSTD},
                {"a.sql.sql.gz", COMPRESSION_GZIP}};
    static const char *const bad[] = {"",      "a", "a.zst", "a.sql.zst.json", "a.sql.zst.age",
                                      "a.sqlx"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        enum compression_method method;
        assert_true(compression_of_name(good[i].name, &method));
        assert_int_equal(method, good[i].method);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        enum compression_method method;
        assert_false(compression_of_name(bad[i], &method));
    }
}

static void test_block_sizes(void **state)
{
    static const struct block_limits azure = {
        .first_size = BLOCK_FIRST_SIZE, .most_size = (size_t)4000 << 20, .most_blocks = 50000};
    static const struct block_limits tiny = {.first_size = 3, .most_size = 10, .most_blocks = 4};
    static const size_t tiny_sizes[] = {3, 6, 10, 10, 10};
    static const struct block_limits flat = {
        .first_size = 1 << 20, .most_size = 1 << 20, .most_blocks = UINT32_MAX};
    static const struct block_limits wrong = {
        .first_size = 100, .most_size = 10, .most_blocks = 100};

    (void)state;
    assert_int_equal(block_size_at(&azure, 0), (size_t)8 << 20);
    assert_int_equal(block_size_at(&azure, 4999), (size_t)8 << 20);
    assert_int_equal(block_size_at(&azure, 5000), (size_t)16 << 20);
    assert_int_equal(block_size_at(&azure, 10000), (size_t)32 << 20);
    assert_int_equal(block_size_at(&azure, 44999), (size_t)2048 << 20);
    assert_int_equal(block_size_at(&azure, 49999), (size_t)4000 << 20);
    assert_int_equal(block_size_at(&azure, UINT32_MAX), (size_t)4000 << 20);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(block_size_at(&tiny, i), tiny_sizes[i]);
    }
    assert_int_equal(block_size_at(&flat, UINT32_MAX), 1 << 20);
    assert_int_equal(block_size_at(&wrong, 0), 10);
}

/* 20 blocks: 2 of each size 1, 2, 4, ... up to 16. */
static void test_blocks_grow(void **state)
{
    static const struct block_limits limits = {.first_size = 1, .most_size = 16, .most_blocks = 20};
    static const size_t expected[] = {1, 1, 2, 2, 4, 4, 8, 8, 16, 16, 16, 2};
    unsigned char *data = sample_new(80);

    (void)state;
    for (size_t piece = 1; piece <= 80; piece += 13) {
        struct sink *sink = sink_new();
        struct stage *stage = blocks_new(&limits, sink);
        write_in_pieces(stage, data, 80, piece);
        assert_int_equal(sink->count, sizeof(expected) / sizeof(expected[0]));
        assert_memory_equal(sink->sizes, expected, sizeof(expected));
        assert_memory_equal(sink->bytes.data, data, 80);
        stage_free(stage);
        sink_free(sink);
    }
    free(data);
}

static void test_too_many_blocks(void **state)
{
    static const struct block_limits limits = {.first_size = 4, .most_size = 4, .most_blocks = 3};
    struct sink *sink = sink_new();
    struct stage *stage = blocks_new(&limits, sink);
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(stage_write(stage, "123456789012", 12, &err));
    assert_int_equal(sink->count, 3);
    assert_false(stage_write(stage, "3", 1, &err));
    assert_int_equal(err.kind, ERROR_FAILED);
    assert_non_null(strstr(err.text, "larger than the store takes"));
    assert_non_null(strstr(err.text, "3 blocks with 12 B"));
    stage_free(stage);
    sink_free(sink);
}

static void test_blocks_outlive_the_stage(void **state)
{
    static const struct block_limits limits = {.first_size = 5, .most_size = 5, .most_blocks = 99};
    struct sink *sink = sink_new();
    struct stage *stage = blocks_new(&limits, sink);

    (void)state;
    sink->keep = true;
    write_in_pieces(stage, (const unsigned char *)"Hello, world", 12, 12);
    stage_free(stage);
    assert_int_equal(sink->count, 3);
    assert_memory_equal(sink->kept[0]->data, "Hello", 5);
    assert_memory_equal(sink->kept[2]->data, "ld", 2);
    assert_int_equal(sink->kept[2]->offset, 10);
    for (size_t i = 0; i < 3; i++) {
        block_release(sink->kept[i]);
    }
    block_release(NULL);
    sink_free(sink);
}

static void *keep_and_release(void *argument)
{
    struct block *block = argument;

    for (int i = 0; i < 1000; i++) {
        block_keep(block);
        block_release(block);
    }
    block_release(block);
    return NULL;
}

static void test_blocks_are_shared_by_threads(void **state)
{
    static const struct block_limits limits = {.first_size = 5, .most_size = 5, .most_blocks = 9};
    struct sink *sink = sink_new();
    struct stage *stage = blocks_new(&limits, sink);
    pthread_t threads[4];

    (void)state;
    sink->keep = true;
    write_in_pieces(stage, (const unsigned char *)"12345", 5, 5);
    stage_free(stage);
    struct block *block = sink->kept[0];
    for (size_t i = 0; i < 4; i++) {
        block_keep(block);
        assert_int_equal(pthread_create(&threads[i], NULL, keep_and_release, block), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(block->references, 1);
    block_release(block);
    sink_free(sink);
}

static void count_freed(void *context, uint32_t index, size_t size)
{
    size_t *freed = context;

    assert_int_equal(index, 0);
    assert_int_equal(size, 5);
    ++*freed;
}

/* Each share is counted by itself; the bytes last as long as the last one. */
static void test_blocks_have_shares(void **state)
{
    static const struct block_limits limits = {.first_size = 5, .most_size = 5, .most_blocks = 9};
    struct sink *sink = sink_new();
    struct stage *stage = blocks_new(&limits, sink);
    size_t freed[3] = {0};

    (void)state;
    sink->keep = true;
    write_in_pieces(stage, (const unsigned char *)"12345", 5, 5);
    stage_free(stage);
    struct block *block = sink->kept[0];
    struct block *first = block_share(block);
    struct block *second = block_share(block);
    assert_non_null(first);
    assert_non_null(second);
    block_watch(block, count_freed, &freed[0]);
    block_watch(first, count_freed, &freed[1]);
    block_watch(second, count_freed, &freed[2]);
    block_release(block);
    block_keep(first);
    block_release(first);
    assert_int_equal(freed[0] + freed[1] + freed[2], 0);
    block_release(first);
    assert_int_equal(freed[1], 1);
    assert_memory_equal(second->data, "12345", 5);
    assert_int_equal(freed[0] + freed[2], 0);
    block_release(second);
    assert_int_equal(freed[0] + freed[2], 2);
    sink_free(sink);
}

/* Freed before the end, with data in every stage: a run that fails in the middle. */
static void test_freed_unfinished(void **state)
{
    static const char *const methods[] = {"none", "zstd", "gzip"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct sink *sink = sink_new();
        struct stream_digest digest;
        struct error err = ERROR_INIT;
        struct stage *stage = chain_new(methods[i], &digest, &usual, sink);
        assert_true(stage_write(stage, "half", 4, &err));
        stage_free(stage);
        assert_int_equal(sink->count, 0);
        sink_free(sink);
    }
    stage_free(NULL);
}

static void test_failing_sink_propagates(void **state)
{
    static const char *const methods[] = {"none", "zstd", "gzip"};
    size_t size = 3000000;
    unsigned char *data = sample_new(size);

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        for (uint32_t fail_at = 1; fail_at <= 2; fail_at++) {
            struct sink *sink = sink_new();
            struct stream_digest digest;
            struct error err = ERROR_INIT;
            struct stage *stage = chain_new(methods[i], &digest, &usual, sink);
            sink->fail_at = fail_at;
            assert_false(stage_write(stage, data, size, &err));
            assert_string_equal(err.text, "the sink is full");
            stage_free(stage);
            sink_free(sink);
        }
    }
    free(data);
}

static void test_failing_sink_fails_the_end(void **state)
{
    static const char *const methods[] = {"none", "zstd", "gzip"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct sink *sink = sink_new();
        struct stream_digest digest;
        struct error err = ERROR_INIT;
        struct stage *stage = chain_new(methods[i], &digest, &usual, sink);
        sink->fail_at = 1;
        assert_true(stage_write(stage, "x", 1, &err));
        assert_false(stage_finish(stage, &err));
        assert_string_equal(err.text, "the sink is full");
        stage_free(stage);
        sink_free(sink);
    }
}

/* A chain is built from the inside out; a failure inside goes through untouched. */
static void test_null_next_passes_through(void **state)
{
    static const enum compression_method methods[] = {COMPRESSION_NONE, COMPRESSION_GZIP,
                                                      COMPRESSION_ZSTD};
    struct stream_digest digest;
    struct error err = ERROR_INIT;

    (void)state;
    error_set(&err, ERROR_FAILED, "inner");
    assert_null(digest_stage_new(&digest, NULL, &err));
    for (size_t i = 0; i < 3; i++) {
        struct compression compression = {.method = methods[i], .level = 3};
        assert_null(compress_stage_new(&compression, NULL, &err));
    }
    assert_string_equal(err.text, "inner");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_empty_streams),
        cmocka_unit_test(test_bytes_are_deterministic),
        cmocka_unit_test(test_zstd_damage_is_detected),
        cmocka_unit_test(test_gzip_header_holds_no_time),
        cmocka_unit_test(test_compression_values),
        cmocka_unit_test(test_decompress_round_trips),
        cmocka_unit_test(test_decompress_bound),
        cmocka_unit_test(test_decompress_damage),
        cmocka_unit_test(test_decompress_window),
        cmocka_unit_test(test_compression_of_names),
        cmocka_unit_test(test_block_sizes),
        cmocka_unit_test(test_blocks_grow),
        cmocka_unit_test(test_too_many_blocks),
        cmocka_unit_test(test_blocks_outlive_the_stage),
        cmocka_unit_test(test_blocks_are_shared_by_threads),
        cmocka_unit_test(test_blocks_have_shares),
        cmocka_unit_test(test_freed_unfinished),
        cmocka_unit_test(test_failing_sink_propagates),
        cmocka_unit_test(test_failing_sink_fails_the_end),
        cmocka_unit_test(test_null_next_passes_through),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Manifests that nobody thought of. Whatever the bytes are: they are read or refused with a text,
 * and nothing is leaked or touched that should not be.
 *
 * "make fuzz" builds it for libFuzzer (clang), which mutates. Without it, this is a program that
 * reads the files it is given; without any, it takes a good manifest and mutations of its own,
 * which "make check" does. --seed writes the good manifest to stdout.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "store/manifest.h"
#include "store/manifest_read.h"
#include "store/store.h"

#define NAME      "rythm-backup-2025-01-29T02-00-01-123Z.sql.zst"
#define SEED_CAP  ((size_t)1024 * 1024)
#define MUTATIONS 20000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The backup that the good manifest belongs to. */

static struct segment_table tables[] = {
    {.schema = (char[]){"app"}, .name = (char[]){"a\"b\n☃"}},
    {.schema = (char[]){"pub\xfflic"}, .name = (char[]){"\xfe\x01"}},
};

static struct segment items[] = {
    {.kind = SEGMENT_PRE_DATA, .table = SEGMENT_NO_TABLE, .length = 10, .raw_length = 100},
    {.kind = SEGMENT_TABLE, .length = 20, .raw_length = 200, .is_range = true, .until_page = 7},
    {.kind = SEGMENT_TABLE,
     .length = 30,
     .raw_length = 300,
     .rows = 4,
     .is_range = true,
     .from_page = 7,
     .until_page = SEGMENT_OPEN_ENDED},
    {.kind = SEGMENT_TABLE, .table = 1, .length = 5, .raw_length = 50, .rows = 1},
    {.kind = SEGMENT_SEQUENCES, .table = SEGMENT_NO_TABLE, .length = 6, .raw_length = 60},
    {.kind = SEGMENT_POST_DATA, .table = SEGMENT_NO_TABLE, .length = 8, .raw_length = 80},
};

static struct segments segments = {
    .tables = tables, .table_count = 2, .items = items, .count = sizeof(items) / sizeof(items[0])};

static const struct backup_facts facts = {
    .run_id = "0123456789abcdef",
    .type = "manual",
    .database = "gr\xc3\xbc",
    .ledger = "\xff",
    .server_version = "15.8",
    .tool_version = "0.1.0",
    .compression = "zstd",
    .engine = "parallel",
    .has_rows = true,
    .tables = 2,
    .rows = 5,
    .bytes = 79,
    .raw_bytes = 790,
    .sha256 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
};

/* A store whose only object is the input. */

static const uint8_t *input;
static size_t input_size;

static bool head(struct store *store, const char *name, struct object *out, bool *found,
                 struct error *err)
{
    (void)store;
    (void)err;
    *out = (struct object){.name = text_copy(name), .etag = text_copy("1"), .bytes = input_size};
    *found = true;
    return true;
}

static bool download_open(struct store *store, const struct object *object, struct download **out,
                          struct error *err)
{
    struct download *download = calloc(1, sizeof(*download));

    if (download == NULL) {
        return error_set_memory(err);
    }
    *download = (struct download){.store = store, .bytes = object->bytes};
    *out = download;
    return true;
}

static bool download_read(struct download *download, uint64_t offset, void *buffer, size_t size,
                          struct error *err)
{
    (void)download;
    (void)err;
    memcpy(buffer, input + offset, size);
    return true;
}

static void download_close(struct download *download)
{
    free(download);
}

static const struct store_ops ops = {.head = head,
                                     .download_open = download_open,
                                     .download_read = download_read,
                                     .download_close = download_close};

static bool read_input(const uint8_t *data, size_t size)
{
    const struct object object = {.name = (char[]){NAME}, .bytes = facts.bytes};
    const struct backup_object backup = {.object = &object, .facts = facts};
    struct store store = {.ops = &ops};
    struct error err = ERROR_INIT;
    struct manifest_copy copy;
    bool found = false;

    input = data;
    input_size = size;
    if (!manifest_read(&store, &backup, &copy, &found, &err)) {
        if (err.text[0] == '\0' || found) {
            abort();
        }
        return false;
    }
    manifest_copy_clear(&copy);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_input(data, size);
    return 0;
}

#ifndef FUZZ_WITH_LIBFUZZER

struct catcher {
    struct stage stage;
    struct text text;
};

static bool catch_bytes(struct stage *stage, const void *data, size_t size, struct error *err)
{
    struct catcher *catcher = (struct catcher *)stage;

    (void)err;
    text_append_bytes(&catcher->text, data, size);
    return true;
}

static bool write_seed(struct text *out)
{
    static const struct stage_ops stage_ops = {.write = catch_bytes};
    struct catcher catcher = {.stage = {.ops = &stage_ops}, .text = TEXT_INIT(SEED_CAP)};
    struct error err = ERROR_INIT;
    const struct manifest manifest = {
        .name = NAME,
        .facts = &facts,
        .encoding = "SQL_ASCII",
        .locale = {.provider = "libc", .collate = "C", .ctype = "C.UTF-8"},
        .segments = &segments};

    segments_place(&segments);
    bool ok = manifest_write(&manifest, &catcher.stage, &err) && !catcher.text.failed;
    *out = catcher.text;
    return ok;
}

/* Overwrites, removes or repeats a few bytes, the same ones in every run. */
static size_t mutate(unsigned *chance, char *data, size_t size)
{
    size_t at = (size_t)rand_r(chance) % size;
    size_t length = (size_t)rand_r(chance) % 16 % (size - at) + 1;

    switch (rand_r(chance) % 4) {
    case 0:
        data[at] = (char)rand_r(chance);
        return size;
    case 1:
        data[at] = "{}[],:\"\\0-e "[rand_r(chance) % 12];
        return size;
    case 2:
        memmove(data + at, data + at + length, size - at - length);
        return size - length;
    default:
        memmove(data + at + length, data + at, size - at);
        return size + length;
    }
}

static bool try_mutations(const struct text *seed)
{
    char *data = malloc(seed->length + 64);
    unsigned chance = 1;

    if (data == NULL) {
        return false;
    }
    for (int i = 0; i < MUTATIONS; i++) {
        size_t size = seed->length;
        memcpy(data, seed->data, size);
        for (int j = 0; j <= i % 4; j++) {
            size = mutate(&chance, data, size);
        }
        LLVMFuzzerTestOneInput((const uint8_t *)data, size);
    }
    free(data);
    return true;
}

static bool try_file(const char *path)
{
    struct text content = TEXT_INIT(SEED_CAP);
    char buffer[8192];
    FILE *file = fopen(path, "rb");
    size_t got;

    if (file == NULL) {
        perror(path);
        return false;
    }
    while ((got = fread(buffer, 1, sizeof(buffer), file)) > 0) {
        text_append_bytes(&content, buffer, got);
    }
    fclose(file);
    LLVMFuzzerTestOneInput((const uint8_t *)text_string(&content), content.length);
    text_clear(&content);
    return true;
}

int main(int argc, char **argv)
{
    struct text seed = TEXT_INIT(SEED_CAP);
    bool ok = write_seed(&seed);

    if (argc == 2 && strcmp(argv[1], "--seed") == 0) {
        ok = ok && fwrite(seed.data, 1, seed.length, stdout) == seed.length;
    } else if (argc == 1) {
        ok = ok && read_input((const uint8_t *)seed.data, seed.length) && try_mutations(&seed);
    }
    for (int i = 1; ok && argc > 1 && argv[1][0] != '-' && i < argc; i++) {
        ok = try_file(argv[i]);
    }
    text_clear(&seed);
    return ok ? 0 : 1;
}

#endif

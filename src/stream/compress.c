#include "stream/compress.h"

#include <string.h>

#include "base/text.h"
#include "stream/compress_methods.h"

/* Levels as the settings' help gives them; zstd's above 19 need far more memory (I5). */
static const struct {
    const char *name;
    const char *suffix;
    int default_level;
    int most_level; /* 0: takes no level */
    struct stage *(*create)(int level, struct stage *next, struct error *err);
} methods[] = {
    [COMPRESSION_NONE] = {"none", "", 0, 0, NULL},
    [COMPRESSION_GZIP] = {"gzip", ".gz", 6, 9, compress_gzip_new},
    [COMPRESSION_ZSTD] = {"zstd", ".zst", 3, 19, compress_zstd_new},
};

static bool parse_level(const char *value, int most, int *level)
{
    int64_t number;

    if (most == 0 || !text_parse_integer(value, 1, most, &number)) {
        return false;
    }
    *level = (int)number;
    return true;
}

bool compression_parse(const char *value, struct compression *out, struct error *err)
{
    size_t length = strcspn(value, ":");

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        int level = methods[i].default_level;
        if (strlen(methods[i].name) != length || memcmp(methods[i].name, value, length) != 0) {
            continue;
        }
        if (value[length] == ':' &&
            !parse_level(value + length + 1, methods[i].most_level, &level)) {
            break;
        }
        *out = (struct compression){.method = (enum compression_method)i, .level = level};
        return true;
    }
    return error_set(err, ERROR_CONFIG,
                     "compression '%s' is not known; write zstd, zstd:LEVEL (1 to 19), gzip, "
                     "gzip:LEVEL (1 to 9) or none",
                     value);
}

const char *compression_suffix(enum compression_method method)
{
    return methods[method].suffix;
}

const char *compression_name(enum compression_method method)
{
    return methods[method].name;
}

bool compression_of_name(const char *backup_name, enum compression_method *out)
{
    const char *last = NULL;

    for (const char *at = backup_name; (at = strstr(at, ".sql")) != NULL; at += strlen(".sql")) {
        last = at + strlen(".sql");
    }
    for (size_t i = 0; last != NULL && i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (strcmp(last, methods[i].suffix) == 0) {
            *out = (enum compression_method)i;
            return true;
        }
    }
    return false;
}

struct stage *compress_stage_new(const struct compression *compression, struct stage *next,
                                 struct error *err)
{
    if (next == NULL || methods[compression->method].create == NULL) {
        return next;
    }
    struct stage *stage = methods[compression->method].create(compression->level, next, err);
    if (stage == NULL) {
        stage_free(next);
    }
    return stage;
}

#include "store/json_window.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_memory.h"

/* Few requests, and still not much memory. */
#define WINDOW_SIZE ((size_t)1024 * 1024)

struct json_window {
    struct download *download;
    uint64_t bytes; /* of the object */
    uint64_t read;  /* of them, from the store */
    size_t start;   /* of what was not taken yet, in the buffer */
    size_t end;
    struct digest *digest; /* of all that was read */
    bool broken;           /* the store could not be read */
    char buffer[WINDOW_SIZE];
};

struct json_window *json_window_new(struct download *download, uint64_t bytes, struct error *err)
{
    struct json_window *window = malloc(sizeof(*window));

    if (window == NULL) {
        error_set_memory(err);
        return NULL;
    }
    window->download = download;
    window->bytes = bytes;
    window->read = 0;
    window->start = 0;
    window->end = 0;
    window->broken = false;
    window->digest = digest_new(DIGEST_SHA256, err);
    if (window->digest == NULL) {
        free(window);
        return NULL;
    }
    return window;
}

void json_window_free(struct json_window *window)
{
    if (window != NULL) {
        digest_free(window->digest);
        free(window);
    }
}

static size_t held(const struct json_window *window)
{
    return window->end - window->start;
}

/* Where the next byte stands in the object. */
static uint64_t position(const struct json_window *window)
{
    return window->read - held(window);
}

static bool fill(struct json_window *window, struct error *err)
{
    size_t size = WINDOW_SIZE - held(window);

    memmove(window->buffer, window->buffer + window->start, held(window));
    window->end = held(window);
    window->start = 0;
    if (window->bytes - window->read < size) {
        size = (size_t)(window->bytes - window->read);
    }
    char *at = window->buffer + window->end;
    if (!store_download_read(window->download, window->read, at, size, err) ||
        !digest_update(window->digest, at, size, err)) {
        window->broken = true;
        return false;
    }
    window->read += size;
    window->end += size;
    return true;
}

/* As many bytes as that, or all that are left. */
static bool hold(struct json_window *window, size_t size, struct error *err)
{
    return held(window) >= size || window->read == window->bytes || fill(window, err);
}

bool json_window_peek(struct json_window *window, int *byte, struct error *err)
{
    for (;;) {
        if (!hold(window, 1, err)) {
            return false;
        }
        if (held(window) == 0) {
            *byte = -1;
            return true;
        }
        *byte = (unsigned char)window->buffer[window->start];
        if (*byte != ' ' && *byte != '\t' && *byte != '\n' && *byte != '\r') {
            return true;
        }
        window->start++;
    }
}

bool json_window_take(struct json_window *window, char byte, struct error *err)
{
    int found;

    if (!json_window_peek(window, &found, err)) {
        return false;
    }
    if (found == -1) {
        return error_set(err, ERROR_DAMAGED, "it ends at byte %" PRIu64 ", where '%c' should stand",
                         window->bytes, byte);
    }
    if (found != byte) {
        return error_set(err, ERROR_DAMAGED, "at byte %" PRIu64 " there should stand '%c'",
                         position(window), byte);
    }
    window->start++;
    return true;
}

static bool refuse_value(const struct json_window *window, const json_error_t *problem, bool cut,
                         struct error *err)
{
    if (cut && json_error_code(problem) == json_error_premature_end_of_input) {
        return error_set(err, ERROR_DAMAGED,
                         "the value at byte %" PRIu64 " is longer than the %zu bytes allowed",
                         position(window), JSON_WINDOW_VALUE_CAP);
    }
    return error_set(err, ERROR_DAMAGED, "the value at byte %" PRIu64 " is not JSON: %s",
                     position(window), problem->text);
}

bool json_window_value(struct json_window *window, json_t **out, struct error *err)
{
    unsigned refusals = json_memory_refusals();
    json_error_t problem;
    int byte;

    if (!json_window_peek(window, &byte, err) || !hold(window, JSON_WINDOW_VALUE_CAP, err)) {
        return false;
    }
    bool cut = held(window) > JSON_WINDOW_VALUE_CAP;
    json_t *value =
        json_loadb(window->buffer + window->start, cut ? JSON_WINDOW_VALUE_CAP : held(window),
                   JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &problem);
    if (json_memory_refusals() != refusals) {
        json_decref(value);
        return error_set_memory(err);
    }
    if (value == NULL) {
        return refuse_value(window, &problem, cut, err);
    }
    window->start += (size_t)problem.position;
    *out = value;
    return true;
}

bool json_window_digest(struct json_window *window, char hex[DIGEST_HEX_SIZE(DIGEST_SHA256_SIZE)],
                        struct error *err)
{
    unsigned char sha256[DIGEST_SHA256_SIZE];

    if (window->broken) {
        return false;
    }
    while (window->read < window->bytes) {
        window->start = window->end;
        if (!fill(window, err)) {
            return false;
        }
    }
    if (!digest_final(window->digest, sha256, err)) {
        return false;
    }
    digest_format_hex(hex, sha256, sizeof(sha256));
    return true;
}

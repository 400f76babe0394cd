/*
 * JSON that is too long to be in memory as a whole: a window slides over an object of a store, and
 * its values are parsed one by one. Its outermost objects and arrays are taken apart by the caller,
 * byte by byte; jansson parses what is inside.
 */
#ifndef STORE_JSON_WINDOW_H
#define STORE_JSON_WINDOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "crypto/digest.h"
#include "store/store.h"

/* The longest value. */
#define JSON_WINDOW_VALUE_CAP ((size_t)64 * 1024)

struct json_window;

/* The download is borrowed, `bytes` are all of its object's. */
struct json_window *json_window_new(struct download *download, uint64_t bytes, struct error *err);
void json_window_free(struct json_window *window);

/* The next byte that is no blank, which is not taken; -1 at the end. */
bool json_window_peek(struct json_window *window, int *byte, struct error *err);
/* Takes the next byte that is no blank, which must be this one. */
bool json_window_take(struct json_window *window, char byte, struct error *err);
/* Takes a value, of any type and at most JSON_WINDOW_VALUE_CAP bytes, in which no object has a key
 * twice; the caller owns it. */
bool json_window_value(struct json_window *window, json_t **out, struct error *err);

/* The SHA-256 of the whole object, what was not taken included; to be asked for once, as the last
 * thing. False, with nothing in err, after the store could not be read, whose error was given. */
bool json_window_digest(struct json_window *window, char hex[DIGEST_HEX_SIZE(DIGEST_SHA256_SIZE)],
                        struct error *err);

#endif

#include "http/curl_library.h"

#include <stdbool.h>

#include "base/library.h"
#include "config.h"

static struct curl_library library;
static bool loaded;

static bool load(struct error *err)
{
    static const struct library_symbol symbols[] = {
#define SYMBOL(function) {.name = "curl_" #function, .slot = &library.function},
        CURL_LIBRARY_FUNCTIONS(SYMBOL)
#undef SYMBOL
    };

    if (!library_load(LIBCURL_SONAME, symbols, sizeof(symbols) / sizeof(symbols[0]), err)) {
        return false;
    }
    CURLcode code = library.global_init(CURL_GLOBAL_DEFAULT);
    if (code != CURLE_OK) {
        return error_set(err, ERROR_FAILED, "initialising libcurl: %s",
                         library.easy_strerror(code));
    }
    return true;
}

const struct curl_library *curl_library_get(struct error *err)
{
    if (!loaded) {
        loaded = load(err);
    }
    return loaded ? &library : NULL;
}

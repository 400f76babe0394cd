#include "http/curl_library.h"

#include <pthread.h>
#include <stdbool.h>

#include "base/library.h"
#include "config.h"

static struct curl_library library;
static bool loaded;
static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;

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
    pthread_mutex_lock(&loading);
    loaded = loaded || load(err);
    bool ok = loaded;
    pthread_mutex_unlock(&loading);
    return ok ? &library : NULL;
}

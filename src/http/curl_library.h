/*
 * The functions of libcurl that we call, loaded at first use (base/library.h). Each member has the
 * type of the prototype in curl/curl.h and the function's name without "curl_". To use another
 * function, add it to CURL_LIBRARY_FUNCTIONS.
 */
#ifndef HTTP_CURL_LIBRARY_H
#define HTTP_CURL_LIBRARY_H

#include <curl/curl.h>

#include "base/error.h"

#define CURL_LIBRARY_FUNCTIONS(X)                                                                  \
    X(global_init)                                                                                 \
    X(easy_init)                                                                                   \
    X(easy_reset)                                                                                  \
    X(easy_setopt)                                                                                 \
    X(easy_perform)                                                                                \
    X(easy_getinfo)                                                                                \
    X(easy_strerror)                                                                               \
    X(easy_cleanup)                                                                                \
    X(slist_append)                                                                                \
    X(slist_free_all)

struct curl_library {
#define CURL_LIBRARY_MEMBER(name) __typeof__(curl_##name) *name;
    CURL_LIBRARY_FUNCTIONS(CURL_LIBRARY_MEMBER)
#undef CURL_LIBRARY_MEMBER
};

/* Loads and initialises it the first time; NULL on failure. The first call must come before there
 * are threads. */
const struct curl_library *curl_library_get(struct error *err);

#endif

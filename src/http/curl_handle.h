/*
 * For the files of this folder: one handle of libcurl, and what every exchange has in common,
 * whatever its protocol: its limits, its ear for the stop flag, TLS, errors.
 */
#ifndef HTTP_CURL_HANDLE_H
#define HTTP_CURL_HANDLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "http/curl_library.h"
#include "http/exchange.h"

struct curl_handle {
    const struct curl_library *curl;
    CURL *easy;
    struct http_limits limits;
    bool ignore_stop;
    const atomic_bool *cancelled; /* or NULL */
    char problem[CURL_ERROR_SIZE];
};

bool curl_handle_init(struct curl_handle *handle, const struct http_limits *limits,
                      struct error *err);
void curl_handle_clear(struct curl_handle *handle);

/* Forgets what the last exchange set, and sets what holds for all; the connection stays. */
bool curl_handle_reset(struct curl_handle *handle, const char *protocols);

/* libcurl's option function takes anything: these let the compiler see what it gets. */
void curl_handle_set_number(struct curl_handle *handle, CURLoption option, int64_t value);
void curl_handle_set_size(struct curl_handle *handle, CURLoption option, uint64_t value);
bool curl_handle_set_string(struct curl_handle *handle, CURLoption option, const char *value);
void curl_handle_set_pointer(struct curl_handle *handle, CURLoption option, void *value);
/* For data that libcurl hands over. */
void curl_handle_set_sink(struct curl_handle *handle, CURLoption option,
                          size_t (*sink)(char *data, size_t size, size_t count, void *context));
/* Appends a copy of the line; false when memory is out. */
bool curl_handle_add_line(struct curl_handle *handle, struct curl_slist **lines, const char *line);

/* The error for a code that is not CURLE_OK; false. `retryable` for what the network did. */
bool curl_handle_fail(struct curl_handle *handle, CURLcode code, struct error *err);

#endif

/*
 * What an HTTP exchange sends and what comes back (RFC 9110), as values: no network here.
 */
#ifndef HTTP_MESSAGE_H
#define HTTP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/text.h"

#define HTTP_MOST_HEADERS 48

/* Names and values are borrowed until the exchange is over. */
struct http_header {
    const char *name;
    const char *value;
};

struct http_request {
    const char *method;
    const char *url; /* percent-encoded as it goes on the wire; http:// or https:// */
    struct http_header headers[HTTP_MOST_HEADERS];
    size_t header_count;
    const void *body; /* sent with its Content-Length; NULL with size 0 = no body */
    size_t body_size;
};

/* False when the table is full, the name is not a token, or the value holds a byte outside
 * 0x20..0x7e (so that no text from outside can add a header). */
bool http_request_add(struct http_request *request, const char *name, const char *value,
                      struct error *err);

struct http_reply {
    int status;
    struct text headers; /* as received, lines end in CRLF, at most 64 KiB */
    struct text body;    /* at most body_cap */
};
/* Start from HTTP_REPLY_INIT(cap of the body in bytes); a longer body fails the exchange. */
#define HTTP_HEADERS_CAP (64 * 1024)
#define HTTP_REPLY_INIT(body_cap)                                                                  \
    {                                                                                              \
        .headers = TEXT_INIT(HTTP_HEADERS_CAP), .body = TEXT_INIT(body_cap)                        \
    }
void http_reply_clear(struct http_reply *reply);

/* The value of a header, its name compared without regard to case, blanks trimmed; cut to fit;
 * false, and "", when it is not there. */
bool http_reply_header(const struct http_reply *reply, const char *name, char *out, size_t size);

/* A header where it stands in the reply: not NUL-terminated. */
struct http_reply_field {
    const char *name;
    size_t name_length;
    const char *value; /* blanks trimmed */
    size_t value_length;
};
/* The next header from *position on, which starts at 0; false after the last one. */
bool http_reply_next(const struct http_reply *reply, size_t *position,
                     struct http_reply_field *field);

/* Percent-encodes every byte but A-Z a-z 0-9 - . _ ~ and those in `keep` (RFC 3986 section 2). */
void http_append_encoded(struct text *out, const char *string, const char *keep);
/* Appends `length` bytes with each %XX replaced by its byte; false, with nothing promised about
 * `out`, for a '%' that two hex digits do not follow, and for %00. */
bool http_append_decoded(struct text *out, const char *string, size_t length);

#endif

#include "http/message.h"

#include <string.h>
#include <strings.h>

static bool is_token(const char *name)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    return *name != '\0' && name[strspn(name, token)] == '\0';
}

static int hex_value(char digit)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    const char *at = digit != '\0' ? strchr(digits, digit) : NULL;

    if (at == NULL) {
        return -1;
    }
    return (int)(at - digits < 16 ? at - digits : at - digits - 6);
}

bool http_request_add(struct http_request *request, const char *name, const char *value,
                      struct error *err)
{
    if (!is_token(name)) {
        return error_set(err, ERROR_FAILED, "'%s' is not the name of an HTTP header", name);
    }
    if (!text_is_printable_ascii(value)) {
        return error_set(err, ERROR_FAILED,
                         "the value of the HTTP header %s holds a byte that is not printable ASCII",
                         name);
    }
    if (request->header_count == HTTP_MOST_HEADERS) {
        return error_set(err, ERROR_FAILED, "more than %d headers in one HTTP request",
                         HTTP_MOST_HEADERS);
    }
    request->headers[request->header_count++] = (struct http_header){.name = name, .value = value};
    return true;
}

void http_reply_clear(struct http_reply *reply)
{
    reply->status = 0;
    text_clear(&reply->headers);
    text_clear(&reply->body);
}

bool http_reply_next(const struct http_reply *reply, size_t *position,
                     struct http_reply_field *field)
{
    const char *headers = text_string(&reply->headers);

    while (*position < reply->headers.length) {
        const char *line = headers + *position;
        size_t length = strcspn(line, "\r\n");
        *position += length + strspn(line + length, "\r\n");
        const char *colon = memchr(line, ':', length);
        if (colon == NULL || colon == line) {
            continue;
        }
        const char *end = line + length;
        const char *value = colon + 1;
        while (value < end && (*value == ' ' || *value == '\t')) {
            value++;
        }
        while (end > value && (end[-1] == ' ' || end[-1] == '\t')) {
            end--;
        }
        *field = (struct http_reply_field){.name = line,
                                           .name_length = (size_t)(colon - line),
                                           .value = value,
                                           .value_length = (size_t)(end - value)};
        return true;
    }
    return false;
}

bool http_reply_header(const struct http_reply *reply, const char *name, char *out, size_t size)
{
    struct http_reply_field field;
    size_t position = 0;

    out[0] = '\0';
    while (http_reply_next(reply, &position, &field)) {
        if (strlen(name) != field.name_length ||
            strncasecmp(name, field.name, field.name_length) != 0) {
            continue;
        }
        size_t length = field.value_length < size ? field.value_length : size - 1;
        memcpy(out, field.value, length);
        out[length] = '\0';
        return true;
    }
    return false;
}

void http_append_encoded(struct text *out, const char *string, const char *keep)
{
    static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789-._~";

    for (const char *c = string; *c != '\0'; c++) {
        if (strchr(unreserved, *c) != NULL || strchr(keep, *c) != NULL) {
            text_append_bytes(out, c, 1);
        } else {
            text_appendf(out, "%%%02X", (unsigned)(unsigned char)*c);
        }
    }
}

bool http_append_decoded(struct text *out, const char *string, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (string[i] != '%') {
            text_append_bytes(out, string + i, 1);
            continue;
        }
        int high = i + 2 < length ? hex_value(string[i + 1]) : -1;
        int low = high >= 0 ? hex_value(string[i + 2]) : -1;
        if (low < 0 || (high == 0 && low == 0)) {
            return false;
        }
        char byte = (char)(high << 4 | low);
        text_append_bytes(out, &byte, 1);
        i += 2;
    }
    return true;
}

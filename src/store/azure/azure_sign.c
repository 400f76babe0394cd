#include "store/azure/azure_sign.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "crypto/base64.h"
#include "crypto/digest.h"

#define MOST_PARAMETERS 16
#define STRING_CAP      (64 * 1024)

static const char *header_value(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (strcasecmp(request->headers[i].name, name) == 0) {
            return request->headers[i].value;
        }
    }
    return "";
}

static void append_lower(struct text *out, const char *string, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char lower = (char)tolower((unsigned char)string[i]);
        text_append_bytes(out, &lower, 1);
    }
}

static void append_standard_headers(const struct http_request *request, struct text *out)
{
    static const char *const before_length[] = {"Content-Encoding", "Content-Language"};
    static const char *const after_length[] = {
        "Content-MD5",   "Content-Type",        "Date", "If-Modified-Since", "If-Match",
        "If-None-Match", "If-Unmodified-Since", "Range"};

    text_appendf(out, "%s\n", request->method);
    for (size_t i = 0; i < sizeof(before_length) / sizeof(before_length[0]); i++) {
        text_appendf(out, "%s\n", header_value(request, before_length[i]));
    }
    if (request->body_size > 0) {
        text_appendf(out, "%zu", request->body_size);
    }
    text_append(out, "\n");
    for (size_t i = 0; i < sizeof(after_length) / sizeof(after_length[0]); i++) {
        text_appendf(out, "%s\n", header_value(request, after_length[i]));
    }
}

static int compare_headers(const void *a, const void *b)
{
    const struct http_header *const *left = a;
    const struct http_header *const *right = b;

    return strcasecmp((*left)->name, (*right)->name);
}

/* Runs of white space are signed as one space, blanks at the ends not at all. */
static void append_header_value(struct text *out, const char *value)
{
    bool gap = false;
    bool begun = false;

    for (; *value != '\0'; value++) {
        if (isspace((unsigned char)*value)) {
            gap = begun;
            continue;
        }
        text_append(out, gap ? " " : "");
        text_append_bytes(out, value, 1);
        gap = false;
        begun = true;
    }
}

static void append_service_headers(const struct http_request *request, struct text *out)
{
    const struct http_header *sorted[HTTP_MOST_HEADERS] = {NULL};
    size_t count = 0;

    for (size_t i = 0; i < request->header_count; i++) {
        if (strncasecmp(request->headers[i].name, "x-ms-", 5) == 0) {
            sorted[count++] = &request->headers[i];
        }
    }
    qsort(sorted, count, sizeof(sorted[0]), compare_headers);
    for (size_t i = 0; i < count; i++) {
        append_lower(out, sorted[i]->name, strlen(sorted[i]->name));
        text_append(out, ":");
        append_header_value(out, sorted[i]->value);
        text_append(out, "\n");
    }
}

struct parameter {
    const char *name;
    size_t name_length;
    const char *value;
    size_t value_length;
};

static int compare_parameters(const void *a, const void *b)
{
    const struct parameter *left = a;
    const struct parameter *right = b;
    size_t shorter =
        left->name_length < right->name_length ? left->name_length : right->name_length;
    int order = strncasecmp(left->name, right->name, shorter);

    if (order != 0) {
        return order;
    }
    return (left->name_length > right->name_length) - (left->name_length < right->name_length);
}

static bool append_query(const char *query, struct text *out)
{
    struct parameter parameters[MOST_PARAMETERS] = {{.name = NULL}};
    size_t count = 0;
    bool ok = true;

    while (*query != '\0') {
        size_t length = strcspn(query, "&");
        const char *equals = memchr(query, '=', length);
        const char *value = equals != NULL ? equals + 1 : query + length;
        if (count == MOST_PARAMETERS) {
            return false;
        }
        parameters[count++] = (struct parameter){
            .name = query,
            .name_length = equals != NULL ? (size_t)(equals - query) : length,
            .value = value,
            .value_length = (size_t)(query + length - value),
        };
        query += length + (query[length] == '&');
    }
    qsort(parameters, count, sizeof(parameters[0]), compare_parameters);
    for (size_t i = 0; ok && i < count; i++) {
        text_append(out, "\n");
        append_lower(out, parameters[i].name, parameters[i].name_length);
        text_append(out, ":");
        ok = http_append_decoded(out, parameters[i].value, parameters[i].value_length);
    }
    return ok;
}

/* The account's name goes before the path as it is on the wire. In the emulator's URLs the path
 * begins with that name too, so there it stands twice: no special case. */
static bool append_resource(const struct azure_account *account, const char *url, struct text *out)
{
    const char *host = strstr(url, "://");

    if (host == NULL) {
        return false;
    }
    const char *path = host + 3 + strcspn(host + 3, "/?");
    size_t length = strcspn(path, "?");
    text_appendf(out, "/%s", account->name);
    text_append_bytes(out, path, length);
    return path[length] == '\0' || append_query(path + length + 1, out);
}

bool azure_sign_string(const struct azure_account *account, const struct http_request *request,
                       struct text *out, struct error *err)
{
    append_standard_headers(request, out);
    append_service_headers(request, out);
    if (!append_resource(account, request->url, out)) {
        return error_set(err, ERROR_FAILED, "signing a request: its URL is not as it must be");
    }
    if (out->failed) {
        return error_set(err, ERROR_FAILED, "signing a request: too long, or out of memory");
    }
    return true;
}

bool azure_sign(const struct azure_account *account, const struct http_request *request,
                char out[AZURE_SIGN_SIZE], struct error *err)
{
    struct text string = TEXT_INIT(STRING_CAP);
    unsigned char mac[DIGEST_SHA256_SIZE];
    char signature[BASE64_SIZE(DIGEST_SHA256_SIZE)];
    bool ok = azure_sign_string(account, request, &string, err) &&
              digest_hmac_sha256(account->key, account->key_size, text_string(&string),
                                 string.length, mac, err);

    if (ok) {
        base64_encode(signature, mac, sizeof(mac));
        snprintf(out, AZURE_SIGN_SIZE, "SharedKey %s:%s", account->name, signature);
    }
    text_clear(&string);
    return ok;
}

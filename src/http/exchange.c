#include "http/exchange.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/stop.h"
#include "config.h"
#include "http/curl_handle.h"

#define TRANSFER_BUFFER (512L * 1024)
/* Every header, and the three that libcurl would add of its own. */
#define HEADER_LINE_SIZE (16 * 1024)

struct http_client {
    struct curl_handle handle;
};

/* A status line begins each reply, also the interim ones (100 Continue): the last one counts. */
static size_t on_header(char *data, size_t size, size_t count, void *context)
{
    struct text *headers = context;

    if (size * count >= 5 && memcmp(data, "HTTP/", 5) == 0) {
        text_clear(headers);
    }
    text_append_bytes(headers, data, size * count);
    return headers->failed ? 0 : size * count;
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    struct text *body = context;

    text_append_bytes(body, data, size * count);
    return body->failed ? 0 : size * count;
}

/* The lines for libcurl; NULL when memory is out. Each header that libcurl would add of itself, and
 * that a signature would not cover, is switched off by its bare name. */
static struct curl_slist *header_lines(struct http_client *client,
                                       const struct http_request *request)
{
    static const char *const unwanted[] = {"Expect:", "Accept:"};
    struct curl_slist *lines = NULL;
    bool typed = false;
    bool ok = true;

    for (size_t i = 0; ok && i < sizeof(unwanted) / sizeof(unwanted[0]); i++) {
        ok = curl_handle_add_line(&client->handle, &lines, unwanted[i]);
    }
    for (size_t i = 0; ok && i < request->header_count; i++) {
        const struct http_header *header = &request->headers[i];
        struct text line = TEXT_INIT(HEADER_LINE_SIZE);
        /* libcurl's spelling of a header without a value is "Name;". */
        text_appendf(&line, *header->value != '\0' ? "%s: %s" : "%s;", header->name, header->value);
        ok = !line.failed && curl_handle_add_line(&client->handle, &lines, text_string(&line));
        text_clear(&line);
        typed = typed || strcasecmp(header->name, "Content-Type") == 0;
    }
    if (ok && !typed) {
        ok = curl_handle_add_line(&client->handle, &lines, "Content-Type:");
    }
    if (!ok) {
        client->handle.curl->slist_free_all(lines);
        return NULL;
    }
    return lines;
}

/* With POSTFIELDS libcurl sends the body again by itself where that is safe, and always with its
 * Content-Length; CUSTOMREQUEST makes it another method than POST. */
static bool set_method(struct http_client *client, const struct http_request *request)
{
    static const char *const with_body[] = {"PUT", "POST", "PATCH"};
    bool has_body = request->body_size > 0;

    for (size_t i = 0; i < sizeof(with_body) / sizeof(with_body[0]); i++) {
        has_body = has_body || strcmp(request->method, with_body[i]) == 0;
    }
    struct curl_handle *handle = &client->handle;

    if (strcmp(request->method, "HEAD") == 0) {
        curl_handle_set_number(handle, CURLOPT_NOBODY, 1);
        return true;
    }
    if (has_body) {
        curl_handle_set_number(handle, CURLOPT_POST, 1);
        curl_handle_set_size(handle, CURLOPT_POSTFIELDSIZE_LARGE, request->body_size);
        handle->curl->easy_setopt(handle->easy, CURLOPT_POSTFIELDS,
                                  request->body_size > 0 ? request->body : "");
        curl_handle_set_number(handle, CURLOPT_UPLOAD_BUFFERSIZE, TRANSFER_BUFFER);
    } else {
        curl_handle_set_number(handle, CURLOPT_HTTPGET, 1);
        curl_handle_set_number(handle, CURLOPT_BUFFERSIZE, TRANSFER_BUFFER);
    }
    return curl_handle_set_string(handle, CURLOPT_CUSTOMREQUEST, request->method);
}

static bool prepare(struct http_client *client, const struct http_request *request,
                    struct http_reply *reply, struct curl_slist *lines)
{
    struct curl_handle *handle = &client->handle;

    if (!curl_handle_reset(handle, "http,https")) {
        return false;
    }
    curl_handle_set_number(handle, CURLOPT_FOLLOWLOCATION, 0);
    curl_handle_set_number(handle, CURLOPT_PATH_AS_IS, 1);
    curl_handle_set_number(handle, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_handle_set_pointer(handle, CURLOPT_HTTPHEADER, lines);
    curl_handle_set_sink(handle, CURLOPT_HEADERFUNCTION, on_header);
    curl_handle_set_pointer(handle, CURLOPT_HEADERDATA, &reply->headers);
    curl_handle_set_sink(handle, CURLOPT_WRITEFUNCTION, on_body);
    curl_handle_set_pointer(handle, CURLOPT_WRITEDATA, &reply->body);
    return curl_handle_set_string(handle, CURLOPT_USERAGENT, PACKAGE_NAME "/" PACKAGE_VERSION) &&
           curl_handle_set_string(handle, CURLOPT_URL, request->url) && set_method(client, request);
}

/* "PUT https://host:port/path: ": the query string may hold a signature, and who connects as whom
 * is nobody's business. */
static bool name_exchange(const struct http_request *request, struct error *err)
{
    const char *scheme_end = strstr(request->url, "://");
    const char *host = scheme_end != NULL ? scheme_end + 3 : request->url;
    const char *user_end = memrchr(host, '@', strcspn(host, "/?#"));
    int scheme_length = (int)(host - request->url);

    if (user_end != NULL) {
        host = user_end + 1;
    }
    return error_prefix(err, "%s %.*s%.*s", request->method, scheme_length, request->url,
                        (int)strcspn(host, "?#"), host);
}

static bool fail(struct http_client *client, CURLcode code, const struct http_request *request,
                 const struct http_reply *reply, struct error *err)
{
    if (code == CURLE_WRITE_ERROR && reply->headers.failed) {
        error_set(err, ERROR_FAILED, "the reply's headers are longer than the %zu bytes allowed",
                  reply->headers.cap);
    } else if (code == CURLE_WRITE_ERROR && reply->body.failed) {
        error_set(err, ERROR_FAILED, "the reply is longer than the %zu bytes allowed",
                  reply->body.cap);
    } else {
        curl_handle_fail(&client->handle, code, err);
    }
    return name_exchange(request, err);
}

static bool perform(struct http_client *client, const struct http_request *request,
                    struct http_reply *reply, struct curl_slist *lines, struct error *err)
{
    long status = 0;

    if (!prepare(client, request, reply, lines)) {
        return error_set_memory(err);
    }
    const struct curl_library *curl = client->handle.curl;
    CURLcode code = curl->easy_perform(client->handle.easy);
    CURLcode asked = curl->easy_getinfo(client->handle.easy, CURLINFO_RESPONSE_CODE, &status);
    /* What was given up for its length is an answer: only its text is missing. */
    if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && reply->body.failed)) {
        reply->status = (int)status;
    }
    if (code == CURLE_OK) {
        code = asked;
    }
    return code == CURLE_OK ? true : fail(client, code, request, reply, err);
}

struct http_client *http_client_new(const struct http_limits *limits, struct error *err)
{
    struct http_client *client = calloc(1, sizeof(*client));

    if (client == NULL) {
        error_set_memory(err);
        return NULL;
    }
    if (!curl_handle_init(&client->handle, limits, err)) {
        free(client);
        return NULL;
    }
    return client;
}

void http_client_free(struct http_client *client)
{
    if (client != NULL) {
        curl_handle_clear(&client->handle);
        free(client);
    }
}

void http_client_ignore_stop(struct http_client *client)
{
    client->handle.ignore_stop = true;
}

bool http_client_ignores_stop(const struct http_client *client)
{
    return client->handle.ignore_stop;
}

void http_client_cancel_with(struct http_client *client, const atomic_bool *cancelled)
{
    client->handle.cancelled = cancelled;
}

bool http_exchange(struct http_client *client, const struct http_request *request,
                   struct http_reply *reply, struct error *err)
{
    http_reply_clear(reply);
    if (!client->handle.ignore_stop && !stop_check(err)) {
        return false;
    }
    struct curl_slist *lines = header_lines(client, request);
    if (lines == NULL) {
        return error_set(err, ERROR_FAILED,
                         "no memory for a request's headers, or one longer than %d bytes",
                         HEADER_LINE_SIZE);
    }
    bool ok = perform(client, request, reply, lines, err);
    if (!ok) {
        int status = reply->status;
        http_reply_clear(reply);
        reply->status = status;
    }
    client->handle.curl->slist_free_all(lines);
    return ok;
}

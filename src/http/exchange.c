#include "http/exchange.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/stop.h"
#include "config.h"
#include "http/curl_library.h"

#define LOWEST_SPEED_BYTES_S 128
#define TRANSFER_BUFFER      (512L * 1024)
/* Every header, and the three that libcurl would add of its own. */
#define HEADER_LINE_SIZE (16 * 1024)

struct http_client {
    const struct curl_library *curl;
    CURL *handle;
    struct http_limits limits;
    bool ignore_stop;
    const atomic_bool *cancelled;
    char problem[CURL_ERROR_SIZE];
};

static bool is_cancelled(const struct http_client *client)
{
    return client->cancelled != NULL && atomic_load(client->cancelled);
}

/* libcurl calls it at least once a second, also while nothing moves. */
static int on_progress(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    const struct http_client *client = context;

    (void)down_total;
    (void)down;
    (void)up_total;
    (void)up;
    return (!client->ignore_stop && stop_signal() != 0) || is_cancelled(client) ? 1 : 0;
}

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

/* libcurl's option function takes anything: these three let the compiler see what it gets. */
static void set_number(struct http_client *client, CURLoption option, int64_t value)
{
    client->curl->easy_setopt(client->handle, option, (long)value);
}

static bool set_string(struct http_client *client, CURLoption option, const char *value)
{
    return client->curl->easy_setopt(client->handle, option, value) == CURLE_OK;
}

static void set_pointer(struct http_client *client, CURLoption option, void *value)
{
    client->curl->easy_setopt(client->handle, option, value);
}

static bool add_line(struct http_client *client, struct curl_slist **lines, const char *line)
{
    struct curl_slist *longer = client->curl->slist_append(*lines, line);

    if (longer != NULL) {
        *lines = longer;
    }
    return longer != NULL;
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
        ok = add_line(client, &lines, unwanted[i]);
    }
    for (size_t i = 0; ok && i < request->header_count; i++) {
        const struct http_header *header = &request->headers[i];
        struct text line = TEXT_INIT(HEADER_LINE_SIZE);
        /* libcurl's spelling of a header without a value is "Name;". */
        text_appendf(&line, *header->value != '\0' ? "%s: %s" : "%s;", header->name, header->value);
        ok = !line.failed && add_line(client, &lines, text_string(&line));
        text_clear(&line);
        typed = typed || strcasecmp(header->name, "Content-Type") == 0;
    }
    if (ok && !typed) {
        ok = add_line(client, &lines, "Content-Type:");
    }
    if (!ok) {
        client->curl->slist_free_all(lines);
        return NULL;
    }
    return lines;
}

static void set_limits(struct http_client *client)
{
    set_number(client, CURLOPT_NOSIGNAL, 1);
    /* A name server that does not answer: its thread is not waited for beyond the limit. */
    set_number(client, CURLOPT_QUICK_EXIT, 1);
    set_number(client, CURLOPT_CONNECTTIMEOUT_MS, client->limits.connect_ms);
    set_number(client, CURLOPT_TIMEOUT_MS, client->limits.reply_ms);
    set_number(client, CURLOPT_LOW_SPEED_LIMIT, LOWEST_SPEED_BYTES_S);
    set_number(client, CURLOPT_LOW_SPEED_TIME, client->limits.stall_s);
    set_number(client, CURLOPT_TCP_KEEPALIVE, 1);
    set_number(client, CURLOPT_NOPROGRESS, 0);
    client->curl->easy_setopt(client->handle, CURLOPT_XFERINFOFUNCTION, on_progress);
    set_pointer(client, CURLOPT_XFERINFODATA, client);
}

static bool set_security(struct http_client *client)
{
    set_number(client, CURLOPT_SSL_VERIFYPEER, 1);
    set_number(client, CURLOPT_SSL_VERIFYHOST, 2);
    set_number(client, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    set_number(client, CURLOPT_FOLLOWLOCATION, 0);
    set_number(client, CURLOPT_PATH_AS_IS, 1);
    set_number(client, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    return set_string(client, CURLOPT_PROTOCOLS_STR, "http,https") &&
           set_string(client, CURLOPT_PROXY, "") &&
           set_string(client, CURLOPT_USERAGENT, PACKAGE_NAME "/" PACKAGE_VERSION);
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
    if (strcmp(request->method, "HEAD") == 0) {
        set_number(client, CURLOPT_NOBODY, 1);
        return true;
    }
    if (has_body) {
        set_number(client, CURLOPT_POST, 1);
        client->curl->easy_setopt(client->handle, CURLOPT_POSTFIELDSIZE_LARGE,
                                  (curl_off_t)request->body_size);
        client->curl->easy_setopt(client->handle, CURLOPT_POSTFIELDS,
                                  request->body_size > 0 ? request->body : "");
        set_number(client, CURLOPT_UPLOAD_BUFFERSIZE, TRANSFER_BUFFER);
    } else {
        set_number(client, CURLOPT_HTTPGET, 1);
    }
    return set_string(client, CURLOPT_CUSTOMREQUEST, request->method);
}

static bool prepare(struct http_client *client, const struct http_request *request,
                    struct http_reply *reply, struct curl_slist *lines)
{
    client->problem[0] = '\0';
    client->curl->easy_reset(client->handle);
    set_limits(client);
    set_pointer(client, CURLOPT_ERRORBUFFER, client->problem);
    set_pointer(client, CURLOPT_HTTPHEADER, lines);
    client->curl->easy_setopt(client->handle, CURLOPT_HEADERFUNCTION, on_header);
    set_pointer(client, CURLOPT_HEADERDATA, &reply->headers);
    client->curl->easy_setopt(client->handle, CURLOPT_WRITEFUNCTION, on_body);
    set_pointer(client, CURLOPT_WRITEDATA, &reply->body);
    return set_security(client) && set_string(client, CURLOPT_URL, request->url) &&
           set_method(client, request);
}

static bool is_transient(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return true;
    default:
        return false;
    }
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
    if (code == CURLE_ABORTED_BY_CALLBACK && !client->ignore_stop && !stop_check(err)) {
        return name_exchange(request, err);
    }
    if (is_cancelled(client)) {
        error_set(err, ERROR_STOPPED, "given up because another transfer failed");
    } else if (code == CURLE_WRITE_ERROR && reply->headers.failed) {
        error_set(err, ERROR_FAILED, "the reply's headers are longer than the %zu bytes allowed",
                  reply->headers.cap);
    } else if (code == CURLE_WRITE_ERROR && reply->body.failed) {
        error_set(err, ERROR_FAILED, "the reply is longer than the %zu bytes allowed",
                  reply->body.cap);
    } else {
        error_set(err, ERROR_FAILED, "%s",
                  client->problem[0] != '\0' ? client->problem : client->curl->easy_strerror(code));
        err->retryable = is_transient(code);
    }
    if (code == CURLE_PEER_FAILED_VERIFICATION) {
        error_hint(err, "the server's certificate is not trusted: check its name and issuer and "
                        "this host's CA certificates and clock");
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
    CURLcode code = client->curl->easy_perform(client->handle);
    CURLcode asked = client->curl->easy_getinfo(client->handle, CURLINFO_RESPONSE_CODE, &status);
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
    const struct curl_library *curl = curl_library_get(err);

    if (curl == NULL) {
        return NULL;
    }
    struct http_client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        error_set_memory(err);
        return NULL;
    }
    client->curl = curl;
    client->limits = *limits;
    client->handle = curl->easy_init();
    if (client->handle == NULL) {
        error_set(err, ERROR_FAILED, "libcurl could not be set up");
        free(client);
        return NULL;
    }
    return client;
}

void http_client_free(struct http_client *client)
{
    if (client != NULL) {
        client->curl->easy_cleanup(client->handle);
        free(client);
    }
}

void http_client_ignore_stop(struct http_client *client)
{
    client->ignore_stop = true;
}

bool http_client_ignores_stop(const struct http_client *client)
{
    return client->ignore_stop;
}

void http_client_cancel_with(struct http_client *client, const atomic_bool *cancelled)
{
    client->cancelled = cancelled;
}

bool http_exchange(struct http_client *client, const struct http_request *request,
                   struct http_reply *reply, struct error *err)
{
    http_reply_clear(reply);
    if (!client->ignore_stop && !stop_check(err)) {
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
    client->curl->slist_free_all(lines);
    return ok;
}

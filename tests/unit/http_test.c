/*
 * HTTP: headers and encodings, when to try again, and exchanges with a server of our own that says
 * what it is told to say and keeps what it was sent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "http/base_url.h"
#include "http/exchange.h"
#include "http/retry.h"

#define NOW_MS INT64_C(1777636800000) /* Fri, 01 May 2026 12:00:00 GMT */

static struct http_reply reply_with(const char *headers)
{
    struct http_reply reply = HTTP_REPLY_INIT(1024);

    text_append(&reply.headers, headers);
    return reply;
}

static void header_that_could_add_another_is_refused(void **state)
{
    static const char *const values[] = {"a\r\nx: y", "a\nb", "tab\tbed", "\x7f", "caf\xc3\xa9"};
    static const char *const names[] = {"", "a b", "a:", "a\r\nb", "caf\xc3\xa9"};
    struct http_request request = {.method = "GET"};
    struct error err = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        assert_false(http_request_add(&request, "x-ms-meta-a", values[i], &err));
        assert_non_null(strstr(err.text, "x-ms-meta-a"));
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_false(http_request_add(&request, names[i], "value", &err));
    }
    assert_int_equal(request.header_count, 0);
}

static void base_url_is_a_scheme_and_a_host(void **state)
{
    static const struct {
        const char *url;
        bool is_private;
        bool is_near;
    } good[] = {{"https://example.org", true, true},
                {"HTTPS://example.org:8443/a/b", true, true},
                {"http://127.0.0.1:10000/devstoreaccount1", true, true},
                {"http://localhost", true, true},
                {"http://[::1]:80/", true, true},
                {"http://169.254.169.254", false, true},
                {"http://example.org", false, false},
                {"http://localhost.example.org", false, false}};
    static const char *const bad[] = {"",
                                      "example.org",
                                      "ftp://example.org",
                                      "https://",
                                      "https:///",
                                      "https://a:b@c",
                                      "https://example.org?a",
                                      "https://example.org#a",
                                      "https://a b",
                                      "https://a:",
                                      "https://a:port",
                                      "https://a:123456",
                                      "https://a\n",
                                      "https://[::1]x",
                                      "https://example.org\\a"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(http_base_url_is_valid(good[i].url));
        assert_int_equal(http_base_url_is_private(good[i].url), good[i].is_private);
        assert_int_equal(http_base_url_is_near(good[i].url), good[i].is_near);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(http_base_url_is_valid(bad[i]));
    }
}

static void table_of_headers_is_bounded(void **state)
{
    struct http_request request = {.method = "GET"};
    struct error err = ERROR_INIT;

    (void)state;
    for (int i = 0; i < HTTP_MOST_HEADERS; i++) {
        assert_true(http_request_add(&request, "name", "value", &err));
    }
    assert_false(http_request_add(&request, "name", "value", &err));
}

static void header_is_found_whatever_its_case(void **state)
{
    struct http_reply reply = reply_with("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n"
                                         "X-MS-Meta-Run:\t  abc  \r\nempty:\r\n"
                                         "run: other\r\n\r\n");
    char value[8];

    (void)state;
    assert_true(http_reply_header(&reply, "content-length", value, sizeof(value)));
    assert_string_equal(value, "12");
    assert_true(http_reply_header(&reply, "x-ms-meta-run", value, sizeof(value)));
    assert_string_equal(value, "abc");
    assert_true(http_reply_header(&reply, "Empty", value, sizeof(value)));
    assert_string_equal(value, "");
    assert_false(http_reply_header(&reply, "meta-run", value, sizeof(value)));
    assert_false(http_reply_header(&reply, "content", value, sizeof(value)));
    assert_string_equal(value, "");
    http_reply_clear(&reply);
}

static void header_that_does_not_fit_is_cut(void **state)
{
    struct http_reply reply = reply_with("HTTP/1.1 200 OK\r\nlong: 0123456789\r\n\r\n");
    char value[4];

    (void)state;
    assert_true(http_reply_header(&reply, "long", value, sizeof(value)));
    assert_string_equal(value, "012");
    http_reply_clear(&reply);
}

static void headers_are_iterated_in_order(void **state)
{
    struct http_reply reply =
        reply_with("HTTP/1.1 200 OK\r\na: 1\r\nno colon\r\n: no name\r\nB: x: y\r\n\r\n");
    struct http_reply_field field;
    size_t position = 0;

    (void)state;
    assert_true(http_reply_next(&reply, &position, &field));
    assert_int_equal(field.name_length, 1);
    assert_memory_equal(field.name, "a", 1);
    assert_true(http_reply_next(&reply, &position, &field));
    assert_int_equal(field.value_length, 4);
    assert_memory_equal(field.value, "x: y", 4);
    assert_false(http_reply_next(&reply, &position, &field));
    http_reply_clear(&reply);
}

static void encoding_and_back(void **state)
{
    static const char plain[] = "a b/c+d%e&f=\xc3\xa9~-._\x01";
    struct text encoded = TEXT_INIT(256);
    struct text decoded = TEXT_INIT(256);

    (void)state;
    http_append_encoded(&encoded, plain, "/");
    assert_string_equal(text_string(&encoded), "a%20b/c%2Bd%25e%26f%3D%C3%A9~-._%01");
    assert_true(http_append_decoded(&decoded, encoded.data, encoded.length));
    assert_string_equal(text_string(&decoded), plain);
    text_clear(&encoded);
    http_append_encoded(&encoded, "a/b", "");
    assert_string_equal(text_string(&encoded), "a%2Fb");
    text_clear(&encoded);
    text_clear(&decoded);
}

static void broken_encodings_are_refused(void **state)
{
    static const char *const broken[] = {"%",   "%4",  "a%",   "a%g0",
                                         "%0g", "%00", "%%41", "%\x14\x15"};

    (void)state;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct text out = TEXT_INIT(64);
        if (http_append_decoded(&out, broken[i], strlen(broken[i]))) {
            fail_msg("'%s' was decoded", broken[i]);
        }
        text_clear(&out);
    }
    struct text out = TEXT_INIT(64);
    assert_false(http_append_decoded(&out, "%41", 2));
    text_clear(&out);
}

static struct retry retry_after_attempts(int attempts)
{
    static const struct retry_policy policy = {
        .attempts = 10, .first_wait_ms = 1000, .longest_wait_ms = 60000, .total_ms = 600000};
    struct retry retry;

    retry_begin(&retry, &policy);
    retry.attempt = attempts;
    return retry;
}

static void backoff_doubles_with_jitter_up_to_a_limit(void **state)
{
    static const int64_t full[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};

    (void)state;
    for (int attempt = 1; attempt <= 8; attempt++) {
        struct retry retry = retry_after_attempts(attempt);
        bool differs = false;
        int64_t first = retry_wait_ms(&retry, NULL, 600000, NOW_MS);
        for (int i = 0; i < 50; i++) {
            int64_t wait = retry_wait_ms(&retry, NULL, 600000, NOW_MS);
            assert_in_range(wait, full[attempt - 1] / 2, full[attempt - 1]);
            differs = differs || wait != first;
        }
        assert_true(differs);
    }
}

static void wait_ends_with_the_total_time(void **state)
{
    struct retry retry = retry_after_attempts(8);
    struct http_reply reply = reply_with("HTTP/1.1 503 Busy\r\nRetry-After: 3600\r\n\r\n");

    (void)state;
    assert_int_equal(retry_wait_ms(&retry, NULL, 77, NOW_MS), 77);
    assert_int_equal(retry_wait_ms(&retry, &reply, 88, NOW_MS), 88);
    http_reply_clear(&reply);
}

static void server_says_when(void **state)
{
    static const struct {
        const char *headers;
        int64_t wait_ms;
    } cases[] = {
        {"Retry-After: 7\r\n", 7000},
        {"Retry-After: Fri, 01 May 2026 12:00:09 GMT\r\n", 9000},
        {"retry-after-ms: 250\r\n", 250},
        {"x-ms-retry-after-ms: 1250\r\nRetry-After: 9\r\n", 1250},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct retry retry = retry_after_attempts(5);
        struct http_reply reply = reply_with(cases[i].headers);
        assert_int_equal(retry_wait_ms(&retry, &reply, 600000, NOW_MS), cases[i].wait_ms);
        http_reply_clear(&reply);
    }
}

static void nonsense_and_no_wait_are_ignored(void **state)
{
    static const char *const nonsense[] = {
        "Retry-After: 0\r\n",      "Retry-After: Fri, 01 May 2026 11:59:00 GMT\r\n",
        "Retry-After: -5\r\n",     "Retry-After: soon\r\n",
        "Retry-After: \r\n",       "Retry-After: 99999999999999999999\r\n",
        "retry-after-ms: 1e9\r\n", "Retry-After: Fri, 31 Feb 2026 12:00:00 GMT\r\n"};

    (void)state;
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        struct retry retry = retry_after_attempts(1);
        struct http_reply reply = reply_with(nonsense[i]);
        assert_in_range(retry_wait_ms(&retry, &reply, 600000, NOW_MS), 500, 1000);
        http_reply_clear(&reply);
    }
}

static void transient_statuses(void **state)
{
    static const int transient[] = {408, 429, 500, 502, 503, 504};
    int found = 0;

    (void)state;
    for (int status = 100; status < 600; status++) {
        found += retry_status_is_transient(status);
    }
    assert_int_equal(found, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_true(retry_status_is_transient(transient[i]));
    }
}

static void attempts_are_counted_and_bounded(void **state)
{
    static const struct retry_policy policy = {
        .attempts = 3, .first_wait_ms = 1, .longest_wait_ms = 1, .total_ms = 600000};
    struct retry retry;
    struct error err = ERROR_INIT;
    int attempts = 0;

    (void)state;
    retry_begin(&retry, &policy);
    do {
        attempts++;
        error_set(&err, ERROR_FAILED, "no luck");
        err.retryable = true;
    } while (retry_again(&retry, NULL, &err));
    assert_int_equal(attempts, 3);
    assert_string_equal(err.text, "no luck; tried 3 times");
    assert_true(err.retryable);
}

static void what_cannot_help_is_not_tried_again(void **state)
{
    static const struct retry_policy policy = {
        .attempts = 3, .first_wait_ms = 1, .longest_wait_ms = 1, .total_ms = 600000};
    static const struct retry_policy no_time = {
        .attempts = 3, .first_wait_ms = 1, .longest_wait_ms = 1, .total_ms = 0};
    struct retry retry;
    struct error err = ERROR_INIT;

    (void)state;
    retry_begin(&retry, &policy);
    error_set(&err, ERROR_FAILED, "refused");
    assert_false(retry_again(&retry, NULL, &err));
    assert_string_equal(err.text, "refused");
    retry_begin(&retry, &no_time);
    err.retryable = true;
    assert_false(retry_again(&retry, NULL, &err));
}

static void cancelling_ends_the_waiting(void **state)
{
    atomic_bool cancelled = true;
    const struct retry_policy policy = {.attempts = 3,
                                        .first_wait_ms = 3600000,
                                        .longest_wait_ms = 3600000,
                                        .total_ms = 7200000,
                                        .cancelled = &cancelled};
    struct retry retry;
    struct error err = ERROR_INIT;

    (void)state;
    retry_begin(&retry, &policy);
    error_set(&err, ERROR_FAILED, "no luck");
    err.retryable = true;
    assert_false(retry_again(&retry, NULL, &err));
    assert_int_equal(err.kind, ERROR_STOPPED);
}

/* A server that answers one connection with fixed bytes. */
struct server {
    int listener;
    int port;
    const char *answer; /* NULL: closes without one; "" : waits until the client goes */
    struct text received;
    pthread_t thread;
};

static bool is_whole(const struct text *request)
{
    const char *end = strstr(text_string(request), "\r\n\r\n");
    const char *length = strcasestr(text_string(request), "content-length: ");

    if (end == NULL) {
        return false;
    }
    size_t body = length != NULL && length < end ? strtoul(length + 16, NULL, 10) : 0;
    return request->length >= (size_t)(end + 4 - request->data) + body;
}

static void *serve(void *context)
{
    struct server *server = context;
    char buffer[4096];
    ssize_t got;
    int fd = accept(server->listener, NULL, NULL);

    while (fd >= 0 && !is_whole(&server->received) &&
           (got = read(fd, buffer, sizeof(buffer))) > 0) {
        text_append_bytes(&server->received, buffer, (size_t)got);
    }
    if (server->answer != NULL && *server->answer == '\0') {
        while (read(fd, buffer, sizeof(buffer)) > 0) {
        }
    } else if (server->answer != NULL) {
        size_t sent = 0;
        size_t length = strlen(server->answer);
        while (sent < length &&
               (got = send(fd, server->answer + sent, length - sent, MSG_NOSIGNAL)) > 0) {
            sent += (size_t)got;
        }
    }
    close(fd);
    return NULL;
}

static void server_start(struct server *server, const char *answer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);

    *server = (struct server){.answer = answer, .received = TEXT_INIT(1 << 20)};
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server->listener, 1), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &size), 0);
    server->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void server_end(struct server *server)
{
    close(server->listener);
    text_clear(&server->received);
}

static const struct http_limits limits = {.connect_ms = 10000, .stall_s = 60};

/* Sends one request to a server that answers thus; `request.url` is the path. The server is over
 * then; its record is left for the caller to look at and to end. */
static bool exchange(struct server *server, const char *answer, struct http_request request,
                     struct http_reply *reply, struct error *err)
{
    char url[256];
    struct http_client *client = http_client_new(&limits, err);

    assert_non_null(client);
    server_start(server, answer);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", server->port, request.url);
    request.url = url;
    bool ok = http_exchange(client, &request, reply, err);
    http_client_free(client);
    pthread_join(server->thread, NULL);
    return ok;
}

static void request_goes_out_as_it_is_told(void **state)
{
    struct server server;
    struct http_reply reply = HTTP_REPLY_INIT(1024);
    struct http_request request = {
        .method = "PUT", .url = "/a/../b%20c?x=%2F", .body = "12345", .body_size = 5};
    struct error err = ERROR_INIT;
    char value[16];

    (void)state;
    assert_true(http_request_add(&request, "x-one", "1", &err));
    assert_true(http_request_add(&request, "x-none", "", &err));
    assert_true(exchange(&server,
                         "HTTP/1.1 100 Continue\r\nx-early: 1\r\n\r\n"
                         "HTTP/1.1 201 Created\r\nx-late: 1\r\nContent-Length: 2\r\n\r\nok",
                         request, &reply, &err));
    assert_int_equal(reply.status, 201);
    assert_string_equal(text_string(&reply.body), "ok");
    assert_true(http_reply_header(&reply, "x-late", value, sizeof(value)));
    assert_false(http_reply_header(&reply, "x-early", value, sizeof(value)));
    const char *sent = text_string(&server.received);
    assert_int_equal(strncmp(sent, "PUT /a/../b%20c?x=%2F HTTP/1.1\r\n", 32), 0);
    assert_non_null(strstr(sent, "\r\nContent-Length: 5\r\n"));
    assert_non_null(strstr(sent, "\r\nx-one: 1\r\n"));
    assert_non_null(strstr(sent, "\r\nx-none:\r\n"));
    assert_non_null(strstr(sent, "\r\n\r\n12345"));
    assert_null(strcasestr(sent, "expect:"));
    assert_null(strcasestr(sent, "content-type:"));
    assert_null(strcasestr(sent, "accept"));
    http_reply_clear(&reply);
    server_end(&server);
}

static void large_body_is_sent_without_asking(void **state)
{
    struct server server;
    struct http_reply reply = HTTP_REPLY_INIT(1024);
    size_t size = 900000;
    char *body = malloc(size);
    struct error err = ERROR_INIT;

    (void)state;
    assert_non_null(body);
    memset(body, 'x', size);
    struct http_request request = {.method = "PUT", .url = "/", .body = body, .body_size = size};
    assert_true(
        exchange(&server, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", request, &reply, &err));
    assert_null(strcasestr(text_string(&server.received), "expect:"));
    assert_true(server.received.length > size);
    http_reply_clear(&reply);
    server_end(&server);
    free(body);
}

static void put_without_a_body_has_length_zero(void **state)
{
    struct server server;
    struct http_reply reply = HTTP_REPLY_INIT(1024);
    struct http_request request = {.method = "PUT", .url = "/"};
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(
        exchange(&server, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", request, &reply, &err));
    assert_non_null(strstr(text_string(&server.received), "\r\nContent-Length: 0\r\n"));
    http_reply_clear(&reply);
    server_end(&server);
}

static void head_has_a_length_and_no_body(void **state)
{
    struct server server;
    struct http_reply reply = HTTP_REPLY_INIT(1024);
    struct http_request request = {.method = "HEAD", .url = "/"};
    struct error err = ERROR_INIT;
    char value[16];

    (void)state;
    assert_true(exchange(&server, "HTTP/1.1 200 OK\r\nContent-Length: 123456\r\n\r\n", request,
                         &reply, &err));
    assert_true(http_reply_header(&reply, "content-length", value, sizeof(value)));
    assert_string_equal(value, "123456");
    assert_int_equal(reply.body.length, 0);
    http_reply_clear(&reply);
    server_end(&server);
}

static void redirect_is_not_followed(void **state)
{
    struct server server;
    struct http_reply reply = HTTP_REPLY_INIT(1024);
    struct http_request request = {.method = "GET", .url = "/"};
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(exchange(&server,
                         "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
                         "Content-Length: 0\r\n\r\n",
                         request, &reply, &err));
    assert_int_equal(reply.status, 302);
    http_reply_clear(&reply);
    server_end(&server);
}

/* What the network does can be different the next time; what the server says too long cannot. */
static void failures_name_the_place_and_never_the_query(void **state)
{
    static const struct {
        const char *answer;
        bool retryable;
        int status; /* of what was too long */
        const char *text;
    } cases[] = {
        {NULL, true, 0, "Empty reply"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", true, 0, "remaining"},
        {"HTTP/1.1 206 OK\r\nContent-Length: 9\r\n\r\n123456789", false, 206,
         "longer than the 8 bytes"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n0\r\n\r\n", false,
         200, "longer than the 8 bytes"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct server server;
        struct http_reply reply = HTTP_REPLY_INIT(8);
        struct http_request request = {.method = "GET", .url = "/place?hidden=part"};
        struct error err = ERROR_INIT;
        char place[64];
        assert_false(exchange(&server, cases[i].answer, request, &reply, &err));
        snprintf(place, sizeof(place), "GET http://127.0.0.1:%d/place: ", server.port);
        assert_int_equal(strncmp(err.text, place, strlen(place)), 0);
        assert_non_null(strstr(err.text, cases[i].text));
        assert_null(strstr(err.text, "hidden"));
        assert_int_equal(err.retryable, cases[i].retryable);
        assert_int_equal(reply.status, cases[i].status);
        assert_int_equal(reply.headers.length, 0);
        assert_int_equal(reply.body.length, 0);
        http_reply_clear(&reply);
        server_end(&server);
    }
}

static void headers_without_end_are_refused(void **state)
{
    struct server server;
    struct http_reply reply = HTTP_REPLY_INIT(8);
    struct http_request request = {.method = "GET", .url = "/"};
    struct text answer = TEXT_INIT(1 << 20);
    struct error err = ERROR_INIT;

    (void)state;
    text_append(&answer, "HTTP/1.1 200 OK\r\n");
    while (answer.length < 2 * HTTP_HEADERS_CAP) {
        text_appendf(&answer, "x-%zu: 0123456789012345678901234567890123456789\r\n", answer.length);
    }
    text_append(&answer, "\r\n");
    assert_false(exchange(&server, text_string(&answer), request, &reply, &err));
    assert_non_null(strstr(err.text, "headers"));
    assert_false(err.retryable);
    text_clear(&answer);
    http_reply_clear(&reply);
    server_end(&server);
}

static void user_info_is_not_in_the_error(void **state)
{
    struct http_client *client;
    struct http_reply reply = HTTP_REPLY_INIT(8);
    struct http_request request = {.method = "GET",
                                   .url = "http://someone:hunter2@127.0.0.1:1/p?q#f"};
    struct error err = ERROR_INIT;

    (void)state;
    client = http_client_new(&limits, &err);
    assert_non_null(client);
    assert_false(http_exchange(client, &request, &reply, &err));
    assert_true(err.retryable);
    assert_int_equal(strncmp(err.text, "GET http://127.0.0.1:1/p: ", 26), 0);
    assert_null(strstr(err.text, "hunter2"));
    request.url = "ftp://127.0.0.1/";
    assert_false(http_exchange(client, &request, &reply, &err));
    assert_false(err.retryable);
    http_client_free(client);
    http_client_free(NULL);
}

static void cancelled_exchange_ends_without_an_answer(void **state)
{
    struct server server;
    atomic_bool cancelled = true;
    struct http_reply reply = HTTP_REPLY_INIT(8);
    struct http_request request = {.method = "GET"};
    struct error err = ERROR_INIT;
    char url[64];

    (void)state;
    struct http_client *client = http_client_new(&limits, &err);
    assert_non_null(client);
    http_client_cancel_with(client, &cancelled);
    server_start(&server, "");
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", server.port);
    request.url = url;
    assert_false(http_exchange(client, &request, &reply, &err));
    assert_int_equal(err.kind, ERROR_STOPPED);
    http_client_free(client);
    shutdown(server.listener, SHUT_RDWR);
    pthread_join(server.thread, NULL);
    server_end(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_that_could_add_another_is_refused),
        cmocka_unit_test(base_url_is_a_scheme_and_a_host),
        cmocka_unit_test(table_of_headers_is_bounded),
        cmocka_unit_test(header_is_found_whatever_its_case),
        cmocka_unit_test(header_that_does_not_fit_is_cut),
        cmocka_unit_test(headers_are_iterated_in_order),
        cmocka_unit_test(encoding_and_back),
        cmocka_unit_test(broken_encodings_are_refused),
        cmocka_unit_test(backoff_doubles_with_jitter_up_to_a_limit),
        cmocka_unit_test(wait_ends_with_the_total_time),
        cmocka_unit_test(server_says_when),
        cmocka_unit_test(nonsense_and_no_wait_are_ignored),
        cmocka_unit_test(transient_statuses),
        cmocka_unit_test(attempts_are_counted_and_bounded),
        cmocka_unit_test(what_cannot_help_is_not_tried_again),
        cmocka_unit_test(cancelling_ends_the_waiting),
        cmocka_unit_test(request_goes_out_as_it_is_told),
        cmocka_unit_test(large_body_is_sent_without_asking),
        cmocka_unit_test(put_without_a_body_has_length_zero),
        cmocka_unit_test(head_has_a_length_and_no_body),
        cmocka_unit_test(redirect_is_not_followed),
        cmocka_unit_test(failures_name_the_place_and_never_the_query),
        cmocka_unit_test(headers_without_end_are_refused),
        cmocka_unit_test(user_info_is_not_in_the_error),
        cmocka_unit_test(cancelled_exchange_ends_without_an_answer),
    };

    log_configure(LOG_ERROR, LOG_FORMAT_TEXT, false);
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

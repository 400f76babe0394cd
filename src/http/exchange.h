/*
 * One HTTP exchange: a request is sent, a reply comes back. The only folder that uses libcurl.
 *
 * Not here: signing (who knows the service signs), redirects (never followed), cookies, proxies
 * (the environment's are ignored). A reply of any status is a success of the exchange; what it
 * means is the caller's business. Retrying is http/retry.h.
 */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "http/message.h"

/* Reusable from one thread at a time: keeps its connection open between exchanges. */
struct http_client;

struct http_limits {
    int64_t connect_ms; /* to be connected */
    int64_t stall_s;    /* at a crawl: fewer than 128 bytes a second in either direction */
    int64_t reply_ms;   /* the whole exchange; 0 = none but `stall_s` */
};

/* Loads and initialises libcurl the first time. */
struct http_client *http_client_new(const struct http_limits *limits, struct error *err);
void http_client_free(struct http_client *client);
/* The client's exchanges go on after a stop was requested: for cleaning up. */
void http_client_ignore_stop(struct http_client *client);
bool http_client_ignores_stop(const struct http_client *client);
/* The client's exchanges are given up, with ERROR_STOPPED, while *cancelled is true; another thread
 * may set it. It must outlive the client. */
void http_client_cancel_with(struct http_client *client, const atomic_bool *cancelled);

/* Performs the exchange. On failure the error names host and method, never the query string (it
 * may hold a signature), and `retryable` is set for what the network did. The reply is cleared
 * first, and is empty after a failure, but for the status of one that was longer than it may be. */
bool http_exchange(struct http_client *client, const struct http_request *request,
                   struct http_reply *reply, struct error *err);

#endif

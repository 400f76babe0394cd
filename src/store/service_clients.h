/*
 * The HTTP clients of a store that is a service, and its patience, as the settings say. Made when
 * first needed: that loads libcurl, and a tick that has nothing to do opens the store but asks it
 * nothing.
 */
#ifndef STORE_SERVICE_CLIENTS_H
#define STORE_SERVICE_CLIENTS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/settings.h"
#include "http/exchange.h"
#include "http/retry.h"

struct service_clients {
    struct http_limits limits;   /* of clients that send or read much: no end but a stall */
    struct http_client *usual;   /* hears a stop */
    struct http_client *through; /* sees a commit through, whatever the stop flag says */
    struct retry_policy *policy;
    atomic_bool *const *cancelled; /* the store's, if it can be cancelled; or NULL */
};

/* `policy` must outlive the clients: what cancels the store cancels its waiting, too. */
void service_clients_init(struct service_clients *clients, struct retry_policy *policy,
                          const struct settings *settings);
/* The client for small requests; NULL on failure. Belongs to `clients`. */
struct http_client *service_clients_get(struct service_clients *clients, bool ignore_stop,
                                        struct error *err);
void service_clients_clear(struct service_clients *clients);

#endif

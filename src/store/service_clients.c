#include "store/service_clients.h"

#include <stddef.h>

#define MOST_ATTEMPTS 10
#define FIRST_WAIT_MS 1000
#define LAST_WAIT_MS  60000
/* For everything but blocks; the services themselves end such an operation within a minute. */
#define REPLY_MS (5 * 60 * 1000)

void service_clients_init(struct service_clients *clients, struct retry_policy *policy,
                          const struct settings *settings)
{
    *clients = (struct service_clients){
        .policy = policy,
        .limits = {.connect_ms = settings_get_number(settings, SETTING_CONNECT_TIMEOUT) * 1000,
                   .stall_s = settings_get_number(settings, SETTING_STALL_TIMEOUT)}};
    *policy = (struct retry_policy){
        .attempts = MOST_ATTEMPTS,
        .first_wait_ms = FIRST_WAIT_MS,
        .longest_wait_ms = LAST_WAIT_MS,
        .total_ms = settings_get_number(settings, SETTING_RETRY_TIMEOUT) * 1000,
    };
}

struct http_client *service_clients_get(struct service_clients *clients, bool ignore_stop,
                                        struct error *err)
{
    struct http_client **client = ignore_stop ? &clients->through : &clients->usual;
    struct http_limits limits = clients->limits;

    if (*client == NULL) {
        limits.reply_ms = REPLY_MS;
        *client = http_client_new(&limits, err);
        if (*client != NULL && ignore_stop) {
            http_client_ignore_stop(*client);
        }
    }
    if (*client != NULL && clients->cancelled != NULL) {
        http_client_cancel_with(*client, *clients->cancelled);
        clients->policy->cancelled = *clients->cancelled;
    }
    return *client;
}

void service_clients_clear(struct service_clients *clients)
{
    http_client_free(clients->usual);
    http_client_free(clients->through);
    clients->usual = NULL;
    clients->through = NULL;
}

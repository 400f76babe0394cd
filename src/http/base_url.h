/*
 * The URL of a service as a setting gives it: a scheme, a host, perhaps a port and a path. Requests
 * are made by appending to it.
 */
#ifndef HTTP_BASE_URL_H
#define HTTP_BASE_URL_H

#include <stdbool.h>

/* http:// or https:// and a host, with nothing after them but a port and a path: no user, no query,
 * no blank. */
bool http_base_url_is_valid(const char *url);

/* Of a valid one: nobody on the way can read what goes there. https, or http to this host itself.
 */
bool http_base_url_is_private(const char *url);
/* The same, or http that stays on this host's own link, where a cloud's metadata service is. */
bool http_base_url_is_near(const char *url);

#endif

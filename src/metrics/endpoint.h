/*
 * URLs that settings give: http or https, a host, perhaps a port and a path; nothing else.
 */
#ifndef METRICS_ENDPOINT_H
#define METRICS_ENDPOINT_H

#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"

/* False, with ERROR_CONFIG that names the setting, for what is no such URL. One with a user and a
 * password is refused without being shown. */
bool endpoint_check(const char *url, const char *setting, struct error *err);

/* Appends the URL, without '/' at its end, and the path. */
void endpoint_append(struct text *out, const char *url, const char *path);

#endif

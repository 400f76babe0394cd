/*
 * What a service says when it refuses: <Error><Code>...</Code><Message>...</Message></Error>.
 */
#ifndef STORE_SERVICE_REPLY_H
#define STORE_SERVICE_REPLY_H

#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"
#include "http/message.h"

/* Appends the text of an element of the reply's <Error>, which may be wrapped in another element; a
 * reply without one, as HEAD's, has none. */
void service_reply_element(const struct http_reply *reply, const char *name, struct text *out);
/* Tells when this host's clock and the service's are too far apart for a signature. */
void service_reply_hint_clock(const struct http_reply *reply, struct error *err);
/* Whether a code is in this list, which ends with NULL. */
bool service_reply_is_one_of(const char *code, const char *const codes[]);

#endif

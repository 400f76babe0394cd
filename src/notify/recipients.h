/*
 * Who gets a notification: the addresses of RYTHM_BACKUP_NOTIFY_TO, else those of the admin query.
 */
#ifndef NOTIFY_RECIPIENTS_H
#define NOTIFY_RECIPIENTS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/settings.h"
#include "postgres/admin_addresses.h"
#include "postgres/session.h"

#define RECIPIENTS_LONGEST_ADDRESS 320

/* One '@' with something on both sides; no blank, no control byte, nothing that separates addresses
 * or puts one in brackets or quotes; valid UTF-8; at most RECIPIENTS_LONGEST_ADDRESS bytes. */
bool recipients_is_address(const char *text);

/* Each address once; for admin_addresses_clear(). One that is not an address is passed over with a
 * warning. None at all is no error: *why_none then says, in a static text, what to do about it. */
bool recipients_read(struct session *session, const struct settings *settings,
                     struct addresses *out, const char **why_none, struct error *err);

#endif

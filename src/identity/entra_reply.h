/*
 * What a token endpoint answers. Numbers come as strings from some and as numbers from others, and
 * one that is to tell when a token ends tells it in seconds, as an epoch, or in ISO 8601.
 */
#ifndef IDENTITY_ENTRA_REPLY_H
#define IDENTITY_ENTRA_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "http/message.h"
#include "identity/token.h"

#define ENTRA_REPLY_CAP ((size_t)64 * 1024)

/* Takes a reply of 200. The token is registered with base/redact.h as soon as it is read. `now_ms`
 * is the host's clock: what ends at an instant has its life from that. */
bool entra_reply_parse(const struct http_reply *reply, int64_t now_ms, struct token *out,
                       struct error *err);

/* The error for any other reply, with what it says; returns false. */
bool entra_reply_refuse(const struct http_reply *reply, struct error *err);

#endif

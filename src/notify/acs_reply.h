/*
 * What Azure Communication Services answers, in JSON (REST reference, "Email - Send" and "Email -
 * Get Send Result"). Untrusted: wrong types, depth and length are refused, ids are checked before
 * they become part of a URL.
 */
#ifndef NOTIFY_ACS_REPLY_H
#define NOTIFY_ACS_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "http/message.h"

#define ACS_REPLY_CAP (64 * 1024)
#define ACS_ID_SIZE   65

enum acs_status { ACS_STATUS_RUNNING, ACS_STATUS_SUCCEEDED, ACS_STATUS_FAILED };

struct acs_operation {
    char id[ACS_ID_SIZE]; /* "" when there is none, or none that can be used */
    enum acs_status status;
    char problem[512]; /* ACS_STATUS_FAILED: "code: message" */
};

/* Letters, digits and '-' only, 1 to 64 of them. */
bool acs_reply_is_id(const char *text);

/* Reads the state of an operation, from the answer to a send or to a question about it. */
bool acs_reply_parse_operation(const struct http_reply *reply, struct acs_operation *out,
                               struct error *err);

/* The error for an answer that refuses: status, the service's code and message. */
bool acs_reply_refused(const struct http_reply *reply, struct error *err);

#endif

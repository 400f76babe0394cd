/*
 * A message as the outbox keeps it: one JSON object.
 */
#ifndef NOTIFY_MESSAGE_DOCUMENT_H
#define NOTIFY_MESSAGE_DOCUMENT_H

#include <stdbool.h>

#include "base/error.h"
#include "notify/message.h"

/* The caller frees it. NULL with the error. */
char *message_document_format(const struct message *message, struct error *err);
/* Reads what message_document_format() wrote; the caller clears *out. Rows are input from outside:
 * anything else is refused. */
bool message_document_parse(const char *document, struct message *out, struct error *err);

#endif

/*
 * Any service that takes webhooks by the Standard Webhooks convention (its specification, 1.0.0).
 */
#ifndef NOTIFY_WEBHOOK_CHANNEL_H
#define NOTIFY_WEBHOOK_CHANNEL_H

#include "base/error.h"
#include "notify/channel.h"

extern const struct channel webhook_channel;

/* The document that is posted, at most 20 KB; the caller frees it. NULL with the error. */
char *webhook_format(const struct message *message, struct error *err);

#endif

/*
 * E-mail through a server that speaks SMTP.
 */
#ifndef NOTIFY_SMTP_CHANNEL_H
#define NOTIFY_SMTP_CHANNEL_H

#include "notify/channel.h"

extern const struct channel smtp_channel;

#endif

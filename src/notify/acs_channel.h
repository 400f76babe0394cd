/*
 * E-mail through Azure Communication Services, as a channel.
 */
#ifndef NOTIFY_ACS_CHANNEL_H
#define NOTIFY_ACS_CHANNEL_H

#include "notify/channel.h"

extern const struct channel acs_channel;

#endif

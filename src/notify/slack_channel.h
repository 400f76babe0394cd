/*
 * Slack, through an incoming webhook ("Sending messages using incoming webhooks", "Changes to
 * errors for incoming webhooks"). Also what speaks the same: Mattermost, for one.
 */
#ifndef NOTIFY_SLACK_CHANNEL_H
#define NOTIFY_SLACK_CHANNEL_H

#include "base/error.h"
#include "notify/channel.h"

extern const struct channel slack_channel;

/* The document that is posted; the caller frees it. NULL with the error. What comes from outside
 * cannot address anybody: & < > are escaped ("Formatting text for app surfaces"). */
char *slack_format(const struct message *message, struct error *err);

#endif

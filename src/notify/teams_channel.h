/*
 * Microsoft Teams, through the Workflows trigger "When a Teams webhook request is received": an
 * Adaptive Card in a message. (The Office 365 connectors of old, with their MessageCard, are gone.)
 *
 * That the trigger accepts it says only that the flow has started.
 */
#ifndef NOTIFY_TEAMS_CHANNEL_H
#define NOTIFY_TEAMS_CHANNEL_H

#include "base/error.h"
#include "notify/channel.h"

extern const struct channel teams_channel;

/* The document that is posted, at most 28 KB as Teams demands; the caller frees it. NULL with the
 * error. What is Markdown to a card is escaped in what comes from outside. */
char *teams_format(const struct message *message, struct error *err);

#endif

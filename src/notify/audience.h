/*
 * Which channels some news goes through, and to whom.
 */
#ifndef NOTIFY_AUDIENCE_H
#define NOTIFY_AUDIENCE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/settings.h"
#include "notify/channel.h"
#include "postgres/admin_addresses.h"
#include "postgres/notify_choice.h"
#include "postgres/session.h"

struct audience {
    const struct channel *channels[CHANNEL_MOST];
    size_t count;
    struct addresses admins; /* whom the mails go to */
    /* Whom they go to could not be found out; ERROR_NONE otherwise. Then there are none. */
    struct error problem;
};

/* Takes the channels that are configured and chosen (a NULL choice: all). What is only half
 * configured, chosen in vain, or would reach nobody, is left out with a warning in the log. The
 * caller clears it. */
bool audience_make(struct session *session, const struct settings *settings,
                   const struct notify_choice *choice, struct audience *out, struct error *err);
/* The same of all channels, in earnest, and perhaps none: what is half configured, wrong, or would
 * reach nobody is an error, ERROR_CONFIG. */
bool audience_make_test(struct session *session, const struct settings *settings,
                        struct audience *out, struct error *err);
void audience_clear(struct audience *audience);

/* How many the channel reaches, and the nth of them: "" where it leads to one place. */
size_t audience_recipients(const struct audience *audience, const struct channel *channel);
const char *audience_recipient(const struct audience *audience, const struct channel *channel,
                               size_t index);

#endif

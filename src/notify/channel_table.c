#include <string.h>

#include "notify/acs_channel.h"
#include "notify/channel.h"
#include "notify/slack_channel.h"
#include "notify/smtp_channel.h"
#include "notify/teams_channel.h"
#include "notify/webhook_channel.h"

const struct channel *const channel_table[] = {&acs_channel,   &smtp_channel,    &slack_channel,
                                               &teams_channel, &webhook_channel, NULL};

const struct channel *channel_find(const char *name)
{
    for (size_t i = 0; channel_table[i] != NULL; i++) {
        if (strcmp(channel_table[i]->name, name) == 0) {
            return channel_table[i];
        }
    }
    return NULL;
}

const char *channel_missing(const struct channel *channel, const struct settings *settings,
                            bool *begun)
{
    const char *missing = NULL;

    *begun = false;
    for (size_t i = 0; i < channel->setting_count; i++) {
        if (settings_get(settings, channel->settings[i]) != NULL) {
            *begun = true;
        } else if (missing == NULL) {
            missing = settings_table[channel->settings[i]].name;
        }
    }
    return missing;
}

/* A check registers what it sees. */
void channel_register_secrets(const struct settings *settings)
{
    bool begun;

    for (size_t i = 0; channel_table[i] != NULL; i++) {
        struct error ignored = ERROR_INIT;
        if (channel_missing(channel_table[i], settings, &begun) == NULL) {
            channel_table[i]->check(settings, &ignored);
        }
    }
}

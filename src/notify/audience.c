#include "notify/audience.h"

#include <string.h>

#include "base/log.h"
#include "notify/recipients.h"

static bool is_chosen(const struct notify_choice *choice, const struct channel *channel)
{
    if (choice == NULL || choice->channels == NULL) {
        return true;
    }
    for (char *const *name = choice->channels; *name != NULL; name++) {
        if (strcmp(*name, channel->name) == 0) {
            return true;
        }
    }
    return false;
}

static void warn_of_unknown(const struct notify_choice *choice)
{
    for (char *const *name = choice != NULL ? choice->channels : NULL;
         name != NULL && *name != NULL; name++) {
        if (channel_find(*name) == NULL) {
            log_warning("channel_unknown",
                        "the schedule notifies through '%.40s', which is no channel of this "
                        "version: passed over",
                        *name);
        }
    }
}

static void warn_of_missing(const struct channel *channel, const char *missing)
{
    log_warning(channel->is_mail ? "mail_not_configured" : "channel_not_configured",
                "no notification by %s: %s is not set", channel->what, missing);
}

/* Takes those that can be used; says of which others a word is due. */
static void take_channels(const struct settings *settings, const struct notify_choice *choice,
                          struct audience *out)
{
    bool named = choice != NULL && choice->channels != NULL;
    bool warned = named && choice->channels[0] == NULL;
    bool begun;

    for (size_t i = 0; channel_table[i] != NULL; i++) {
        const struct channel *channel = channel_table[i];
        if (!is_chosen(choice, channel)) {
            continue;
        }
        const char *missing = channel_missing(channel, settings, &begun);
        if (missing == NULL) {
            out->channels[out->count++] = channel;
        } else if (named || begun) {
            warned = true;
            warn_of_missing(channel, missing);
        }
    }
    if (out->count == 0 && !warned && !named) {
        warn_of_missing(channel_table[0], channel_missing(channel_table[0], settings, &begun));
    }
}

static bool has_mail(const struct audience *audience)
{
    for (size_t i = 0; i < audience->count; i++) {
        if (audience->channels[i]->is_mail) {
            return true;
        }
    }
    return false;
}

bool audience_make(struct session *session, const struct settings *settings,
                   const struct notify_choice *choice, struct audience *out, struct error *err)
{
    const char *why_none;

    *out = (struct audience){.problem = ERROR_INIT};
    warn_of_unknown(choice);
    take_channels(settings, choice, out);
    if (!has_mail(out)) {
        return true;
    }
    if (!recipients_read(session, settings, &out->admins, &why_none, &out->problem)) {
        error_prefix(&out->problem, "finding out whom to notify");
        if (out->problem.kind == ERROR_STOPPED) {
            *err = out->problem;
            return false;
        }
    } else if (out->admins.count == 0) {
        log_warning("no_recipients", "nobody is notified: %s", why_none);
    }
    return true;
}

static bool check_channels(const struct settings *settings, struct audience *out, struct error *err)
{
    bool begun;

    for (size_t i = 0; channel_table[i] != NULL; i++) {
        const struct channel *channel = channel_table[i];
        const char *missing = channel_missing(channel, settings, &begun);
        if (missing != NULL && begun) {
            return error_set(err, ERROR_CONFIG, "no notification by %s: %s is not set",
                             channel->what, missing);
        }
        if (missing != NULL) {
            continue;
        }
        if (!channel->check(settings, err)) {
            return false;
        }
        out->channels[out->count++] = channel;
    }
    return true;
}

bool audience_make_test(struct session *session, const struct settings *settings,
                        struct audience *out, struct error *err)
{
    const char *why_none;

    *out = (struct audience){.problem = ERROR_INIT};
    if (!check_channels(settings, out, err)) {
        return false;
    }
    if (!has_mail(out)) {
        return true;
    }
    if (!recipients_read(session, settings, &out->admins, &why_none, err)) {
        return error_prefix(err, "finding out whom to notify");
    }
    return out->admins.count > 0 ||
           error_set(err, ERROR_CONFIG, "nobody would be notified: %s", why_none);
}

void audience_clear(struct audience *audience)
{
    admin_addresses_clear(&audience->admins);
    audience->count = 0;
}

size_t audience_recipients(const struct audience *audience, const struct channel *channel)
{
    return channel->is_mail ? audience->admins.count : 1;
}

const char *audience_recipient(const struct audience *audience, const struct channel *channel,
                               size_t index)
{
    return channel->is_mail ? audience->admins.items[index] : "";
}

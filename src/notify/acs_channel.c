#include "notify/acs_channel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "notify/acs.h"
#include "notify/acs_account.h"

/* "Service limits for Azure Communication Services", e-mail: what a domain that Azure manages may
 * send in an hour. */
#define MANAGED_DOMAIN ".azurecomm.net"
#define MANAGED_HOURLY 10

struct link {
    struct acs_account account;
    struct acs *acs;
};

static bool check(const struct settings *settings, struct error *err)
{
    struct acs_account account = {.key_size = 0};
    bool ok =
        acs_account_parse(settings_get(settings, SETTING_ACS_CONNECTION_STRING), &account, err);

    acs_account_clear(&account);
    return ok;
}

static int64_t hourly(const struct settings *settings)
{
    const char *sender = settings_get(settings, SETTING_ACS_SENDER);
    size_t length = strlen(sender);
    size_t suffix = strlen(MANAGED_DOMAIN);
    bool managed = length > suffix && strcasecmp(sender + length - suffix, MANAGED_DOMAIN) == 0;

    return managed ? MANAGED_HOURLY : 0;
}

static void close_link(void *opened)
{
    struct link *link = opened;

    if (link != NULL) {
        acs_free(link->acs);
        acs_account_clear(&link->account);
        free(link);
    }
}

static void *open_link(const struct settings *settings, struct error *err)
{
    struct link *link = calloc(1, sizeof(*link));

    if (link == NULL) {
        error_set_memory(err);
        return NULL;
    }
    if (acs_account_parse(settings_get(settings, SETTING_ACS_CONNECTION_STRING), &link->account,
                          err)) {
        link->acs = acs_new(&link->account,
                            settings_get_number(settings, SETTING_CONNECT_TIMEOUT) * 1000, err);
    }
    if (link->acs == NULL) {
        close_link(link);
        return NULL;
    }
    return link;
}

static enum channel_result send_parcel(void *opened, const struct parcel *parcel,
                                       struct channel_answer *answer, struct error *err)
{
    struct link *link = opened;

    return acs_send(link->acs, parcel, answer, err);
}

static enum channel_result follow(void *opened, const struct channel_answer *accepted,
                                  struct error *err)
{
    struct link *link = opened;

    return acs_follow(link->acs, accepted, err);
}

static const enum setting_id needed[] = {SETTING_ACS_CONNECTION_STRING, SETTING_ACS_SENDER};

const struct channel acs_channel = {
    .name = "acs",
    .what = "e-mail",
    .is_mail = true,
    .settings = needed,
    .setting_count = sizeof(needed) / sizeof(needed[0]),
    .sender = SETTING_ACS_SENDER,
    .check = check,
    .hourly = hourly,
    .open = open_link,
    .send = send_parcel,
    .follow = follow,
    .close = close_link,
};

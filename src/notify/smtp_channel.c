#include "notify/smtp_channel.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "http/smtp.h"
#include "notify/recipients.h"
#include "notify/smtp_account.h"
#include "notify/smtp_message.h"

#define STALL_S  20
#define REPLY_MS (30 * 1000)

struct link {
    struct smtp_account account;
    struct smtp_server server;
    struct smtp_client *client;
};

static bool check(const struct settings *settings, struct error *err)
{
    struct smtp_account account = {.has_login = false};
    const char *sender = settings_get(settings, SETTING_SMTP_SENDER);
    bool ok = smtp_account_parse(settings_get(settings, SETTING_SMTP_URL), &account, err);

    smtp_account_clear(&account);
    if (ok && (!recipients_is_address(sender) || !text_is_printable_ascii(sender))) {
        ok = error_set(err, ERROR_CONFIG, "%s: '%.100s' is not an e-mail address alone",
                       settings_table[SETTING_SMTP_SENDER].name, sender);
    }
    return ok;
}

static void close_link(void *opened)
{
    struct link *link = opened;

    if (link != NULL) {
        smtp_client_free(link->client);
        smtp_account_clear(&link->account);
        free(link);
    }
}

static void *open_link(const struct settings *settings, struct error *err)
{
    int64_t connect_ms = settings_get_number(settings, SETTING_CONNECT_TIMEOUT) * 1000;
    const struct http_limits limits = {
        .connect_ms = connect_ms, .stall_s = STALL_S, .reply_ms = connect_ms + REPLY_MS};

    if (!check(settings, err)) {
        return NULL;
    }
    struct link *link = calloc(1, sizeof(*link));
    if (link == NULL) {
        error_set_memory(err);
        return NULL;
    }
    if (smtp_account_parse(settings_get(settings, SETTING_SMTP_URL), &link->account, err)) {
        const struct smtp_account *account = &link->account;
        link->server = (struct smtp_server){
            .url = account->url,
            .user = account->has_login ? account->user : NULL,
            .password = account->password,
            .must_encrypt = account->must_encrypt,
        };
        link->client = smtp_client_new(&link->server, &limits, err);
    }
    if (link->client == NULL) {
        close_link(link);
        return NULL;
    }
    return link;
}

/* RFC 5321, section 4.2.1: a server may take later what it answers 4xx to, and never 5xx. */
static enum channel_result judge(enum smtp_failure failure, int code, struct error *err)
{
    switch (failure) {
    case SMTP_REFUSED:
        if (code < 500) {
            return CHANNEL_LATER;
        }
        error_hint(err, "check SMTP_SENDER_ADDRESS, the recipient's address, and what the server "
                        "lets through");
        return CHANNEL_NEVER;
    case SMTP_NO_LOGIN:
        error_hint(err, "check user and password in SMTP_URL");
        return CHANNEL_UNREACHABLE;
    case SMTP_NO_TLS:
        error_hint(err, "nothing is sent to another host without TLS: check host, port and scheme "
                        "in SMTP_URL");
        return CHANNEL_UNREACHABLE;
    case SMTP_NO_ANSWER:
        return CHANNEL_UNREACHABLE;
    case SMTP_STOPPED:
        break;
    }
    return CHANNEL_STOPPED;
}

static enum channel_result send_parcel(void *opened, const struct parcel *parcel,
                                       struct channel_answer *answer, struct error *err)
{
    struct link *link = opened;
    char id[SMTP_MESSAGE_ID_SIZE];
    struct text data;
    enum smtp_failure failure;
    int code;

    if (!text_is_printable_ascii(parcel->to) || !text_is_printable_ascii(parcel->from) ||
        !recipients_is_address(parcel->from)) {
        error_set(err, ERROR_FAILED, "an address of it is not one in ASCII");
        return CHANNEL_NEVER;
    }
    if (!smtp_message_format(parcel, clock_utc_ms(), &data, err)) {
        text_clear(&data);
        return CHANNEL_LATER;
    }
    const struct smtp_mail mail = {
        .from = parcel->from, .to = parcel->to, .data = data.data, .size = data.length};
    bool ok = smtp_send(link->client, &mail, &failure, &code, err);
    text_clear(&data);
    if (!ok) {
        return judge(failure, code, err);
    }
    smtp_message_format_id(parcel, id);
    snprintf(answer->receipt, sizeof(answer->receipt), "%.*s", (int)sizeof(answer->receipt) - 1,
             id);
    return CHANNEL_DONE;
}

static const enum setting_id needed[] = {SETTING_SMTP_URL, SETTING_SMTP_SENDER};

const struct channel smtp_channel = {
    .name = "smtp",
    .what = "e-mail (SMTP)",
    .is_mail = true,
    .settings = needed,
    .setting_count = sizeof(needed) / sizeof(needed[0]),
    .sender = SETTING_SMTP_SENDER,
    .check = check,
    .open = open_link,
    .send = send_parcel,
    .close = close_link,
};

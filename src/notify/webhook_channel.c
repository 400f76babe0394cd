#include "notify/webhook_channel.h"

#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "notify/hook.h"
#include "notify/webhook_sign.h"

#define BODY_MOST (19 * 1024) /* the convention's advice is less than 20 KB */
#define ID_SIZE   64

struct link {
    struct hook *hook;
    struct webhook_keys keys;
};

/* Numbers where there are some; what is no instant is null. */
static json_t *fact_value(const struct message_item *item, enum message_fact fact, size_t limit)
{
    if (message_fact_names[fact].number != NULL) {
        return json_integer(item->numbers[fact]);
    }
    if (fact == FACT_NEXT_RUN && isdigit((unsigned char)item->values[fact][0]) == 0) {
        return json_null();
    }
    char *cut = message_cut_value(item->values[fact], limit);
    json_t *string = cut != NULL ? json_string(cut) : NULL;
    free(cut);
    return string;
}

static json_t *format_item(const struct message_item *item, size_t limit)
{
    json_t *object = json_object();

    for (int i = 0; i < FACT_COUNT; i++) {
        const struct message_fact_name *name = &message_fact_names[i];
        if (item->values[i] != NULL) {
            json_object_set_new(object, name->number != NULL ? name->number : name->name,
                                fact_value(item, (enum message_fact)i, limit));
        }
    }
    return object;
}

static char *format_within(const struct message *message, size_t limit)
{
    char subject[MESSAGE_SUBJECT_SIZE];
    char at[CLOCK_ISO_SIZE];
    json_t *others = json_array();

    message_subject(message, subject);
    clock_format_iso(at, message->at_ms);
    json_t *data = format_item(&message->items[0], limit);
    for (size_t i = 1; i < message->count; i++) {
        json_array_append_new(others, format_item(&message->items[i], limit));
    }
    json_object_set_new(data, "subject", json_string(subject));
    json_object_set_new(data, "others", others);
    json_object_set_new(data, "more", json_integer((json_int_t)message->more));
    json_t *document = json_pack("{s:s, s:s, s:o}", "type", message_words[message->kind].type,
                                 "timestamp", at, "data", data);
    char *text = json_dumps(document, JSON_COMPACT);
    json_decref(document);
    return text;
}

char *webhook_format(const struct message *message, struct error *err)
{
    return hook_fit(message, format_within, BODY_MOST, err);
}

static bool check(const struct settings *settings, struct error *err)
{
    struct webhook_keys keys = {.count = 0};
    bool ok = webhook_keys_parse(settings_get(settings, SETTING_WEBHOOK_SECRET), &keys, err) &&
              hook_check(settings, SETTING_WEBHOOK_URL, err);

    webhook_keys_clear(&keys);
    return ok;
}

static void close_link(void *opened)
{
    struct link *link = opened;

    if (link != NULL) {
        hook_free(link->hook);
        webhook_keys_clear(&link->keys);
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
    if (webhook_keys_parse(settings_get(settings, SETTING_WEBHOOK_SECRET), &link->keys, err)) {
        link->hook = hook_new(settings, SETTING_WEBHOOK_URL, err);
    }
    if (link->hook == NULL) {
        close_link(link);
        return NULL;
    }
    return link;
}

/* The id is the same in each attempt, the time is the attempt's. */
static enum channel_result post_signed(const struct link *link, const char *uuid, const char *body,
                                       struct channel_answer *answer, struct error *err)
{
    char id[ID_SIZE];
    char timestamp[24];
    char signature[WEBHOOK_SIGNATURE_SIZE];
    int64_t now_s = clock_utc_ms() / 1000;
    const struct http_header headers[] = {
        {"webhook-id", id}, {"webhook-timestamp", timestamp}, {"webhook-signature", signature}};
    const struct hook_post post = {
        .headers = headers, .header_count = sizeof(headers) / sizeof(headers[0]), .body = body};
    int status;

    snprintf(id, sizeof(id), "msg_%s", uuid);
    snprintf(timestamp, sizeof(timestamp), "%" PRId64, now_s);
    if (!webhook_sign(&link->keys, id, now_s, body, signature, err)) {
        return CHANNEL_LATER;
    }
    enum channel_result result = hook_send(link->hook, &post, &status, answer, err);
    /* The convention: 410 means never again; whatever else was wrong may have been corrected. */
    if (result == CHANNEL_NEVER && status != 410) {
        result = CHANNEL_LATER;
    }
    return result;
}

static enum channel_result send_parcel(void *link, const struct parcel *parcel,
                                       struct channel_answer *answer, struct error *err)
{
    char *body = webhook_format(parcel->message, err);

    if (body == NULL) {
        return CHANNEL_LATER;
    }
    enum channel_result result = post_signed(link, parcel->id, body, answer, err);
    free(body);
    return result;
}

static const enum setting_id needed[] = {SETTING_WEBHOOK_URL, SETTING_WEBHOOK_SECRET};

const struct channel webhook_channel = {
    .name = "webhook",
    .what = "webhook",
    .settings = needed,
    .setting_count = sizeof(needed) / sizeof(needed[0]),
    .check = check,
    .open = open_link,
    .send = send_parcel,
    .close = close_link,
};

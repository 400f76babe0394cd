#include "notify/teams_channel.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "notify/hook.h"

#define CARD_MOST (27 * 1024) /* Teams refuses more than 28 KB */
#define VALUE_CAP (2 * MESSAGE_LONGEST_VALUE)

static json_t *text_block(const char *text)
{
    return json_pack("{s:s, s:s, s:b}", "type", "TextBlock", "text", text, "wrap", 1);
}

static json_t *title_block(const char *text, const char *color)
{
    return json_pack("{s:s, s:s, s:b, s:s, s:s, s:s, s:s}", "type", "TextBlock", "text", text,
                     "wrap", 1, "weight", "Bolder", "size", "Medium", "style", "heading", "color",
                     color);
}

static json_t *escaped(const char *value, size_t limit)
{
    struct text out = TEXT_INIT(VALUE_CAP);
    char *cut = message_cut_value(value, limit);

    for (const char *c = cut; c != NULL && *c != '\0'; c++) {
        text_append(&out, strchr("\\*_[]`", *c) != NULL ? "\\" : "");
        text_append_bytes(&out, c, 1);
    }
    json_t *string = cut != NULL && !out.failed ? json_string(text_string(&out)) : NULL;
    text_clear(&out);
    free(cut);
    return string;
}

static json_t *fact_set(const struct message_item *item, size_t limit)
{
    json_t *facts = json_array();

    for (int i = 0; i < FACT_COUNT; i++) {
        if (item->values[i] != NULL) {
            json_array_append_new(facts,
                                  json_pack("{s:s, s:o}", "title", message_fact_names[i].label,
                                            "value", escaped(item->values[i], limit)));
        }
    }
    return json_pack("{s:s, s:o}", "type", "FactSet", "facts", facts);
}

static json_t *card_body(const struct message *message, size_t limit)
{
    const struct message_words *words = &message_words[message->kind];
    char subject[MESSAGE_SUBJECT_SIZE];
    char more[32];

    message_subject(message, subject);
    json_t *body = json_pack("[o, o]",
                             title_block(subject, words->is_bad                   ? "Attention"
                                                  : message->kind == MESSAGE_TEST ? "Default"
                                                                                  : "Good"),
                             text_block(message_sentence(message)));
    for (size_t i = 0; message->kind != MESSAGE_TEST && i < message->count; i++) {
        json_array_append_new(body, fact_set(&message->items[i], limit));
    }
    if (message->more > 0) {
        snprintf(more, sizeof(more), "and %zu more", message->more);
        json_array_append_new(body, text_block(more));
    }
    return body;
}

static char *format_within(const struct message *message, size_t limit)
{
    json_t *document = json_pack(
        "{s:s, s:[{s:s, s:n, s:{s:s, s:s, s:s, s:{s:s}, s:o}}]}", "type", "message", "attachments",
        "contentType", "application/vnd.microsoft.card.adaptive", "contentUrl", "content",
        "$schema", "http://adaptivecards.io/schemas/adaptive-card.json", "type", "AdaptiveCard",
        "version", "1.2", "msteams", "width", "full", "body", card_body(message, limit));
    char *text = json_dumps(document, JSON_COMPACT);

    json_decref(document);
    return text;
}

char *teams_format(const struct message *message, struct error *err)
{
    return hook_fit(message, format_within, CARD_MOST, err);
}

static bool check(const struct settings *settings, struct error *err)
{
    return hook_check(settings, SETTING_TEAMS_WEBHOOK_URL, err);
}

static void *open_link(const struct settings *settings, struct error *err)
{
    return hook_new(settings, SETTING_TEAMS_WEBHOOK_URL, err);
}

static enum channel_result send_parcel(void *link, const struct parcel *parcel,
                                       struct channel_answer *answer, struct error *err)
{
    static const int gone[] = {401, 403, 404, 410, 0};

    return hook_send_body(link, teams_format(parcel->message, err), gone,
                          "check TEAMS_WEBHOOK_URL, and that its flow still exists and is on",
                          answer, err);
}

static const enum setting_id needed[] = {SETTING_TEAMS_WEBHOOK_URL};

const struct channel teams_channel = {
    .name = "teams",
    .what = "Teams",
    .settings = needed,
    .setting_count = sizeof(needed) / sizeof(needed[0]),
    .check = check,
    .open = open_link,
    .send = send_parcel,
    .close = hook_close,
};

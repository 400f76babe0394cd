#include "notify/slack_channel.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "notify/hook.h"

/* A section's text may have 3000 characters; each of ours is a byte or more. */
#define SECTION_MOST 2900
#define SECTION_CAP  (64 * 1024)
/* Of all of it; the sections alone are bounded by the service. */
#define DOCUMENT_MOST (96 * 1024)

static void append_escaped(struct text *out, const char *value)
{
    for (const char *c = value; *c != '\0'; c++) {
        switch (*c) {
        case '&':
            text_append(out, "&amp;");
            break;
        case '<':
            text_append(out, "&lt;");
            break;
        case '>':
            text_append(out, "&gt;");
            break;
        default:
            text_append_bytes(out, c, 1);
        }
    }
}

static void append_item(struct text *out, const struct message_item *item, size_t limit)
{
    for (int i = 0; i < FACT_COUNT; i++) {
        if (item->values[i] == NULL) {
            continue;
        }
        char *value = message_cut_value(item->values[i], limit);
        out->failed = out->failed || value == NULL;
        text_appendf(out, "%s*%s:* ", out->length > 0 ? "\n" : "", message_fact_names[i].label);
        append_escaped(out, value != NULL ? value : "");
        free(value);
    }
}

static json_t *section(const char *markdown)
{
    return json_pack("{s:s, s:{s:s, s:s}}", "type", "section", "text", "type", "mrkdwn", "text",
                     markdown);
}

/* Values are made shorter until the section is short enough. */
static json_t *item_section(const struct message_item *item, size_t limit)
{
    json_t *made = NULL;

    for (;; limit /= 2) {
        struct text markdown = TEXT_INIT(SECTION_CAP);
        append_item(&markdown, item, limit);
        bool fits = !markdown.failed && markdown.length <= SECTION_MOST;
        if (fits) {
            made = section(text_string(&markdown));
        }
        text_clear(&markdown);
        if (fits || limit == 0) {
            return made;
        }
    }
}

static json_t *format_blocks(const struct message *message, const char *subject, size_t limit)
{
    char more[32];
    json_t *blocks = json_pack("[{s:s, s:{s:s, s:s}}, o]", "type", "header", "text", "type",
                               "plain_text", "text", subject, section(message_sentence(message)));

    for (size_t i = 0; message->kind != MESSAGE_TEST && i < message->count; i++) {
        json_array_append_new(blocks, item_section(&message->items[i], limit));
    }
    if (message->more > 0) {
        snprintf(more, sizeof(more), "and %zu more", message->more);
        json_array_append_new(blocks, section(more));
    }
    return blocks;
}

static char *format_within(const struct message *message, size_t limit)
{
    char subject[MESSAGE_SUBJECT_SIZE];

    message_subject(message, subject);
    json_t *document =
        json_pack("{s:s, s:o}", "text", subject, "blocks", format_blocks(message, subject, limit));
    char *text = json_dumps(document, JSON_COMPACT);
    json_decref(document);
    return text;
}

char *slack_format(const struct message *message, struct error *err)
{
    return hook_fit(message, format_within, DOCUMENT_MOST, err);
}

static bool check(const struct settings *settings, struct error *err)
{
    return hook_check(settings, SETTING_SLACK_WEBHOOK_URL, err);
}

static void *open_link(const struct settings *settings, struct error *err)
{
    return hook_new(settings, SETTING_SLACK_WEBHOOK_URL, err);
}

static enum channel_result send_parcel(void *link, const struct parcel *parcel,
                                       struct channel_answer *answer, struct error *err)
{
    static const int gone[] = {403, 404, 410, 0};

    return hook_send_body(link, slack_format(parcel->message, err), gone,
                          "check SLACK_WEBHOOK_URL, and that its channel still exists", answer,
                          err);
}

static const enum setting_id needed[] = {SETTING_SLACK_WEBHOOK_URL};

const struct channel slack_channel = {
    .name = "slack",
    .what = "Slack",
    .settings = needed,
    .setting_count = sizeof(needed) / sizeof(needed[0]),
    .check = check,
    .open = open_link,
    .send = send_parcel,
    .close = hook_close,
};

#include "notify/mail_text.h"

#include <stdlib.h>

#define BODY_CAP (256 * 1024)

/* The label and the value of the item's next fact from *fact on; false after the last. */
static bool next_fact(const struct message_item *item, int *fact, const char **label,
                      const char **value)
{
    while (*fact < FACT_COUNT && item->values[*fact] == NULL) {
        ++*fact;
    }
    if (*fact == FACT_COUNT) {
        return false;
    }
    *label = message_fact_names[*fact].label;
    *value = item->values[(*fact)++];
    return true;
}

static void append_value(struct text *out, const char *value, size_t limit, bool html)
{
    char *cut = message_cut_value(value, limit);

    if (cut == NULL) {
        out->failed = true;
    } else if (html) {
        text_append_html(out, cut);
    } else {
        text_append(out, cut);
    }
    free(cut);
}

static void write_plain_text(const struct message *message, const char *subject, struct text *out)
{
    const char *label;
    const char *value;
    bool any = false;

    text_appendf(out, "%s\n\n%s\n\n", subject, message_sentence(message));
    for (size_t i = 0; i < message->count; i++) {
        text_append(out, i > 0 ? "\n" : "");
        for (int fact = 0; next_fact(&message->items[i], &fact, &label, &value); any = true) {
            text_appendf(out, "%s: ", label);
            append_value(out, value, message_value_limit(message), false);
            text_append(out, "\n");
        }
    }
    if (message->more > 0) {
        text_appendf(out, "\nand %zu more\n", message->more);
    }
    text_append(out, any ? "\n-- \nrythm-backup\n" : "-- \nrythm-backup\n");
}

static void write_table(const struct message *message, const struct message_item *item,
                        struct text *out)
{
    const char *label;
    const char *value;

    text_append(out, "<table cellpadding=\"4\">\n");
    for (int fact = 0; next_fact(item, &fact, &label, &value);) {
        text_appendf(out, "<tr><th align=\"left\" valign=\"top\">%s</th><td>", label);
        append_value(out, value, message_value_limit(message), true);
        text_append(out, "</td></tr>\n");
    }
    text_append(out, "</table>\n");
}

static void write_html(const struct message *message, const char *subject, struct text *out)
{
    text_appendf(out,
                 "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">"
                 "<title>%s</title></head>\n"
                 "<body style=\"font-family: sans-serif\">\n<h2>%s</h2>\n<p>%s</p>\n",
                 subject, subject, message_sentence(message));
    for (size_t i = 0; message->kind != MESSAGE_TEST && i < message->count; i++) {
        text_append(out, i > 0 ? "<hr>\n" : "");
        write_table(message, &message->items[i], out);
    }
    if (message->more > 0) {
        text_appendf(out, "<p>and %zu more</p>\n", message->more);
    }
    text_append(out, "<p><small>rythm-backup</small></p>\n</body>\n</html>\n");
}

bool mail_text_format(const struct message *message, struct mail_text *out, struct error *err)
{
    char subject[MESSAGE_SUBJECT_SIZE];
    struct text plain_text = TEXT_INIT(BODY_CAP);
    struct text html = TEXT_INIT(BODY_CAP);

    message_subject(message, subject);
    *out = (struct mail_text){.subject = text_copy(subject)};
    write_plain_text(message, subject, &plain_text);
    write_html(message, subject, &html);
    if (!plain_text.failed && !html.failed) {
        out->plain_text = text_copy(text_string(&plain_text));
        out->html = text_copy(text_string(&html));
    }
    text_clear(&plain_text);
    text_clear(&html);
    if (out->subject == NULL || out->plain_text == NULL || out->html == NULL) {
        mail_text_clear(out);
        return error_set_memory(err);
    }
    return true;
}

void mail_text_clear(struct mail_text *text)
{
    free(text->subject);
    free(text->plain_text);
    free(text->html);
    *text = (struct mail_text){.subject = NULL};
}

#include "notify/message.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/redact.h"
#include "base/text.h"

#define SUBJECT_COMPLETED "✅ Database Backup Completed Successfully"
#define SUBJECT_FAILED    "❌ Database Backup Failed"
#define SUBJECT_REFUTED   "❌ Database Backup Verification Failed"
#define SUBJECT_TEST      "📧 Database Backup Test Message"

#define BODY_CAP       (256 * 1024)
#define MOST_ROWS      8
#define LONGEST_VALUE  4000        /* bytes of a value that are shown */
#define LONGEST_LOOKED (64 * 1024) /* bytes of it in which secrets are looked for */

struct row {
    const char *label;
    char *value;
};

/* What a message says: a sentence, then a table. */
struct content {
    const char *subject;
    const char *sentence;
    struct row rows[MOST_ROWS];
    size_t count;
    bool failed; /* memory is out */
};

/* U+0080 to U+009F: control characters too, which a terminal obeys. */
static void blank_c1_controls(char *string)
{
    for (unsigned char *s = (unsigned char *)string; *s != '\0'; s++) {
        if (s[0] == 0xc2 && s[1] >= 0x80 && s[1] <= 0x9f) {
            s[0] = ' ';
            s[1] = ' ';
        }
    }
}

/* A NULL value has no row. */
static void add_row(struct content *content, const char *label, const char *value)
{
    if (value == NULL) {
        return;
    }
    char *copy = strndup(value, LONGEST_LOOKED);
    if (copy == NULL) {
        content->failed = true;
        return;
    }
    redact_text(copy);
    if (strlen(copy) > LONGEST_VALUE) {
        copy[LONGEST_VALUE] = '\0';
    }
    text_cut_utf8(copy);
    blank_c1_controls(copy);
    text_make_one_line(copy);
    content->rows[content->count++] = (struct row){label, copy};
}

static void write_plain_text(const struct content *content, struct text *out)
{
    text_appendf(out, "%s\n\n%s\n\n", content->subject, content->sentence);
    for (size_t i = 0; i < content->count; i++) {
        const struct row *row = &content->rows[i];
        text_appendf(out, "%s: %s\n", row->label, row->value);
    }
    text_append(out, content->count > 0 ? "\n-- \nrythm-backup\n" : "-- \nrythm-backup\n");
}

static void write_html(const struct content *content, struct text *out)
{
    text_appendf(out,
                 "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">"
                 "<title>%s</title></head>\n"
                 "<body style=\"font-family: sans-serif\">\n<h2>%s</h2>\n<p>%s</p>\n",
                 content->subject, content->subject, content->sentence);
    if (content->count > 0) {
        text_append(out, "<table cellpadding=\"4\">\n");
    }
    for (size_t i = 0; i < content->count; i++) {
        const struct row *row = &content->rows[i];
        text_appendf(out, "<tr><th align=\"left\" valign=\"top\">%s</th><td>", row->label);
        text_append_html(out, row->value);
        text_append(out, "</td></tr>\n");
    }
    if (content->count > 0) {
        text_append(out, "</table>\n");
    }
    text_append(out, "<p><small>rythm-backup</small></p>\n</body>\n</html>\n");
}

/* Consumes the content. */
static bool write_message(struct content *content, struct message *out, struct error *err)
{
    struct text plain_text = TEXT_INIT(BODY_CAP);
    struct text html = TEXT_INIT(BODY_CAP);

    *out = (struct message){.subject = text_copy(content->subject)};
    write_plain_text(content, &plain_text);
    write_html(content, &html);
    if (!plain_text.failed && !html.failed) {
        out->plain_text = text_copy(text_string(&plain_text));
        out->html = text_copy(text_string(&html));
    }
    text_clear(&plain_text);
    text_clear(&html);
    for (size_t i = 0; i < content->count; i++) {
        free(content->rows[i].value);
    }
    if (content->failed || out->subject == NULL || out->plain_text == NULL || out->html == NULL) {
        message_clear(out);
        return error_set_memory(err);
    }
    return true;
}

bool message_for_outcome(const struct outcome *outcome, struct message *out, struct error *err)
{
    char size[TEXT_BYTES_SIZE];
    char duration[CLOCK_DURATION_SIZE];
    char at[CLOCK_ISO_SIZE];
    char next[CLOCK_ISO_SIZE] = "not scheduled";
    struct content content = {
        .subject = outcome->completed ? SUBJECT_COMPLETED : SUBJECT_FAILED,
        .sentence = !outcome->completed ? "The database backup failed; the error is below."
                    : outcome->missing_in != NULL
                        ? "The database backup was created and stored, but not in every store; it "
                          "will be copied there."
                        : "The database backup was created and stored.",
    };

    text_format_bytes(size, outcome->bytes);
    clock_format_duration(duration, outcome->duration_ms);
    clock_format_iso(at, outcome->at_ms);
    if (outcome->has_next) {
        clock_format_iso(next, outcome->next_ms);
    }
    add_row(&content, "Backup ID", outcome->history_id);
    add_row(&content, "Backup", outcome->name);
    add_row(&content, "Database", outcome->database);
    add_row(&content, "Size", outcome->completed ? size : NULL);
    add_row(&content, "Duration", duration);
    add_row(&content, "Timestamp", at);
    add_row(&content, "Next run", next);
    add_row(&content, "Missing in", outcome->missing_in);
    if (!outcome->completed) {
        add_row(&content, "Error", outcome->error != NULL ? outcome->error : "no reason is known");
    }
    return write_message(&content, out, err);
}

bool message_for_refutation(const struct refutation *refutation, struct message *out,
                            struct error *err)
{
    char begun[CLOCK_ISO_SIZE];
    char duration[CLOCK_DURATION_SIZE];
    char at[CLOCK_ISO_SIZE];
    struct content content = {
        .subject = SUBJECT_REFUTED,
        .sentence = "The database backup was found to be bad: do not rely on it. The error is "
                    "below.",
    };

    clock_format_iso(begun, refutation->begun_ms);
    clock_format_duration(duration, refutation->duration_ms);
    clock_format_iso(at, refutation->at_ms);
    add_row(&content, "Backup", refutation->name);
    add_row(&content, "Database", refutation->database);
    add_row(&content, "Backup made", begun);
    add_row(&content, "Duration", duration);
    add_row(&content, "Timestamp", at);
    add_row(&content, "Error",
            refutation->error != NULL ? refutation->error : "no reason is known");
    return write_message(&content, out, err);
}

bool message_for_test(struct message *out, struct error *err)
{
    struct content content = {
        .subject = SUBJECT_TEST,
        .sentence = "This is a test message: notifications about backups reach this address.",
    };

    return write_message(&content, out, err);
}

void message_clear(struct message *message)
{
    free(message->subject);
    free(message->plain_text);
    free(message->html);
    *message = (struct message){.subject = NULL};
}

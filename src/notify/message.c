#include "notify/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/redact.h"

#define LONGEST_LOOKED (64 * 1024) /* bytes of a value in which secrets are looked for */

const struct message_words message_words[MESSAGE_KINDS] = {
    [MESSAGE_COMPLETED] = {"backup.completed", "✅ Database Backup Completed Successfully",
                           "The database backup was created and stored.",
                           "✅ %zu Database Backups Completed Successfully", false},
    [MESSAGE_FAILED] = {"backup.failed", "❌ Database Backup Failed",
                        "The database backup failed; the error is below.",
                        "❌ %zu Database Backups Failed", true},
    [MESSAGE_REFUTED] = {"backup.verification_failed", "❌ Database Backup Verification Failed",
                         "The database backup was found to be bad: do not rely on it. The error is "
                         "below.",
                         "❌ %zu Database Backup Verifications Failed", true},
    [MESSAGE_TEST] = {"backup.test", "📧 Database Backup Test Message",
                      "This is a test message: notifications about backups reach this address.",
                      NULL, false},
};

const struct message_fact_name message_fact_names[FACT_COUNT] = {
    [FACT_BACKUP_ID] = {"Backup ID", "backup_id", NULL},
    [FACT_BACKUP] = {"Backup", "backup", NULL},
    [FACT_DATABASE] = {"Database", "database", NULL},
    [FACT_MADE] = {"Backup made", "made_at", NULL},
    [FACT_SIZE] = {"Size", "size", "bytes"},
    [FACT_DURATION] = {"Duration", "duration", "duration_ms"},
    [FACT_TIMESTAMP] = {"Timestamp", "ended_at", NULL},
    [FACT_NEXT_RUN] = {"Next run", "next_run", NULL},
    [FACT_MISSING_IN] = {"Missing in", "missing_in", NULL},
    [FACT_ERROR] = {"Error", "error", NULL},
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

/* Clean, and no longer than anybody shows; NULL when memory is out. */
static char *clean_value(const char *value)
{
    char *copy = strndup(value, LONGEST_LOOKED);

    if (copy == NULL) {
        return NULL;
    }
    redact_text(copy);
    if (strlen(copy) > MESSAGE_LONGEST_VALUE) {
        copy[MESSAGE_LONGEST_VALUE] = '\0';
    }
    text_cut_utf8(copy);
    blank_c1_controls(copy);
    text_make_one_line(copy);
    return copy;
}

/* A NULL value is no fact. */
static bool set(struct message_item *item, enum message_fact fact, const char *value)
{
    if (value == NULL) {
        return true;
    }
    item->values[fact] = clean_value(value);
    return item->values[fact] != NULL;
}

static bool begin(struct message *out, enum message_kind kind, int64_t at_ms, struct error *err)
{
    *out = (struct message){.kind = kind, .at_ms = at_ms};
    out->items = calloc(1, sizeof(*out->items));
    if (out->items == NULL) {
        return error_set_memory(err);
    }
    out->count = 1;
    return true;
}

static void clear_item(struct message_item *item)
{
    for (int i = 0; i < FACT_COUNT; i++) {
        free(item->values[i]);
    }
}

const char *message_sentence(const struct message *message)
{
    if (message->kind == MESSAGE_COMPLETED && message->count > 0 &&
        message->items[0].values[FACT_MISSING_IN] != NULL) {
        return "The database backup was created and stored, but not in every store; it will be "
               "copied there.";
    }
    return message_words[message->kind].sentence;
}

bool message_for_outcome(const struct outcome *outcome, struct message *out, struct error *err)
{
    char size[TEXT_BYTES_SIZE];
    char duration[CLOCK_DURATION_SIZE];
    char at[CLOCK_ISO_SIZE];
    char next[CLOCK_ISO_SIZE] = "not scheduled";
    const char *why = outcome->error != NULL ? outcome->error : "no reason is known";

    if (!begin(out, outcome->completed ? MESSAGE_COMPLETED : MESSAGE_FAILED, outcome->at_ms, err)) {
        return false;
    }
    text_format_bytes(size, outcome->bytes);
    clock_format_duration(duration, outcome->duration_ms);
    clock_format_iso(at, outcome->at_ms);
    if (outcome->has_next) {
        clock_format_iso(next, outcome->next_ms);
    }
    struct message_item *item = &out->items[0];
    item->numbers[FACT_SIZE] = (int64_t)outcome->bytes;
    item->numbers[FACT_DURATION] = outcome->duration_ms;
    bool ok = set(item, FACT_BACKUP_ID, outcome->history_id) &&
              set(item, FACT_BACKUP, outcome->name) &&
              set(item, FACT_DATABASE, outcome->database) &&
              set(item, FACT_SIZE, outcome->completed ? size : NULL) &&
              set(item, FACT_DURATION, duration) && set(item, FACT_TIMESTAMP, at) &&
              set(item, FACT_NEXT_RUN, next) && set(item, FACT_MISSING_IN, outcome->missing_in) &&
              set(item, FACT_ERROR, outcome->completed ? NULL : why);
    return ok ? true : error_set_memory(err);
}

bool message_for_refutation(const struct refutation *refutation, struct message *out,
                            struct error *err)
{
    char begun[CLOCK_ISO_SIZE];
    char duration[CLOCK_DURATION_SIZE];
    char at[CLOCK_ISO_SIZE];

    if (!begin(out, MESSAGE_REFUTED, refutation->at_ms, err)) {
        return false;
    }
    clock_format_iso(begun, refutation->begun_ms);
    clock_format_duration(duration, refutation->duration_ms);
    clock_format_iso(at, refutation->at_ms);
    struct message_item *item = &out->items[0];
    item->numbers[FACT_DURATION] = refutation->duration_ms;
    bool ok =
        set(item, FACT_BACKUP, refutation->name) &&
        set(item, FACT_DATABASE, refutation->database) && set(item, FACT_MADE, begun) &&
        set(item, FACT_DURATION, duration) && set(item, FACT_TIMESTAMP, at) &&
        set(item, FACT_ERROR, refutation->error != NULL ? refutation->error : "no reason is known");
    return ok ? true : error_set_memory(err);
}

bool message_for_test(int64_t at_ms, struct message *out, struct error *err)
{
    return begin(out, MESSAGE_TEST, at_ms, err);
}

void message_clear(struct message *message)
{
    for (size_t i = 0; i < message->count; i++) {
        clear_item(&message->items[i]);
    }
    free(message->items);
    *message = (struct message){.items = NULL};
}

bool message_merge(struct message *message, struct message *other, struct error *err)
{
    struct message_item *items =
        reallocarray(message->items, message->count + other->count, sizeof(*items));

    if (items == NULL) {
        return error_set_memory(err);
    }
    message->items = items;
    for (size_t i = 0; i < other->count; i++) {
        if (message->count < MESSAGE_MOST_ITEMS) {
            items[message->count++] = other->items[i];
        } else {
            clear_item(&other->items[i]);
            message->more++;
        }
    }
    message->more += other->more;
    if (other->at_ms > message->at_ms) {
        message->at_ms = other->at_ms;
    }
    other->count = 0;
    return true;
}

void message_subject(const struct message *message, char out[MESSAGE_SUBJECT_SIZE])
{
    const struct message_words *words = &message_words[message->kind];
    size_t count = message->count + message->more;

    if (count < 2 || words->many == NULL) {
        snprintf(out, MESSAGE_SUBJECT_SIZE, "%s", words->subject);
        return;
    }
    const char *number = strstr(words->many, "%zu");
    snprintf(out, MESSAGE_SUBJECT_SIZE, "%.*s%zu%s", (int)(number - words->many), words->many,
             count, number + strlen("%zu"));
}

size_t message_value_limit(const struct message *message)
{
    return message->count > 1 ? MESSAGE_SHORT_VALUE : MESSAGE_LONGEST_VALUE;
}

char *message_cut_value(const char *value, size_t limit)
{
    char *cut = strndup(value, limit);

    if (cut != NULL) {
        text_cut_utf8(cut);
    }
    return cut;
}

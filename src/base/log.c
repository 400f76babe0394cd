#include "base/log.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_memory.h"
#include "base/log_tail.h"
#include "base/redact.h"
#include "base/text.h"

#define LINE_SIZE 4096

static struct {
    enum log_level level;
    enum log_format format;
    bool emoji;
} config = {.level = LOG_INFO};

static const struct {
    const char *emoji;
    const char *ascii;
} marks[] = {
    [LOG_MARK_NONE] = {"", ""},
    [LOG_MARK_MATCHED] = {"🎯 ", "[due] "},
    [LOG_MARK_BACKUP] = {"📦 ", "[backup] "},
    [LOG_MARK_OK] = {"✅ ", "[ok] "},
    [LOG_MARK_MAIL] = {"📧 ", "[mail] "},
    [LOG_MARK_NOTE] = {"ℹ️  ", "[note] "},
    [LOG_MARK_WARNING] = {"⚠️  ", "[warning] "},
    [LOG_MARK_FAILED] = {"❌ ", "[error] "},
    [LOG_MARK_PRUNE] = {"🧹 ", "[prune] "},
    [LOG_MARK_DETAIL] = {"   ", "   "},
};

void log_configure(enum log_level level, enum log_format format, bool emoji)
{
    config.level = level;
    config.format = format;
    config.emoji = emoji;
}

bool log_enabled(enum log_level level)
{
    return level <= config.level;
}

static void write_line(const char *line, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDERR_FILENO, line, length);
        if (written <= 0) {
            return;
        }
        line += written;
        length -= (size_t)written;
    }
}

static void write_text(const struct log_line *line, const char *message)
{
    /* No memory of the heap: that it has run out must be said, too. */
    char whole[LINE_SIZE + 32];
    int length =
        snprintf(whole, sizeof(whole), "%s%s\n",
                 config.emoji ? marks[line->mark].emoji : marks[line->mark].ascii, message);

    if (length > 0 && (size_t)length < sizeof(whole)) {
        write_line(whole, (size_t)length);
    }
}

/* Field values come from the same places as messages do and are cleaned in the same way. */
static json_t *clean_string(const char *value)
{
    char *copy = text_copy(value);

    if (copy == NULL) {
        return NULL;
    }
    redact_text(copy);
    text_cut_utf8(copy);
    json_t *string = json_string(copy);
    free(copy);
    return string;
}

static void write_json(const struct log_line *line, const char *message)
{
    static const char *const levels[] = {"error", "warning", "info", "debug"};
    char time[CLOCK_ISO_SIZE];
    unsigned refusals = json_memory_refusals();
    bool written = false;

    clock_format_iso(time, clock_utc_ms());
    json_t *object = json_pack("{s:s, s:s, s:s, s:s}", "time", time, "level", levels[line->level],
                               "event", line->event, "message", message);
    for (size_t i = 0; object != NULL && i < line->field_count; i++) {
        const struct log_field *field = &line->fields[i];
        if (field->is_number) {
            json_object_set_new(object, field->name, json_integer(field->number));
        } else if (field->text != NULL) {
            json_object_set_new(object, field->name, clean_string(field->text));
        }
    }
    char *text = json_dumps(object, JSON_COMPACT);
    if (text != NULL && json_memory_refusals() == refusals) {
        struct text out = TEXT_INIT(LINE_SIZE * 16);
        text_append(&out, text);
        text_append(&out, "\n");
        written = !out.failed;
        if (written) {
            write_line(text_string(&out), out.length);
        }
        text_clear(&out);
    }
    if (!written) {
        dprintf(STDERR_FILENO, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"}\n", time,
                levels[line->level], line->event);
    }
    free(text);
    json_decref(object);
}

void log_write(const struct log_line *line, const char *format, ...)
{
    /* Longer than a line may be: half a secret at the cut would not be recognised. */
    char message[LINE_SIZE * 4];
    va_list args;

    if (!log_enabled(line->level) && line->level > LOG_INFO) {
        return;
    }
    va_start(args, format);
    int length = vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    if (length < 0) {
        return;
    }
    if ((size_t)length >= sizeof(message)) {
        redact_cut(message);
    } else {
        redact_text(message);
    }
    message[LINE_SIZE - 1] = '\0';
    text_make_one_line(message);
    text_cut_utf8(message);
    if (line->level <= LOG_INFO) {
        log_tail_add(message);
    }
    if (!log_enabled(line->level)) {
        return;
    }
    if (config.format == LOG_FORMAT_JSON) {
        write_json(line, message);
    } else {
        write_text(line, message);
    }
}

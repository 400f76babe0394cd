/*
 * The log, on standard error: text for people, or one JSON object a line. What a command reports as
 * its result goes to standard output instead (commands/output.h).
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* The sign at the start of a text line: an emoji as the old service printed it where the locale is
 * UTF-8 and NO_COLOR is not set, else an ASCII tag; left out of JSON, where `event` says it. */
enum log_mark {
    LOG_MARK_NONE,
    LOG_MARK_MATCHED,
    LOG_MARK_BACKUP,
    LOG_MARK_OK,
    LOG_MARK_MAIL,
    LOG_MARK_NOTE,
    LOG_MARK_WARNING,
    LOG_MARK_FAILED,
    LOG_MARK_PRUNE,
    LOG_MARK_DETAIL, /* three spaces: belongs to the line above */
};

/* A named value for the JSON form; a NULL text is left out. */
struct log_field {
    const char *name;
    const char *text;
    int64_t number;
    bool is_number;
};
#define LOG_TEXT(field, value) ((struct log_field){.name = (field), .text = (value)})
#define LOG_NUMBER(field, value)                                                                   \
    ((struct log_field){.name = (field), .number = (value), .is_number = true})

struct log_line {
    enum log_level level;
    enum log_mark mark;
    const char *event; /* snake_case and stable: what JSON readers match on */
    const struct log_field *fields;
    size_t field_count;
};

/* Lines above `level` are dropped. `emoji` decides what marks look like. Call before threads. */
void log_configure(enum log_level level, enum log_format format, bool emoji);
bool log_enabled(enum log_level level);

/* Writes one line: control bytes are replaced, secrets masked, one write(2) per line. A log that
 * cannot be written is nobody's failure. */
void log_write(const struct log_line *line, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A line with fields:
 *     log_write(&LOG_WITH(LOG_INFO, LOG_MARK_OK, "backup_completed", LOG_TEXT("name", name),
 *                         LOG_NUMBER("bytes", bytes)), "Backup created: %s", name);
 * and the short forms for lines without. */
#define LOG_WITH(the_level, the_mark, the_event, ...)                                              \
    ((const struct log_line){.level = (the_level),                                                 \
                             .mark = (the_mark),                                                   \
                             .event = (the_event),                                                 \
                             .fields = (const struct log_field[]){__VA_ARGS__},                    \
                             .field_count = sizeof((const struct log_field[]){__VA_ARGS__}) /      \
                                            sizeof(struct log_field)})
#define LOG_LINE(the_level, the_mark, the_event)                                                   \
    ((const struct log_line){                                                                      \
        .level = (the_level), .mark = (the_mark), .event = (the_event), .field_count = 0})
#define log_info(mark, event, ...) log_write(&LOG_LINE(LOG_INFO, mark, event), __VA_ARGS__)

#define log_debug(event, ...) log_write(&LOG_LINE(LOG_DEBUG, LOG_MARK_NONE, event), __VA_ARGS__)

#define log_warning(event, ...)                                                                    \
    log_write(&LOG_LINE(LOG_WARNING, LOG_MARK_WARNING, event), __VA_ARGS__)

#define log_error(event, ...) log_write(&LOG_LINE(LOG_ERROR, LOG_MARK_FAILED, event), __VA_ARGS__)

#endif

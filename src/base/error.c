#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/redact.h"
#include "base/text.h"

const struct exit_code error_exit_codes[] = {
    {0, "done, nothing was due, or (check) another process holds the lock"},
    {1, "the operation failed, or (status) a backup is overdue or failed"},
    {2, "wrong usage or configuration"},
    {3, "done but degraded: a prune, notification or store failed, or a schedule's row is wrong"},
    {4, "(run, schedule remove) another process is backing up this schedule"},
};
const size_t error_exit_code_count = sizeof(error_exit_codes) / sizeof(error_exit_codes[0]);

int error_exit_code(enum error_kind kind)
{
    switch (kind) {
    case ERROR_NONE:
        return 0;
    case ERROR_USAGE:
    case ERROR_CONFIG:
        return 2;
    case ERROR_DEGRADED:
        return 3;
    case ERROR_BUSY:
        return 4;
    case ERROR_FAILED:
    case ERROR_DAMAGED:
    case ERROR_STOPPED:
        break;
    }
    return 1;
}

void error_clear(struct error *err)
{
    err->kind = ERROR_NONE;
    err->retryable = false;
    err->text[0] = '\0';
}

/* Foreign text may hold line breaks and control bytes; an error is one printable line. */
static void tidy(struct error *err)
{
    redact_text(err->text);
    text_make_one_line(err->text);
    text_cut_utf8(err->text);
}

__attribute__((format(printf, 2, 0))) static void format_text(struct error *err, const char *format,
                                                              va_list args)
{
    char whole[ERROR_TEXT_SIZE * 4];

    int wanted = vsnprintf(whole, sizeof(whole), format, args);
    if (wanted < 0) {
        snprintf(whole, sizeof(whole), "an error that could not be put into words");
    }
    /* Before the cut: half a secret would not be recognised. */
    if (wanted >= (int)sizeof(whole)) {
        redact_cut(whole);
    } else {
        redact_text(whole);
    }
    size_t length = strnlen(whole, sizeof(err->text) - 1);
    memcpy(err->text, whole, length);
    err->text[length] = '\0';
}

bool error_set(struct error *err, enum error_kind kind, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    format_text(err, format, args);
    va_end(args);
    err->kind = kind;
    err->retryable = false;
    tidy(err);
    return false;
}

bool error_set_system(struct error *err, int errnum, const char *format, ...)
{
    char reason[128];
    va_list args;

    va_start(args, format);
    format_text(err, format, args);
    va_end(args);
    err->kind = ERROR_FAILED;
    err->retryable = false;
    tidy(err);
    size_t used = strlen(err->text);
    /* The GNU strerror_r may return a constant instead of filling the buffer. */
    snprintf(err->text + used, sizeof(err->text) - used, ": %s",
             strerror_r(errnum, reason, sizeof(reason)));
    return false;
}

void error_note_memory(struct error *err)
{
    error_set(err, ERROR_FAILED, "out of memory");
}

bool error_prefix(struct error *err, const char *format, ...)
{
    char inner[ERROR_TEXT_SIZE];
    va_list args;

    memcpy(inner, err->text, sizeof(inner));
    va_start(args, format);
    format_text(err, format, args);
    va_end(args);
    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof(err->text) - used, ": %s", inner);
    tidy(err);
    return false;
}

bool error_hint(struct error *err, const char *format, ...)
{
    char hint[512];
    va_list args;

    va_start(args, format);
    if (vsnprintf(hint, sizeof(hint), format, args) < 0) {
        hint[0] = '\0';
    }
    va_end(args);
    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof(err->text) - used, "; %s", hint);
    tidy(err);
    return false;
}

/*
 * What went wrong, owned by the caller and filled in by the function that failed.
 *
 * A text is built outward: the innermost function says what the system told it, each caller may
 * put in front what it was doing ("uploading block 7: ..."), and may add what to do next. Secrets
 * registered with base/redact.h never reach the text. Not for control flow between neighbours: an
 * outcome that a caller handles in the ordinary way (not found, exists) is an output, not an error.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>

#define ERROR_TEXT_SIZE 2048

enum error_kind {
    ERROR_NONE,
    ERROR_FAILED,   /* the operation was tried and failed */
    ERROR_DAMAGED,  /* what was read is not what had been written: a backup is not good */
    ERROR_USAGE,    /* the command line is wrong */
    ERROR_CONFIG,   /* a setting, a schedule or the database's set-up is wrong: a person must act */
    ERROR_BUSY,     /* another process holds the schedule's lock */
    ERROR_DEGRADED, /* the backup is good, something beside it failed (invariant I7) */
    ERROR_STOPPED,  /* a signal asked us to stop */
};

struct error {
    enum error_kind kind;
    bool retryable; /* the same call may succeed later, unchanged */
    char text[ERROR_TEXT_SIZE];
};

/* Every exit code that is not a signal, for error_exit_code(), --help and the man page's check. */
struct exit_code {
    int code;
    const char *meaning;
};
extern const struct exit_code error_exit_codes[];
extern const size_t error_exit_code_count;

/* An error that holds nothing, to start from. */
#define ERROR_INIT                                                                                 \
    {                                                                                              \
        .kind = ERROR_NONE                                                                         \
    }

void error_clear(struct error *err);

/* Sets kind and text, drops what was there; always returns false so that a caller can return it.
 * A text that does not fit is cut at a character boundary. */
bool error_set(struct error *err, enum error_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As error_set(ERROR_FAILED), followed by ": " and the system's text for this errno. */
bool error_set_system(struct error *err, int errnum, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The error for memory that could not be had; always false (inline, so that analysers know). */
void error_note_memory(struct error *err);
static inline bool error_set_memory(struct error *err)
{
    error_note_memory(err);
    return false;
}

/* Puts "text: " in front of what the error says; returns false. */
bool error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds "; text": what to do next. Returns false. */
bool error_hint(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The process's exit code for this kind; ERROR_STOPPED has none of its own (128 + signal). */
int error_exit_code(enum error_kind kind);

#endif

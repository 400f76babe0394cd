/*
 * Invariant I9: no secret in a log line, an error text, a table or a mail. Secrets are registered
 * as they become known, in any thread; every error and every log line passes through redact_text().
 * This list, the log's own settings and its tail are the process's only mutable globals beside the
 * stop flag.
 */
#ifndef BASE_REDACT_H
#define BASE_REDACT_H

#include <stddef.h>

/* Remembers a secret and what URLs, base64 and JSON make of it. Values under 4 bytes, and pieces of
 * this program's name, are ignored: they would mask ordinary words, and the patterns below catch
 * them where they stand. NULL is ignored. When the list is full or memory is out, the patterns
 * remain.
 */
void redact_register(const char *secret);
/* The same for what is used for an hour and then replaced: of those, the newest 16 are remembered.
 */
void redact_register_token(const char *token);

/* Masks in place every registered secret, and whatever follows a name that announces one
 * (password=, AccountKey=, accesskey=, SharedAccessSignature=, sig=, Authorization:, and the
 * password in scheme://user:password@). The result is never longer. */
void redact_text(char *text);

/* The same for a text that was cut off: the beginning of a secret at its end goes, too. */
void redact_cut(char *text);

/* Copies as much as fits of `length` bytes from outside, masked like that; whole UTF-8 characters,
 * and ended by a NUL. `size` is not 0. */
void redact_copy(char *out, size_t size, const char *text, size_t length);

/* Forgets and wipes everything; for the end of the process. */
void redact_clear(void);

#endif

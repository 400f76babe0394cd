/*
 * The words of a notification: from a run's or a verification's outcome to subject, plain text and
 * HTML. Pure.
 */
#ifndef NOTIFY_MESSAGE_H
#define NOTIFY_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct outcome {
    const char *key; /* the same news has the same key: one notification per key and recipient */
    bool completed;
    const char *history_id; /* the "backup id" */
    const char *run_id;
    const char *name;     /* of the backup */
    const char *database; /* or NULL */
    uint64_t bytes;       /* completed only */
    int64_t duration_ms;
    int64_t at_ms; /* when it ended */
    bool has_next;
    int64_t next_ms;
    const char *error;      /* failed only */
    const char *missing_in; /* completed only: the stores that do not have it, and why; or NULL */
};

/* A verification that failed. (One that went well is no news.) */
struct refutation {
    const char *key; /* as an outcome's */
    const char *run_id;
    const char *name;     /* of the backup */
    const char *database; /* or NULL */
    int64_t begun_ms;     /* when the backup was */
    int64_t duration_ms;  /* of the verification */
    int64_t at_ms;        /* when it ended */
    const char *error;
};

struct message {
    char *subject;
    char *plain_text; /* lines end in LF */
    char *html;       /* everything from outside escaped */
};

/* The caller clears it, also after a failure. */
bool message_for_outcome(const struct outcome *outcome, struct message *out, struct error *err);
bool message_for_refutation(const struct refutation *refutation, struct message *out,
                            struct error *err);
bool message_for_test(struct message *out, struct error *err);
void message_clear(struct message *message);

#endif

/*
 * A channel: one way to tell somebody. Each is a descriptor in a file of its own; the outbox knows
 * no other way to use one, and a channel knows neither the outbox, nor another channel, nor a
 * store.
 *
 * To add one: src/notify/NAME_channel.c with its descriptor, a row in channel_table[]
 * (channel_table.c), the start of its files' names in "channels" in tests/lint/includes, its
 * settings, the manual (NOTIFICATIONS), tests against a stub that refuses what the service refuses.
 */
#ifndef NOTIFY_CHANNEL_H
#define NOTIFY_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/settings.h"
#include "notify/message.h"

/* What came of an attempt; all but CHANNEL_DONE with an error that says why. */
enum channel_result {
    CHANNEL_DONE,
    CHANNEL_LATER,       /* may succeed at another time */
    CHANNEL_THROTTLED,   /* as CHANNEL_LATER, and the service wants no more for the moment */
    CHANNEL_UNREACHABLE, /* as CHANNEL_LATER, and nothing else would fare better now */
    CHANNEL_NEVER,       /* this one cannot be sent */
    CHANNEL_STOPPED,     /* a signal asked us to stop */
};

/* One thing to send. */
struct parcel {
    const char *id; /* a UUID: the same one whenever this is sent again */
    /* Of a mail; NULL for all others. */
    const char *to;
    const char *from;
    const char *subject;
    const char *plain_text;
    const char *html;
    /* Of all others; NULL for a mail. */
    const struct message *message;
};

#define CHANNEL_RECEIPT_SIZE 128

struct channel_answer {
    char receipt[CHANNEL_RECEIPT_SIZE]; /* the service's id of what it has accepted, or "" */
    int64_t
        wait_ms; /* what the service asks for before the next attempt, or question; 0: nothing */
};

struct channel {
    const char *name; /* in tables and options: "slack" */
    const char *what; /* for people: "Slack" */
    bool is_mail;     /* goes to the admins' addresses, each with a row in email_logs */
    /* What it cannot do without: it is configured when all of these are set. */
    const enum setting_id *settings;
    size_t setting_count;
    enum setting_id sender; /* is_mail: which of them has the sender's address */

    /* Whether its settings are right, as far as that can be told without asking anybody. */
    bool (*check)(const struct settings *settings, struct error *err);
    /* How many an hour its service takes; 0: that is not known. Or NULL. */
    int64_t (*hourly)(const struct settings *settings);
    /* For sending some, one after another; its settings are all set. Asks nobody yet. */
    void *(*open)(const struct settings *settings, struct error *err);
    enum channel_result (*send)(void *link, const struct parcel *parcel,
                                struct channel_answer *answer, struct error *err);
    /* What became of what the service has accepted: CHANNEL_DONE, CHANNEL_NEVER, or to be asked
     * again. NULL where accepting is the end of it. */
    enum channel_result (*follow)(void *link, const struct channel_answer *accepted,
                                  struct error *err);
    void (*close)(void *link); /* NULL is fine */
};

/* Every channel; ends with NULL. */
extern const struct channel *const channel_table[];
#define CHANNEL_MOST 8

const struct channel *channel_find(const char *name);
/* What is secret in the settings of all channels is registered for redaction: one service may quote
 * what is another's. */
void channel_register_secrets(const struct settings *settings);
/* The first setting that a channel lacks, or NULL. *begun: it has some of them, so that it was
 * meant to be used. */
const char *channel_missing(const struct channel *channel, const struct settings *settings,
                            bool *begun);

#endif

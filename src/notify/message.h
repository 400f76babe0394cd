/*
 * What is to be told: facts about a run, a verification, or several of a kind, cleaned and bounded.
 * Each channel puts them in words of its own form; notify/mail_text.h is the e-mails'. Pure.
 */
#ifndef NOTIFY_MESSAGE_H
#define NOTIFY_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

struct outcome {
    const char *key; /* the same news has the same key: one notification per key and recipient */
    bool completed;
    const char *history_id;  /* the "backup id" */
    const char *schedule_id; /* whose choice of channels counts; "" or NULL: nobody's */
    const char *run_id;
    const char *name;      /* of the backup */
    const char *database;  /* or NULL */
    bool of_all_databases; /* one of a run of all: what went well is told together, too */
    uint64_t bytes;        /* completed only */
    int64_t duration_ms;
    int64_t at_ms; /* when it ended */
    bool has_next;
    int64_t next_ms;
    const char *error;      /* failed only */
    const char *missing_in; /* completed only: the stores that do not have it, and why; or NULL */
};

/* A verification that failed. (One that went well is no news.) */
struct refutation {
    const char *key;        /* as an outcome's */
    const char *history_id; /* recorded there, and to be told now; NULL: to be recorded */
    const char *schedule_id;
    const char *run_id;
    const char *name;     /* of the backup */
    const char *database; /* or NULL */
    int64_t begun_ms;     /* when the backup was */
    int64_t duration_ms;  /* of the verification */
    int64_t at_ms;        /* when it ended */
    const char *error;
};

enum message_kind {
    MESSAGE_COMPLETED,
    MESSAGE_FAILED,
    MESSAGE_REFUTED,
    MESSAGE_TEST,
    MESSAGE_KINDS
};

struct message_words {
    const char *type;     /* "backup.failed": for programs */
    const char *subject;  /* for one of them */
    const char *sentence; /* message_sentence() */
    const char *many;     /* the subject of several, with a %zu; NULL: there is only one */
    bool is_bad;
};
extern const struct message_words message_words[MESSAGE_KINDS];

enum message_fact {
    FACT_BACKUP_ID,
    FACT_BACKUP,
    FACT_DATABASE,
    FACT_MADE,
    FACT_SIZE,
    FACT_DURATION,
    FACT_TIMESTAMP,
    FACT_NEXT_RUN,
    FACT_MISSING_IN,
    FACT_ERROR,
    FACT_COUNT
};

struct message_fact_name {
    const char *label;  /* for people */
    const char *name;   /* for programs */
    const char *number; /* for programs, where the fact has a number, too; or NULL */
};
extern const struct message_fact_name message_fact_names[FACT_COUNT];

/* One run or verification. A NULL has nothing to say. */
struct message_item {
    char *values[FACT_COUNT]; /* one line of valid UTF-8 each, without control characters */
    int64_t numbers[FACT_COUNT];
};

#define MESSAGE_MOST_ITEMS 20

struct message {
    enum message_kind kind;
    int64_t at_ms; /* of the newest item */
    struct message_item *items;
    size_t count;
    size_t more; /* that are only counted */
};

/* The caller clears it, also after a failure. */
bool message_for_outcome(const struct outcome *outcome, struct message *out, struct error *err);
bool message_for_refutation(const struct refutation *refutation, struct message *out,
                            struct error *err);
bool message_for_test(int64_t at_ms, struct message *out, struct error *err);
void message_clear(struct message *message);

/* Moves what `other`, of the same kind, tells into `message`. */
bool message_merge(struct message *message, struct message *other, struct error *err);

/* What happened, in words. */
const char *message_sentence(const struct message *message);

#define MESSAGE_SUBJECT_SIZE 128
void message_subject(const struct message *message, char out[MESSAGE_SUBJECT_SIZE]);
/* The longest value of a fact that is told by one who has a lot to say. */
#define MESSAGE_LONGEST_VALUE 4000
#define MESSAGE_SHORT_VALUE   300
size_t message_value_limit(const struct message *message);
/* The first `limit` bytes of a value, cut between characters; NULL when memory is out. The caller
 * frees. */
char *message_cut_value(const char *value, size_t limit);

#endif

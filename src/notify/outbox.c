#include "notify/outbox.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "crypto/random.h"
#include "notify/audience.h"
#include "notify/channel.h"
#include "notify/mail_text.h"
#include "notify/message_document.h"
#include "notify/ping.h"
#include "postgres/backup_history.h"
#include "postgres/deliveries.h"
#include "postgres/email_logs.h"
#include "postgres/notify_choice.h"
#include "postgres/transaction.h"
#include "postgres/verification.h"

/* What is to be told, and what marks it as told in the ledger: the mark and the notifications are
 * one transaction. */
struct news {
    const char *key;
    const char *schedule_id;
    const char *history_id; /* or NULL */
    const char *run_id;
    const char *outcome; /* in a word, for email_logs */
    const char *backup_name;
    bool is_bad;
    bool joins; /* what waits to be told of the same kind */
    bool is_test;
    bool again;
    /* *first is false when it was marked already, so that it is not to be told again. */
    bool (*mark)(struct session *session, const void *what, bool *first, struct error *err);
    bool (*word)(const void *what, struct message *out, struct error *err);
    const void *what;
};

static bool mark_outcome(struct session *session, const void *what, bool *first, struct error *err)
{
    const struct outcome *outcome = what;

    return backup_history_tell(session, outcome->history_id, first, err);
}

static bool word_outcome(const void *what, struct message *out, struct error *err)
{
    return message_for_outcome(what, out, err);
}

/* Where it is not recorded yet, that is the mark; the notifications' key says whether they are new.
 */
static bool mark_refutation(struct session *session, const void *what, bool *first,
                            struct error *err)
{
    const struct refutation *refutation = what;
    const struct verified_backup backup = {refutation->name, refutation->run_id};
    const struct verification_failure failure = {
        .why = refutation->error, .duration_ms = refutation->duration_ms, .told = true};
    bool recorded;

    if (refutation->history_id != NULL) {
        return verification_tell(session, refutation->history_id, first, err);
    }
    *first = true;
    return verification_record_failure(session, &backup, &failure, &recorded, err);
}

static bool word_refutation(const void *what, struct message *out, struct error *err)
{
    return message_for_refutation(what, out, err);
}

static bool add_mail(struct session *session, const struct settings *settings,
                     const struct news *news, const struct delivery_draft *delivery,
                     const struct message *message, struct error *err)
{
    const struct channel *channel = channel_find(delivery->channel);
    struct mail_text words;

    if (!mail_text_format(message, &words, err)) {
        return false;
    }
    const struct email_draft draft = {
        .id = delivery->id,
        .key = news->key,
        .channel = delivery->channel,
        .run_id = news->run_id,
        .outcome = news->outcome,
        .backup_name = news->backup_name,
        .to = delivery->recipient,
        .from = settings_get(settings, channel->sender),
        .subject = words.subject,
        .plain_text = words.plain_text,
        .html = words.html,
    };
    bool ok = email_logs_add(session, &draft, err);
    mail_text_clear(&words);
    return ok;
}

/* The open delivery tells this, too. */
static bool rewrite(struct session *session, const struct open_delivery *open, bool is_mail,
                    const struct message *message, struct error *err)
{
    struct message merged;
    struct message copy;
    struct mail_text words = {.subject = NULL};
    char *added = message_document_format(message, err);
    char *document = NULL;

    bool ok = added != NULL && message_document_parse(added, &copy, err);
    free(added);
    if (!ok) {
        return false;
    }
    ok = message_document_parse(open->news, &merged, err);
    if (ok) {
        ok = message_merge(&merged, &copy, err);
        document = ok ? message_document_format(&merged, err) : NULL;
        ok = document != NULL && deliveries_rewrite(session, open->id, document, err);
        if (ok && is_mail) {
            ok = mail_text_format(&merged, &words, err) &&
                 email_logs_rewrite(session, open->id, words.subject, words.plain_text, words.html,
                                    err);
        }
        mail_text_clear(&words);
        message_clear(&merged);
    }
    message_clear(&copy);
    free(document);
    return ok;
}

static bool add_one(struct session *session, const struct settings *settings,
                    const struct news *news, struct delivery_draft *draft,
                    const struct message *message, struct error *err, size_t *added)
{
    struct open_delivery open = {.news = NULL};
    char id[RANDOM_UUID_SIZE];
    bool one = false;

    bool ok = random_uuid(id, err) &&
              (!news->joins || news->again ||
               deliveries_find_open(session, draft->channel, draft->recipient,
                                    message_words[message->kind].type, &open, err));
    draft->id = id;
    draft->merged_into = open.id[0] != '\0' ? open.id : NULL;
    ok = ok && deliveries_add(session, draft, &one, err);
    if (ok && one && draft->merged_into != NULL) {
        ok = rewrite(session, &open, draft->is_mail, message, err);
    } else if (ok && one && draft->is_mail) {
        ok = add_mail(session, settings, news, draft, message, err);
    }
    *added += one;
    deliveries_clear_open(&open);
    return ok;
}

static bool add_all(struct session *session, const struct settings *settings,
                    const struct news *news, const struct audience *audience, size_t *added,
                    struct error *err)
{
    struct message message = {.items = NULL};
    bool ok = news->word(news->what, &message, err);
    char *document = ok ? message_document_format(&message, err) : NULL;

    ok = document != NULL;
    for (size_t i = 0; ok && i < audience->count; i++) {
        const struct channel *channel = audience->channels[i];
        for (size_t j = 0; ok && j < audience_recipients(audience, channel); j++) {
            struct delivery_draft draft = {
                .key = news->key,
                .channel = channel->name,
                .recipient = audience_recipient(audience, channel, j),
                .news = document,
                .is_mail = channel->is_mail,
                .is_test = news->is_test,
                .again = news->again,
            };
            ok = add_one(session, settings, news, &draft, &message, err, added);
        }
    }
    message_clear(&message);
    free(document);
    return ok;
}

/* All notifications and the mark, or none. */
static bool tell(struct session *session, const struct settings *settings, const struct news *news,
                 const struct audience *audience, size_t *added, struct error *err)
{
    bool first = true;
    bool marks = !news->again && audience->problem.kind == ERROR_NONE;

    *added = 0;
    if (transaction_begin(session, err) &&
        (!marks || news->mark(session, news->what, &first, err)) &&
        (!first || add_all(session, settings, news, audience, added, err)) &&
        transaction_commit(session, err)) {
        return true;
    }
    transaction_rollback(session);
    *added = 0;
    return false;
}

static bool includes(char *const *words, const char *word)
{
    while (*words != NULL && strcmp(*words, word) != 0) {
        words++;
    }
    return *words != NULL;
}

/* Whether the schedule wants this told. What is asked for by hand is. */
static bool is_wanted(const struct news *news, const struct notify_choice *choice)
{
    if (news->again || choice->on == NULL) {
        return true;
    }
    if (news->is_bad) {
        return includes(choice->on, "failure");
    }
    return includes(choice->on, "success") ||
           (choice->recovered && includes(choice->on, "recovery"));
}

/* Nobody to tell is no failure: the news is marked as told all the same. */
static bool enqueue(struct session *session, const struct settings *settings,
                    const struct news *news, size_t *added, struct error *err)
{
    struct notify_choice choice;
    struct audience audience = {.problem = ERROR_INIT};

    *added = 0;
    bool ok =
        notify_choice_read(session, news->schedule_id, news->history_id, &choice, err) &&
        (!is_wanted(news, &choice) || audience_make(session, settings, &choice, &audience, err)) &&
        tell(session, settings, news, &audience, added, err);
    if (ok && audience.problem.kind != ERROR_NONE) {
        *err = audience.problem;
        ok = false;
    }
    audience_clear(&audience);
    notify_choice_clear(&choice);
    return ok;
}

bool outbox_enqueue(struct session *session, const struct settings *settings,
                    const struct outcome *outcome, bool again, size_t *added, struct error *err)
{
    const struct news news = {
        .key = outcome->key,
        .schedule_id = outcome->schedule_id,
        .history_id = outcome->history_id,
        .run_id = outcome->run_id,
        .outcome = outcome->completed ? "completed" : "failed",
        .backup_name = outcome->name,
        .is_bad = !outcome->completed,
        .joins = !outcome->completed || outcome->of_all_databases,
        .again = again,
        .mark = mark_outcome,
        .word = word_outcome,
        .what = outcome,
    };

    return enqueue(session, settings, &news, added, err);
}

bool outbox_enqueue_refutation(struct session *session, const struct settings *settings,
                               const struct refutation *refutation, size_t *added,
                               struct error *err)
{
    const struct news news = {
        .key = refutation->key,
        .schedule_id = refutation->schedule_id,
        .run_id = refutation->run_id,
        .outcome = "verification failed",
        .backup_name = refutation->name,
        .is_bad = true,
        .joins = true,
        .mark = mark_refutation,
        .word = word_refutation,
        .what = refutation,
    };

    return enqueue(session, settings, &news, added, err);
}

bool outbox_deliver(struct session *session, const struct settings *settings, bool by_hand,
                    struct round_report *report, struct error *err)
{
    return round_run(session, settings, by_hand ? ROUND_BY_HAND : ROUND_TICK, report, err);
}

static bool mark_nothing(struct session *session, const void *what, bool *first, struct error *err)
{
    (void)session;
    (void)what;
    (void)err;
    *first = true;
    return true;
}

static bool word_test(const void *what, struct message *out, struct error *err)
{
    const int64_t *now_ms = what;

    return message_for_test(*now_ms, out, err);
}

/* The dead-man's switch is no channel, but a test is a test. A wrong setting is an error, all else
 * is logged and counted. */
static bool test_monitor(const struct settings *settings, struct round_report *report,
                         bool *configured, struct error *err)
{
    struct error problem = ERROR_INIT;

    if (ping_test(settings, configured, &problem)) {
        report->sent += *configured;
    } else if (problem.kind == ERROR_CONFIG || problem.kind == ERROR_STOPPED) {
        *err = problem;
        return false;
    } else {
        report->failed++;
        log_warning("ping_not_sent", "the monitor was not told: %s", problem.text);
    }
    return true;
}

static bool test_channels(struct session *session, const struct settings *settings,
                          const struct audience *audience, struct round_report *report,
                          struct error *err)
{
    char run_id[RANDOM_UUID_SIZE];
    int64_t now_ms;
    size_t added = 0;
    const struct news news = {.key = run_id,
                              .run_id = run_id,
                              .outcome = "test",
                              .backup_name = "",
                              .is_test = true,
                              .mark = mark_nothing,
                              .word = word_test,
                              .what = &now_ms};

    if (!session_now(session, &now_ms, err) || !random_uuid(run_id, err) ||
        !tell(session, settings, &news, audience, &added, err) ||
        !round_run(session, settings, ROUND_TESTS, report, err)) {
        return false;
    }
    /* Another process is delivering: it sends them. */
    if (report->sent + report->waiting + report->failed == 0) {
        report->waiting = added;
    }
    return true;
}

bool outbox_test(struct session *session, const struct settings *settings,
                 struct round_report *report, struct error *err)
{
    struct round_report monitor = {.sent = 0};
    struct audience audience;
    bool configured;
    bool begun;

    *report = (struct round_report){.sent = 0};
    bool ok = audience_make_test(session, settings, &audience, err) &&
              test_monitor(settings, &monitor, &configured, err);
    if (ok && audience.count > 0) {
        ok = test_channels(session, settings, &audience, report, err);
    } else if (ok && !configured) {
        ok = error_set(err, ERROR_CONFIG, "no channel is configured: %s is not set",
                       channel_missing(channel_table[0], settings, &begun));
    }
    report->sent += monitor.sent;
    report->failed += monitor.failed;
    audience_clear(&audience);
    return ok;
}

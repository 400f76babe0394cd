#include "notify/outbox.h"

#include <stdio.h>

#include "base/log.h"
#include "base/stop.h"
#include "base/wait.h"
#include "crypto/random.h"
#include "notify/acs.h"
#include "notify/acs_account.h"
#include "notify/recipients.h"
#include "postgres/admin_addresses.h"
#include "postgres/backup_history.h"
#include "postgres/email_logs.h"
#include "postgres/transaction.h"
#include "postgres/verification.h"

/* A tick has to come to its end: what has not begun by then waits for the next one. */
#define DELIVERY_MS (5 * 60 * 1000)

/* One round of delivering. */
struct delivery {
    struct session *session;
    struct acs *acs;
    struct deadline end;
    bool tests_only;
    bool throttled;
    bool unreachable;
    struct error why_unreachable;
    struct outbox_report *report;
};

/* The name of the first setting that e-mail lacks, or NULL. */
static const char *missing_setting(const struct settings *settings)
{
    static const enum setting_id needed[] = {SETTING_ACS_CONNECTION_STRING, SETTING_ACS_SENDER};

    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        if (settings_get(settings, needed[i]) == NULL) {
            return settings_table[needed[i]].name;
        }
    }
    return NULL;
}

static bool add_all(struct session *session, struct email_draft *draft,
                    const struct addresses *recipients, size_t *added, struct error *err)
{
    bool one;

    for (size_t i = 0; i < recipients->count; i++) {
        draft->to = recipients->items[i];
        if (!email_logs_add(session, draft, &one, err)) {
            return false;
        }
        *added += one;
    }
    return true;
}

/* What is to be told, and what marks it as told in the ledger: the mark and the mails are one
 * transaction. */
struct news {
    struct email_draft draft; /* all but `to`, `from` and the words */
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

/* Recording it is the mark; the mails' key says whether they are new. */
static bool mark_refutation(struct session *session, const void *what, bool *first,
                            struct error *err)
{
    const struct refutation *refutation = what;
    const struct verified_backup backup = {refutation->name, refutation->run_id};
    bool recorded;

    *first = true;
    return verification_record_failure(session, &backup, refutation->error, refutation->duration_ms,
                                       &recorded, err);
}

static bool word_refutation(const void *what, struct message *out, struct error *err)
{
    return message_for_refutation(what, out, err);
}

/* The news is out, though there is nobody to write to. */
static bool tell_nobody(struct session *session, const struct news *news, struct error *err)
{
    bool first;

    return news->draft.again || news->mark(session, news->what, &first, err);
}

/* All mails and the mark, or none. */
static bool tell(struct session *session, const struct news *news, struct email_draft *draft,
                 const struct addresses *recipients, size_t *added, struct error *err)
{
    bool first = true;

    if (transaction_begin(session, err) &&
        (draft->again || news->mark(session, news->what, &first, err)) &&
        (!first || add_all(session, draft, recipients, added, err)) &&
        transaction_commit(session, err)) {
        return true;
    }
    transaction_rollback(session);
    *added = 0;
    return false;
}

static bool enqueue(struct session *session, const struct settings *settings,
                    const struct news *news, size_t *added, struct error *err)
{
    const char *missing = missing_setting(settings);
    struct addresses recipients;
    struct message message = {.subject = NULL};
    const char *why_none;

    *added = 0;
    if (missing != NULL) {
        log_warning("mail_not_configured", "no notification by e-mail: %s is not set", missing);
        return tell_nobody(session, news, err);
    }
    if (!recipients_read(session, settings, &recipients, &why_none, err)) {
        return error_prefix(err, "finding out whom to notify");
    }
    if (recipients.count == 0) {
        log_warning("no_recipients", "nobody is notified: %s", why_none);
        return tell_nobody(session, news, err);
    }
    bool ok = news->word(news->what, &message, err);
    if (ok) {
        struct email_draft draft = news->draft;
        draft.from = settings_get(settings, SETTING_ACS_SENDER);
        draft.subject = message.subject;
        draft.plain_text = message.plain_text;
        draft.html = message.html;
        ok = tell(session, news, &draft, &recipients, added, err);
    }
    message_clear(&message);
    admin_addresses_clear(&recipients);
    return ok;
}

bool outbox_enqueue(struct session *session, const struct settings *settings,
                    const struct outcome *outcome, bool again, size_t *added, struct error *err)
{
    const struct news news = {
        .draft = {.key = outcome->key,
                  .run_id = outcome->run_id,
                  .outcome = outcome->completed ? "completed" : "failed",
                  .backup_name = outcome->name,
                  .again = again},
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
        .draft = {.key = refutation->key,
                  .run_id = refutation->run_id,
                  .outcome = "verification failed",
                  .backup_name = refutation->name},
        .mark = mark_refutation,
        .word = word_refutation,
        .what = refutation,
    };

    return enqueue(session, settings, &news, added, err);
}

/* One mail's turn, and what came of it. */
struct attempt {
    const struct email *email;
    int64_t failed_before;
    struct acs_receipt receipt; /* its id is "" until the service has accepted the mail */
    enum acs_result result;
    struct error reason; /* when the result is not ACS_DONE */
};

static bool record_failure(struct delivery *delivery, const struct attempt *attempt,
                           struct error *err)
{
    const struct email *email = attempt->email;
    int64_t most = email->is_test ? 1 : OUTBOX_MOST_ATTEMPTS;
    bool for_good = attempt->result == ACS_NEVER;
    const char *prospect = "goes with the next check or notify";

    if (for_good || attempt->failed_before + 1 >= most) {
        prospect = "given up";
        delivery->report->failed++;
    } else {
        if (*attempt->receipt.operation_id != '\0') {
            prospect = "accepted by the service, outcome not known yet";
        }
        delivery->report->waiting++;
    }
    log_write(&LOG_WITH(LOG_WARNING, LOG_MARK_WARNING, "notification_not_sent",
                        LOG_TEXT("to", email->to), LOG_TEXT("email_id", email->id),
                        LOG_TEXT("error", attempt->reason.text),
                        LOG_NUMBER("attempt", attempt->failed_before + 1)),
              "notification to %s not sent (%s): %s", email->to, prospect, attempt->reason.text);
    return email_logs_not_sent(delivery->session, email->id, attempt->reason.text, most, for_good,
                               err);
}

/* False, as everywhere below, only for the outbox's own failures and a stop. */
static bool record(struct delivery *delivery, const struct attempt *attempt, struct error *err)
{
    switch (attempt->result) {
    case ACS_DONE:
        delivery->report->sent++;
        return email_logs_sent(delivery->session, attempt->email->id, attempt->receipt.operation_id,
                               err);
    case ACS_STOPPED:
        *err = attempt->reason;
        return false;
    case ACS_THROTTLED:
        delivery->throttled = true;
        break;
    case ACS_UNREACHABLE:
        delivery->unreachable = true;
        delivery->why_unreachable = attempt->reason;
        break;
    case ACS_LATER:
    case ACS_NEVER:
        break;
    }
    return record_failure(delivery, attempt, err);
}

static void hand_over(struct delivery *delivery, struct attempt *attempt)
{
    const struct email *email = attempt->email;
    const struct acs_mail mail = {
        .id = email->id,
        .to = email->to,
        .from = email->from,
        .subject = email->subject,
        .plain_text = email->plain_text,
        .html = email->html,
    };

    /* Rows are input from outside too: the application can write them. */
    if (!recipients_is_address(email->to)) {
        error_set(&attempt->reason, ERROR_FAILED, "its recipient is not an e-mail address");
        attempt->result = ACS_NEVER;
        return;
    }
    attempt->result = acs_send(delivery->acs, &mail, &attempt->receipt, &attempt->reason);
}

static bool deliver_one(struct delivery *delivery, const struct email *email, struct error *err)
{
    struct attempt attempt = {
        .email = email, .failed_before = email->attempts, .result = ACS_DONE, .reason = ERROR_INIT};

    if (email->operation_id != NULL) {
        snprintf(attempt.receipt.operation_id, sizeof(attempt.receipt.operation_id), "%s",
                 email->operation_id);
    }
    if (delivery->unreachable) {
        attempt.result = ACS_UNREACHABLE;
        attempt.reason = delivery->why_unreachable;
    } else if (email->operation_id == NULL) {
        hand_over(delivery, &attempt);
        if (attempt.result == ACS_DONE) {
            attempt.failed_before = 0;
            if (!email_logs_accepted(delivery->session, email->id, attempt.receipt.operation_id,
                                     err)) {
                return false;
            }
        }
    }
    if (attempt.result == ACS_DONE) {
        attempt.result = acs_follow(delivery->acs, &attempt.receipt, &attempt.reason);
    }
    return record(delivery, &attempt, err);
}

/* Whether this mail is left alone in this round, without counting as an attempt. */
static bool is_left(const struct delivery *delivery, const struct email *email)
{
    return (delivery->throttled && email->operation_id == NULL) ||
           deadline_left_ms(&delivery->end) == 0;
}

static bool deliver_each(struct delivery *delivery, const struct emails *emails, struct error *err)
{
    bool ok = true;

    for (size_t i = 0; ok && i < emails->count; i++) {
        const struct email *email = &emails->items[i];
        if (delivery->tests_only && !email->is_test) {
            continue;
        }
        if (!stop_check(err)) {
            ok = false;
        } else if (is_left(delivery, email)) {
            delivery->report->waiting++;
        } else {
            ok = deliver_one(delivery, email, err);
        }
    }
    return ok;
}

/* A channel that cannot be set up leaves everything as it is: a person has to act first. */
static bool deliver_by_acs(struct delivery *delivery, const struct settings *settings,
                           const struct emails *emails, struct error *err)
{
    const char *connection_string = settings_get(settings, SETTING_ACS_CONNECTION_STRING);
    struct acs_account account = {.key_size = 0};
    struct error problem = ERROR_INIT;

    if (connection_string == NULL) {
        error_set(&problem, ERROR_CONFIG, "ACS_CONNECTION_STRING is not set");
    } else if (acs_account_parse(connection_string, &account, &problem)) {
        delivery->acs = acs_new(
            &account, settings_get_number(settings, SETTING_CONNECT_TIMEOUT) * 1000, &problem);
    }
    if (delivery->acs == NULL) {
        delivery->report->waiting = emails->count;
        log_warning("mail_not_configured", "%zu notification(s) wait: %s", emails->count,
                    problem.text);
        acs_account_clear(&account);
        return true;
    }
    bool ok = deliver_each(delivery, emails, err);
    acs_free(delivery->acs);
    acs_account_clear(&account);
    return ok;
}

static bool deliver(struct session *session, const struct settings *settings, bool tests_only,
                    struct outbox_report *report, struct error *err)
{
    struct delivery delivery = {
        .session = session,
        .end = deadline_in_ms(DELIVERY_MS),
        .tests_only = tests_only,
        .report = report,
    };
    struct emails emails;
    bool taken;

    *report = (struct outbox_report){.sent = 0};
    if (!email_logs_lock(session, &taken, err)) {
        return false;
    }
    if (!taken) {
        log_debug("outbox_busy", "another process is sending the pending notifications");
        return true;
    }
    if (!email_logs_read_pending(session, &emails, err)) {
        return false;
    }
    bool ok = emails.count == 0 || deliver_by_acs(&delivery, settings, &emails, err);
    email_logs_clear(&emails);
    if (report->sent > 0) {
        log_write(&LOG_WITH(LOG_INFO, LOG_MARK_MAIL, "notification_sent",
                            LOG_NUMBER("count", (int64_t)report->sent)),
                  "%s sent to %zu admin(s)", tests_only ? "Test message" : "Backup notification",
                  report->sent);
    }
    return ok;
}

bool outbox_deliver(struct session *session, const struct settings *settings,
                    struct outbox_report *report, struct error *err)
{
    return deliver(session, settings, false, report, err);
}

static bool enqueue_test(struct session *session, const struct settings *settings,
                         const struct addresses *recipients, size_t *added, struct error *err)
{
    char run_id[RANDOM_UUID_SIZE];
    struct message message = {.subject = NULL};

    if (!random_uuid(run_id, err) || !message_for_test(&message, err)) {
        return false;
    }
    struct email_draft draft = {
        .key = run_id,
        .run_id = run_id,
        .outcome = "test",
        .backup_name = "",
        .from = settings_get(settings, SETTING_ACS_SENDER),
        .subject = message.subject,
        .plain_text = message.plain_text,
        .html = message.html,
    };
    bool ok = add_all(session, &draft, recipients, added, err);
    message_clear(&message);
    return ok;
}

bool outbox_test(struct session *session, const struct settings *settings,
                 struct outbox_report *report, struct error *err)
{
    const char *missing = missing_setting(settings);
    struct acs_account account = {.key_size = 0};
    struct addresses recipients;
    const char *why_none;
    size_t added = 0;

    *report = (struct outbox_report){.sent = 0};
    if (missing != NULL) {
        return error_set(err, ERROR_CONFIG, "no e-mail can be sent: %s is not set", missing);
    }
    bool ok =
        acs_account_parse(settings_get(settings, SETTING_ACS_CONNECTION_STRING), &account, err);
    acs_account_clear(&account);
    if (!ok) {
        return false;
    }
    if (!recipients_read(session, settings, &recipients, &why_none, err)) {
        return error_prefix(err, "finding out whom to notify");
    }
    if (recipients.count == 0) {
        return error_set(err, ERROR_CONFIG, "nobody would be notified: %s", why_none);
    }
    ok = enqueue_test(session, settings, &recipients, &added, err);
    admin_addresses_clear(&recipients);
    if (!ok || !deliver(session, settings, true, report, err)) {
        return false;
    }
    if (report->sent + report->waiting + report->failed == 0) {
        report->waiting = added;
    }
    return true;
}

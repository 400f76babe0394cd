#include "notify/attempt.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "notify/message_document.h"
#include "notify/recipients.h"
#include "postgres/email_logs.h"
#include "postgres/transaction.h"

#define FIRST_PAUSE_MS                                                                             \
    ((int64_t)30 * 1000) /* over by the next minute's tick; doubled each time                      \
                          */
#define LONGEST_PAUSE_MS ((int64_t)60 * 60 * 1000)
#define LONGEST_ASKED_MS ((int64_t)6 * 60 * 60 * 1000)
#define NEXT_TICK_MS     ((int64_t)60 * 1000)

/* One delivery's turn, and what came of it. */
struct attempt {
    const struct due_delivery *due;
    int64_t number;
    struct email email;
    struct message message;
    struct channel_answer answer; /* its receipt is "" until the service has accepted it */
    enum channel_result result;
    struct error reason; /* when the result is not CHANNEL_DONE */
};

const char *attempt_addressee(const struct turn *turn, const struct due_delivery *due)
{
    if (due->recipient != NULL && *due->recipient != '\0') {
        return due->recipient;
    }
    return turn->channel != NULL ? turn->channel->what : due->channel;
}

static int64_t pause_after(const struct attempt *attempt)
{
    int64_t wait_ms = FIRST_PAUSE_MS;

    for (int64_t i = 1; i < attempt->number && wait_ms < LONGEST_PAUSE_MS; i++) {
        wait_ms *= 2;
    }
    wait_ms = wait_ms < LONGEST_PAUSE_MS ? wait_ms : LONGEST_PAUSE_MS;
    int64_t asked_ms =
        attempt->answer.wait_ms < LONGEST_ASKED_MS ? attempt->answer.wait_ms : LONGEST_ASKED_MS;
    return asked_ms > wait_ms ? asked_ms : wait_ms;
}

static void log_failure(const struct turn *turn, const struct attempt *attempt, bool given_up,
                        int64_t wait_ms)
{
    const struct due_delivery *due = attempt->due;
    const char *to = attempt_addressee(turn, due);
    char duration[CLOCK_DURATION_SIZE];
    char prospect[64] = "goes with the next check or notify";

    if (given_up) {
        snprintf(prospect, sizeof(prospect), "given up");
    } else if (attempt->answer.receipt[0] != '\0') {
        snprintf(prospect, sizeof(prospect), "accepted by the service, outcome not known yet");
    } else if (wait_ms > NEXT_TICK_MS) {
        clock_format_duration(duration, wait_ms);
        snprintf(prospect, sizeof(prospect), "tried again in %s", duration);
    }
    log_write(&LOG_WITH(LOG_WARNING, LOG_MARK_WARNING, "notification_not_sent", LOG_TEXT("to", to),
                        LOG_TEXT("channel", due->channel), LOG_TEXT("delivery_id", due->id),
                        LOG_TEXT("error", attempt->reason.text),
                        LOG_NUMBER("attempt", attempt->number)),
              "notification to %s not sent (%s): %s", to, prospect, attempt->reason.text);
}

/* A mail's two rows tell the same, or neither does. */
static bool begin_change(struct session *session, const struct due_delivery *due, struct error *err)
{
    return !due->is_mail || transaction_begin(session, err);
}

static bool commit_change(struct session *session, const struct due_delivery *due,
                          struct error *err)
{
    return !due->is_mail || transaction_commit(session, err);
}

static bool record_accepted(struct session *session, const struct attempt *attempt,
                            struct error *err)
{
    const struct due_delivery *due = attempt->due;
    const char *receipt = attempt->answer.receipt;

    return begin_change(session, due, err) &&
           delivery_rounds_accepted(session, due->id, receipt, err) &&
           (!due->is_mail || email_logs_accepted(session, due->id, receipt, err)) &&
           commit_change(session, due, err);
}

static bool record_sent(struct turn *turn, const struct attempt *attempt, struct error *err)
{
    struct session *session = turn->session;
    const struct due_delivery *due = attempt->due;

    turn->sent++;
    turn->report->sent++;
    return begin_change(session, due, err) &&
           delivery_rounds_end(session, due->id, DELIVERY_SENT, NULL, err) &&
           (!due->is_mail || email_logs_sent(session, due->id, attempt->answer.receipt, err)) &&
           commit_change(session, due, err);
}

static bool record_failure(const struct turn *turn, const struct attempt *attempt,
                           struct error *err)
{
    struct session *session = turn->session;
    const struct due_delivery *due = attempt->due;
    bool given_up =
        attempt->result == CHANNEL_NEVER || due->is_test || (due->is_old && !turn->by_hand);
    const struct delivery_pause pause = {.wait_ms = pause_after(attempt),
                                         .throttled = attempt->result == CHANNEL_THROTTLED,
                                         .reason = attempt->reason.text};

    log_failure(turn, attempt, given_up, pause.wait_ms);
    *(given_up ? &turn->report->failed : &turn->report->waiting) += 1;
    return begin_change(session, due, err) &&
           (given_up ? delivery_rounds_end(session, due->id, DELIVERY_GIVEN_UP, pause.reason, err)
                     : delivery_rounds_postpone(session, due->id, &pause, err)) &&
           (!due->is_mail || email_logs_not_sent(session, due->id, pause.reason, given_up, err)) &&
           commit_change(session, due, err);
}

/* False, as everywhere below, only for the outbox's own failures and a stop. */
static bool record(struct turn *turn, const struct attempt *attempt, struct error *err)
{
    switch (attempt->result) {
    case CHANNEL_DONE:
        return record_sent(turn, attempt, err);
    case CHANNEL_STOPPED:
        *err = attempt->reason;
        return false;
    case CHANNEL_THROTTLED:
        turn->throttled = true;
        break;
    case CHANNEL_UNREACHABLE:
        turn->unreachable = true;
        turn->why_unreachable = attempt->reason;
        break;
    case CHANNEL_LATER:
    case CHANNEL_NEVER:
        break;
    }
    return record_failure(turn, attempt, err);
}

static void hand_over(struct turn *turn, struct attempt *attempt)
{
    const struct due_delivery *due = attempt->due;
    const struct parcel parcel = {
        .id = due->id,
        .to = due->is_mail ? due->recipient : NULL,
        .from = attempt->email.from,
        .subject = attempt->email.subject,
        .plain_text = attempt->email.plain_text,
        .html = attempt->email.html,
        .message = due->is_mail ? NULL : &attempt->message,
    };

    /* Rows are input from outside too: the application can write them. */
    if (due->is_mail && !recipients_is_address(due->recipient)) {
        error_set(&attempt->reason, ERROR_FAILED, "its recipient is not an e-mail address");
        attempt->result = CHANNEL_NEVER;
        return;
    }
    turn->hour_left--;
    attempt->result = turn->channel->send(turn->link, &parcel, &attempt->answer, &attempt->reason);
}

static bool try_it(struct turn *turn, struct attempt *attempt, struct error *err)
{
    const struct due_delivery *due = attempt->due;

    if (turn->link == NULL) {
        attempt->result = CHANNEL_LATER;
        attempt->reason = turn->why_closed;
        return record(turn, attempt, err);
    }
    if (attempt->result == CHANNEL_DONE && due->receipt == NULL) {
        hand_over(turn, attempt);
        if (attempt->result == CHANNEL_DONE && attempt->answer.receipt[0] != '\0') {
            attempt->number = 1;
            if (!record_accepted(turn->session, attempt, err)) {
                return false;
            }
        }
    }
    if (attempt->result == CHANNEL_DONE && turn->channel->follow != NULL) {
        attempt->result = turn->channel->follow(turn->link, &attempt->answer, &attempt->reason);
    }
    return record(turn, attempt, err);
}

/* What is to be told; what nobody can read is for the attempt to fail with. */
static void read_message(struct attempt *attempt, const char *news)
{
    if (news == NULL) {
        error_set(&attempt->reason, ERROR_FAILED, "what it is to tell is not there any more");
        attempt->result = CHANNEL_NEVER;
    } else if (!message_document_parse(news, &attempt->message, &attempt->reason)) {
        attempt->result = CHANNEL_NEVER;
    }
}

bool attempt_make(struct turn *turn, const struct due_delivery *due, struct error *err)
{
    struct session *session = turn->session;
    struct attempt attempt = {
        .due = due, .number = due->attempts + 1, .result = CHANNEL_DONE, .reason = ERROR_INIT};
    char *news = NULL;
    bool pending;

    if (due->receipt != NULL) {
        snprintf(attempt.answer.receipt, sizeof(attempt.answer.receipt), "%s", due->receipt);
    }
    bool ok = delivery_rounds_begin(session, due->id, &news, &pending, err);
    if (ok && pending && due->is_mail) {
        ok = email_logs_read(session, due->id, &attempt.email, &pending, err);
        if (ok && !pending) {
            ok = delivery_rounds_end(session, due->id, DELIVERY_WITHDRAWN, NULL, err);
        }
    } else if (ok && pending) {
        read_message(&attempt, news);
    }
    ok = ok && (!pending || try_it(turn, &attempt, err));
    email_logs_clear(&attempt.email);
    message_clear(&attempt.message);
    free(news);
    return ok;
}

bool attempt_omit(struct turn *turn, const struct due_delivery *due, struct error *err)
{
    struct session *session = turn->session;
    struct attempt attempt = {.due = due, .number = due->attempts, .reason = turn->why_unreachable};
    bool never_begun = due->attempts == 0 && due->receipt == NULL;

    if (!due->is_test && (!never_begun || !due->is_old || turn->by_hand)) {
        turn->untried++;
        turn->report->waiting++;
        return true;
    }
    error_prefix(&attempt.reason, "not tried, because nothing else gets through");
    log_failure(turn, &attempt, true, 0);
    turn->report->failed++;
    return begin_change(session, due, err) &&
           delivery_rounds_end(session, due->id, DELIVERY_GIVEN_UP, attempt.reason.text, err) &&
           (!due->is_mail || email_logs_not_tried(session, due->id, attempt.reason.text, err)) &&
           commit_change(session, due, err);
}

#include "notify/round.h"

#include "base/log.h"
#include "base/stop.h"
#include "base/wait.h"
#include "notify/attempt.h"
#include "notify/channel.h"
#include "postgres/delivery_rounds.h"

/* A tick has to come to its end: what has not begun by then waits for the next one. A channel that
 * hangs takes no more than its share. */
#define ROUND_MS       ((int64_t)3 * 60 * 1000)
#define QUOTA_PAUSE_MS ((int64_t)10 * 60 * 1000)

struct round {
    struct session *session;
    const struct settings *settings;
    enum round_kind kind;
    struct round_report *report;
};

/* Nothing more of this channel for some time: the first that is left keeps the others, too. */
static bool leave_to_next_hour(struct turn *turn, const struct due_delivery *due, struct error *err)
{
    const struct delivery_pause pause = {
        .wait_ms = QUOTA_PAUSE_MS, .throttled = true, .reason = NULL};

    turn->throttled = true;
    turn->report->waiting++;
    log_warning("notification_quota",
                "notification to %s not sent (tried again in 10m): what the service takes in an "
                "hour is used up",
                attempt_addressee(turn, due));
    return delivery_rounds_postpone(turn->session, due->id, &pause, err);
}

/* Whether this one is left alone in this round, without counting as an attempt. */
static bool is_left(const struct turn *turn, const struct due_delivery *due)
{
    return due->is_held || (turn->throttled && due->receipt == NULL) ||
           deadline_left_ms(&turn->end) == 0;
}

static bool belongs(const struct round *round, const struct turn *turn,
                    const struct due_delivery *due)
{
    return (round->kind != ROUND_TESTS || due->is_test) &&
           channel_find(due->channel) == turn->channel;
}

static bool deliver_each(const struct round *round, struct turn *turn,
                         const struct due_deliveries *all, struct error *err)
{
    bool ok = true;

    for (size_t i = 0; ok && i < all->count; i++) {
        const struct due_delivery *due = &all->items[i];
        if (!belongs(round, turn, due)) {
            continue;
        }
        if (!stop_check(err)) {
            ok = false;
        } else if (is_left(turn, due)) {
            turn->report->waiting++;
        } else if (turn->unreachable) {
            ok = attempt_omit(turn, due, err);
        } else if (turn->hour_left <= 0 && due->receipt == NULL && turn->link != NULL) {
            ok = leave_to_next_hour(turn, due, err);
        } else {
            ok = attempt_make(turn, due, err);
        }
    }
    return ok;
}

/* A channel that cannot be opened fails each of its deliveries: a person has to act first. */
static bool open_channel(const struct settings *settings, struct turn *turn, const char *name,
                         struct error *err)
{
    bool begun;

    turn->hour_left = INT64_MAX;
    if (turn->channel == NULL) {
        error_set(&turn->why_closed, ERROR_CONFIG,
                  "this version of rythm-backup has no channel '%s'", name);
        return true;
    }
    const char *missing = channel_missing(turn->channel, settings, &begun);
    if (missing != NULL) {
        error_set(&turn->why_closed, ERROR_CONFIG, "%s is not set", missing);
        return true;
    }
    turn->link = turn->channel->open(settings, &turn->why_closed);
    int64_t hourly = turn->channel->hourly != NULL ? turn->channel->hourly(settings) : 0;
    int64_t used = 0;
    if (hourly > 0 && !delivery_rounds_count(turn->session, name, &used, err)) {
        return false;
    }
    turn->hour_left = hourly > 0 ? hourly - used : INT64_MAX;
    return true;
}

static void log_sent(const struct round *round, const struct turn *turn)
{
    const char *what = round->kind == ROUND_TESTS ? "Test message" : "Backup notification";

    if (turn->sent == 0) {
        return;
    }
    if (turn->channel->is_mail) {
        log_write(&LOG_WITH(LOG_INFO, LOG_MARK_MAIL, "notification_sent",
                            LOG_TEXT("channel", turn->channel->name),
                            LOG_NUMBER("count", (int64_t)turn->sent)),
                  "%s sent to %zu admin(s)", what, turn->sent);
    } else {
        log_write(&LOG_WITH(LOG_INFO, LOG_MARK_MAIL, "notification_sent",
                            LOG_TEXT("channel", turn->channel->name),
                            LOG_NUMBER("count", (int64_t)turn->sent)),
                  "%s sent to %s", what, turn->channel->what);
    }
}

static void log_untried(const struct turn *turn)
{
    if (turn->untried > 0) {
        log_warning("notification_not_tried",
                    "%zu more notification(s) by %s not tried just now: as long as nothing gets "
                    "through, each check or notify tries one",
                    turn->untried, turn->channel->what);
    }
}

static bool take_turn(const struct round *round, const struct due_deliveries *all,
                      const struct due_delivery *first, int64_t share_ms, struct error *err)
{
    struct turn turn = {.session = round->session,
                        .report = round->report,
                        .by_hand = round->kind != ROUND_TICK,
                        .channel = channel_find(first->channel),
                        .end = deadline_in_ms(share_ms),
                        .why_closed = ERROR_INIT,
                        .why_unreachable = ERROR_INIT};

    bool ok = open_channel(round->settings, &turn, first->channel, err) &&
              deliver_each(round, &turn, all, err);
    if (turn.channel != NULL) {
        turn.channel->close(turn.link);
    }
    log_sent(round, &turn);
    log_untried(&turn);
    return ok;
}

/* The first delivery of each channel's: all others of it have their turn with it. */
static size_t find_firsts(const struct due_deliveries *all,
                          const struct due_delivery *firsts[CHANNEL_MOST])
{
    size_t count = 0;

    for (size_t i = 0; i < all->count; i++) {
        const struct channel *channel = channel_find(all->items[i].channel);
        size_t j = 0;
        while (j < count && channel_find(firsts[j]->channel) != channel) {
            j++;
        }
        if (j == count && count < CHANNEL_MOST) {
            firsts[count++] = &all->items[i];
        }
    }
    return count;
}

static bool deliver_all(const struct round *round, const struct due_deliveries *all,
                        struct error *err)
{
    const struct due_delivery *firsts[CHANNEL_MOST];
    struct deadline end = deadline_in_ms(ROUND_MS);
    size_t count = find_firsts(all, firsts);
    bool ok = true;

    for (size_t i = 0; ok && i < count; i++) {
        ok = take_turn(round, all, firsts[i], deadline_left_ms(&end) / (int64_t)(count - i), err);
    }
    return ok;
}

bool round_run(struct session *session, const struct settings *settings, enum round_kind kind,
               struct round_report *report, struct error *err)
{
    const struct round round = {
        .session = session, .settings = settings, .kind = kind, .report = report};
    struct due_deliveries all;
    bool any;
    bool taken;

    *report = (struct round_report){.sent = 0};
    if (!delivery_rounds_look(session, &any, err)) {
        return false;
    }
    if (!any) {
        return true;
    }
    if (!delivery_rounds_lock(session, &taken, err)) {
        return false;
    }
    if (!taken) {
        log_debug("outbox_busy", "another process is sending the pending notifications");
        return true;
    }
    if (!delivery_rounds_sync(session, err) ||
        !delivery_rounds_read(session, kind != ROUND_TICK, &all, err)) {
        return false;
    }
    channel_register_secrets(settings);
    bool ok = deliver_all(&round, &all, err);
    delivery_rounds_clear(&all);
    return ok;
}

/*
 * One attempt at one delivery: it is handed to its channel, and what came of it is written down.
 */
#ifndef NOTIFY_ATTEMPT_H
#define NOTIFY_ATTEMPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/wait.h"
#include "notify/channel.h"
#include "notify/round.h"
#include "postgres/delivery_rounds.h"
#include "postgres/session.h"

/* One channel's turn in a round, which its attempts share. */
struct turn {
    struct session *session;
    struct round_report *report;
    const struct channel *channel; /* NULL: this version has none of that name */
    void *link;                    /* NULL: it could not be opened, and each of its fails */
    struct error why_closed;
    bool by_hand; /* nothing is given up for its age */
    struct deadline end;
    int64_t hour_left; /* how many more its service takes this hour */
    bool throttled;
    bool unreachable; /* one was tried in vain, and nothing else would fare better now */
    struct error why_unreachable;
    size_t untried; /* stay pending for that */
    size_t sent;
};

/* Whom a delivery is for: an address, or what its channel is called. */
const char *attempt_addressee(const struct turn *turn, const struct due_delivery *due);

/* False only for the outbox's own failures and a stop; what else came of it is in the turn and its
 * report. */
bool attempt_make(struct turn *turn, const struct due_delivery *due, struct error *err);

/* What is not tried, because the turn is `unreachable`: it stays as it is, uncounted and due. Given
 * up, as not tried, is only what is no use later (a test), or what a whole day has not sufficed to
 * try once. False as above. */
bool attempt_omit(struct turn *turn, const struct due_delivery *due, struct error *err);

#endif

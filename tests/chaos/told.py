"""What those who were to be told have got, and whether it is right.

look() of a deliveries.Office reads the outside only: what each receiver accepted, the outbox before
and after each tick, the ledger, how the ticks ended. judge() asks CHECKS about it. judge_case.py
proves that each of them can fail.
"""

import collections
import datetime
import signal
from dataclasses import dataclass

import judge
from tool import SANITIZER_REPORTS, SECRETS

FIRST_PAUSE = datetime.timedelta(seconds=30)   # after the first attempt; doubled with each
LONGEST_PAUSE = datetime.timedelta(hours=1)
OURS = -signal.SIGKILL


@dataclass
class Arrival:
    """What a receiver accepted."""

    channel: str
    recipient: str   # "" where the channel leads to one place
    identity: str    # by which its receiver knows what comes again; all of it, where there is no id
    subject: str
    text: str

    @property
    def addressee(self):
        return self.channel, self.recipient


@dataclass
class Tick:
    begun: datetime.datetime    # the pretended time
    ended: datetime.datetime
    seen: object                # arena.Observed
    before: dict                # the outbox: id -> its row
    after: dict
    arrivals: list              # meanwhile

    @property
    def killed(self):
        return self.seen.code == OURS


@dataclass
class Told:
    """All that can be seen of some news."""

    addressees: tuple           # (channel, recipient): all of them are to be told everything
    outcomes: dict              # news key -> the ids of the runs that had this outcome
    statuses: dict              # news key -> "completed" or "failed"
    ticks: list                 # the last one has nothing to do
    deliveries: list            # the outbox in the end
    emails: list                # email_logs
    troubles: list              # what the lane noticed
    expectation: judge.Expectation

    @property
    def arrivals(self):
        return [arrival for tick in self.ticks for arrival in tick.arrivals]

    def tells(self, arrival):
        """The outcomes that it tells."""
        return {key for key, ids in self.outcomes.items()
                if any(identity in arrival.text for identity in ids)}

    def keys_of(self, delivery, rows):
        """The outcomes that this one is to tell: its own, and those of what was merged into it."""
        return {row["news_key"] for row in rows
                if delivery["delivery_id"] in (row["delivery_id"], row["merged_into"])}

    def arrivals_of(self, delivery, rows, arrivals):
        """Those of them that are this delivery's."""
        keys = self.keys_of(delivery, rows)
        return [arrival for arrival in arrivals if keys <= self.tells(arrival)
                and arrival.addressee == (delivery["channel"], delivery["recipient"])]


def name(addressee):
    return " ".join(filter(None, addressee))


# The checks

def told_once(told):
    """Each outcome comes to each addressee, in one message."""
    for key in told.outcomes:
        for addressee in told.addressees:
            came = {arrival.identity for arrival in told.arrivals
                    if arrival.addressee == addressee and key in told.tells(arrival)}
            if len(came) != 1:
                yield f"{len(came)} messages to {name(addressee)} tell of '{key}'"


def truth(told):
    """Nothing else comes, and nobody is told a failure for a success."""
    for arrival in told.arrivals:
        keys = told.tells(arrival)
        kind = next((kind for word, kind in judge.SUBJECTS.items() if word in arrival.subject), "")
        if arrival.addressee not in told.addressees:
            yield f"a message to {name(arrival.addressee)}, who is not to be told"
        if not keys or any(told.statuses[key] != kind for key in keys):
            yield f"'{arrival.subject}' to {name(arrival.addressee)}, which tells of {sorted(keys)}"


def repeats(told):
    """Only what a tick handed over that was killed before it could write that down comes again."""
    came = {}   # (addressee, identity) -> the tick of its last arrival
    for tick in told.ticks:
        for arrival in tick.arrivals:
            last = came.get((arrival.addressee, arrival.identity))
            if last is not None and not last.killed:
                yield (f"{name(arrival.addressee)}: sent by {last.seen.what}, which ended by"
                       f" itself, and again by {tick.seen.what}")
            came[arrival.addressee, arrival.identity] = tick
    for tick in told.ticks:
        for row in tick.before.values():
            accepted = row["receipt"] if row["state"] == "pending" else row["state"] == "sent"
            if (accepted and told.arrivals_of(row, tick.before.values(), tick.arrivals)):
                yield (f"{name((row['channel'], row['recipient']))}: sent again by"
                       f" {tick.seen.what}, though the outbox had it as accepted")
    # A process dies once, between one answer and its row.
    again = sum(repeated(told).values())
    if again > sum(tick.killed for tick in told.ticks):
        yield f"{again} messages came again: {repeated(told)}"


def repeated(told):
    """addressee -> how many came to it that it had already."""
    counts = collections.Counter((arrival.addressee, arrival.identity)
                                 for arrival in told.arrivals)
    return {name(addressee): count - 1 for (addressee, _), count in counts.items() if count > 1}


def sent_is_sent(told):
    """What the outbox has as sent, or as accepted, has come; also right after a death."""
    so_far = []
    for tick in told.ticks:
        so_far += tick.arrivals
        for row in tick.after.values():
            if ((row["state"] == "sent" or row["receipt"])
                    and not told.arrivals_of(row, tick.after.values(), so_far)):
                yield (f"{name((row['channel'], row['recipient']))}: '{row['news_key']}' is"
                       f" {row['state']} after {tick.seen.what}, and has not come")


def pause_after(attempts):
    return min(FIRST_PAUSE * 2 ** min(attempts - 1, 10), LONGEST_PAUSE)


def backoff(told):
    """Attempts are counted before they are made, none is forgotten, none comes too early."""
    for tick in told.ticks:
        for identity, before in tick.before.items():
            after = tick.after.get(identity)
            if before["state"] != "pending":
                continue
            where = f"{name((before['channel'], before['recipient']))} in {tick.seen.what}"
            if after is None:
                yield f"{where}: its row is gone"
                continue
            came = told.arrivals_of(before, tick.before.values(), tick.arrivals)
            for problem in too_early(tick, before, after, came):
                yield f"{where}: {problem}"
            # The service has it: from then on it is asked, and that is counted by itself.
            if not before["receipt"] and not after["receipt"]:
                for problem in miscounted(tick, before, after, came):
                    yield f"{where}: {problem}"


def too_early(tick, before, after, came):
    if before["next_attempt_at"] > tick.ended and (came or before != after):
        yield f"its next attempt was for {before['next_attempt_at']}"


def miscounted(tick, before, after, came):
    if after["attempts"] < before["attempts"]:
        yield f"{before['attempts']} attempts became {after['attempts']}"
    if after["attempts"] <= before["attempts"] and came:
        yield "it was sent, and that attempt was not counted"
    if after["next_attempt_at"] < before["next_attempt_at"]:
        yield "its next attempt became an earlier one"
    if (after["next_attempt_at"] != before["next_attempt_at"] and after["state"] == "pending"
            and after["next_attempt_at"] < tick.begun + pause_after(after["attempts"])):
        yield f"after {after['attempts']} attempts it waits till {after['next_attempt_at']} only"


def ended(told):
    """In the end nothing waits, and nothing was given up or withdrawn."""
    rows = {row["delivery_id"]: row for row in told.deliveries}
    for row in told.deliveries:
        by = rows.get(row["merged_into"], row)
        if by["state"] != "sent":
            yield (f"{name((row['channel'], row['recipient']))}: '{row['news_key']}' is"
                   f" {by['state']} in the end: {by['last_error']}")


def exit_codes(told):
    """Each tick says in its code what it left."""
    for tick in told.ticks:
        seen = tick.seen
        left = [row for identity, row in tick.after.items() if row["state"] == "pending"
                and row["attempts"] > tick.before.get(identity, {"attempts": 0})["attempts"]]
        failed = any(row["status"] == "failed" for row in judge.made_by(seen))
        if tick.killed:
            continue
        if seen.code not in (0, 1, 3):
            yield f"{seen.what}: exit code {seen.code}"
        elif (seen.code == 1) != failed:
            yield f"{seen.what}: exit code {seen.code}, and {'a' if failed else 'no'} backup failed"
        elif seen.code == 0 and left:
            yield f"{seen.what}: exit code 0, and {len(left)} that it tried wait"
        elif seen.code != 0 and not seen.err.strip():
            yield f"{seen.what}: exit code {seen.code} without a word on stderr"


def quiet_afterwards(told):
    last = told.ticks[-1]
    if last.arrivals or last.before != last.after:
        yield f"{last.seen.what} had nothing to do, and sent or changed something"


def no_secrets(told):
    texts = [(tick.seen.what, tick.seen.out + tick.seen.err) for tick in told.ticks]
    texts += [(name(arrival.addressee), arrival.subject + arrival.text)
              for arrival in told.arrivals]
    texts += [("the outbox", str(told.deliveries)), ("email_logs", str(told.emails))]
    for where, text in texts:
        if any(secret in text for secret in SECRETS):
            yield f"a secret in {where}"
        for report in SANITIZER_REPORTS:
            if report in text:
                yield f"{report} in {where}"


def troubles(told):
    yield from told.troubles


CHECKS = (told_once, truth, repeats, sent_is_sent, backoff, ended, judge.outbox, exit_codes,
          quiet_afterwards, no_secrets, troubles)


def verdict_on(told):
    """Asks every check."""
    return judge.Verdict([f"{check.__name__}: {problem}" for check in CHECKS
                          for problem in check(told)],
                         repeated_mails=sum(repeated(told).values()))


def describe(told):
    """All of it, for a finding's report."""
    lines = []
    for tick in told.ticks:
        lines.append(f"  {tick.seen.what}: exit code {tick.seen.code}")
        lines += [f"    | {line}" for line in (tick.seen.err + tick.seen.out).splitlines()[:40]]
        lines += [f"    got: {name(arrival.addressee)} '{arrival.subject}'"
                  f" {arrival.identity[:60]!r}" for arrival in tick.arrivals]
        for identity, row in tick.after.items():
            if row != tick.before.get(identity):
                lines.append(f"    {identity} {name((row['channel'], row['recipient']))}:"
                             f" {row['state']} attempts {row['attempts']} next"
                             f" {row['next_attempt_at']} receipt {row['receipt']}")
    return judge.without_secrets("\n".join(lines))

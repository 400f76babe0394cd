"""That told.py can fail: doctored news, of which each check must find what it is there for.

One delivery is killed and ends well; what was seen of it is changed, one thing at a time.
"""

import contextlib
import copy
import dataclasses

import deliveries
import judge
import told
from cases import case
from judge_case import accept, demand
from tool import SECRETS

KILLED, NEXT, THEN, LATE, QUIET = range(5)  # the ticks
SLACK, TEAMS, WEBHOOK = ("slack", ""), ("teams", ""), ("webhook", "")
ADA = ("acs", "ada@rythm.example")


def arrivals_to(scene, addressee, number=None):
    """[(tick, arrival)] of one addressee, in that tick or in all."""
    return [(tick, arrival) for tick in (scene.ticks if number is None else [scene.ticks[number]])
            for arrival in tick.arrivals if arrival.addressee == addressee]


def rows_of(rows, addressee):
    return [row for row in rows if (row["channel"], row["recipient"]) == addressee]


def never_came(scene):
    for tick, arrival in arrivals_to(scene, ADA):
        tick.arrivals.remove(arrival)


def change(addressee, **changes):
    """What came to it first says something else."""
    def doctor(scene):
        tick, arrival = arrivals_to(scene, addressee)[0]
        tick.arrivals[tick.arrivals.index(arrival)] = dataclasses.replace(arrival, **changes)
    return doctor


def come_again(scene, addressee, number, **changes):
    """What came first comes once more, in that tick."""
    scene.ticks[number].arrivals.append(
        dataclasses.replace(arrivals_to(scene, addressee)[0][1], **changes))


def comes_late(scene):
    """What an earlier tick has marked as sent."""
    tick, arrival = arrivals_to(scene, WEBHOOK, NEXT)[0]
    tick.arrivals.remove(arrival)
    scene.ticks[THEN].arrivals.append(arrival)


def set_row(addressee, number, chosen=None, **changes):
    """The first row of it after that tick; `chosen`: the first that has the like of this state."""
    def doctor(scene):
        before = scene.ticks[number].before
        row = next(row for row in rows_of(scene.ticks[number].after.values(), addressee)
                   if before[row["delivery_id"]]["state"] == "pending"
                   and row["state"] in (chosen or row["state"]))
        values = {name: value(before[row["delivery_id"]]) if callable(value) else value
                  for name, value in changes.items()}
        row.update(values)
    return doctor


def forget_row(scene):
    after = scene.ticks[KILLED].after
    del after[rows_of(after.values(), TEAMS)[0]["delivery_id"]]


def at_the_end(state, addressee=SLACK):
    return lambda scene: rows_of(scene.deliveries, addressee)[0].update(state=state)


def merged_into_lost(scene):
    merged = next(row for row in scene.deliveries if row["state"] == "merged")
    next(row for row in scene.deliveries
         if row["delivery_id"] == merged["merged_into"])["state"] = "given up"


def set_seen(number, **changes):
    def doctor(scene):
        tick = scene.ticks[number]
        tick.seen = dataclasses.replace(tick.seen, **changes)
    return doctor


def failed_backup(scene):
    set_seen(LATE, before=[], after=[{"run_id": "x", "status": "failed"}])(scene)


def early_teams(scene):
    for tick, arrival in arrivals_to(scene, TEAMS):
        tick.arrivals.remove(arrival)
        scene.ticks[NEXT].arrivals.append(arrival)


def wrong_way_round(scene):
    """Whichever of the two came first."""
    for _, arrival in arrivals_to(scene, SLACK):
        arrival.subject = "Backup Completed" if "Failed" in arrival.subject else "Backup Failed"


def late_change(scene):
    rows_of(scene.ticks[QUIET].after.values(), SLACK)[0]["attempts"] += 1


# What is changed; the check that must find it; words of what it must say.
DOCTORED = (
    ("news that never came", never_came, "told_once", "0 messages to acs ada@rythm.example"),
    ("news that came in two messages", lambda scene: come_again(
        scene, SLACK, NEXT, identity="another"), "told_once", "2 messages to slack"),
    ("a message to somebody else", change(ADA, recipient="eve@rythm.example"), "truth",
     "not to be told"),
    ("a failure told as a success", wrong_way_round, "truth", "which tells of"),
    ("a message of nothing", change(TEAMS, text=""), "truth", "which tells of []"),
    ("a repetition after an ordinary tick", lambda scene: come_again(scene, TEAMS, QUIET),
     "repeats", "which ended by itself"),
    ("a repetition of what is recorded", lambda scene: come_again(scene, ADA, NEXT), "repeats",
     "had it as accepted"),
    ("more repetitions than deaths", lambda scene: come_again(scene, SLACK, NEXT), "repeats",
     "2 messages came again"),
    ("marked as sent before it came", comes_late, "sent_is_sent", "is sent after"),
    ("marked as accepted and never sent", set_row(WEBHOOK, KILLED, receipt="an id"),
     "sent_is_sent", "has not come"),
    ("a count of attempts that starts anew", set_row(WEBHOOK, NEXT, attempts=0), "backoff",
     "1 attempts became 0"),
    ("an attempt that is not counted", set_row(
        SLACK, NEXT, attempts=lambda before: before["attempts"]), "backoff", "was not counted"),
    ("an attempt at an earlier time", set_row(
        WEBHOOK, NEXT, next_attempt_at=lambda before: before["next_attempt_at"] - told.FIRST_PAUSE),
     "backoff", "became an earlier one"),
    ("a pause that is too short", set_row(
        WEBHOOK, NEXT, chosen="pending",
        next_attempt_at=lambda before: before["next_attempt_at"] + told.FIRST_PAUSE), "backoff",
     "attempts it waits"),
    ("an attempt during a pause", early_teams, "backoff", "its next attempt was for"),
    ("a pause that was forgotten", set_row(TEAMS, KILLED, throttled=False), "backoff",
     "its next attempt was for"),
    ("a row that is gone", forget_row, "backoff", "its row is gone"),
    ("a row that waits in the end", at_the_end("pending"), "ended", "is pending in the end"),
    ("a row that was given up", at_the_end("given up", TEAMS), "ended", "is given up"),
    ("merged into what was given up", merged_into_lost, "ended", "is given up"),
    ("a mail whose rows differ", at_the_end("withdrawn", ADA), "outbox", "its mail is not"),
    ("an exit code that does not exist", set_seen(NEXT, code=7), "exit_codes", "exit code 7"),
    ("a crash", set_seen(NEXT, code=-11), "exit_codes", "exit code -11"),
    ("a tick that hung", set_seen(NEXT, code=None), "exit_codes", "exit code None"),
    ("exit code 1 without a failure", set_seen(LATE, code=1), "exit_codes", "no backup failed"),
    ("a failure with exit code 0", failed_backup, "exit_codes", "a backup failed"),
    ("exit code 0 though something waits", set_seen(NEXT, code=0), "exit_codes",
     "that it tried wait"),
    ("exit code 3 without a word", set_seen(NEXT, err=""), "exit_codes", "without a word"),
    ("a late change", late_change, "quiet_afterwards", "nothing to do"),
    ("a late message", lambda scene: come_again(scene, SLACK, QUIET), "quiet_afterwards",
     "nothing to do"),
    ("a secret in a message", change(SLACK, subject=SECRETS[0]), "no_secrets",
     "a secret in slack"),
    ("a secret in the log", set_seen(LATE, err=SECRETS[1]), "no_secrets", "02:15:00"),
    ("a secret in the outbox", lambda scene: scene.deliveries[0].update(last_error=SECRETS[2]),
     "no_secrets", "the outbox"),
    ("what the lane noticed", lambda scene: scene.troubles.append("a child"), "troubles",
     "a child"))


@case("judge-told", about="doctored news, which the judge of deliveries must find")
def judge_told(run):
    with contextlib.closing(deliveries.Office(run.arena)) as office:
        scene = deliveries.killed_and_ended(office)
    verdict = told.verdict_on(scene)
    assert verdict.repeated_mails == 1, told.describe(scene)
    accept(run, "news that came", verdict)
    for what, doctor, check, words in DOCTORED:
        changed = copy.deepcopy(scene)
        doctor(changed)
        demand(run, what, told.verdict_on(changed), check, words)

"""Very many checks at the same instant, with very many schedules due; then all of them killed.

Each schedule's occurrence is a point of its own, and the judge sees of the common ledger, store and
mails what belongs to it: one backup, one mail for each outcome, its other backups unharmed.
"""

import contextlib
import dataclasses
import os
import random
import time
from typing import NamedTuple

import arena
import judge
import processes
from cases import case

SEED = 20310506
SETTLE_S = 0.2  # until the last one waits at the gate, most likely
INSERT = "INSERT INTO backup_schedule (enabled, schedule_time, retention_days)" \
         " VALUES (true, %s, %s) RETURNING schedule_id::text AS id"
# Runs what follows when somebody opens the other end: all at the same instant.
GATE = ("sh", "-c", 'exec 3<"$0" && exec "$@" 3<&-')


class Size(NamedTuple):
    checks: int
    schedules: int
    killed: bool = False

    def __str__(self):
        return (f"{self.checks} checks, {self.schedules} schedules"
                f"{', all killed' if self.killed else ''}")


SIZES = {"file": (Size(64, 20), Size(32, 10, killed=True)),
         "azure": (Size(24, 8), Size(24, 8, killed=True))}
WHOLE = (Size(64, 20), Size(64, 20, killed=True))
WHOLE_ROUNDS = 5


@dataclasses.dataclass
class Due:
    """A schedule, with a good and an expired backup of its own."""

    id: str
    kept: arena.Old
    expired: arena.Old


def make_schedules(lane, count):
    """The lane's own, and more of the same time."""
    (own,) = lane.query("SELECT schedule_id::text AS id FROM backup_schedule")
    made = [Due(own["id"], lane.kept, lane.expired)]
    for days in range(2, count + 1):
        (row,) = lane.query(INSERT, arena.SCHEDULE_TIME, arena.RETENTION_DAYS)
        made.append(Due(row["id"], lane._put_old(days, row["id"]),
                        lane._put_old(arena.EXPIRED_DAYS + days, row["id"])))
    # In a statement of its own: a trigger sets it in the one above.
    lane.query("UPDATE backup_schedule SET timed_at = '2020-01-01'")
    return made


@contextlib.contextmanager
def gated(lane, count):
    """So many checks that wait for a writer of a pipe; and a function that is one."""
    gate = lane.folder / "gate"
    os.mkfifo(gate)
    writers = []
    crowd = [lane.start_check(arena.FIRST_CHECK, prefix=(*GATE, str(gate)),
                              what=f"as one of {count}") for _ in range(count)]
    try:
        yield crowd, lambda: writers.append(os.open(gate, os.O_WRONLY))
    finally:
        # Who comes late to the gate finds it open as long as there is a writer.
        for writer in writers:
            os.close(writer)


def wait_gone(lane, crowd):
    """Of those that were killed: their children."""
    def left():
        return [member for started in crowd for member in arena.session_members(started.pid)]
    try:
        processes.wait_until(lambda: not left(), "", timeout=arena.GONE_LIMIT_S)
    except AssertionError:
        lane.troubles.append(f"{arena.GONE_LIMIT_S} s after all were killed there were {left()}")


def fight(lane, size, wait_s):
    """A round: how long it took."""
    with gated(lane, size.checks) as (crowd, let_go):
        time.sleep(SETTLE_S)
        begun = time.monotonic()
        let_go()
        if size.killed:
            time.sleep(wait_s)
            for started in crowd:
                started.process.kill()
            for started in crowd:
                started.process.wait()
            wait_gone(lane, crowd)
        for started in crowd:
            lane.finish(started)
    return time.monotonic() - begun


def own_runs(scene, schedules):
    """The rows of these schedules, without those of their old backups."""
    old = {each.run for due in schedules for each in (due.kept, due.expired)}
    ids = {due.id for due in schedules}
    return [row for row in scene.rows
            if str(row["schedule_id"]) in ids and row["run_id"] not in old]


def recover(lane, every):
    """The later checks, until each schedule's occurrence has ended; then one that is quiet."""
    for number, time_of_day in enumerate(arena.RECOVERY_CHECKS):
        lane.check(time_of_day)
        scene = judge.look(lane)
        if number == 0:
            lane.late_rows = judge.with_status(scene.rows, "started")
        pending = any(row["status"] == "pending" for row in scene.emails)
        ended = {str(row["schedule_id"]) for row in judge.with_status(
            own_runs(scene, every), "completed")}
        if not pending and len(ended) == len(every):
            break
    lane.recover(checks=())


def share(scene, due, there):
    """What of all that can be seen belongs to this schedule; `there` are all objects, by name, and
    what is in the old ones that must stay."""
    rows = own_runs(scene, [due])
    runs = {row["run_id"] for row in rows}
    names = {row["backup_filename"] for row in rows}
    mails = {row["email_log_id"] for row in scene.emails
             if row["metadata"]["rythm_backup"]["run_id"] in runs}
    return dataclasses.replace(
        scene, kept=there.get(due.kept.name), old=due.kept, rows=rows,
        expired=due.expired.name, is_expired_there=due.expired.name in there,
        objects=[stored for stored in scene.objects if stored.metadata.get("schedule") == due.id
                 and stored.name not in (due.kept.name, due.expired.name)],
        emails=[row for row in scene.emails
                if row["metadata"]["rythm_backup"]["run_id"] in runs],
        deliveries=[row for row in scene.deliveries if row["delivery_id"] in mails],
        messages=[message for message in scene.messages
                  if any(name in message["content"]["plainText"] for name in names)],
        late_rows=[row for row in scene.late_rows if row["run_id"] in runs],
        repeats=[], leftovers=[], changed_late=[], troubles=[])


def of_nobody(scene, shares, every):
    """What belongs to no schedule or cannot be told apart: the whole round's findings."""
    old = {each.name for due in every for each in (due.kept, due.expired)}
    for what in ("emails", "messages", "late_rows"):
        all_of_them = len(getattr(scene, what))
        # One message may tell of several schedules' failures.
        told = (len({id(each) for one in shares for each in one.messages}) if what == "messages"
                else sum(len(getattr(one, what)) for one in shares))
        if all_of_them != told:
            yield f"{all_of_them} {what}, and {told} of the schedules"
    shared = {stored.name for one in shares for stored in one.objects}
    for stored in scene.objects:
        if stored.name not in shared | old:
            yield f"{stored.name} is of no schedule"
    scene.leftovers = [name for name in scene.leftovers if name.removesuffix(".meta") not in old]
    for check in (judge.no_leftovers, judge.quiet_afterwards, judge.troubles, judge.no_secrets):
        yield from check(scene)


def ask_judge(run, lane, size, every, codes):
    """A verdict on each schedule and one on the round."""
    kept = {due.kept.name for due in every}
    there = {stored.name: (stored.metadata, lane.store.read(stored.name))
             if stored.name in kept else None for stored in lane.store.list()}
    scene = judge.look(lane)
    scene.rows = lane.rows()
    shares = [share(scene, due, there) for due in every]
    for number, (one, restore) in enumerate(zip(shares, [True] + [False] * len(shares),
                                                strict=False)):
        one.restore = lane.arena.restores if restore else None
        verdict = judge.judge(one)
        run.note(f"{size}: schedule {number + 1}", verdict,
                 judge.describe(one) if verdict.findings else "", restored=restore)
    findings = list(of_nobody(scene, shares, every))
    findings += [f"exit codes {codes}"] if set(codes) - {-9 if size.killed else 0, 0} else []
    if size.killed and -9 not in codes:
        findings.append("all had ended before they were killed: this tries nothing")
    run.note(f"{size}: as a whole", judge.Verdict(findings, repeated_mails=len(scene.repeats)))


def round_of(run, size, wait_s):
    """On a fresh database; how long the fight took."""
    lane = run.arena.make_lane(run.kind)
    try:
        lane.begin()
        every = make_schedules(lane, size.schedules)
        run.exist += len(every) + 1
        took_s = fight(lane, size, wait_s)
        codes = sorted(seen.code for seen in lane.observed)
        recover(lane, every)
        ask_judge(run, lane, size, every, codes)
    finally:
        lane.close()
    return took_s


@case("crowd", kinds=("file", "azure"), about="64 checks at once, with 20 schedules due")
def crowd(run):
    if run.kind == "azure":
        run.arena.start_azurite()
    luck = random.Random(SEED)
    took_s, of = 0, SIZES[run.kind][0]
    for size in WHOLE * WHOLE_ROUNDS if run.full else SIZES[run.kind]:
        if size.killed:
            # While the undisturbed one would have gone on, were it of this size.
            whole_s = took_s * size.checks * size.schedules / (of.checks * of.schedules)
            wait_s = luck.uniform(0, whole_s)
            run.tell(f"crowd {run.kind}: {size} after {wait_s:.3f} s (seed {SEED})")
            round_of(run, size, wait_s)
        else:
            took_s, of = round_of(run, size, 0), size

"""Two processes for one occurrence, one of which stands still at each phase of its story.

leave       SIGSTOP; a second check comes in the same minute, a third when a dead run would be
            retried; SIGCONT. The lock says that the run lives: they leave it alone.
beside      SIGSTOP only until the second, a duplicate pod, is on its way: both go on at once.
twin        two that stand still at the same phase, both let go at the same time.
take        SIGSTOP, and the server ends its sessions, as it does with a host that has vanished. The
            second finds the lock free and the run dead, the third makes the backup. SIGCONT: what
            wakes up must publish nothing, or withdraw it, and say that it failed.
die         the same, but it dies as soon as it has published: the second object must be gone when
            the next day's backup has been made.
"""

import contextlib
import datetime
import fcntl
import itertools
import os
import pathlib
from typing import NamedTuple

import arena
import phases
import processes
from cases import Tried, case

SECOND, THIRD = "02:00:40", "02:02:00"   # finds the dead run; its retry is due
LATER_CHECKS = ("02:03:20", "02:04:40", "02:10:00")
FOLDER_LOCK = ".rythm-backup.lock"
CONFIRMED = "has the answer to SELECT status FROM backup_history"
BEFORE_PUBLICATION = (CONFIRMED, "connects to store, 2")
AFTER_PUBLICATION = "asks store GET NAME"
# Of these phases, which differ most from each other, also the manners that cost more.
TELLING = {
    "file": ("has the answer to SELECT EXISTS (SELECT FROM backup_history",
             "connects to Postgres, 3", "asks SELECT pg_try", "has the answer to SELECT pg_try",
             "has the answer to SELECT (extract(epoch FROM c.now)::numeric",
             "asks INSERT INTO backup_history", "has the answer to INSERT INTO backup_history",
             "starts pg_dump", "reads the dump", "has waited", "fsync partial", "fsync meta",
             "flock lock", "asks SELECT EXISTS (SELECT FROM pg_locks", CONFIRMED, "renameat meta",
             "renameat2", "fsync folder, 2", "asks WITH done", "has the answer to WITH done",
             "flock lock, 2", "asks INSERT INTO email_logs",
             "has the answer to SELECT pg_try_advisory_lock(hashtextextended('rythm-backup:o",
             "has the answer to mail POST"),
    "azure": ("has the answer to store PUT container", "starts pg_dump", "has waited",
              "asks SELECT EXISTS (SELECT FROM pg_locks", CONFIRMED, "connects to store, 2",
              "asks store PUT NAME", "has the answer to store PUT NAME",
              "has the answer to store GET NAME", "asks WITH done", "asks store DELETE")}


class Point(NamedTuple):
    manner: str
    phase: phases.Phase

    def __str__(self):
        return f"{self.manner}: {self.phase}"


def claimed(lane):
    """The run ids that the ledger has as started."""
    return [row["run_id"] for row in lane.rows() if row["status"] == "started"]


def must_end_well(*seen):
    """Nobody was harmed: there is no reason for another exit code."""
    for each in seen:
        assert each.code == 0, f"{each.what}: exit code {each.code}\n{each.err}"


def leave(lane, phase):
    with phases.halted(lane, phase) as first:
        # What it has asked for goes on in the server. Twice: what has just been taken from the line
        # is not at work yet.
        for _ in range(2):
            processes.wait_until(lambda: not phases.asking(lane),
                                 "the server has done what was asked")
        running = claimed(lane)
        seconds = [lane.check(arena.FIRST_CHECK, what="while it stands still"),
                   lane.check(THIRD, what="while it stands still")]
        for second in seconds:
            assert not running or second.after == second.before, "it did not leave the run alone"
        must_end_well(first.finish(), *seconds)
    return Tried(reached=first.reached)


def beside(lane, phase):
    with phases.halted(lane, phase) as first:
        second = lane.start_check(arena.FIRST_CHECK, what="beside it")
        must_end_well(first.finish(), lane.finish(second))
    return Tried(reached=first.reached)


def twin(lane, phase):
    with phases.halted(lane, phase) as first, phases.halted(lane, phase) as second:
        first.go_on()
        second.go_on()
        must_end_well(first.finish(), second.finish())
    return Tried(reached=first.reached)


def folder_is_locked(lane):
    """Whether somebody holds the folder's lock, which publishing and deleting take."""
    path = lane.store.folder / FOLDER_LOCK if lane.kind == "file" else None
    if path is None or not path.exists():
        return False
    with open(path) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def has_open(pid, name):
    with contextlib.suppress(OSError):
        return any(os.path.realpath(each).endswith(name)
                   for each in pathlib.Path(f"/proc/{pid}/fd").iterdir())
    return False


def take_over(lane, first):
    """The later checks, with the lock free and the first one still standing there. What it holds of
    the folder no server frees: then it is let go on while the second waits for that."""
    if not folder_is_locked(lane):
        lane.check(SECOND, what="after its sessions were ended")
        lane.check(THIRD, what="after its sessions were ended")
        return
    second = lane.start_check(SECOND, what="after its sessions were ended")
    processes.wait_until(lambda: has_open(second.pid, FOLDER_LOCK)
                         or second.process.poll() is not None, "it waits for the folder's lock")
    first.go_on()
    lane.finish(second)


def tells_its_end(lane, seen, runs):
    """The exit code of one whose run others may have resolved."""
    statuses = {row["run_id"]: row["status"] for row in lane.rows()}
    for run in runs:
        if statuses[run] == "failed":
            assert seen.code == 1, f"its run has failed, and its exit code is {seen.code}"
        if statuses[run] == "completed":
            assert seen.code in (0, 3), f"its run is completed, and its exit code is {seen.code}"
    assert seen.code in (0, 1, 3), f"exit code {seen.code}: {seen.err}"


def take(lane, phase):
    with phases.halted(lane, phase) as first:
        running = [row["run_id"] for row in lane.rows()]
        phases.terminate(lane, *phases.sessions(lane))
        take_over(lane, first)
        tells_its_end(lane, first.finish(), running)
    lane.recover(LATER_CHECKS)
    return Tried(reached=first.reached, recover=False)


def next_day(lane):
    """The next day's backup is made, and taken away again with all that belongs to it."""
    before = {stored.name for stored in lane.store.list()}
    mails = len(lane.acs.messages)
    known = [row["email_log_id"] for row in lane.emails()]
    instant = lane.occurrence + datetime.timedelta(days=1, seconds=10)
    lane.tool.ok("check", "--now", instant.isoformat())
    (made,) = [stored for stored in lane.store.list() if stored.name not in before]
    lane.store.remove(made.name)
    lane.query("DELETE FROM backup_history WHERE occurrence_at >= %s",
               lane.occurrence + datetime.timedelta(days=1))
    for table, column in (("email_logs", "email_log_id"),
                          ("rythm_backup_deliveries", "delivery_id")):
        lane.query(f"DELETE FROM {table} WHERE NOT {column} = ANY(%s::uuid[])", known)
    del lane.acs.messages[mails:]


def die(lane, phase, after):
    with phases.halted(lane, phase, more=(f"{after.call}:signal=SIGKILL:when={after.k}",)) as first:
        assert first.reached
        phases.terminate(lane, *phases.sessions(lane))
        take_over(lane, first)
        assert first.finish().code == -9
    published = [stored for stored in lane.store.list()
                 if stored.name not in (lane.kept.name, lane.expired.name)]
    lane.recover(LATER_CHECKS)
    next_day(lane)
    assert len(published) == 2, "the first has published nothing: there is nothing to withdraw"
    return Tried(recover=False)


MANNERS = {"leave": leave, "beside": beside, "twin": twin, "take": take}


def choose(run, every):
    """All points in order, and whether they are tried by default."""
    telling = phases.named(every, *TELLING[run.kind])
    asking = itertools.cycle((True, False, False))
    for phase in every:
        plain = run.kind == "file" and not phase.dull
        chosen = {"leave": phase in telling or plain and not phase.answered,
                  "beside": plain and phase.answered and next(asking),
                  "twin": phase in telling and not phase.answered and not phase.dumping,
                  "take": phase in telling and phase.sessions > 0}
        for manner in MANNERS:
            if phase.sessions > 0 or manner != "take":
                yield Point(manner, phase), chosen[manner]


@case("pauses", kinds=("file", "azure"),
      about="SIGSTOP at each phase, with a duplicate beside it; its sessions ended or not")
def pauses(run):
    every = phases.phases(run.lanes[0])
    points = list(choose(run, every))
    run.each([point for point, chosen in points if chosen or run.full],
             lambda lane, point: MANNERS[point.manner](lane, point.phase), exist=len(points))
    # Whoever stands between the last look and the commit in a folder has the folder's lock, too.
    if run.kind == "azure":
        (after,) = phases.named(every, AFTER_PUBLICATION)
        run.each([Point("die", phase) for phase in phases.named(every, *BEFORE_PUBLICATION)],
                 lambda lane, point: die(lane, point.phase, after))

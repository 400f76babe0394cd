"""kill -9 at every system call of a small backup.

strace's when=N counts per name of call, so the points are pairs (name, k), enumerated from the log
of a run that nobody disturbs. The signal comes before the call is made: the kernel skips it. Only
the main thread is traced (no -f), so that neither pg_dump nor another thread takes the k-th call.
"""

import collections
import re
import shlex
import stat
from typing import NamedTuple

import arena
import postgres_cluster
from cases import Tried, case

# By default, of the calls before the first connection to the server, when nothing has happened yet,
# every so many-th is tried. Of the others all that somebody else could notice, and every so many-th
# of the rest; fewer with Azure, where the ledger and the mails are dealt with in the same code.
BEFORE_STEP = 40
DULL_STEP = {"file": 6, "azure": 32}
TELLING = {"clone", "clone3", "connect", "exit_group", "fsync", "linkat", "mkdirat", "recvfrom",
           "renameat", "renameat2", "sendto", "sendmsg", "unlinkat", "wait4", "write", "writev"}
# The points are those of the longer of two runs: one that waits for an answer a few times less has
# no call of the last of these numbers.
MAY_MISS = 0.05
# strace makes the first one itself.
NOT_INJECTED = {"execve"}


class Point(NamedTuple):
    call: str
    k: int

    def __str__(self):
        return f"kill -9 at {self.call} {self.k}"

    @property
    def injection(self):
        return ["-e", f"trace={self.call}",
                "-e", f"inject={self.call}:signal=SIGKILL:when={self.k}"]

    @property
    def strace(self):
        return ["strace", "-qq", "-o", "/dev/null", *self.injection]


def calls_in(log):
    """The calls of a log without -f, in order: (name, the rest of the line)."""
    return re.findall(r"^(\w+)\((.*)$", log.read_text(errors="replace"), re.MULTILINE)


def traced(lane, time_of_day):
    """The calls of a check that is watched and not disturbed."""
    log = lane.folder / "calls"
    seen = lane.check(time_of_day, prefix=["strace", "-qq", "-s", "400", "-o", str(log)])
    assert seen.code in (0, 1), seen.err
    return calls_in(log)


def enumerate_calls(lane):
    """The calls of an undisturbed backup. The longer of two runs: counts differ by a few."""
    found = []
    for _ in range(2):
        lane.begin()
        found.append(traced(lane, arena.FIRST_CHECK))
    return max(found, key=len)


def points_of(calls, dull_step=1):
    """Every (name, k) in the order of the calls, and whether it is among the chosen ones."""
    counts = collections.Counter()
    first_connect = next(index for index, (name, rest) in enumerate(calls)
                         if name == "connect" and "AF_INET" in rest)
    dull = 0
    for index, (name, _) in enumerate(calls):
        counts[name] += 1
        if name in NOT_INJECTED:
            continue
        if index < first_connect:
            chosen = index % BEFORE_STEP == 0
        elif name in TELLING:
            chosen = True
        else:
            dull += 1
            chosen = dull % dull_step == 0
        yield Point(name, counts[name]), chosen


def kill_at(lane, point):
    seen = lane.check(arena.FIRST_CHECK, prefix=point.strace, what=f"under {point}")
    return Tried(reached=seen.code == -9)


@case("kill", kinds=("file", "azure"), about="kill -9 at every system call, then the next checks")
def kill(run):
    every = list(points_of(enumerate_calls(run.lanes[0]), DULL_STEP[run.kind]))
    run.each([point for point, chosen in every if chosen or run.full], kill_at, exist=len(every),
             may_miss=MAY_MISS)


# The check that finds a dead run is killed, too.
AGAIN_CHECK = "02:01:00"
AGAIN_STEP = {"file": 24, "azure": 96}
PUBLISHING = {"file": ("renameat2", ""), "azure": ("sendto", "comp=blocklist")}
# So far along, what publishes has been answered.
ANSWERED = {"file": "fsync", "azure": "recvfrom"}


def around_publication(calls, kind):
    """The call that publishes, and one after it."""
    name, words = PUBLISHING[kind]
    at = next(index for index, (call, rest) in enumerate(calls) if call == name and words in rest)
    after = next(index for index in range(at + 1, len(calls)) if calls[index][0] == ANSWERED[kind])
    return [Point(calls[index][0], sum(call == calls[index][0] for call, _ in calls[:index + 1]))
            for index in (at, after)]


class Again(NamedTuple):
    first: Point
    second: Point

    def __str__(self):
        return f"{self.first}, and in the next check {self.second}"


def kill_again_at(lane, point):
    lane.check(arena.FIRST_CHECK, prefix=point.first.strace, what=f"under {point.first}")
    seen = lane.check(AGAIN_CHECK, prefix=point.second.strace, what=f"under {point.second}")
    return Tried(reached=seen.code == -9)


@case("kill-again", kinds=("file", "azure"),
      about="kill -9 before or after publication, and at every system call of the recovery")
def kill_again(run):
    lane = run.lanes[0]
    points = []
    for first in around_publication(enumerate_calls(lane), run.kind):
        lane.begin()
        seen = lane.check(arena.FIRST_CHECK, prefix=first.strace)
        assert seen.code == -9, f"{first}: exit code {seen.code}"
        calls = traced(lane, AGAIN_CHECK)
        points += [Again(first, second) for second, chosen in points_of(calls) if chosen]
    run.each(points[::run.step(AGAIN_STEP[run.kind])], kill_again_at, exist=len(points),
             may_miss=MAY_MISS)


DUMP_STEP = 40
DUMP_LOG = "dump-calls"
DUMP_SCRIPT = """#!/bin/sh
# Another pg_dump, which is only asked for its version in peace.
[ "$1" != --version ] || exec {real} "$@"
exec {trace} {real} "$@"
"""


def traced_dump(lane, *options):
    """The settings for a pg_dump that runs under strace with these options: each, if there are
    several, with a log of its own."""
    path = lane.folder / "pg_dump"
    for old in (path, *dump_logs(lane)):
        old.unlink(missing_ok=True)
    trace = shlex.join(["strace", "-qq", "-ff", "-o", str(lane.folder / DUMP_LOG), *options])
    path.write_text(DUMP_SCRIPT.format(real=shlex.quote(postgres_cluster.program("pg_dump")),
                                       trace=trace))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"RYTHM_BACKUP_PG_DUMP": str(path)}


def dump_logs(lane):
    return list(lane.folder.glob(f"{DUMP_LOG}.*"))


def calls_of_dump(lane, *options):
    """The calls of pg_dump in an undisturbed backup; of several, of the one that makes most."""
    lane.begin()
    seen = lane.check(arena.FIRST_CHECK, settings=traced_dump(lane, *options))
    assert seen.code == 0, seen.err
    return max((calls_in(log) for log in dump_logs(lane)), key=len)


def kill_dump_at(lane, point):
    seen = lane.check(arena.FIRST_CHECK, settings=traced_dump(lane, *point.injection),
                      what=f"pg_dump under {point}")
    assert seen.code in (0, 1), f"exit code {seen.code}: {seen.err}"
    return Tried(reached=seen.code == 1)


@case("kill-dump", kinds=("file",), about="kill -9 at every system call of pg_dump")
def kill_dump(run):
    every = [point for point, _ in points_of(calls_of_dump(run.lanes[0]))]
    run.each(every[::run.step(DUMP_STEP)], kill_dump_at, exist=len(every),
             may_miss=MAY_MISS)


# The parallel dump: strace counts for each thread and each child by itself, so a point is the k-th
# call of whichever comes there first: ours, and everything dies, or a pg_dump's.
THREAD_CALLS = {"file": ("futex", "poll", "read", "recvfrom", "sendto", "write"),
                "azure": ("futex", "recvfrom", "sendto")}
THREAD_MOST = 60
THREAD_STEP = {"file": 5, "azure": 15}
# Which calls there are, and how many, depends on which thread was faster.
THREADS_MAY_MISS = 0.6


def kill_threads_at(lane, point):
    seen = lane.check(arena.FIRST_CHECK, settings=arena.PARALLEL, what=f"under {point}",
                      prefix=["strace", "-f", "-qq", "-o", "/dev/null", *point.injection])
    assert seen.code in (-9, 0, 1, 3), f"exit code {seen.code}: {seen.err}"
    return Tried(reached=seen.code in (-9, 1))


@case("kill-threads", kinds=("file", "azure"), about="kill -9 in any thread of a parallel dump")
def kill_threads(run):
    every = [Point(call, k) for call in THREAD_CALLS[run.kind] for k in range(1, THREAD_MOST)]
    run.each(every[::run.step(THREAD_STEP[run.kind])], kill_threads_at, exist=len(every),
             may_miss=THREADS_MAY_MISS)

"""Memory that runs out: each allocation of a small backup fails, once or from then on.

A library loaded before the others (malloc_fault.c) counts and fails them, in the program alone.
There are more than a hundred thousand, nearly all made by OpenSSL for libpq's connections. So they
are told apart by who asked. A place of our own is the last two steps of the way there; one of a
library is where in it, and where in the program it was called. The default tries each of our own
places once, every so many-th of those where we call a library, and of the libraries behind that
one; and every so many-th of all also from then on. --full tries many times of each, both ways.

The same with the check that finds a run dead just after it published: what it must not do is to
take that object for none. Tried is what that check does and a backup does not.
"""

import collections
import itertools
import pathlib
import signal
import subprocess
from typing import NamedTuple

import arena
import judge
import kills
from cases import Tried, case

SOURCE = pathlib.Path(__file__).resolve().parent / "malloc_fault.c"
LIBRARY = "malloc_fault.so"
PROGRAM = "rythm-backup"
# Whoever calls through these is who asked.
PASSING_ON = ("libc.so", "ld-linux", LIBRARY)
CRASHES = {-6: "SIGABRT", -7: "SIGBUS", -11: "SIGSEGV"}
# A library that does not survive it, and the one that we called: nothing that we do or leave undone
# can help it. The run dies there, and the next check finds it dead. Any other crash is a finding.
DIE_OF_IT = {
    # SPNEGO looks into the set of mechanisms although making it failed.
    ("libgssapi_krb5.so.2", "libpq.so.5"),
    # RAND_status() takes a lock that could not be made.
    ("libcrypto.so.3", "libpq.so.5"),
}

STEP = {"file": 1, "azure": 16}
CALLED_STEP = 8
BEHIND_STEP = 32
ONWARDS_STEP = 6
LATE_STEP = 2
OWN_STEPS = 2
FULL_PER_PLACE = 100
RECOVERY_CHECK = "02:01:20"


class Allocation(NamedTuple):
    k: int
    place: str
    onwards: bool = False

    def __str__(self):
        return f"allocation {self.k}{' and all after it' if self.onwards else ''} ({self.place})"

    @property
    def fail(self):
        return f"memory:{self.k}{'+' if self.onwards else ''}"


# The library

def build(folder):
    """Compiles it, once for a run of the harness."""
    library = folder / LIBRARY
    if not library.exists():
        subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-shared",
                        "-fPIC", "-o", str(library), str(SOURCE)], check=True)
    return library


def preloaded(lane, **settings):
    """The environment for a run with it."""
    return {"LD_PRELOAD": str(lane.arena.folder / LIBRARY),
            **{name: str(value) for name, value in settings.items()}}


def new_file(lane, name):
    path = lane.folder / name
    path.unlink(missing_ok=True)
    return path


def read_lines(path):
    """(what, its number, its callers from the inside out) of each line."""
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return [(words[0], int(words[1]), words[2:]) for words in lines]


def enumerate_calls(lane, time_of_day=arena.FIRST_CHECK):
    """Of an undisturbed check, for each kind of call ("memory") the callers of each."""
    log = new_file(lane, "log")
    # Writing it down takes its time.
    seen = lane.check(time_of_day, settings={
        **preloaded(lane, CHAOS_LOG=log), "RYTHM_BACKUP_CONNECT_TIMEOUT": "60s"})
    assert seen.code in (0, 3), seen.err
    found = collections.defaultdict(list)
    for what, _, callers in sorted(read_lines(log), key=lambda line: line[1]):
        found[what].append(callers)
    return found


# Who asked

def module(frame):
    return frame.rsplit("+", 1)[0]


def asking(callers):
    """Without those that only pass it on."""
    return [frame for frame in callers if not module(frame).startswith(PASSING_ON)]


def called(frames):
    """The library that the program called; None when it asked itself."""
    before = list(itertools.takewhile(lambda frame: module(frame) != PROGRAM, frames))
    return module(before[-1]) if before else None


def of_program(frames):
    return [frame for frame in frames if module(frame) == PROGRAM]


def place(callers, in_full=False):
    frames = asking(callers)
    ours = of_program(frames)
    if called(frames) is None:
        return " < ".join(ours if in_full else ours[:OWN_STEPS])
    return f"{frames[0]} for {' < '.join(ours if in_full else ours[:1])}"


class Place(NamedTuple):
    name: str
    is_ours: bool
    is_behind: bool  # a library that another library calls
    ks: list         # the numbers of its allocations


def places_of(callers, in_full=False):
    """Of the callers of each allocation; None: it is of no interest, but counts."""
    places = {}
    for k, each in enumerate(callers, 1):
        if each is None:
            continue
        frames = asking(each)
        name = place(each, in_full)
        if name not in places:
            library = called(frames)
            is_behind = library is not None and module(frames[0]) != library
            places[name] = Place(name, library is None, is_behind, [])
        places[name].ks.append(k)
    return list(places.values())


def choose(places, step):
    """Each of our own at its first time; of the others, one of their times in turn."""
    ours = [each for each in places if each.is_ours]
    others = [each for each in places if not each.is_ours and not each.is_behind]
    behind = [each for each in places if each.is_behind]
    chosen = ours + others[::CALLED_STEP] + behind[::BEHIND_STEP]
    for number, each in enumerate(chosen[::step]):
        k = each.ks[0 if each.is_ours else number % len(each.ks)]
        yield Allocation(k, each.name)
        if number % ONWARDS_STEP == 0:
            yield Allocation(k, each.name, True)


def choose_many(places):
    for each in places:
        stride = -(-len(each.ks) // FULL_PER_PLACE)
        for k, onwards in itertools.product(each.ks[::stride], (False, True)):
            yield Allocation(k, each.name, onwards)


# The points

class Attempt:
    """Fails allocations of the program, and keeps account of crashes in libraries."""

    def __init__(self):
        self.died = collections.Counter()

    def check(self, lane, time_of_day, allocation):
        report = new_file(lane, "report")
        seen = lane.check(time_of_day, settings=preloaded(
            lane, CHAOS_FAIL=allocation.fail, CHAOS_REPORT=report))
        lines = read_lines(report)
        where = next((place(callers) for what, _, callers in lines if what == "memory"), "none")
        seen.what += f" when {allocation.fail} fails: {where}"
        return Tried(reached=bool(lines), expectation=self._expect(seen, lines))

    def _expect(self, seen, report):
        if seen.code not in CRASHES:
            return judge.Expectation()
        crash = next((asking(callers) for what, _, callers in report if what != "memory"), [])
        who = (module(crash[0]) if crash else "?", called(crash))
        assert who in DIE_OF_IT, f"{CRASHES[seen.code]} in {' < '.join(crash)}\n{seen.err}"
        self.died[f"{who[0]} for {who[1]}"] += 1
        return judge.Expectation(signals=(signal.SIGKILL, -seen.code))


def just_published(lane):
    """Where to kill a run into a folder when it has published and not yet recorded that."""
    calls = kills.enumerate_calls(lane)
    renamed = next(index for index, (name, _) in enumerate(calls) if name == "renameat2")
    return kills.Point("fsync", 1 + sum(name == "fsync" for name, _ in calls[:renamed]))


def die(lane, killed):
    seen = lane.check(arena.FIRST_CHECK, prefix=killed.strace, what=f"under {killed}")
    assert seen.code == -signal.SIGKILL, f"exit code {seen.code}: {seen.err}"


def tell(run, what, callers, places, attempt):
    died = ", ".join(f"{who} {count}" for who, count in sorted(attempt.died.items()))
    run.tell(f"{run.case.name} {run.kind}: {len(callers)} allocations in {what}, from"
             f" {len(places)} places, {sum(each.is_ours for each in places)} of them our own;"
             f" died in a library: {died or 'never'}")


@case("malloc", kinds=("file", "azure"), about="every allocation fails, once and from then on")
def fail_allocations(run):
    lane = run.lanes[0]
    build(run.arena.folder)
    lane.begin()
    callers = enumerate_calls(lane)["memory"]
    places = places_of(callers)
    attempt = Attempt()

    def fail_at(lane, allocation):
        return attempt.check(lane, arena.FIRST_CHECK, allocation)

    run.each(choose_many(places) if run.full else choose(places, STEP[run.kind]), fail_at,
             exist=2 * len(callers))
    tell(run, "a backup", callers, places, attempt)


@case("malloc-late", about="the same, in the check that recovers a published run")
def fail_allocations_of_recovery(run):
    lane = run.lanes[0]
    build(run.arena.folder)
    killed = just_published(lane)
    lane.begin()
    known = {frame for each in enumerate_calls(lane)["memory"] for frame in asking(each)}
    lane.begin()
    die(lane, killed)
    callers = [each if not known.issuperset(asking(each)) else None
               for each in enumerate_calls(lane, RECOVERY_CHECK)["memory"]]
    places = places_of(callers, in_full=True)
    attempt = Attempt()

    def fail_at(lane, allocation):
        die(lane, killed)
        return attempt.check(lane, RECOVERY_CHECK, allocation)

    run.each(choose_many(places) if run.full else choose(places, LATE_STEP), fail_at,
             exist=2 * sum(len(each.ks) for each in places))
    tell(run, "a recovery", [each for each in callers if each], places, attempt)

"""The registry of cases, and how their points are spread over the lanes.

A case is a module in this folder; what it registers is found by itself:

    import signal

    from cases import Tried, case

    @case("stop", kinds=("file", "azure"), about="SIGSTOP while a second process runs")
    def stop(run):
        waits = range(0, 400, 5 if run.full else 50)         # milliseconds: the points
        run.each(waits, stop_at, exist=80)                   # of so many that exist

    def stop_at(lane, wait_ms):                              # one point, on a lane of its own
        first = lane.start_check("02:00:10", what=f"stopped after {wait_ms} ms")
        ...
        lane.finish(first)
        return Tried(reached=True)                           # or None; see Tried

Before it, each() begins a new occurrence on the lane; after it, it lets the later checks run and
asks the judge. An exception in the function is a finding. A lane with a finding is replaced.

Nothing is passed that was not tried. A point that tells that it was not reached counts apart, and
more of them than each() was told to allow (may_miss, none by default) are a finding; so are points
that nobody took, a thread that ended early, and a case without a point. Threads of a case's own
are those of Run.crew(), which sees to that.
"""

import contextlib
import itertools
import queue
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

import judge

MOST_TOLD = 20      # of points that were not reached
MOST_TRIED = 6      # of more points than this so many are tried, evenly, unless all are
FEW = 2             # so many may be missed where any may
OWN_LANES = 3       # for a case whose lanes are not the arena's
RESTORE_EVERY = 40  # so often the judge restores with psql; always the first point


@dataclass
class Case:
    name: str
    kinds: tuple
    about: str
    function: Callable
    apart: bool = False  # it mostly waits, on servers of its own: it goes on beside all others


@dataclass
class Tried:
    """What a point's function tells about it."""

    reached: bool = True          # False: the mischief had no occasion; judged, but not passed
    expectation: judge.Expectation = field(default_factory=judge.Expectation)
    recover: bool = True          # False: the function has run the later checks itself
    verdict: judge.Verdict | None = None  # of a judge of its own, who has looked already
    scene: str = ""               # what that one saw, for the report of a finding


registry = []


def case(name, kinds=("file",), about="", apart=False):
    """Registers a function that takes a Run; it is called once for each kind of store."""
    def register(function):
        registry.append(Case(name, tuple(kinds), about, function, apart))
        return function
    return register


class Tally:
    """Of the points of one call of each(): how many were tried, and those not reached."""

    def __init__(self):
        self.tried = 0
        self.missed = []


class Run:
    """One case with one kind of store: what it has to work with, and what came of it."""

    def __init__(self, arena, of_case, kind, full, times=1, tell=print):
        self.arena = arena
        self.case = of_case
        self.kind = kind
        self.full = full
        self.times = times
        self.tell = tell
        # Each verdict is passed, missed (nothing was found, but nothing was tried) or failed.
        self.exist = self.verdicts = self.passed = self.missed = self.failed = 0
        self.repeated_mails = 0
        self.restored = 0
        self.stopping = threading.Event()
        self._begun = time.monotonic()
        self._lock = threading.Lock()

    def begin(self):
        """The clock starts; made long before, it may have waited for others."""
        self._begun = time.monotonic()

    @property
    def lanes(self):
        return self.arena.lanes(self.kind)

    @contextlib.contextmanager
    def crew(self, tasks, work, places=None):
        """Meanwhile work(place, tasks) goes on in a thread for each of the places (two, where they
        have no meaning); what it gets as tasks gives it, one after another, those that nobody has
        taken yet. At the end waits for all of them. That a thread ends with an exception is a
        finding, and so is what is left."""
        todo = queue.SimpleQueue()
        for task in tasks:
            todo.put(task)
        taken = {}  # thread -> its task

        def take():
            while not self.stopping.is_set():
                try:
                    task = todo.get_nowait()
                except queue.Empty:
                    return
                taken[threading.get_ident()] = task
                yield task

        def watched(place):
            try:
                work(place, take())
            except BaseException:
                if not self.stopping.is_set():
                    last = taken.get(threading.get_ident(), "its beginning")
                    self.fail(f"a thread that ended at {last}", traceback.format_exc())

        threads = [threading.Thread(target=watched, args=(place,), daemon=True)
                   for place in (range(min(2, self.arena.most_lanes)) if places is None
                                 else places)]
        for thread in threads:
            thread.start()
        try:
            yield
            for thread in threads:
                thread.join()
        except BaseException:
            self.stopping.set()
            self.arena.kill_runs()
            for thread in threads:
                thread.join(timeout=10)
            raise
        if not (todo.empty() or self.stopping.is_set()):
            self.fail("the rest", f"{todo.qsize()} points were not tried")

    def step(self, usual):
        """Of the points every so many-th is tried."""
        return 1 if self.full else max(1, usual // self.times)

    def each(self, points, function, exist=None, may_miss=0, make=None):
        """Tries function(lane, point) at each of the points, on all lanes at the same time.
        `exist`: how many points there are, when these are a choice of them. `may_miss`: the share
        of them of which the mischief may find no occasion. `make`: makes a lane, where those of the
        arena will not do; there are fewer of these, and they end with the call."""
        points = list(points)
        self.exist += len(points) if exist is None else exist
        most = MOST_TRIED * self.times
        if len(points) > most and not self.full:
            points = [points[len(points) * number // most] for number in range(most)]
        tally = Tally()

        def work(lane, todo):
            with_restore = itertools.cycle([True] + [False] * (RESTORE_EVERY - 1))
            for point in todo:
                if not self._try(lane, point, function, next(with_restore), tally):
                    lane = self.arena.renew(lane)

        if make is None:
            with self.crew(points, work, self.lanes):
                pass
        else:
            with self._on_own_lanes(points, function, make, OWN_LANES, tally):
                pass
        self._demand_reached(tally, may_miss)

    @contextlib.contextmanager
    def alongside(self, points, function, lanes, may_miss=0):
        """Tries these points meanwhile, on so many lanes of their own: for those that mostly wait.
        At the end it waits for them. They count as points that exist, too."""
        self.exist += len(points)
        tally = Tally()
        with self._on_own_lanes(points, function, lambda: self.arena.make_lane(self.kind), lanes,
                                tally):
            yield
        self._demand_reached(tally, may_miss)

    @contextlib.contextmanager
    def _on_own_lanes(self, points, function, make, lanes, tally):
        made = [make() for _ in range(min(lanes, len(points)))]

        def work(lane, todo):
            for point in todo:
                if not self._try(lane, point, function, False, tally):
                    lane.close()
                    lane = make()
            lane.close()

        with self.crew(points, work, made):
            yield

    def _demand_reached(self, tally, may_miss):
        # Of few points one or two are a large share, and by chance.
        if len(tally.missed) > max(may_miss * tally.tried, FEW if may_miss > 0 else 0):
            self.fail("the points as a whole",
                      f"{len(tally.missed)} of {tally.tried} were not reached, at most"
                      f" {may_miss:.0%} may be: {', '.join(map(str, tally.missed[:MOST_TOLD]))}")

    def _try(self, lane, point, function, restore, tally):
        """One point from begin to verdict; False when the lane is not fit for another."""
        try:
            lane.begin()
            tried = function(lane, point) or Tried()
            scene = None
            verdict = tried.verdict
            if verdict is None:
                if tried.recover:
                    lane.recover()
                scene = judge.look(lane, tried.expectation, restore)
                verdict = judge.judge(scene)
        except Exception:
            scene = None
            verdict = judge.Verdict([traceback.format_exc()])
            tried = Tried()
        # What is killed because the harness ends is nobody's fault.
        if self.stopping.is_set():
            return True
        described = (judge.describe(scene) if verdict.findings and scene is not None
                     else tried.scene)
        self.note(point, verdict, described, tried.reached,
                  restore and scene is not None and bool(scene.objects))
        with self._lock:
            tally.tried += 1
            tally.missed += [] if tried.reached else [point]
        return not verdict.findings

    def note(self, point, verdict, scene="", reached=True, restored=False):
        """Counts a verdict, and prints it when it is a finding."""
        with self._lock:
            self.verdicts += 1
            if verdict.findings:
                self.failed += 1
            elif reached:
                self.passed += 1
            else:
                self.missed += 1
            self.restored += restored
            self.repeated_mails += verdict.repeated_mails
            if verdict.findings:
                self.tell(f"--- {self.case.name} {self.kind}: {point}")
                for finding in verdict.findings:
                    self.tell(f"  FINDING {finding}")
                if scene:
                    self.tell(scene)
                self.tell("---")

    def fail(self, what, problem):
        """A finding about the harness's own work: something was not tried."""
        self.exist += 1
        self.note(what, judge.Verdict([problem]))

    def add(self, other):
        """Counts as its own what was tried in another one."""
        with self._lock:
            for name in ("exist", "verdicts", "passed", "missed", "failed", "repeated_mails",
                         "restored"):
                setattr(self, name, getattr(self, name) + getattr(other, name))

    def try_all(self):
        """Calls the case. One that ends with an exception is a finding, and so is one that tried
        nothing."""
        try:
            self.case.function(self)
            if not self.passed + self.failed:
                self.fail("the case as a whole", "nothing was tried")
        except Exception:
            self.fail("the case as a whole", traceback.format_exc())

    def line(self):
        points = (f"{self.verdicts}" if self.verdicts == self.exist
                  else f"{self.verdicts} of {self.exist}")
        text = (f"{self.case.name:<16} {self.kind:<6} {points:>12} points"
                f" {self.passed:>5} passed {self.failed:>3} findings"
                f" {time.monotonic() - self._begun:>5.0f} s")
        more = [f"{count} {what}" for count, what in (
            (self.missed, "not reached"), (self.restored, "restored by psql"),
            (self.repeated_mails, "mails repeated with the same id")) if count]
        return f"{text}   ({', '.join(more)})" if more else text

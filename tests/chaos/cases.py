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

    reached: bool = True          # False: the mischief had no occasion; judged as a normal run
    expectation: judge.Expectation = field(default_factory=judge.Expectation)
    recover: bool = True          # False: the function has run the later checks itself


registry = []


def case(name, kinds=("file",), about="", apart=False):
    """Registers a function that takes a Run; it is called once for each kind of store."""
    def register(function):
        registry.append(Case(name, tuple(kinds), about, function, apart))
        return function
    return register


class Run:
    """One case with one kind of store: what it has to work with, and what came of it."""

    def __init__(self, arena, of_case, kind, full, tell=print):
        self.arena = arena
        self.case = of_case
        self.kind = kind
        self.full = full
        self.tell = tell
        self.exist = self.tried = self.missed = self.verdicts = self.failed = 0
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

    def each(self, points, function, exist=None):
        """Tries function(lane, point) at each of the points, on all lanes at the same time.
        `exist`: how many points there are, when these are a choice of them."""
        points = list(points)
        self.exist += len(points) if exist is None else exist
        todo = queue.SimpleQueue()
        for point in points:
            todo.put(point)
        workers = [threading.Thread(target=self._work, args=(lane, todo, function), daemon=True)
                   for lane in self.lanes]
        for worker in workers:
            worker.start()
        try:
            for worker in workers:
                worker.join()
        except BaseException:
            self.stopping.set()
            self.arena.kill_runs()
            for worker in workers:
                worker.join(timeout=10)
            raise
        if not todo.empty():
            self.note("the rest", judge.Verdict([f"{todo.qsize()} points were not tried: no lane"]))

    @contextlib.contextmanager
    def alongside(self, points, function, lanes):
        """Tries these points meanwhile, on so many lanes of their own: for those that mostly wait.
        At the end it waits for them. They count as points that exist, too."""
        todo = queue.SimpleQueue()
        self.exist += len(points)
        for point in points:
            todo.put(point)
        made = [self.arena.make_lane(self.kind) for _ in range(min(lanes, len(points)))]
        workers = [threading.Thread(target=self._work_and_close, args=(lane, todo, function),
                                    daemon=True) for lane in made]
        for worker in workers:
            worker.start()
        try:
            yield
            for worker in workers:
                worker.join()
        except BaseException:
            self.stopping.set()
            raise

    def _work_and_close(self, lane, todo, function):
        while not self.stopping.is_set():
            try:
                point = todo.get_nowait()
            except queue.Empty:
                break
            if not self._try(lane, point, function, False):
                lane.close()
                lane = self.arena.make_lane(self.kind)
        lane.close()

    def _work(self, lane, todo, function):
        with_restore = itertools.cycle([True] + [False] * (RESTORE_EVERY - 1))
        while not self.stopping.is_set():
            try:
                point = todo.get_nowait()
            except queue.Empty:
                return
            if not self._try(lane, point, function, next(with_restore)) and not todo.empty():
                try:
                    lane = self.arena.renew(lane)
                except Exception:
                    self.note("a new lane", judge.Verdict([traceback.format_exc()]))
                    return

    def _try(self, lane, point, function, restore):
        """One point from begin to verdict; False when the lane is not fit for another."""
        try:
            lane.begin()
            tried = function(lane, point) or Tried()
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
            return False
        described = judge.describe(scene) if verdict.findings and scene is not None else ""
        self.note(point, verdict, described, tried.reached,
                  restore and scene is not None and bool(scene.objects))
        return not verdict.findings

    def note(self, point, verdict, scene="", reached=True, restored=False):
        """Counts a verdict, and prints it when it is a finding."""
        with self._lock:
            self.tried += 1
            self.missed += not reached
            self.verdicts += 1
            self.restored += restored
            self.failed += bool(verdict.findings)
            self.repeated_mails += verdict.repeated_mails
            if verdict.findings:
                self.tell(f"--- {self.case.name} {self.kind}: {point}")
                for finding in verdict.findings:
                    self.tell(f"  FINDING {finding}")
                if scene:
                    self.tell(scene)
                self.tell("---")

    def add(self, other):
        """Counts as its own what was tried in another one."""
        with self._lock:
            for name in ("exist", "tried", "missed", "verdicts", "failed", "repeated_mails",
                         "restored"):
                setattr(self, name, getattr(self, name) + getattr(other, name))

    def give_up(self):
        """The case itself has ended with an exception."""
        self.exist += 1
        self.note("the case as a whole", judge.Verdict([traceback.format_exc()]))

    def line(self):
        points = f"{self.tried}" if self.tried == self.exist else f"{self.tried} of {self.exist}"
        text = (f"{self.case.name:<11} {self.kind:<6} {points:>12} points"
                f" {self.verdicts:>5} verdicts {self.failed:>3} findings"
                f" {time.monotonic() - self._begun:>5.0f} s")
        more = [f"{count} {what}" for count, what in (
            (self.missed, "not reached"), (self.restored, "restored by psql"),
            (self.repeated_mails, "mails repeated with the same id")) if count]
        return f"{text}   ({', '.join(more)})" if more else text

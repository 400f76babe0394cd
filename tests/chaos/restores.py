"""A restore is killed, loses its sessions, has calls and allocations fail: the target is whole, or
it is what it was before.

A Place is a cluster of its own with a backup of the database `source`. A point is one disturbed
`restore --create` into no database, or `--clean` over another one, by turns. After it and after the
next, undisturbed restore the database is looked at by SQL, and now and then by pg_dump; then
nothing else may be left in the cluster: no scratch database, no role, no session.
"""

import contextlib
import itertools
import os
import signal
import subprocess
import traceback
from typing import NamedTuple

import psycopg2

import arena
import errnos
import judge
import kills
import mallocs
import phases
import processes
from cases import FEW, case

TARGET = "target"
SOURCE = "source"
BEFORE = "before"     # what --clean finds
SCHEDULE = "of-source"
SETTINGS = {"RYTHM_BACKUP_ENGINE": "parallel", "RYTHM_BACKUP_JOBS": "2"}
RESTORE_LIMIT_S = 90
GONE_LIMIT_S = 20
DUMP_EVERY = 20       # so often pg_dump compares, too
MAY_MISS = {"calls": 0.1, "threads": 0.6, "sessions": 0.2}

CONTENTS = """
CREATE SCHEMA shop;
CREATE TABLE shop.customer (id integer PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE shop.item (id serial PRIMARY KEY, customer integer REFERENCES shop.customer,
                        price numeric CHECK (price >= 0), raw bytea);
CREATE TABLE word (id bigint PRIMARY KEY, word text);
CREATE VIEW shop.sales AS SELECT customer, sum(price) FROM shop.item GROUP BY customer;
INSERT INTO shop.customer SELECT g, 'customer ' || g FROM generate_series(1, 500) g;
INSERT INTO shop.item (customer, price, raw)
    SELECT g % 500 + 1, g % 97, decode(md5(g::text), 'hex') FROM generate_series(1, 3000) g;
INSERT INTO word SELECT g, 'word ' || g * 7919 FROM generate_series(1, 2000) g;
CREATE INDEX ON shop.item (price, customer);
CREATE INDEX ON word (word);
SELECT lo_from_bytea(7000, 'large');
"""
TABLES = ("shop.customer", "shop.item", "word")
FINGERPRINT = "SELECT " + ", ".join(
    [f"(SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM {table} t)" for table in TABLES]
    + ["(SELECT string_agg(indexdef, ',' ORDER BY indexdef) FROM pg_indexes"
       " WHERE schemaname IN ('shop', 'public'))",
       "(SELECT string_agg(pg_get_constraintdef(oid) || convalidated, ',' ORDER BY conname)"
       " FROM pg_constraint WHERE connamespace::regnamespace::text IN ('shop', 'public'))",
       "(SELECT last_value FROM shop.item_id_seq)", "(SELECT md5(lo_get(7000)))",
       "(SELECT count(*) FROM shop.sales)"])
SCRATCH = "SELECT datname FROM pg_database WHERE datname ~ '^rythm_'"
ROLES = "SELECT rolname FROM pg_roles ORDER BY 1"
SESSIONS = ("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
            " AND pid <> pg_backend_pid() ORDER BY backend_start")

# Of the main thread's calls; and of those of all, for whichever thread comes to the k-th first.
KILL_STEP = {"file": 64, "azure": 640}
THREAD_CALLS = ("futex", "poll", "pread64", "recvfrom", "sendto")
THREAD_STEP = {"file": 60, "azure": 240}
FAULT_STEP, FAULT_BEFORE_STEP = 96, 240
MALLOC_MOST = 8
SESSION_STEP = 12


class Seen(NamedTuple):
    code: int | None
    err: str
    reached: bool


class Place:
    """A cluster with a backup, and the restores of it."""

    def __init__(self, own, kind):
        self.arena = own
        self.cluster = own.cluster
        self.folder = own.folder
        self.numbers = itertools.count()
        if kind == "azure":
            own.start_azurite()
        self.store = own.make_store(kind, "restores", own.folder)
        self.tool = arena.Tool(own.folder, {
            "DATABASE_URL": self.cluster.url(own.template), **self.store.settings,
            **arena.SETTINGS, **SETTINGS})
        for name in (SOURCE, BEFORE):
            self.cluster.create_database(name)
        self.cluster.execute(SOURCE, CONTENTS)
        self.cluster.execute(BEFORE, "CREATE TABLE precious AS SELECT 4711 AS number")
        self.tool.ok("schedule", "add", SCHEDULE, "--dbname", SOURCE)
        self.tool.ok("run", SCHEDULE, "--no-notify")
        self.whole = self.cluster.execute(SOURCE, FINGERPRINT)
        self.dumped = self.cluster.dump(SOURCE)
        self.roles = self.cluster.execute("postgres", ROLES)

    def prepare(self, clean):
        self.cluster.drop_database(TARGET)
        if clean:
            self.cluster.create_database(TARGET, BEFORE)

    def arguments(self, clean):
        return ("restore", f"latest:{SCHEDULE}", "--to", self.cluster.url(TARGET),
                "--clean" if clean else "--create")

    def restore(self, clean, prefix=(), settings=None):
        """Its Seen, from a run that is watched until it has ended."""
        tool = self.tool.with_settings(**(settings or {}))
        process = tool.start(*self.arguments(clean), prefix=prefix, start_new_session=True,
                             errors="replace")
        return self.finish(process)

    def finish(self, process):
        self.arena.note(process)
        try:
            _, err = process.communicate(timeout=RESTORE_LIMIT_S)
            code = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            _, err = process.communicate()
            code = None
        self.arena.forget(process)
        return Seen(code, err or "", True)

    def exists(self, name):
        return bool(self.cluster.execute(
            "postgres", "SELECT 1 FROM pg_database WHERE datname = %s", name))

    def state(self, clean):
        """whole, untouched, or what else it is."""
        if not self.exists(TARGET):
            return "missing" if clean else "untouched"
        try:
            found = self.cluster.execute(TARGET, FINGERPRINT)
            return "whole" if found == self.whole else f"other rows or indexes: {found}"
        except psycopg2.errors.UndefinedTable as problem:
            why = str(problem).strip()
        with contextlib.suppress(psycopg2.errors.UndefinedTable):
            if clean and self.cluster.execute(TARGET, "SELECT * FROM precious") == [(4711,)]:
                return "untouched"
        return f"a part: {why}"

    def await_gone(self):
        processes.wait_until(lambda: not self.cluster.execute("postgres", SESSIONS),
                             "the sessions of the restore have ended", timeout=GONE_LIMIT_S,
                             step=0.01)

    def findings_after(self, seen, clean):
        """What is wrong after a disturbed restore."""
        first = self.state(clean)
        self.await_gone()
        state = self.state(clean)
        for each in (first, state):
            if each not in ("whole", "untouched"):
                yield f"the target is neither whole nor what it was: {each}"
        if first == "whole" and state != "whole":
            yield "the target was whole, and then it was not"
        if seen.code is None:
            yield f"it hung: {seen.err}"
        elif seen.code == 0 and first != "whole":
            yield f"exit code 0, and the target is {first}: {seen.err}"
        elif not (seen.code == -signal.SIGKILL or 0 <= seen.code <= 4):
            yield f"exit code {seen.code}: {seen.err}"

    def findings_of_next(self, clean, with_dump):
        """What is wrong after the next restore, which nobody disturbs."""
        again = self.restore(clean or self.exists(TARGET))
        if again.code != 0:
            yield f"the next restore ended with {again.code}: {again.err}"
        elif self.state(True) != "whole":
            yield f"after the next restore the target is {self.state(True)}"
        elif with_dump and self.cluster.dump(TARGET) != self.dumped:
            yield "after the next restore pg_dump finds something else in the target"
        left = self.cluster.execute("postgres", SCRATCH)
        if left:
            yield f"databases are left: {left}"
        roles = self.cluster.execute("postgres", ROLES)
        if roles != self.roles:
            yield f"the roles were {self.roles} and are {roles}"


class Point(NamedTuple):
    what: object
    clean: bool

    def __str__(self):
        return f"{'--clean' if self.clean else '--create'}, {self.what}"


@contextlib.contextmanager
def places(run, most=2):
    with contextlib.ExitStack() as stack:
        yield [Place(stack.enter_context(arena.Arena(1)), run.kind)
               for _ in range(min(most, run.arena.most_lanes))]


def by_turns(run, found, step):
    """Of what there is every so many-th, and with --full all, both ways."""
    if run.full:
        return [Point(what, clean) for what in found for clean in (False, True)]
    return [Point(what, number % 2 == 1) for number, what in enumerate(found[::run.step(step)])]


def each(run, lanes, points, exist, disturb, may_miss):
    """Tries disturb(place, what, clean) -> Seen at each of the points, and judges."""
    run.exist += exist
    missed = []

    def work(place, todo):
        for point in todo:
            reached = True
            try:
                place.prepare(point.clean)
                seen = disturb(place, point.what, point.clean)
                reached = seen.reached
                findings = list(place.findings_after(seen, point.clean))
                findings += place.findings_of_next(point.clean,
                                                   next(place.numbers) % DUMP_EVERY == 0)
            except Exception:
                findings = [traceback.format_exc()]
            if run.stopping.is_set():
                return
            run.note(point, judge.Verdict(findings), reached=reached)
            if not reached:
                missed.append(str(point))

    with run.crew(points, work, lanes):
        pass
    if len(missed) > max(may_miss * len(points), FEW):
        run.fail("the points as a whole", f"{len(missed)} of {len(points)} were not reached:"
                 f" {', '.join(missed[:20])}")


def traced(place):
    """The calls of the main thread of an undisturbed restore."""
    log = mallocs.new_file(place, "calls")
    place.prepare(False)
    seen = place.restore(False, prefix=["strace", "-qq", "-s", "400", "-o", str(log)])
    assert seen.code == 0, seen.err
    return kills.calls_in(log)


# kill -9

def kill_at(place, point, clean):
    seen = place.restore(clean, prefix=point.strace)
    return seen._replace(reached=seen.code == -signal.SIGKILL)


def kill_thread_at(place, point, clean):
    seen = place.restore(clean, prefix=["strace", "-f", "-qq", "-o", "/dev/null",
                                        *point.injection])
    return seen._replace(reached=seen.code == -signal.SIGKILL)


@case("kill-restore", kinds=("file", "azure"), about="kill -9 at every system call of a restore")
def kill_restore(run):
    with places(run) as lanes:
        every = list(kills.points_of(traced(lanes[0])))
        found = [point for point, chosen in every if chosen or run.full]
        each(run, lanes, by_turns(run, found, KILL_STEP[run.kind]), 2 * len(every), kill_at,
             MAY_MISS["calls"])
        threads = [kills.Point(call, k) for call in THREAD_CALLS
                   for k in range(1, kills.THREAD_MOST)]
        each(run, lanes, by_turns(run, threads, THREAD_STEP[run.kind]), 2 * len(threads),
             kill_thread_at, MAY_MISS["threads"])


# Calls and allocations that fail

def fault_at(place, fault, clean):
    log = mallocs.new_file(place, "faults")
    seen = place.restore(clean, prefix=fault.strace(log))
    if seen.code == errnos.NOT_LOADED and "error while loading shared libraries" in seen.err:
        seen = seen._replace(code=1)
    return seen._replace(reached=errnos.injected(log))


@case("errno-restore", about="every system call of a restore fails, once and from then on")
def errno_restore(run):
    with places(run) as lanes:
        calls = list(errnos.faults_of(traced(lanes[0])))
        every = [fault for _, faults in calls for fault in faults]
        found = every if run.full else list(errnos.choose(calls, FAULT_STEP, FAULT_BEFORE_STEP))
        each(run, lanes, by_turns(run, found, 1), 2 * len(every), fault_at, MAY_MISS["calls"])


def malloc_at(place, k, clean):
    report = mallocs.new_file(place, "report")
    seen = place.restore(clean, settings=mallocs.preloaded(
        place, CHAOS_FAIL=f"memory:{k}", CHAOS_REPORT=report))
    lines = mallocs.read_lines(report)
    asking = [mallocs.asking(callers) for _, _, callers in lines]
    if seen.code in mallocs.CRASHES and any(
            (mallocs.module(frames[0]), mallocs.called(frames)) in mallocs.DIE_OF_IT
            for frames in asking if frames):
        seen = seen._replace(code=-signal.SIGKILL)
    return seen._replace(reached=bool(lines))


def places_that_allocate(place):
    """The number of the first allocation of each of our own places."""
    log = mallocs.new_file(place, "log")
    place.prepare(False)
    seen = place.restore(False, settings=mallocs.preloaded(place, CHAOS_LOG=log))
    assert seen.code == 0, seen.err
    first = {}
    for what, number, callers in sorted(mallocs.read_lines(log), key=lambda line: line[1]):
        if what == "memory" and mallocs.of_program(callers):
            first.setdefault(mallocs.place(callers), number)
    return sorted(first.values())


@case("malloc-restore", about="each allocation of a restore fails")
def malloc_restore(run):
    with places(run) as lanes:
        for place in lanes:
            mallocs.build(place.folder)
        found = places_that_allocate(lanes[0])
        step = 1 if run.full else max(1, len(found) // MALLOC_MOST)
        # Threads take turns: the k-th of all is now and then another's.
        each(run, lanes, by_turns(run, found, step), 2 * len(found), malloc_at, MAY_MISS["calls"])


# Sessions that end

class Terminated(NamedTuple):
    call: kills.Point
    number: int

    def __str__(self):
        return f"session {self.number + 1} terminated at {self.call}"


def terminate_at(place, point, clean):
    """It stands still after the call, and has lost a session when it goes on."""
    log = mallocs.new_file(place, "halt")
    call = point.call
    process = place.tool.with_settings(**phases.PATIENT).start(
        *place.arguments(clean), start_new_session=True, errors="replace",
        prefix=["strace", "-D", "-qq", "-o", str(log), "-e", f"trace={call.call}",
                "-e", f"inject={call.call}:signal=SIGSTOP:when={call.k}"])
    reached = False
    try:
        processes.wait_until(lambda: process.poll() is not None
                             or (log.exists() and phases.STOPPED in log.read_text()),
                             str(point), step=0.01)
        found = place.cluster.execute("postgres", SESSIONS)
        if found and process.poll() is None:
            (pid,) = found[point.number % len(found)]
            place.cluster.execute("postgres", "SELECT pg_terminate_backend(%s, 5000)", pid)
            reached = True
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)
    return place.finish(process)._replace(reached=reached)


def answers(calls):
    """The statements that the main thread sends and what comes back; and its waiting for others."""
    counts = {}
    begun = False
    for name, rest in calls:
        counts[name] = counts.get(name, 0) + 1
        begun = begun or (name == "connect" and "AF_INET" in rest)
        if begun and name in ("sendto", "recvfrom", "futex"):
            yield kills.Point(name, counts[name])


@case("sessions-restore", about="the sessions of a restore end at each of its statements")
def sessions_restore(run):
    with places(run) as lanes:
        calls = list(answers(traced(lanes[0])))
        every = [Terminated(call, number) for call in calls for number in range(4)]
        found = every if run.full else [Terminated(call, turn)
                                        for turn, call in enumerate(calls[::SESSION_STEP])]
        each(run, lanes, by_turns(run, found, 1), 2 * len(every), terminate_at,
             MAY_MISS["sessions"])

"""The sessions in Postgres end, at each phase of a backup, in every way that they can.

At a phase the program stands still; then one of its sessions is terminated, or those of pg_dump
are, or the whole server is stopped and restarted or crashes, or it has no connection left for the
next one.
What goes on must end in success or a clear failure; the checks after it make the backup.
"""

import contextlib
import dataclasses
import itertools
import os
import signal
import threading
from typing import NamedTuple

import psycopg2

import arena
import kills
import phases
import postgres_cluster
import processes
from cases import Run, Tried, case

DUMP_STEP = 12
SERVER_STEP = 5   # prime to the number of ways that a server ends
REFUSED = "too many connections"
# The rights that README names.
ROLE = """
CREATE ROLE {role} LOGIN BYPASSRLS PASSWORD '{password}';
GRANT pg_read_all_data TO {role};
GRANT UPDATE (last_run_at, next_run_at) ON backup_schedule TO {role};
GRANT INSERT, UPDATE ON backup_history, email_logs, rythm_backup_deliveries TO {role};
GRANT UPDATE ON rythm_backup_quiet TO {role};
GRANT DELETE ON rythm_backup_edits TO {role};
"""


# One session

class Session(NamedTuple):
    """The so many-th of those that the program has at a phase, the oldest being the first."""

    number: int
    phase: phases.Phase

    def __str__(self):
        return f"session {self.number + 1} of {self.phase.sessions} terminated as it {self.phase}"


def terminate_at(lane, point):
    with phases.halted(lane, point.phase) as first:
        found = phases.sessions(lane)[point.number:][:1]
        phases.terminate(lane, *found)
        first.finish()
    return Tried(reached=first.reached and bool(found))


def each_session(run, with_session):
    """Every session at every phase; by default one at each phase, in turn."""
    points = [Session(number, phase) for phase in with_session for number in range(phase.sessions)]
    turn = itertools.count()
    chosen = [Session(next(turn) % phase.sessions, phase) for phase in with_session
              if not phase.dull]
    # How often the mail service is asked for the outcome differs by one or two.
    run.each(points if run.full else chosen, terminate_at, exist=len(points),
             may_miss=kills.MAY_MISS)


class OfDump(NamedTuple):
    """A point in pg_dump's own story: the k-th call of this name."""

    call: str
    k: int

    def __str__(self):
        return f"pg_dump stopped in {self.call} {self.k}"


@contextlib.contextmanager
def halted_dump(lane, point, settings=None, prefix=()):
    """A check that goes on, with a pg_dump that stands still; False when it never got there."""
    traced = kills.traced_dump(lane, "-D", "-e", f"trace={point.call}",
                               "-e", f"inject={point.call}:signal=SIGSTOP:when={point.k}")
    started = lane.start_check(
        arena.FIRST_CHECK, prefix=prefix, what=str(point),
        settings={**phases.PATIENT, **traced, **(settings or {})})
    processes.wait_until(lambda: any(phases.STOPPED in log.read_text()
                                     for log in kills.dump_logs(lane))
                         or started.process.poll() is not None, str(point), step=0.01)
    pids = [int(member.split()[0]) for member in arena.session_members(started.pid)
            if member.endswith(" pg_dump")]
    try:
        yield started, bool(pids)
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def dump_calls(lane):
    """Every statement of an undisturbed pg_dump; before the first it has no session yet."""
    calls = kills.calls_of_dump(lane, "-e", "trace=sendto")
    return [OfDump("sendto", k) for k, (_, rest) in enumerate(calls, 1) if '"Q\\0' in rest]


def terminate_dump_at(lane, point):
    with halted_dump(lane, point) as (started, reached):
        found = phases.sessions(lane, "pg_dump")
        phases.terminate(lane, *found)
    seen = lane.finish(started)
    assert seen.code in (0, 1), f"exit code {seen.code}: {seen.err}"
    return Tried(reached=reached and bool(found))


# All of them: the server

class Server(NamedTuple):
    how: str
    phase: phases.Phase

    def __str__(self):
        return f"server {self.how} as it {self.phase}"


def own_session(lane):
    """The server process that answers the harness; None: nobody does."""
    try:
        return lane.query("SELECT pg_backend_pid() AS pid")[0]["pid"]
    except psycopg2.OperationalError:
        return None


def crash(lane):
    """A server process dies of SIGKILL, here the harness's own, which is certainly there. So the
    server ends all others, too, and recovers."""
    pid = own_session(lane)
    os.kill(pid, signal.SIGKILL)
    processes.wait_until(lambda: own_session(lane) not in (None, pid), "the server has recovered")


def server_ends_at(lane, point):
    cluster = lane.arena.cluster
    with phases.halted(lane, point.phase) as first:
        if point.how == "crashed":
            crash(lane)
        else:
            cluster.stop(immediately=True)
            if point.how == "down":
                first.go_on()
                first.started.process.wait(arena.RUN_LIMIT_S)
            cluster.start()
        first.finish()
    return Tried(reached=first.reached)


HOWS = ("restarted", "down", "crashed")


@contextlib.contextmanager
def own_server(run):
    """Meanwhile, on a cluster that no other lane uses. A commit is durable there, as it is where
    nobody has said otherwise."""
    with arena.Arena(1) as own:
        own.cluster.execute("postgres", "ALTER SYSTEM SET synchronous_commit = on")
        own.cluster.execute("postgres", "SELECT pg_reload_conf()")
        alone = Run(own, run.case, run.kind, run.full, run.times, run.tell)
        every = phases.phases(own.lanes(run.kind)[0])
        points = [Server(how, phase) for phase in every for how in HOWS]
        chosen = [Server(how, phase) for how, phase in zip(
            itertools.cycle(HOWS), [phase for phase in every if not phase.dull][1::SERVER_STEP],
            strict=False)]
        tried = points if run.full else chosen
        alone.stopping = run.stopping

        def end_servers(place, todo):
            for how in todo:
                alone.each(how, server_ends_at, len(points))

        try:
            with run.crew([tried], end_servers, ["a server of its own"]):
                yield
        finally:
            own.kill_runs()
            run.add(alone)


# One more than there may be

class Limit(NamedTuple):
    of: str                            # ROLE or DATABASE
    sessions: int                      # so many it may have
    phase: phases.Phase | None = None  # from here on; None: all the time
    once: bool = False                 # only until the one after it is begun

    def __str__(self):
        when = f" as it {self.phase}{' only' if self.once else ''}" if self.phase else ""
        return f"connection limit {self.sessions} of the {self.of.lower()}{when}"


@contextlib.contextmanager
def limited_role(lane):
    """The settings for a role that limits hold for; a superuser passes them. Then a function that
    sets the limit."""
    role = f"limited_{lane.name}"
    if not lane.query("SELECT rolname FROM pg_roles WHERE rolname = %s", role):
        lane.query(ROLE.format(role=role, password=postgres_cluster.PASSWORD))

    def limit(of, sessions):
        lane.query(f"ALTER {of} {role if of == 'ROLE' else lane.name} CONNECTION LIMIT {sessions}")

    try:
        yield {"DATABASE_URL": lane.arena.cluster.url(lane.name, user=role)}, limit
    finally:
        limit("ROLE", -1)
        limit("DATABASE", -1)


def is_clear(seen, refused):
    """What no session was left for cannot have been done."""
    assert not refused or seen.code in (1, 3), f"exit code {seen.code}, and a session was refused"
    assert seen.code == 0 or REFUSED in seen.err, f"exit code {seen.code}: {seen.err}"


def limit_at(lane, point):
    with limited_role(lane) as (settings, limit):
        if point.phase is None:
            limit(point.of, point.sessions)
            seen = lane.check(arena.FIRST_CHECK, settings=settings, what=f"with {point}")
            is_clear(seen, refused=point.sessions < 2)
            return Tried()
        phase = point.phase
        if point.once:
            phase = dataclasses.replace(phase, k=f"{phase.k}..{phase.k + 1}")
        with phases.halted(lane, phase, settings=settings) as first:
            limit(point.of, point.sessions)
            if point.once:
                first.go_on()
                first.stands_still(2)
                limit(point.of, -1)
            is_clear(first.finish(), refused=True)
    return Tried(reached=first.reached)


def limit_dump_at(lane, point):
    with limited_role(lane) as (settings, limit):
        with halted_dump(lane, OfDump("connect", 1), settings) as (started, reached):
            limit(point.of, 0)
        is_clear(lane.finish(started), refused=True)
    return Tried(reached=reached)


def limits(run, every):
    connects = [phase for phase in every if phase.name.startswith("connects to Postgres")]
    both = ("ROLE", "DATABASE")
    points = [Limit(of, sessions) for of in both for sessions in range(4)]
    points += [Limit(of, 0, phase, once) for phase in connects for of in both
               for once in (False, True)]
    run.each(points, limit_at)
    run.each([Limit(of, 0) for of in both], limit_dump_at)


@case("sessions", kinds=("file",), about="sessions end, or the server does, at each phase")
def sessions(run):
    every = phases.phases(run.lanes[0])
    with_session = [phase for phase in every if phase.sessions > 0
                    and not phase.name.startswith("connects to Postgres")]
    with own_server(run):
        each_session(run, with_session)
        calls = dump_calls(run.lanes[0])
        run.each(calls[::1 if run.full else DUMP_STEP], terminate_dump_at, exist=len(calls))
        limits(run, every)

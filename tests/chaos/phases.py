"""The program stopped at a point of its story, by strace: where it stands still is known exactly.

phases() watches one undisturbed backup and names the calls that others can see: each statement to
Postgres and its answer, each request to the store and the mail service, pg_dump's start and output,
each change of the folder. halt() runs another one that gets SIGSTOP in one of these calls. The call
itself is made first: a Phase is the moment after it, with its answer, if it is one, not yet acted
upon. Threads stop with the program, pg_dump does not.
"""

import collections
import contextlib
import itertools
import os
import re
import signal
from dataclasses import dataclass

import arena
import processes

# The stop must not be what expires a deadline: that would be an ordinary failure.
PATIENT = dict.fromkeys(("RYTHM_BACKUP_CONNECT_TIMEOUT", "RYTHM_BACKUP_STALL_TIMEOUT",
                         "RYTHM_BACKUP_RETRY_TIMEOUT"), "60s")
STOPPED = "--- stopped by SIGSTOP ---"
DULL = ("for a session", "SELECT set_config", "to end", "a thread")
IN_FOLDER = {"fsync", "flock", "renameat", "renameat2", "unlinkat", "write"}
CALLS = IN_FOLDER | {"clone", "clone3", "connect", "close", "recvfrom", "read", "sendto", "wait4"}

numbers = itertools.count(1)


@dataclass(frozen=True)
class Phase:
    name: str
    call: str
    k: int          # the k-th of that name
    sessions: int   # how many the program has in Postgres; the last one made is the latest
    dumping: bool   # pg_dump is running
    locked: bool    # the schedule's lock is held
    dull: bool      # much like others

    def __str__(self):
        return f"{self.name} ({self.call} {self.k})"

    @property
    def answered(self):
        return self.call in ("recvfrom", "read", "wait4")

    def strace(self, log, *more):
        calls = ",".join({self.call, *(each.partition(":")[0] for each in more)})
        injections = [f"{self.call}:signal=SIGSTOP:when={self.k}", *more]
        return ["strace", "-D", "-qq", "-s", "80", "-o", str(log), "-e", f"trace={calls}",
                *(word for each in injections for word in ("-e", f"inject={each}"))]


class _Reader:
    """Goes through the log of an undisturbed run, and knows what is open."""

    def __init__(self, ports):
        self.ports = ports            # port -> whose it is
        self.counts = collections.Counter()
        self.names = collections.Counter()
        self.asked = {}               # file descriptor -> what was asked for last
        self.open = {}                # file descriptor -> its place in the order of sessions
        self.dumping = 0              # so many of pg_dump go on
        self.lock = None              # the descriptor whose session has the schedule's lock

    def read(self, name, rest):
        """The Phase after this call, or None."""
        self.counts[name] += 1
        what = self._what(name, rest)
        if what is None:
            return None
        self.names[what] += 1
        if self.names[what] > 1:
            what = f"{what}, {self.names[what]}"
        return Phase(what, name, self.counts[name], len(self.open), self.dumping > 0,
                     self.lock is not None, any(dull in what for dull in DULL))

    def _what(self, name, rest):
        descriptor = rest.partition("<")[0]
        port = re.search(r"(?:->127\.0\.0\.1:|htons\()(\d+)", rest)
        whose = self.ports.get(int(port[1])) if port else None
        if name == "connect" and whose:
            if whose == "Postgres":
                self.open[descriptor] = len(self.open)
            return f"connects to {whose}"
        if name == "close":
            self.open.pop(descriptor, None)
            if descriptor == self.lock:
                self.lock = None
            return None
        if name == "sendto" and whose:
            self.asked[descriptor] = self._request(whose, rest)
            return f"asks {self.asked[descriptor]}"
        if name == "recvfrom" and whose:
            if "pg_try_advisory_lock(hashtextextended('rythm-backup:' " in self.asked[descriptor]:
                self.lock = descriptor
            return f"has the answer to {self.asked[descriptor]}"
        return self._process(name, rest) or self._folder(name, rest)

    def _request(self, whose, rest):
        if whose != "Postgres":
            verb, path = re.search(r'"([A-Z]+) (\S+)', rest).groups()
            path = re.sub(r"rythm-backup-\d{4}[^?]*|(?<=operations/)[^?]*", "NAME", path)
            path = re.sub(r"&(include|maxresults|prefix|delimiter|blocklisttype)=[^&]*"
                          r"|api-version=[^&]*", "", path)
            path = re.sub(r"[^/?]*\?restype=container", "container", path)
            return f"{whose} {verb} {path.rpartition('/')[2].strip('?')}"
        sql = re.search(r"(SELECT|INSERT|UPDATE|WITH|BEGIN|DECLARE|FETCH|ROLLBACK) [^\\]{0,57}"
                        r"|ROLLBACK", rest)
        if sql:
            return sql[0].strip()
        return "to end" if '"X\\0' in rest else "for a session"

    def _process(self, name, rest):
        if name in ("clone", "clone3"):
            if "CLONE_THREAD" in rest:
                return "starts a thread"
            self.dumping += 1
            return "starts pg_dump"
        if name == "read" and "<pipe:" in rest and self.dumping:
            return "reads the dump" if "262144)" in rest else None
        if name == "wait4":
            self.dumping -= 1
            return "has waited for pg_dump"
        return None

    def _folder(self, name, rest):
        if name not in IN_FOLDER or "/store" not in rest:
            return None
        thing = re.search(r"\.(partial|meta|lock)[\">]", rest)
        return f"{name} {thing[1] if thing else 'folder'}"


def phases(lane):
    """Every Phase of a backup on this lane, in order."""
    lane.begin()
    log = lane.folder / "phases"
    seen = lane.check(arena.FIRST_CHECK, prefix=["strace", "-qq", "-yy", "-s", "400", "-o",
                                                 str(log), "-e", f"trace={','.join(CALLS)}"])
    assert seen.code == 0, seen.err
    ports = {lane.arena.cluster.port: "Postgres", lane.acs.port: "mail"}
    if lane.kind == "azure":
        ports[lane.arena.azurite.port] = "store"
    reader = _Reader(ports)
    calls = re.findall(r"^(\w+)\((.*)$", log.read_text(errors="replace"), re.MULTILINE)
    found = [phase for phase in (reader.read(name, rest) for name, rest in calls) if phase]
    # Without the right to look into the process strace cannot tell what is what.
    assert any("Postgres" in phase.name for phase in found), "what it does cannot be seen: no root?"
    assert any(phase.name.startswith("starts pg_dump") for phase in found), found
    return found


def named(every, *beginnings):
    """The first Phase with each of these beginnings of a name."""
    found = [next((phase for phase in every if phase.name.startswith(beginning)), None)
             for beginning in beginnings]
    missing = [name for name, phase in zip(beginnings, found) if phase is None]
    assert not missing, f"no such phase: {missing}; there are {[phase.name for phase in every]}"
    return found


class Halted:
    """A check that stands still; or that has ended, when it never got there: reached is False."""

    def __init__(self, lane, phase, settings=None, more=(), prefix=()):
        self.lane = lane
        self.phase = phase
        self.log = lane.folder / f"halted-{next(numbers)}"
        self.log.touch()
        self.started = lane.start_check(
            arena.FIRST_CHECK, prefix=(*prefix, *phase.strace(self.log, *more)),
            settings={**PATIENT, **(settings or {})}, what=f"stopped as it {phase}")
        self.reached = self.stands_still(1)

    def stands_still(self, times):
        """Waits until it does, for the so many-th time; False when it has ended instead."""
        process = self.started.process
        processes.wait_until(lambda: self._stops() >= times or process.poll() is not None,
                             f"it stands still as it {self.phase}", step=0.01)
        return self._stops() >= times

    def _stops(self):
        return self.log.read_text().count(STOPPED)

    @property
    def pid(self):
        return self.started.pid

    def go_on(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)

    def finish(self):
        """Lets it go on and waits for its end; its Observed."""
        self.go_on()
        return self.lane.finish(self.started)


@contextlib.contextmanager
def halted(lane, phase, **options):
    """For a point: whatever goes wrong in it, nothing is left standing still."""
    first = Halted(lane, phase, **options)
    try:
        yield first
    finally:
        first.go_on()
        first.log.unlink()


# What others see of a run that stands still

def sessions(lane, application="rythm-backup"):
    """Its server processes, the one that was begun first at the front."""
    return [row["pid"] for row in lane.query(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = %s ORDER BY backend_start, pid", application)]


def unread(port):
    """Whether there are bytes that this server, on IPv4, has yet to take from a connection."""
    with open("/proc/net/tcp") as table:
        next(table)
        for line in table:
            _, local, _, state, queues, *_ = line.split()
            if (local.endswith(f":{port:04X}") and state == "01"
                    and not queues.endswith(":00000000")):
                return True
    return False


def asking(lane):
    """Whether one of its server processes is at work, or will be: it has been sent something."""
    return unread(lane.arena.cluster.port) or lane.query(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND"
        " application_name = 'rythm-backup' AND state = 'active'")


def lock_holders(lane):
    """Those that hold an advisory lock of this database."""
    return {row["pid"] for row in lane.query(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND database ="
        " (SELECT oid FROM pg_database WHERE datname = current_database())")}


def terminate(lane, *pids):
    """Ends these sessions as an administrator does, and waits until they are gone."""
    for pid in pids:
        lane.query("SELECT pg_terminate_backend(%s)", pid)
    processes.wait_until(
        lambda: not lane.query("SELECT pid FROM pg_stat_activity WHERE pid = ANY(%s)", list(pids)),
        "the sessions are gone", step=0.01)

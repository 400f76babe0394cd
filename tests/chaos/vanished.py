"""A host that vanishes in the middle of a backup: within a minute the server frees its lock.

The program runs in a network namespace of its own. The link to it goes down, then it is killed: the
server hears nothing any more, neither FIN nor RST, and has only its keepalives to find out. The
server is one of our own: it listens on the link between the two, which nobody else is on.
"""

import contextlib
import os
import signal
import subprocess

import arena
import phases
import processes
import sessions
from cases import Run, Tried, case

WITHIN_S = 75   # "within a minute", and what a busy machine may add
DUMP_CALL = 40  # pg_dump has locked the tables


class Link:
    """A network namespace at the other end of a link of two addresses."""

    def __init__(self, place):
        number = (os.getpid() * 4 + place) % 65536
        self.name = f"rythm-{number:04x}"
        self.ends = (f"ry{number:04x}a", f"ry{number:04x}b")
        # Of the networks for benchmarks (RFC 2544), which are nobody's.
        network = f"198.{18 + number % 2}.{number // 2 % 256}"
        self.here, self.there = f"{network}.1", f"{network}.2"
        self.network = f"{network}.0/30"

    @staticmethod
    def _ip(*arguments):
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr.strip()}" \
                                     " (this case needs root, and network namespaces)"

    def __enter__(self):
        here, there = self.ends
        try:
            self._ip("netns", "add", self.name)
            self._ip("link", "add", here, "type", "veth", "peer", "name", there,
                     "netns", self.name)
            self._ip("address", "add", f"{self.here}/30", "dev", here)
            self._ip("link", "set", here, "up")
            self._ip("-netns", self.name, "address", "add", f"{self.there}/30", "dev", there)
            self._ip("-netns", self.name, "link", "set", there, "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *ignored):
        # The ends of the link go with it.
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True, timeout=20)

    def settings(self, lane):
        """The program's, when it runs over there."""
        url = lane.arena.cluster.url(lane.name)
        return {"DATABASE_URL": url.replace("127.0.0.1", self.here)}

    @property
    def prefix(self):
        return ("ip", "netns", "exec", self.name)

    def cut(self):
        self._ip("-netns", self.name, "link", "set", self.ends[1], "down")


def listen_on(cluster, links):
    addresses = ", ".join(link.here for link in links)
    cluster.execute("postgres", f"ALTER SYSTEM SET listen_addresses = '127.0.0.1, {addresses}'")
    with open(cluster.data / "pg_hba.conf", "a") as rules:
        rules.writelines(f"host all all {link.network} scram-sha-256\n" for link in links)
    cluster.stop()
    cluster.start()


# What goes on when the link is cut. Each gives the started check, of which the host is then gone.

@contextlib.contextmanager
def silent(lane, every, far):
    """The dump is done; the server has nothing to say and expects nothing."""
    (phase,) = phases.named(every, "fsync partial")
    with phases.halted(lane, phase, settings=far.settings(lane), prefix=far.prefix) as first:
        assert first.reached
        far.cut()
        yield first.started


@contextlib.contextmanager
def answering(lane, every, far):
    """The answer to a statement is sent to a host that is not there any more."""
    (phase,) = phases.named(every, "asks SELECT EXISTS (SELECT FROM pg_locks")
    with phases.halted(lane, phase, settings=far.settings(lane), prefix=far.prefix) as first, \
            contextlib.closing(
                lane.arena.cluster.connect(lane.name, application_name="chaos")) as other:
        assert first.reached
        other.autocommit = False
        other.cursor().execute("LOCK TABLE backup_history IN ACCESS EXCLUSIVE MODE")
        first.go_on()
        processes.wait_until(
            lambda: lane.query("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                               " AND datname = current_database()"), "it waits for its answer")
        far.cut()
        other.rollback()
        yield first.started


@contextlib.contextmanager
def dumping(lane, every, far):
    """pg_dump has a session, too, and in it a lock on every table."""
    point = sessions.OfDump("sendto", DUMP_CALL)
    with sessions.halted_dump(lane, point, far.settings(lane), far.prefix) as (started, reached):
        assert reached and phases.sessions(lane, "pg_dump")
        far.cut()
        yield started


def held(lane):
    """What the vanished host still has in the server."""
    return {"sessions": phases.sessions(lane), "of pg_dump": phases.sessions(lane, "pg_dump"),
            "locks": phases.lock_holders(lane)}


def vanish(run, lane, how, every, far):
    with how(lane, every, far) as started:
        assert phases.lock_holders(lane), "it does not hold its lock"
        os.killpg(started.pid, signal.SIGKILL)
        started.process.wait()
        with contextlib.suppress(AssertionError):
            processes.wait_until(lambda: run.stopping.is_set() or not any(held(lane).values()), "",
                                 timeout=WITHIN_S, step=0.5)
        left = held(lane)
        phases.terminate(lane, *left["sessions"], *left["of pg_dump"])
        lane.finish(started)
    assert not any(left.values()), f"{WITHIN_S} s after the host had vanished the server had {left}"
    return Tried()


@case("vanished", about="a host that vanishes frees its lock within a minute", apart=True)
def vanished(run):
    ways = {f"vanished while {way.__name__}": way for way in (silent, answering, dumping)}
    with contextlib.ExitStack() as stack:
        links = [stack.enter_context(Link(place)) for place in range(len(ways))]
        own = stack.enter_context(arena.Arena(len(ways)))
        listen_on(own.cluster, links)
        alone = Run(own, run.case, run.kind, run.full, run.tell)
        alone.stopping = run.stopping
        every = phases.phases(own.lanes(run.kind)[0])
        far = dict(zip(ways, links, strict=True))
        alone.each(ways, lambda lane, way: vanish(run, lane, ways[way], every, far[way]))
        run.add(alone)

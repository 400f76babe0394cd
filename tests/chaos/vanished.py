"""A host that vanishes in the middle of a backup: within a minute the server frees its lock.

The program runs in a network namespace of its own. The link to it goes down, then it is killed: the
server hears nothing any more, neither FIN nor RST, and has only its keepalives to find out. The
server is one of our own, in another such namespace: what it listens on are the ends of the links,
and nobody else is on them. The harness reaches it by a socket in the file system.
"""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess

import arena
import phases
import processes
import sessions
from cases import Run, Tried, case
from fault_proxy import TcpFaultProxy
from postgres_cluster import PostgresCluster

WITHIN_S = 60   # the manual's "minute"; the server's own limits come to three quarters of it
DUMP_CALL = 40  # pg_dump has locked the tables


class Namespace:
    """A network of its own, as long as a process sleeps in it."""

    def __enter__(self):
        self._process = processes.start(["sleep", "infinity"], within=("unshare", "--net"))
        processes.wait_until(self._is_there, "there is a network namespace")
        return self

    def _is_there(self):
        assert self._process.poll() is None, "no network namespace could be made (are we root?)"
        return pathlib.Path(f"/proc/{self.pid}/comm").read_text().strip() == "sleep"

    def __exit__(self, *ignored):
        processes.stop(self._process)

    @property
    def pid(self):
        return self._process.pid

    @property
    def prefix(self):
        """Brings a command there."""
        return ["nsenter", "--target", str(self.pid), "--net", "--"]

    def ip(self, *arguments):
        done = subprocess.run([*self.prefix, "ip", *arguments], capture_output=True, text=True,
                              timeout=20)
        assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr.strip()}"


class Link:
    """Between two namespaces; the program's end can be taken down."""

    def __init__(self, server, program, number):
        self._program = program
        # Of a network for benchmarks (RFC 2544), which is nobody's.
        self.here, self.there = f"198.18.{number}.1", f"198.18.{number}.2"
        self.network = f"198.18.{number}.0/30"
        near, self._far = f"near{number}", f"far{number}"
        server.ip("link", "add", near, "type", "veth", "peer", "name", self._far, "netns",
                  str(program.pid))
        for namespace, address, end in ((server, self.here, near),
                                        (program, self.there, self._far)):
            namespace.ip("address", "add", f"{address}/30", "dev", end)
            namespace.ip("link", "set", end, "up")

    def settings(self, lane):
        """The program's, when it runs over there."""
        url = lane.arena.cluster.url(lane.name)
        return {"DATABASE_URL": url.replace("127.0.0.1", self.here)}

    @property
    def prefix(self):
        return self._program.prefix

    def cut(self):
        self._program.ip("link", "set", self._far, "down")


class Relay(TcpFaultProxy):
    """Leads from a port of the machine to the socket of a server that has none there."""

    def __init__(self, path, port):
        self._path = str(path)
        super().__init__(None, ("127.0.0.1", port))

    def reach_server(self):
        server = socket.socket(socket.AF_UNIX)
        server.connect(self._path)
        return server


class FarCluster(PostgresCluster):
    """In a namespace; its port is that of the relay, too."""

    def __init__(self, folder, namespace, links):
        super().__init__(folder)
        self._namespace = namespace
        self._links = links
        self._relay = Relay(folder / f".s.PGSQL.{self.port}", self.port)

    def create(self):
        super().create()
        addresses = ", ".join(link.here for link in self._links)
        with open(self.data / "postgresql.conf", "a") as settings:
            settings.write(f"listen_addresses = '{addresses}'\n"
                           f"unix_socket_directories = '{self.folder}'\n")
        with open(self.data / "pg_hba.conf", "a") as rules:
            rules.writelines(f"host all all {link.network} scram-sha-256\n"
                             for link in self._links)

    def start(self):
        super().start(within=self._namespace.prefix)

    def stop(self, immediately=False):
        super().stop(immediately)
        self._relay.stop()


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
        server = stack.enter_context(Namespace())
        links = [Link(server, stack.enter_context(Namespace()), number)
                 for number in range(len(ways))]
        own = stack.enter_context(arena.Arena(
            len(ways), lambda folder: FarCluster(folder, server, links)))
        alone = Run(own, run.case, run.kind, run.full, run.times, run.tell)
        alone.stopping = run.stopping
        every = phases.phases(own.lanes(run.kind)[0])
        far = dict(zip(ways, links, strict=True))
        alone.each(ways, lambda lane, way: vanish(run, lane, ways[way], every, far[way]))
        run.add(alone)

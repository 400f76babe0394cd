"""TCP cut after every k-th byte, both ways, towards Postgres, Azurite and the mail service.

The connection ends with RST, with FIN, or stalls for good; other connections work, or the service
stays unreachable until the later checks. An undisturbed run tells how many bytes there are. Where
an answer matters most (the claim, the ledger's update, what publishes, the mail's POST) bytes are
counted from that request on, in steps of one or few; --full tries every byte.
"""

import contextlib
import re
import threading
from typing import NamedTuple

import acs_stub
import arena
import processes
from cases import Tried, case
from cutter import DOWN, HOWS, UP, Cut, Cutter

# A stall is as good as its timeout is short.
SETTINGS = {"RYTHM_BACKUP_CONNECT_TIMEOUT": "2s", "RYTHM_BACKUP_STALL_TIMEOUT": "1s",
            "RYTHM_BACKUP_RETRY_TIMEOUT": "2s"}
# Where a stall costs a minute anyhow, none of them is so short that a run among ten others, on a
# busy machine, fails before its place.
LATE_SETTINGS = {"RYTHM_BACKUP_CONNECT_TIMEOUT": "8s", "RYTHM_BACKUP_STALL_TIMEOUT": "8s",
                 "RYTHM_BACKUP_RETRY_TIMEOUT": "8s"}
# A statement may take 60 s, and so its answer may be waited for so long.
STALL_LIMIT_S = 240

CLAIM = rb"INSERT INTO backup_history"
RECORD = rb"UPDATE backup_history SET status = 'completed'"
PUBLISH = rb"^PUT [^ ]*comp=blocklist"
MAIL = rb"^POST /emails:send"


class Peer(NamedTuple):
    """What is cut off, and how much of it is tried by default."""

    name: str
    answers: tuple      # requests, and the step between the bytes of their answers that are tried
    coarse: int         # so many places in each direction, for RST and for FIN
    rare: int           # and for what takes longer: stalls, and cuts for good
    waits: bool         # a stall costs a limit that cannot be set: run it while others go on


PEERS = {"file": (Peer("postgres", ((CLAIM, 2), (RECORD, 2)), 6, 2, True),
                  Peer("mail", ((MAIL, 20),), 5, 1, True)),
         "azure": (Peer("azure", ((PUBLISH, 12),), 6, 2, False),)}
WAITING_LANES = 10
# What is sent differs by some bytes from run to run (times, names, how often is asked): a place
# near the end of an answer may be behind it.
MAY_MISS = 0.06
# Of the twenty that wait, this is three.
LATE_MAY_MISS = 0.15


class Point(NamedTuple):
    peer: str
    cut: Cut

    def __str__(self):
        return f"{self.peer}: {self.cut}"


class Cutters:
    """One in front of each service of each lane, made when it is first needed."""

    def __init__(self):
        self._made = {}
        self._lock = threading.Lock()

    def get(self, lane, peer):
        with self._lock:
            key = lane.name, peer
            if key not in self._made:
                self._made[key] = Cutter({"postgres": lane.arena.cluster.port,
                                          "mail": lane.acs.port}.get(peer)
                                         or lane.arena.azurite.port)
            return self._made[key]

    def close(self):
        for cutter in self._made.values():
            cutter.disarm()
            cutter.stop()


def through(lane, peer, cutter):
    """Settings that lead there through it."""
    if peer == "postgres":
        return {"DATABASE_URL": lane.arena.cluster.url(lane.name, port=cutter.port)}
    if peer == "mail":
        return {"ACS_CONNECTION_STRING": f"endpoint=http://127.0.0.1:{cutter.port}/;"
                                         f"accesskey={acs_stub.KEY}"}
    return lane.store.settings_through(cutter.port)


def await_sessions_gone(lane):
    """The server has noticed that the connections are gone; a keepalive would tell it, too."""
    def are_gone():
        return not lane.query("SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                              " AND application_name <> 'chaos' AND pid <> pg_backend_pid()"
                              " AND backend_type = 'client backend'")
    processes.wait_until(are_gone, "the server has ended its sessions", step=0.01)


def note_published_failures(lane):
    """A run whose answer was lost has not failed while its object stands there: the next attempt
    would make a second one, and the first would have to be found out and removed."""
    status = {row["run_id"]: row["status"] for row in lane.rows()}
    lane.troubles += [f"{stored.name} is published, and its run is 'failed'"
                      for stored in lane.store.list()
                      if status.get(stored.metadata.get("run")) == "failed"]


def cut_at(cutters, lane, point, settings=SETTINGS):
    cutter = cutters.get(lane, point.peer)
    cutter.arm(point.cut)
    started = lane.start_check(arena.FIRST_CHECK, what=f"({point})",
                               settings={**settings, **through(lane, point.peer, cutter)})
    lane.finish(started, timeout=STALL_LIMIT_S)
    reached = cutter.disarm()
    await_sessions_gone(lane)
    note_published_failures(lane)
    return Tried(reached=reached)


def learn(cutters, lane, peer, settings=SETTINGS):
    """What an undisturbed run sends and gets, in order."""
    cutter = cutters.get(lane, peer)
    lane.begin()
    cutter.transfers = []
    cutter.arm(None)
    seen = lane.check(arena.FIRST_CHECK, settings={
        **settings, **through(lane, peer, cutter), "RYTHM_BACKUP_STALL_TIMEOUT": "30s"})
    transfers, cutter.transfers = cutter.transfers, None
    assert seen.code == 0, seen.err
    return transfers


def total(transfers, direction):
    return sum(len(each.data) for each in transfers if each.direction == direction)


def answer_bytes(transfers, request):
    """The length of the answer to the first request that matches."""
    asked = next(index for index, each in enumerate(transfers)
                 if each.direction == UP and re.search(request, each.data))
    count = 0
    for each in transfers[asked + 1:]:
        if each.connection == transfers[asked].connection:
            if each.direction == UP:
                break
            count += len(each.data)
    return count


def spread(size, most):
    """At most so many numbers from 0 on and below `size`, evenly."""
    count = min(most, size)
    return [size * number // count for number in range(count)]


def cuts_of(peer, transfers, full):
    for direction in (UP, DOWN):
        size = total(transfers, direction)
        for how in HOWS:
            for for_good in (False, True):
                most = peer.rare if how == "stall" or for_good else peer.coarse
                for at in range(size) if full else spread(size, most):
                    yield Cut(direction, at, how, None, for_good)
    for request, step in peer.answers:
        size = answer_bytes(transfers, request)
        for number, at in enumerate(range(0, size, 1 if full else step)):
            yield Cut(DOWN, at, HOWS[number % 2], request)
        for at in (0, size - 1):
            yield Cut(DOWN, at, "stall", request)
        for at in (0, size // 2, size - 1):
            yield Cut(DOWN, at, "RST", request, True)
        yield Cut(DOWN, 0, "stall", request, True)


def how_long(point):
    """The longest waits first: there is a lane for each of them."""
    return point.peer == "postgres", point.cut.since is not None, point.cut.for_good


def points_of(run, cutters, lane):
    """(those that are over soon, those that wait for a limit that cannot be set, how many exist)"""
    soon, late, exist = [], [], 0
    for peer in PEERS[run.kind]:
        transfers = learn(cutters, lane, peer.name)
        exist += 2 * len(HOWS) * (total(transfers, UP) + total(transfers, DOWN))
        for cut in cuts_of(peer, transfers, run.full):
            waits = cut.how == "stall" and peer.waits
            (late if waits else soon).append(Point(peer.name, cut))
    return soon, sorted(late, key=how_long, reverse=True), exist


@case("cuts", kinds=("file", "azure"),
      about="TCP cut after the k-th byte towards Postgres, Azurite and the mail service")
def cuts(run):
    with contextlib.closing(Cutters()) as cutters:
        soon, late, exist = points_of(run, cutters, run.lanes[0])
        run.each(soon, lambda lane, point: cut_at(cutters, lane, point), exist=exist - len(late),
                 may_miss=MAY_MISS)


@case("stalls", about="the same, where what stalls is given up by a limit of a minute", apart=True)
def stalls(run):
    with contextlib.closing(Cutters()) as cutters:
        lane = run.arena.make_lane(run.kind)
        _, late, _ = points_of(run, cutters, lane)
        lane.close()
        with run.alongside(late, lambda lane, point: cut_at(cutters, lane, point, LATE_SETTINGS),
                           WAITING_LANES, may_miss=LATE_MAY_MISS):
            pass


# The parallel dump, of whose connections each is cut: the exporter's, a reader's, a pg_dump's. How
# much a reader carries depends on which of them was faster.
PARALLEL = {**SETTINGS, **arena.PARALLEL}
CONNECTIONS = (rb"pg_export_snapshot", rb"READ ONLY;SET TRANSACTION", rb"application_name.pg_dump")
PLACES = 3
PLACES_OF_FULL = 100  # every byte would take a month
PARALLEL_MAY_MISS = 0.3


def bytes_since(transfers, request, direction):
    """How many bytes the first connection on which this was sent carries from then on."""
    asked = next(index for index, each in enumerate(transfers)
                 if each.direction == UP and re.search(request, each.data))
    return sum(len(each.data) for each in transfers[asked:]
               if each.direction == direction and each.connection == transfers[asked].connection)


def cuts_of_parallel(transfers, full):
    for request in CONNECTIONS:
        for direction in (UP, DOWN):
            size = bytes_since(transfers, request, direction)
            for number, at in enumerate(spread(size, PLACES_OF_FULL if full else PLACES)):
                for how in HOWS if full else (HOWS[number % 2],):
                    yield Cut(direction, at, how, request)


@case("cuts-dump", kinds=("file",),
      about="TCP cut after the k-th byte of a parallel dump's connections")
def cuts_dump(run):
    with contextlib.closing(Cutters()) as cutters:
        transfers = learn(cutters, run.lanes[0], "postgres", PARALLEL)
        points = [Point("postgres", cut) for cut in cuts_of_parallel(transfers, run.full)]
        exist = sum(len(HOWS) * bytes_since(transfers, request, direction)
                    for request in CONNECTIONS for direction in (UP, DOWN))

        run.each(points, lambda lane, point: cut_at(cutters, lane, point, PARALLEL), exist=exist,
                 may_miss=PARALLEL_MAY_MISS)

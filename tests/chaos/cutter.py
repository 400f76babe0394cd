"""A TCP proxy that counts what it carries, and cuts the connection after so many bytes.

It counts each direction over all connections together, in the order in which the bytes come by. Of
connections that carry at the same time (parallel uploads) that order is not the same in each run.
"""

import contextlib
import re
import select
import socket
import threading
from typing import NamedTuple

from fault_proxy import Proxy, reset

UP, DOWN = "up", "down"         # from the client to the server, and back
HOWS = ("RST", "FIN", "stall")  # FIN ends only the direction that is cut, as shutdown(2) does
CHUNK = 65536


class Cut(NamedTuple):
    """`at` bytes pass, the next one does not."""

    direction: str
    at: int
    how: str
    # Counted are not all bytes, but those on one connection: from the first chunk on that the
    # client sends and that this matches, or, of the other direction, from the answer to it on.
    since: bytes | None = None
    for_good: bool = False      # nor can the server be reached by any other connection from then on

    def __str__(self):
        place = f"byte {self.at} {self.direction}"
        if self.since is not None:
            place = f"byte {self.at} {self.direction} since {self.since.decode()!r}"
        return f"{self.how} after {place}{', unreachable from then on' * self.for_good}"


class Transfer(NamedTuple):
    """A chunk that came by."""

    connection: int
    direction: str
    data: bytes


class _Watch:
    """One cut from arm() to disarm()."""

    def __init__(self, cut):
        self.cut = cut
        self.passed = 0
        self.connection = None          # that of Cut.since
        self.hit = False
        self.over = threading.Event()   # ends the stalls


class Cutter(Proxy):
    def __init__(self, upstream_port):
        self.transfers = None           # a list: record into it
        self._count = 0
        self._watch = _Watch(None)
        super().__init__(upstream_port)

    def arm(self, cut):
        """Counts from 0 and makes this cut once; None: carries everything."""
        with self._lock:
            self._watch.over.set()
            self._watch = _Watch(cut)

    def disarm(self):
        """Ends it: what stalls is reset at both ends. True when the cut was made."""
        hit = self._watch.hit
        self.arm(None)
        return hit

    def serve(self, client):
        with self._lock:
            self._count += 1
            number = self._count
        with socket.create_connection(("127.0.0.1", self.upstream_port)) as server:
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                self._carry(number, client, server)
            finally:
                # What ended in order has been shut down by now; all else is reset.
                reset(client)
                reset(server)

    def _carry(self, number, client, server):
        """Until both directions have ended."""
        ways = {client: (UP, server), server: (DOWN, client)}
        swallowed = set()
        while ways:
            for source in select.select(list(ways), [], [])[0]:
                direction, target = ways[source]
                data = source.recv(CHUNK)
                if not data:
                    del ways[source]
                    with contextlib.suppress(OSError):
                        target.shutdown(socket.SHUT_WR)
                    continue
                if direction in swallowed:
                    continue
                passing, how, watch = self._judge(number, direction, data)
                target.sendall(data[:passing])
                if how == "FIN":
                    target.shutdown(socket.SHUT_WR)
                    swallowed.add(direction)
                elif how is not None:
                    if how == "stall":
                        watch.over.wait()
                    return

    def _judge(self, number, direction, data):
        """How many bytes of these pass, and what happens then."""
        with self._lock:
            watch, cut = self._watch, self._watch.cut
            if self.transfers is not None:
                self.transfers.append(Transfer(number, direction, data))
            if cut is None or (watch.hit and not cut.for_good):
                return len(data), None, watch
            if watch.hit:
                return 0, cut.how, watch
            if cut.since is not None and watch.connection is None and direction == UP \
                    and re.search(cut.since, data):
                watch.connection = number
            if direction != cut.direction or (cut.since is not None and watch.connection != number):
                return len(data), None, watch
            if watch.passed + len(data) <= cut.at:
                watch.passed += len(data)
                return len(data), None, watch
            watch.hit = True
            return cut.at - watch.passed, cut.how, watch

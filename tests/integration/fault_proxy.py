"""Proxies that stand in front of a server and make things go wrong, as the network does.

HttpFaultProxy understands requests: it counts them, and its faults name the k-th request that
matches. TcpFaultProxy forwards bytes, for Postgres.
"""

import contextlib
import http.client
import re
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass, field



def reset(connection):
    """Closes with RST instead of FIN, as a host that has died or a firewall does."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def hang_up(connection):
    """Ends the connection for a thread that is waiting in it, too; close() would not wake it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class Proxy:
    """Accepts connections on a free port and gives each one a thread."""

    def __init__(self, upstream_port, address=("127.0.0.1", 0)):
        self.upstream_port = upstream_port
        self._listener = socket.create_server(address, backlog=128)
        self.port = self._listener.getsockname()[1]
        self._live = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._live.add(client)
            threading.Thread(target=self._run, args=(client,), daemon=True).start()

    def _run(self, client):
        try:
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.serve(client)
        finally:
            with self._lock:
                self._live.discard(client)
            client.close()

    def serve(self, client):
        raise NotImplementedError

    def cut_all(self):
        """Drops every connection that is open now."""
        with self._lock:
            for client in self._live:
                hang_up(client)

    def stop(self):
        hang_up(self._listener)
        self._listener.close()
        self.cut_all()


@dataclass
class Fault:
    """What happens to some of the requests whose "METHOD path?query" matches `pattern`.

    status:         answer with this status, `headers` and `body`; the server does not see it
    cut_before:     drop the connection; the server does not see the request
    cut_after:      the server handles the request, but the answer is lost
    stall_s:        wait so long before forwarding (the client may have gone by then)
    flip_byte:      change one bit of this byte of the request's body, then forward
    edit:           a function (line, body) -> body, called before forwarding
    rewrite:        a function (status, headers, body) -> the same three, for the answer
    cut_reply_at:   send the answer's head and so many bytes of its body, then drop the connection
    """

    pattern: str
    first: int = 1  # the number of the first request hit, counting those that match from 1
    times: int = 1  # how many from there on
    status: int = 0
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    cut_before: bool = False
    cut_after: bool = False
    stall_s: float = 0
    flip_byte: int = -1
    edit: object = None
    rewrite: object = None
    cut_reply_at: int = -1
    seen: int = 0
    hits: int = 0


ALWAYS = 10**9


@dataclass
class Request:
    line: str  # "METHOD path?query"
    headers: list
    body_size: int
    status: int = 0  # answered; 0 = no answer was sent


class HttpFaultProxy(Proxy):
    def __init__(self, upstream_port, address=("127.0.0.1", 0)):
        self.faults = []
        self.requests = []
        super().__init__(upstream_port, address)

    def add(self, pattern, **options):
        fault = Fault(pattern, **options)
        self.faults.append(fault)
        return fault

    def clear(self):
        """Forgets faults and requests."""
        with self._lock:
            self.faults.clear()
            self.requests.clear()

    def count(self, pattern):
        """How many requests match so far."""
        with self._lock:
            return sum(1 for request in self.requests if re.search(pattern, request.line))

    def serve(self, client):
        stream = client.makefile("rb")
        while self._serve_request(client, stream):
            pass

    def _serve_request(self, client, stream):
        line, headers = read_head(stream)
        if not line:
            return False
        method, path, _ = line.split(" ")
        lower = {name.lower(): value for name, value in headers}
        if lower.get("expect", "").lower() == "100-continue":
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = stream.read(int(lower.get("content-length", 0)))
        request = Request(f"{method} {path}", headers, len(body))
        with self._lock:
            self.requests.append(request)
            fault = self._fault_for(request) or Fault("")
        if fault.cut_before:
            reset(client)
            return False
        if fault.stall_s > 0:
            time.sleep(fault.stall_s)
        if fault.status:
            reply = fault.status, list(fault.headers.items()), fault.body
        else:
            if fault.flip_byte >= 0:
                body = flip(body, fault.flip_byte)
            if fault.edit:
                body = fault.edit(request.line, body)
            reply = self._forward(method, path, headers, body)
        if fault.cut_after:
            reset(client)
            return False
        if fault.rewrite:
            reply = fault.rewrite(*reply)
        request.status = reply[0]
        return send_reply(client, method, *reply, fault.cut_reply_at)

    def _fault_for(self, request):
        chosen = None
        for fault in self.faults:
            if re.search(fault.pattern, request.line):
                fault.seen += 1
                if chosen is None and fault.first <= fault.seen < fault.first + fault.times:
                    fault.hits += 1
                    chosen = fault
        return chosen

    def _forward(self, method, path, headers, body):
        """Sends path, Host and all that is signed as the client wrote them."""
        server = http.client.HTTPConnection("127.0.0.1", self.upstream_port, timeout=120)
        server.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            if name.lower() == "content-length":
                value = len(body)
            if name.lower() not in ("connection", "expect"):
                server.putheader(name, value)
        server.endheaders(body or None)
        reply = server.getresponse()
        content = reply.read()
        result = reply.status, reply.getheaders(), content
        server.close()
        return result


def read_head(stream):
    line = stream.readline(65536).decode("latin-1").strip()
    headers = []
    while line:
        header = stream.readline(65536).decode("latin-1").rstrip("\r\n")
        if not header:
            break
        name, _, value = header.partition(":")
        headers.append((name, value.strip()))
    return line, headers


def flip(body, position):
    assert position < len(body), "there is no such byte in this request"
    return body[:position] + bytes([body[position] ^ 1]) + body[position + 1:]


def send_reply(client, method, status, headers, body, cut_at):
    """True when the connection can go on."""
    lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Unknown')}"]
    skipped = {"transfer-encoding", "connection", "keep-alive"}
    if method != "HEAD":
        skipped.add("content-length")
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in headers if name.lower() not in skipped]
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    if cut_at >= 0:
        client.sendall(head + body[:cut_at])
        hang_up(client)
        return False
    client.sendall(head + (b"" if method == "HEAD" else body))
    return True


@dataclass
class Cut:
    """Drops connections at a point in what they carry.

    `text` is looked for in what the client sends (a statement, say); the `first` time it comes by
    and `times` from there on, the connection is dropped before the server sees it, or with
    after=True when the server has it and its answer is on the way.
    """

    text: bytes
    first: int = 1
    times: int = 1
    after: bool = False
    seen: int = 0
    hits: int = 0


class TcpFaultProxy(Proxy):
    def __init__(self, upstream_port, address=("127.0.0.1", 0)):
        self.cuts = []
        self.connections = 0
        self.frozen = threading.Event()  # while set, no byte passes: a black hole
        super().__init__(upstream_port, address)

    def reach_server(self):
        return socket.create_connection(("127.0.0.1", self.upstream_port))

    def add(self, text, **options):
        cut = Cut(text, **options)
        self.cuts.append(cut)
        return cut

    def serve(self, client):
        with self._lock:
            self.connections += 1
        with self.reach_server() as server:
            lose_answer = False
            while True:
                ready, _, _ = select.select([client, server], [], [], 600)
                while self.frozen.is_set():
                    time.sleep(0.05)
                if server in ready:
                    data = server.recv(65536)
                    if lose_answer or not data:
                        return reset(client)
                    client.sendall(data)
                if client in ready:
                    data = client.recv(65536)
                    cut = self._cut_for(data)
                    if not data or (cut and not cut.after):
                        return reset(client)
                    lose_answer = lose_answer or cut is not None
                    server.sendall(data)

    def _cut_for(self, data):
        with self._lock:
            chosen = None
            for cut in self.cuts:
                if cut.text in data:
                    cut.seen += 1
                    if chosen is None and cut.first <= cut.seen < cut.first + cut.times:
                        cut.hits += 1
                        chosen = cut
            return chosen

"""Azure Communication Services e-mail, as far as its documentation goes: no emulator exists.

It is strict where the service is: signature, content hash, date, fields. `messages` holds each mail
that would have been sent, so that a test can say "exactly one".
"""

import base64
import email.utils
import hashlib
import hmac
import http.server
import json
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field

KEY = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
SENDER = "DoNotReply@mail.rythm.example"

SIGNED = "SignedHeaders=x-ms-date;host;x-ms-content-sha256"
API_VERSIONS = ("2023-03-31", "2025-09-01")
FIELDS = {"senderAddress", "content", "recipients", "replyTo", "headers", "attachments",
          "userEngagementTrackingDisabled"}


def content_hash(body):
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def signature(key, method, path, date, host, body):
    """Of "Sign an HTTP request using HMAC" (Azure Communication Services)."""
    text = f"{method}\n{path}\n{date};{host};{content_hash(body)}"
    code = hmac.new(base64.b64decode(key), text.encode(), "sha256").digest()
    return base64.b64encode(code).decode()


@dataclass
class Operation:
    message: dict
    polls: int = 0


@dataclass
class Answer:
    """What to do with a request instead of serving it."""

    status: int = 0
    code: str = "Refused"
    headers: dict = field(default_factory=dict)
    hang_s: float = 0        # nothing is answered for so long
    lose_answer: bool = False  # the mail is sent, but the client never learns of it
    hold_s: float = 0        # the mail is sent, but the answer takes so long


class AcsStub:
    def __init__(self):
        self.messages = []        # in order of arrival; each is the JSON that was posted
        self.operations = {}      # id -> Operation
        self.requests = []        # (method, path)
        self.refusals = []        # texts of what was answered 400 and 401
        self.repeats = []         # operation ids that were posted again: the same mail, sent twice
        self.next_sends = []      # Answers for the next POSTs, used up one by one
        self.every_send = None    # an Answer for all other POSTs
        self.pace = {"retry-after": "1"}  # what 202 and Running say about the next question
        self.running_polls = 1    # polls that answer Running before the final status
        self.final_status = "Succeeded"
        self.failing_addresses = set()  # their operations end as Failed
        self.sender = SENDER      # an address of the linked domain
        self.hide_first_poll = False    # 404: the operation is not known yet
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"stub": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def connection_string(self):
        return f"endpoint=http://127.0.0.1:{self.port}/;accesskey={KEY}"

    @property
    def settings(self):
        return {"ACS_CONNECTION_STRING": self.connection_string, "ACS_SENDER_ADDRESS": SENDER}

    def recipients(self):
        """Every address that a mail went to, in order."""
        return [to["address"] for message in self.messages for to in message["recipients"]["to"]]

    def answer_for_send(self):
        with self.lock:
            return self.next_sends.pop(0) if self.next_sends else self.every_send

    def accept(self, operation_id, message):
        """An id that comes again is the same mail: the client's retry."""
        with self.lock:
            if operation_id not in self.operations:
                self.operations[operation_id] = Operation(message)
                self.messages.append(message)
            else:
                self.repeats.append(operation_id)

    def poll(self, operation_id):
        """(HTTP status, document) of an operation."""
        with self.lock:
            operation = self.operations.get(operation_id)
            if operation is None:
                return 404, error("NotFound", "no such operation")
            operation.polls += 1
            if self.hide_first_poll and operation.polls == 1:
                return 404, error("NotFound", "not known yet")
            if operation.polls <= self.running_polls:
                return 200, {"id": operation_id, "status": "Running"}
            addresses = {to["address"] for to in operation.message["recipients"]["to"]}
            status = "Failed" if addresses & self.failing_addresses else self.final_status
            document = {"id": operation_id, "status": status}
            if status == "Failed":
                document |= error("EmailDropped", "the message was dropped")
            return 200, document

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


def error(code, message):
    return {"error": {"code": code, "message": message}}


def signing_problem(method, path, headers, body):
    """None, or why the service would answer 401."""
    for name in ("x-ms-date", "x-ms-content-sha256", "Authorization", "Host"):
        if name not in headers:
            return f"the header {name} is missing"
    date = email.utils.parsedate_tz(headers["x-ms-date"])
    if date is None or not headers["x-ms-date"].endswith(" GMT"):
        return "x-ms-date is not in RFC 1123 form"
    if abs(time.time() - email.utils.mktime_tz(date)) > 300:
        return "x-ms-date is more than 5 minutes away"
    if headers["x-ms-content-sha256"] != content_hash(body):
        return "x-ms-content-sha256 is not the hash of the body"
    expected = (f"HMAC-SHA256 {SIGNED}&Signature="
                + signature(KEY, method, path, headers["x-ms-date"], headers["Host"], body))
    if not hmac.compare_digest(headers["Authorization"], expected):
        return "the signature does not match"
    return None


def message_problem(message, sender=SENDER):
    """None, or why the service would answer 400."""
    if not isinstance(message, dict) or set(message) - FIELDS:
        return "unknown fields in the message"
    if message.get("senderAddress") != sender:
        return "senderAddress is not of a linked domain"
    content = message.get("content", {})
    if not content.get("subject") or set(content) - {"subject", "plainText", "html"}:
        return "content.subject is required; plainText and html are the other fields"
    if not (content.get("plainText") or content.get("html")):
        return "the message is empty"
    recipients = message.get("recipients", {})
    if not recipients.get("to") or set(recipients) - {"to", "cc", "bcc"}:
        return "recipients.to is required"
    for to in recipients["to"]:
        if "@" not in to.get("address", "") or set(to) - {"address", "displayName"}:
            return "a recipient's address is not valid"
    return None


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A client that dies is nothing to report."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub = None

    def log_message(self, *arguments):
        pass

    def _reply(self, status, document, headers=()):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if "error" in document and status >= 400:
            self.send_header("x-ms-error-code", document["error"]["code"])
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status, code, reason):
        self.stub.refusals.append(reason)
        self._reply(status, error(code, reason))

    def _is_signed(self, body):
        self.stub.requests.append((self.command, self.path))
        problem = signing_problem(self.command, self.path, self.headers, body)
        if problem:
            self._refuse(401, "Denied", problem)
        elif self.path.partition("?api-version=")[2] not in API_VERSIONS:
            problem = "api-version is not supported"
            self._refuse(400, "BadRequest", problem)
        return problem is None

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self._is_signed(body):
            return
        if not self.path.startswith("/emails:send?"):
            return self._refuse(404, "NotFound", "no such path")
        answer = self.stub.answer_for_send() or Answer()
        if answer.hang_s:
            time.sleep(answer.hang_s)
        if answer.status:
            return self._reply(answer.status, error(answer.code, "as the test wishes"),
                               answer.headers)
        try:
            message = json.loads(body)
        except ValueError:
            return self._refuse(400, "BadRequest", "the body is not JSON")
        problem = message_problem(message, self.stub.sender)
        if problem:
            return self._refuse(400, "BadRequest", problem)
        operation_id = self.headers.get("Operation-Id") or str(uuid.uuid4())
        self.stub.accept(operation_id, message)
        time.sleep(answer.hold_s)
        if answer.lose_answer:
            self.close_connection = True
            return None
        # The service's own example has the two slashes.
        location = (f"http://{self.headers['Host']}//emails/operations/{operation_id}"
                    f"?api-version={API_VERSIONS[0]}")
        return self._reply(202, {"id": operation_id, "status": "Running"},
                           {"Operation-Location": location, **self.stub.pace})

    def do_GET(self):
        if not self._is_signed(b""):
            return
        path = self.path.partition("?")[0]
        status, document = self.stub.poll(path.removeprefix("/emails/operations/"))
        self._reply(status, document,
                    self.stub.pace if document.get("status") == "Running" else {})

"""What notifications are posted to: Slack, Teams, a receiver of Standard Webhooks, Healthchecks.

Each refuses what the real one refuses, as far as its documentation goes, and remembers what it
accepted: `messages`. None exists as an emulator.
"""

import base64
import hashlib
import hmac
import http.server
import json
import re
import sys
import threading
import time
from dataclasses import dataclass, field


@dataclass
class Answer:
    """What to answer a request with instead of serving it."""

    status: int
    text: str = ""
    headers: dict = field(default_factory=dict)
    hang_s: float = 0


class HookStub:
    """One HTTP server on a free port; `path` is what only who knows the URL can ask for."""

    path = "/"

    def __init__(self):
        self.messages = []      # what was accepted, in order
        self.requests = []      # (method, path with query, headers, body) of all that came
        self.refusals = []      # why something was refused
        self.next_answers = []  # used up one by one
        self.every_answer = None
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"stub": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}{self.path}"

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def planned(self):
        with self._lock:
            return self.next_answers.pop(0) if self.next_answers else self.every_answer

    def answer(self, method, path, headers, body):
        """(status, text) for one request; appends to messages what it accepts."""
        raise NotImplementedError

    def refuse(self, status, text):
        self.refusals.append(text)
        return status, text


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

    def _serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.stub.requests.append((self.command, self.path, dict(self.headers), body))
        planned = self.stub.planned()
        headers = {}
        if planned is not None:
            time.sleep(planned.hang_s)
            status, text, headers = planned.status, planned.text, planned.headers
        else:
            status, text = self.stub.answer(self.command, self.path, self.headers, body)
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text.encode())))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = do_HEAD = _serve


def parse(body):
    """The JSON object in the body, or None."""
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


class SlackStub(HookStub):
    """Incoming webhooks: blocks within their limits, and nobody addressed."""

    path = "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"

    @property
    def settings(self):
        return {"SLACK_WEBHOOK_URL": self.url}

    def answer(self, method, path, headers, body):
        document = parse(body)
        if path != self.path:
            return self.refuse(404, "no_service")
        if method != "POST" or headers.get("Content-Type") != "application/json":
            return self.refuse(400, "invalid_payload")
        if document is None:
            return self.refuse(400, "invalid_payload")
        if not document.get("text"):
            return self.refuse(400, "no_text")
        problem = self.blocks_problem(document.get("blocks", []))
        if problem:
            return self.refuse(400, f"invalid_blocks: {problem}")
        self.messages.append(document)
        return 200, "ok"

    @staticmethod
    def blocks_problem(blocks):
        if not 1 <= len(blocks) <= 50:
            return "1 to 50 blocks"
        for block in blocks:
            text = block.get("text", {})
            kind, most = {"header": ("plain_text", 150),
                          "section": ("mrkdwn", 3000)}.get(block.get("type"), (None, 0))
            if text.get("type") != kind or not 1 <= len(text.get("text", "")) <= most:
                return f"{block.get('type')}: a {kind} text of 1 to {most} characters"
        return None

    @staticmethod
    def addressed(document):
        """What of a message Slack would take for a mention, link or entity of its own."""
        texts = [document["text"]] + [block["text"]["text"] for block in document["blocks"]]
        return [found for text in texts for found in re.findall(r"<[^>]*>|&(?!amp;|lt;|gt;)", text)]

    @staticmethod
    def text_of(document):
        """All of it, as a reader sees it."""
        text = "\n".join(block["text"]["text"] for block in document["blocks"])
        return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


class TeamsStub(HookStub):
    """The trigger "When a Teams webhook request is received": 202, or why not."""

    path = "/powerautomate/automations/direct/workflows/0123456789abcdef/triggers/manual/invoke"
    query = "?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=S1gNaTuReOfAfLoW_4711-xyz"
    most_bytes = 28 * 1024

    @property
    def url(self):
        return super().url + self.query

    @property
    def settings(self):
        return {"TEAMS_WEBHOOK_URL": self.url}

    def answer(self, method, path, headers, body):
        document = parse(body)
        if path != self.path + self.query:
            return self.refuse(401, "DirectApiAuthorizationRequired")
        if method != "POST" or headers.get("Content-Type") != "application/json":
            return self.refuse(415, "UnsupportedMediaType")
        if len(body) > self.most_bytes:
            return self.refuse(413, "RequestEntityTooLarge")
        problem = "not JSON" if document is None else self.card_problem(document)
        if problem:
            return self.refuse(400, f"TriggerInputSchemaMismatch: {problem}")
        self.messages.append(document["attachments"][0]["content"])
        return 202, ""

    @staticmethod
    def card_problem(document):
        (attachment,) = document.get("attachments", [{}])
        card = attachment.get("content", {})
        if document.get("type") != "message":
            return "type"
        if attachment.get("contentType") != "application/vnd.microsoft.card.adaptive":
            return "contentType"
        if card.get("type") != "AdaptiveCard" or not re.fullmatch(r"1\.[0-5]", card.get("version",
                                                                                       "")):
            return "AdaptiveCard"
        for element in card.get("body", []):
            if element.get("type") == "TextBlock" and not element.get("text"):
                return "a TextBlock without text"
            if element.get("type") == "FactSet" and not all(
                    isinstance(fact.get("title"), str) and isinstance(fact.get("value"), str)
                    for fact in element.get("facts", [None])):
                return "a FactSet's fact"
            if element.get("type") not in ("TextBlock", "FactSet"):
                return "an element of no known type"
        return None if card.get("body") else "no body"

    @staticmethod
    def facts_of(card):
        """The facts of each set, as a reader sees them."""
        return [{fact["title"]: re.sub(r"\\([\\*_\[\]`])", r"\1", fact["value"])
                 for fact in element["facts"]}
                for element in card["body"] if element["type"] == "FactSet"]

    @staticmethod
    def formatted(card):
        """What of the facts Teams would take for Markdown."""
        values = [fact["value"] for element in card["body"] if element["type"] == "FactSet"
                  for fact in element["facts"]]
        return [value for value in values if re.search(r"(?<!\\)(\\\\)*[*_\[\]`]", value)]


class WebhookStub(HookStub):
    """A receiver of Standard Webhooks, which verifies before it reads."""

    path = "/hooks/4f1c0a9be2"
    secret = "whsec_" + base64.b64encode(b"a key of thirty-two bytes, it is").decode()
    tolerance_s = 300

    def __init__(self):
        super().__init__()
        self.ids = []
        self.secrets = [self.secret]

    @property
    def settings(self):
        return {"RYTHM_BACKUP_WEBHOOK_URL": self.url, "RYTHM_BACKUP_WEBHOOK_SECRET": self.secret}

    def answer(self, method, path, headers, body):
        if path != self.path:
            return self.refuse(404, "not here")
        problem = self.signature_problem(headers, body)
        if problem:
            return self.refuse(401, problem)
        document = parse(body)
        if method != "POST" or document is None or len(body) >= 20000 or set(document) != {
                "type", "timestamp", "data"}:
            return self.refuse(400, "no event")
        # A receiver knows an event that comes again by its id.
        if headers["webhook-id"] not in self.ids:
            self.messages.append(document)
        self.ids.append(headers["webhook-id"])
        return 204, ""

    def signature_problem(self, headers, body):
        identity, sent, signatures = (headers.get(f"webhook-{name}", "")
                                      for name in ("id", "timestamp", "signature"))
        if not identity or "." in identity or not sent.isdigit():
            return "webhook-id or webhook-timestamp"
        if abs(time.time() - int(sent)) > self.tolerance_s:
            return "too old"
        for secret in self.secrets:
            key = base64.b64decode(secret.removeprefix("whsec_"))
            good = base64.b64encode(hmac.new(key, f"{identity}.{sent}.".encode() + body,
                                             hashlib.sha256).digest()).decode()
            if f"v1,{good}" in signatures.split(" "):
                return None
        return "no signature matches"


class PingStub(HookStub):
    """Healthchecks' pinging API, of one check."""

    path = "/ping/5f3c1a52-6f0e-4b1c-9a43-1f1d2c3b4a59"
    most_bytes = 10000
    signals = {"": "success", "/start": "start", "/fail": "fail", "/log": "log"}

    @property
    def settings(self):
        return {"RYTHM_BACKUP_PING_URL": self.url}

    def answer(self, method, path, headers, body):
        path, _, query = path.partition("?")
        signal = self.signals.get(path.removeprefix(self.path)) if path.startswith(
            self.path) else None
        if signal is None:
            return self.refuse(404, "not found")
        run = query.removeprefix("rid=")
        if query and not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", run):
            return self.refuse(400, "invalid uuid format")
        self.messages.append((signal, run, body[:self.most_bytes].decode()))
        return 200, "OK"

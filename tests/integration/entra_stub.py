"""Where tokens come from: the metadata service of a virtual machine (IMDS), the endpoint of App
Service and Container Apps, and Entra ID's own for workload identities; and a Blob service that
wants them. Each refuses what the real one refuses."""

import email.utils
import http.server
import json
import threading
import time
import urllib.parse
import uuid
from dataclasses import dataclass

from azure_rules import refusal, shared_key
from fault_proxy import HttpFaultProxy

CLIENT = "11111111-2222-3333-4444-555555555555"
TENANT = "99999999-8888-7777-6666-555555555555"
STORAGE = "https://storage.azure.com"
POSTGRES = "https://ossrdbms-aad.database.windows.net"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# Secrets that no output may show.
HEADER = "identity-header-s3cret-Xw9"
BEGINNING = "eyJ0eXAiOiJKV1QifQ"


@dataclass
class Issued:
    token: str
    resource: str
    client: str


class EntraStub:
    def __init__(self):
        self.issued = []
        self.requests = []     # (method, path) of all of them
        self.next_answers = [] # (status, document) for the next requests, used up one by one
        self.life_s = 3600
        self.header = HEADER
        self.assertion = None  # the path of the file whose content is the present assertion
        self.needs_client = False  # there are several identities
        self.on_issue = None   # called with each Issued before it is given out
        handler = type("Handler", (_Handler,), {"stub": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._lock = threading.Lock()
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    # The settings of each kind of surroundings

    @property
    def machine(self):
        return {"AZURE_POD_IDENTITY_AUTHORITY_HOST": self.url}

    @property
    def app(self):
        return {"IDENTITY_ENDPOINT": f"{self.url}/msi/token", "IDENTITY_HEADER": self.header}

    def workload(self, file):
        """As AKS sets them; the host ends in a slash."""
        self.assertion = file
        return {"AZURE_FEDERATED_TOKEN_FILE": str(file), "AZURE_CLIENT_ID": CLIENT,
                "AZURE_TENANT_ID": TENANT, "AZURE_AUTHORITY_HOST": f"{self.url}/"}

    def tokens(self, resource):
        return [issued.token for issued in self.issued if issued.resource == resource]

    def next_answer(self):
        with self._lock:
            return self.next_answers.pop(0) if self.next_answers else None

    def issue(self, resource, client):
        with self._lock:
            issued = Issued(f"{BEGINNING}.{uuid.uuid4().hex}.{'x' * 1500}", resource, client)
            if self.on_issue:
                self.on_issue(issued)
            self.issued.append(issued)
            return issued.token


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub = None

    def log_message(self, format, *arguments):
        pass

    def _reply(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status, code, description):
        self._reply(status, {"error": code, "error_description": description})

    def _prepared(self):
        """Whether the test has an answer for this request."""
        self.stub.requests.append((self.command, self.path))
        answer = self.stub.next_answer()
        if answer:
            self._reply(*answer)
        return answer is not None

    def do_GET(self):
        path, _, query = self.path.partition("?")
        query = dict(urllib.parse.parse_qsl(query, strict_parsing=True))
        if self._prepared():
            return
        if path == "/metadata/identity/oauth2/token":
            self._machine(query)
        elif path == "/msi/token":
            self._app(query)
        else:
            self._refuse(404, "not_found", path)

    def _machine(self, query):
        """Numbers are strings here."""
        if self.headers.get("Metadata") != "true":
            return self._refuse(400, "bad_request_102", "Required metadata header not specified")
        if query.pop("api-version", None) != "2018-02-01":
            return self._refuse(400, "bad_request", "api-version")
        token = self._issue(query)
        if token:
            now = int(time.time())
            self._reply(200, {"access_token": token, "expires_in": str(self.stub.life_s),
                              "expires_on": str(now + self.stub.life_s), "not_before": str(now),
                              "resource": query["resource"], "token_type": "Bearer"})
        return None

    def _app(self, query):
        """No expires_in; the other parameters of identities are not known to this version."""
        if self.headers.get("X-IDENTITY-HEADER") != self.stub.header:
            return self._reply(401, {"statusCode": 401, "message": "the header is not ours"})
        if query.pop("api-version", None) != "2019-08-01":
            return self._reply(400, {"statusCode": 400, "message": "api-version"})
        token = self._issue(query)
        if token:
            end = time.time() + self.stub.life_s
            self._reply(200, {"access_token": token, "token_type": "Bearer",
                              "expires_on": time.strftime("%Y-%m-%dT%H:%M:%S.0000000Z",
                                                          time.gmtime(end)),
                              "resource": query["resource"], "client_id": CLIENT})
        return None

    def _issue(self, query):
        if set(query) - {"resource", "client_id"} or query.get("resource") not in (STORAGE,
                                                                                   POSTGRES):
            return self._refuse(400, "invalid_resource", "AADSTS500011: no such resource")
        client = query.get("client_id", "")
        if client not in ("", CLIENT) or (not client and self.stub.needs_client):
            return self._refuse(400, "invalid_request", "Identity not found")
        return self.stub.issue(query["resource"], client)

    def do_POST(self):
        """Integers are integers here."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self._prepared():
            return None
        form = dict(urllib.parse.parse_qsl(body, strict_parsing=True))
        scope = form.pop("scope", "")
        wanted = {"grant_type": "client_credentials", "client_id": CLIENT,
                  "client_assertion_type": ASSERTION,
                  "client_assertion": self.stub.assertion.read_text().strip()}
        if self.path != f"/{TENANT}/oauth2/v2.0/token":
            return self._refuse(404, "invalid_tenant", f"AADSTS90002: {self.path}")
        if self.headers["Content-Type"] != "application/x-www-form-urlencoded":
            return self._refuse(400, "invalid_request", "AADSTS900144")
        if form != wanted:
            return self._refuse(401, "invalid_client",
                                "AADSTS700213: No matching federated identity record found\r\n"
                                "Trace ID: 0")
        if scope not in (f"{STORAGE}/.default", f"{POSTGRES}/.default"):
            return self._refuse(400, "invalid_scope", "AADSTS70011")
        token = self.stub.issue(scope.removesuffix("/.default"), form["client_id"])
        return self._reply(200, {"token_type": "Bearer", "expires_in": self.stub.life_s,
                                 "ext_expires_in": self.stub.life_s, "access_token": token})


class BearerGate(HttpFaultProxy):
    """The Blob service for who has tokens: in front of Azurite, which knows keys."""

    def __init__(self, upstream_port, entra):
        self.entra = entra
        self.revoked = set()
        self.revoke_after = 0  # the first token is good for so many requests; 0: for all
        self.seen = {}         # token -> requests with it
        super().__init__(upstream_port)

    def _forward(self, method, path, headers, body):
        lower = {name.lower(): value for name, value in headers}
        kind, _, token = lower.get("authorization", "").partition(" ")
        with self._lock:
            known = self.entra.tokens(STORAGE)
            self.seen[token] = self.seen.get(token, 0) + 1
            if self.revoke_after and token == known[0] and self.seen[token] > self.revoke_after:
                self.revoked.add(token)
            good = kind == "Bearer" and token in known and token not in self.revoked
        if not good:
            status, answer_headers, content = refusal(401, "InvalidAuthenticationInfo")
            return status, [*answer_headers, ("WWW-Authenticate", "Bearer")], content
        bare = {name: value for name, value in lower.items() if name != "authorization"}
        bare["x-ms-date"] = email.utils.formatdate(usegmt=True)
        bare["authorization"] = shared_key(method, path, bare)
        return super()._forward(method, path, [*bare.items()], body)

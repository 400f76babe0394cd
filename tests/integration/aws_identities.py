"""Where AWS gives identities, as far as its documentation goes: the token service, a machine's
metadata (IMDSv2), a container's credentials. Strict where they are."""

import http.server
import json
import threading
import time
import urllib.parse
from datetime import datetime, timezone

import s3_server

ROLE = "arn:aws:iam::123456789012:role/backup"
MACHINE_ROLE = "backups-of-rythm"


class AwsIdentities:
    """Each answer has new keys, which `s3` takes from then on."""

    def __init__(self, s3):
        self.s3 = s3
        self.web_token = "a.web.identity-1"
        self.container_token = "a-container's token"
        self.lifetime_s = 3600
        self.refusal = None     # (status, code) instead of keys
        self.given = []         # the ids of the keys, in order
        self.requests = []
        handler = type("Handler", (_Handler,), {"source": self})
        self._server = s3_server.Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def make(self):
        key_id = f"ASIA{len(self.given):04}"
        keys = s3_server.Keys(f"secret/of+{key_id}", f"session/token+of/{key_id}==")
        self.s3.keys[key_id] = keys
        self.given.append(key_id)
        end = datetime.fromtimestamp(time.time() + self.lifetime_s, timezone.utc)
        return key_id, keys, end.strftime("%Y-%m-%dT%H:%M:%SZ")


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    source = None

    def log_message(self, *arguments):
        pass

    def _send(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def _serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.source.requests.append(f"{self.command} {self.path}")
        if self.command == "POST":
            return self._sts(urllib.parse.parse_qs(body))
        if self.path == "/container":
            return self._container()
        return self._machine()

    do_GET = do_POST = do_PUT = _serve

    def _sts_error(self, status, code):
        self._send(status, "<ErrorResponse><Error><Type>Sender</Type>"
                           f"<Code>{code}</Code><Message>it is so</Message></Error>"
                           "</ErrorResponse>")

    def _sts(self, form):
        if self.headers["Content-Type"] != "application/x-www-form-urlencoded" or \
                form.get("Action") != ["AssumeRoleWithWebIdentity"] or \
                form.get("Version") != ["2011-06-15"] or "RoleSessionName" not in form:
            return self._sts_error(400, "InvalidAction")
        if form.get("WebIdentityToken") != [self.source.web_token]:
            return self._sts_error(400, "InvalidIdentityToken")
        if form.get("RoleArn") != [ROLE]:
            return self._sts_error(403, "AccessDenied")
        if self.source.refusal:
            return self._sts_error(*self.source.refusal)
        key_id, keys, end = self.source.make()
        return self._send(200, f"""<AssumeRoleWithWebIdentityResponse
            xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
            <Credentials><AccessKeyId>{key_id}</AccessKeyId>
            <SecretAccessKey>{keys.secret}</SecretAccessKey>
            <SessionToken>{keys.token}</SessionToken><Expiration>{end}</Expiration></Credentials>
            </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>""")

    def _send_json(self):
        key_id, keys, end = self.source.make()
        self._send(200, json.dumps({"Code": "Success", "AccessKeyId": key_id, "Token": keys.token,
                                    "SecretAccessKey": keys.secret, "Expiration": end}))

    def _container(self):
        if self.headers.get("Authorization") != self.source.container_token:
            return self._send(401, "")
        return self._send_json()

    def _machine(self):
        roles = "/latest/meta-data/iam/security-credentials/"
        if self.command == "PUT":
            ttl = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
            good = self.path == "/latest/api/token" and ttl.isdigit() and 1 <= int(ttl) <= 21600
            return self._send(200, "a-session-of-the-machine") if good else self._send(400, "")
        if self.headers.get("X-aws-ec2-metadata-token") != "a-session-of-the-machine":
            return self._send(401, "")
        if self.path == roles:
            return self._send(200, f"{MACHINE_ROLE}\n")
        if self.path == roles + MACHINE_ROLE:
            return self._send_json()
        return self._send(404, "")

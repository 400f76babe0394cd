"""What the Blob service does and Azurite does not: a proxy in front of it that keeps the rules.

As "Customer-provided keys", "Encryption scopes" and "Immutable storage" (Microsoft's documentation)
have them. Azurite ignores the headers, so that a test without this proves nothing. Those of keys it
refuses: they are taken away here, and the request, whose signature is checked, is signed anew.
"""

import base64
import email.utils
import hashlib
import hmac
import re
import time
import urllib.parse
from dataclasses import dataclass, field

from azurite import ACCOUNT, KEY
from fault_proxy import HttpFaultProxy

KEY_HEADERS = ("x-ms-encryption-key", "x-ms-encryption-key-sha256", "x-ms-encryption-algorithm")
SIGNED = ("content-encoding", "content-language", "content-length", "content-md5", "content-type",
          "date", "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range")
POLICY = "x-ms-immutability-policy-"


@dataclass
class Blob:
    """What the service knows of one beside its bytes."""

    encryption: tuple = ()  # ("key", its SHA-256) or ("scope", its name)
    blocks: set = field(default_factory=set)  # the same, of its blocks that are not committed
    until: float = 0
    mode: str = ""
    tier: str = ""


def refusal(status, code):
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
    return status, [("x-ms-error-code", code), ("Content-Type", "application/xml")], body.encode()


def shared_key(method, path, headers):
    """The Authorization header ("Authorize with Shared Key") of a request with these headers."""
    path, _, query = path.partition("?")
    standard = [headers.get(name, "") for name in SIGNED]
    if standard[2] == "0":
        standard[2] = ""
    lines = [method, *standard]
    lines += [f"{name}:{headers[name]}" for name in sorted(headers) if name.startswith("x-ms-")]
    lines.append(f"/{ACCOUNT}{path}")
    lines += [f"{name}:{value}" for name, value in
              sorted(urllib.parse.parse_qsl(query, keep_blank_values=True))]
    code = hmac.new(base64.b64decode(KEY), "\n".join(lines).encode(), "sha256").digest()
    return f"SharedKey {ACCOUNT}:{base64.b64encode(code).decode()}"


class AzureRules(HttpFaultProxy):
    def __init__(self, upstream_port):
        self.blobs = {}           # name -> Blob
        self.is_immutable = True  # the container has version-level immutability
        self.forgets = False      # takes a policy and does not keep it, as Azurite does
        self.may_ask = True       # the container's properties may be read
        super().__init__(upstream_port)

    def _forward(self, method, path, headers, body):
        lower = {name.lower(): value for name, value in headers}
        path_alone, _, query = path.partition("?")
        query = dict(urllib.parse.parse_qsl(query))
        name = urllib.parse.unquote(path_alone).split("/", 3)[3:]
        with self._lock:
            if not name:
                return self._container(method, path, query, headers, body)
            blob = self.blobs.setdefault(name[0], Blob())
            refused = self._refuse(method, query, lower, blob)
        if refused:
            return refused
        if KEY_HEADERS[0] in lower:
            if lower["authorization"] != shared_key(method, path, lower):
                return refusal(403, "AuthenticationFailed")
            bare = {name: value for name, value in lower.items() if name not in KEY_HEADERS}
            headers = [*(bare | {"authorization": shared_key(method, path, bare)}).items()]
        reply = super()._forward(method, path, headers, body)
        with self._lock:
            return self._note(method, query, lower, blob, reply)

    def _container(self, method, path, query, headers, body):
        if method == "HEAD" and not self.may_ask:
            return refusal(403, "AuthorizationFailure")
        status, answer_headers, content = super()._forward(method, path, headers, body)
        if method == "HEAD" and status == 200:
            answer_headers.append(("x-ms-immutable-storage-with-versioning-enabled",
                                   str(self.is_immutable).lower()))
        if query.get("comp") == "list":
            content = re.sub(rb"<Blob>.*?</Blob>", self._hide_metadata, content, flags=re.DOTALL)
        return status, answer_headers, content

    def _hide_metadata(self, element):
        text = element.group(0)
        name = re.search(rb"<Name>(.*?)</Name>", text).group(1).decode()
        if self.blobs.get(name, Blob()).encryption[:1] != ("key",):
            return text
        return re.sub(rb"<Metadata>.*?</Metadata>|<Metadata\s*/>", b'<Metadata Encrypted="true" />',
                      text, flags=re.DOTALL)

    def _refuse(self, method, query, headers, blob):
        given = encryption(headers)
        if given is None:
            return refusal(400, "InvalidHeaderValue")
        if method == "PUT" and query.get("comp") == "blocklist":
            if blob.blocks - {given}:
                return refusal(409, "BlobCustomerSpecifiedEncryptionMismatch")
            return self._refuse_policy(headers)
        if method in ("GET", "HEAD") and "comp" not in query and blob.encryption:
            if blob.encryption[0] == "key" and not given:
                return refusal(409, "BlobUsesCustomerSpecifiedEncryption")
            if blob.encryption[0] == "key" and given != blob.encryption:
                return refusal(409, "BlobCustomerSpecifiedEncryptionMismatch")
        if method in ("GET", "HEAD") and given and blob.encryption[:1] != ("key",):
            return refusal(409, "BlobDoesNotUseCustomerSpecifiedEncryption")
        if method == "DELETE" and blob.until > time.time():
            return refusal(409, "BlobImmutableDueToPolicy")
        return None

    def _refuse_policy(self, headers):
        mode, until = headers.get(POLICY + "mode"), headers.get(POLICY + "until-date")
        if mode is None and until is None:
            return None
        if mode not in ("unlocked", "locked") or not until or instant(until) <= time.time():
            return refusal(400, "InvalidHeaderValue")
        return None if self.is_immutable else refusal(409, "FeatureNotEnabled")

    def _note(self, method, query, headers, blob, reply):
        status, answer_headers, content = reply
        if method == "PUT" and query.get("comp") == "block" and status == 201:
            blob.blocks.add(encryption(headers))
        if method == "PUT" and query.get("comp") == "blocklist" and status == 201:
            blob.encryption, blob.blocks = encryption(headers), set()
            blob.tier = headers.get("x-ms-access-tier", "")
            if not self.forgets and POLICY + "mode" in headers:
                blob.mode = headers[POLICY + "mode"]
                blob.until = instant(headers[POLICY + "until-date"])
        if method == "HEAD" and status == 200 and blob.mode:
            answer_headers += [(POLICY + "mode", blob.mode),
                               (POLICY + "until-date", email.utils.formatdate(blob.until,
                                                                              usegmt=True))]
        return status, answer_headers, content


def instant(date):
    return email.utils.parsedate_to_datetime(date).timestamp()


def encryption(headers):
    """What encrypts, by these headers: () for nothing of ours, None for headers that are wrong."""
    key = headers.get("x-ms-encryption-key")
    scope = headers.get("x-ms-encryption-scope")
    if key is None:
        return ("scope", scope) if scope else ()
    sha256 = base64.b64encode(hashlib.sha256(base64.b64decode(key)).digest()).decode()
    good = (len(base64.b64decode(key)) == 32 and not scope
            and headers.get("x-ms-encryption-key-sha256") == sha256
            and headers.get("x-ms-encryption-algorithm") == "AES256")
    return ("key", sha256) if good else None

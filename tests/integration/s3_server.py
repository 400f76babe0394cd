"""S3 for the tests, as far as its documentation goes, and AWS' own SDK as the independent client.

The stub is strict where the service is: the signature (recomputed by AWS' botocore), the hash of
the body, the date, the region, conditions, the order, size and etags of parts, the size of
metadata.
"""

import hashlib
import http.server
import re
import sys
import threading
import time
import urllib.parse
import uuid
import xml.etree.ElementTree as tree
from dataclasses import dataclass, field
from datetime import datetime, timezone
from xml.sax.saxutils import escape

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials

KEY_ID = "AKIDOFTHETESTS"
SECRET = "a/secret+of=the+tests"
REGION = "eu-test-1"
SMALLEST_PART = 5 * 1024 * 1024


def client(port, key_id=KEY_ID, secret=SECRET, region=REGION):
    """AWS' SDK for Python, without a word about it in the environment."""
    return boto3.session.Session().client(
        "s3", endpoint_url=f"http://127.0.0.1:{port}", region_name=region,
        aws_access_key_id=key_id, aws_secret_access_key=secret,
        config=botocore.config.Config(s3={"addressing_style": "path"},
                                      retries={"max_attempts": 0}))


def url(port, bucket, prefix="", region=REGION, options=""):
    return f"s3://{bucket}{prefix}?endpoint=http://127.0.0.1:{port}&region={region}{options}"


class Refusal(Exception):
    def __init__(self, status, code, extra=""):
        super().__init__(code)
        self.status = status
        self.code = code
        self.extra = extra


@dataclass
class Object:
    body: bytes
    etag: str
    headers: dict
    modified: float = field(default_factory=time.time)


@dataclass
class Upload:
    bucket: str
    key: str
    headers: dict
    parts: dict = field(default_factory=dict)


@dataclass
class Fault:
    """What to do with requests whose "METHOD /path?query" matches, `times` of them."""

    pattern: str
    times: int = 1
    status: int = 0            # answered instead of serving it
    code: str = "InternalError"
    in_body: bool = False      # as an <Error> in the body of a 200, after blanks that kept it alive
    lose_answer: bool = False  # served, but the client never learns of it
    act: object = None         # called before it is served
    after: object = None       # called after it was served


@dataclass
class Keys:
    secret: str
    token: str = None
    expired: bool = False


class S3Stub:
    def __init__(self):
        self.keys = {KEY_ID: Keys(SECRET)}
        self.buckets = {}
        self.owners = {}            # bucket -> the only key id that may use it
        self.uploads = {}
        self.requests = []          # "METHOD /path?query"
        self.faults = []
        self.refusals = []          # codes
        self.page = 1000
        self.conditions = "kept"    # or "ignored", or "refused" (501)
        self.late_parts = 0         # so many aborts come while a part is still being stored
        self.lock = threading.RLock()
        handler = type("Handler", (_Handler,), {"stub": self})
        self._server = Server(("127.0.0.1", 0), handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.client = client(self.port)

    def settings(self, bucket, prefix="", options=""):
        return {"RYTHM_BACKUP_STORES": url(self.port, bucket, prefix, options=options),
                "AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}

    def make_bucket(self, name):
        self.buckets[name] = {}
        return name

    def count(self, pattern):
        with self.lock:
            return sum(1 for request in self.requests if re.search(pattern, request))

    def fault(self, pattern, **options):
        with self.lock:
            self.faults.append(Fault(pattern, **options))

    def take_fault(self, request):
        with self.lock:
            self.requests.append(request)
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.pattern, request):
                    fault.times -= 1
                    return fault
        return None

    def stop(self):
        self.client.close()
        self._server.shutdown()
        self._server.server_close()

    # What follows is the service: called with the lock.

    def bucket(self, name):
        if name not in self.buckets:
            raise Refusal(404, "NoSuchBucket")
        return self.buckets[name]

    def get(self, bucket, key):
        objects = self.bucket(bucket)
        if key not in objects:
            raise Refusal(404, "NoSuchKey")
        return objects[key]

    def check_condition(self, bucket, key, headers):
        condition = headers.get("If-None-Match")
        if condition is None or self.conditions == "ignored":
            return
        if self.conditions == "refused":
            raise Refusal(501, "NotImplemented")
        if condition != "*":
            raise Refusal(501, "NotImplemented")
        if key in self.bucket(bucket):
            raise Refusal(412, "PreconditionFailed")

    def complete(self, bucket, key, upload_id, headers, body):
        upload = self.upload(bucket, key, upload_id)
        named = [(int(part.findtext("{*}PartNumber")), part.findtext("{*}ETag"))
                 for part in tree.fromstring(body)]
        if not named:
            raise Refusal(400, "MalformedXML")
        numbers = [number for number, _ in named]
        if numbers != sorted(set(numbers)):
            raise Refusal(400, "InvalidPartOrder")
        for number, etag in named:
            if number not in upload.parts or upload.parts[number].etag != etag:
                raise Refusal(400, "InvalidPart")
        parts = [upload.parts[number] for number in numbers]
        if any(len(part.body) < SMALLEST_PART for part in parts[:-1]):
            raise Refusal(400, "EntityTooSmall")
        self.check_condition(bucket, key, headers)
        digest = hashlib.md5(b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts))
        made = Object(b"".join(part.body for part in parts),
                      f'"{digest.hexdigest()}-{len(parts)}"', upload.headers)
        self.bucket(bucket)[key] = made
        del self.uploads[upload_id]
        return made

    def upload(self, bucket, key, upload_id):
        upload = self.uploads.get(upload_id)
        if upload is None or (upload.bucket, upload.key) != (bucket, key):
            raise Refusal(404, "NoSuchUpload")
        return upload


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that dies is nothing to report."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def kept_headers(headers):
    """What an object keeps of the headers it was made with."""
    kept = {name.lower(): value for name, value in headers.items()
            if name.lower().startswith("x-amz-meta-") or name.lower() == "content-type"}
    own = [(name, value) for name, value in kept.items() if name.startswith("x-amz-meta-")]
    if sum(len(name) - len("x-amz-meta-") + len(value) for name, value in own) > 2048:
        raise Refusal(400, "MetadataTooLarge")
    return kept


def check_signature(stub, method, target, headers, body):
    """Raises what the service would answer."""
    match = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/"
                         r"aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})",
                         headers.get("Authorization", ""))
    if match is None:
        raise Refusal(403, "AccessDenied")
    key_id, day, region, service, signed, signature = match.groups()
    keys = stub.keys.get(key_id)
    if keys is None:
        raise Refusal(403, "InvalidAccessKeyId")
    if region != REGION or service != "s3":
        raise Refusal(400, "AuthorizationHeaderMalformed", f"<Region>{REGION}</Region>")
    names = signed.split(";")
    if names != sorted(names) or "host" not in names or any(
            name.lower().startswith("x-amz-") and name.lower() not in names for name in headers):
        raise Refusal(403, "AccessDenied")
    date = headers.get("x-amz-date", "")
    try:
        moment = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        raise Refusal(403, "AccessDenied") from None
    if not date.startswith(day) or abs(moment.timestamp() - time.time()) > 900:
        raise Refusal(403, "RequestTimeTooSkewed")
    if headers.get("x-amz-content-sha256") != hashlib.sha256(body).hexdigest():
        raise Refusal(400, "XAmzContentSHA256Mismatch")
    path, _, query = target.partition("?")
    request = botocore.awsrequest.AWSRequest(
        method=method, url=f"http://{headers['Host']}{path}", data=body,
        params=dict(urllib.parse.parse_qsl(query, keep_blank_values=True)),
        headers={name: headers[name] for name in names})
    request.context["timestamp"] = date
    signer = botocore.auth.S3SigV4Auth(botocore.credentials.Credentials(key_id, keys.secret), "s3",
                                       region)
    canonical = signer.canonical_request(request)
    if signer.signature(signer.string_to_sign(request, canonical), request) != signature:
        raise Refusal(403, "SignatureDoesNotMatch")
    if headers.get("x-amz-security-token") != keys.token:
        raise Refusal(403, "InvalidToken")
    if keys.expired:
        raise Refusal(400, "ExpiredToken")


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub = None

    def log_message(self, *arguments):
        pass

    def _send(self, status, body=b"", headers=()):
        self.send_response(status)
        headers = dict(headers)
        headers.setdefault("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("x-amz-request-id", "TESTS")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _error(self, status, code, extra="", blanks=b""):
        self.stub.refusals.append(code)
        body = blanks + (f"<?xml version=\"1.0\"?><Error><Code>{code}</Code>"
                         f"<Message>as the test wishes</Message>{extra}</Error>").encode()
        self._send(status, body, {"Content-Type": "application/xml"})

    def _place(self):
        """Bucket and key, path style or virtual."""
        path = urllib.parse.unquote(self.path.partition("?")[0])
        host = self.headers["Host"].partition(":")[0]
        if host.endswith(".localhost"):
            return host.removesuffix(".localhost"), path[1:]
        bucket, _, key = path[1:].partition("/")
        return bucket, key

    def _serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.stub.take_fault(f"{self.command} {self.path}")
        if fault and fault.act:
            fault.act()
        if fault and fault.status:
            return self._error(fault.status, fault.code)
        if fault and fault.in_body:
            return self._error(200, fault.code, blanks=b"  \n ")
        if fault and fault.lose_answer:
            self._send = lambda *arguments, **options: None
        try:
            check_signature(self.stub, self.command, self.path, self.headers, body)
            bucket, key = self._place()
            owner = self.stub.owners.get(bucket)
            if owner and f"Credential={owner}/" not in self.headers["Authorization"]:
                raise Refusal(403, "AccessDenied")
            query = dict(urllib.parse.parse_qsl(self.path.partition("?")[2],
                                                keep_blank_values=True))
            with self.stub.lock:
                getattr(self, f"_{self.command.lower()}")(bucket, key, query, body)
        except Refusal as refusal:
            self._error(refusal.status, refusal.code, refusal.extra)
        if fault and fault.after:
            fault.after()
        if fault and fault.lose_answer:
            self.close_connection = True
        return None

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve

    def _put(self, bucket, key, query, body):
        objects = self.stub.bucket(bucket)
        etag = f'"{hashlib.md5(body).hexdigest()}"'
        if "uploadId" in query:
            upload = self.stub.upload(bucket, key, query["uploadId"])
            number = int(query["partNumber"])
            if not 1 <= number <= 10000:
                raise Refusal(400, "InvalidArgument")
            upload.parts[number] = Object(body, etag, {})
        else:
            self.stub.check_condition(bucket, key, self.headers)
            objects[key] = Object(body, etag, kept_headers(self.headers))
        self._send(200, headers={"ETag": etag})

    def _post(self, bucket, key, query, body):
        self.stub.bucket(bucket)
        if "uploads" in query:
            upload_id = uuid.uuid4().hex
            self.stub.uploads[upload_id] = Upload(bucket, key, kept_headers(self.headers))
            return self._send(200, (
                f"<InitiateMultipartUploadResult><UploadId>{upload_id}</UploadId>"
                f"</InitiateMultipartUploadResult>").encode())
        made = self.stub.complete(bucket, key, query["uploadId"], self.headers, body)
        return self._send(200, (
            f"  \n<CompleteMultipartUploadResult><ETag>{escape(made.etag)}</ETag>"
            f"</CompleteMultipartUploadResult>").encode())

    def _delete(self, bucket, key, query, body):
        objects = self.stub.bucket(bucket)
        if "uploadId" in query:
            upload = self.stub.upload(bucket, key, query["uploadId"])
            if self.stub.late_parts > 0:
                self.stub.late_parts -= 1
                upload.parts = {9: Object(b"late", '"of a late part"', {})}
            else:
                del self.stub.uploads[query["uploadId"]]
        elif key in objects:
            wanted = self.headers.get("If-Match", objects[key].etag)
            if wanted != objects[key].etag and self.stub.conditions == "kept":
                raise Refusal(412, "PreconditionFailed")
            del objects[key]
        self._send(204)

    def _head(self, bucket, key, query, body):
        self._get_object(self.stub.get(bucket, key))

    def _list_parts(self, upload):
        parts = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(part.etag)}</ETag>"
                        f"</Part>" for number, part in sorted(upload.parts.items()))
        self._send(200, f"<ListPartsResult>{parts}</ListPartsResult>".encode())

    def _get(self, bucket, key, query, body):
        if "uploadId" in query:
            self._list_parts(self.stub.upload(bucket, key, query["uploadId"]))
        elif key:
            self._get_object(self.stub.get(bucket, key))
        elif "uploads" in query:
            self._list_uploads(bucket, query)
        else:
            self._list(bucket, query)

    def _get_object(self, stored):
        headers = {**stored.headers, "ETag": stored.etag,
                   "Last-Modified": self.date_time_string(stored.modified)}
        if self.headers.get("If-Match", stored.etag) != stored.etag:
            raise Refusal(412, "PreconditionFailed")
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if wanted is None:
            return self._send(200, stored.body,
                              {**headers, "Content-Length": str(len(stored.body))})
        first, last = int(wanted[1]), min(int(wanted[2]), len(stored.body) - 1)
        if first >= len(stored.body):
            raise Refusal(416, "InvalidRange")
        headers["Content-Range"] = f"bytes {first}-{last}/{len(stored.body)}"
        return self._send(206, stored.body[first:last + 1], headers)

    def _list(self, bucket, query):
        objects = self.stub.bucket(bucket)
        begin = query.get("continuation-token", "")
        keys = sorted(key for key in objects
                      if key.startswith(query.get("prefix", "")) and key > begin)
        page = keys[:min(self.stub.page, int(query.get("max-keys", "1000")))]
        more = len(page) < len(keys)
        encoded = "encoding-type" in query
        shown = (lambda key: urllib.parse.quote(key, safe="/")) if encoded else escape
        entries = "".join(
            f"<Contents><Key>{shown(key)}</Key>"
            f"<LastModified>2025-01-29T02:00:00.000Z</LastModified>"
            f"<ETag>{escape(objects[key].etag, {chr(34): '&quot;'})}</ETag>"
            f"<Size>{len(objects[key].body)}</Size></Contents>" for key in page)
        self._send(200, (
            '<?xml version="1.0"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"{'<EncodingType>url</EncodingType>' if encoded else ''}"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>"
            + (f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else "")
            + f"<KeyCount>{len(page)}</KeyCount>{entries}</ListBucketResult>").encode(),
            {"Content-Type": "application/xml"})

    def _list_uploads(self, bucket, query):
        self.stub.bucket(bucket)
        entries = "".join(
            f"<Upload><Key>{escape(upload.key)}</Key><UploadId>{upload_id}</UploadId></Upload>"
            for upload_id, upload in self.stub.uploads.items()
            if upload.bucket == bucket and upload.key.startswith(query.get("prefix", "")))
        self._send(200, f"<ListMultipartUploadsResult>{entries}<IsTruncated>false</IsTruncated>"
                        f"</ListMultipartUploadsResult>".encode())

"""Services that take telemetry, as far as their documentation goes: no emulator of Application
Insights exists, and no collector is a Debian package. Both refuse what the real ones refuse."""

import http.server
import json
import re
import sys
import threading
import time
from dataclasses import dataclass, field

KEY = "11111111-2222-3333-4444-555555555555"


@dataclass
class Answer:
    """What to answer instead of serving a request."""

    status: int
    headers: dict = field(default_factory=dict)
    document: dict = field(default_factory=dict)
    hang_s: float = 0


class _Stub:
    def __init__(self):
        self.requests = []      # (method, path, headers)
        self.refusals = []      # why something was refused
        self.next_answers = []  # Answers for the next requests, used up one by one
        handler = type("Handler", (_Handler,), {"stub": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def refuse(self, reason):
        self.refusals.append(reason)
        return 400, {"message": reason}

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A client that gives up is nothing to report."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub = None

    def log_message(self, *arguments):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.stub.requests.append((self.command, self.path, dict(self.headers)))
        if self.stub.next_answers:
            answer = self.stub.next_answers.pop(0)
            time.sleep(answer.hang_s)
            return self._reply(answer.status, answer.document, answer.headers)
        return self._reply(*self.stub.serve(self.path, self.headers, body))

    def _reply(self, status, document, headers=()):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


# Application Insights

ENVELOPE = {"ver": int, "name": str, "time": str, "iKey": str, "sampleRate": (int, float),
            "tags": dict, "data": dict}
DATA = {
    "MetricData": ({"metrics"}, {"properties"}),
    "EventData": ({"name"}, {"properties", "measurements"}),
    "ExceptionData": ({"exceptions"}, {"severityLevel", "properties", "measurements"}),
}
POINT = {"ns", "name", "kind", "value", "count", "min", "max", "stdDev"}
EXCEPTION = {"id", "outerId", "typeName", "message", "hasFullStack", "stack", "parsedStack"}
TAGS = {"ai.cloud.role", "ai.cloud.roleInstance", "ai.internal.sdkVersion", "ai.operation.id"}


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def texts_problem(texts, longest_key, longest_value):
    for name, value in texts.items():
        if not isinstance(value, str):
            return f"{name} is not a text"
        if len(name) > longest_key or len(value) > longest_value:
            return f"{name} is too long"
    return None


def data_problem(kind, data):
    required, optional = DATA[kind]
    if data.get("ver") != 2 or not required <= set(data) <= required | optional | {"ver"}:
        return f"the members of {kind} are {sorted(data)}"
    if kind == "MetricData":
        (point,) = data["metrics"]  # the service drops all but the first
        if not set(point) <= POINT or not is_number(point["value"]) or not point["name"]:
            return f"the metric is {point}"
    if kind == "EventData" and not 0 < len(data["name"]) <= 512:
        return "the event has no name"
    if kind == "ExceptionData":
        for problem in data["exceptions"]:
            if not set(problem) <= EXCEPTION or not problem["typeName"] or not problem["message"]:
                return f"the exception is {problem}"
    if not all(map(is_number, data.get("measurements", {}).values())):
        return "a measurement is no number"
    return texts_problem(data.get("properties", {}), 150, 8192)


def envelope_problem(envelope, key):
    for name, type_ in ENVELOPE.items():
        if not isinstance(envelope.get(name), type_):
            return f"{name} is missing or of another type"
    if set(envelope) - set(ENVELOPE):
        return f"unknown members: {sorted(envelope)}"
    if envelope["iKey"] != key:
        return "Invalid instrumentation key"
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", envelope["time"]):
        return f"time is {envelope['time']}"
    kind = envelope["data"].get("baseType")
    if envelope["name"] != f"Microsoft.ApplicationInsights.{str(kind).removesuffix('Data')}":
        return f"{envelope['name']} does not go with {kind}"
    if kind not in DATA or set(envelope["data"]) != {"baseType", "baseData"}:
        return f"data is {envelope['data']}"
    if set(envelope["tags"]) - TAGS:
        return f"tags are {envelope['tags']}"
    return (texts_problem(envelope["tags"], 150, 1024)
            or data_problem(kind, envelope["data"]["baseData"]))


class InsightsStub(_Stub):
    def __init__(self):
        super().__init__()
        self.key = KEY
        self.accepted = []  # envelopes
        # What becomes of the next envelopes instead of being accepted: (index, status code).
        self.next_problems = []

    @property
    def settings(self):
        return {"APPLICATIONINSIGHTS_CONNECTION_STRING":
                f"InstrumentationKey={self.key};IngestionEndpoint={self.url}/;"
                "LiveEndpoint=https://x/"}

    def of(self, kind):
        """The baseData of every envelope of this kind that was accepted."""
        return [envelope["data"]["baseData"] for envelope in self.accepted
                if envelope["data"]["baseType"] == kind]

    def serve(self, path, headers, body):
        if path != "/v2.1/track" or headers["Content-Type"] != "application/x-json-stream":
            return self.refuse(f"{path} of {headers['Content-Type']}")
        lines = body.decode().splitlines()
        problems, self.next_problems = dict(self.next_problems), []
        errors = []
        for index, line in enumerate(lines):
            envelope = json.loads(line)
            problem = envelope_problem(envelope, self.key)
            if problem:
                self.refusals.append(problem)
                errors.append({"index": index, "statusCode": 400, "message": problem})
            elif index in problems:
                errors.append({"index": index, "statusCode": problems[index],
                               "message": "as the test wishes"})
            else:
                self.accepted.append(envelope)
        document = {"itemsReceived": len(lines), "itemsAccepted": len(lines) - len(errors),
                    "errors": errors}
        if len(errors) == len(lines):
            return 400, document
        return (206 if errors else 200), document


# OTLP/HTTP with JSON: opentelemetry-proto's messages, as its docs/specification.md maps them

MESSAGES = {
    "ExportMetricsServiceRequest": {"resourceMetrics": ["ResourceMetrics"]},
    "ResourceMetrics": {"resource": "Resource", "scopeMetrics": ["ScopeMetrics"],
                        "schemaUrl": "string"},
    "ScopeMetrics": {"scope": "InstrumentationScope", "metrics": ["Metric"],
                     "schemaUrl": "string"},
    "Metric": {"name": "string", "description": "string", "unit": "string", "gauge": "Gauge"},
    "Gauge": {"dataPoints": ["NumberDataPoint"]},
    "NumberDataPoint": {"attributes": ["KeyValue"], "startTimeUnixNano": "int64",
                        "timeUnixNano": "int64", "asInt": "int64", "asDouble": "double",
                        "flags": "int32"},
    "ExportTraceServiceRequest": {"resourceSpans": ["ResourceSpans"]},
    "ResourceSpans": {"resource": "Resource", "scopeSpans": ["ScopeSpans"],
                      "schemaUrl": "string"},
    "ScopeSpans": {"scope": "InstrumentationScope", "spans": ["Span"], "schemaUrl": "string"},
    "Span": {"traceId": "id16", "spanId": "id8", "traceState": "string", "parentSpanId": "id8",
             "flags": "int32", "name": "string", "kind": "int32", "startTimeUnixNano": "int64",
             "endTimeUnixNano": "int64", "attributes": ["KeyValue"], "status": "Status"},
    "Status": {"message": "string", "code": "int32"},
    "Resource": {"attributes": ["KeyValue"], "droppedAttributesCount": "int32"},
    "InstrumentationScope": {"name": "string", "version": "string"},
    "KeyValue": {"key": "string", "value": "AnyValue"},
    "AnyValue": {"stringValue": "string", "intValue": "int64", "boolValue": "bool",
                 "doubleValue": "double"},
}
# Without these a collector drops the message.
REQUIRED = {"Metric": {"name"}, "NumberDataPoint": {"timeUnixNano"}, "KeyValue": {"key", "value"},
            "Span": {"traceId", "spanId", "name", "startTimeUnixNano", "endTimeUnixNano"}}
SCALARS = {
    "string": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "double": is_number,
    "int32": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "int64": lambda value: isinstance(value, str) and re.fullmatch(r"-?\d{1,19}", value),
    "id16": lambda value: isinstance(value, str) and re.fullmatch(r"[0-9a-f]{32}", value)
    and set(value) != {"0"},
    "id8": lambda value: isinstance(value, str) and re.fullmatch(r"[0-9a-f]{16}", value)
    and set(value) != {"0"},
}


def message_problem(value, type_, where=""):
    """None, or why this is no JSON of that message."""
    if isinstance(type_, list):
        if not isinstance(value, list):
            return f"{where} is not a list"
        return next(filter(None, (message_problem(item, type_[0], f"{where}[{i}]")
                                  for i, item in enumerate(value))), None)
    if type_ in SCALARS:
        return None if SCALARS[type_](value) else f"{where} = {value!r} is no {type_}"
    if not isinstance(value, dict):
        return f"{where} is no {type_}"
    missing = REQUIRED.get(type_, set()) - set(value)
    unknown = set(value) - set(MESSAGES[type_])
    if missing or unknown:
        return f"{where} ({type_}) lacks {sorted(missing)} and has {sorted(unknown)}"
    return next(filter(None, (message_problem(member, MESSAGES[type_][name], f"{where}.{name}")
                              for name, member in value.items())), None)


def attributes(message):
    return {pair["key"]: next(iter(pair["value"].values())) for pair in message["attributes"]}


class OtlpStub(_Stub):
    PATHS = {"/v1/metrics": "ExportMetricsServiceRequest",
             "/v1/traces": "ExportTraceServiceRequest"}

    def __init__(self):
        super().__init__()
        self.documents = []  # (path, the JSON)

    @property
    def settings(self):
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url}

    def serve(self, path, headers, body):
        if path not in self.PATHS or headers["Content-Type"] != "application/json":
            return self.refuse(f"{path} of {headers['Content-Type']}")
        document = json.loads(body)
        problem = message_problem(document, self.PATHS[path])
        if problem:
            return self.refuse(problem)
        self.documents.append((path, document))
        return 200, {}

    def resource(self):
        _, document = self.documents[-1]
        (only,) = next(iter(document.values()))
        return attributes(only["resource"])

    def metrics(self):
        """{(name, schedule): value} of the last that came, and {name: unit}."""
        document = [document for path, document in self.documents if path == "/v1/metrics"][-1]
        metrics = document["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
        return {(metric["name"], attributes(point)["schedule"]): int(point["asInt"])
                for metric in metrics for point in metric["gauge"]["dataPoints"]}

    def spans(self):
        """Every span that came."""
        return [span for path, document in self.documents if path == "/v1/traces"
                for span in document["resourceSpans"][0]["scopeSpans"][0]["spans"]]

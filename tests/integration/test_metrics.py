"""Metrics: what is told of schedules and runs, to whom, and what happens when it cannot be."""

import contextlib
import json
import os
import re
import socket
import stat
import urllib.parse

import pytest

import pg_dumps
import processes
from conftest import SOURCE
from pushgateway import promtool, samples
from tables import add_schedule, enable_now, history, schedule
from telemetry_stubs import KEY, Answer, attributes

RULES = SOURCE / "contrib/prometheus/rythm-backup.rules.yml"
RULE_TESTS = SOURCE / "tests/integration/alert_rules.yml"
DASHBOARD = SOURCE / "contrib/grafana/rythm-backup.json"
# Hostile to Prometheus' text format.
NAME = 'we"ird\\ näme\nof {it}'
PHASES = ["claim", "prepare", "dump", "flush", "commit", "record", "prune", "notify"]


@pytest.fixture
def tool(make_tool, small_database, file_store):
    return make_tool(small_database, file_store)


@pytest.fixture
def prom(tmp_path):
    folder = tmp_path / "textfiles"
    folder.mkdir()
    return folder / "rythm.prom"


@pytest.fixture
def named(small_database):
    small_database.execute("UPDATE backup_schedule SET name = %s", NAME)
    return small_database


def failing(tool, folder):
    return tool.with_settings(**pg_dumps.script(folder, "echo no luck >&2; exit 1"))


def with_file(tool, prom):
    return tool.with_settings(RYTHM_BACKUP_PROMETHEUS_FILE=str(prom))


def of(prom, name):
    """{metric: value} of the schedule of this name."""
    return {metric: value for (metric, its), value in samples(prom.read_text()).items()
            if its == name}


def look(tool):
    """A tick that looks at every schedule, as it does after an edit; nothing is due."""
    return tool.run("check")


# The file

def test_file_says_what_the_ledger_says(tool, named, prom):
    enable_now(named)
    with_file(tool, prom).ok("check")
    assert promtool("check", "metrics", given=prom.read_text()) == ""
    assert stat.S_IMODE(prom.stat().st_mode) == 0o644
    assert [path.name for path in prom.parent.iterdir()] == [prom.name]
    (row,) = history(named)
    seconds = {"completed": row["completed_at"].timestamp(),
               "next": schedule(named)["next_run_at"].timestamp()}
    found = of(prom, NAME)
    assert found.pop("checked_timestamp_seconds") >= int(seconds["completed"])
    assert found == {
        "enabled": 1, "invalid": 0, "running": 0, "overdue": 0, "failed_runs": 0,
        "expected_interval_seconds": 86400, "next_run_timestamp_seconds": seconds["next"],
        "last_success_timestamp_seconds": int(seconds["completed"]),
        "last_duration_seconds": row["duration_seconds"],
        "last_object_size_bytes": row["file_size_bytes"],
        "last_raw_size_bytes": row["raw_size_bytes"], "last_rows": row["row_count"],
        "last_tables": row["table_count"], "verify_every": 0, "unverified_backups": 1,
        "verification_failed": 0}


def test_every_schedule_is_in_it_whoever_ran(tool, named, prom):
    """A row of another process's, a bad one, and one that is off."""
    first = schedule(named)["schedule_id"]
    other = add_schedule(named)
    named.execute("UPDATE backup_schedule SET target_dbname = 'elsewhere', verify_every = 7,"
                  " frequency = 'weekly', days = '{1}' WHERE schedule_id = %s", other)
    bad = add_schedule(named)
    named.execute("UPDATE backup_schedule SET time_zone = 'Nowhere' WHERE schedule_id = %s", bad)
    for hours, size in enumerate([900, 100, 1000, 1100], start=1):
        named.execute(
            "INSERT INTO backup_history (schedule_id, run_id, backup_filename, backup_type, status,"
            " started_at, completed_at, raw_size_bytes, verified_at) VALUES (%s, %s, %s, 'manual',"
            " 'completed', now() - %s * interval '1 hour', now() - %s * interval '1 hour', %s,"
            " CASE WHEN %s = 3 THEN now() END)", other, f"{hours:016x}", f"backup-{hours}", hours,
            hours, size, hours)
    assert with_file(tool, prom).run("check").code == 3  # for the bad one
    text = prom.read_text()
    assert promtool("check", "metrics", given=text) == ""
    assert of(prom, NAME)["enabled"] == 0 and "last_success_timestamp_seconds" not in of(prom, NAME)
    found = of(prom, other)
    assert (found["last_raw_size_bytes"], found["usual_raw_size_bytes"]) == (900, 1000)
    assert (found["verify_every"], found["unverified_backups"]) == (7, 2)
    assert found["expected_interval_seconds"] == 7 * 86400
    assert found["newest_verified_timestamp_seconds"] < found["last_success_timestamp_seconds"]
    assert of(prom, bad)["invalid"] == 1
    assert f'database="elsewhere",ledger="{named.name}",schedule="{other}"' in text
    assert str(first) in text


def test_failures_and_what_is_overdue(tool, small_database, prom, tmp_path):
    name = str(schedule(small_database)["schedule_id"])
    program = failing(with_file(tool, prom), tmp_path)
    # That the metrics could not all be told does not change what became of the backup.
    failed = program.with_settings(RYTHM_BACKUP_PUSHGATEWAY="nowhere").run("run", "--no-notify")
    assert failed.code == 1 and "Metrics were not sent to the Pushgateway" in failed.err
    assert of(prom, name)["failed_runs"] == 1
    (row,) = history(small_database)
    assert of(prom, name)["last_failure_timestamp_seconds"] == int(row["completed_at"].timestamp())
    # A backup that should have been made hours ago, and was not.
    small_database.execute("UPDATE backup_schedule SET enabled = true, schedule_time ="
                           " (now() AT TIME ZONE 'UTC' - interval '3 hours')::time")
    small_database.execute("UPDATE backup_schedule SET timed_at = '2020-01-01'")
    with_file(tool, prom).ok("check")
    assert of(prom, name)["overdue"] == 1
    with_file(tool, prom).ok("run", "--no-notify")
    found = of(prom, name)
    assert (found["overdue"], found["failed_runs"]) == (0, 0)
    assert found["last_failure_timestamp_seconds"] <= found["last_success_timestamp_seconds"]


def test_verifications(tool, small_database, file_store, prom):
    name = str(schedule(small_database)["schedule_id"])
    small_database.execute("UPDATE backup_schedule SET verify_every = 1, enabled = true")
    program = with_file(tool, prom)
    program.ok("run", "--no-notify")
    found = of(prom, name)
    assert found["newest_verified_timestamp_seconds"] == found["last_success_timestamp_seconds"]
    assert (found["unverified_backups"], found["verification_failed"]) == (0, 0)
    (stored,) = file_store.list()
    path = file_store.folder / stored.name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert program.run("verify", "--quick").code == 1
    found = of(prom, name)
    assert (found["unverified_backups"], found["verification_failed"]) == (1, 1)
    assert "newest_verified_timestamp_seconds" not in found


# Ticks


def sessions_of(database, tool, *arguments):
    """How many sessions the program opens in this database. The server counts them some time after
    they have ended."""
    with contextlib.closing(database.connect()) as watch:
        cursor = watch.cursor()

        def ask():
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute("SELECT sessions FROM pg_stat_database WHERE datname = %s",
                           (database.name,))
            return cursor.fetchone()[0]

        def gone():
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
                           " AND pid <> pg_backend_pid()", (database.name,))
            return cursor.fetchone()[0] == 0

        processes.wait_until(gone, "no other session")
        before = ask()
        tool.ok(*arguments)
        processes.wait_until(gone, "no other session")
        return ask() - before


def test_quiet_ticks_are_as_cheap_as_without(tool, small_database, clock, prom):
    """A file that is old is written anew: it is another host that looks at the schedules."""
    clock.set("12:30:00")     # in the first minute of an hour no tick is quiet
    program = with_file(tool, prom)
    look(program)
    assert sessions_of(small_database, tool, "check") == 1
    written = prom.stat()
    assert sessions_of(small_database, program, "check") == 1
    assert prom.stat().st_ino == written.st_ino
    os.utime(prom, (written.st_mtime - 3600, written.st_mtime - 3600))
    assert sessions_of(small_database, program, "check") == 2
    assert prom.stat().st_mtime >= written.st_mtime
    prom.unlink()
    program.ok("check")
    assert prom.exists()


def test_nothing_is_told_of_a_rehearsal(tool, small_database, prom, otlp):
    enable_now(small_database)
    program = with_file(tool, prom).with_settings(**otlp.settings)
    program.ok("check", "--now", "2031-05-06 02:00:10Z")
    program.ok("check", "--dry-run")
    assert not prom.exists() and not otlp.requests


# What cannot be told

@pytest.mark.parametrize("setting, value, problem", [
    ("RYTHM_BACKUP_PROMETHEUS_FILE", "metrics.prom", "is not an absolute path that ends in .prom"),
    ("RYTHM_BACKUP_PROMETHEUS_FILE", "/tmp/metrics.txt", "ends in .prom"),
    ("RYTHM_BACKUP_PROMETHEUS_FILE", "/nonexistent/a.prom", "the folder must exist"),
    ("RYTHM_BACKUP_PUSHGATEWAY", "gateway:9091", "is not of the form http://HOST[:PORT][/PATH]"),
    ("RYTHM_BACKUP_PUSHGATEWAY", "http://", "it names no host"),
    ("RYTHM_BACKUP_PUSHGATEWAY", "http://me:canary@gateway", "holds a user or a password"),
    ("RYTHM_BACKUP_PUSHGATEWAY", "http://gateway/?a=b", "holds a query"),
    ("RYTHM_BACKUP_PUSHGATEWAY", "http://gate way", "must be percent-encoded"),
    ("APPLICATIONINSIGHTS_CONNECTION_STRING", "IngestionEndpoint=https://a",
     "InstrumentationKey= is missing"),
    ("APPLICATIONINSIGHTS_CONNECTION_STRING", "InstrumentationKey=canary", "is not a UUID"),
    ("APPLICATIONINSIGHTS_CONNECTION_STRING", f"InstrumentationKey={KEY};canary",
     "not of the form Name=value"),
    ("APPLICATIONINSIGHTS_CONNECTION_STRING", f"InstrumentationKey={KEY};IngestionEndpoint=canary",
     "endpoint is not a URL"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318", "OTEL_EXPORTER_OTLP_ENDPOINT = 'localhost"),
    ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "ftp://a", "it begins with neither"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://a", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "canary", "is not of the form name=value"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "a=canary%2", "two hex digits"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "a b=canary", "is not the name of an HTTP header"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "a=canary%0d%0ab: c", "not printable ASCII"),
    ("OTEL_RESOURCE_ATTRIBUTES", "=x", "OTEL_RESOURCE_ATTRIBUTES is not of the form"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "5s", "OTEL_EXPORTER_OTLP_TIMEOUT = '5s' is not a whole number"),
    ("OTEL_SDK_DISABLED", "1", "OTEL_SDK_DISABLED = '1' is neither true nor false")])
def test_wrong_settings(tool, otlp, setting, value, problem):
    """They are told, and no backup fails for them."""
    program = tool.with_settings(**{setting: value})
    if setting.startswith("OTEL") and not setting.endswith("ENDPOINT"):
        program = program.with_settings(**otlp.settings)
    result = look(program)
    assert result.code == 3
    assert problem in result.err and "canary" not in result.err
    assert not otlp.requests


def test_a_full_disk_leaves_the_old_file(tool, small_database, prom):
    """`prom` is whole, whatever happens: the new one could not be renamed onto it."""
    prom.mkdir()
    result = with_file(tool, prom).run("run", "--no-notify")
    assert result.code == 3 and "renaming" in result.err
    assert [row["status"] for row in history(small_database)] == ["completed"]
    assert [path.name for path in prom.parent.iterdir()] == [prom.name]


@pytest.fixture
def silent_names(tmp_path):
    """A name server that never answers: how to run something that asks it, and what was asked."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.253", 53))  # only root may
        server.setblocking(False)
        resolver = tmp_path / "resolv.conf"
        resolver.write_text("nameserver 127.0.0.253\noptions timeout:8 attempts:2\n")

        def asked():
            packets = []
            with contextlib.suppress(BlockingIOError):
                while True:
                    packets.append(server.recv(512))
            return packets

        yield ("bwrap", "--dev-bind", "/", "/", "--ro-bind", str(resolver),
               os.path.realpath("/etc/resolv.conf")), asked


def test_services_that_hang_delay_nothing_for_long(tool, small_database, prom, insights, otlp,
                                                   file_store, silent_names):
    """Each in its share of the few seconds, and those behind them have theirs."""
    within, asked = silent_names
    insights.next_answers = [Answer(200, hang_s=20)] * 9
    otlp.next_answers = [Answer(200, hang_s=20)] * 9
    program = with_file(tool, prom).with_settings(
        **insights.settings, **otlp.settings, RYTHM_BACKUP_PUSHGATEWAY="http://silent.example:9091")
    result = program.finish(program.start("run", "--no-notify", prefix=within))
    assert result.code == 3
    for name in ("the Pushgateway", "Application Insights", "the OTLP collector"):
        assert f"Metrics were not sent to {name}" in result.err
    assert len(otlp.requests) == 2 and len(insights.requests) == 1
    # Nobody waits until the name server is asked again.
    packets = asked()
    assert packets and len(set(packets)) == len(packets)
    assert len(file_store.list()) == 1 and prom.exists()
    assert [row["status"] for row in history(small_database)] == ["completed"]


# The Pushgateway

def test_pushgateway_holds_one_group_per_ledger(tool, named, pushgateway, prom):
    program = with_file(tool, prom).with_settings(**pushgateway.settings)
    other = add_schedule(named, "23:59")
    look(program)
    pushed = samples(pushgateway.scrape())
    assert pushed == samples(prom.read_text()) and {its for _, its in pushed} == {NAME, other}
    assert f'job="rythm-backup",ledger="{named.name}"' in pushgateway.scrape()
    named.execute("DELETE FROM backup_schedule WHERE schedule_id = %s", other)
    program.ok("run", "--no-notify")
    assert {its for _, its in samples(pushgateway.scrape())} == {NAME}


def test_pushgateway_that_refuses(tool, insights):
    insights.next_answers = [Answer(400, document={"message": "pushed metrics are invalid"})]
    program = tool.with_settings(RYTHM_BACKUP_PUSHGATEWAY=insights.url)
    # It has no PUT: 501.
    result = look(program)
    assert result.code == 3 and "the Pushgateway: it answered 501" in result.err


def test_pushgateway_and_a_ledger_with_a_slash(tool, cluster, migrated_small, pushgateway):
    """Its group has another form."""
    name = f"a/b é {os.getpid()}"
    cluster.create_database(name, migrated_small)
    try:
        url = cluster.url(urllib.parse.quote(name, safe=""))
        tool.with_settings(DATABASE_URL=url, **pushgateway.settings).ok("check")
    finally:
        cluster.drop_database(name)
    assert f'rythm_backup_enabled{{database="{name}",instance="",job="rythm-backup",' \
           f'ledger="{name}"' in pushgateway.scrape()


# Application Insights

def test_insights_has_metrics_events_and_exceptions(tool, named, insights, tmp_path):
    program = tool.with_settings(**insights.settings)
    enable_now(named)
    program.ok("check")
    failing(program, tmp_path).run("run", "--no-notify")
    program.ok("verify")
    assert not insights.refusals
    metrics = {data["metrics"][0]["name"] for data in insights.of("MetricData")}
    assert {"rythm_backup.overdue", "rythm_backup.last_raw_size"} <= metrics
    assert {data["properties"]["schedule"] for data in insights.of("MetricData")} == {NAME}
    good, bad, proof = insights.of("EventData")
    completed, failed = history(named)
    assert good["name"] == "rythm_backup.backup" and good["properties"] == {
        "outcome": "good", "schedule": NAME, "schedule_id": str(completed["schedule_id"]),
        "database": named.name, "backup": completed["backup_filename"],
        "run_id": completed["run_id"], "ledger": named.name}
    assert good["measurements"]["raw_bytes"] == completed["raw_size_bytes"]
    assert good["measurements"]["rows"] == completed["row_count"]
    assert (bad["properties"]["outcome"], bad["properties"]["run_id"]) == (
        "failed", failed["run_id"])
    assert (proof["name"], proof["properties"]["outcome"], proof["properties"]["schedule"]) == (
        "rythm_backup.verification", "good", NAME)
    (exception,) = insights.of("ExceptionData")
    assert exception["exceptions"][0]["typeName"] == "rythm_backup.backup_failed"
    assert exception["exceptions"][0]["message"] == failed["error_message"]
    operations = [envelope["tags"].get("ai.operation.id") for envelope in insights.accepted
                  if envelope["data"]["baseType"] == "ExceptionData"]
    assert operations == [failed["run_id"]]


def test_insights_is_sent_again_what_it_was_too_busy_for(tool, insights):
    insights.next_problems = [(0, 503), (2, 429), (5, 500)]
    program = tool.with_settings(**insights.settings)
    assert look(program).code == 0
    names = [data["metrics"][0]["name"] for data in insights.of("MetricData")]
    assert len(names) == len(set(names)) == 10 and len(insights.requests) == 2


def test_insights_that_refuses_a_part(tool, insights):
    """That is not sent again, and told."""
    insights.next_problems = [(1, 400), (3, 503)]
    result = look(tool.with_settings(**insights.settings))
    assert result.code == 3 and len(insights.requests) == 2
    assert "refused 1 of 10 envelopes, the first with 400 as the test wishes" in result.err
    assert len(insights.accepted) == 9


def test_insights_for_a_moment_away(tool, small_database, insights):
    """Throttled, elsewhere, or gone for longer than a run can wait."""
    program = tool.with_settings(**insights.settings)
    insights.next_answers = [Answer(429, {"Retry-After": "1"}),
                             Answer(308, {"Location": f"{insights.url}/v2.1/track"})]
    assert look(program).code == 0
    assert len(insights.requests) == 3 and insights.accepted
    del insights.requests[:]
    insights.next_answers = [Answer(429, {"Retry-After": "60"})]
    small_database.execute("UPDATE backup_schedule SET retention_days = 7")
    result = look(program)
    assert result.code == 3 and "it answered 429" in result.err and len(insights.requests) == 1
    insights.next_answers = [Answer(307, {"Location": "file:///etc/passwd"})]
    small_database.execute("UPDATE backup_schedule SET retention_days = 8")
    result = look(program)
    assert result.code == 3 and "without a URL to go to" in result.err


# OpenTelemetry

def test_otlp_has_a_trace_of_each_run(make_tool, named, file_store, otlp, acs, tmp_path):
    acs.running_polls, acs.pace = 0, {"retry-after-ms": "20"}
    tool = make_tool(named, file_store, acs, otlp,
                     OTEL_EXPORTER_OTLP_HEADERS="api-key=s%20canary%21,x-tenant=me",
                     OTEL_RESOURCE_ATTRIBUTES="service.name=other,deployment.environment=t%C3%A9st",
                     OTEL_SERVICE_NAME="backups")
    enable_now(named)
    result = tool.ok("check")
    assert not otlp.refusals and "canary" not in result.err
    for _, _, headers in otlp.requests:
        assert (headers["api-key"], headers["x-tenant"]) == ("s canary!", "me")
    resource = otlp.resource()
    assert (resource["service.name"], resource["deployment.environment"]) == ("backups", "tést")
    root, phases = root_and_phases(otlp)
    assert root["name"] == "backup" and root["status"]["code"] == 1
    assert [phase["name"] for phase in phases] == PHASES
    assert {phase["status"]["code"] for phase in phases} == {1}
    (row,) = history(named)
    known = attributes(root)
    assert known["rythm_backup.run_id"] == row["run_id"]
    assert int(known["rythm_backup.raw_bytes"]) == row["raw_size_bytes"]
    # By the server's clock.
    started = row["started_at"].timestamp()
    assert abs(int(root["startTimeUnixNano"]) / 1e9 - started) < 60
    metrics = otlp.metrics()
    assert metrics["rythm_backup.last_raw_size", NAME] == row["raw_size_bytes"]
    assert metrics["rythm_backup.last_success_timestamp", NAME] == int(
        row["completed_at"].timestamp())

    del otlp.documents[:]
    assert failing(tool, tmp_path).run("run").code == 1
    root, phases = root_and_phases(otlp)
    assert [phase["name"] for phase in phases] == ["claim", "prepare", "dump", "record", "notify"]
    assert [phase["status"]["code"] for phase in phases] == [1, 1, 2, 1, 1]
    assert root["status"]["code"] == 2 and "no luck" in root["status"]["message"]


def root_and_phases(otlp):
    """The one trace that came: its root, and the others in their order, which lie within it."""
    spans = otlp.spans()
    (root,) = [span for span in spans if "parentSpanId" not in span]
    phases = sorted((span for span in spans if span is not root),
                    key=lambda span: PHASES.index(span["name"]))
    assert len({span["spanId"] for span in spans}) == len(spans)
    assert {span["traceId"] for span in spans} == {root["traceId"]}
    assert {span["parentSpanId"] for span in phases} == {root["spanId"]}
    at = int(root["startTimeUnixNano"])
    for span in phases:
        assert at <= int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
        at = int(span["endTimeUnixNano"])
    assert at <= int(root["endTimeUnixNano"])
    return root, phases


def test_otlp_endpoints(tool, small_database, otlp):
    """A signal's own is used as it is; without one of the two, only the other is sent."""
    def tell(**settings):
        del otlp.requests[:]
        tool.with_settings(RYTHM_BACKUP_ENGINE="pg_dump", **settings).ok("run", "--no-notify")
        return sorted(path for _, path, _ in otlp.requests)

    metrics, traces = f"{otlp.url}/v1/metrics", f"{otlp.url}/v1/traces"
    assert tell(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=traces) == ["/v1/traces"]
    assert tell(OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=metrics) == ["/v1/metrics"]
    assert tell(OTEL_EXPORTER_OTLP_ENDPOINT=f"{otlp.url}/", OTEL_SDK_DISABLED="false") == [
        "/v1/metrics", "/v1/traces"]
    assert tell(**otlp.settings, OTEL_SDK_DISABLED="TRUE") == []


def test_otlp_that_refuses(tool, small_database, otlp):
    """For a moment: it is asked again. In part: it is not. A warning is one."""
    program = tool.with_settings(**otlp.settings, OTEL_EXPORTER_OTLP_HEADERS="api-key=canary-42")
    otlp.next_answers = [Answer(503), Answer(200, document={
        "partialSuccess": {"errorMessage": "a hint"}})]
    result = look(program)
    assert result.code == 0 and "The OTLP collector says: a hint" in result.err
    cut = "x" * 291 + " canary-42 and more"  # 300 bytes are shown
    for answer, problem in (
            (Answer(200, document={"partialSuccess": {"rejectedDataPoints": "3",
                                                      "errorMessage": "too old"}}),
             "metrics: it refused 3 of what it was sent: too old"),
            (Answer(200, document={"partialSuccess": {"rejectedDataPoints": 1,
                                                      "errorMessage": cut}}),
             "metrics: it refused 1 of what it was sent: xxx"),
            (Answer(401, document={"message": "not your key: canary-42"}), "it answered 401: "),
            (Answer(500), "it answered 500")):
        del otlp.requests[:]
        otlp.next_answers = [answer]
        small_database.execute("UPDATE backup_schedule SET retention_days = retention_days + 1")
        result = look(program)
        assert result.code == 3 and problem in result.err and "canary" not in result.err
        assert len(otlp.requests) == 1


# contrib

def test_alert_rules():
    assert "SUCCESS" in promtool("check", "rules", RULES)
    assert "SUCCESS" in promtool("test", "rules", RULE_TESTS)


def test_dashboard_rules_and_manual_name_metrics_that_exist(tmp_path):
    dashboard = json.loads(DASHBOARD.read_text())
    expressions = [target["expr"].replace("$schedule", ".*")
                   for panel in dashboard["panels"] for target in panel["targets"]]
    rules = {"groups": [{"name": "dashboard", "rules": [
        {"record": f"panel:{number}", "expr": expression}
        for number, expression in enumerate(expressions)]}]}
    path = tmp_path / "rules.json"  # JSON is YAML
    path.write_text(json.dumps(rules))
    promtool("check", "rules", path)
    source = (SOURCE / "src/metrics/metric.c").read_text()
    suffix = {"PLAIN": "", "SECONDS": "_seconds", "BYTES": "_bytes"}
    metrics = {f"rythm_backup_{name}{suffix[unit]}"
               for name, unit in re.findall(r'\{"(\w+)", METRIC_(\w+),', source)}
    named = set(re.findall(r"rythm_backup_\w+", " ".join(expressions) + RULES.read_text()))
    assert len(metrics) > 15 and named <= metrics
    assert {"rythm_backup_overdue", "rythm_backup_unverified_backups"} <= named
    manual = (SOURCE / "man/rythm-backup.1").read_text().partition(".Sh METRICS")[2]
    listed = re.findall(r"^\.It Li (\w+)$", manual.partition(".Sh ")[0], re.MULTILINE)
    assert {f"rythm_backup_{name}" for name in listed} == metrics

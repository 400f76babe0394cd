"""What contrib has for cron, systemd and Kubernetes, as far as it can be tried without them."""

import json
import pathlib
import re
import signal
import subprocess
import types

import azurite as azurite_module
import processes
import pytest
from conftest import SOURCE
from sandbox import PATH, Sandbox
from tables import enable_now, history, statuses

HERE = pathlib.Path(__file__).parent
CRONJOB = SOURCE / "contrib/kubernetes/cronjob.yaml"
SECRET = SOURCE / "contrib/kubernetes/secret.example.yaml"
SERVICE = SOURCE / "contrib/systemd/rythm-backup.service"
TIMER = SOURCE / "contrib/systemd/rythm-backup.timer"
CRONTAB = SOURCE / "contrib/cron/rythm-backup"
CONFIGURATION = "/etc/rythm-backup.conf"
STATE = "/var/lib/rythm-backup"


@pytest.fixture
def configuration(small_database, tmp_path):
    """/etc/rythm-backup.conf, with a database only: the store is the default one."""
    path = tmp_path / "rythm-backup.conf"
    path.write_text(f"DATABASE_URL={small_database.url}\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def machine(configuration, tmp_path):
    """What cron and systemd find there: the configuration, and the user's home and store."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    sandbox = Sandbox()
    sandbox.add_file(configuration, CONFIGURATION)
    sandbox.add_folder(home, STATE)
    return types.SimpleNamespace(sandbox=sandbox, home=home, configuration=configuration)


def backups_in(folder):
    return [path.name for path in folder.iterdir() if path.name.endswith(".sql.zst")]


def test_nothing_in_the_sandbox_can_be_written(tmp_path):
    sandbox = Sandbox()
    sandbox.add_folder(tmp_path, STATE)
    script = (f'for folder in / /usr /usr/local/bin /etc /var /dev /dev/shm /run /tmp {STATE}; do'
              ' touch "$folder/file" 2>/dev/null && echo "$folder"; done; id -u;'
              ' getent passwd 10001')
    assert sandbox.run(["sh", "-c", script]).out.split() == [STATE, "10001"]


# Kubernetes

def read_manifests(*files):
    result = subprocess.run(["node", str(HERE / "kubernetes_schema.mjs"), *map(str, files)],
                            capture_output=True, text=True, timeout=60, check=True)
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def manifests():
    return read_manifests(CRONJOB, SECRET)


@pytest.fixture(scope="module")
def pod(manifests):
    return manifests["documents"][0]["spec"]["jobTemplate"]["spec"]["template"]["spec"]


@pytest.fixture
def container(pod):
    """The pod's container: its user, its first process, nothing that can be written."""
    user = pod["securityContext"]
    return Sandbox(user["runAsUser"], user["runAsGroup"], first_process=True)


def test_manifests_fit_the_schema(manifests):
    assert manifests["problems"] == []
    assert [document["kind"] for document in manifests["documents"]] == ["CronJob", "Secret"]


@pytest.mark.parametrize("file, before, after, problem", [
    (CRONJOB, "batch/v1", "batch/v2", "no schema for batch/v2 CronJob"),
    (CRONJOB, "concurrencyPolicy:", "concurencyPolicy:", "/spec/concurencyPolicy: unknown field"),
    (CRONJOB, ": Forbid", ": forbid", "concurrencyPolicy must be equal to one of"),
    (CRONJOB, "  schedule:", "  timetable:", "must have required property schedule"),
    (CRONJOB, "backoffLimit: 0", 'backoffLimit: "0"', "backoffLimit must be integer"),
    (CRONJOB, "readOnlyRootFilesystem", "readOnlyRootFileSystem",
     "securityContext/readOnlyRootFileSystem: unknown field"),
    (CRONJOB, "drop: [ALL]", "drop: ALL", "capabilities/drop must be array"),
    (CRONJOB, "512Mi", "512 MB", "memory must match format"),
    (CRONJOB, "restartPolicy: Never", "restartPolicy: Never\n          restartPolicy: Never",
     "keys must be unique"),
    (SECRET, "stringData", "strings", "/strings: unknown field"),
    (SECRET, "database-backups", "7", "AZURE_BACKUP_CONTAINER must be string"),
])
def test_manifest_that_does_not_fit_is_refused(tmp_path, file, before, after, problem):
    text = file.read_text()
    assert text.count(before) == 1
    bad = tmp_path / "bad.yaml"
    bad.write_text(text.replace(before, after))
    problems = read_manifests(bad)["problems"]
    assert len(problems) == 1 and problem in problems[0], problems


def test_cron_job_is_right_about_time(manifests):
    spec = manifests["documents"][0]["spec"]
    job = spec["jobTemplate"]["spec"]
    assert spec["schedule"].split() == ["*"] * 5
    assert spec["concurrencyPolicy"] == "Forbid"
    # The controller looks every 10 seconds; more than a minute could start two at once.
    assert 10 < spec["startingDeadlineSeconds"] < 60
    assert job["backoffLimit"] == 0
    # Far beyond what a stalled transfer and a failing request may take by themselves.
    assert job["activeDeadlineSeconds"] >= 6 * 3600
    assert job["template"]["spec"]["restartPolicy"] == "Never"
    # A statement to the database may take 60 seconds.
    assert job["template"]["spec"]["terminationGracePeriodSeconds"] > 60


def test_pod_gives_nothing_away(pod):
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]}}
    assert "volumes" not in pod and "volumeMounts" not in container and "env" not in container


@pytest.fixture
def full_secret(tmp_path):
    """With all that is commented out in it."""
    text, count = re.subn(r"^  # ([A-Z][A-Z_]+: |  [A-Z])", r"  \1", SECRET.read_text(),
                          flags=re.MULTILINE)
    assert count > 10
    path = tmp_path / "full.yaml"
    path.write_text(text)
    return read_manifests(path)


def test_secret_holds_known_settings(full_secret, manifests, pod, make_tool):
    _, secret = manifests["documents"]
    known = set(re.findall(r"^  ([A-Z][A-Z_]+)\b", make_tool().ok("--help").out, re.MULTILINE))
    known.add("AZURE_STORAGE_CONNECTION_STRING_ACCOUNT")
    assert full_secret["problems"] == []
    assert set(full_secret["documents"][0]["stringData"]) - known == set()
    assert pod["containers"][0]["envFrom"] == [{"secretRef": {"name": secret["metadata"]["name"]}}]


# What its values say in capitals.
FILLED_IN = {"=KEY": f"={azurite_module.KEY}", "ACCOUNT": "account", "BUCKET": "bucket",
             "BASE64": "A" * 43 + "=",
             "UUID": "01234567-89ab-cdef-0123-456789abcdef", "REGION": "westeurope-5",
             "db.example.org": "127.0.0.1:1"}


@pytest.mark.parametrize("full", [False, True])
def test_secret_is_complete(manifests, full_secret, make_tool, full):
    """With these names and no other, `check` gets as far as connecting; and so with all."""
    documents = (full_secret if full else manifests)["documents"]
    settings = dict(documents[-1]["stringData"])
    for before, after in FILLED_IN.items():
        settings = {name: value.replace(before, after) for name, value in settings.items()}
    result = make_tool(**settings).run("check")
    assert result.code == 1 and "127.0.0.1" in result.err and "refused" in result.err, result.err
    assert len(result.err.splitlines()) == 1, result.err


def test_pod_with_nothing_to_do(pod, container, small_database, azure_store):
    command = pod["containers"][0]["command"]
    result = container.ok(command, small_database.settings | azure_store.settings)
    # In the first minute of an hour it says that.
    told = [event for event in result.events if event["event"] != "backups_disabled"]
    assert (result.out, told) == ("", [])


def test_pod_backs_up(pod, container, small_database, azure_store):
    enable_now(small_database)
    command = pod["containers"][0]["command"]
    result = container.ok(command, small_database.settings | azure_store.settings)
    assert "backup_stored" in [event["event"] for event in result.events]
    assert [stored.name for stored in azure_store.list()] == [
        row["backup_filename"] for row in history(small_database)]
    assert statuses(small_database) == ["completed"]


def test_pod_that_is_told_to_end(pod, container, small_database, azure_store):
    """As the container's first process, whom signals do not kill unless it asked for them."""
    enable_now(small_database)
    blocker = small_database.connect()
    blocker.autocommit = False
    blocker.cursor().execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
    process, identity = container.start_and_identify(
        pod["containers"][0]["command"], small_database.settings | azure_store.settings)
    processes.wait_until(
        lambda: small_database.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type ="
                                     " 'Lock' AND datname = current_database()"),
        "pg_dump waits for the table")
    subprocess.run(["kill", "-TERM", str(identity)], check=True)
    result = container.finish(process, timeout=60)
    blocker.close()
    assert result.code == 128 + signal.SIGTERM
    assert statuses(small_database) == ["failed"]
    assert azure_store.list() == []


# systemd

def directives(file, name):
    return re.findall(rf"^{name}=(.*)$", file.read_text(), re.MULTILINE)


def verify(folder, service, timer):
    """What systemd-analyze says of these texts, where the program is the one under test."""
    (folder / SERVICE.name).write_text(service.replace("/usr/local/bin/rythm-backup",
                                                       str(Sandbox().program)))
    (folder / TIMER.name).write_text(timer)
    return subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
         str(folder / SERVICE.name), str(folder / TIMER.name)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)


def test_units_are_valid(tmp_path):
    result = verify(tmp_path, SERVICE.read_text(), TIMER.read_text())
    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.parametrize("before, after, problem", [
    ("ExecStart=/usr/local/bin/", "ExecStart=/usr/local/no/", "is not executable"),
    ("ProtectSystem=strict", "ProtectSystem=very", "Failed to parse"),
    ("KillMode=mixed", "KillMod=mixed", "Unknown key 'KillMod'"),
    ("SystemCallFilter=@system-service", "SystemCallFilter=@service", "Unknown system call group"),
    ("OnCalendar=*-*-* *:*:00", "OnCalendar=*:*:*:00", "Failed to parse calendar"),
    ("AccuracySec=1s", "AccuracySec=one", "Failed to parse"),
])
def test_unit_that_is_wrong_is_refused(tmp_path, before, after, problem):
    texts = [SERVICE.read_text(), TIMER.read_text()]
    assert sum(text.count(before) for text in texts) == 1
    result = verify(tmp_path, *[text.replace(before, after) for text in texts])
    assert problem in result.stdout


def exposure(file):
    """systemd's mark for a unit, in tenths: 0 is all locked up, 96 is nothing at all."""
    result = subprocess.run(["systemd-analyze", "security", "--offline=true", str(file)],
                            capture_output=True, text=True, timeout=60, check=True)
    (mark,) = re.findall(r"Overall exposure level for \S+: (\d+\.\d)", result.stdout)
    return round(float(mark) * 10)


def test_service_is_locked_up(tmp_path):
    loose = tmp_path / SERVICE.name
    loose.write_text("[Service]\nType=oneshot\nExecStart=/usr/local/bin/rythm-backup check\n")
    assert exposure(SERVICE) <= 15
    assert exposure(loose) >= 90


def test_service_has_time(tmp_path):
    assert directives(SERVICE, "Type") == ["oneshot"]
    assert directives(SERVICE, "TimeoutStartSec") == ["infinity"]
    # As in the CronJob.
    assert directives(SERVICE, "TimeoutStopSec") == ["90"]
    assert directives(SERVICE, "KillMode") == ["mixed"]
    assert directives(SERVICE, "StateDirectory") == [pathlib.Path(STATE).name]


def test_timer_elapses_every_minute():
    (calendar,) = directives(TIMER, "OnCalendar")
    result = subprocess.run(
        ["systemd-analyze", "calendar", "--base-time=2026-03-01 11:58:30 UTC", "--iterations=3",
         calendar], env={"PATH": PATH, "TZ": "UTC", "LC_ALL": "C"}, capture_output=True, text=True,
        timeout=60, check=True)
    assert re.findall(r"2026-03-01 (\S+) UTC", result.stdout) == [
        "11:59:00", "12:00:00", "12:01:00"]


def service_command():
    (command,) = directives(SERVICE, "ExecStart")
    return command.split()


def test_service_with_nothing_to_do(machine, small_database):
    small_database.execute("UPDATE backup_schedule SET enabled = true,"
                           " schedule_time = (now() AT TIME ZONE 'UTC' + interval '6 hours')::time")
    result = machine.sandbox.ok(service_command())
    assert (result.out, result.err) == ("", "")


def test_service_backs_up(machine, small_database):
    enable_now(small_database)
    machine.sandbox.ok(service_command())
    assert backups_in(machine.home) == [row["backup_filename"] for row in history(small_database)]
    assert statuses(small_database) == ["completed"]


def group_members(group):
    """The names of the system calls in one of systemd's groups."""
    result = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True,
                            text=True, timeout=60, check=True)
    names = set()
    for line in result.stdout.splitlines()[1:]:
        word = line.strip()
        if word.startswith("@"):
            names |= group_members(word)
        elif word and not word.startswith("#"):
            names.add(word)
    assert names, group
    return names


def allowed_calls():
    allowed, removed = directives(SERVICE, "SystemCallFilter")
    assert removed.startswith("~")
    return group_members(allowed) - group_members(removed.removeprefix("~"))


def traced(trace, pattern):
    return set(re.findall(pattern, trace, re.MULTILINE))


@pytest.mark.parametrize("kind", ["file", "azure"])
def test_service_may_do_what_it_does(request, make_tool, small_database, acs, tmp_path, kind):
    """Every system call of a backup and its mail is one that the unit allows."""
    enable_now(small_database)
    store = request.getfixturevalue(f"{kind}_store")
    # By a name, so that the resolver has its part. The detector of leaks would want to trace, too.
    tool = make_tool(store, acs, DATABASE_URL=small_database.url.replace("127.0.0.1", "localhost"),
                     ASAN_OPTIONS="detect_leaks=0:exitcode=99")
    log = tmp_path / "trace"
    process = tool.start("check", prefix=["strace", "-f", "-qq", "-o", log])
    assert tool.finish(process).code == 0
    assert statuses(small_database) == ["completed"]
    trace = log.read_text()
    calls = traced(trace, r"^\d+ +(?:<\.\.\. )?(\w+)[( ]")
    assert {"execve", "read", "socket", "connect"} <= calls
    assert calls - allowed_calls() == set()
    (families,) = directives(SERVICE, "RestrictAddressFamilies")
    assert {"AF_INET"} <= traced(trace, r" socket\((AF_\w+)") <= set(families.split())
    # MemoryDenyWriteExecute=
    assert traced(trace, r"^.* mmap\(.*PROT_WRITE\|PROT_EXEC.*$") == set()
    assert traced(trace, r"^.* mprotect\(.*PROT_EXEC.*$") == set()


# cron

def crontab():
    """(variables, lines): of a file in /etc/cron.d, those that are commented out included."""
    variables, lines = {}, []
    for line in CRONTAB.read_text().splitlines():
        if re.match(r"#?[*\d]", line):
            lines.append(line.removeprefix("#").split(maxsplit=6))
        elif line and not line.startswith("#"):
            name, value = line.split("=", 1)
            variables[name] = value
    return variables, lines


def cron(machine, line):
    """Runs it as cron does: with sh, and next to no environment."""
    variables, _ = crontab()
    return machine.sandbox.ok(["/bin/sh", "-c", line[6]],
                              {"PATH": variables["PATH"], "HOME": STATE, "SHELL": "/bin/sh",
                               "LOGNAME": line[5]})


def test_crontab_is_one_that_cron_takes():
    # A name with a dot is passed over, as is a last line without its end.
    assert re.fullmatch(r"[\w-]+", CRONTAB.name) and CRONTAB.read_text().endswith("\n")
    variables, lines = crontab()
    assert set(variables) == {"PATH", "MAILTO"}
    active = [line for line in CRONTAB.read_text().splitlines() if line.startswith("*")]
    assert len(active) == 1 and len(lines) == 2
    for line in lines:
        assert line[:5] == ["*"] * 5
        assert line[5] == "rythm-backup"
        # Which would be a line's end there.
        assert "%" not in line[6]


def test_crontab_is_silent(machine, small_database):
    """But for what somebody has to look at: here, that mail is not set up."""
    _, lines = crontab()
    enable_now(small_database)
    result = cron(machine, lines[0])
    assert result.out == "" and len(result.err.splitlines()) == 1 and "e-mail" in result.err
    assert backups_in(machine.home) == [row["backup_filename"] for row in history(small_database)]
    again = cron(machine, lines[0])
    assert (again.out, again.err) == ("", "")


def test_crontab_logs_with_the_system(machine, small_database, tmp_path):
    """The other line, with a stand-in for logger: here is no system log."""
    logger = tmp_path / "logger"
    logger.write_text(f"#!/bin/sh\necho \"$*\" >{STATE}/arguments\ncat >{STATE}/log\n")
    logger.chmod(0o755)
    machine.sandbox.add_file(logger, "/usr/bin/logger")
    _, lines = crontab()
    enable_now(small_database)
    result = cron(machine, lines[1])
    assert (result.out, result.err) == ("", "")
    assert (machine.home / "arguments").read_text() == "-t rythm-backup\n"
    assert "Stored: " + backups_in(machine.home)[0] in (machine.home / "log").read_text()

"""Programs that run before and after a backup: from the configuration file, with a deadline."""

import os
import pathlib
import re
import signal
import subprocess

import pytest

import pg_dumps
import processes
from postgres_cluster import PASSWORD
from tables import at, enable, history

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "contrib/hooks"
SECRET = "canary-of-a-secret-5Y"


class Hooks:
    """The configuration file, and bash scripts that it names; each writes down that it ran."""

    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "rythm-backup.conf"
        self.file.touch(0o600)
        self.ran = folder / "ran"

    def set(self, name, value):
        with self.file.open("a") as file:
            file.write(f"{name}={value}\n")

    def script(self, event, body="", arguments=""):
        path = self.folder / f"{event} hook"
        path.write_text(f"""#!/bin/bash
echo "$RYTHM_BACKUP_HOOK_EVENT $RYTHM_BACKUP_HOOK_STATUS" >>'{self.ran}'
{body}
""")
        path.chmod(0o755)
        self.set(f"RYTHM_BACKUP_{event.upper().replace('-', '_')}", f"'{path}' {arguments}")

    def events(self):
        return self.ran.read_text().splitlines() if self.ran.exists() else []


@pytest.fixture
def hooks(tmp_path):
    return Hooks(tmp_path)


@pytest.fixture
def home(small_database):
    enable(small_database)
    return small_database


@pytest.fixture
def tool(make_tool, home, file_store, hooks):
    return make_tool(home, file_store, RYTHM_BACKUP_ENGINE="pg_dump")


def run(tool, hooks, *options):
    return tool.run("run", "--no-notify", "-c", hooks.file, *options)


def check(tool, hooks, time="02:00:10"):
    return tool.run("check", "-c", hooks.file, *at(time))


def test_facts(tool, hooks, home, file_store):
    """What a hook gets to know, and what it does not."""
    body = f"""
env -0 | sort -z | tr '\\n' '~' | tr '\\0' '\\n' | grep -a HOOK_ >'{hooks.folder}'/$1.facts
env >>'{hooks.folder}/environment'; cat; [ $# = 2 ] && [ "$2" = 'a  "$b"' ]"""
    for event in ("before", "after", "on-failure"):
        hooks.script(event, body, arguments=f"{event} 'a  \"$b\"'")
    tool = tool.with_settings(AZURE_STORAGE_CONNECTION_STRING=f"AccountName=a;AccountKey={SECRET}",
                              PGPASSWORD=SECRET)
    assert check(tool, hooks).code == 0
    (stored,) = file_store.list()
    (row,) = history(home)

    def facts(event):
        lines = (hooks.folder / f"{event}.facts").read_text().splitlines()
        return dict(line.removeprefix("RYTHM_BACKUP_HOOK_").split("=", 1) for line in lines)
    expected = {"EVENT": "before", "SCHEDULE": str(row["schedule_id"]), "BYTES": "", "ERROR": "",
                "SCHEDULE_ID": str(row["schedule_id"]), "TYPE": "scheduled", "STATUS": "started",
                "DATABASE": home.name, "NAME": stored.name, "RUN_ID": row["run_id"],
                "STORES": row["store"]}
    assert facts("before") == expected
    assert facts("after") == expected | {"EVENT": "after", "STATUS": "completed",
                                         "BYTES": str(row["file_size_bytes"])}
    broken = tool.with_settings(**pg_dumps.script(hooks.folder, "echo 'no way' >&2; exit 1"))
    assert run(broken, hooks).code == 1
    failed = facts("on-failure")
    assert (failed["STATUS"], failed["TYPE"]) == ("failed", "manual")
    assert "no way" in failed["ERROR"]
    environment = (hooks.folder / "environment").read_text()
    assert SECRET not in environment and "DATABASE_URL" not in environment


def test_before_is_within_the_claim_and_after_the_ledgers_end(tool, hooks, home, cluster):
    psql = f"psql -XAtq '{cluster.url(home.name)}' -c"
    hooks.script("before", f"""
{psql} "CREATE TABLE IF NOT EXISTS of_the_hook (a text);
INSERT INTO of_the_hook SELECT status FROM backup_history" """)
    hooks.script("after", f'{psql} "INSERT INTO of_the_hook SELECT status FROM backup_history"')
    result = run(tool, hooks)
    assert result.code == 0, result.err
    assert home.execute("SELECT a FROM of_the_hook") == [("started",), ("completed",)]
    name = result.out.strip()
    assert "of_the_hook" in subprocess.run(
        ["zstd", "-dcq", f"{hooks.folder}/the backups/{name}"], check=True, text=True,
        stdout=subprocess.PIPE).stdout


def test_before_fails(tool, hooks, home, file_store):
    hooks.script("before", "echo 'the replica is away' >&2; exit 3")
    hooks.script("after")
    hooks.script("on-failure", "exit 4")
    result = check(tool, hooks)
    assert result.code == 1
    assert "the hook before: before hook failed with exit status 3: the replica is away" in (
        result.err)
    assert "the hook on-failure: on-failure hook failed with exit status 4" in result.err
    assert hooks.events() == ["before started", "on-failure failed"]
    (row,) = history(home)
    assert row["status"] == "failed" and "the replica is away" in row["error_message"]
    assert file_store.list() == [] and file_store.leftovers() == []
    assert check(tool, hooks, "02:00:40").code == 0
    assert len(hooks.events()) == 2, "its retry waits as any other does"


def test_before_asks_for_no_backup(make_tool, hooks, home, file_store, acs):
    tool = make_tool(home, file_store, acs, RYTHM_BACKUP_ENGINE="pg_dump")
    hooks.set("RYTHM_BACKUP_HOOK_SKIP", "75")
    hooks.script("before", "echo not tonight; exit 75")
    hooks.script("on-failure")
    result = tool.run("check", "-c", hooks.file, "--json", *at("02:00:10"))
    assert result.code == 0, result.err
    assert [entry["result"] for entry in result.json["runs"]] == ["skipped"]
    assert "not tonight" in result.err and "No backup was made" in result.err
    assert tool.run("run", "-c", hooks.file).code == 0
    assert hooks.events() == ["before started"] * 2
    assert [row["status"] for row in history(home)] == ["failed", "failed"]
    assert history(home)[0]["error_message"].startswith("skipped: ")
    tool.ok("check", *at("02:00:30"))
    assert acs.messages == [] and file_store.list() == []


def test_after_fails_and_the_backup_is_good(tool, hooks, home, file_store):
    hooks.script("after", "kill -9 $$")
    for result in (check(tool, hooks), run(tool, hooks)):
        assert result.code == 3, result.err
        assert "the hook after: after hook was killed by SIGKILL" in result.err
    assert [row["status"] for row in history(home)] == ["completed"] * 2
    assert len(file_store.list()) == 2


def test_a_hook_that_is_not_there(tool, hooks, home):
    hooks.set("RYTHM_BACKUP_BEFORE", "/nowhere/hook")
    result = run(tool, hooks)
    assert result.code == 1
    assert "the hook before: hook failed with exit status 127: cannot be executed: ENOENT" in (
        result.err)


def test_what_it_prints_is_logged(tool, hooks):
    hooks.script("before", f"""
printf 'one\\ntwo \\033[31m\\a\\r red\\n\\xff bytes\\nwithout an end'; echo "pw {PASSWORD}" >&2
head -c 3000 /dev/zero | tr '\\0' x; echo
yes 'a long line that is said again and again' | head -n 5000""")
    result = run(tool, hooks, "--log-format=json")
    assert result.code == 0, result.err
    said = [event["message"] for event in result.events if event["event"] == "hook_output"]
    assert said[0] == "before: one"
    assert said[1] == "before: two [31m red"
    assert said[2] == "before: ? bytes"
    assert "pw ***" in result.err
    assert max(map(len, said)) < 1100 and sum(map(len, said)) < 130_000
    assert [event["event"] for event in result.events].count("hook_output_dropped") == 1
    assert "\x1b" not in result.err


def wait_for_end(pid):
    processes.wait_until(lambda: not pathlib.Path(f"/proc/{pid}").exists(), f"{pid} is gone")


def pids(hooks):
    return [int(line) for line in (hooks.folder / "pids").read_text().split()]


HANGS = """
trap '' TERM; sleep 1000 & echo $! >pids.new; echo $$ >>pids.new; mv pids.new pids; sleep 1001"""


# Its child does not end on SIGTERM, but itself does; or it has ended long before.
CHILD_HANGS = """
bash -c "trap '' TERM; echo \\$\\$ >pids.new; mv pids.new pids; while :; do sleep 1; done" &"""


@pytest.mark.parametrize("body", [HANGS, f"{CHILD_HANGS} wait", f"{CHILD_HANGS} exit 0"],
                         ids=["all", "its child", "a child that it left"])
def test_its_group_is_killed_at_the_deadline(tool, hooks, home, body):
    hooks.set("RYTHM_BACKUP_HOOK_TIMEOUT", "1")
    hooks.script("before", body)
    result = run(tool, hooks)
    assert result.code == 1
    assert "the hook before" in result.err and "RYTHM_BACKUP_HOOK_TIMEOUT says how long" in (
        result.err)
    for pid in pids(hooks):
        wait_for_end(pid)


def test_its_group_is_killed_on_a_stop_and_the_other_one_still_runs(tool, hooks, home):
    hooks.script("before", HANGS)
    hooks.script("on-failure", "echo resumed")
    process = tool.start("run", "--no-notify", "-c", hooks.file)
    processes.wait_until((hooks.folder / "pids").exists, "the hook runs")
    process.send_signal(signal.SIGTERM)
    result = tool.finish(process)
    assert result.code == 143, result.err
    assert hooks.events() == ["before started", "on-failure failed"]
    assert "on-failure: resumed" in result.err
    assert history(home)[0]["status"] == "failed"
    for pid in pids(hooks):
        wait_for_end(pid)


def test_killed_in_between_leaves_its_effect(tool, hooks, home):
    """Nobody runs the other hook; the next run begins with the first again."""
    gate = pg_dumps.gate_before(hooks.folder)
    hooks.script("before")
    hooks.script("on-failure")
    process = tool.with_settings(**gate.settings).start("check", "-c", str(hooks.file),
                                                        *at("02:00:10"))
    gate.reached()
    process.kill()
    process.communicate()
    gate.open()
    assert check(tool, hooks, "02:00:40").code == 0
    check(tool, hooks, "02:02:40")
    assert hooks.events()[0] == "before started" and "on-failure failed" not in hooks.events()


# Where they come from

@pytest.mark.parametrize("name", ["BEFORE", "AFTER", "ON_FAILURE"])
def test_from_the_configuration_file_alone(tool, name):
    result = tool.with_settings(**{f"RYTHM_BACKUP_{name}": "/bin/true"}).run("list")
    assert result.code == 2
    assert f"environment: RYTHM_BACKUP_{name} names a program to run" in result.err


@pytest.mark.parametrize("line, message", [
    ("RYTHM_BACKUP_BEFORE=relative/hook", "RYTHM_BACKUP_BEFORE: its program is no absolute"),
    ("RYTHM_BACKUP_AFTER=/bin/echo 'open", "RYTHM_BACKUP_AFTER: a quote is not closed"),
    ("RYTHM_BACKUP_ON_FAILURE=/bin/echo \\", "a backslash at its end keeps nothing"),
    ('RYTHM_BACKUP_BEFORE=""', "its program is no absolute path"),
    ("RYTHM_BACKUP_HOOK_TIMEOUT=0", "is not a time from 1s to 86400s"),
    ("RYTHM_BACKUP_HOOK_SKIP=126", "is not a whole number from 0 to 125"),
])
def test_wrong_settings(tool, hooks, line, message):
    hooks.file.write_text(line + "\n")
    result = tool.run("list", "-c", hooks.file)
    assert result.code == 2 and message in result.err, result.err


def test_who_may_change_the_file(tool, hooks):
    hooks.script("before")
    hooks.file.chmod(0o660)
    result = tool.run("list", "-c", hooks.file)
    assert result.code == 2 and "can be changed by its group" in result.err
    hooks.file.chmod(0o600)
    subprocess.run(["chown", "postgres", hooks.file], check=True)
    result = tool.run("list", "-c", hooks.file)
    assert result.code == 2 and "belongs to another user" in result.err


def test_not_with_output(tool, hooks):
    hooks.script("before")
    tool.ok("run", "-c", hooks.file, "--output", hooks.folder / "x")
    assert hooks.events() == []


# The examples of contrib/hooks

def test_example_of_a_schema_in_git(tool, hooks, home, cluster, tmp_path):
    repository = tmp_path / "remote.git"
    git = ["git", "-c", "init.defaultBranch=main"]
    subprocess.run([*git, "init", "-q", "--bare", repository], check=True)
    clone = tmp_path / "a clone"
    subprocess.run([*git, "clone", "-q", repository, clone], check=True, capture_output=True)
    service = tmp_path / "service"
    service.write_text(f"[schema]\nhost=127.0.0.1\nport={cluster.port}\nuser=postgres\n"
                       f"password={PASSWORD}\ndbname={home.name}\n")
    hooks.set("RYTHM_BACKUP_AFTER", f"{EXAMPLES}/commit-schema '{clone}' '{service}'")
    for change, commits in (("SELECT 1", 1), ("SELECT 1", 1), ("CREATE TABLE one_more ()", 2)):
        home.execute(change)
        result = run(tool, hooks)
        assert result.code == 0, result.err
        log = subprocess.run([*git, "-C", repository, "log", "--format=%s", "main"], check=True,
                             capture_output=True, text=True).stdout.splitlines()
        assert len(log) == commits
    assert re.match(r"schema of \S+ as in rythm-backup-", log[0])


def test_example_of_a_replica(tool, hooks, tmp_path):
    """A psql that stands in for the replica: the main server of the tests is none."""
    (tmp_path / "psql").write_text(f"""#!/bin/bash
echo "$@" >>'{tmp_path}/asked'
case "$*" in *is_in_recovery*) echo t ;; *get_wal_replay_pause_state*) echo paused ;; esac
""")
    (tmp_path / "psql").chmod(0o755)
    hooks.set("RYTHM_BACKUP_BEFORE", f"{EXAMPLES}/pause-replay /a/file")
    for event in ("AFTER", "ON_FAILURE"):
        hooks.set(f"RYTHM_BACKUP_{event}", f"{EXAMPLES}/resume-replay /a/file")
    tool = tool.with_settings(PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert run(tool, hooks).code == 0
    asked = (tmp_path / "asked").read_text()
    assert asked.index("pg_wal_replay_pause()") < asked.index("pg_wal_replay_resume()")

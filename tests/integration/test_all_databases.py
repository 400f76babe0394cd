"""A schedule of all databases: an object each, one run, and none of them stands for another."""

import json
import signal

import pytest

import pg_dumps
import processes
from conftest import Database
from hook_stubs import PingStub
from postgres_cluster import PostgresCluster
from pushgateway import samples
from tables import at, enable, history, rows, schedule
from tool import Tool

ODD = 'öd"d name'
SCRATCH = "rythm_restore_0123456789abcdef"
ALL = ["ledger", "orders", "postgres", ODD]


@pytest.fixture(scope="module")
def server(folder):
    """A server of its own with databases to be dumped, and some that are not."""
    cluster = PostgresCluster(folder / "all")
    cluster.create()
    cluster.start()
    cluster.create_database("fresh")
    Tool(folder, {"DATABASE_URL": cluster.url("fresh")}).ok("migrate")
    cluster.execute("postgres", "ALTER DATABASE fresh IS_TEMPLATE true")
    for name in ("orders", "closed", SCRATCH):
        cluster.create_database(name)
    cluster.execute("postgres", "ALTER DATABASE closed ALLOW_CONNECTIONS false")
    cluster.execute("postgres", 'CREATE DATABASE "öd""d name"')
    for name in ("orders", ODD):
        cluster.execute(quoted(name), "CREATE TABLE things (id integer PRIMARY KEY, of text)")
        cluster.execute(quoted(name), "INSERT INTO things SELECT g, %s FROM"
                                      " generate_series(1, 5) g", name)
    yield cluster
    cluster.stop()


def quoted(name):
    """As it stands in a URL."""
    return name.replace('"', "%22").replace(" ", "%20")


@pytest.fixture
def ledger(server):
    """Its schedule is of all databases, at 02:00."""
    server.create_database("ledger", "fresh")
    database = Database(server, "ledger")
    enable(database)
    database.execute("UPDATE backup_schedule SET name = 'nightly', all_databases = true")
    yield database
    server.drop_database("ledger")


@pytest.fixture
def tool(make_tool, ledger, file_store):
    return make_tool(ledger, file_store)


def made(database, status="completed"):
    """The databases of the runs that ended so, in that order."""
    return [row["database_name"] for row in rows(
        database, "SELECT database_name FROM backup_history WHERE status = %s"
                  " ORDER BY started_at, completed_at", status)]


def names_in(store):
    return sorted(stored.name for stored in store.list())


def name_of(database, of):
    (row,) = [row for row in history(database)
              if (row["database_name"], row["status"]) == (of, "completed")]
    return row["backup_filename"]


# What is made

def test_one_tick_makes_one_of_each(tool, ledger, file_store):
    result = tool.ok("check", *at("02:00:10"))
    assert made(ledger) == ALL
    assert len(file_store.list()) == 4
    for name in ALL:
        assert f"Scheduled backup of database {name} completed successfully" in result.err
    (table,) = {line.split()[-1] for line in tool.ok("list").out.splitlines() if "orders" in line}
    assert table == "orders"
    assert {row["occurrence_at"].isoformat() for row in history(ledger)} == {
        row["occurrence_at"].isoformat() for row in history(ledger)[:1]}
    # Nothing is left to be done, nor is it done twice.
    assert tool.ok("check", *at("02:04:00")).err == ""
    assert len(history(ledger)) == 4
    tool.ok("check", *at("02:00:10", day="2031-05-07"))
    assert made(ledger) == ALL + ALL


def test_each_is_restored_as_itself(tool, ledger, server):
    tool.ok("check", *at("02:00:10"))
    for name in ("orders", ODD):
        tool.ok("restore", f"latest:nightly/{name}", "--to", server.url("back"), "--create")
        try:
            assert server.execute("back", "SELECT DISTINCT of FROM things") == [(name,)]
        finally:
            server.drop_database("back")
    # Its metadata say whose it is, and that it is one of several.
    listed = {item["name"]: item for item in tool.ok("list", "--json").json["backups"]}
    assert listed[name_of(ledger, ODD)]["database"] == ODD


@pytest.mark.parametrize("wanted", ["latest", "latest:nightly"])
@pytest.mark.parametrize("command", ["verify", "restore"])
def test_the_latest_is_asked_which(tool, server, wanted, command):
    tool.ok("check", *at("02:00:10"))
    options = ("--to", server.url("back"), "--create") if command == "restore" else ()
    result = tool.run(command, wanted, *options)
    assert result.code == 2 and "say which database is meant" in result.err, result.err
    assert server.execute("postgres", "SELECT FROM pg_database WHERE datname = 'back'") == []


def test_the_latest_of_a_database_that_has_none(tool):
    tool.ok("check", *at("02:00:10"))
    result = tool.run("verify", "latest:nightly/closed")
    assert result.code == 2 and "no backup of database 'closed' by schedule 'nightly'" in result.err
    assert tool.run("verify", "latest:/orders").code == 2


def test_the_latest_by_the_schedules_id_without_its_database(tool, ledger, server):
    tool.ok("check", *at("02:00:10"))
    name = name_of(ledger, "orders")
    identity = schedule(ledger)["schedule_id"]
    lost = tool.with_settings(DATABASE_URL=server.url("nowhere"))
    tool.ok("verify", "--quick", "latest:nightly/orders")
    shown = lost.run("list", f"latest:{identity}/orders", "--json")
    assert shown.code == 0 and shown.json["name"] == name, shown.err


# Failures stay where they are

@pytest.fixture
def failing(tool, tmp_path):
    """The tool, where the dump of orders does not work."""
    return tool.with_settings(**pg_dumps.script(
        tmp_path, 'case "$*" in *orders*) echo no luck >&2; exit 1;; esac\n'
                  'exec $REAL "$@"'))


def test_one_that_fails_keeps_no_other(failing, tool, ledger, file_store):
    result = failing.run("check", *at("02:00:10"))
    assert result.code == 1 and "no luck" in result.err
    assert made(ledger) == ["ledger", "postgres", ODD] and made(ledger, "failed") == ["orders"]
    standing = failing.run("status", "--now", "2031-05-06 02:01Z", "--json").json["schedules"][0]
    assert standing["last_failed"] and "database orders: " in standing["last_error"]
    # It alone is tried again, and then all is well.
    tool.ok("check", *at("02:01:20"))
    assert sorted(made(ledger)) == sorted(ALL) and len(history(ledger)) == 5
    assert [row["attempt"] for row in history(ledger) if row["database_name"] == "orders"] == [1, 2]
    assert tool.ok("status", "--now", "2031-05-06 03:00Z", "--json").json["fine"]


def test_status_names_all_that_failed(tool, ledger, tmp_path):
    failing = tool.with_settings(**pg_dumps.script(tmp_path, 'case "$*" in *orders*|*ledger*)'
                                                   ' echo no luck >&2; exit 1;; esac\n'
                                                   'exec $REAL "$@"'))
    failing.run("check", *at("02:00:10"))
    assert made(ledger, "failed") == ["ledger", "orders"]
    shown = failing.run("status", "-q", "--now", "2031-05-06 02:01Z")
    assert shown.code == 1 and "databases ledger, orders; database ledger: " in shown.out


def test_three_attempts_at_one(failing, ledger):
    for time in ("02:00:10", "02:01:20", "02:06:30", "02:30:00"):
        failing.run("check", *at(time))
    assert made(ledger, "failed") == ["orders"] * 3 and len(history(ledger)) == 6
    state = failing.run("status", "--now", "2031-05-06 02:31Z", "--json").json["schedules"][0]
    assert (state["state"], state["status"]) == ("exhausted", "overdue")


def test_the_failure_of_a_database_that_is_gone_is_no_news(failing, tool, ledger, server):
    server.create_database("orders_too")
    try:
        assert failing.run("check", *at("02:00:10")).code == 1
        assert made(ledger, "failed") == ["orders", "orders_too"]
    finally:
        server.drop_database("orders_too")
    tool.ok("check", *at("02:01:20"))
    assert tool.ok("status", "--now", "2031-05-06 02:30Z", "--json").json["fine"]


def test_killed_between_two(tool, ledger, file_store, tmp_path):
    """What was made is not made again, and the others are not too late for that it took long."""
    waiting = tmp_path / "waiting"
    slow = tool.with_settings(**pg_dumps.script(
        tmp_path, f'case "$*" in *orders*) touch {waiting}; exec sleep 600;; esac\n'
                  'exec $REAL "$@"'))
    process = slow.start("check", *at("02:00:10"))
    processes.wait_until(waiting.exists, "the second database is being dumped")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert made(ledger) == ["ledger"] and made(ledger, "started") == ["orders"]
    # Long after the catch-up window: the run was begun in time, and goes on.
    ledger.execute("UPDATE backup_history SET completed_at = '2031-05-06 04:00Z'"
                   " WHERE status = 'completed'")
    tool.run("check", *at("04:02:10"))
    assert sorted(made(ledger)) == ["ledger", "postgres", ODD], history(ledger)
    tool.ok("check", *at("04:04:10"))
    assert sorted(made(ledger)) == sorted(ALL)
    assert len(file_store.list()) == 4


@pytest.mark.parametrize("call, numbers", [
    ("sendto", (15, 90, 165)), ("renameat", (2, 5)), ("fsync", (4, 13))])
def test_killed_anywhere(tool, ledger, file_store, call, numbers):
    """One backup of each database, whatever died: at these calls of the main thread."""
    for day, number in enumerate(numbers, start=1):
        night = f"2031-05-{day:02}"
        process = tool.start("check", *at("02:00:10", day=night), prefix=(
            "strace", "-qq", "-o", "/dev/null", "-e", f"trace=/^{call}", "-e",
            f"inject=/^{call}:signal=KILL:when={number}"))
        process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL, (call, number, made(ledger))
        for time in ("02:02:30", "02:05:00", "02:08:00"):
            tool.run("check", *at(time, day=night))
        completed = [row for row in history(ledger) if row["status"] == "completed"]
        assert sorted(made(ledger)) == sorted(ALL * day), (call, number)
        assert {row["backup_filename"] for row in completed} == {
            stored.name for stored in file_store.list()}, (call, number)


def test_what_the_ledger_forgot_is_found_again(tool, ledger, file_store):
    tool.ok("check", *at("02:00:10"))
    before = names_in(file_store)
    ledger.execute("DELETE FROM backup_history WHERE database_name IN ('orders', 'postgres')")
    result = tool.ok("check", *at("02:03:00"))
    assert "was not in backup_history" in result.err
    assert names_in(file_store) == before and sorted(made(ledger)) == sorted(ALL)


def test_a_database_made_later_that_day_waits_for_the_next(tool, ledger, server):
    tool.ok("check", *at("02:00:10"))
    server.create_database("later")
    try:
        tool.ok("check", *at("14:00:00"))
        assert made(ledger) == ALL
        assert tool.ok("status", "--now", "2031-05-06 14:00Z", "--json").json["fine"]
        tool.ok("check", *at("02:00:10", day="2031-05-07"))
        assert made(ledger)[4:] == ["later", *ALL]
    finally:
        server.drop_database("later")


def test_one_that_stands_in_doubt_holds_up_no_other(tool, ledger, tmp_path):
    """What became of it cannot be found out: its store is not among ours any more."""
    doubtful(ledger, tmp_path, "ledger", of_all=True)
    tool.run("check", *at("02:01:10"))
    assert made(ledger) == ["orders", "postgres", ODD]
    assert made(ledger, "started") == ["ledger"]


def doubtful(database, folder, of, of_all):
    """A run of this night that has begun, and whose store does not answer."""
    database.execute(
        "INSERT INTO backup_history (backup_filename, backup_type, status, started_at, created_at,"
        " run_id, schedule_id, occurrence_at, attempt, store, ledger, database_name,"
        " of_all_databases) SELECT 'rythm-backup-2031-05-06T02-00-01-000Z.sql.zst', 'scheduled',"
        " 'started', '2031-05-06 02:00:01Z', now(), '0123456789abcdef', schedule_id,"
        " '2031-05-06 02:00Z', 1, %s, (SELECT system_identifier || '/' || current_database()"
        " FROM pg_control_system()), %s, %s FROM backup_schedule",
        f"azblob://gone.{folder.name}/none", of, of_all)


@pytest.mark.parametrize("of_all", [True, False])
def test_another_target_is_no_second_backup_of_the_time(tool, ledger, file_store, tmp_path, of_all):
    """Invariant I1: while the row stands, nothing else is begun for that time."""
    doubtful(ledger, tmp_path, "orders", of_all)
    ledger.execute("UPDATE backup_schedule SET all_databases = %s, target_dbname = %s",
                   not of_all, None if not of_all else "postgres")
    tool.run("check", *at("02:01:10"))
    assert made(ledger) == [] and made(ledger, "started") == ["orders"]
    assert file_store.list() == []


def test_an_invalid_database_is_left_out(tool, ledger, server):
    """As an interrupted DROP DATABASE leaves it."""
    server.create_database("half_dropped")
    server.execute("postgres", "UPDATE pg_database SET datconnlimit = -2"
                               " WHERE datname = 'half_dropped'")
    try:
        tool.ok("check", *at("02:00:10"))
        assert made(ledger) == ALL
    finally:
        server.execute("postgres", "UPDATE pg_database SET datconnlimit = -1"
                                   " WHERE datname = 'half_dropped'")
        server.drop_database("half_dropped")


def test_it_is_too_late_days_after_it_died(tool, ledger):
    """Lateness counts from what was being done, not from when somebody noticed."""
    ledger.execute("UPDATE backup_schedule SET frequency = 'weekly', days = '{2}'")
    ledger.execute(
        "INSERT INTO backup_history (backup_filename, backup_type, status, started_at,"
        " completed_at, duration_seconds, run_id, schedule_id, occurrence_at, attempt,"
        " database_name, of_all_databases) SELECT r.run, 'scheduled', r.status,"
        " '2031-05-06 02:00:01Z', r.completed, 0, r.run, schedule_id, '2031-05-06 02:00Z', 1,"
        " r.of, true FROM backup_schedule, (VALUES"
        " ('1111111111111111', 'completed', timestamptz '2031-05-06 02:00:09Z', 'ledger'),"
        " ('2222222222222222', 'failed', '2031-05-10 14:00:00Z', 'orders'))"
        " r (run, status, completed, of)")
    assert tool.ok("check", "--dry-run", "--json", *at("14:02:00", day="2031-05-10")).json[
        "schedules"][0]["state"] == "missed"


def test_a_new_database_is_failed_not_overdue(failing, tool, server):
    """That it was not there the night before is no news."""
    server.execute("postgres", "ALTER DATABASE orders RENAME TO to_come")
    try:
        tool.ok("check", *at("02:00:10"))
    finally:
        server.execute("postgres", "ALTER DATABASE to_come RENAME TO orders")
    failing.run("check", *at("02:00:10", day="2031-05-07"))
    standing = failing.run("status", "--now", "2031-05-07 02:01Z", "--json").json["schedules"][0]
    assert (standing["status"], standing["overdue"]) == ("failed", False)


def test_by_hand_it_makes_up_for_no_other_schedule(tool, ledger):
    """A schedule of one database is not served by a run of all."""
    ledger.execute("UPDATE backup_schedule SET all_databases = NULL")
    tool.ok("run", "--all-databases", "--no-notify")
    ledger.execute("UPDATE backup_history SET started_at = '2031-05-06 02:20Z',"
                   " completed_at = '2031-05-06 02:20:01Z'")
    standing = tool.run("status", "--now", "2031-05-06 02:30Z", "--json").json["schedules"][0]
    assert standing["overdue"]


# What is told

def test_recovery_is_of_the_same_database(failing, tool, ledger, acs):
    ledger.execute("CREATE TABLE users (email text, role text)")
    ledger.execute("INSERT INTO users VALUES ('ada@rythm.example', 'system_admin')")
    ledger.execute("UPDATE backup_schedule SET notify_on = '{recovery}'")
    failing.with_settings(**acs.settings).run("check", *at("02:00:10"))
    assert acs.messages == []
    tool.with_settings(**acs.settings).ok("check", *at("02:01:20"))
    (message,) = acs.messages
    assert name_of(ledger, "orders") in json.dumps(message)


@pytest.fixture
def monitor():
    stub = PingStub()
    yield stub
    stub.stop()


def test_the_monitor_hears_once(failing, tool, monitor):
    """Not from each of them, so that the last does not hide what became of another."""
    failing.with_settings(**monitor.settings).run("check", *at("02:00:10"))
    tool.with_settings(**monitor.settings).ok("check", *at("02:01:20"))
    tool.with_settings(**monitor.settings).ok("run", "--no-verify")
    assert [signal for signal, _, _ in monitor.messages] == [
        "start", "fail", "start", "success", "start", "success"]


def test_one_message_tells_all(tool, ledger, acs):
    ledger.execute("CREATE TABLE users (email text, role text)")
    ledger.execute("INSERT INTO users VALUES ('ada@rythm.example', 'system_admin')")
    tool.with_settings(**acs.settings).ok("check", *at("02:00:10"))
    (message,) = acs.messages
    assert "4 Database Backups Completed Successfully" in json.dumps(message, ensure_ascii=False)
    for name in ("ledger", "orders", "postgres"):
        assert name_of(ledger, name) in json.dumps(message)


# By hand

def test_by_hand(tool, ledger, file_store):
    ledger.execute("UPDATE backup_schedule SET all_databases = NULL")
    result = tool.ok("run", "--all-databases", "--no-notify")
    assert sorted(result.out.split()) == names_in(file_store)
    assert made(ledger) == ALL
    assert {row["backup_type"] for row in history(ledger)} == {"manual"}


def test_by_hand_of_such_a_schedule(tool, ledger):
    result = tool.ok("run", "--no-notify", "--json")
    decoder, told, rest = json.JSONDecoder(), [], result.out
    while rest.strip():
        document, end = decoder.raw_decode(rest.lstrip())
        told.append(document["database"])
        rest = rest.lstrip()[end:]
    assert told == ALL == made(ledger)


def test_by_hand_one_fails(failing, ledger):
    result = failing.run("run", "--no-notify")
    assert result.code == 1 and "Database orders was not backed up" in result.err
    assert "1 of 4 databases were not backed up" in result.err
    assert len(result.out.split()) == 3 and made(ledger) == ["ledger", "postgres", ODD]


def test_by_hand_one_is_dropped_meanwhile(tool, ledger, server, tmp_path):
    server.create_database("passing")
    begun = tmp_path / "begun"
    slow = tool.with_settings(**pg_dumps.script(
        tmp_path, f'case "$*" in *orders*) touch {begun}; while [ -e {begun} ]; do sleep 0.1; done'
                  ';; esac\nexec $REAL "$@"'))
    process = slow.start("run", "--no-notify")
    processes.wait_until(begun.exists, "the one before it is being dumped")
    server.drop_database("passing")
    begun.unlink()
    result = slow.finish(process)
    assert result.code == 0, result.err
    assert made(ledger) == ALL and made(ledger, "failed") == []


def test_by_hand_of_a_schedule_of_one(tool, ledger, file_store):
    ledger.execute("UPDATE backup_schedule SET all_databases = false, target_dbname = 'orders'")
    result = tool.run("run", "--all-databases")
    assert result.code == 2 and "--all-databases does not go with it" in result.err
    assert file_store.list() == []


def test_by_hand_into_a_file(tool):
    result = tool.run("run", "--all-databases", "--output", "-")
    assert result.code == 2 and "takes no option '--all-databases'" in result.err


# The schedule

def test_schedule_option(tool, ledger):
    tool.ok("schedule", "set", "--all-databases", "no")
    assert schedule(ledger)["all_databases"] is False
    result = tool.ok("schedule", "set", "--all-databases", "yes")
    assert schedule(ledger)["all_databases"] and "all databases" in result.out
    shown = tool.ok("schedule", "show", "--json").json["schedules"][0]
    assert shown["all_databases"] and shown["dbname"] is None
    assert tool.run("schedule", "set", "--all-databases", "maybe").code == 2


@pytest.mark.parametrize("options, problem", [
    (("--dbname", "orders"), "target_dbname and all_databases"),
    (("--service", "other"), "target_service names another"),
    (("--schemas", "public"), "not every database has these schemas"),
    (("--table", "things"), "not every database has these tables")])
def test_what_does_not_go_with_it(tool, ledger, options, problem):
    before = schedule(ledger)
    result = tool.run("schedule", "set", *options)
    assert result.code == 2 and problem in result.err, result.err
    assert schedule(ledger) == before


def test_each_second_of_each_is_verified(tool, ledger):
    ledger.execute("UPDATE backup_schedule SET verify_every = 2")
    for day in ("2031-05-06", "2031-05-07"):
        tool.ok("check", *at("02:00:10", day=day))
    verified = rows(ledger, "SELECT database_name, occurrence_at::date::text AS day FROM"
                            " backup_history WHERE verified_at IS NOT NULL ORDER BY started_at")
    assert [(row["database_name"], row["day"]) for row in verified] == [
        (name, "2031-05-07") for name in ALL]


def test_retention_judges_each_by_itself(tool, ledger, file_store):
    ledger.execute("UPDATE backup_schedule SET retention_days = 1")
    tool = tool.with_settings(RYTHM_BACKUP_KEEP_MIN="1")
    for day in ("2031-05-06", "2031-05-08", "2031-05-10"):
        tool.ok("check", *at("02:00:10", day=day))
    kept = [item["database"] for item in tool.ok("list", "--json").json["backups"]]
    assert {name: kept.count(name) for name in ALL} == dict.fromkeys(ALL, kept.count("orders"))
    assert 1 <= kept.count("orders") < 3


def test_the_first_form_of_the_tables_is_migrated(tool, ledger):
    """An earlier version allowed one run per occurrence, and its function told no database."""
    ledger.execute("""
        DROP INDEX backup_history_one_per_part;
        CREATE UNIQUE INDEX backup_history_one_per_occurrence
            ON backup_history (schedule_id, occurrence_at)
            WHERE status IN ('started', 'completed') AND occurrence_at IS NOT NULL;
        DROP FUNCTION rythm_backup_schedules;
        CREATE FUNCTION rythm_backup_schedules(at timestamptz DEFAULT now(),
            default_catch_up interval DEFAULT interval '1 hour')
        RETURNS TABLE (schedule_id uuid, is_default boolean, occurrence_at timestamptz,
                       next_at timestamptz, attempt integer, state text, problem text)
        LANGUAGE sql AS 'SELECT NULL::uuid, NULL::boolean, NULL::timestamptz, NULL::timestamptz,
                         NULL::integer, NULL::text, NULL::text'""")
    tool.ok("migrate")
    tool.ok("check", *at("02:00:10"))
    assert made(ledger) == ALL
    tool.ok("migrate")


def test_metrics_are_of_all_together(failing, tool, ledger, tmp_path):
    prom = tmp_path / "of_all.prom"
    tool.ok("check", *at("02:00:10"))
    sizes = ledger.value("SELECT sum(raw_size_bytes)::bigint FROM backup_history")
    failing.run("check", *at("02:00:10", day="2031-05-07"))
    program = tool.with_settings(RYTHM_BACKUP_PROMETHEUS_FILE=str(prom))
    ledger.execute("UPDATE backup_history SET (started_at, completed_at, occurrence_at) ="
                   " (started_at - shift, completed_at - shift, occurrence_at - shift)"
                   " FROM (SELECT max(completed_at) - now() + interval '1 minute' AS shift"
                   " FROM backup_history) s")
    ledger.execute("UPDATE backup_schedule SET timed_at = now() + interval '59 minutes'")
    program.run("check", "-q")
    told = {metric: value for (metric, name), value in samples(prom.read_text()).items()
            if name == "nightly"}
    assert told["failed_runs"] == 1
    assert told["last_raw_size_bytes"] == pytest.approx(sizes, rel=0.2)
    assert 'database="*"' in prom.read_text()

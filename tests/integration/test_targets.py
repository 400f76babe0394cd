"""What a schedule may say for itself: its name, another database, schemas, a store, a window."""

import os
import pathlib
import re
import signal
import subprocess

import pytest

import backups
import pg_dumps
import postgres_cluster
import processes
from stores import FileStore
from tables import add_schedule, at, enable, history, rows, schedule, statuses

LOCK_HOLDER = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (" \
              "SELECT oid FROM pg_database WHERE datname = current_database())"


@pytest.fixture
def home(small_database):
    """The database with the schedules and the ledger: one backup at 02:00."""
    enable(small_database)
    return small_database


@pytest.fixture
def other(make_database):
    """Another database of the same server."""
    database = make_database()
    database.execute("CREATE TABLE of_the_other (line text)")
    database.execute("INSERT INTO of_the_other VALUES ('a line of the other')")
    return database


@pytest.fixture
def tool(make_tool, home, file_store):
    return make_tool(home, file_store)


def configure(database, identity=None, **columns):
    """Sets columns of the schedule with this id, or of the only one."""
    identity = identity or schedule(database)["schedule_id"]
    for column, value in columns.items():
        database.execute(f"UPDATE backup_schedule SET {column} = %s WHERE schedule_id = %s", value,
                         identity)
    return identity


def script_of(store, name):
    """The dump in this object, as text."""
    return subprocess.run(["zstd", "-dcq"], input=store.read(name), check=True,
                          stdout=subprocess.PIPE).stdout.decode()


def only_script(store):
    (stored,) = store.list()
    return script_of(store, stored.name)


def service_file(folder, name, **parameters):
    """The settings with which libpq finds this service."""
    path = folder / "pg_service.conf"
    lines = [f"[{name}]", *(f"{key}={value}" for key, value in parameters.items())]
    path.write_text("\n".join(lines) + "\n")
    return {"PGSERVICEFILE": str(path)}


def failure(result):
    """The one error line of a tick that failed."""
    assert result.code == 1, result.err
    (line,) = [line for line in result.err.splitlines() if line.startswith("❌")]
    return line


# Another database

def test_another_database_is_dumped(make_tool, home, other, store, cluster, make_database,
                                    tmp_path):
    configure(home, target_dbname=other.name)
    make_tool(home, store).ok("check", *at("02:00:10"))
    (stored,) = store.list()
    assert stored.metadata["database"] == other.name
    assert (stored.metadata["ledger"], stored.metadata["system"]) == (home.name, cluster.system)
    (tmp_path / "restore.sql").write_text(script_of(store, stored.name))
    restored = make_database()
    cluster.load(restored.name, tmp_path / "restore.sql")
    assert restored.dump() == other.dump()


def test_the_ledger_stays_where_it_is(tool, home, other, cluster, file_store):
    configure(home, target_dbname=other.name)
    tool.ok("check", *at("02:00:10"))
    (row,) = history(home)
    assert (row["status"], row["ledger"]) == ("completed", f"{cluster.system}/{home.name}")
    assert row["backup_filename"] == file_store.list()[0].name
    assert other.value("SELECT to_regclass('backup_history')") is None
    tool.ok("check", *at("02:30:00"))
    assert len(file_store.list()) == 1


@pytest.mark.parametrize("command", [("check", *at("02:00:10")), ("run",)])
def test_outcome_names_the_database_that_was_dumped(make_tool, home, other, file_store, acs,
                                                    command):
    acs.running_polls = 0
    configure(home, target_dbname=other.name)
    make_tool(home, file_store, acs).ok(*command)
    assert len(acs.messages) == 2
    for message in acs.messages:
        assert other.name in message["content"]["plainText"]
        assert home.name not in message["content"]["plainText"]


def test_who_tells_later_names_that_database_too(make_tool, home, other, cluster, file_store, acs,
                                                 tmp_path):
    """Of a run that died, and when its mail is sent once more."""
    acs.running_polls = 0
    gate = pg_dumps.gate_within(tmp_path)
    settings = service_file(tmp_path, "theirs", host="127.0.0.1", port=cluster.port,
                            dbname=other.name)
    configure(home, target_service="theirs")
    tool = make_tool(home, file_store, acs, **settings)
    process = tool.with_settings(**gate.settings).start("check", *at("02:00:10"))
    gate.reached()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    processes.wait_until(lambda: not rows(home, LOCK_HOLDER), "the lock is free")
    tool.ok("check", *at("02:00:40"))
    tool.ok("notify", "--backup", history(home)[0]["backup_filename"])
    assert len(acs.messages) == 4
    for message in acs.messages:
        assert other.name in message["content"]["plainText"]
        assert home.name not in message["content"]["plainText"]


def test_run_says_which_database_it_was(tool, home, other):
    configure(home, target_dbname=other.name)
    assert tool.ok("run", "--json", "--no-notify").json["database"] == other.name


def test_a_database_of_an_odd_name(tool, home, cluster, file_store):
    name = f"it's odd %41 \\ {os.getpid()}"
    cluster.create_database(name)
    try:
        cluster.client("psql", name, "-X", "-c", "CREATE TABLE of_the_odd ()")
        configure(home, target_dbname=name)
        tool.ok("check", *at("02:00:10"))
        assert "CREATE TABLE public.of_the_odd" in only_script(file_store)
        (backup,) = tool.ok("list", "--json").json["backups"]
        assert backup["database"] == name
    finally:
        cluster.drop_database(name)


def test_a_database_that_is_not_there(tool, home, file_store):
    missing = configure(home, target_dbname="nowhere_at_all", name="nightly copy")
    good = add_schedule(home)
    line = failure(tool.run("check", *at("02:00:10")))
    assert "target_dbname nowhere_at_all of schedule nightly copy" in line
    assert 'database "nowhere_at_all" does not exist' in line
    outcome = {row["schedule_id"]: row for row in history(home)}
    assert (outcome[missing]["status"], outcome[good]["status"]) == ("failed", "completed")
    assert "nowhere_at_all of schedule nightly copy" in outcome[missing]["error_message"]
    assert len(file_store.list()) == 1


def test_a_database_that_is_made_later(tool, home, other):
    """Its attempts are those of any failure."""
    configure(home, target_dbname="nowhere_at_all")
    failure(tool.run("check", *at("02:00:10")))
    configure(home, target_dbname=other.name)
    tool.ok("check", *at("02:01:20"))
    assert [(row["status"], row["attempt"]) for row in history(home)] == [
        ("failed", 1), ("completed", 2)]


# A service

def test_a_service_is_dumped(tool, home, other, postgres_proxy, file_store, tmp_path):
    """It says where: another host and port than DATABASE_URL. The credentials are that one's."""
    settings = service_file(tmp_path, "theirs", host="localhost", port=postgres_proxy.port,
                            dbname=other.name)
    configure(home, target_service="theirs")
    tool.with_settings(**settings).ok("check", *at("02:00:10"))
    assert postgres_proxy.connections == 2
    (stored,) = file_store.list()
    assert stored.metadata["database"] == other.name
    assert stored.metadata["ledger"] == home.name
    assert "a line of the other" in script_of(file_store, stored.name)
    assert statuses(home) == ["completed"]


def test_database_name_of_the_settings_is_not_the_services(make_tool, home, other, cluster,
                                                           file_store, tmp_path):
    """With libpq's own variables instead of DATABASE_URL."""
    settings = service_file(tmp_path, "theirs", host="127.0.0.1", port=cluster.port,
                            dbname=other.name)
    configure(home, target_service="theirs")
    tool = make_tool(file_store, PGHOST="127.0.0.1", PGPORT=str(cluster.port), PGUSER="postgres",
                     PGPASSWORD=postgres_cluster.PASSWORD, PGDATABASE=home.name, **settings)
    tool.ok("check", *at("02:00:10"))
    assert "a line of the other" in only_script(file_store)


def test_address_of_the_settings_is_not_the_services(tool, home, other, cluster, file_store,
                                                     tmp_path):
    """PGHOSTADDR goes before the name of a host."""
    settings = service_file(tmp_path, "theirs", host="127.0.0.1", port=cluster.port,
                            dbname=other.name)
    configure(home, target_service="theirs")
    tool.with_settings(
        DATABASE_URL=f"host=127.0.0.1 hostaddr=127.0.0.1 port={cluster.port} user=postgres"
                     f" password={postgres_cluster.PASSWORD} dbname={home.name}",
        PGHOSTADDR="127.0.0.9", PGPORT="1", **settings).ok("check", *at("02:00:10"))
    assert "a line of the other" in only_script(file_store)


def test_a_service_that_is_not_there(tool, home, tmp_path):
    configure(home, target_service="nobodys", name="nightly copy")
    add_schedule(home)
    settings = service_file(tmp_path, "theirs", host="localhost")
    line = failure(tool.with_settings(**settings).run("check", *at("02:00:10")))
    assert "target_service nobodys of schedule nightly copy" in line
    assert 'definition of service "nobodys" not found' in line
    assert sorted(statuses(home)) == ["completed", "failed"]


def test_a_service_that_does_not_answer(tool, home, tmp_path):
    settings = service_file(tmp_path, "theirs", host="127.0.0.1", port=1, dbname="x")
    configure(home, target_service="theirs")
    line = failure(tool.with_settings(**settings).run("check", *at("02:00:10")))
    assert "target_service theirs of schedule" in line and "Connection refused" in line


def test_the_password_is_in_no_table_and_no_command_line(tool, home, other, cluster, tmp_path):
    """Nor in what schedules of other places leave; it reaches pg_dump all the same."""
    gate = pg_dumps.gate_before(tmp_path)
    settings = service_file(tmp_path, "theirs", host="localhost", port=cluster.port,
                            dbname=other.name)
    configure(home, target_service="theirs")
    add_schedule(home)
    configure(home, rows(home, "SELECT schedule_id FROM backup_schedule"
                               " WHERE target_service IS NULL")[0]["schedule_id"],
              target_dbname="nowhere_at_all")
    process = tool.with_settings(**settings, **gate.settings).start("check", *at("02:00:10"))
    child = gate.reached()
    seen = [pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (process.pid, child)]
    environment = pathlib.Path(f"/proc/{child}/environ").read_bytes()
    gate.open()
    assert tool.finish(process).code == 1
    assert other.name.encode() in seen[1]
    secret = postgres_cluster.PASSWORD.encode()
    assert not [line for line in seen if secret in line]
    assert b"PGPASSWORD=" + secret in environment
    assert postgres_cluster.PASSWORD not in home.dump()


# Schemas

ODD_SCHEMAS = ["public", "Capital", "dot.ted", "star*", 'say "hi"', "a b", "what?", "[a-c]",
               "(x|y)", "$money", "back\\slash", "{a,b}", "größe", "NULL", "it's", "p%"]
# What a pattern would take with them.
LOOKALIKES = ["capital", "dot", "dotted", "starry", "a", "b", "what", "whatx", "x", "y", "null",
              "plain"]


def quote(name):
    return '"' + name.replace('"', '""') + '"'


def make_schemas(database, names):
    for name in names:
        sql = f"CREATE SCHEMA IF NOT EXISTS {quote(name)}".replace("%", "%%")
        with_table = f"CREATE TABLE {quote(name)}.lines (line text)".replace("%", "%%")
        connection = database.connect()
        connection.cursor().execute(sql, ())
        connection.cursor().execute(with_table, ())
        connection.close()


def schemas_of(database):
    return {row["nspname"] for row in rows(
        database, "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <>"
                  " 'information_schema'")}


def restored_from(store, cluster, make_database, tmp_path):
    (tmp_path / "restore.sql").write_text(only_script(store))
    database = make_database()
    database.execute("DROP SCHEMA public")
    cluster.load(database.name, tmp_path / "restore.sql")
    return database


def test_schemas_by_their_exact_names(tool, home, other, file_store, cluster, make_database,
                                      tmp_path):
    make_schemas(other, ODD_SCHEMAS + LOOKALIKES)
    configure(home, target_dbname=other.name, schemas=ODD_SCHEMAS)
    tool.ok("check", *at("02:00:10"))
    restored = restored_from(file_store, cluster, make_database, tmp_path)
    assert schemas_of(restored) == set(ODD_SCHEMAS)


@pytest.mark.parametrize("name", ["Capital", "star*", 'say "hi"', "dot.ted"])
def test_one_schema(tool, home, other, file_store, cluster, make_database, tmp_path, name):
    make_schemas(other, ODD_SCHEMAS + LOOKALIKES)
    configure(home, target_dbname=other.name, schemas=[name])
    tool.ok("check", *at("02:00:10"))
    restored = restored_from(file_store, cluster, make_database, tmp_path)
    assert schemas_of(restored) == {name}


def test_schemas_of_the_schedules_own_database(tool, home, file_store):
    make_schemas(home, ["tenants"])
    configure(home, schemas=["tenants"])
    tool.ok("check", *at("02:00:10"))
    script = only_script(file_store)
    assert "CREATE TABLE tenants.lines" in script and "backup_schedule" not in script


@pytest.mark.parametrize("missing", ["not_there", "starr*", "Public", "--all"])
def test_a_schema_that_is_not_there(tool, home, file_store, missing):
    """Half of what was asked for is no backup."""
    configure(home, schemas=["public", missing], name="parts")
    add_schedule(home)
    line = failure(tool.run("check", *at("02:00:10")))
    assert "no matching schemas were found for pattern" in line and missing in line
    assert sorted(statuses(home)) == ["completed", "failed"]
    (stored,) = file_store.list()
    assert "backup_schedule" in script_of(file_store, stored.name)


def test_run_takes_the_schedules_schemas_too(tool, home, file_store):
    make_schemas(home, ["tenants"])
    configure(home, schemas=["tenants"], name="parts")
    tool.ok("run", "parts", "--no-notify")
    assert "backup_schedule" not in only_script(file_store)


def test_parts_do_not_push_the_whole_out(tool, home, file_store):
    """A schedule that backed up all of the database backs up some schemas of it from now on."""
    make_schemas(home, ["app", "audit"])
    tool = tool.with_settings(RYTHM_BACKUP_KEEP_MIN="1")
    configure(home, retention_days=1)
    every = []
    for day, schemas in enumerate([None, ["app"], ["app", "audit"], ["audit", "app"]], 1):
        configure(home, schemas=schemas)
        tool.ok("check", *at("02:00:10", day=f"2031-05-{day * 3:02}"))
        every.append([stored.name for stored in file_store.list()][-1])
    whole, part, _, newest = every
    assert [stored.name for stored in file_store.list()] == [whole, part, newest]
    parts = [stored.metadata.get("schemas") for stored in file_store.list()]
    assert parts[0] is None and len(set(parts)) == 3


def test_another_servers_do_not_push_ours_out(tool, home, file_store, cluster, tmp_path, folder):
    """A database of the same name, on another server."""
    theirs = postgres_cluster.PostgresCluster(folder / "theirs")
    theirs.create()
    theirs.start()
    try:
        theirs.create_database(home.name)
        settings = service_file(tmp_path, "theirs", host="127.0.0.1", port=theirs.port,
                                dbname=home.name)
        tool = tool.with_settings(RYTHM_BACKUP_KEEP_MIN="1", **settings)
        configure(home, retention_days=1)
        for day, service in enumerate([None, None, "theirs", "theirs"], 1):
            configure(home, target_service=service)
            tool.ok("check", *at("02:00:10", day=f"2031-05-{day * 3:02}"))
        assert [stored.metadata["source"] for stored in file_store.list()] == [
            cluster.system, theirs.system]
        assert {stored.metadata["database"] for stored in file_store.list()} == {home.name}
    finally:
        theirs.stop()


# A store of its own

def own_url(own):
    """How a schedule names this store."""
    return own.settings.get("RYTHM_BACKUP_STORES") or f"azblob:///{own.container}"


@pytest.fixture
def default_store(tmp_path):
    return FileStore(tmp_path / "default")


@pytest.fixture
def two_stores(make_tool, home, store, default_store):
    """The program with another store configured than the one that the schedule names."""
    configure(home, stores=own_url(store))
    return make_tool(home, store, default_store)


def test_a_store_of_its_own(two_stores, home, store, default_store):
    plain = add_schedule(home)
    two_stores.ok("check", *at("02:00:10"))
    (own,), (usual,) = store.list(), default_store.list()
    assert own.metadata["schedule"] != plain == usual.metadata["schedule"]
    places = {row["schedule_id"]: row["store"] for row in history(home)}
    assert places[plain] == default_store.settings["RYTHM_BACKUP_STORES"]
    assert places[own.metadata["schedule"]] != places[plain]


def test_run_goes_to_its_own_store(two_stores, store, default_store):
    two_stores.ok("run", "--no-notify")
    assert len(store.list()) == 1 and default_store.list() == []


def test_a_check_prunes_in_its_own_store(two_stores, home, store, default_store):
    """By its own retention, and nowhere else."""
    configure(home, retention_days=1)
    add_schedule(home, "02:30", retention_days=1000)
    keep_one = two_stores.with_settings(RYTHM_BACKUP_KEEP_MIN="1")
    days = [f"2031-05-{day:02}" for day in range(1, 5)]
    for day in days[:-1]:
        keep_one.with_settings(RYTHM_BACKUP_KEEP_MIN="100").ok("check", *at("02:45:00", day=day))
    assert (len(store.list()), len(default_store.list())) == (3, 3)
    keep_one.ok("check", *at("02:35:00", day=days[-1]))
    assert [stored.name[13:23] for stored in store.list()] == days[-2:]
    assert len(default_store.list()) == 4


def test_prune_goes_to_each_store_by_its_own_retention(two_stores, home, store, default_store):
    mine = schedule(home)["schedule_id"]
    configure(home, mine, retention_days=2)
    usual = add_schedule(home, "02:30", retention_days=4)
    left = {}
    for place, key, days in ((store, str(mine), 2), (default_store, usual, 4)):
        made = [backups.made_at(backups.now() - age * backups.DAY + backups.DAY / 4, key, home)
                for age in range(1, 7)]
        place.put_all(made)
        left[key] = sorted(name for name, _, _ in made[:days])
    two_stores.with_settings(RYTHM_BACKUP_KEEP_MIN="1").ok("prune")
    assert {str(mine): [stored.name for stored in store.list()],
            usual: [stored.name for stored in default_store.list()]} == left


def test_recovery_asks_its_own_store(two_stores, home, store, default_store, tmp_path):
    """Killed when it had published: adopted from there."""
    home.execute("CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS"
                 " 'BEGIN PERFORM pg_sleep(600); RETURN NEW; END'")
    home.execute("CREATE TRIGGER wait BEFORE UPDATE ON backup_history FOR EACH ROW"
                 " WHEN (NEW.status = 'completed') EXECUTE FUNCTION wait()")
    process = two_stores.start("check", *at("02:00:10"))
    (holder,) = processes.wait_until(
        lambda: rows(home, "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
                           " AND datname = current_database()"), "the ledger is being written")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    home.execute("SELECT pg_terminate_backend(%s)", holder["pid"])
    processes.wait_until(lambda: not rows(home, LOCK_HOLDER), "the lock is free")
    home.execute("DROP TRIGGER wait ON backup_history")
    # Where the schedule's backups go from now on does not matter.
    configure(home, stores=f"file://{tmp_path}/elsewhere")
    result = two_stores.ok("check", *at("02:00:50"))
    (stored,) = store.list()
    assert f"Backup {stored.name} had been published by a run that died" in result.err
    (row,) = history(home)
    assert (row["status"], row["sha256"]) == ("completed", stored.metadata["sha256"])
    assert default_store.list() == [] and not (tmp_path / "elsewhere").exists()


def test_recovery_cleans_up_in_its_own_store(make_tool, home, file_store, default_store, tmp_path):
    gate = pg_dumps.gate_within(tmp_path)
    configure(home, stores=own_url(file_store))
    tool = make_tool(home, default_store)
    process = tool.with_settings(**gate.settings).start("check", *at("02:00:10"))
    gate.reached()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    processes.wait_until(lambda: not rows(home, LOCK_HOLDER), "the lock is free")
    assert file_store.leftovers() != []
    tool.ok("check", *at("02:00:50"))
    assert (file_store.leftovers(), statuses(home)) == ([], ["failed"])
    tool.ok("check", *at("02:02:00"))
    assert statuses(home) == ["failed", "completed"]
    assert len(file_store.list()) == 1 and default_store.list() == []


@pytest.mark.parametrize("url, problem", [
    ("/var/backups", "'/var/backups' is not the URL of a store"),
    ("ftp://bucket", "'ftp://bucket' is not the URL of a store"),
    ("file://relative", "the folder's path must be absolute"),
    ("azblob:///somewhere", "AZURE_STORAGE_CONNECTION_STRING"),
    ("file:///a file:///a", "store file:///a is named twice"),
    ("file:///a,file:///b", "separate them by blanks")])
def test_a_wrong_store_is_named_and_passed_over(tool, home, file_store, url, problem):
    configure(home, stores=url, name="astray")
    good = add_schedule(home)
    result = tool.run("check", *at("02:00:10"))
    assert result.code == 3
    (line,) = [line for line in result.err.splitlines() if "passed over" in line]
    assert line.startswith("⚠️  Schedule astray is wrong and was passed over: ")
    assert problem in line
    assert [(row["schedule_id"], row["status"]) for row in history(home)] == [(good, "completed")]
    assert len(file_store.list()) == 1


def test_no_secret_of_a_stores_url_is_shown(tool, home):
    """It should not be there at all."""
    configure(home, stores="https://a.blob.core.windows.net/c?sv=1&sig=canary-Zq9")
    result = tool.run("check", *at("02:00:10"))
    assert result.code == 3 and "canary-Zq9" not in result.err


# Rows that are wrong

WRONG = [
    ({"schedule_time": None}, "schedule_time is not set"),
    ({"schedule_time": "24:00"}, "schedule_time is 24:00; write 00:00"),
    ({"retention_days": None}, "retention_days is not set"),
    ({"retention_days": 0}, "retention_days is 0; it must be between 1 and 1000000"),
    ({"retention_days": 1000001}, "retention_days is 1000001; it must be between 1 and 1000000"),
    ({"frequency": "yearly"}, "frequency is 'yearly'; it must be hourly, daily, weekly or monthly"),
    ({"frequency": "Daily"}, "frequency is 'Daily'; it must be hourly, daily, weekly or monthly"),
    ({"frequency": ""}, "frequency is ''; it must be hourly, daily, weekly or monthly"),
    ({"frequency": "weekly"}, "days is empty; a weekly schedule needs at least one"),
    ({"frequency": "monthly", "days": []}, "days is empty; a monthly schedule needs at least one"),
    ({"frequency": "weekly", "days": [1, None]}, "days holds a NULL"),
    ({"frequency": "weekly", "days": [[1, 2], [3, None]]}, "days is not a simple list"),
    ({"frequency": "monthly", "days": [[1, 2], [3, 4]]}, "days is not a simple list"),
    ({"frequency": "weekly", "days": [0]},
     "days is {0}; days of the week are 1 (Monday) to 7 (Sunday)"),
    ({"frequency": "weekly", "days": [1, 8]},
     "days is {1,8}; days of the week are 1 (Monday) to 7 (Sunday)"),
    ({"frequency": "weekly", "days": [-1]},
     "days is {-1}; days of the week are 1 (Monday) to 7 (Sunday)"),
    ({"frequency": "monthly", "days": [40]},
     "days is {40}; days of the month are 1 to 31, and -1 for the last one"),
    ({"frequency": "monthly", "days": [1, 0]},
     "days is {1,0}; days of the month are 1 to 31, and -1 for the last one"),
    ({"frequency": "monthly", "days": [-2]},
     "days is {-2}; days of the month are 1 to 31, and -1 for the last one"),
    ({"time_zone": "Mars/Olympus"},
     "time_zone is 'Mars/Olympus'; it must be a name as Europe/Stockholm or UTC"),
    ({"time_zone": "UTC+2"}, "time_zone is 'UTC+2'; it must be a name as Europe/Stockholm or UTC"),
    ({"time_zone": "CET"}, "time_zone is 'CET'; it must be a name as Europe/Stockholm or UTC"),
    *(({"time_zone": zone}, f"time_zone is '{zone}'; it must be a name as Europe/Stockholm or UTC")
      for zone in ("Etc/UTC+2", "Europe/Stockholm2", "Europe/Stockholm+1", "Foo/Bar-9", "Foo/Bar",
                   "Etc/GMT+13", "Etc/GMT-15", "Etc/GMT+1x")),
    ({"time_zone": ""}, "time_zone is ''; it must be a name as Europe/Stockholm or UTC"),
    ({"catch_up": "30 seconds"}, "catch_up is 00:00:30; it must be between 1 minute and 1 day"),
    ({"catch_up": "2 days"}, "catch_up is 2 days; it must be between 1 minute and 1 day"),
    ({"catch_up": "-1 hour"}, "catch_up is -01:00:00; it must be between 1 minute and 1 day"),
    ({"target_dbname": "a", "target_service": "b"},
     "target_dbname and target_service are both set; only one of them can be"),
    ({"target_dbname": ""}, "target_dbname is empty; NULL is this database"),
    ({"target_dbname": "postgresql://u:canary-Zq9@h/d"},
     "target_dbname is a connection string; it must be the name of a database alone"),
    ({"target_dbname": "host=h password=canary-Zq9"},
     "target_dbname is a connection string; it must be the name of a database alone"),
    ({"target_service": ""}, "target_service is empty; NULL is this database"),
    ({"schemas": []}, "schemas is empty; NULL is all of them"),
    ({"schemas": ["public", None]}, "schemas holds an empty name"),
    ({"schemas": ["public", ""]}, "schemas holds an empty name"),
    ({"schemas": [["a", "b"], ["c", "d"]]}, "schemas is not a simple list"),
    ({"schemas": [["a", None], ["", "d"]]}, "schemas is not a simple list"),
    ({"schemas": "[0:1]={a,b}"}, "schemas is not a simple list"),
    ({"target_service": "host=h password=canary-Zq9"},
     "target_service is a connection string; it must be the name of a service alone"),
    ({"stores": " \t"}, "stores is empty; NULL is the configured store"),
    ({"stores": "azblob://a/c;AccountKey=canary-Zq9"},
     "stores holds a credential; it must be a URL alone"),
    ({"stores": "azblob://a/c?sv=1&sig=canary-Zq9"},
     "stores holds a credential; it must be a URL alone"),
    ({"verify_every": -1}, "verify_every is -1; it must be between 0 (never) and 10000"),
    ({"verify_every": 10001}, "verify_every is 10001; it must be between 0 (never) and 10000"),
]
# What shows rows.
SHOWING = (("schedule",), ("schedule", "--json"), ("list",), ("prune", "--dry-run"), ("status",),
           ("status", "--json"), ("check", "--dry-run"), ("check", "--dry-run", "--json"))


def test_wrong_rows_are_told_by_name(tool, home, file_store):
    """All at once: each is passed over for its own reason, and the good one is obeyed."""
    good = schedule(home)["schedule_id"]
    wrong = {}
    for number, (columns, problem) in enumerate(WRONG):
        name = f"odd one {number}"
        wrong[name] = configure(home, add_schedule(home), name=name, **columns), problem
    result = tool.run("check", "--json", *at("02:00:10"))
    assert result.code == 3
    lines = result.err.splitlines()
    told = {run["schedule"]: run for run in result.json["runs"]}
    assert len(told) == len(WRONG) + 1
    for name, (identity, problem) in wrong.items():
        assert (f"⚠️  Schedule {name} is wrong and was passed over: {problem}; correct it with"
                " 'rythm-backup schedule set'") in lines
        assert (told[identity]["result"], told[identity]["error"]) == ("invalid", problem)
        assert told[identity]["schedule_name"] == name
        run = tool.run("run", name)
        assert run.code == 2 and f"schedule {name} is wrong: {problem}" in run.err
    shown = [tool.run(*command) for command in SHOWING]
    assert not [each for each in [result, *shown] if "canary-Zq9" in each.err + each.out]
    assert [(row["schedule_id"], row["status"]) for row in history(home)] == [(good, "completed")]
    assert len(file_store.list()) == 1


@pytest.mark.parametrize("columns", [
    {"schedule_time": None}, {"frequency": "weekly", "days": [1, None]}, {"stores": " \t"}])
def test_one_wrong_row_is_enough(tool, home, file_store, columns):
    configure(home, add_schedule(home), name="odd one", **columns)
    assert tool.run("check", *at("02:00:10")).code == 3
    assert statuses(home) == ["completed"] and len(file_store.list()) == 1


@pytest.mark.parametrize("columns", [
    {"days": [99]}, {"frequency": "hourly", "days": [99]}, {"frequency": "daily"},
    {"time_zone": "UTC"}, {"time_zone": "Etc/GMT0"}, {"catch_up": "1 day"}, {"name": ""},
    {"retention_days": 1000000}])
def test_rows_that_are_odd_but_not_wrong(tool, home, columns):
    """Days mean nothing to an hourly or daily schedule."""
    configure(home, **columns)
    tool.ok("check", *at("02:00:10"))
    assert statuses(home) == ["completed"]


def test_every_zone_of_the_servers_database_is_taken(home):
    assert rows(home, "SELECT name FROM pg_timezone_names WHERE name ~ '/'"
                      " AND name !~ '^(posix|SystemV)/'"
                      " AND NOT rythm_backup_is_time_zone(name)") == []


# Names

def test_a_named_schedule_is_called_by_its_name(tool, home, file_store, tmp_path):
    configure(home, name="Nightly Größe")
    bad = tool.with_settings(**pg_dumps.script(tmp_path, "exit 1"))
    (run,) = bad.run("check", "--json", *at("02:00:10")).json["runs"]
    assert run["schedule_name"] == "Nightly Größe"
    (planned,) = tool.ok("check", "--dry-run", "--json", *at("02:00:10")).json["schedules"]
    assert planned["schedule_name"] == "Nightly Größe"
    assert "Nightly Größe" in tool.ok("check", "--dry-run", *at("02:00:10")).out
    tool.ok("run", "Nightly Größe", "--no-notify")
    assert len(file_store.list()) == 1
    assert {row["schedule_id"] for row in history(home)} == {schedule(home)["schedule_id"]}


def test_run_of_one_of_several_names(tool, home):
    configure(home, name="first")
    second = add_schedule(home)
    configure(home, second, name="second")
    tool.ok("run", "second", "--no-notify")
    assert [row["schedule_id"] for row in history(home)] == [second]
    tool.ok("run", second, "--no-notify")
    assert [row["schedule_id"] for row in history(home)] == [second, second]
    result = tool.run("run", "third")
    assert result.code == 2 and "there is no schedule 'third'" in result.err


def test_an_id_goes_before_a_name(tool, home):
    """A row may bear another's id as its name."""
    older = schedule(home)["schedule_id"]
    newer = add_schedule(home)
    configure(home, older, name=newer)
    configure(home, newer, name=older)
    for identity in (older, newer):
        (shown,) = tool.ok("schedule", "show", identity, "--json").json["schedules"]
        assert shown["schedule"] == identity
        tool.ok("run", identity, "--no-notify")
    assert [row["schedule_id"] for row in history(home)] == [older, newer]


def test_a_running_schedule_is_called_by_its_name(tool, home, tmp_path):
    configure(home, name="nightly")
    gate = pg_dumps.gate_before(tmp_path)
    process = tool.with_settings(**gate.settings).start("run", "--no-notify")
    gate.reached()
    busy = tool.run("run")
    left_alone = tool.ok("check", *at("02:00:10"))
    gate.open()
    assert tool.finish(process).code == 0
    assert busy.code == 4 and "another process is backing up schedule nightly" in busy.err
    assert "Another process is backing up schedule nightly: left to it" in left_alone.err


def test_what_is_edited_while_it_waits_is_obeyed(tool, home, other, file_store, tmp_path):
    """Behind another schedule's long backup: another database and another store by now."""
    waiting = schedule(home)["schedule_id"]
    add_schedule(home, "01:50")
    moved = FileStore(tmp_path / "moved")
    gate = pg_dumps.gate_before(tmp_path)
    process = tool.with_settings(**gate.settings).start("check", *at("02:00:10"))
    gate.reached()
    configure(home, waiting, target_dbname=other.name, stores=own_url(moved))
    gate.open()
    result = tool.finish(process)
    assert result.code == 0, result.err
    (stored,) = moved.list()
    assert (stored.metadata["schedule"], stored.metadata["database"]) == (waiting, other.name)
    (usual,) = file_store.list()
    assert usual.metadata["database"] == home.name
    assert {row["schedule_id"]: row["store"] for row in history(home)}[waiting] == own_url(moved)


def test_what_is_edited_wrong_while_it_waits_is_passed_over(tool, home, file_store, tmp_path):
    waiting = schedule(home)["schedule_id"]
    add_schedule(home, "01:50")
    gate = pg_dumps.gate_before(tmp_path)
    process = tool.with_settings(**gate.settings).start("check", *at("02:00:10"))
    gate.reached()
    configure(home, waiting, name="spoilt", stores="ftp://bucket")
    gate.open()
    result = tool.finish(process)
    assert result.code == 3 and "Schedule spoilt is wrong and was passed over" in result.err
    assert len(file_store.list()) == len(history(home)) == 1


# A window of its own, and what is the application's

@pytest.mark.parametrize("window, time, due", [
    ("10 minutes", "02:09:00", True), ("10 minutes", "02:11:00", False),
    ("5 hours", "06:59:00", True), ("5 hours", "07:01:00", False)])
def test_catch_up_of_its_own(tool, home, window, time, due):
    configure(home, catch_up=window)
    usual = add_schedule(home)
    tool.ok("check", *at(time))
    made = {row["schedule_id"] for row in history(home)} - {usual}
    assert bool(made) == due


def test_a_short_window_outlasts_the_guard(tool, home):
    """A manual backup just before its time puts the scheduled one off by two minutes."""
    configure(home, catch_up="1 minute")
    home.execute("INSERT INTO backup_history (backup_filename, backup_type, status, schedule_id,"
                 " completed_at) SELECT 'manual.sql', 'manual', 'completed', schedule_id,"
                 " '2031-05-06 01:59:30Z' FROM backup_schedule")
    for time in ("02:00:10", "02:01:10"):
        tool.ok("check", *at(time))
        assert len(history(home)) == 1, time
    tool.ok("check", *at("02:02:10"))
    assert statuses(home) == ["completed", "completed"]


def test_tenant_is_the_applications(tool, home):
    tenant = "10000000-0000-4000-8000-000000000001"
    configure(home, tenant_id=tenant)
    tool.ok("check", *at("02:00:10"))
    tool.ok("migrate")
    assert schedule(home)["tenant_id"] == tenant
    assert statuses(home) == ["completed"]

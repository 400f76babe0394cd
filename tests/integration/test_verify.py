"""`verify`: a backup that is good is found to be good, and one that is not is not."""

import contextlib
import os
import signal
import subprocess

import pytest

import processes
from contents import HASHED
from tables import rows

NOWHERE = "postgresql://postgres@127.0.0.1:1/nowhere"
SCRATCH = "SELECT datname FROM pg_database WHERE datname ~ '^rythm_(restore|verify|replaced)_'"
SAMPLE = """
CREATE TABLE account (id integer PRIMARY KEY, name text);
INSERT INTO account SELECT g, 'account ' || g FROM generate_series(1, 500) g;
CREATE TABLE entry (id serial PRIMARY KEY, account integer REFERENCES account, note text);
INSERT INTO entry (account, note) SELECT g % 500 + 1, 'note ' || g FROM generate_series(1, 1000) g;
CREATE SCHEMA "it's";
CREATE TABLE "it's"."odd ""table" (a text) PARTITION BY LIST (a);
CREATE TABLE "it's".part PARTITION OF "it's"."odd ""table" DEFAULT;
INSERT INTO "it's"."odd ""table" VALUES ('x'), (NULL), (E'a\\tb\\\\c\\nd');
SELECT lo_from_bytea(4711, 'large');
"""
# All rows are there before this is, where they are restored; it waits until somebody holds the lock
# that GO_ON takes, in whatever database, but not for ever.
SLOW = """
CREATE FUNCTION waits() RETURNS boolean LANGUAGE plpgsql AS $$BEGIN
    FOR i IN 1..CASE WHEN current_database() LIKE 'rythm_verify_%' THEN 200 ELSE 0 END LOOP
        EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 471100);
        PERFORM pg_sleep(0.01);
    END LOOP;
    RETURN true;
END$$;
CREATE MATERIALIZED VIEW slow AS SELECT waits()
"""
GO_ON = "SELECT pg_advisory_lock(471100)"


def row(database, name):
    (found,) = rows(database, "SELECT status, verified_at, verified_rows, verify_duration_ms,"
                              " verify_failed_at, verify_error FROM backup_history"
                              " WHERE backup_filename = %s", name)
    return found


@pytest.fixture
def sample(small_database):
    small_database.execute(SAMPLE)
    return small_database


@pytest.fixture
def tool(make_tool, sample, file_store):
    return make_tool(sample, file_store)


@pytest.fixture
def make_backup(tool):
    def make(*options):
        return tool.ok("run", "--no-notify", *options).out.strip()
    return make


def spoil(store, name):
    path = store.folder / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def none_left(database):
    return database.execute(SCRATCH) == []


@pytest.mark.parametrize("arguments", [(), ("--quick",), ("--all",), ("--all", "--quick")])
def test_the_newest_is_not_whole(tool, file_store, make_backup, arguments):
    """An older one that is good is no reason to say nothing."""
    older = make_backup()
    name = make_backup()
    path = file_store.folder / name
    path.write_bytes(path.read_bytes()[:-1])
    result = tool.run("verify", *arguments)
    assert result.code == 1
    assert name in result.err and "not whole" in result.err
    assert f"ed {older} in " in result.err
    tool.ok("verify", older)


@pytest.mark.parametrize("spoiled", (
    "ALTER TABLE entry DISABLE TRIGGER ALL; INSERT INTO entry (account) VALUES (777333);"
    " ALTER TABLE entry ENABLE TRIGGER ALL",
    "CREATE TABLE flag (); CREATE TABLE odds (o integer); INSERT INTO odds VALUES (777333);"
    " CREATE FUNCTION judge(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS"
    " $$ BEGIN IF EXISTS (SELECT FROM public.flag) THEN RETURN ('x' || $1)::integer; END IF;"
    " RETURN 0; END $$;"
    " CREATE INDEX ON odds (judge(o)); INSERT INTO flag DEFAULT VALUES",
    "CREATE TABLE flag (); CREATE TABLE odds (o integer); INSERT INTO odds VALUES (777333);"
    " CREATE FUNCTION judge(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS"
    " $$ BEGIN IF EXISTS (SELECT FROM public.flag) THEN EXECUTE 'SELECT ' || $1 || '/0'; END IF;"
    " RETURN 0; END $$;"
    " CREATE INDEX ON odds (judge(o)); INSERT INTO flag DEFAULT VALUES",
))
def test_what_stands_in_a_row_is_not_told(tool, sample, spoiled):
    """Neither in the ledger nor in a mail: an administrator is not a reader of the data."""
    sample.execute(spoiled)
    name = tool.ok("run", "--no-notify").out.strip()
    result = tool.run("verify")
    assert result.code == 1 and "The backup is not good" in result.err
    error = row(sample, name)["verify_error"]
    assert "Postgres says: " in error
    assert "777333" not in error and "777333" not in result.err


def test_a_good_one(tool, sample, make_backup):
    older = make_backup()
    name = make_backup()
    result = tool.ok("verify")
    assert f"✅ Verified {name} in " in result.err
    assert "rows in" in result.err and "tables are as they were" in result.err
    assert none_left(sample)
    found = row(sample, name)
    assert found["verified_at"] is not None and found["verify_error"] is None
    listed = {each["name"]: each for each in tool.ok("list", "--json").json["backups"]}
    assert found["verified_rows"] == listed[name]["rows"] == listed[name]["verified_rows"]
    assert listed[older]["verified_at"] is None
    assert row(sample, older)["verified_at"] is None
    tool.ok("verify", older)
    assert row(sample, older)["verified_at"] is not None
    assert "VERIFIED" in tool.ok("list").out


@pytest.mark.parametrize("options", [("--compression", "gzip"), ("--compression", "none"),
                                     ("--engine", "pg_dump"),
                                     ("--engine", "pg_dump", "--compression", "none")])
def test_kinds_of_backups(tool, sample, make_backup, options):
    name = make_backup(*options)
    (found,) = tool.ok("verify", name, "--json").json["backups"]
    assert (found["name"], found["verdict"], found["problem"]) == (name, "good", None)
    assert (found["rows"] is None) == ("pg_dump" in options)
    assert tool.ok("verify", "--quick", name).out == ""
    assert none_left(sample)


def test_children_whose_columns_stand_otherwise(tool, sample, make_backup):
    """pg_dump makes a child with its parent's columns first."""
    sample.execute("""
        CREATE TABLE parent (a integer, b text); CREATE TABLE child (c integer) INHERITS (parent);
        ALTER TABLE parent ADD z integer DEFAULT 3;
        INSERT INTO child (a, b, c) SELECT g, 'b', g FROM generate_series(1, 3) g;
        CREATE TABLE late (b text, a integer, z integer); INSERT INTO late VALUES ('x', 1, 2);
        ALTER TABLE late INHERIT parent""")
    name = make_backup()
    tool.ok("verify", name)
    assert row(sample, name)["verified_at"] is not None


def test_old_services_backup(tool, sample, file_store):
    dump = subprocess.run(["pg_dump", sample.url], check=True, capture_output=True).stdout
    name = "rythm-backup-2025-01-29T02-00-01-123Z.sql"
    file_store.put(name, dump)
    result = tool.ok("verify", name)
    assert "Verified" in result.err
    file_store.put(name, dump[:-100])
    assert tool.run("verify", name).code == 1
    assert tool.run("verify", "--quick", name).code == 1


def test_quick_needs_no_database_and_proves_less(tool, sample, make_backup):
    name = make_backup()
    result = tool.with_settings(DATABASE_URL=NOWHERE).ok("verify", "--quick", name)
    assert f"✅ Checked {name} in " in result.err
    tool.ok("verify", "--quick", name)
    assert row(sample, name)["verified_at"] is None


def test_all(tool, sample, make_backup, file_store):
    names = [make_backup(), make_backup(), make_backup()]
    spoil(file_store, names[1])
    result = tool.run("verify", "--all", "--json")
    assert result.code == 1
    verdicts = {each["name"]: each["verdict"] for each in result.json["backups"]}
    assert verdicts == {names[0]: "good", names[1]: "bad", names[2]: "good"}
    assert none_left(sample)


@pytest.fixture
def other_server(cluster, request):
    """A role that may make databases, and no more."""
    name = f"verifier_{os.getpid()}"
    cluster.execute("postgres", f"CREATE ROLE {name} LOGIN CREATEDB PASSWORD 'v3r1fy'")
    yield f"postgresql://{name}:v3r1fy@127.0.0.1:{cluster.port}/postgres"
    cluster.execute("postgres", f"DROP ROLE {name}")


@pytest.mark.parametrize("how", ["--server", "RYTHM_BACKUP_VERIFY_SERVER"])
def test_elsewhere(tool, sample, make_backup, other_server, how):
    """There a role without rights is enough: owners and privileges are not restored."""
    sample.execute("DROP MATERIALIZED VIEW IF EXISTS slow")
    name = make_backup("--engine", "parallel")
    if how == "--server":
        tool.ok("verify", name, how, other_server)
    else:
        tool.with_settings(**{how: other_server}).ok("verify", name)
    assert row(sample, name)["verified_at"] is not None


def test_bad_one(make_tool, sample, file_store, acs, make_backup):
    tool = make_tool(sample, file_store, acs)
    sample.execute("UPDATE backup_schedule SET enabled = true")
    name = make_backup()
    spoil(file_store, name)
    for _ in range(2):
        result = tool.run("verify", name)
        assert result.code == 1
        assert f"❌ The backup is not good: verifying {name}: " in result.err
        assert "its SHA-256 is not the one in the manifest" in result.err
    found = row(sample, name)
    assert (found["status"], found["verified_at"]) == ("completed", None)
    assert "SHA-256" in found["verify_error"] and found["verify_failed_at"] is not None
    assert len({message["recipients"]["to"][0]["address"] for message in acs.messages}) == \
        len(acs.messages) > 0
    assert "failed" in tool.ok("list").out
    assert tool.run("status").code == 1
    assert none_left(sample)


def refuse_deliveries(database):
    database.execute("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
                     " $$BEGIN RAISE 'not just now'; END$$;"
                     "CREATE TRIGGER refuse BEFORE INSERT ON rythm_backup_deliveries"
                     " FOR EACH ROW EXECUTE FUNCTION refuse()")


def failures_told(acs):
    return [message["content"]["subject"] for message in acs.messages].count(
        "❌ Database Backup Verification Failed")


def test_bad_one_that_could_not_be_told(make_tool, sample, file_store, acs, make_backup):
    """Recorded all the same; a later check tells of it, once, also when several do so at once."""
    acs.running_polls = 0
    tool = make_tool(sample, file_store, acs, RYTHM_BACKUP_NOTIFY_TO="one@rythm.example")
    name = make_backup()
    spoil(file_store, name)
    refuse_deliveries(sample)
    result = tool.run("verify", "--quick", name)
    assert result.code == 1 and "preparing the notification" in result.err
    assert row(sample, name)["verify_failed_at"] is not None
    assert "not just now" in tool.run("check", "-q").err
    sample.execute("DROP TRIGGER refuse ON rythm_backup_deliveries")
    assert failures_told(acs) == 0
    ticks = [tool.start("check", "-q") for _ in range(3)]
    assert {tool.finish(tick).code for tick in ticks} == {0}
    assert (failures_told(acs), len(acs.messages)) == (1, 1)
    text = acs.messages[0]["content"]["plainText"]
    assert f"\nBackup: {name}\n" in text and "its SHA-256 is not the one" in text
    assert f"\nDatabase: {sample.name}\n" in text
    tool.ok("check", "-q")
    assert tool.run("verify", "--quick", name).code == 1
    tool.ok("check", "-q")
    assert len(acs.messages) == 1


def test_nobody_to_tell_is_not_asked_again(tool, sample, make_backup, file_store):
    name = make_backup()
    spoil(file_store, name)
    assert tool.run("verify", "--quick", name).code == 1
    assert sample.value("SELECT verify_told_at IS NOT NULL FROM backup_history")


def test_what_cannot_be_verified_is_not_bad(tool, sample, make_backup, file_store):
    name = make_backup()
    result = tool.run("verify", name, "--server", "postgresql://postgres@127.0.0.1:1/x")
    assert result.code == 1 and "The backup is not good" not in result.err
    (file_store.folder / name).chmod(0)
    if os.geteuid() != 0:
        assert tool.run("verify", name).code == 1
    (file_store.folder / name).chmod(0o600)
    found = row(sample, name)
    assert (found["verify_error"], found["verify_failed_at"]) == (None, None)


def test_no_right_to_make_databases(tool, sample, cluster, make_backup):
    role = f"nobody_{os.getpid()}"
    cluster.execute("postgres", f"CREATE ROLE {role} LOGIN PASSWORD 'n0b0dy'")
    try:
        name = make_backup()
        result = tool.run("verify", name, "--server",
                          f"postgresql://{role}:n0b0dy@127.0.0.1:{cluster.port}/postgres")
        assert result.code in (1, 2) and "CREATEDB" in result.err
        assert row(sample, name)["verify_error"] is None
    finally:
        cluster.execute("postgres", f"DROP ROLE {role}")


def test_ledger_that_does_not_answer(tool, sample, make_backup, cluster):
    """The backup is good; that nobody knows of it shows in the exit code."""
    name = make_backup()
    result = tool.with_settings(DATABASE_URL=NOWHERE).run(
        "verify", name, "--server", cluster.url("postgres"))
    assert result.code == 3, result.err
    assert f"Verified {name}" in result.err and "recording the verification" in result.err


def in_scratch(cluster):
    """A connection to the scratch database of a verification that has restored all rows."""
    def waiting():
        with cluster.connect("postgres") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_stat_activity WHERE datname ~ '^rythm_verify_'"
                           " AND query LIKE 'REFRESH%' AND state = 'active'")
            found = cursor.fetchall()
        connection.close()
        return found
    ((name,), *_) = processes.wait_until(waiting, "the rows are restored")
    return cluster.connect(name)


@pytest.mark.parametrize("change, text", [
    ("UPDATE account SET name = 'other' WHERE id = 7",
     "table public.account has as many rows (500) as when it was backed up, but not the same"),
    ("DELETE FROM entry WHERE id = 9",
     "table public.entry has 999 rows, and had 1000 when it was backed up"),
    ("INSERT INTO \"it's\".part VALUES ('x')",
     "table it's.part has 4 rows, and had 3 when it was backed up"),
    ("DELETE FROM \"it's\".part WHERE a = 'x'; INSERT INTO \"it's\".part VALUES (NULL)",
     "table it's.part has as many rows (3) as when it was backed up, but not the same"),
    ("DROP TABLE entry", "table public.entry is missing"),
    ("CREATE TABLE more AS SELECT 1", "table public.more is not in the manifest"),
    ("SELECT lo_unlink(4711)", "there are 0 large objects, and were 1 when it was backed up"),
    ("SELECT lo_put(4711, 0, 'L')", "the large objects are not the same"),
])
def test_changed_behind_its_back(tool, sample, cluster, make_backup, change, text):
    sample.execute(SLOW)
    name = make_backup()
    process = tool.start("verify", name)
    connection = in_scratch(cluster)
    with connection.cursor() as cursor:
        cursor.execute(change)
    connection.close()
    with contextlib.closing(cluster.connect("postgres")) as connection:
        connection.cursor().execute(GO_ON)
        result = tool.finish(process)
    assert result.code == 1 and text in result.err, result.err
    assert text in row(sample, name)["verify_error"]
    assert none_left(sample)


def test_what_the_other_server_need_not_have(tool, sample, make_backup):
    """Policies, triggers on events and their comments are left out, whoever they name."""
    sample.execute("CREATE POLICY mine ON account USING (true); COMMENT ON POLICY mine ON account"
                   " IS 'x'; CREATE FUNCTION tell() RETURNS event_trigger LANGUAGE plpgsql AS"
                   " 'BEGIN END'; CREATE EVENT TRIGGER told ON ddl_command_end"
                   " EXECUTE FUNCTION tell(); COMMENT ON EVENT TRIGGER told IS 'y'")
    tool.ok("verify", make_backup("--engine", "parallel"))


def test_partitions_by_the_hash_of_an_enum(tool, sample, make_backup):
    """They are restored through their root, and not every value comes to its old partition."""
    sample.execute(HASHED)
    tool.ok("verify", make_backup())


def test_killed_and_live_ones(tool, sample, cluster, make_backup):
    """What a dead one left is dropped by the next; what is in use is not."""
    sample.execute(SLOW)
    name = make_backup()
    process = tool.start("verify", name)
    in_scratch(cluster).close()
    process.send_signal(signal.SIGKILL)
    tool.finish(process)
    ((dead,),) = sample.execute(SCRATCH)
    live = tool.start("verify", name)
    processes.wait_until(lambda: (dead,) not in sample.execute(SCRATCH), "the dead one is dropped")
    in_scratch(cluster).close()
    ((living,),) = sample.execute(SCRATCH)
    tool.ok("verify", name)
    assert (living,) in sample.execute(SCRATCH) or live.poll() is not None
    assert tool.finish(live).code == 0
    assert none_left(sample)


def test_stopped(tool, sample, cluster, make_backup):
    sample.execute(SLOW)
    name = make_backup()
    process = tool.start("verify", name)
    in_scratch(cluster).close()
    process.send_signal(signal.SIGTERM)
    assert tool.finish(process).code == 143
    assert none_left(sample)
    assert row(sample, name)["verify_error"] is None


def test_schedule_that_asks_for_it(tool, sample, file_store):
    """Every second one, by check."""
    tool.ok("schedule", "set", "--time", "02:00", "--time-zone", "UTC", "--verify-every", "2")
    sample.execute("UPDATE backup_schedule SET enabled = true, timed_at = '2031-01-01'")
    for day in range(1, 5):
        tool.ok("check", "--now", f"2031-05-0{day} 02:00:10")
    verified = [found["verified_at"] is not None for found in rows(
        sample, "SELECT verified_at FROM backup_history ORDER BY occurrence_at")]
    assert verified == [False, True, False, True]
    assert none_left(sample)


def test_check_tells_of_a_bad_one(make_tool, sample, file_store, acs, tmp_path):
    """A backup that does not restore: its check refuses what is in the table already."""
    sample.execute("CREATE TABLE later (a integer); INSERT INTO later VALUES (1);"
                   "CREATE FUNCTION fits(integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS"
                   " 'SELECT NOT EXISTS (SELECT FROM public.later WHERE a <> $1)';"
                   "ALTER TABLE later ADD CONSTRAINT fits CHECK (fits(a));"
                   "CREATE OR REPLACE FUNCTION fits(integer) RETURNS boolean LANGUAGE sql"
                   " IMMUTABLE AS 'SELECT false'")
    tool = make_tool(sample, file_store, acs)
    tool.ok("schedule", "set", "--time", "02:00", "--time-zone", "UTC", "--verify-every", "1")
    sample.execute("UPDATE backup_schedule SET enabled = true, timed_at = '2031-01-01'")
    result = tool.run("check", "--now", "2031-05-01 02:00:10")
    assert result.code == 1, result.err
    assert "The backup is not good: " in result.err and "later" in result.err
    assert any("verification" in message["content"]["subject"].lower()
               for message in acs.messages), acs.messages
    assert none_left(sample)


@pytest.mark.parametrize("arguments, text", [
    (("--all", "latest"), "verify --all takes no name"),
    (("--quick", "--server", "x"), "verify --quick restores nothing, and so needs no --server"),
    (("a", "b"), "verify takes no argument 'b'"),
    (("../rythm-backup-x.sql",), ""),
    (("rythm-backup-%2e.sql",), ""),
    (("",), ""),
])
def test_wrong_use(tool, arguments, text):
    result = tool.run("verify", *arguments)
    assert result.code == 2 and text in result.err


def test_no_such_backup(tool, make_backup):
    make_backup()
    result = tool.run("verify", "rythm-backup-2031-01-01T02-00-00-000Z.sql.zst")
    assert result.code == 2 and "list" in result.err


def test_progress_is_for_terminals(tool, make_backup):
    make_backup()
    assert "\r" not in tool.ok("verify").err

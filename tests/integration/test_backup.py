"""What a backup is: everything restores from it, and nothing is stored that is not whole."""

import contextlib
import gzip
import hashlib
import os
import pty
import re
import select
import subprocess
import time

import pg_dumps
import postgres_cluster
import processes
import pytest
from tables import PRIVILEGES, at, enable, history, schedule, statuses
from tool import peak_to

MIB = 1 << 20
LAST_LINE = "-- rythm-backup dump complete"
# In an error text this would be somebody's password.
CANARY = "canary-Zq9-s3cret"


def restore(cluster, make_database, script, tmp_path):
    """A new database with what `script` (SQL) makes; the first error of psql fails."""
    (tmp_path / "restore.sql").write_bytes(script)
    database = make_database()
    cluster.load(database.name, tmp_path / "restore.sql")
    return database


def decompress(content, name):
    tool = {".zst": "zstd", ".gz": "gzip", ".sql": "cat"}[name[name.rindex("."):]]
    options = [] if tool == "cat" else ["-dc"]
    return subprocess.run([tool, *options], input=content, capture_output=True, check=True).stdout


def without_ledger(dump):
    """A dump less the rows of backup_history, which the run itself changes."""
    return re.sub(r"^COPY public\.backup_history .*?^\\\.$", "", dump,
                  flags=re.MULTILINE | re.DOTALL)


def on_terminal(tool, *arguments, streams=("stderr",)):
    """Runs the program with these streams on a terminal; (exit code, what the terminal got)."""
    ours, theirs = pty.openpty()
    process = tool.start(*arguments, **{stream: theirs for stream in streams})
    os.close(theirs)
    shown = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # EIO: the last one has closed it
            break
    os.close(ours)
    return tool.finish(process).code, shown.decode()


def fails(tool, *arguments):
    """A run that must fail with exit code 1; its error line."""
    result = tool.run("run", "--no-notify", *arguments)
    assert result.code == 1, result.err
    (line,) = [line for line in result.err.splitlines() if line.startswith("❌")]
    return line


def assert_nothing_stored(database, store):
    assert store.list() == []
    assert statuses(database) == ["failed"]


# The object

def test_restores_equal(make_tool, database, store, cluster, make_database, tmp_path):
    before = without_ledger(database.dump())
    make_tool(database, store).ok("run", "--no-notify")
    (stored,) = store.list()
    script = decompress(store.read(stored.name), stored.name)
    restored = restore(cluster, make_database, script, tmp_path)
    assert without_ledger(restored.dump()) == before


def test_owners_and_privileges_are_kept(tool, database, file_store, cluster, make_database,
                                        tmp_path, role):
    owner, _ = role(database, "ALTER TABLE invoices OWNER TO {role}",
                    "GRANT SELECT, UPDATE ON users TO {role}")
    tool.ok("run", "--no-notify")
    (stored,) = file_store.list()
    script = decompress(file_store.read(stored.name), stored.name)
    restored = restore(cluster, make_database, script, tmp_path)
    try:
        assert restored.value("SELECT relowner::regrole::text FROM pg_class"
                              " WHERE relname = 'invoices'") == owner
        assert restored.value("SELECT has_table_privilege(%s, 'users', 'UPDATE')", owner)
        assert not restored.value("SELECT has_table_privilege(%s, 'users', 'DELETE')", owner)
    finally:
        restored.execute(f"DROP OWNED BY {owner}")


def test_digest_and_sizes_are_the_objects(make_tool, database, store):
    tool = make_tool(database, store)
    printed = tool.ok("run", "--no-notify", "--json").json
    (stored,) = store.list()
    (listed,) = tool.ok("list", "--json").json["backups"]
    (row,) = history(database)
    content = store.read(stored.name)
    digest = hashlib.sha256(content).hexdigest()
    assert [place["sha256"] for place in (printed, listed, row, stored.metadata)] == [digest] * 4
    assert (printed["bytes"], listed["bytes"], row["file_size_bytes"]) == (len(content),) * 3
    raw = len(decompress(content, stored.name))
    assert (printed["raw_bytes"], listed["raw_bytes"], row["raw_size_bytes"]) == (raw,) * 3


@pytest.mark.parametrize("compression, suffix, opens", [
    ("zstd:3", ".sql.zst", lambda content: decompress(content, ".zst")),
    ("gzip", ".sql.gz", gzip.decompress), ("gzip:9", ".sql.gz", gzip.decompress),
    ("none", ".sql", bytes)])
def test_compression(tool, file_store, compression, suffix, opens):
    tool.ok("run", "--no-notify", "--compression", compression)
    (stored,) = file_store.list()
    assert stored.name.endswith("Z" + suffix)
    assert stored.metadata["compression"] == compression.partition(":")[0]
    script = opens(file_store.read(stored.name))
    assert len(script) == int(stored.metadata["rawbytes"])
    assert pg_dumps.END.encode() in script[-512:]


def test_large_backup_of_several_blocks(make_tool, database, store, tmp_path):
    """Incompressible, so that it is cut; in the order in which it was dumped."""
    fake = pg_dumps.script(tmp_path, f'head -c {20 * MIB} /dev/urandom | tee "$0.noise"\n'
                                     f"printf '{pg_dumps.END}'")
    make_tool(database, store, **fake).ok("run", "--no-notify", "--compression", "none")
    (stored,) = store.list()
    assert store.read(stored.name) == ((tmp_path / "pg_dump.noise").read_bytes()
                                       + f"{pg_dumps.END}\n{LAST_LINE}\n".encode())
    assert store.leftovers() == []


# run

def test_run_prints_the_name(tool, database, file_store):
    result = tool.ok("run", "--no-notify")
    assert result.out == file_store.list()[0].name + "\n"
    (row,) = history(database)
    assert (row["backup_type"], row["status"], row["occurrence_at"]) == (
        "manual", "completed", None)


def test_run_says_what_it_did(tool):
    lines = tool.ok("run", "--no-notify").err.splitlines()
    assert lines[0] == "Starting database backup..."
    assert lines[3].startswith("✅ Manual backup completed successfully in ")


def test_run_needs_no_enabled_schedule(tool, database):
    assert not schedule(database)["enabled"]
    tool.ok("run", "--no-notify")
    assert schedule(database)["last_run_at"] is not None


def test_run_of_a_named_schedule(tool, database):
    other = database.value("INSERT INTO backup_schedule (enabled) VALUES (false)"
                           " RETURNING schedule_id::text")
    tool.ok("run", other, "--no-notify")
    assert [row["schedule_id"] for row in history(database)] == [other]


def test_run_must_be_told_which(tool, database):
    database.execute("INSERT INTO backup_schedule (enabled) VALUES (false)")
    result = tool.run("run")
    assert result.code == 2
    assert result.err == ("❌ there are 2 schedules: name the one to back up; 'rythm-backup schedule"
                          " show' lists them\n")


def test_run_of_an_unknown_schedule(tool):
    result = tool.run("run", "nightly")
    assert result.code == 2 and "there is no schedule 'nightly'" in result.err


# run --output

def test_output_to_a_file(make_tool, sample, make_database, cluster, tmp_path):
    """No table of ours is there, and no store is needed."""
    database = make_database(sample)
    result = make_tool(database, RYTHM_BACKUP_STORES="file:///proc/nowhere").ok(
        "run", "--output", "a copy.sql.zst")
    content = (tmp_path / "a copy.sql.zst").read_bytes()
    assert (result.out, result.err) == ("", f"✅ Wrote {size(content)} (sha256"
                                            f" {hashlib.sha256(content).hexdigest()})\n")
    restored = restore(cluster, make_database, decompress(content, ".zst"), tmp_path)
    assert restored.dump() == database.dump()


def size(content):
    return f"{len(content) / 1024:.1f} KB"


def test_output_to_stdout(make_tool, sample, make_database, cluster, tmp_path):
    database = make_database(sample)
    with open(tmp_path / "out", "wb") as out:
        make_tool(database).ok("run", "--output", "-", stdout=out)
    restored = restore(cluster, make_database,
                       decompress((tmp_path / "out").read_bytes(), ".zst"), tmp_path)
    assert restored.dump() == database.dump()


def test_output_replaces_a_file_only_when_it_is_whole(tool, tmp_path):
    (tmp_path / "copy").write_text("the last one")
    bad = tool.with_settings(**pg_dumps.script(tmp_path, '"$REAL" "$@" | head -c 1000; exit 1'))
    assert bad.run("run", "--output", "copy").code == 1
    assert (tmp_path / "copy").read_text() == "the last one"
    tool.ok("run", "--output", "copy")
    assert (tmp_path / "copy").read_bytes()[:4] == b"\x28\xb5\x2f\xfd"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "pg_dump"]


def test_output_is_private(tool, tmp_path):
    tool.ok("run", "--output", "copy")
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600


def test_output_takes_no_schedule(tool, database):
    result = tool.run("run", str(schedule(database)["schedule_id"]), "--output", "copy")
    assert result.code == 2 and "it takes no schedule" in result.err


@pytest.mark.parametrize("option", ["--json", "--no-prune", "--no-notify"])
def test_output_takes_no_option_of_a_stored_backup(tool, tmp_path, option):
    result = tool.run("run", "--output", "copy", option)
    assert result.code == 2
    assert result.err == f"❌ run --output takes no option '{option}'\n"
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("stores", ["nonsense", "ftp://bucket", "file:///a file:///b", "azblob://"])
def test_output_asks_for_no_store(tool, tmp_path, stores):
    tool.with_settings(RYTHM_BACKUP_STORES=stores).ok("run", "--output", "copy")
    assert (tmp_path / "copy").stat().st_size > 0


def test_output_to_a_folder(tool, tmp_path):
    result = tool.run("run", "--output", tmp_path)
    assert result.code == 2 and "is a folder; name a file" in result.err


def test_compressed_bytes_are_not_for_a_terminal(tool):
    code, shown = on_terminal(tool, "run", "--output", "-", streams=("stdout", "stderr"))
    assert code == 2
    assert shown == ("❌ a compressed dump is not written to a terminal; redirect the output, or"
                     " give --compression none\r\n")


def test_plain_text_may_go_to_a_terminal(tool):
    code, shown = on_terminal(tool, "run", "--output", "-", "--compression", "none",
                              streams=("stdout",))
    assert code == 0 and "-- PostgreSQL database dump complete\r\n" in shown


# The progress line

def test_progress_on_a_terminal(tool):
    code, shown = on_terminal(tool, "run", "--no-notify")
    assert code == 0
    assert re.search(r"\rDumping  [\d.]+ [KM]?B  [\d.]+ [KM]?B/s.*\x1b\[K", shown)
    # It leaves nothing behind: the next line begins where it stood.
    assert "\r\x1b[KBackup created: " in shown


@pytest.mark.parametrize("options", [("--quiet", "run"), ("run", "--log-format=json")])
def test_progress_is_for_people(tool, options):
    code, shown = on_terminal(tool, *options, "--no-notify")
    assert code == 0 and "Dumping" not in shown


def test_no_progress_in_a_file(tool):
    assert "\r" not in tool.ok("run", "--no-notify").err


# A pg_dump on a bad day

def test_older_than_the_server(tool, database, file_store, tmp_path):
    old = pg_dumps.script(tmp_path, "exit 0", version="12.1")
    result = tool.with_settings(**old).run("run", "--no-notify")
    assert result.code == 2
    assert (f"❌ {tmp_path}/pg_dump is version 12 and cannot dump this server,"
            f" which is version 15; install the package postgresql-client-15, or set"
            f" RYTHM_BACKUP_PG_DUMP to a pg_dump of version 15 or newer") in result.err.splitlines()
    assert_nothing_stored(database, file_store)
    assert not file_store.folder.exists()


def test_older_than_the_server_uploads_nothing(make_tool, database, azure_store, azure_proxy,
                                               tmp_path):
    old = pg_dumps.script(tmp_path, "exit 0", version="12.1")
    tool = make_tool(database, **azure_store.settings_through(azure_proxy.port), **old)
    assert tool.run("run", "--no-notify").code == 2
    assert azure_proxy.requests == []


@pytest.mark.parametrize("body, reason", [
    ('"$REAL" "$@" | head -c 100000; echo lost it >&2; exit 3',
     "pg_dump failed with exit status 3: lost it"),
    ('"$REAL" "$@"; exit 1', "pg_dump failed with exit status 1: it printed no reason"),
    ('"$REAL" "$@" | head -c 100000; kill -KILL $$', "pg_dump was killed by SIGKILL"),
    ('"$REAL" "$@" | head -c 100000',
     "pg_dump ended well but its script does not end as a whole one does"),
    ("exit 0", "pg_dump ended well but its script does not end as a whole one does"),
])
def test_ends_badly(make_tool, database, store, tmp_path, body, reason):
    """A dump that is not whole is never published, whatever its exit status says."""
    tool = make_tool(database, store, **pg_dumps.script(tmp_path, body))
    assert fails(tool).startswith(f"❌ dumping the database: {reason}")
    assert_nothing_stored(database, store)
    (row,) = history(database)
    assert reason in row["error_message"]


def test_its_warnings_are_not_errors(tool, tmp_path):
    tool.with_settings(**pg_dumps.script(
        tmp_path, 'echo "pg_dump: warning: circular" >&2; exec "$REAL" "$@"')).ok(
            "run", "--no-notify")


@pytest.mark.parametrize("before", ["", '"$REAL" "$@" | head -c 100000;'])
def test_hangs(make_tool, database, file_store, tmp_path, before):
    body = f'echo $$ >"$0.pid"; {before} exec sleep 600'
    tool = make_tool(database, file_store, RYTHM_BACKUP_STALL_TIMEOUT="1s",
                     **pg_dumps.script(tmp_path, body))
    assert "reading the output of pg_dump: no answer within 1 s" in fails(tool)
    assert_nothing_stored(database, file_store)
    assert not os.path.exists(f"/proc/{int((tmp_path / 'pg_dump.pid').read_text())}")


def test_says_too_much(make_tool, database, file_store, tmp_path):
    """A megabyte on stderr: it goes on, the error is bounded, and no secret is in it."""
    url = database.cluster.url(database.name)
    body = (f'for i in $(seq 10000); do echo "pg_dump: detail $i password={CANARY}'
            f' {"x" * 60}"; done >&2; exit 1')
    result = make_tool(file_store, DATABASE_URL=url, **pg_dumps.script(tmp_path, body)).run(
        "run", "--no-notify")
    assert result.code == 1
    (row,) = history(database)
    for text in (result.err, row["error_message"]):
        assert CANARY not in text and len(text) < 4096
        assert "pg_dump: detail 1 password=***" in text


def test_says_our_own_password(make_tool, database, file_store, tmp_path):
    body = 'echo "cannot connect with $PGPASSWORD" >&2; exit 1'
    assert "cannot connect with ***" in fails(
        make_tool(database, file_store, **pg_dumps.script(tmp_path, body)))
    assert postgres_cluster.PASSWORD not in history(database)[0]["error_message"]


def test_is_not_a_program(tool, database, tmp_path):
    result = tool.with_settings(RYTHM_BACKUP_PG_DUMP=str(tmp_path / "none")).run("run")
    assert result.code == 2
    assert f"'{tmp_path}/none' is not a program that can be run" in result.err
    assert statuses(database) == ["failed"]


def test_is_not_pg_dump(tool):
    result = tool.with_settings(RYTHM_BACKUP_PG_DUMP="/bin/true").run("run")
    assert result.code == 2
    assert "asking /bin/true for its version: it does not answer as pg_dump does" in result.err


# A database that cannot be dumped whole

def test_the_documented_privileges_are_enough(make_tool, database, file_store, role, cluster,
                                              make_database, tmp_path):
    """A role that is no superuser; large objects it must be given one by one."""
    objects = database.execute("SELECT oid FROM pg_largeobject_metadata")
    grants = [f"GRANT SELECT ON LARGE OBJECT {oid} TO {{role}}" for (oid,) in objects]
    name, url = role(database, *PRIVILEGES, *grants, attributes="BYPASSRLS")
    enable(database)
    make_tool(file_store, DATABASE_URL=url).ok("check", *at("02:00:10"))
    (stored,) = file_store.list()
    script = decompress(file_store.read(stored.name), stored.name)
    restored = restore(cluster, make_database, script, tmp_path)
    try:
        assert restored.value("SELECT count(*) FROM medical_notes") == database.value(
            "SELECT count(*) FROM medical_notes")
    finally:
        restored.execute(f"DROP OWNED BY {name}")


def test_row_level_security_is_never_a_short_backup(make_tool, database, file_store, role):
    _, url = role(database, *PRIVILEGES)
    line = fails(make_tool(file_store, DATABASE_URL=url))
    assert "medical_notes" in line and "row-level security" in line
    assert_nothing_stored(database, file_store)


def test_a_table_that_may_not_be_read(make_tool, database, file_store, role):
    _, url = role(database, *PRIVILEGES[1:], "GRANT SELECT ON backup_history, backup_schedule,"
                                             " email_logs TO {role}", attributes="BYPASSRLS")
    assert "permission denied for table" in fails(make_tool(file_store, DATABASE_URL=url))
    assert_nothing_stored(database, file_store)


def test_a_large_object_that_may_not_be_read(make_tool, database, file_store, role):
    _, url = role(database, *PRIVILEGES, attributes="BYPASSRLS")
    assert "large object" in fails(make_tool(file_store, DATABASE_URL=url))
    assert_nothing_stored(database, file_store)


def test_a_locked_table_is_named(make_tool, database, file_store):
    connection = database.connect()
    connection.autocommit = False
    connection.cursor().execute("LOCK TABLE invoices IN ACCESS EXCLUSIVE MODE")
    line = fails(make_tool(database, file_store, RYTHM_BACKUP_LOCK_TIMEOUT="1s"))
    assert "lock timeout" in line and "RYTHM_BACKUP_LOCK_TIMEOUT says how long to wait" in line
    assert f'"invoices" is locked by the session with pid {connection.info.backend_pid}' in line
    connection.rollback()
    connection.cursor().execute("LOCK TABLE invoices IN ACCESS EXCLUSIVE MODE")
    line = fails(make_tool(database, file_store, RYTHM_BACKUP_LOCK_TIMEOUT="1s",
                           RYTHM_BACKUP_ENGINE="pg_dump"))
    connection.close()
    assert "LOCK TABLE public.invoices" in line and "timeout" in line
    assert "longer than RYTHM_BACKUP_LOCK_TIMEOUT; pg_locks shows whose" in line
    assert file_store.list() == []
    assert statuses(database) == ["failed", "failed"]


WHOSE = ("DATABASE {}", "ROLE postgres IN DATABASE {}")
OF_WHOM = pytest.mark.parametrize("whose", WHOSE)
WAIT_S = 0.3
NO_LIMITS = "-c statement_timeout=0 -c lock_timeout=0 -c idle_session_timeout=0" \
            " -c idle_in_transaction_session_timeout=0"
WAITS = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'" \
        " AND application_name = 'rythm-backup' AND datname = current_database()"


def put_down(database, whose, parameter, value):
    database.execute(f"ALTER {whose.format(database.name)} SET {parameter} = '{value}'")


# Either way it is what a session begins with.
@pytest.mark.parametrize("whose, parameter, value", [
    (WHOSE[0], "DateStyle", "German, DMY"), (WHOSE[1], "IntervalStyle", "sql_standard"),
    (WHOSE[0], "bytea_output", "escape"), (WHOSE[1], "extra_float_digits", "-10"),
    (WHOSE[0], "default_transaction_isolation", "serializable"),
    (WHOSE[1], "default_transaction_read_only", "on"), (WHOSE[0], "array_nulls", "off")])
def test_formats_of_the_database_do_not_matter(tool, database, file_store, cluster, make_database,
                                               tmp_path, whose, parameter, value):
    """Neither for the run nor for what is dumped."""
    before = without_ledger(database.dump())
    put_down(database, whose, parameter, value)
    tool.ok("run", "--no-notify")
    (stored,) = file_store.list()
    script = decompress(file_store.read(stored.name), stored.name)
    restored = restore(cluster, make_database, script, tmp_path)
    assert without_ledger(restored.dump()) == before


@OF_WHOM
@pytest.mark.parametrize("parameter, value", [
    ("statement_timeout", "50ms"), ("idle_in_transaction_session_timeout", "50ms"),
    ("idle_session_timeout", "50ms"), ("lock_timeout", "1ms")])
def test_time_limits_of_the_database_do_not_matter(tool, database, cluster, tmp_path, whose,
                                                   parameter, value):
    """While pg_dump has it wait, and while somebody else has the ledger, each would expire."""
    gate = pg_dumps.gate_before(tmp_path)
    put_down(database, whose, parameter, value)
    process = tool.with_settings(**gate.settings).start("run", "--no-notify")
    with contextlib.closing(cluster.connect(database.name, options=NO_LIMITS)) as other:
        other.autocommit = False
        cursor = other.cursor()
        gate.reached()
        time.sleep(WAIT_S)
        # pg_dump can read it all the same.
        cursor.execute("LOCK TABLE backup_history IN SHARE MODE")
        gate.open()

        def waits():
            cursor.execute(WAITS)
            return cursor.rowcount

        processes.wait_until(lambda: waits() or process.poll() is not None, "it writes the ledger")
        time.sleep(WAIT_S)
        other.rollback()
    result = tool.finish(process)
    assert (result.code, statuses(database)) == (0, ["completed"]), result.err


# Memory

def test_memory_is_bounded(make_tool, database, store, tmp_path):
    """Whatever the size: here 200 MB, of which compression leaves 150."""
    tool = make_tool(database, store, **pg_dumps.script(
        tmp_path, f"head -c {150 * MIB} /dev/urandom | base64\nprintf '{pg_dumps.END}'"))
    peak = tmp_path / "peak"
    tool.ok("run", "--no-notify", prefix=peak_to(peak))
    (stored,) = store.list()
    store.remove(stored.name)
    assert int(stored.metadata["rawbytes"]) > 200 * MIB
    assert stored.bytes > 100 * MIB
    assert int(peak.read_text()) < tool.memory_limit(96)

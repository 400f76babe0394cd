"""Many at once, and what dies in between: one backup, whole or not there (I1 to I3)."""

import contextlib
import fcntl
import os
import signal
import socket
import time

import pg_dumps
import processes
import pytest
from fault_proxy import ALWAYS
from stores import FileStore
from tables import add_schedule, at, enable, history, rows, schedule, statuses

SIGNALS = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
INTERRUPTED = "interrupted: the process that ran this backup died before it was published"
LOCK_HOLDER = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (" \
              "SELECT oid FROM pg_database WHERE datname = current_database())"


@pytest.fixture
def nightly(database):
    enable(database)
    return database


@pytest.fixture
def start(tool):
    """A function: the program, begun but not waited for; whatever is left of it is killed."""
    started = []

    def begin(*arguments, settings=None, program=tool):
        process = program.with_settings(**(settings or {})).start(*arguments)
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@contextlib.contextmanager
def locked(database, table, mode="ACCESS EXCLUSIVE"):
    """Holds a lock on the table; an ALTER of the application, say."""
    connection = database.connect()
    connection.autocommit = False
    connection.cursor().execute(f"LOCK TABLE {table} IN {mode} MODE")
    try:
        yield
    finally:
        connection.close()


def wait_for_lock_waiter(database):
    processes.wait_until(
        lambda: rows(database, "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                               " AND datname = current_database()"),
        "somebody waits for a lock")


def end_backend(database, pid):
    """The server notices within seconds that a client is gone; here it is told."""
    database.execute("SELECT pg_terminate_backend(%s)", pid)
    processes.wait_until(lambda: not rows(database, LOCK_HOLDER), "the lock is free")


def is_gone(pid):
    return not os.path.exists(f"/proc/{pid}")


def target_of(descriptor):
    """What a file of /proc leads to; None when it is closed by now."""
    try:
        return os.readlink(descriptor)
    except OSError:
        return None


@contextlib.contextmanager
def waiting_to_publish(tool, database, store, start):
    """A run whose bytes are stored and whose row is its own, held up at the folder's lock."""
    store.folder.mkdir()
    with open(store.folder / ".rythm-backup.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = start("check", *at("02:00:10"))
        descriptors = f"/proc/{process.pid}/fd"
        processes.wait_until(
            lambda: any(target_of(f"{descriptors}/{number}") == os.path.realpath(lock.name)
                        for number in os.listdir(descriptors)), "it waits for the folder's lock")
        assert statuses(database) == ["started"] and store.list() == []
        yield process


def kill(process):
    process.kill()
    process.wait()


def assert_nothing_published(database, store):
    assert store.list() == []
    assert statuses(database) == ["failed"]


# At the same time

def test_32_checks_make_one_backup(tool, nightly, file_store):
    running = [tool.start("check", *at("02:00:10")) for _ in range(32)]
    results = [tool.finish(process) for process in running]
    assert [result.code for result in results] == [0] * 32
    assert statuses(nightly) == ["completed"]
    assert len(file_store.list()) == 1 and file_store.leftovers() == []


def test_checks_of_a_crashed_run_make_one_backup(tool, nightly, file_store):
    """Many at once recover it, although it died before the folder was made, and many at once try
    again when the retry is due."""
    nightly.execute(
        "INSERT INTO backup_history (backup_filename, backup_type, status, started_at, run_id,"
        " schedule_id, occurrence_at, attempt, store) SELECT 'rythm-backup-x.sql', 'scheduled',"
        " 'started', '2031-05-06 02:00Z', '0123456789abcdef', schedule_id, '2031-05-06 02:00Z', 1,"
        " %s FROM backup_schedule", file_store.settings["RYTHM_BACKUP_STORES"])
    for moment in ("02:00:30", "02:01:40"):
        running = [tool.start("check", *at(moment)) for _ in range(16)]
        assert [tool.finish(process).code for process in running] == [0] * 16
    assert statuses(nightly) == ["failed", "completed"]
    assert len(file_store.list()) == 1


def test_two_schedules_run_side_by_side(tool, nightly, tmp_path, start, file_store):
    """A long backup of one does not hold up the other."""
    gate = pg_dumps.gate_within(tmp_path)
    long = start("check", *at("02:00:10"), settings=gate.settings)
    gate.reached()
    nightly.execute("INSERT INTO backup_schedule (enabled, schedule_time) VALUES (true, '02:01')")
    tool.ok("check", *at("02:01:10"))
    assert len(file_store.list()) == 1
    gate.open()
    assert tool.finish(long).code == 0
    assert statuses(nightly) == ["completed", "completed"]


def test_due_when_the_tick_began_is_soon_enough(tool, nightly, tmp_path, start):
    """The dump of the first takes the second one's last seconds of the hour."""
    add_schedule(nightly)
    gate = pg_dumps.gate_within(tmp_path)
    process = start("check", *at("02:59:56"), settings=gate.settings)
    gate.reached()
    time.sleep(4.5)
    gate.open()
    assert tool.finish(process).code == 0
    assert statuses(nightly) == ["completed", "completed"]
    assert len({row["schedule_id"] for row in history(nightly)}) == 2


def test_check_leaves_a_running_backup_alone(tool, nightly, tmp_path, start):
    gate = pg_dumps.gate_within(tmp_path)
    running = start("check", *at("02:00:10"), settings=gate.settings)
    gate.reached()
    result = tool.ok("check", *at("02:01:00"))
    assert result.err == (f"ℹ️  Another process is backing up schedule"
                          f" {schedule(nightly)['schedule_id']}: left to it\n")
    assert statuses(nightly) == ["started"]
    gate.open()
    assert tool.finish(running).code == 0
    assert statuses(nightly) == ["completed"]


def test_json_of_a_running_backup(tool, nightly, tmp_path, start):
    gate = pg_dumps.gate_within(tmp_path)
    start("check", *at("02:00:10"), settings=gate.settings)
    gate.reached()
    (run,) = tool.ok("check", "--json", *at("02:01:00")).json["runs"]
    assert (run["result"], run["name"]) == ("locked", None)


def test_run_while_another_runs(tool, nightly, tmp_path, start, file_store):
    gate = pg_dumps.gate_within(tmp_path)
    running = start("run", "--no-notify", settings=gate.settings)
    gate.reached()
    result = tool.run("run")
    assert result.code == 4
    assert result.err == (f"❌ another process is backing up schedule"
                          f" {schedule(nightly)['schedule_id']}\n")
    gate.open()
    assert tool.finish(running).code == 0
    assert len(file_store.list()) == 1


def test_schedule_edited_during_the_run(tool, nightly, tmp_path, start):
    """It ends as it began; next_run_at is of the new time."""
    gate = pg_dumps.gate_within(tmp_path)
    running = start("check", *at("02:00:10"), settings=gate.settings)
    gate.reached()
    nightly.execute("UPDATE backup_schedule SET schedule_time = '05:00', enabled = false")
    gate.open()
    assert tool.finish(running).code == 0
    assert statuses(nightly) == ["completed"]
    assert nightly.value("SELECT next_run_at = '2031-05-06 05:00Z' FROM backup_schedule")


def test_schedule_deleted_during_the_run(tool, nightly, tmp_path, start, file_store):
    gate = pg_dumps.gate_within(tmp_path)
    running = start("check", *at("02:00:10"), settings=gate.settings)
    gate.reached()
    nightly.execute("DELETE FROM backup_schedule")
    gate.open()
    tool.finish(running)
    assert statuses(nightly) == ["completed"] and len(file_store.list()) == 1


# kill -9

@pytest.mark.parametrize("gate_at", [pg_dumps.gate_before, pg_dumps.gate_within,
                                     pg_dumps.gate_after])
def test_killed_before_it_published(tool, nightly, tmp_path, start, file_store, gate_at):
    """Nothing is visible; the next check says so, the one after that makes the backup."""
    gate = gate_at(tmp_path)
    process = start("check", *at("02:00:10"), settings=gate.settings)
    child = gate.reached()
    kill(process)
    assert file_store.list() == [] and statuses(nightly) == ["started"]
    processes.wait_until(lambda: is_gone(child), "pg_dump has ended with its parent")
    processes.wait_until(lambda: not rows(nightly, LOCK_HOLDER), "the lock is free")

    result = tool.ok("check", *at("02:00:40"))
    (row,) = history(nightly)
    assert (row["status"], row["error_message"]) == ("failed", INTERRUPTED)
    assert f"Backup {row['backup_filename']} was interrupted" in result.err
    assert file_store.leftovers() == []

    tool.ok("check", *at("02:01:50"))
    assert statuses(nightly) == ["failed", "completed"]
    assert len(file_store.list()) == 1


def test_killed_before_it_published_to_azure(make_tool, nightly, tmp_path, start, azure_store):
    tool = make_tool(nightly, azure_store)
    gate = pg_dumps.gate_within(tmp_path)
    process = start("check", *at("02:00:10"), program=tool, settings=gate.settings)
    gate.reached()
    kill(process)
    assert azure_store.list() == []
    processes.wait_until(lambda: not rows(nightly, LOCK_HOLDER), "the lock is free")
    tool.ok("check", *at("02:00:40"))
    tool.ok("check", *at("02:01:50"))
    assert statuses(nightly) == ["failed", "completed"]
    assert len(azure_store.list()) == 1


def test_dead_run_of_another_store(tool, nightly, tmp_path, start, file_store):
    """The store that it was begun in is asked, whatever the setting says now."""
    gate = pg_dumps.gate_within(tmp_path)
    process = start("check", *at("02:00:10"), settings=gate.settings)
    gate.reached()
    kill(process)
    processes.wait_until(lambda: not rows(nightly, LOCK_HOLDER), "the lock is free")
    assert file_store.leftovers() != []

    other = FileStore(tmp_path / "elsewhere")
    moved = tool.with_settings(**other.settings)
    moved.ok("check", *at("02:00:40"))
    assert statuses(nightly) == ["failed"] and file_store.leftovers() == []
    assert not other.folder.exists()

    moved.ok("check", *at("02:01:50"))
    assert statuses(nightly) == ["failed", "completed"]
    assert (len(other.list()), file_store.list()) == (1, [])


def test_dead_run_of_a_store_that_cannot_be_asked(make_tool, nightly, tmp_path, start,
                                                  azure_store):
    """What it published there, another store cannot say: nor is the backup made again."""
    tool = make_tool(nightly, azure_store)
    gate = pg_dumps.gate_within(tmp_path)
    process = start("check", *at("02:00:10"), program=tool, settings=gate.settings)
    gate.reached()
    kill(process)
    processes.wait_until(lambda: not rows(nightly, LOCK_HOLDER), "the lock is free")
    (row,) = history(nightly)

    other = FileStore(tmp_path / "elsewhere")
    # Without a key the account's identity is asked for, and here is none.
    result = make_tool(nightly, other).with_settings(
        AZURE_POD_IDENTITY_AUTHORITY_HOST="http://127.0.0.1:1").run("check", *at("02:05:00"))
    assert result.code == 3
    (warning,) = [line for line in result.err.splitlines() if "What became of backup" in line]
    assert row["store"] in warning and azure_store.container in row["store"]
    assert "run check once with the settings of that run" in warning
    assert statuses(nightly) == ["started"]
    assert not other.folder.exists()

    tool.ok("check", *at("02:06:00"))
    assert statuses(nightly) == ["failed"]


def test_dead_run_of_a_store_with_a_long_name(make_tool, nightly, tmp_path, start):
    """Another folder's name begins like that of its own."""
    store = FileStore(tmp_path / ("a" * 200) / ("b" * 200))
    tool = make_tool(nightly, store)
    gate = pg_dumps.gate_within(tmp_path)
    process = start("check", *at("02:00:10"), program=tool, settings=gate.settings)
    gate.reached()
    kill(process)
    processes.wait_until(lambda: not rows(nightly, LOCK_HOLDER), "the lock is free")
    assert store.leftovers() != []
    tool.ok("check", *at("02:00:40"))
    assert statuses(nightly) == ["failed"] and store.leftovers() == []
    assert [path.name for path in tmp_path.iterdir() if path.name[0] == "a"] == ["a" * 200]
    assert list(store.folder.parent.iterdir()) == [store.folder]


def test_dead_run_while_its_folder_is_not_mounted(tool, nightly, tmp_path, start, file_store):
    """What is not found there proves nothing, and nothing is made in its place."""
    tool.ok("check", *at("02:00:10", day="2031-05-05"))
    gate = pg_dumps.gate_within(tmp_path)
    process = start("check", *at("02:00:10"), settings=gate.settings)
    gate.reached()
    kill(process)
    processes.wait_until(lambda: not rows(nightly, LOCK_HOLDER), "the lock is free")
    mounted = file_store.folder.rename(tmp_path / "elsewhere")

    result = tool.run("check", *at("02:00:40"))
    assert result.code == 3
    assert f"the folder {file_store.folder} does not exist" in result.err
    assert "is a file system not mounted?" in result.err
    assert statuses(nightly) == ["completed", "started"]
    assert not file_store.folder.exists()

    mounted.rename(file_store.folder)
    tool.ok("check", *at("02:01:50"))
    assert statuses(nightly) == ["completed", "failed"]
    tool.ok("check", *at("02:03:00"))
    assert statuses(nightly) == ["completed", "failed", "completed"]


@pytest.mark.parametrize("question, code", [(b"ORDER BY started_at LIMIT 1000", 1),
                                            (b"ORDER BY completed_at LIMIT 1000", 3)])
def test_what_is_due_is_made_whatever_fails_before(make_tool, cluster, nightly, file_store,
                                                   postgres_proxy, question, code):
    """Which runs have died cannot be read: that may hide a failure. Nor which ended untold."""
    nightly.execute(
        "INSERT INTO backup_history (backup_filename, backup_type, status, run_id, schedule_id,"
        " store) SELECT 'rythm-backup-x.sql', 'manual', 'started', '0123456789abcdef',"
        " schedule_id, %s FROM backup_schedule", file_store.settings["RYTHM_BACKUP_STORES"])
    cut = postgres_proxy.add(question)
    tool = make_tool(file_store, DATABASE_URL=cluster.url(nightly.name, port=postgres_proxy.port))
    result = tool.run("check", *at("02:00:10"))
    assert (cut.hits, result.code) == (1, code), result.err
    assert len(file_store.list()) == 1
    assert len(rows(nightly, "SELECT FROM backup_history WHERE status = 'completed'"
                             " AND occurrence_at IS NOT NULL")) == 1


def test_killed_manual_run(tool, nightly, tmp_path, start, file_store):
    gate = pg_dumps.gate_within(tmp_path)
    process = start("run", settings=gate.settings)
    gate.reached()
    kill(process)
    processes.wait_until(lambda: not rows(nightly, LOCK_HOLDER), "the lock is free")
    tool.ok("check", *at("12:00:00"))
    assert history(nightly)[0]["error_message"] == INTERRUPTED
    assert statuses(nightly) == ["failed"]
    assert file_store.leftovers() == []


def kill_after_publication(tool, nightly, start, store):
    """The object is there, and the ledger does not know; the object."""
    nightly.execute("CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS"
                    " 'BEGIN PERFORM pg_sleep(600); RETURN NEW; END'")
    nightly.execute("CREATE TRIGGER wait BEFORE UPDATE ON backup_history FOR EACH ROW"
                    " WHEN (NEW.status = 'completed') EXECUTE FUNCTION wait()")
    process = start("check", *at("02:00:10"), program=tool)
    (holder,) = processes.wait_until(
        lambda: rows(nightly, "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
                              " AND datname = current_database()"), "the ledger is being written")
    kill(process)
    end_backend(nightly, holder["pid"])
    nightly.execute("DROP TRIGGER wait ON backup_history")
    (stored,) = store.list()
    assert statuses(nightly) == ["started"]
    return stored


@pytest.mark.parametrize("store", ["file", "azure"], indirect=True)
def test_killed_after_it_published(make_tool, nightly, start, store):
    """It is adopted, and not made again."""
    tool = make_tool(nightly, store)
    stored = kill_after_publication(tool, nightly, start, store)
    result = tool.ok("check", *at("02:00:40"))
    assert f"Backup {stored.name} had been published by a run that died" in result.err
    (row,) = history(nightly)
    assert (row["status"], row["error_message"]) == ("completed", None)
    assert (row["file_size_bytes"], row["sha256"]) == (stored.bytes, stored.metadata["sha256"])
    assert schedule(nightly)["last_run_at"] is not None
    tool.ok("check", *at("02:30:00"))
    assert [again.name for again in store.list()] == [stored.name]


def test_published_and_damaged(tool, nightly, start, file_store):
    """Of the right length, but of other bytes: it is not what was sent, and is made again."""
    stored = kill_after_publication(tool, nightly, start, file_store)
    path = file_store.folder / stored.name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    tool.ok("check", *at("02:00:40"))
    assert statuses(nightly) == ["failed"] and file_store.list() == []
    tool.ok("check", *at("02:02:00"))
    assert statuses(nightly) == ["failed", "completed"]


def test_a_dead_run_of_somebody_elses_row_is_left(tool, nightly):
    """The old service's 'started' rows have no run id: they are not ours to judge."""
    nightly.execute("INSERT INTO backup_history (backup_filename, backup_type, status)"
                    " VALUES ('rythm-backup-2025.sql', 'manual', 'started')")
    tool.ok("check", *at("12:00:00"))
    assert statuses(nightly) == ["started"]


# The lock's session

def test_lock_lost_during_the_dump(tool, nightly, tmp_path, start, file_store):
    """Another one may have it by now: nothing is published."""
    gate = pg_dumps.gate_within(tmp_path)
    process = start("check", *at("02:00:10"), settings=gate.settings)
    gate.reached()
    ((holder,),) = nightly.execute(LOCK_HOLDER)
    nightly.execute("SELECT pg_terminate_backend(%s)", holder)
    gate.open()
    result = tool.finish(process)
    assert result.code == 1
    assert "the lock of schedule" in result.err
    assert_nothing_published(nightly, file_store)
    assert file_store.leftovers() == []


def test_taken_for_dead_during_the_dump(tool, nightly, tmp_path, start, file_store):
    """Stopped for so long that another check has resolved its run: it must not publish."""
    gate = pg_dumps.gate_within(tmp_path)
    process = start("check", *at("02:00:10"), settings=gate.settings)
    gate.reached()
    nightly.execute("UPDATE backup_history SET status = 'failed', error_message = 'by hand'")
    gate.open()
    result = tool.finish(process)
    assert result.code == 1
    assert "another process has resolved it" in result.err
    assert_nothing_published(nightly, file_store)
    assert history(nightly)[0]["error_message"] == "by hand"


def test_taken_for_dead_while_it_waited_to_publish(tool, nightly, start, file_store):
    """The ledger is asked once more when nothing stands between the answer and the rename."""
    with waiting_to_publish(tool, nightly, file_store, start) as process:
        nightly.execute("UPDATE backup_history SET status = 'failed', error_message = 'by hand'")
    result = tool.finish(process)
    assert result.code == 1
    assert "another process has resolved it" in result.err
    assert_nothing_published(nightly, file_store)
    assert history(nightly)[0]["error_message"] == "by hand"
    assert file_store.leftovers() == []


@contextlib.contextmanager
def published_and_not_recorded(tool, nightly, tmp_path, start, store,
                               command=("check", *at("02:00:10"))):
    """A run after its last look at the ledger; (its process, what still may write the ledger)."""
    gate = pg_dumps.gate_after(tmp_path)
    process = start(*command, program=tool, settings=gate.settings)
    gate.reached()
    connection = nightly.connect()
    connection.autocommit = False
    # The row can still be read, but not written.
    connection.cursor().execute("LOCK TABLE backup_history IN SHARE MODE")
    gate.open()
    wait_for_lock_waiter(nightly)
    assert len(store.list()) == 1
    yield process, connection.cursor()
    connection.commit()
    connection.close()


def test_taken_for_dead_when_it_had_published(tool, nightly, tmp_path, start, file_store):
    """Its object is taken back."""
    with published_and_not_recorded(tool, nightly, tmp_path, start,
                                    file_store) as (process, ledger):
        ledger.execute("UPDATE backup_history SET status = 'failed', error_message = 'by hand'")
    result = tool.finish(process)
    assert result.code == 1
    assert "another process has taken it for dead and resolved it" in result.err
    assert "its object was removed again" in result.err
    assert_nothing_published(nightly, file_store)
    assert history(nightly)[0]["error_message"] == "by hand"
    assert schedule(nightly)["last_run_at"] is None
    assert file_store.leftovers() == []


def test_stopped_and_taken_for_dead_when_it_had_published(make_tool, nightly, tmp_path, start,
                                                          store):
    """It is taken back although a stop was asked for, too."""
    tool = make_tool(nightly, store)
    with published_and_not_recorded(tool, nightly, tmp_path, start, store) as (process, ledger):
        process.terminate()
        ledger.execute("UPDATE backup_history SET status = 'failed', error_message = 'by hand'")
    result = tool.finish(process)
    assert result.code == 143
    assert "its object was removed again" in result.err
    assert_nothing_published(nightly, store)


def test_row_deleted_when_it_had_published(tool, nightly, tmp_path, start, file_store):
    """Nobody has said that the run is dead: its backup stays, and is recorded from the store."""
    with published_and_not_recorded(tool, nightly, tmp_path, start,
                                    file_store) as (process, ledger):
        ledger.execute("DELETE FROM backup_history")
    result = tool.finish(process)
    assert result.code == 3
    (stored,) = file_store.list()
    assert "backup_history has no row of run" in result.err
    (row,) = history(nightly)
    assert (row["backup_filename"], row["status"]) == (stored.name, "completed")


def test_row_deleted_when_a_manual_run_had_published(tool, nightly, tmp_path, start, file_store):
    with published_and_not_recorded(tool, nightly, tmp_path, start, file_store,
                                    ("run", "--no-notify")) as (process, ledger):
        ledger.execute("DELETE FROM backup_history")
    result = tool.finish(process)
    (stored,) = file_store.list()
    assert (result.code, result.out) == (3, f"{stored.name}\n")
    assert result.err.count("recording it failed") == 1
    assert statuses(nightly) == ["completed"]


def test_answer_of_the_ledger_is_lost(make_tool, cluster, nightly, file_store, postgres_proxy):
    """What is recorded is recorded, and nothing is said to be missing."""
    cut = postgres_proxy.add(b"error_message = NULL", after=True)
    tool = make_tool(file_store, DATABASE_URL=cluster.url(nightly.name, port=postgres_proxy.port))
    tool.ok("check", *at("02:00:10"))
    assert (cut.hits, cut.seen) == (1, 2)
    assert statuses(nightly) == ["completed"] and len(file_store.list()) == 1


def test_schedule_made_wrong_during_the_dump(tool, nightly, tmp_path, start, file_store):
    """The run ends as it would have; only the next time cannot be told."""
    gate = pg_dumps.gate_within(tmp_path)
    process = start("check", *at("02:00:10"), settings=gate.settings)
    gate.reached()
    nightly.execute("UPDATE backup_schedule SET time_zone = 'Europe/Nowhere',"
                    " next_run_at = '2031-05-07 02:00Z'")
    gate.open()
    assert tool.finish(process).code == 0
    assert statuses(nightly) == ["completed"] and len(file_store.list()) == 1
    row = schedule(nightly)
    assert row["last_run_at"] is not None and row["next_run_at"] is None


def test_stopped_and_continued(tool, nightly, tmp_path, start, file_store):
    gate = pg_dumps.gate_within(tmp_path)
    process = start("check", *at("02:00:10"), settings=gate.settings)
    gate.reached()
    process.send_signal(signal.SIGSTOP)
    assert tool.run("run").code == 4
    gate.open()
    process.send_signal(signal.SIGCONT)
    assert tool.finish(process).code == 0
    assert statuses(nightly) == ["completed"] and len(file_store.list()) == 1


# SIGTERM and SIGINT

def test_signal_while_dead_runs_are_resolved(make_tool, nightly, start, azure_store, azure_proxy):
    """The first that is not resolved is the last that is tried; that is no news of the runs."""
    for run in ("0123456789abcdef", "fedcba9876543210"):
        nightly.execute(
            "INSERT INTO backup_history (backup_filename, backup_type, status, run_id,"
            " schedule_id, store) SELECT 'rythm-backup-' || %s, 'manual', 'started', %s,"
            " schedule_id, %s FROM backup_schedule", run, run,
            f"azblob://devstoreaccount1/{azure_store.container}")
    azure_proxy.add("^HEAD ", times=ALWAYS, stall_s=3)
    tool = make_tool(nightly, azure_store, **azure_store.settings_through(azure_proxy.port))
    process = start("check", *at("12:00:00"), program=tool)
    processes.wait_until(lambda: azure_proxy.count("^HEAD "), "the store is asked")
    process.terminate()
    result = tool.finish(process, timeout=20)
    assert result.code == 143
    assert result.err.count("stopped by SIGTERM") == 1, result.err
    assert statuses(nightly) == ["started"] * 2


@pytest.fixture
def black_hole():
    """A port where connections are taken and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.mark.parametrize("sig, code", SIGNALS)
def test_signal_while_connecting(tool, black_hole, start, sig, code):
    url = f"postgresql://127.0.0.1:{black_hole.getsockname()[1]}/x"
    process = start("check", settings={"DATABASE_URL": url})
    connection, _ = black_hole.accept()
    process.send_signal(sig)
    result = tool.finish(process, timeout=20)
    connection.close()
    assert result.code == code
    assert f"stopped by {sig.name}" in result.err


@pytest.mark.parametrize("sig, code", SIGNALS)
def test_signal_while_waiting_for_the_server(tool, nightly, start, sig, code):
    """Behind a migration that has locked the ledger, before anything has begun."""
    with locked(nightly, "backup_history"):
        process = start("check", *at("02:00:10"))
        wait_for_lock_waiter(nightly)
        process.send_signal(sig)
        result = tool.finish(process, timeout=20)
    assert result.code == code
    assert history(nightly) == []


@pytest.mark.parametrize("sig, code", SIGNALS)
def test_signal_while_pg_dump_waits_for_a_table(tool, nightly, start, file_store, sig, code):
    with locked(nightly, "invoices"):
        process = start("check", *at("02:00:10"))
        wait_for_lock_waiter(nightly)
        process.send_signal(sig)
        result = tool.finish(process, timeout=20)
    assert result.code == code
    assert_nothing_published(nightly, file_store)
    assert file_store.leftovers() == []


@pytest.mark.parametrize("sig, code", SIGNALS)
@pytest.mark.parametrize("gate_at", [pg_dumps.gate_before, pg_dumps.gate_within,
                                     pg_dumps.gate_after])
def test_signal_while_dumping(tool, nightly, tmp_path, start, file_store, sig, code, gate_at):
    gate = gate_at(tmp_path)
    process = start("check", *at("02:00:10"), settings=gate.settings)
    child = gate.reached()
    process.send_signal(sig)
    result = tool.finish(process, timeout=20)
    assert result.code == code
    assert f"stopped by {sig.name}" in result.err
    assert_nothing_published(nightly, file_store)
    assert f"stopped by {sig.name}" in history(nightly)[0]["error_message"]
    assert file_store.leftovers() == []
    assert is_gone(child)


@pytest.mark.parametrize("sig, code", SIGNALS)
def test_signal_while_uploading(make_tool, tool, nightly, start, azure_store, azure_proxy, sig,
                                code):
    azure_proxy.add("^PUT .*comp=block&", times=ALWAYS, stall_s=3)
    stalled = make_tool(nightly, **azure_store.settings_through(azure_proxy.port))
    process = start("check", *at("02:00:10"), program=stalled)
    processes.wait_until(lambda: azure_proxy.count("comp=block&"), "a block is on its way")
    process.send_signal(sig)
    result = tool.finish(process, timeout=20)
    assert result.code == code
    assert azure_proxy.count("comp=blocklist") == 0
    assert_nothing_published(nightly, azure_store)


@pytest.mark.parametrize("sig, code", SIGNALS)
def test_signal_before_the_commit(make_tool, nightly, tmp_path, start, store, sig, code):
    """All bytes are stored; it is asking the ledger whether the run is still its own."""
    tool = make_tool(nightly, store)
    gate = pg_dumps.gate_after(tmp_path)
    process = start("check", *at("02:00:10"), program=tool, settings=gate.settings)
    gate.reached()
    with locked(nightly, "backup_history"):
        gate.open()
        wait_for_lock_waiter(nightly)
        process.send_signal(sig)
    result = tool.finish(process, timeout=60)
    assert result.code == code
    assert_nothing_published(nightly, store)
    assert f"stopped by {sig.name}" in history(nightly)[0]["error_message"]
    # The service drops uncommitted blocks itself.
    assert store.kind == "azure" or store.leftovers() == []


@pytest.mark.parametrize("sig, code", SIGNALS)
def test_signal_at_the_commit(tool, nightly, start, file_store, sig, code):
    with waiting_to_publish(tool, nightly, file_store, start) as process:
        process.send_signal(sig)
    assert tool.finish(process, timeout=20).code == code
    assert_nothing_published(nightly, file_store)
    assert file_store.leftovers() == []


@pytest.mark.parametrize("sig, code", SIGNALS)
def test_signal_after_the_commit(tool, nightly, start, file_store, sig, code):
    """Published is published: the ledger is told before it ends."""
    nightly.execute("CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS"
                    " 'BEGIN PERFORM pg_sleep(1); RETURN NEW; END'")
    nightly.execute("CREATE TRIGGER wait BEFORE UPDATE ON backup_history FOR EACH ROW"
                    " WHEN (NEW.status = 'completed') EXECUTE FUNCTION wait()")
    process = start("check", *at("02:00:10"))
    processes.wait_until(file_store.list, "it is published")
    process.send_signal(sig)
    assert tool.finish(process, timeout=20).code == code
    assert statuses(nightly) == ["completed"] and len(file_store.list()) == 1


@pytest.mark.parametrize("sig, code", SIGNALS)
def test_signal_during_output(tool, tmp_path, start, sig, code):
    gate = pg_dumps.gate_within(tmp_path)
    process = start("run", "--output", "copy", settings=gate.settings)
    child = gate.reached()
    process.send_signal(sig)
    assert tool.finish(process, timeout=20).code == code
    assert [path for path in tmp_path.iterdir() if path.name.startswith("copy")] == []
    assert is_gone(child)


def test_a_stopped_run_is_tried_again(tool, nightly, tmp_path, start, file_store):
    gate = pg_dumps.gate_within(tmp_path)
    process = start("check", *at("02:00:10"), settings=gate.settings)
    gate.reached()
    process.terminate()
    tool.finish(process)
    tool.ok("check", *at("02:01:40"))
    assert statuses(nightly) == ["failed", "completed"]
    assert len(file_store.list()) == 1


def test_hangup_stops_it_and_nohup_does_not(tool, nightly, tmp_path, start):
    gate = pg_dumps.gate_within(tmp_path)
    process = start("check", *at("02:00:10"), settings=gate.settings)
    gate.reached()
    process.send_signal(signal.SIGHUP)
    assert tool.finish(process).code == 128 + signal.SIGHUP
    assert statuses(nightly) == ["failed"]

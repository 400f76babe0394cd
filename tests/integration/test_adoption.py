"""Backups that the ledger does not know, for it was rewound by a restore; and copies of a database.

The store is the truth about what exists: what bears the ledger's mark is recorded there again, and
what bears another one's is nobody's here.
"""

import re
import signal
import subprocess
import uuid

import pytest

import backups
import pg_dumps
import processes
from backups import DAY
from fault_proxy import ALWAYS
from tables import NIGHT, add_schedule, at, enable, history, rows, schedule, statuses

LOCK_HOLDER = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (" \
              "SELECT oid FROM pg_database WHERE datname = current_database())"
LEFT_TO_IT = "A run of schedule {} for this time is recorded already: left to it"
COPIED = "begun in another database or server, of which this one is a copy"
LIST = "^GET .*comp=list"
CONFIRM = "^GET [^?]*(?<![.]json)[?].*comp=blocklist"


@pytest.fixture
def home(small_database):
    enable(small_database)
    return small_database


@pytest.fixture
def tool(make_tool, home, store):
    """The program with each kind of store in turn."""
    return make_tool(home, store)


@pytest.fixture
def file_tool(make_tool, home, file_store):
    return make_tool(home, file_store)


@pytest.fixture
def load(cluster, tmp_path):
    """A function: makes what a script says in a database."""
    def run(database, script):
        (tmp_path / "script.sql").write_text(script)
        cluster.load(database.name, tmp_path / "script.sql")
    return run


@pytest.fixture
def restore(cluster, load):
    """A function: the database is lost, and made again from a dump, under its own name."""
    def run(database, script):
        cluster.drop_database(database.name)
        cluster.create_database(database.name)
        load(database, script)
    return run


@pytest.fixture
def copy(make_database, load):
    """A function: a copy of the database, under another name, from a dump."""
    def run(script):
        database = make_database()
        load(database, script)
        return database
    return run


def script_of(store, name):
    return subprocess.run(["zstd", "-dcq"], input=store.read(name), check=True,
                          stdout=subprocess.PIPE).stdout.decode()


def only_schedule(database):
    return schedule(database)["schedule_id"]


def names(store):
    return [stored.name for stored in store.list()]


def forget(database, where="true"):
    database.execute(f"DELETE FROM backup_history WHERE {where}")


def facts_of(row):
    """What a row says about the backup itself."""
    return {key: row[key] for key in (
        "run_id", "backup_filename", "backup_type", "status", "schedule_id", "occurrence_at",
        "file_size_bytes", "raw_size_bytes", "sha256", "store", "ledger", "error_message")}


def adopted(result):
    """The names of the backups that were recorded again, as they are told."""
    return re.findall(r"Backup (\S+) is in the store and was not in backup_history \(was the"
                      r" database restored\?\): recorded there again", result.err)


def begin_and_kill(tool, database, settings, *options):
    """A run that dies: its process is killed where this pg_dump stands still."""
    process = tool.with_settings(**settings.settings).start("check", *options)
    settings.reached()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    processes.wait_until(lambda: not rows(database, LOCK_HOLDER), "the lock is free")


# The occurrence whose backup is there is not made a second time (invariant I1)

def test_its_row_is_gone(tool, home, store):
    tool.ok("check", *at("02:00:10"))
    (before,) = history(home)
    forget(home)
    result = tool.ok("check", *at("02:30:00"))
    (after,) = history(home)
    assert facts_of(after) == facts_of(before)
    assert names(store) == adopted(result) == [before["backup_filename"]]
    assert LEFT_TO_IT.format(only_schedule(home)) in result.err
    # When it was made, not when it was found.
    assert 0 <= (schedule(home)["last_run_at"] - after["completed_at"]).total_seconds() < 5
    assert abs((after["started_at"] - before["started_at"]).total_seconds()) < 5
    assert abs((after["completed_at"] - before["completed_at"]).total_seconds()) < 5
    again = tool.ok("check", *at("02:40:00"))
    assert (again.err, len(names(store)), len(history(home))) == ("", 1, 1)


def test_the_database_was_restored(tool, home, store, restore):
    """From a dump that somebody took before the backup was made."""
    earlier = home.dump()
    tool.ok("check", *at("02:00:10"))
    (before,) = history(home)
    restore(home, earlier)
    assert history(home) == []
    assert schedule(home)["last_run_at"] is None
    result = tool.ok("check", *at("02:30:00"))
    (after,) = history(home)
    assert facts_of(after) == facts_of(before)
    assert schedule(home)["last_run_at"] == after["completed_at"]
    assert home.value("SELECT next_run_at = '2031-05-07 02:00Z' FROM backup_schedule")
    assert names(store) == adopted(result) == [before["backup_filename"]]
    tool.ok("check", *at("02:00:10", day="2031-05-07"))
    assert statuses(home) == ["completed"] * 2 and len(names(store)) == 2


def test_nobody_is_told_again(make_tool, home, file_store, acs):
    acs.running_polls = 0
    tool = make_tool(home, file_store, acs)
    tool.ok("check", *at("02:00:10"))
    assert len(acs.messages) == 2
    forget(home)
    home.execute("DELETE FROM email_logs")
    tool.ok("check", *at("02:30:00"))
    assert (len(acs.messages), statuses(home)) == (2, ["completed"])


def test_around_midnight(tool, home, store):
    """Begun on the day after its occurrence's, or looked for on the day after it was begun."""
    enable(home, "23:50")
    tool.ok("check", *at("23:55:00", day="2031-05-05"))
    forget(home)
    tool.ok("check", *at("00:10:00"))
    assert (statuses(home), len(names(store))) == (["completed"], 1)
    tool.ok("check", *at("00:20:00", day="2031-05-07"))
    forget(home, "started_at > '2031-05-06 12:00Z'")
    tool.ok("check", *at("00:30:00", day="2031-05-07"))
    assert (statuses(home), len(names(store))) == (["completed"] * 2, 2)


def test_several_schedules(tool, home, store):
    """One tick records the backups of all."""
    add_schedule(home)
    add_schedule(home, "02:10")
    tool.ok("check", *at("02:15:10"))
    before = {row["schedule_id"]: facts_of(row) for row in history(home)}
    forget(home)
    tool.ok("check", *at("02:30:00"))
    assert {row["schedule_id"]: facts_of(row) for row in history(home)} == before
    assert len(names(store)) == len(before) == 3


def test_several_checks_at_once(file_tool, home, file_store):
    file_tool.ok("check", *at("02:00:10"))
    (before,) = history(home)
    forget(home)
    running = [file_tool.start("check", *at("02:30:00")) for _ in range(8)]
    results = [file_tool.finish(process) for process in running]
    assert [result.code for result in results] == [0] * 8, [result.err for result in results]
    assert [facts_of(row) for row in history(home)] == [facts_of(before)]
    assert len(names(file_store)) == 1


def test_a_row_that_was_forgotten_while_it_failed(file_tool, home, file_store, tmp_path):
    """A rewound attempt is none; what it left behind is no backup."""
    gate = pg_dumps.gate_within(tmp_path)
    begin_and_kill(file_tool, home, gate, *at("02:00:10"))
    forget(home)
    file_tool.ok("check", *at("02:30:00"))
    assert statuses(home) == ["completed"] and len(names(file_store)) == 1


def test_a_backup_of_another_day_is_not_this_ones(tool, home, store):
    tool.ok("check", *at("02:00:10", day="2031-05-05"))
    tool.ok("run", "--no-notify")
    forget(home)
    tool.ok("check", *at("02:00:10"))
    assert len(names(store)) == 3
    assert home.value("SELECT count(*) FROM backup_history WHERE occurrence_at = %s",
                      f"{NIGHT} 02:00Z") == 1


def test_a_listing_that_fails_makes_no_second_one(make_tool, home, azure_store, azure_proxy):
    """It cannot be known whether there is one: the attempt has failed."""
    tool = make_tool(home, azure_store, **azure_store.settings_through(azure_proxy.port))
    tool.ok("check", *at("02:00:10"))
    forget(home)
    fault = {"times": ALWAYS, "status": 403, "headers": {"x-ms-error-code": "AuthorizationFailure"}}
    azure_proxy.add(LIST, **fault)
    result = tool.run("check", *at("02:30:00"))
    assert result.code == 1
    assert f"listing the backups of {NIGHT} in azblob://" in result.err
    assert (statuses(home), len(names(azure_store))) == (["failed"], 1)
    azure_proxy.clear()
    tool.ok("check", *at("02:31:30"))
    # The failed attempt's row stays beside the backup's.
    assert sorted(statuses(home)) == ["completed", "failed"] and len(names(azure_store)) == 1


def test_a_question_that_fails_makes_no_second_one(make_tool, home, azure_store, azure_proxy):
    """It is listed, but whether it is what was sent cannot be asked."""
    tool = make_tool(home, azure_store, **azure_store.settings_through(azure_proxy.port))
    tool.ok("check", *at("02:00:10"))
    forget(home)
    azure_proxy.add(CONFIRM, times=ALWAYS, status=403,
                    headers={"x-ms-error-code": "AuthorizationFailure"})
    result = tool.run("check", *at("02:30:00"))
    assert result.code == 1
    assert f"checking {names(azure_store)[0]}" in result.err
    assert (statuses(home), len(names(azure_store))) == (["failed"], 1)
    azure_proxy.clear()
    tool.ok("check", *at("02:31:30"))
    assert sorted(statuses(home)) == ["completed", "failed"] and len(names(azure_store)) == 1


def test_found_before_a_listing_that_fails(make_tool, home, azure_store, azure_proxy):
    """Of the day after: there is nothing left to look for."""
    tool = make_tool(home, azure_store, **azure_store.settings_through(azure_proxy.port))
    enable(home, "23:50")
    tool.ok("check", *at("23:50:10", day="2031-05-05"))
    forget(home)
    azure_proxy.add(f"{LIST}.*{NIGHT}", times=ALWAYS, status=403,
                    headers={"x-ms-error-code": "AuthorizationFailure"})
    result = tool.ok("check", *at("00:10:00"))
    assert adopted(result) == names(azure_store)
    assert (statuses(home), len(names(azure_store))) == (["completed"], 1)


# What else the ledger has forgotten is recorded when a run has listed the store

def test_older_ones_are_recorded_after_a_run(tool, home, store):
    for day in ("2031-05-03", "2031-05-04", "2031-05-05"):
        tool.ok("check", *at("02:00:10", day=day))
    before = [facts_of(row) for row in history(home)]
    forget(home)
    result = tool.ok("check", *at("02:00:10"))
    after = [facts_of(row) for row in history(home)]
    assert after[:3] == before and len(after) == 4
    # What is found is older than what was just made.
    assert schedule(home)["last_run_at"] == history(home)[3]["completed_at"]
    assert sorted(adopted(result)) == names(store)[:3]
    assert adopted(tool.ok("check", *at("02:00:10", day="2031-05-07"))) == []


def test_after_a_manual_run(file_tool, home):
    for _ in range(2):
        file_tool.ok("run", "--no-notify")
    before = [facts_of(row) for row in history(home)]
    forget(home)
    file_tool.ok("run", "--no-notify", "--no-prune")
    assert len(history(home)) == 1
    result = file_tool.ok("run", "--no-notify")
    assert len(adopted(result)) == 2
    assert [facts_of(row) for row in history(home)][:2] == before


def test_a_manual_backup_is_recorded_as_one(file_tool, home):
    file_tool.ok("run", "--no-notify")
    (before,) = history(home)
    forget(home)
    file_tool.ok("run", "--no-notify")
    (after, _) = history(home)
    assert facts_of(after) == facts_of(before)
    assert (after["backup_type"], after["occurrence_at"]) == ("manual", None)


def test_expired_ones_are_recorded_and_deleted(file_tool, home, file_store):
    """What retention deletes was there: the ledger says so."""
    made = [backups.made_at(backups.now() - days * DAY, only_schedule(home), home)
            for days in (100, 101, 102, 103)]
    file_store.put_all(made)
    result = file_tool.ok("run", "--no-notify")
    assert sorted(adopted(result)) == sorted(name for name, _, _ in made)
    assert len(names(file_store)) == 3 and statuses(home) == ["completed"] * 5


# What is not ours, or not whole, is not recorded

def test_only_what_bears_this_ledgers_mark(file_tool, home, file_store):
    mine, when = only_schedule(home), backups.now() - 3 * DAY
    every = {
        "a copy's": backups.made_at(when, mine, home, ledger="a_copy"),
        "another server's": backups.made_at(when + DAY / 9, mine, home, system="7300000000000001"),
        "a server's": backups.made_at(when + DAY / 8, mine, home, system=None),
        "a database's": backups.made_at(when + DAY / 7, mine, home, ledger=None),
        "an earlier version's": backups.made_at(when + DAY / 6, mine, home, ledger=None,
                                                system=None),
        "cut short": backups.made_at(when + DAY / 5, mine, home, bytes="1000"),
        "nobody's": backups.made_at(when + DAY / 4, mine, home, run="none"),
        "the old service's": (backups.name_at(when + DAY / 3, ".sql"), b"-- dump", None)}
    file_store.put_all(every.values())
    result = file_tool.ok("run", "--no-notify")
    assert adopted(result) == []
    assert len(history(home)) == 1
    # Of those that are no backups it is said at each listing.
    for kind in ("cut short", "nobody's"):
        assert f"{every[kind][0]} has a backup's name but is not whole" in result.err
    assert len(names(file_store)) == len(every) + 1


def test_of_whatever_schedule(file_tool, home, file_store):
    """One that was deleted meanwhile, or none; and of whatever database it dumped."""
    gone, when = str(uuid.uuid4()), backups.now() - 3 * DAY
    made = [backups.made_at(when, gone, home), backups.made_at(when + DAY / 4, None, home),
            backups.made_at(when + DAY / 3, only_schedule(home), home, database="another")]
    file_store.put_all(made)
    result = file_tool.ok("run", "--no-notify")
    assert adopted(result) == [name for name, _, _ in reversed(made)]
    assert [row["schedule_id"] for row in history(home)][:3] == [
        gone, None, only_schedule(home)]


def test_another_ledgers_backup_of_this_occurrence_is_not_this_ones(file_tool, home, file_store):
    """A copy made one, of its own data."""
    file_tool.ok("check", *at("02:00:10"))
    (stored,) = file_store.list()
    sidecar = file_store.folder / f"{stored.name}.meta"
    sidecar.write_text(sidecar.read_text().replace(f'"{home.name}"', '"a_copy"'))
    assert file_store.list()[0].metadata["ledger"] == "a_copy"
    forget(home)
    file_tool.ok("check", *at("02:30:00"))
    assert len(names(file_store)) == 2
    assert history(home)[0]["backup_filename"] == names(file_store)[1]


def test_what_the_store_cannot_confirm(make_tool, home, azure_store):
    """Blocks that no run of ours sent, under our metadata."""
    made = backups.made_at(backups.now() - 3 * DAY, only_schedule(home), home)
    azure_store.put_all([made])
    result = make_tool(home, azure_store).ok("run", "--no-notify")
    assert adopted(result) == [] and len(history(home)) == 1
    assert f"Backup {made[0]} is not in backup_history and was not recorded there: " in result.err


def test_a_backup_of_this_occurrence_that_is_cut_short(file_tool, home, file_store):
    file_tool.ok("check", *at("02:00:10"))
    (name,) = names(file_store)
    content = file_store.read(name)
    (file_store.folder / name).write_bytes(content[:-100])
    forget(home)
    result = file_tool.ok("check", *at("02:30:00"))
    assert adopted(result) == []
    assert len(names(file_store)) == 2
    assert [row["backup_filename"] for row in history(home)] == names(file_store)[1:]


# A run that was taken for dead and published after all

def make_zombie(tool, database, store):
    """An object whose run the ledger took for dead; its name."""
    tool.ok("check", *at("02:00:10"))
    (name,) = names(store)
    database.execute("UPDATE backup_history SET status = 'failed', error_message = 'interrupted'")
    return name


def test_the_one_too_many_goes(tool, home, store):
    first = make_zombie(tool, home, store)
    result = tool.ok("check", *at("02:30:00"))
    (left,) = names(store)
    assert left != first
    assert f"Removed backup {first}: its run was taken for dead" in result.err
    assert [(row["status"], row["backup_filename"]) for row in history(home)] == [
        ("failed", first), ("completed", left)]


def test_the_one_too_many_stays_while_the_other_is_missing(file_tool, home, file_store,
                                                         tmp_path):
    """Nothing goes but what another, present one replaces."""
    first = make_zombie(file_tool, home, file_store)
    aside = tmp_path / "aside"
    aside.mkdir()
    for name in (first, f"{first}.meta"):
        (file_store.folder / name).rename(aside / name)
    file_tool.ok("check", *at("02:30:00"))
    (second,) = names(file_store)
    for name in (second, f"{second}.meta"):
        (file_store.folder / name).unlink()
    for name in (first, f"{first}.meta"):
        (aside / name).rename(file_store.folder / name)
    file_tool.ok("check", *at("02:00:10", day="2031-05-07"))
    assert first in names(file_store)


# Restored from a backup of our own

def test_restored_in_place(tool, home, store, restore):
    """The run that made the backup stands in it as 'started': it is adopted."""
    tool.ok("check", *at("02:00:10"))
    (before,) = history(home)
    (stored,) = store.list()
    restore(home, script_of(store, stored.name))
    assert statuses(home) == ["started"]
    result = tool.ok("check", *at("02:00:50"))
    (after,) = history(home)
    assert facts_of(after) == facts_of(before)
    assert f"Backup {stored.name} had been published by a run that died" in result.err
    assert tool.ok("check", *at("02:40:00")).err == ""
    assert names(store) == [stored.name]


def test_restored_in_place_from_an_older_one(tool, home, store, restore):
    """What was made since then is in the store, and found there."""
    days = ("2031-05-03", "2031-05-04", "2031-05-05")
    for day in days:
        tool.ok("check", *at("02:00:10", day=day))
    before = [facts_of(row) for row in history(home)]
    restore(home, script_of(store, names(store)[0]))
    tool.ok("check", *at("02:30:00", day=days[-1]))
    tool.ok("check", *at("02:00:10"))
    assert [facts_of(row) for row in history(home)][:3] == before
    assert len(names(store)) == 4


# A copy beside the original

def test_copy_ends_the_run_that_came_with_it(make_tool, tool, home, store, copy, acs):
    """It knows nothing of the run; nobody is told, and the store is not asked."""
    tool.ok("check", *at("02:00:10"))
    (stored,) = store.list()
    twin = copy(script_of(store, stored.name))
    assert statuses(twin) == ["started"]
    twin.execute("UPDATE backup_schedule SET enabled = false")
    result = make_tool(twin, store, acs).ok("check", *at("02:00:50"))
    (row,) = history(twin)
    assert (row["status"], row["error_message"]) == ("failed", COPIED)
    assert f"was begun in {home.cluster.system}/{home.name}, of which this database is a copy" in \
        result.err
    assert acs.messages == [] and rows(twin, "SELECT * FROM email_logs") == []
    assert statuses(home) == ["completed"] and names(store) == [stored.name]


def test_copy_does_not_ask_the_store(make_tool, home, file_tool, file_store, copy):
    file_tool.ok("check", *at("02:00:10"))
    twin = copy(script_of(file_store, names(file_store)[0]))
    twin.execute("UPDATE backup_schedule SET enabled = false")
    make_tool(twin, RYTHM_BACKUP_STORES="file:///dev/null/nowhere").ok("check", *at("02:00:50"))
    assert statuses(twin) == ["failed"]


def test_copy_leaves_the_originals_upload_alone(make_tool, tool, home, store, copy, tmp_path):
    """The copy's lock of the schedule is free, for it is another database."""
    gate = pg_dumps.gate_within(tmp_path)
    process = tool.with_settings(**gate.settings).start("check", *at("02:00:10"))
    gate.reached()
    twin = copy(home.dump())
    twin.execute("UPDATE backup_schedule SET enabled = false")
    result = make_tool(twin, store).ok("check", *at("02:00:50"))
    assert statuses(twin) == ["failed"] and "is a copy: marked failed here" in result.err
    assert statuses(home) == ["started"]
    gate.open()
    assert tool.finish(process).code == 0
    (stored,) = store.list()
    assert statuses(home) == ["completed"]
    assert "PostgreSQL database dump complete" in script_of(store, stored.name)
    assert history(home)[0]["sha256"] == stored.metadata["sha256"]


def test_copy_makes_backups_of_its_own(make_tool, tool, home, store, copy):
    """Of the same schedule and occurrence, in the same store: it is another database."""
    twin = copy(home.dump())
    for _ in range(2):
        tool.ok("check", *at("02:00:10"))
        make_tool(twin, store).ok("check", *at("02:00:20"))
    assert sorted(stored.metadata["ledger"] for stored in store.list()) == sorted(
        [home.name, twin.name])
    assert statuses(home) == statuses(twin) == ["completed"]


@pytest.mark.parametrize("command", [("prune",), ("run", "--no-notify")])
def test_copy_deletes_nothing_of_the_originals(make_tool, home, store, copy, command):
    """Nor the original of the copy's; each its own."""
    twin = copy(home.dump())
    made = {database.name: [backups.made_at(backups.now() - days * DAY - number * DAY / 4,
                                            only_schedule(home), database)
                            for days in (100, 101, 102, 103, 104)]
            for number, database in enumerate((home, twin))}
    store.put_all(made[home.name] + made[twin.name])
    originals = {name for name, _, _ in made[home.name]}
    copies = {name for name, _, _ in made[twin.name]}
    keep_one = {"RYTHM_BACKUP_KEEP_MIN": "1"}
    make_tool(twin, store, **keep_one).ok(*command)
    assert originals < set(names(store))
    assert len(copies & set(names(store))) == (1 if command[0] == "prune" else 0)
    make_tool(home, store, **keep_one).ok(*command)
    assert len(originals & set(names(store))) == (1 if command[0] == "prune" else 0)


def test_copy_records_nothing_of_the_originals(make_tool, home, file_store, copy):
    tool = make_tool(home, file_store)
    twin = copy(home.dump())
    tool.ok("run", "--no-notify")
    result = make_tool(twin, file_store).ok("run", "--no-notify")
    assert adopted(result) == [] and len(history(twin)) == 1


def test_rows_of_versions_that_knew_no_ledger(file_tool, home, file_store, tmp_path):
    """Their started row is a crashed run, as it was for them."""
    gate = pg_dumps.gate_within(tmp_path)
    begin_and_kill(file_tool, home, gate, *at("02:00:10"))
    home.execute("UPDATE backup_history SET ledger = NULL")
    result = file_tool.ok("check", *at("02:00:40"))
    assert "was interrupted before it was published" in result.err
    assert statuses(home) == ["failed"] and file_store.leftovers() == []

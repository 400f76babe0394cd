"""`list`: what the store holds, joined with the ledger when the database answers."""

import datetime
import json

import pytest

import backups
from stores import FileStore
from tables import note_verification

OLD = datetime.datetime(2025, 1, 29, 2, 0, 1, 123000, datetime.timezone.utc)
OLD_NAME = "rythm-backup-2025-01-29T02-00-01-123Z.sql"
OLD_NAME_WITH_COLONS = "rythm-backup-2025-01-28T02:00:01.123Z.sql"
NOWHERE = "postgresql://postgres@127.0.0.1:1/nowhere"


@pytest.fixture
def here(make_tool, small_database, store):
    """The program, on each kind of store."""
    return make_tool(small_database, store)


@pytest.fixture
def file_here(make_tool, small_database, file_store):
    return make_tool(small_database, file_store)


def names(tool):
    return [backup["name"] for backup in tool.ok("list", "--json").json["backups"]]


def put_old(store):
    """Two objects of the old service: no metadata, no compression."""
    store.put_all([(OLD_NAME, b"-- dump", None), (OLD_NAME_WITH_COLONS, b"-- older dump", None)])


def location(store):
    if store.kind == "file":
        return store.settings["RYTHM_BACKUP_STORES"]
    return f"azblob://devstoreaccount1/{store.container}"


def make_place(store):
    """The folder or container, with nothing in it."""
    if store.kind == "file":
        store.folder.mkdir()
    else:
        store.client.create(store.container)


def test_store_that_is_not_there(here, store):
    """No list is not an empty list: a file system may not be mounted."""
    result = here.run("list")
    assert (result.code, result.out) == (1, "")
    assert f"listing the backups in {location(store)}: " in result.err
    assert "does not exist" in result.err


def test_empty_store(here, store):
    make_place(store)
    result = here.ok("list")
    assert (result.out, result.err) == ("", f"ℹ️  There are no backups in {location(store)}\n")


def test_empty_store_as_json(here, store):
    make_place(store)
    assert here.ok("list", "--json").json == {"ledger_read": True, "backups": []}


def test_newest_first(here, store, small_database):
    schedule = small_database.value(backups.SCHEDULE)
    made = [backups.made_at(OLD + days * backups.DAY, schedule, small_database)
            for days in (3, 400, 1, 0, 30)]
    store.put_all(made)
    assert names(here) == sorted((name for name, _, _ in made), reverse=True)


def test_table(file_here, file_store, small_database):
    schedule = small_database.value(backups.SCHEDULE)
    name, content, metadata = backups.made_at(OLD, schedule, small_database)
    file_store.put(name, content, metadata)
    small_database.execute(
        "INSERT INTO backup_history (backup_filename, backup_type, status)"
        " VALUES (%s, 'manual', 'completed')", name)
    table = [line.split("  ") for line in file_here.ok("list").out.splitlines()]
    assert [[cell.strip() for cell in row if cell] for row in table] == [
        ["NAME", "CREATED", "SIZE", "DURATION", "TYPE", "STATUS", "VERIFIED"],
        [name, "2025-01-29T02:00:01.123Z", f"{len(content)} B", "2s", "manual", "completed",
         "-"]]


def test_everything_about_a_backup(here, small_database, store):
    made = here.ok("run", "--no-notify", "--json").json
    (listed,) = here.ok("list", "--json").json["backups"]
    stored = store.list()[0]
    assert listed == {
        "name": made["name"], "store": location(store), "bytes": made["bytes"],
        "created": listed["created"], "raw_bytes": made["raw_bytes"], "type": "manual",
        "engine": made["engine"], "tables": made["tables"], "rows": made["rows"],
        "schedule": small_database.value(backups.SCHEDULE), "occurrence": None,
        "run_id": made["run_id"], "database": small_database.name,
        "server_version": stored.metadata["server"],
        "duration_ms": int(stored.metadata["durationms"]), "sha256": made["sha256"],
        "ledger": "completed", "legacy": False, "verified_at": None, "verified_rows": None,
        "verify_failed_at": None, "verify_error": None, "stores": [location(store)],
        "missing_in": []}
    assert made["name"].startswith(
        "rythm-backup-" + listed["created"].replace(":", "-").replace(".", "-"))


def test_occurrence_of_a_scheduled_backup(here, small_database):
    backups.enable(small_database)
    here.ok("check", "--now", "2026-03-01 02:00:10Z")
    (listed,) = here.ok("list", "--json").json["backups"]
    assert (listed["type"], listed["occurrence"]) == ("scheduled", "2026-03-01T02:00:00.000Z")


def test_ledger_is_joined_by_name(here, small_database):
    """Also rows that the old service wrote, which have none of our columns."""
    name = here.ok("run", "--no-notify").out.strip()
    small_database.execute("DELETE FROM backup_history")
    small_database.execute(
        "INSERT INTO backup_history (backup_filename, backup_type, status) VALUES"
        " ('another.sql', 'manual', 'failed'), (%s, 'scheduled', 'started')", name)
    (listed,) = here.ok("list", "--json").json["backups"]
    assert listed["ledger"] == "started"


def test_backup_that_the_ledger_does_not_know(here, small_database):
    name = here.ok("run", "--no-notify").out.strip()
    small_database.execute("DELETE FROM backup_history")
    assert here.ok("list").out.splitlines()[1].startswith(name)
    assert here.ok("list").out.splitlines()[1].endswith("not in ledger  -")
    assert here.ok("list", "--json").json["backups"][0]["ledger"] is None


def test_verified_backup(here, small_database):
    made = here.ok("run", "--no-notify", "--json").json
    note_verification(small_database, made["name"], made["run_id"], when="2031-05-06 03:00:01.5Z")
    (listed,) = here.ok("list", "--json").json["backups"]
    assert (listed["verified_at"], listed["verified_rows"]) == ("2031-05-06T03:00:01.500Z", 7)
    assert (listed["verify_failed_at"], listed["verify_error"]) == (None, None)
    assert here.ok("list").out.splitlines()[1].endswith("completed  2031-05-06")


def test_backup_that_failed_its_verification(here, small_database):
    """Also where somebody left the older success beside it: the later outcome counts."""
    made = here.ok("run", "--no-notify", "--json").json
    for earlier in (None, "2031-05-06 02:59Z"):
        note_verification(small_database, made["name"], made["run_id"], "a row is gone",
                          "2031-05-06 03:00Z")
        small_database.execute("UPDATE backup_history SET verified_at = %s", earlier)
        (listed,) = here.ok("list", "--json").json["backups"]
        assert (listed["verified_at"], listed["verified_rows"]) == (None, None)
        assert (listed["verify_failed_at"], listed["verify_error"]) == (
            "2031-05-06T03:00:00.000Z", "a row is gone")
        assert here.ok("list").out.splitlines()[1].endswith("completed  failed")
    small_database.execute("UPDATE backup_history SET verified_at = '2031-05-06 03:01Z'")
    assert here.ok("list").out.splitlines()[1].endswith("completed  2031-05-06")


def test_nobody_knows_what_was_verified_without_the_database(file_here, file_store,
                                                             small_database):
    file_here.ok("run", "--no-notify")
    result = file_here.with_settings(DATABASE_URL=NOWHERE).ok("list")
    assert result.out.splitlines()[1].split()[-2:] == ["?", "?"]


def test_ledger_row_without_object_is_not_a_backup(here, small_database):
    here.ok("run", "--no-notify")
    small_database.execute(
        "INSERT INTO backup_history (backup_filename, backup_type, status)"
        " VALUES (%s, 'manual', 'completed')", backups.name_at(OLD))
    assert backups.name_at(OLD) not in names(here)


def test_database_down(here, store):
    name = here.ok("run", "--no-notify").out.strip()
    result = here.with_settings(DATABASE_URL=NOWHERE).ok("list")
    assert result.out.splitlines()[1].startswith(name)
    assert result.out.splitlines()[1].endswith("?")
    assert "The list is what the store holds, without the ledger: " in result.err


def test_database_down_as_json(file_here):
    name = file_here.ok("run", "--no-notify").out.strip()
    document = file_here.with_settings(DATABASE_URL=NOWHERE).ok("list", "--json").json
    assert document["ledger_read"] is False
    assert [(backup["name"], backup["ledger"]) for backup in document["backups"]] == [(name, None)]


def test_before_migrate(make_tool, empty_database, file_store):
    put_old(file_store)
    tool = make_tool(empty_database, file_store)
    assert names(tool) == [OLD_NAME, OLD_NAME_WITH_COLONS]
    assert "without the ledger" in tool.ok("list").err


def test_objects_of_the_old_service(here, store):
    put_old(store)
    listed = here.ok("list", "--json").json["backups"]
    assert [(backup["name"], backup["created"], backup["bytes"]) for backup in listed] == [
        (OLD_NAME, "2025-01-29T02:00:01.123Z", 7),
        (OLD_NAME_WITH_COLONS, "2025-01-28T02:00:01.123Z", 13)]
    for backup in listed:
        assert backup["legacy"] is True
        assert (backup["raw_bytes"], backup["schedule"], backup["sha256"]) == (None, None, None)


def test_old_services_type_is_the_ledgers(here, store, small_database):
    put_old(store)
    small_database.execute(
        "INSERT INTO backup_history (backup_filename, backup_type, status)"
        " VALUES (%s, 'scheduled', 'completed')", OLD_NAME)
    assert [backup["type"] for backup in here.ok("list", "--json").json["backups"]] == [
        "scheduled", None]


FOREIGN = [
    "notes.txt", "rythm-backup-", "rythm-backup-yesterday.sql", "rythm-backup-2025-01-29.sql",
    "rythm-backup-2025-02-30T02-00-01-123Z.sql", "rythm-backup-2025-01-29T02-00-01-123Z.sql.bak",
    "xrythm-backup-2025-01-29T02-00-01-123Z.sql", "Rythm-Backup-2025-01-29T02-00-01-123Z.sql",
    "rythm-backup-2025-01-29T25-00-01-123Z.sql", "rythm-backup-2025-01-29T02-00-01-123Z.sql.zst",
    "rythm-backup-2025-01-29T02:00:01.123Z.sql.gz",
    "rythm-backup-2025-01-29T02-00-01-123Z.sql.json"]


def test_foreign_objects_are_not_shown(here, store):
    """Also what is named like ours, but compressed and without a word about itself."""
    store.put_all([(name, b"x", None) for name in FOREIGN])
    assert names(here) == []


@pytest.mark.parametrize("changes", [
    {"run": None}, {"run": "xyz"}, {"sha256": "0"}, {"type": "odd"}, {"bytes": "1"},
    {"rawbytes": "-1"}, {"durationms": "999999999999999999"}, {"schedule": "one"},
    {"occurrence": "today"}, {"bytes": None}], ids=str)
def test_metadata_that_cannot_be_ours(file_here, file_store, small_database, changes):
    """Somebody else's object with our form of name is left out, and so never deleted."""
    schedule = small_database.value(backups.SCHEDULE)
    name, content, metadata = backups.made_at(OLD, schedule, small_database)
    file_store.put(name, content, {key: value for key, value in {**metadata, **changes}.items()
                                   if value is not None})
    assert names(file_here) == []


def test_damaged_sidecar_is_not_an_old_backup(file_here, file_store):
    file_store.put(OLD_NAME, b"-- dump")
    (file_store.folder / f"{OLD_NAME}.meta").write_text("{ not JSON")
    assert names(file_here) == []


def test_hidden_files_and_folders_are_not_shown(file_here, file_store):
    name = file_here.ok("run", "--no-notify").out.strip()
    (file_store.folder / f".{OLD_NAME}").write_bytes(b"x")
    (file_store.folder / OLD_NAME).mkdir()
    assert names(file_here) == [name]


def test_link_is_not_followed(file_here, file_store, tmp_path):
    file_store.folder.mkdir()
    (tmp_path / "elsewhere").write_bytes(b"x")
    (file_store.folder / OLD_NAME).symlink_to(tmp_path / "elsewhere")
    assert names(file_here) == []


def test_more_than_one_page(make_tool, small_database, azure_store, azure_proxy):
    """The service is asked for 1000 at a time."""
    schedule = small_database.value(backups.SCHEDULE)
    made = [backups.made_at(OLD + number * backups.DAY, schedule, small_database)
            for number in range(1100)]
    azure_store.put_all(made)
    tool = make_tool(small_database, azure_store, **azure_store.settings_through(azure_proxy.port))
    assert names(tool) == [name for name, _, _ in reversed(made)]
    assert azure_proxy.count("^GET .*comp=list") == 2


def test_many_files(file_here, file_store, small_database):
    schedule = small_database.value(backups.SCHEDULE)
    made = [backups.made_at(OLD + number * backups.DAY, schedule, small_database)
            for number in range(2000)]
    file_store.put_all(made)
    assert names(file_here) == [name for name, _, _ in reversed(made)]


def test_control_characters_from_elsewhere(file_here, file_store, small_database):
    """Metadata is input: it must not reach a terminal as it is."""
    schedule = small_database.value(backups.SCHEDULE)
    name, content, metadata = backups.made_at(OLD, schedule, small_database,
                                              database="%1B%5B31mred")
    file_store.put(name, content, metadata)
    result = file_here.ok("list", "--json")
    assert "\x1b" not in result.out
    assert json.loads(result.out)["backups"][0]["database"] == "\x1b[31mred"
    assert "\x1b" not in file_here.ok("list").out


def test_nothing_is_listed_when_the_store_does_not_answer(file_here, file_store):
    file_store.folder.write_text("not a folder")
    result = file_here.run("list")
    assert (result.code, result.out) == (1, "")
    assert str(file_store.folder) in result.err


# Stores that schedules name

@pytest.fixture
def second(tmp_path):
    return FileStore(tmp_path / "second")


@pytest.fixture
def two(make_tool, small_database, azure_store, second):
    """The program, with a backup in the configured store, and a schedule with one of its own."""
    small_database.execute("INSERT INTO backup_schedule (name, enabled, stores) VALUES ('second',"
                           " false, %s)", second.settings["RYTHM_BACKUP_STORES"])
    tool = make_tool(small_database, azure_store)
    tool.ok("run", small_database.value(backups.SCHEDULE + " WHERE name IS NULL"), "--no-notify")
    return tool


@pytest.mark.parametrize("url", [None, "azblob:///never-made"])
def test_a_schedules_store_is_empty_before_its_first_backup(two, small_database, second, url):
    """The backup makes it: nothing is amiss."""
    if url is not None:
        small_database.execute("UPDATE backup_schedule SET stores = %s WHERE name IS NOT NULL", url)
    assert len(names(two)) == 1
    result = two.ok("list")
    assert "There are no backups in " in result.err and len(result.out.splitlines()) == 3
    assert two.ok("prune").err == ""


def test_a_schedules_store_that_is_gone_hides_no_other(two, second):
    two.ok("run", "second", "--no-notify")
    assert len(names(two)) == 2
    second.folder.rename(second.folder.with_name("elsewhere"))
    for command in (("list", "--json"), ("prune", "--dry-run", "--json")):
        result = two.run(*command)
        assert (result.code, len(result.json["backups"])) == (3, 1)
        assert result.err.startswith("⚠️  A store was left out: listing the backups in file://")
        assert str(second.folder) in result.err and "is a file system not mounted?" in result.err


@pytest.mark.parametrize("url", ["ftp://bucket", "nowhere", "file://relative"])
def test_a_schedules_wrong_store_hides_no_other(two, small_database, url):
    small_database.execute("UPDATE backup_schedule SET stores = %s WHERE name IS NOT NULL", url)
    for command in (("list", "--json"), ("prune", "--dry-run", "--json")):
        result = two.run(*command)
        assert (result.code, len(result.json["backups"])) == (3, 1)
        assert result.err.startswith("⚠️  The store of schedule second was left out: ")


def test_the_configured_store_hides_no_other_either(two, second, azure_store):
    two.ok("run", "second", "--no-notify")
    missing = two.with_settings(AZURE_BACKUP_CONTAINER="never-made")
    result = missing.run("list", "--json")
    assert (result.code, len(result.json["backups"])) == (3, 1)
    second.folder.rename(second.folder.with_name("elsewhere"))
    result = missing.run("list")
    assert (result.code, result.out) == (1, "")
    assert "never-made" in result.err and str(second.folder) in result.err

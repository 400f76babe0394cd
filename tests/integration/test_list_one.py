"""`list NAME`: the tables in one backup; and how a backup is named: by its name, latest, or
latest:SCHEDULE, in the first store that has it."""

import json
import re

import pytest

import backups
from stores import FileStore
from tables import note_verification

NOWHERE = "postgresql://postgres@127.0.0.1:1/nowhere"
OLD_NAME = "rythm-backup-2025-01-29T02-00-01-123Z.sql"


@pytest.fixture
def here(make_tool, database, store):
    """The program, on each kind of store; a database with several tables."""
    return make_tool(database, store)


@pytest.fixture
def file_here(make_tool, small_database, file_store):
    return make_tool(small_database, file_store)


def manifest_of(store, name):
    return json.loads(store.read(f"{name}.json"))


def listed(tool, wanted, **settings):
    return tool.with_settings(**settings).ok("list", "--json", wanted).json


def named(tool, wanted, **settings):
    return listed(tool, wanted, **settings)["name"]


# What is in it

def test_tables_as_json(here, store, database):
    made = here.ok("run", "--no-notify", "--json").json
    note_verification(database, made["name"], made["run_id"], when="2031-05-06 03:00Z")
    manifest = manifest_of(store, made["name"])
    backup = listed(here, made["name"])
    (row,) = here.ok("list", "--json").json["backups"]
    assert backup == row | {
        "snapshot": manifest["snapshot_at"], "encoding": "UTF8", "locale": "C.UTF-8",
        "segments": len(manifest["segments"]),
        "tables": [{key: table[key] for key in ("schema", "name", "rows", "bytes", "raw_bytes",
                                                "fingerprint", "segments")}
                   for table in manifest["tables"]],
        "left_out": [], "scope": {"schemas": None, "only_tables": None, "exclude_tables": None,
                                  "exclude_table_data": None}}
    assert len(backup["tables"]) == row["tables"] > 3
    assert sum(table["rows"] for table in backup["tables"]) == row["rows"] > 100
    assert backup["verified_at"] == "2031-05-06T03:00:00.000Z"


def test_tables_as_a_table(here, store):
    name = here.ok("run", "--no-notify").out.strip()
    result = here.ok("list", name)
    header, *lines = result.out.splitlines()
    assert re.split(r"  +", header) == ["SCHEMA", "TABLE", "ROWS", "SIZE", "RAW SIZE"]
    assert [re.split(r"  +", line)[:3] for line in lines] == [
        [table["schema"], table["name"], str(table["rows"])]
        for table in manifest_of(store, name)["tables"]]
    assert result.err == ""


def test_a_database_without_tables(make_tool, empty_database, file_store):
    tool = make_tool(empty_database, file_store)
    tool.ok("migrate")
    empty_database.execute("CREATE SCHEMA alone")
    tool.ok("schedule", "add", "alone", "--schemas=alone")
    tool.ok("run", "alone", "--no-notify")
    assert listed(tool, "latest")["tables"] == []
    assert tool.ok("list", "latest").out == "SCHEMA  TABLE  ROWS  SIZE  RAW SIZE\n"


def test_control_characters_do_not_reach_the_terminal(file_here, small_database):
    small_database.execute('CREATE TABLE "a\x1b[31mb" (i int)')
    file_here.ok("run", "--no-notify")
    assert "\x1b" not in file_here.ok("list", "latest").out
    assert "a\x1b[31mb" in [table["name"] for table in listed(file_here, "latest")["tables"]]


@pytest.mark.parametrize("database_url", [None, NOWHERE])
def test_a_backup_without_a_manifest(file_here, small_database, database_url):
    name = file_here.with_settings(RYTHM_BACKUP_ENGINE="pg_dump").ok(
        "run", "--no-notify").out.strip()
    tool = file_here.with_settings(DATABASE_URL=database_url or small_database.url)
    result = tool.ok("list", name)
    assert result.out == "" and f"{name} has no manifest" in result.err
    backup = tool.ok("list", "--json", name).json
    assert [backup[key] for key in ("snapshot", "encoding", "locale", "segments",
                                         "tables")] == [None] * 5
    assert (backup["engine"], backup["ledger"]) == (
        "pg_dump", None if database_url else "completed")


def test_a_backup_of_the_old_service(file_here, file_store):
    file_store.put(OLD_NAME, b"-- dump")
    assert f"{OLD_NAME} has no manifest" in file_here.ok("list", OLD_NAME).err
    assert listed(file_here, OLD_NAME)["legacy"] is True


def test_a_manifest_that_is_gone(file_here, file_store):
    name = file_here.ok("run", "--no-notify").out.strip()
    if "manifest" not in file_store.list()[0].metadata:
        pytest.fail("the metadata do not tell of a manifest")
    (file_store.folder / f"{name}.json").unlink()
    result = file_here.run("list", name)
    assert (result.code, result.out) == (1, "")
    assert f"{name}.json, and it is gone" in result.err


def test_a_manifest_that_was_changed(file_here, file_store):
    name = file_here.ok("run", "--no-notify").out.strip()
    path = file_store.folder / f"{name}.json"
    path.write_text(path.read_text().replace('"rows": ', '"rows": 1', 1))
    result = file_here.run("list", name)
    assert (result.code, result.out) == (1, "") and f"{name}.json" in result.err


# Which one

@pytest.mark.parametrize("wanted", [
    "../x", "/etc/passwd", "rythm-backup-2025-01-29T02-00-01-123Z.sql/../x", "%2e%2e/x",
    "rythm-backup-2025-01-29T02-00-01-123Z.sql%2f..", "x", "LATEST", "latest/", "", "latest:",
    "rythm-backup-2025-01-29T02-00-01-123Z.sql.zst.json", "rythm-backup-2025-01-29T02-00-01-123Z",
    "rythm-backup-2025-02-30T02-00-01-123Z.sql", f"./{OLD_NAME}", f"{OLD_NAME}\n", f" {OLD_NAME}",
    pytest.param("rythm-backup-" + "9" * 5000, id="long"),
    pytest.param("latest:" + "9" * 5000, id="long schedule")])
def test_names_of_another_form_are_refused_before_anything_is_asked(file_here, file_store, wanted):
    """Else the missing folder would be told."""
    for json_option in ((), ("--json",)):
        result = file_here.run("list", *json_option, "--", wanted)
        assert (result.code, result.out) == (2, "")
        assert "is no backup's name" in result.err or "names no schedule" in result.err
    assert not file_store.folder.exists()


def test_a_name_that_no_store_has(file_here, file_store):
    file_store.folder.mkdir()
    result = file_here.run("list", OLD_NAME)
    assert (result.code, result.out) == (2, "")
    assert f"there is no backup '{OLD_NAME}'" in result.err and "rythm-backup list" in result.err
    for wanted in ("latest", "latest:nothing"):
        result = file_here.run("list", wanted)
        assert (result.code, result.out) == (2, "") and "there is no backup" in result.err


def test_only_one_name(file_here):
    assert file_here.run("list", OLD_NAME, OLD_NAME).code == 2


def test_an_object_that_is_not_whole(file_here, file_store):
    first, second = (file_here.ok("run", "--no-notify").out.strip() for _ in range(2))
    with open(file_store.folder / second, "ab") as file:
        file.write(b"more")
    result = file_here.run("list", second)
    assert (result.code, result.out) == (1, "") and f"{second} in file://" in result.err
    assert "is not whole" in result.err
    assert named(file_here, "latest") == first


def test_latest(here, store, database):
    old = backups.made_at(backups.now() - backups.DAY, None, database)
    store.put_all([old, (OLD_NAME, b"-- dump", None)])
    assert named(here, "latest") == old[0]
    made = here.ok("run", "--no-notify").out.strip()
    assert named(here, "latest") == made
    assert named(here, "latest", DATABASE_URL=NOWHERE) == made


@pytest.fixture
def two(file_here, small_database, file_store):
    """The ids of two schedules, each with a backup; the first has one of the old service, too."""
    small_database.execute("UPDATE backup_schedule SET name = 'first'")
    file_here.ok("schedule", "add", "second")
    file_store.put(OLD_NAME, b"-- dump")
    return {name: (small_database.value(f"{backups.SCHEDULE} WHERE name = '{name}'"),
                   file_here.ok("run", name, "--no-notify").out.strip())
            for name in ("first", "second")}


def test_latest_of_a_schedule(file_here, two):
    for name, (schedule, made) in two.items():
        for wanted in (name, schedule, schedule.upper()):
            assert named(file_here, f"latest:{wanted}") == made


def test_latest_of_a_schedule_without_the_database(file_here, two):
    for name, (schedule, made) in two.items():
        assert named(file_here, f"latest:{schedule}", DATABASE_URL=NOWHERE) == made
        result = file_here.with_settings(DATABASE_URL=NOWHERE).run("list", f"latest:{name}")
        assert result.code == 2
        assert "the database does not answer, so give the schedule's id" in result.err


def test_latest_of_a_schedule_that_was_removed(file_here, two):
    schedule, made = two["second"]
    file_here.ok("schedule", "remove", "second")
    assert named(file_here, f"latest:{schedule}") == made
    assert file_here.run("list", "latest:second").code == 2


def test_the_old_services_are_the_default_schedules(file_here, file_store, two):
    for name in ("first", "second"):
        file_here.ok("prune", "--force", two[name][1])
    assert named(file_here, "latest:first") == OLD_NAME
    assert file_here.run("list", "latest:second").code == 2


# Several stores

@pytest.fixture
def apart(make_tool, small_database, azure_store, tmp_path):
    """The program, the store of a second schedule, and the names of a backup in each store."""
    second = FileStore(tmp_path / "second")
    small_database.execute("INSERT INTO backup_schedule (name, enabled, stores) VALUES ('second',"
                           " false, %s)", second.settings["RYTHM_BACKUP_STORES"])
    tool = make_tool(small_database, azure_store)
    first = small_database.value(backups.SCHEDULE + " WHERE name IS NULL")
    return tool, second, [tool.ok("run", schedule, "--no-notify").out.strip()
                          for schedule in (first, "second")]


def test_every_store_is_asked(apart):
    tool, _, made = apart
    assert [named(tool, name) for name in made] == made
    assert named(tool, "latest") == made[1]


def test_a_store_that_does_not_answer_is_left_out(apart):
    tool, second, made = apart
    second.folder.rename(second.folder.with_name("elsewhere"))
    assert named(tool, made[0]) == made[0]
    result = tool.ok("list", "--json", "latest")
    assert result.json["name"] == made[0] and "A store was left out: " in result.err
    result = tool.run("list", made[1])
    assert (result.code, result.out) == (1, "")
    assert f"looking for {made[1]} in file://" in result.err


def test_the_first_store_that_does_not_answer_hides_no_other(apart):
    tool, _, made = apart
    missing = tool.with_settings(AZURE_BACKUP_CONTAINER="never-made")
    assert named(missing, made[1]) == made[1]
    assert missing.run("list", made[0]).code != 0

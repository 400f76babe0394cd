"""Retention: what goes, what stays and why, on each kind of store (invariant I6)."""

import datetime
import re
import uuid

import pytest

import backups
from backups import DAY
from fault_proxy import ALWAYS
from tables import note_verification

DELETE = "^DELETE "
LIST = "^GET .*comp=list"
# Not that of a day, which looks for backups that the ledger does not know.
LIST_ALL = "^GET .*comp=list.*prefix=rythm-backup-(&| |$)"


@pytest.fixture
def here(make_tool, small_database, store):
    return make_tool(small_database, store)


@pytest.fixture
def file_here(make_tool, small_database, file_store):
    return make_tool(small_database, file_store)


@pytest.fixture
def proxied(make_tool, small_database, azure_store, azure_proxy):
    return make_tool(small_database, azure_store, **azure_store.settings_through(azure_proxy.port))


def put_aged(store, home, /, *ages_in_days, **changes):
    """Backups of the default schedule that are so old, some hours less; their names."""
    schedule = home.value(backups.SCHEDULE)
    made = [backups.made_at(backups.now() - days * DAY + DAY / 4, schedule, home, **changes)
            for days in ages_in_days]
    store.put_all(made)
    return [name for name, _, _ in made]


def put_old(store, *ages_in_days, with_colons=False):
    """Objects of the old service: a name and nothing else."""
    made = []
    for days in ages_in_days:
        when = backups.now() - days * DAY
        name = backups.name_at(when, ".sql")
        if with_colons:
            name = f"rythm-backup-{backups.instant(when)}.sql"
        made.append((name, b"-- dump", None))
    store.put_all(made)
    return [name for name, _, _ in made]


def note(store, home, verified=(), failed=()):
    """The ledger's rows of all that is in the store, and what it says of verifications."""
    for stored in store.list():
        run = (stored.metadata or {}).get("run")
        home.execute(
            "INSERT INTO backup_history (backup_filename, backup_type, status, run_id, started_at,"
            " told_at) VALUES (%s, 'manual', 'completed', %s, now(), now())", stored.name, run)
        if stored.name in verified:
            note_verification(home, stored.name, run)
        if stored.name in failed:
            note_verification(home, stored.name, run, "a row is gone")


def left(store):
    return {stored.name for stored in store.list()}


def set_retention(database, days):
    database.execute("UPDATE backup_schedule SET retention_days = %s", days)


# What goes

def test_older_than_retention_days_goes(here, store, small_database):
    names = put_aged(store, small_database, 1, 2, 29, 30, 31, 32, 400)
    result = here.ok("prune")
    assert left(store) == set(names[:4])
    for name in names[4:]:
        assert f"Deleted backup {name}: older than 30 days" in result.err


def test_oldest_goes_first(file_here, file_store, small_database):
    """Whatever ends the deleting, what is left is the newest."""
    names = put_aged(file_store, small_database, 1, 2, 3, 40, 41, 42)
    assert re.findall("Deleted backup ([^:]*):", file_here.ok("prune").err) == names[:2:-1]


def test_retention_of_one_day(file_here, file_store, small_database):
    set_retention(small_database, 1)
    names = put_aged(file_store, small_database, 0.5, 1, 1.5, 2, 3)
    assert "older than 1 day\n" in file_here.ok("prune").err
    assert left(file_store) == set(names[:3])


@pytest.mark.parametrize("keep_min, expected", [("1", 1), (None, 3), ("4", 4), ("9", 5)])
def test_keep_min_stays(file_here, file_store, small_database, keep_min, expected):
    names = put_aged(file_store, small_database, 100, 101, 102, 103, 104)
    file_here.with_settings(RYTHM_BACKUP_KEEP_MIN=keep_min).ok("prune")
    assert left(file_store) == set(names[:expected])


def test_keep_min_counts_the_young(file_here, file_store, small_database):
    names = put_aged(file_store, small_database, 1, 2, 100, 101)
    file_here.ok("prune")
    assert left(file_store) == set(names[:3])


def test_manual_backups_follow_their_schedule(file_here, file_store, small_database):
    manual = put_aged(file_store, small_database, 100, 50, 2, type="manual")
    scheduled = put_aged(file_store, small_database, 101, 1, 3, type="scheduled",
                         occurrence="2026-01-01T02:00:00.000Z")
    file_here.ok("prune")
    assert left(file_store) == {manual[2], scheduled[1], scheduled[2]}


def test_objects_of_the_old_service_go_with_the_default_schedule(here, store, small_database):
    young = put_aged(store, small_database, 1, 2, 3)
    old = put_old(store, 20, 40) + put_old(store, 41, with_colons=True)
    here.ok("prune")
    assert left(store) == set(young) | {old[0]}


def test_objects_of_the_old_service_are_not_a_second_schedules(file_here, file_store,
                                                               small_database):
    """The oldest row is the default one; it keeps for 1000 days, the other for one."""
    set_retention(small_database, 1000)
    small_database.execute("INSERT INTO backup_schedule (enabled, retention_days) VALUES (true, 1)")
    old = put_old(file_store, 40, 41, 42, 43)
    file_here.with_settings(RYTHM_BACKUP_KEEP_MIN="1").ok("prune")
    assert left(file_store) == set(old)


def test_sidecars_go_too(file_here, file_store, small_database):
    put_aged(file_store, small_database, 1, 2, 3, 100)
    file_here.ok("prune")
    assert file_store.leftovers() == []
    assert len(list(file_store.folder.glob("*.meta"))) == 3


# What stays

def test_what_is_not_provably_ours_stays(here, store, small_database):
    schedule = small_database.value(backups.SCHEDULE)
    when = backups.now() - 500 * DAY
    foreign = [
        ("notes.txt", b"x", None), ("rythm-backup-old.sql", b"x", None),
        (backups.name_at(when, ".sql.gz"), b"no metadata", None),
        (backups.name_at(when, ".sql.bak"), b"x", None),
        backups.made_at(when + DAY, schedule, small_database, ledger="a_copy"),
        backups.made_at(when + DAY * 1.1, schedule, small_database, system="7300000000000000001"),
        backups.made_at(when + DAY * 1.2, schedule, small_database, ledger=None, system=None),
        backups.made_at(when + 2 * DAY, str(uuid.uuid4()), small_database),
        backups.made_at(when + 3 * DAY, None, small_database),
        backups.made_at(when + 4 * DAY, schedule, small_database, run="not a run"),
        backups.made_at(when + 5 * DAY, schedule, small_database, bytes="1"),
    ]
    store.put_all(foreign)
    put_aged(store, small_database, 100, 101)
    here.with_settings(RYTHM_BACKUP_KEEP_MIN="1").ok("prune")
    assert {name for name, _, _ in foreign} < left(store)
    assert len(left(store)) == len(foreign) + 1


def test_blob_with_somebodys_metadata_stays(make_tool, small_database, azure_store):
    """A name that we do not write is still a word about itself: no object of the old service."""
    old = put_old(azure_store, 100, 200)
    when = backups.now() - 500 * DAY
    foreign = [(backups.name_at(when + days * DAY, ".sql"), b"-- dump", metadata)
               for days, metadata in enumerate([{"retain_until": "2099"}, {"x" * 300: "y"},
                                                {"note": "y" * 3000}])]
    azure_store.put_all(foreign)
    tool = make_tool(small_database, azure_store, RYTHM_BACKUP_KEEP_MIN="1")
    assert [backup["name"] for backup in tool.ok("list", "--json").json["backups"]] == old
    tool.ok("prune")
    assert left(azure_store) == {old[0], *(name for name, _, _ in foreign)}


def test_empty_object_is_no_backup(here, store, small_database):
    """It neither goes nor counts among those to keep."""
    when = backups.now() - 50 * DAY
    empty = [backups.name_at(when + days * DAY, ".sql") for days in range(5)]
    store.put_all([(name, b"", None) for name in empty])
    old = put_old(store, 100, 101, 102, 103)
    listed = here.ok("list", "--json").json["backups"]
    assert [backup["name"] for backup in listed] == old
    here.ok("prune")
    assert left(store) == {*empty, *old[:3]}


def test_schedules_count_for_themselves(file_here, file_store, small_database):
    """Many backups of one schedule do not make those of another expendable."""
    default = small_database.value(backups.SCHEDULE)
    other = str(uuid.uuid4())
    small_database.execute("INSERT INTO backup_schedule (schedule_id, retention_days)"
                           " VALUES (%s, 10)", other)
    mine = [backups.made_at(backups.now() - days * DAY, default, small_database)
            for days in (1, 2, 3, 20, 40)]
    others = [backups.made_at(backups.now() - days * DAY + DAY / 3, other, small_database)
              for days in (5, 20, 21, 40)]
    file_store.put_all(mine + others)
    file_here.ok("prune")
    assert left(file_store) == {name for name, _, _ in mine[:4] + others[:3]}


def test_databases_of_a_schedule_count_for_themselves(file_here, file_store, small_database):
    """It was turned to another one: what it made of the first is not made expendable."""
    before = put_aged(file_store, small_database, 50, 51, 52, 53, 54, database="the_first")
    now = put_aged(file_store, small_database, 1, 2, 3, 40, 41)
    result = file_here.ok("prune")
    assert left(file_store) == {*before[:3], *now[:3]}
    assert result.err.count("older than 30 days") == 4


def test_backup_from_the_future_stays_and_does_not_count(file_here, file_store, small_database):
    names = put_aged(file_store, small_database, -1, -2, -3, 100, 101, 102, 103)
    file_here.ok("prune")
    assert left(file_store) == set(names[:6])


@pytest.mark.parametrize("days", [0, -5, None])
def test_invalid_schedule_deletes_nothing(file_here, file_store, small_database, days):
    set_retention(small_database, days)
    names = put_aged(file_store, small_database, 1, 2, 3, 400, 500)
    result = file_here.run("prune", "--dry-run")
    assert "is wrong, so none of its backups is deleted: retention_days is" in result.err
    assert result.out.count("keep    its schedule is wrong: retention_days is") == len(names)
    assert file_here.run("prune").code == 3
    assert left(file_store) == set(names)


def test_invalid_schedule_does_not_protect_another(file_here, file_store, small_database):
    other = str(uuid.uuid4())
    set_retention(small_database, 0)
    invalid = put_aged(file_store, small_database, 100, 101, 102, 103)
    small_database.execute("INSERT INTO backup_schedule (schedule_id, retention_days)"
                           " VALUES (%s, 10)", other)
    made = [backups.made_at(backups.now() - days * DAY, other, small_database)
            for days in (30, 31, 32, 33)]
    file_store.put_all(made)
    file_here.run("prune")
    assert left(file_store) == {*invalid, *(name for name, _, _ in made[:3])}


def test_disabled_schedule_is_pruned(file_here, file_store, small_database):
    names = put_aged(file_store, small_database, 1, 2, 3, 100)
    assert small_database.value("SELECT enabled FROM backup_schedule") is False
    file_here.ok("prune")
    assert left(file_store) == set(names[:3])


def test_database_down_deletes_nothing(file_here, file_store, small_database):
    names = put_aged(file_store, small_database, 1, 2, 3, 100)
    tool = file_here.with_settings(DATABASE_URL="postgresql://postgres@127.0.0.1:1/nowhere")
    assert tool.run("prune").code == 1
    assert left(file_store) == set(names)


def test_nothing_to_do_is_silent(file_here, file_store, small_database):
    put_aged(file_store, small_database, 1)
    result = file_here.ok("prune")
    assert result.out + result.err == ""


# --dry-run, --json

def test_dry_run_tells_of_each_object_and_deletes_none(here, store, small_database):
    names = put_aged(store, small_database, -2, 1, 35, 36, 50)
    names += put_old(store, 60)
    stranger = backups.made_at(backups.now() - 70 * DAY, str(uuid.uuid4()), small_database)
    alone = backups.made_at(backups.now() - 80 * DAY, None, small_database)
    store.put_all([stranger, alone, ("notes.txt", b"x", None)])
    result = here.ok("prune", "--dry-run")
    assert [re.split("  +", line) for line in result.out.splitlines()] == [
        ["NAME", "ACTION", "REASON"],
        [names[0], "keep", "dated after the database server's clock"],
        [names[1], "keep", "not older than 30 days"],
        [names[2], "keep", "one of the newest 3"],
        [names[3], "keep", "one of the newest 3"],
        [names[4], "delete", "older than 30 days"],
        [names[5], "delete", "older than 30 days"],
        [stranger[0], "keep", "belongs to no schedule of this database"],
        [alone[0], "keep", "belongs to no schedule of this database"]]
    assert left(store) == {*names, stranger[0], alone[0], "notes.txt"}


def test_rules_keep_what_is_older(file_here, file_store, small_database):
    small_database.execute("UPDATE backup_schedule SET retention_days = 2, keep_last = 5,"
                           " keep_daily = 6")
    names = put_aged(file_store, small_database, 1, 2, 3, 4, 5, 100, 100.1, 200, 300)
    shown = {each["name"]: each for each in file_here.ok("prune", "--dry-run", "--json")
             .json["backups"]}
    assert [shown[name]["action"] for name in names] == ["keep"] * 6 + ["delete"] * 3
    assert "keep_last 5" in shown[names[3]]["reason"]
    assert "keep_daily 6" in shown[names[5]]["reason"]
    file_here.ok("prune")
    assert {stored.name for stored in file_store.list()} == set(names[:6])


def test_dry_run_as_json(file_here, file_store, small_database):
    names = put_aged(file_store, small_database, 100, 101)
    location = file_store.settings["RYTHM_BACKUP_STORES"]
    tool = file_here.with_settings(RYTHM_BACKUP_KEEP_MIN="1")
    assert tool.ok("prune", "--dry-run", "--json").json == {
        "backups": [{"name": names[0], "store": location, "action": "keep",
                     "reason": "the newest one"},
                    {"name": names[1], "store": location, "action": "delete",
                     "reason": "older than 30 days"}],
        "deleted": 0, "failed": 0}
    assert left(file_store) == set(names)


def test_json_of_what_was_done(here, store, small_database):
    names = put_aged(store, small_database, 1, 2, 3, 100)
    document = here.ok("prune", "--json").json
    assert (document["deleted"], document["failed"]) == (1, 0)
    assert [(one["name"], one["action"]) for one in document["backups"]] == [
        (names[0], "keep"), (names[1], "keep"), (names[2], "keep"), (names[3], "deleted")]


# prune NAME...

def test_named_backup_goes_whatever_its_age(here, store, small_database):
    names = put_aged(store, small_database, 1, 2)
    here.ok("prune", names[0])
    assert left(store) == {names[1]}


def test_several_names(file_here, file_store, small_database):
    names = put_aged(file_store, small_database, 1, 2, 3)
    file_here.ok("prune", names[0], names[2])
    assert left(file_store) == {names[1]}


def test_one_wrong_name_deletes_nothing(here, store, small_database):
    names = put_aged(store, small_database, 1, 2)
    result = here.run("prune", names[0], "rythm-backup-nothing.sql")
    assert result.code == 2
    assert "there is no backup 'rythm-backup-nothing.sql'; nothing was deleted" in result.err
    assert left(store) == set(names)


@pytest.mark.parametrize("name", ["notes.txt", "../notes.txt", "", "/etc/hostname"])
def test_what_is_no_backup_cannot_be_named(file_here, file_store, small_database, name):
    names = put_aged(file_store, small_database, 1, 2)
    file_store.put("notes.txt", b"x")
    assert file_here.run("prune", "--force", name).code == 2
    assert left(file_store) == {*names, "notes.txt"}


def test_last_backup_needs_force(here, store, small_database):
    (name,) = put_aged(store, small_database, 1)
    result = here.run("prune", name)
    assert result.code == 2
    assert f"{name} would be the last backup of its schedule to go; nothing was deleted" in \
        result.err
    assert "give --force" in result.err
    assert left(store) == {name}
    here.ok("prune", "--force", name)
    assert left(store) == set()


def test_all_backups_named_together_need_force(file_here, file_store, small_database):
    names = put_aged(file_store, small_database, 1, 2, 3)
    assert file_here.run("prune", *names).code == 2
    assert left(file_store) == set(names)
    file_here.ok("prune", "--force", *names)
    assert left(file_store) == set()


def test_another_schedules_backup_does_not_make_it_less_last(file_here, file_store,
                                                             small_database):
    (name,) = put_aged(file_store, small_database, 1)
    file_store.put_all([backups.made_at(backups.now(), str(uuid.uuid4()), small_database)])
    assert file_here.run("prune", name).code == 2
    assert name in left(file_store)


def test_named_dry_run(file_here, file_store, small_database):
    names = put_aged(file_store, small_database, 1, 2)
    assert re.split("  +|\n", file_here.ok("prune", "--dry-run", names[1]).out) == [
        "NAME", "ACTION", "REASON", names[1], "delete", "named", ""]
    assert left(file_store) == set(names)


def test_same_name_twice(file_here, file_store, small_database):
    names = put_aged(file_store, small_database, 1, 2)
    file_here.ok("prune", names[0], names[0])
    assert left(file_store) == {names[1]}


# Stores that schedules name

@pytest.mark.parametrize("url", ["ftp://bucket", "file:///dev/null/nowhere"])
def test_a_schedules_wrong_store_keeps_no_other_from_being_pruned(here, store, small_database, url):
    names = put_aged(store, small_database, 1, 2, 3, 40)
    small_database.execute(
        "INSERT INTO backup_schedule (name, enabled, stores) VALUES ('astray', false, %s)", url)
    result = here.run("prune")
    assert result.code == 3
    assert left(store) == set(names[:3])
    assert "astray" in result.err or "/dev/null/nowhere" in result.err
    assert here.run("prune", names[0]).code == 3
    assert left(store) == set(names[1:3])


# What the store refuses

def refuse(azure_proxy, status, code, **options):
    return azure_proxy.add(DELETE, status=status, headers={"x-ms-error-code": code},
                           **{"times": ALWAYS, **options})


@pytest.mark.parametrize("code", ["BlobImmutableDueToPolicy", "BlobImmutableDueToLegalHold"])
def test_immutable_backup_is_passed_over(proxied, azure_store, azure_proxy, small_database, code):
    names = put_aged(azure_store, small_database, 1, 2, 3, 100, 101)
    refuse(azure_proxy, 409, code, times=1)
    result = proxied.ok("prune")
    assert f"Backup {names[4]} is protected by the store" in result.err
    assert left(azure_store) == {*names[:3], names[4]}


def test_immutable_backup_in_json(proxied, azure_store, azure_proxy, small_database):
    put_aged(azure_store, small_database, 1, 2, 3, 100)
    refuse(azure_proxy, 409, "BlobImmutableDueToPolicy")
    document = proxied.ok("prune", "--json").json
    assert document["backups"][3]["action"] == "protected"


def test_refused_deletion_is_degraded_and_the_rest_goes(proxied, azure_store, azure_proxy,
                                                        small_database):
    names = put_aged(azure_store, small_database, 1, 2, 3, 100, 101, 102)
    refuse(azure_proxy, 403, "AuthorizationPermissionMismatch", times=1)
    result = proxied.run("prune")
    assert result.code == 3
    assert f"Backup {names[5]} could not be deleted: " in result.err
    assert "1 backup(s) could not be deleted" in result.err
    assert left(azure_store) == {*names[:3], names[5]}


def test_other_conflict_is_not_taken_for_immutability(proxied, azure_store, azure_proxy,
                                                      small_database):
    put_aged(azure_store, small_database, 1, 2, 3, 100)
    refuse(azure_proxy, 409, "LeaseIdMissing")
    assert proxied.run("prune").code == 3


def test_replaced_backup_is_left_alone(proxied, azure_store, azure_proxy, small_database):
    """Another object has the name by now: the one that was listed is not there any more."""
    names = put_aged(azure_store, small_database, 1, 2, 3, 100, 101)

    def replace(line, body):
        azure_store.put(names[4], b"another")
        return body

    azure_proxy.add(DELETE, edit=replace)
    result = proxied.run("prune", "--json")
    assert result.code == 3
    assert (f"Backup {names[4]} could not be deleted: it is not the object that was listed, and was"
            " left alone; the next prune") in result.err
    assert (result.json["deleted"], result.json["failed"]) == (1, 1)
    assert [one["action"] for one in result.json["backups"]][3:] == ["deleted", "changed"]
    assert left(azure_store) == {*names[:3], names[4]}
    assert azure_store.read(names[4]) == b"another"


def test_replaced_backup_degrades_the_tick(proxied, azure_store, azure_proxy, small_database):
    """The backup is good; what has expired is still there, and a tick that tells of nothing wrong
    has removed it."""
    backups.enable(small_database)
    names = put_aged(azure_store, small_database, 3, 4, 5, 100)
    # All of them are older than that, at any time of the day.
    night = (backups.now() - datetime.timedelta(days=1)).replace(hour=2, minute=0, second=10)

    def replace(line, body):
        azure_store.put(names[3], b"another")
        return body

    azure_proxy.add(DELETE, edit=replace)
    result = proxied.run("check", "--now", night)
    assert result.code == 3
    assert "applying retention: 1 backup(s) could not be deleted" in result.err
    assert small_database.value("SELECT status FROM backup_history") == "completed"
    assert azure_store.read(names[3]) == b"another"


def test_backup_that_somebody_else_deleted(proxied, azure_store, azure_proxy, small_database):
    names = put_aged(azure_store, small_database, 1, 2, 3, 100)

    def remove(line, body):
        azure_store.remove(names[3])
        return body

    azure_proxy.add(DELETE, edit=remove)
    assert proxied.ok("prune").err == ""
    assert left(azure_store) == set(names[:3])


def test_lost_answer_to_a_deletion(proxied, azure_store, azure_proxy, small_database):
    names = put_aged(azure_store, small_database, 1, 2, 3, 100)
    azure_proxy.add(DELETE, cut_after=True)
    proxied.ok("prune")
    assert left(azure_store) == set(names[:3])


def test_listing_that_fails_deletes_nothing(proxied, azure_store, azure_proxy, small_database):
    names = put_aged(azure_store, small_database, 1, 2, 3, 100)
    azure_proxy.add(LIST, times=ALWAYS, status=403,
                    headers={"x-ms-error-code": "AuthorizationFailure"})
    assert proxied.run("prune").code == 1
    assert azure_proxy.count(DELETE) == 0
    assert left(azure_store) == set(names)


# What was verified

def test_the_newest_verified_backup_stays(here, store, small_database):
    names = put_aged(store, small_database, 1, 2, 3, 40, 50, 60)
    note(store, small_database, verified=names[4:])
    actions = {each["name"]: each["reason"]
               for each in here.ok("prune", "--dry-run", "--json").json["backups"]}
    assert actions[names[4]] == "the newest verified one"
    here.ok("prune")
    assert left(store) == {*names[:3], names[4]}


def test_a_newer_verified_backup_takes_its_place(file_here, file_store, small_database):
    names = put_aged(file_store, small_database, 1, 2, 3, 40)
    note(file_store, small_database, verified=[names[2], names[3]])
    file_here.ok("prune")
    assert left(file_store) == set(names[:3])


def test_a_backup_that_failed_its_verification_is_none_of_the_minimum(file_here, file_store,
                                                                       small_database):
    names = put_aged(file_store, small_database, 1, 2, 3, 40, 50, 60)
    note(file_store, small_database, failed=[names[1], names[3]])
    file_here.ok("prune")
    assert left(file_store) == set(names[:5])


def test_a_verification_that_failed_later_counts(file_here, file_store, small_database):
    """Whoever wrote both: the later one is the last."""
    names = put_aged(file_store, small_database, 1, 2, 3, 40, 50)
    note(file_store, small_database, verified=names[3:])
    small_database.execute("UPDATE backup_history SET verify_failed_at = verified_at"
                           " + interval '1 second' WHERE backup_filename = %s", names[3])
    small_database.execute("UPDATE backup_history SET verify_failed_at = verified_at"
                           " - interval '1 second' WHERE backup_filename = %s", names[4])
    file_here.ok("prune")
    assert left(file_store) == {*names[:3], names[4]}


def test_another_runs_verification_proves_nothing(file_here, file_store, small_database):
    """The row of that name is not of the object's run."""
    names = put_aged(file_store, small_database, 1, 2, 3, 40)
    note(file_store, small_database, verified=names)
    small_database.execute("UPDATE backup_history SET run_id = 'fedcba9876543210', "
                           "verified_at = now() WHERE backup_filename = %s", names[3])
    small_database.execute("UPDATE backup_history SET verified_at = NULL"
                           " WHERE backup_filename <> %s", names[3])
    file_here.ok("prune")
    assert left(file_store) == set(names[:3])


def test_a_verified_backup_of_the_old_service_stays(file_here, file_store, small_database):
    old = put_old(file_store, 40, 41, 42, 43, 44)
    note(file_store, small_database, verified=[old[4]])
    file_here.ok("prune")
    assert left(file_store) == {*old[:3], old[4]}


def test_nothing_is_deleted_where_the_ledger_cannot_tell(file_here, file_store, small_database):
    names = put_aged(file_store, small_database, 1, 2, 3, 40)
    small_database.execute("ALTER TABLE backup_history RENAME verified_at TO gone")
    result = file_here.run("prune")
    assert result.code == 2 and "which backups were verified" in result.err
    assert left(file_store) == set(names)


def test_run_keeps_the_newest_verified_backup(file_here, file_store, small_database):
    names = put_aged(file_store, small_database, 1, 2, 100, 101)
    note(file_store, small_database, verified=[names[3]])
    made = file_here.ok("run", "--no-notify").out.strip()
    assert left(file_store) == {made, names[0], names[1], names[3]}


# After a backup

def test_check_prunes_after_a_good_backup(here, store, small_database):
    backups.enable(small_database)
    schedule = small_database.value(backups.SCHEDULE)
    now = datetime.datetime(2026, 3, 1, 2, 0, 10, tzinfo=datetime.timezone.utc)
    made = [backups.made_at(now - days * DAY, schedule, small_database)
            for days in (1, 29, 31, 32)]
    store.put_all(made)
    assert "older than 30 days" in here.ok("check", "--now", now).err
    names = {name for name, _, _ in made[:2]}
    assert names < left(store) and len(left(store)) == 3


def test_check_prunes_its_own_schedule_only(file_here, file_store, small_database):
    backups.enable(small_database)
    other = str(uuid.uuid4())
    small_database.execute("INSERT INTO backup_schedule (schedule_id, enabled, retention_days)"
                           " VALUES (%s, false, 1)", other)
    now = datetime.datetime(2026, 3, 1, 2, 0, 10, tzinfo=datetime.timezone.utc)
    made = [backups.made_at(now - days * DAY, other, small_database)
            for days in (10, 11, 12, 13)]
    file_store.put_all(made)
    file_here.ok("check", "--now", now)
    assert {name for name, _, _ in made} < left(file_store)


def test_failed_backup_prunes_nothing(file_here, file_store, small_database):
    backups.enable(small_database)
    names = put_aged(file_store, small_database, 100, 101, 102, 103, 104)
    tool = file_here.with_settings(RYTHM_BACKUP_PG_DUMP="/bin/false")
    now = backups.now().replace(hour=2, minute=0, second=10)
    assert tool.run("check", "--now", now).code == 1
    assert left(file_store) == set(names)
    assert tool.run("run", "--no-notify").code == 1
    assert left(file_store) == set(names)


def test_run_prunes(file_here, file_store, small_database):
    names = put_aged(file_store, small_database, 1, 2, 100)
    made = file_here.ok("run", "--no-notify").out.strip()
    assert left(file_store) == {made, names[0], names[1]}


def test_run_no_prune(file_here, file_store, small_database):
    names = put_aged(file_store, small_database, 1, 2, 100)
    made = file_here.ok("run", "--no-notify", "--no-prune").out.strip()
    assert left(file_store) == {made, *names}


def test_failing_prune_leaves_the_backup_good(proxied, azure_store, azure_proxy, small_database):
    """Invariant I7."""
    backups.enable(small_database)
    azure_proxy.add(LIST_ALL, times=ALWAYS, status=403,
                    headers={"x-ms-error-code": "AuthorizationFailure"})
    result = proxied.run("check", "--now", "2026-03-01 02:00:10Z")
    assert result.code == 3
    assert "applying retention: " in result.err
    assert small_database.value("SELECT status FROM backup_history") == "completed"
    assert len(azure_store.list()) == 1


def test_rehearsal_deletes_no_real_backup(file_here, file_store, small_database):
    """A tick that is told to believe in next year: everything is old by then."""
    backups.enable(small_database)
    names = put_aged(file_store, small_database, 0.5, 1, 2, 29, 40, 100)
    tick = (backups.now() + 365 * DAY).replace(hour=2, minute=0, second=10)
    (run,) = file_here.ok("check", "--json", "--now", tick).json["runs"]
    assert left(file_store) == {run["name"], *names}


def test_thirty_days(file_here, file_store, small_database):
    """A tick a day. Each is a little earlier in its hour, so that none is 7 days old to the ms."""
    backups.enable(small_database, retention_days=7)
    first = (backups.now() + 365 * DAY).replace(hour=2, minute=30, second=0)
    made = []
    for day in range(30):
        tick = first + day * DAY - day * datetime.timedelta(seconds=20)
        document = file_here.ok("check", "--json", "--now", tick).json
        made += [run["name"] for run in document["runs"]]
        assert left(file_store) == set(made[-8:])
    assert len(made) == 30
    assert small_database.value(
        "SELECT count(DISTINCT occurrence_at) FROM backup_history WHERE status = 'completed'") == 30

"""schedule: shows the schedules, and edits them so that none becomes wrong."""

import datetime
import json
import os
import re
import uuid
import zoneinfo

import pg_dumps
import processes
import pytest
from conftest import Database
from tables import add_schedule, at, rows
from tool import Tool

CANARY = "canary-Zq9"
ANOTHER_ID = "0b1c2d3e-4f50-4a6b-8c7d-9e0f1a2b3c4d"
EDITOR = ("GRANT SELECT, INSERT, UPDATE ON backup_schedule TO {role}",
          "GRANT SELECT ON backup_history TO {role}")


@pytest.fixture
def tool(make_tool, small_database, file_store):
    return make_tool(small_database, file_store)


@pytest.fixture
def nightly(tool):
    """The name of an enabled schedule beside the default one, which is disabled."""
    tool.ok("schedule", "add", "nightly")
    return "nightly"


def table_rows(database):
    return rows(database, "SELECT * FROM backup_schedule ORDER BY schedule_id")


def refusal(tool, database):
    """A function: an edit that is refused, in words that hold these, and that changes nothing."""
    def refuse(*arguments, words=(), code=2):
        before = table_rows(database)
        result = tool.run("schedule", *arguments)
        assert (result.code, result.out) == (code, ""), result
        assert result.err.count("\n") == 1, result.err
        for word in words:
            assert word in result.err, result.err
        assert before == table_rows(database)
        return result.err
    return refuse


@pytest.fixture
def refuses(tool, small_database):
    return refusal(tool, small_database)


@pytest.fixture(scope="module")
def always_refuses(cluster, migrated_small, folder):
    """As `refuses`, for tests that do nothing else and so can share one database: it has the
    default schedule and one by the name of nightly."""
    name = f"test_{os.getpid()}_refusals"
    cluster.create_database(name, migrated_small)
    database = Database(cluster, name)
    tool = Tool(folder, database.settings)
    tool.ok("schedule", "add", "nightly")
    yield refusal(tool, database)
    cluster.drop_database(name)


def row_of(database, name):
    (row,) = rows(database, "SELECT * FROM backup_schedule WHERE name = %s", name)
    return row


def shown(tool, *arguments):
    """The only schedule of what is printed as JSON."""
    (schedule,) = tool.ok("schedule", *arguments, "--json").json["schedules"]
    return schedule


def table(result):
    """The cells of the printed rows, without the header; columns are two blanks apart."""
    return [re.split(r"  +", line) for line in result.out.splitlines()[1:]]


# add

def test_add_is_the_old_services_schedule_unless_options_say_otherwise(tool, small_database):
    result = tool.ok("schedule", "add", "nightly")
    row = row_of(small_database, "nightly")
    assert (row["enabled"], str(row["schedule_time"]), row["retention_days"]) == (
        True, "02:00:00", 30)
    assert [row[name] for name in ("frequency", "days", "time_zone", "catch_up", "tenant_id",
                                   "target_dbname", "target_service", "schemas", "stores",
                                   "verify_every", "keep_last", "keep_daily", "keep_weekly",
                                   "keep_monthly", "keep_yearly", "only_tables",
                                   "exclude_tables", "exclude_table_data")] == [None] * 18
    header, line = result.out.splitlines()
    assert header.split() == ["SCHEDULE", "WHEN", "STATE", "NEXT", "KEEP", "VERIFY", "TARGET"]
    assert line.startswith("nightly   daily 02:00 UTC  ") and line.endswith("  30d   -       -")
    next_run = row["next_run_at"].astimezone(datetime.timezone.utc)
    assert (next_run.hour, next_run.minute) == (2, 0)
    assert f"next run: {next_run:%Y-%m-%dT%H:%M}:00.000Z" in result.err


def test_add_writes_each_column(tool, small_database, tmp_path):
    tool.ok("schedule", "add", "--name=all.of_it-1", "--time=23:59", "--frequency=weekly",
            "--days=mon,FRI,7", "--time-zone=Europe/Stockholm", "--retention-days=7",
            "--catch-up=90m", f"--tenant={ANOTHER_ID}", "--dbname=other",
            '--schemas=app,"a,b","say ""hi""",back\\slash, blank ',
            f"--stores=file://{tmp_path}/x", "--verify-every=7", "--disabled",
            "--keep-last=1", "--keep-daily=2", "--keep-weekly=3", "--keep-monthly=4",
            "--keep-yearly=5")
    row = row_of(small_database, "all.of_it-1")
    assert (str(row["schedule_time"]), row["frequency"], row["days"], row["time_zone"]) == (
        "23:59:00", "weekly", [1, 5, 7], "Europe/Stockholm")
    assert (row["retention_days"], row["catch_up"], str(row["tenant_id"])) == (
        7, datetime.timedelta(minutes=90), ANOTHER_ID)
    assert (row["target_dbname"], row["target_service"], row["stores"], row["enabled"]) == (
        "other", None, f"file://{tmp_path}/x", False)
    assert row["verify_every"] == 7
    assert [row[f"keep_{each}"] for each in ("last", "daily", "weekly", "monthly", "yearly")] == [
        1, 2, 3, 4, 5]
    assert "  7d last 1 daily 2 weekly 3 monthly 4 yearly 5  " in tool.ok("schedule", "show").out
    assert row["schemas"] == ["app", "a,b", 'say "hi"', "back\\slash", " blank "]
    assert row["next_run_at"] is None


@pytest.mark.parametrize("given, interval", [
    ("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86400)])
def test_catch_up_is_written_as_a_setting_is(tool, small_database, given, interval):
    tool.ok("schedule", "add", "x", f"--catch-up={given}")
    assert row_of(small_database, "x")["catch_up"] == datetime.timedelta(seconds=interval)


def test_add_to_an_empty_table(tool, small_database):
    small_database.execute("DELETE FROM backup_schedule")
    assert shown(tool, "add", "first")["default"] is True


def test_one_without_a_name_is_known_by_its_id(tool):
    schedule = shown(tool, "add")
    assert schedule["schedule_name"] is None
    assert shown(tool, "show", schedule["schedule"].upper())["schedule"] == schedule["schedule"]
    assert shown(tool, "set", schedule["schedule"].upper(), "--name=x")["schedule_name"] == "x"


def test_add_backs_up_what_it_says(tool, small_database, file_store):
    """The columns are those that a run reads."""
    small_database.execute("CREATE SCHEMA app")
    tool.ok("schedule", "add", "x", "--schemas=app")
    tool.ok("run", "x", "--no-notify")
    (stored,) = file_store.list()
    assert stored.metadata["schedule"] == str(row_of(small_database, "x")["schedule_id"])


# set

def test_set_changes_what_is_said_only(tool, small_database, nightly):
    tool.ok("schedule", "set", nightly, "--time=03:30", "--retention-days=5")
    first = row_of(small_database, nightly)
    tool.ok("schedule", "set", nightly, "--time-zone=Asia/Kathmandu")
    second = row_of(small_database, nightly)
    assert (str(second["schedule_time"]), second["retention_days"], second["time_zone"]) == (
        "03:30:00", 5, "Asia/Kathmandu")
    assert second["updated_at"] > first["updated_at"] and second["timed_at"] > first["timed_at"]
    tool.ok("schedule", "set", nightly, "--retention-days=6")
    assert row_of(small_database, nightly)["timed_at"] == second["timed_at"]


def test_an_empty_value_is_the_default(tool, small_database, tmp_path):
    tool.ok("schedule", "add", "x", "--time=23:59", "--frequency=monthly", "--days=last",
            "--time-zone=Europe/Stockholm", "--retention-days=7", "--catch-up=1h",
            f"--tenant={ANOTHER_ID}", "--service=other", "--schemas=app",
            f"--stores=file://{tmp_path}", "--verify-every=1")
    tool.ok("schedule", "set", "x", "--time=", "--frequency=", "--days=", "--time-zone=",
            "--retention-days=", "--catch-up=", "--tenant=", "--service=", "--dbname=",
            "--schemas=", "--stores=", "--verify-every=", "--name=")
    (row,) = rows(small_database, "SELECT * FROM backup_schedule WHERE timed_at ="
                                  " (SELECT max(timed_at) FROM backup_schedule)")
    assert (str(row["schedule_time"]), row["retention_days"]) == ("02:00:00", 30)
    assert {name for name, value in row.items() if value is not None} == {
        "schedule_id", "enabled", "schedule_time", "retention_days", "next_run_at", "created_at",
        "updated_at", "timed_at"}


def test_another_frequency_drops_the_days(tool, small_database, refuses):
    """As days of the month they would mean something else."""
    tool.ok("schedule", "add", "x", "--frequency=weekly", "--days=mon,fri")
    refuses("set", "x", "--frequency=monthly", words=["--days", "monthly schedule needs at least"])
    tool.ok("schedule", "set", "x", "--frequency=weekly", "--time=04:00")
    assert row_of(small_database, "x")["days"] == [1, 5]
    tool.ok("schedule", "set", "x", "--frequency=daily")
    assert row_of(small_database, "x")["days"] is None
    tool.ok("schedule", "set", "x", "--frequency=monthly", "--days=1,last")
    assert row_of(small_database, "x")["days"] == [1, -1]


def test_the_only_schedule_needs_no_name(tool, small_database, refuses):
    tool.ok("schedule", "set", "--time=04:00")
    tool.ok("schedule", "enable")
    (row,) = rows(small_database, "SELECT * FROM backup_schedule")
    assert (str(row["schedule_time"]), row["enabled"]) == ("04:00:00", True)
    tool.ok("schedule", "disable")
    tool.ok("schedule", "add", "nightly")
    for arguments in (("set", "--time=05:00"), ("enable",), ("disable",)):
        refuses(*arguments, words=["more than one schedule", "schedule show"])


def test_the_next_check_sees_an_edit(tool, small_database):
    """Also after a check has noted that nothing is due for long."""
    tool.ok("schedule", "add", "x")
    tool.ok("check")
    minute = None
    while minute != (now := small_database.value(
            "SELECT to_char(now() AT TIME ZONE 'UTC', 'HH24:MI')")):
        minute = now
        tool.ok("schedule", "set", "x", f"--time={minute}")
    (due,) = [one for one in tool.ok("check", "--dry-run", "--json").json["schedules"]
              if one["schedule_name"] == "x"]
    assert due["state"] == "due"
    assert "Backup created" in tool.ok("check").err


# enable, disable

def test_enable_and_disable(tool, small_database, nightly):
    result = tool.ok("schedule", "disable", nightly)
    assert table(result)[0][2:4] == ["disabled", "-"]
    row = row_of(small_database, nightly)
    assert (row["enabled"], row["next_run_at"]) == (False, None)
    tool.ok("schedule", "enable", nightly)
    again = row_of(small_database, nightly)
    assert again["enabled"] is True and again["next_run_at"] is not None
    assert again["timed_at"] > row["timed_at"]
    tool.ok("schedule", "enable", nightly)
    assert row_of(small_database, nightly)["timed_at"] == again["timed_at"]


def test_a_wrong_row_can_be_disabled_not_enabled(tool, small_database, nightly, refuses):
    small_database.execute("UPDATE backup_schedule SET time_zone = 'Mars/Phobos'"
                           " WHERE name = 'nightly'")
    result = tool.ok("schedule", "disable", nightly)
    assert "time_zone is 'Mars/Phobos'" in result.err
    refuses("enable", nightly, words=["time_zone is 'Mars/Phobos'", "schedule set"])
    refuses("set", nightly, "--time=03:00", words=["option '--time-zone'", "Mars/Phobos"])
    tool.ok("schedule", "set", nightly, "--time-zone=Europe/Stockholm")
    assert shown(tool, "enable", nightly)["enabled"] is True


# remove

def test_remove_leaves_the_backups(tool, small_database, file_store, nightly):
    tool.ok("run", nightly, "--no-notify")
    result = tool.ok("schedule", "remove", nightly)
    assert "Removed schedule nightly" in result.out and "not pruned any more" in result.out
    assert rows(small_database, "SELECT FROM backup_schedule WHERE name = 'nightly'") == []
    assert len(file_store.list()) == 1
    tool.ok("prune")
    assert len(file_store.list()) == 1


def test_remove_as_json(tool, nightly):
    document = tool.ok("schedule", "remove", nightly, "--json").json
    assert document["removed"] is True
    assert [one["schedule_name"] for one in document["schedules"]] == ["nightly"]


def test_the_default_schedule_stays(tool, nightly, refuses):
    (default, _) = tool.ok("schedule", "--json").json["schedules"]
    assert default["default"] is True
    refuses("remove", default["schedule"], words=["default schedule", "schedule disable"])
    tool.ok("schedule", "remove", nightly)
    refuses("remove", default["schedule"], words=["default schedule"])
    refuses("remove", words=["name the schedule"])


def test_not_removed_while_its_backup_is_made(tool, nightly, tmp_path, refuses):
    gate = pg_dumps.gate_before(tmp_path)
    process = tool.with_settings(**gate.settings).start("run", nightly, "--no-notify")
    try:
        gate.reached()
        refuses("remove", nightly, code=4, words=["a backup of it is being made"])
    finally:
        gate.open()
        assert tool.finish(process).code == 0
    tool.ok("schedule", "remove", nightly)


def test_not_removed_while_a_run_of_it_is_not_resolved(tool, small_database, nightly, refuses):
    small_database.execute(
        "INSERT INTO backup_history (backup_filename, backup_type, status, run_id, schedule_id)"
        " SELECT 'rythm-backup-x.sql', 'manual', 'started', '0123456789abcdef', schedule_id"
        " FROM backup_schedule WHERE name = 'nightly'")
    refuses("remove", nightly, code=1, words=["interrupted", "rythm-backup check"])


# show

def test_show_puts_each_schedule_into_words(tool, small_database):
    small_database.execute("UPDATE backup_schedule SET name = 'zero'")
    for name, *options in (
            ("d", "--time=02:15", "--time-zone=Europe/Stockholm", "--dbname=other",
             "--verify-every=1"),
            ("h", "--frequency=hourly", "--time=00:15", "--service=s", "--verify-every=7"),
            ("m", "--frequency=monthly", "--days=1,last", "--schemas=a,b"),
            ("w", "--frequency=weekly", "--days=1,fri", "--time=03:30", "--retention-days=7")):
        tool.ok("schedule", "add", name, *options)
    now = at("12:30:30", day="2031-05-06")
    result = tool.ok("schedule", "show", *now)
    assert table(result) == [
        ["zero", "daily 02:00 UTC", "disabled", "-", "30d", "-", "-"],
        ["d", "daily 02:15 Europe/Stockholm", "missed", "2031-05-07T00:15Z", "30d", "each",
         "other"],
        ["h", "hourly :15", "due", "2031-05-06T13:15Z", "30d", "1 in 7", "service=s"],
        ["m", "monthly 1,last 02:00 UTC", "missed", "2031-05-31T02:00Z", "30d", "-",
         "schemas=a,b"],
        ["w", "weekly mon,fri 03:30 UTC", "missed", "2031-05-09T03:30Z", "7d", "-", "-"]]
    assert max(map(len, result.out.splitlines())) <= 100
    assert result.err == ""
    assert tool.ok("schedule", *now).out == result.out


def test_show_says_what_is_wrong(tool, small_database, nightly):
    small_database.execute("UPDATE backup_schedule SET schedule_time = NULL, days = '{1,NULL}',"
                           " frequency = 'weekly', catch_up = '1000 years', stores = ' ',"
                           " last_run_at = '-infinity', created_at = 'infinity'"
                           " WHERE name = 'nightly'")
    result = tool.ok("schedule", "show", "--next")
    assert "Schedule nightly is wrong: schedule_time is not set" in result.err
    assert ["nightly", "invalid", "-"] == [table(result)[1][i] for i in (0, 2, 3)]
    schedule = shown(tool, "show", nightly, "--next")
    assert (schedule["state"], schedule["problem"]) == ("invalid", "schedule_time is not set")
    assert (schedule["next"], schedule["upcoming"], schedule["days"]) == (None, [], [1, None])
    assert (schedule["time"], schedule["last_run"], schedule["created"]) == (None, None, None)


def test_json_has_every_column(tool, small_database, nightly):
    tool.ok("run", nightly, "--no-notify")
    document = tool.ok("schedule", "show", nightly, "--json").json
    assert list(document) == ["now", "schedules"]
    (schedule,) = document["schedules"]
    row = row_of(small_database, nightly)
    for name in ("last_run", "timed", "created", "updated", "next"):
        assert datetime.datetime.fromisoformat(schedule.pop(name)).tzinfo is not None
    assert schedule.pop("occurrence") is not None
    assert schedule == {
        "schedule": str(row["schedule_id"]), "schedule_name": "nightly", "enabled": True,
        "default": False, "time": "02:00", "frequency": "daily", "days": None, "time_zone": "UTC",
        "retention_days": 30, "catch_up_s": None, "tenant": None, "dbname": None, "service": None,
        "all_databases": False,
        "schemas": None, "only_tables": None, "exclude_tables": None,
        "exclude_table_data": None, "stores": None, "verify_every": 0, "keep_last": 0,
        "keep_daily": 0, "keep_weekly": 0, "keep_monthly": 0, "keep_yearly": 0,
        "notify_channels": None, "notify_on": None,
        "state": schedule["state"], "problem": None}


def test_json_types(tool, tmp_path):
    schedule = shown(tool, "add", "x", "--frequency=weekly", "--days=sun,1", "--catch-up=15m",
                     f"--tenant={ANOTHER_ID}", "--service=s", '--schemas=a,"b,c"',
                     f"--stores=file://{tmp_path}")
    assert (schedule["days"], schedule["catch_up_s"], schedule["tenant"]) == (
        [7, 1], 900, ANOTHER_ID)
    assert (schedule["service"], schedule["schemas"], schedule["stores"]) == (
        "s", ["a", "b,c"], f"file://{tmp_path}")


def test_every_verb_prints_json(tool, nightly):
    for arguments in (("show",), ("add", "y"), ("set", nightly, "--time=05:00"),
                      ("disable", nightly), ("enable", nightly), ("remove", nightly)):
        json.loads(tool.ok("schedule", *arguments, "--json").out)


# --next

def upcoming(tool, *arguments):
    return [(one["at"], one["local"]) for one in shown(tool, *arguments, "--next")["upcoming"]]


@pytest.mark.parametrize("day, at_utc, local", [
    # 02:30 does not exist on the 30th: the clock goes from 02:00 to 03:00
    ("2031-03-28", ["28T01:30", "29T01:30", "30T01:30", "31T00:30", "01T00:30"],
     ["02:30:00+01:00", "02:30:00+01:00", "03:30:00+02:00", "02:30:00+02:00", "02:30:00+02:00"]),
    # and there are two of it on the 26th, of which the second counts
    ("2031-10-24", ["24T00:30", "25T00:30", "26T01:30", "27T01:30", "28T01:30"],
     ["02:30:00+02:00", "02:30:00+02:00", "02:30:00+01:00", "02:30:00+01:00", "02:30:00+01:00"]),
])
def test_next_five_across_a_dst_change(tool, day, at_utc, local):
    tool.ok("schedule", "add", "x", "--time=02:30", "--time-zone=Europe/Stockholm")
    five = upcoming(tool, "show", "x", *at("00:00:00", day=day))
    assert [one[0][8:16] for one in five] == at_utc
    assert [one[1][11:] for one in five] == local
    for utc, own in five:
        assert datetime.datetime.fromisoformat(utc) == datetime.datetime.fromisoformat(own)


def test_next_five_month_ends(tool):
    tool.ok("schedule", "add", "x", "--frequency=monthly", "--days=-1",
            "--time-zone=America/New_York", "--time=23:00")
    five = upcoming(tool, "show", "x", *at("12:00:00", day="2032-01-05"))
    assert [one[1] for one in five] == [
        "2032-01-31T23:00:00-05:00", "2032-02-29T23:00:00-05:00", "2032-03-31T23:00:00-04:00",
        "2032-04-30T23:00:00-04:00", "2032-05-31T23:00:00-04:00"]


def test_next_five_of_each_frequency(tool):
    tool.ok("schedule", "add", "h", "--frequency=hourly", "--time=00:15")
    tool.ok("schedule", "add", "w", "--frequency=weekly", "--days=mon,fri", "--time=03:30")
    now = at("22:20:00", day="2031-05-06")
    assert [one[0][5:16] for one in upcoming(tool, "show", "h", *now)] == [
        "05-06T23:15", "05-07T00:15", "05-07T01:15", "05-07T02:15", "05-07T03:15"]
    assert [one[0][5:16] for one in upcoming(tool, "show", "w", *now)] == [
        "05-09T03:30", "05-12T03:30", "05-16T03:30", "05-19T03:30", "05-23T03:30"]


def test_next_five_in_words(tool):
    tool.ok("schedule", "add", "x", "--time=02:30", "--time-zone=Asia/Kathmandu")
    result = tool.ok("schedule", "show", "x", "--next", *at("12:00:00", day="2031-05-06"))
    lines = result.out.splitlines()
    assert lines[2] == "" and lines[3].split() == ["SCHEDULE", "UPCOMING", "DAY", "LOCAL", "ZONE"]
    assert len(lines) == 9
    assert lines[4].split() == ["x", "2031-05-06T20:45Z", "Wed", "2031-05-07T02:30+05:45",
                                "Asia/Kathmandu"]


def test_next_after_an_edit_and_of_a_disabled_one(tool):
    """An independent reading of the rule: the next five local days."""
    zone = zoneinfo.ZoneInfo("Europe/Stockholm")
    document = tool.ok("schedule", "add", "x", "--time=12:00", "--time-zone=Europe/Stockholm",
                       "--disabled", "--next", "--json").json
    (schedule,) = document["schedules"]
    assert schedule["next"] is None
    now = datetime.datetime.fromisoformat(document["now"]).astimezone(zone)
    first = now.date() + datetime.timedelta(days=now.time() >= datetime.time(12))
    assert [datetime.datetime.fromisoformat(one["at"]) for one in schedule["upcoming"]] == [
        datetime.datetime.combine(first + datetime.timedelta(days=i), datetime.time(12), zone)
        for i in range(5)]


# What is refused

@pytest.mark.parametrize("option, words", [
    ("--time-zone=Mars/Phobos", ["--time-zone", "'Mars/Phobos'", "Europe/Stockholm"]),
    ("--time-zone=UTC+2", ["--time-zone", "'UTC+2'"]),
    ("--time=25:00", ["--time", "'25:00'", "HH:MM"]),
    ("--time=24:00", ["--time", "'24:00'", "23:59"]),
    ("--time=12:60", ["--time", "'12:60'"]),
    ("--time=2:00", ["--time", "'2:00'", "HH:MM"]),
    ("--time=02:00:30", ["--time", "HH:MM"]),
    ("--time=noon", ["--time", "HH:MM"]),
    ("--frequency=yearly", ["--frequency", "'yearly'", "hourly, daily, weekly or monthly"]),
    ("--frequency=weekly", ["--days", "a weekly schedule needs at least one"]),
    ("--frequency=monthly", ["--days", "a monthly schedule needs at least one"]),
    ("--days=mon", ["--days", "daily", "--frequency weekly or monthly"]),
    ("--days=someday", ["--days", "'someday'", "mon to sun"]),
    ("--days=1,,2", ["--days", "'' is no day"]),
    ("--verify-every=often", ["--verify-every", "'often' is not a whole number"]),
    ("--verify-every=1.5", ["--verify-every", "'1.5' is not a whole number"]),
    ("--verify-every=-1", ["--verify-every", "verify_every is -1", "between 0 (never) and 10000"]),
    ("--keep-last=many", ["--keep-last", "'many' is not a whole number"]),
    ("--keep-daily=-1", ["--keep-daily", "keep_daily is -1", "between 0 (no such rule) and 10000"]),
    ("--keep-weekly=10001", ["--keep-weekly", "keep_weekly is 10001"]),
    ("--keep-monthly=-1", ["--keep-monthly", "keep_monthly is -1"]),
    ("--keep-yearly=99999", ["--keep-yearly", "keep_yearly is 99999"]),
    ("--verify-every=99999", ["--verify-every", "verify_every is 99999"]),
    ("--retention-days=0", ["--retention-days", "is 0", "between 1 and 1000000"]),
    ("--retention-days=-3", ["--retention-days", "is -3"]),
    ("--retention-days=a week", ["--retention-days", "'a week'", "whole number"]),
    ("--retention-days=99999999999", ["--retention-days", "'99999999999'"]),
    ("--catch-up=59s", ["--catch-up", "between 1 minute and 1 day"]),
    ("--catch-up=2d", ["--catch-up", "between 1 minute and 1 day"]),
    ("--catch-up=soon", ["--catch-up", "'soon'", "15m, 2h or 1d"]),
    ("--catch-up=15 m", ["--catch-up", "'15 m'"]),
    ("--tenant=7", ["--tenant", "'7'", "UUID"]),
    ("--schemas=a,,b", ["--schemas", "'a,,b'", "separated by commas"]),
    ("--schemas=a,", ["--schemas"]),
    ('--schemas="a', ["--schemas"]),
    ('--schemas=a"b', ["--schemas"]),
    ('--schemas="a"b', ["--schemas"]),
    ("--stores=ftp://x/y", ["--stores", "'ftp://x/y'", "file:///DIR"]),
    ("--stores=file://relative", ["--stores"]),
    ("--stores=file:///a?required=false", ["--stores", "one that is required"]),
    ("--name=a b", ["--name", "'a b'", "1 to 63 letters"]),
    ("--name=" + "x" * 64, ["--name", "1 to 63 letters"]),
    ("--name=-x", ["--name", "'-x'"]),
    ("--name=" + ANOTHER_ID, ["--name", "taken for an id"]),
    ("--name=" + ANOTHER_ID.upper(), ["--name", "taken for an id"]),
    ("--dbname=" + "x" * 5000, ["--dbname", "longer than"]),
    ("--dbname=a\udcffb", ["invalid byte sequence"]),
])
def test_wrong_value(always_refuses, option, words):
    for verb in (("add",), ("set", "nightly")):
        always_refuses(*verb, option, words=words)


@pytest.mark.parametrize("options, words", [
    (("--frequency=weekly", "--days=8"), ["--days", "{8}", "1 (Monday) to 7 (Sunday)"]),
    (("--frequency=weekly", "--days=last"), ["--days", "{-1}"]),
    (("--frequency=monthly", "--days=40"), ["--days", "{40}", "1 to 31, and -1"]),
    (("--frequency=monthly", "--days=0"), ["--days", "{0}"]),
    (("--frequency=monthly", "--days=1,tue"), ["--days", "'tue' is a day of the week"]),
    (("--frequency=hourly", "--days=1"), ["--days", "hourly"]),
    (("--dbname=a", "--service=b"), ["--dbname", "only one of them"]),
    (("--schemas=a", "--table=b"), ["--table", "only_tables and schemas are both set"]),
    (("--exclude-table=a", '--exclude-table="b'), ["--exclude-table", "quote is not closed"]),
])
def test_values_that_do_not_go_together(always_refuses, options, words):
    for verb in (("add",), ("set", "nightly")):
        always_refuses(*verb, *options, words=words)


@pytest.mark.parametrize("option", [
    f"--dbname=host=db password={CANARY}", f"--dbname=postgresql://u:{CANARY}@db/x",
    f"--service=password={CANARY}", f"--service=postgres://u:{CANARY}@db/x",
    f"--stores=azblob://account/container?sig={CANARY}",
    f"--stores=azblob://u:{CANARY}@account/container",
    f"--stores=AccountName=a;AccountKey={CANARY}"])
def test_no_password_gets_into_the_table(always_refuses, option):
    for verb in (("add",), ("set", "nightly")):
        error = always_refuses(*verb, option, words=[option.split("=")[0], "backup_schedule"])
        assert CANARY not in error


def test_a_name_is_used_once(tool, refuses, nightly):
    refuses("add", nightly, words=["there is a schedule 'nightly' already"])
    tool.ok("schedule", "add", "weekly")
    refuses("set", "weekly", "--name=nightly", words=["there is a schedule 'nightly' already"])


@pytest.mark.parametrize("arguments, words", [
    (("lst",), ["there is no 'schedule lst'", "show, add, set, enable, disable, remove"]),
    (("show", "nope"), ["there is no schedule 'nope'", "schedule show"]),
    (("set", "nope", "--time=03:00"), ["there is no schedule 'nope'", "schedule show"]),
    (("enable", "nope"), ["there is no schedule 'nope'"]),
    (("disable", ANOTHER_ID), [f"there is no schedule '{ANOTHER_ID}'"]),
    (("remove", "nope"), ["there is no schedule 'nope'"]),
    (("set", "nightly"), ["no option says what to change"]),
    (("set", "nightly", "--json"), ["no option says what to change"]),
    (("add", "x", "--name=y"), ["two names"]),
    (("add", "x y"), ["'x y' is no name"]),
    (("add", ""), ["'' is no name"]),
    (("show", "a", "b"), ["takes no argument 'b'"]),
    (("show", "--time=03:00"), ["schedule show takes no option '--time'"]),
    (("show", "--stores=file:///x"), ["schedule show takes no option '--stores'"]),
    (("show", "--disabled"), ["schedule show takes no option '--disabled'"]),
    (("set", "nightly", "--disabled"), ["schedule set takes no option '--disabled'"]),
    (("set", "nightly", "--now=2031-01-01"), ["schedule set takes no option '--now'"]),
    (("enable", "nightly", "--name=x"), ["schedule enable takes no option '--name'"]),
    (("disable", "nightly", "--next"), ["schedule disable takes no option '--next'"]),
    (("remove", "nightly", "--next"), ["schedule remove takes no option '--next'"]),
])
def test_wrong_call(always_refuses, arguments, words):
    always_refuses(*arguments, words=words)


def test_what_refuses_later_changes_nothing(refuses, nightly):
    """The row is written, looked at, and taken back."""
    refuses("set", nightly, "--time=05:00", "--time-zone=Mars/Phobos",
            words=["nothing was changed"])


def test_a_role_without_rights(make_tool, role, small_database, nightly):
    """The one that makes the backups may look, and no more."""
    _, url = role(small_database, "GRANT pg_read_all_data TO {role}",
                  "GRANT UPDATE (last_run_at, next_run_at) ON backup_schedule TO {role}",
                  attributes="BYPASSRLS")
    backup = make_tool(DATABASE_URL=url)
    assert len(backup.ok("schedule", "show", "--next", "--json").json["schedules"]) == 2
    for arguments in (("add", "x"), ("set", nightly, "--time=03:00"), ("disable", nightly),
                      ("remove", nightly)):
        result = backup.run("schedule", *arguments)
        assert result.code == 2, result
        assert "permission denied" in result.err and "PRIVILEGES" in result.err


def test_a_role_that_may_edit(make_tool, role, small_database):
    _, url = role(small_database, *EDITOR)
    editor = make_tool(DATABASE_URL=url)
    for arguments in (("add", "x"), ("set", "x", "--time=03:00"), ("disable", "x"),
                      ("enable", "x")):
        editor.ok("schedule", *arguments)
    assert editor.run("schedule", "remove", "x").code == 2
    _, url = role(small_database, "GRANT SELECT, DELETE ON backup_schedule TO {role}", EDITOR[1])
    make_tool(DATABASE_URL=url).ok("schedule", "remove", "x")


def test_a_database_without_the_columns(make_tool, cluster, empty_database):
    """The application's own table, before the first migrate."""
    empty_database.execute("CREATE TABLE backup_schedule (schedule_id uuid PRIMARY KEY DEFAULT"
                           " gen_random_uuid(), enabled boolean DEFAULT false, schedule_time time"
                           " DEFAULT '02:00', retention_days integer DEFAULT 30, last_run_at"
                           " timestamptz, next_run_at timestamptz, created_at timestamptz DEFAULT"
                           " now(), updated_at timestamptz DEFAULT now())")
    key = str(uuid.uuid4())
    empty_database.execute("INSERT INTO backup_schedule (schedule_id) VALUES (%s)", key)
    for arguments in (("show",), ("add",), ("add", "x"), ("enable", key), ("remove", key)):
        result = make_tool(empty_database).run("schedule", *arguments)
        assert result.code == 2 and "rythm-backup migrate" in result.err, result.err
    assert empty_database.execute("SELECT enabled FROM backup_schedule") == [(False,)]


def test_an_edit_waits_for_another(tool, small_database, nightly):
    """Two edits of one row do not undo each other."""
    other = small_database.connect()
    other.autocommit = False
    other.cursor().execute("UPDATE backup_schedule SET retention_days = 9 WHERE name = 'nightly'")
    process = tool.start("schedule", "set", nightly, "--time=04:44")
    processes.wait_until(
        lambda: rows(small_database, "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                                     " AND datname = current_database()"), "it waits for the row")
    other.commit()
    other.close()
    assert tool.finish(process).code == 0
    row = row_of(small_database, nightly)
    assert (row["retention_days"], str(row["schedule_time"])) == (9, "04:44:00")


def test_many_schedules(tool, small_database):
    small_database.execute("INSERT INTO backup_schedule (enabled, name)"
                           " SELECT true, 's' || n FROM generate_series(1, 1000) n")
    assert len(tool.ok("schedule", "show", "--json").json["schedules"]) == 1001
    key = add_schedule(small_database)
    assert shown(tool, "set", key, "--name=last")["schedule_name"] == "last"


# Years that no clock says

@pytest.mark.parametrize("now", ["1969-12-31 23:59:59Z", "4713-01-01 BC", "10000-01-01Z",
                                 "infinity", "-infinity"])
def test_now_is_of_this_age(tool, now):
    for command in ("schedule", "status", "check"):
        result = tool.run(command, "--now", now)
        assert (result.code, result.out) == (2, "")
        assert f"option --now: '{now}' is not between 1970-01-01 and 9999-12-31" in result.err


def test_the_day_where_it_is_1969_still(tool, small_database):
    small_database.execute("UPDATE backup_schedule SET enabled = true, schedule_time = '20:00',"
                           " time_zone = 'America/New_York'")
    lines = tool.ok("schedule", "--next", "--now", "1970-01-01 00:00Z").out.splitlines()
    assert [line.split()[2:4] for line in lines if "New_York" in line and "-05:00" in line][:2] == [
        ["Wed", "1969-12-31T20:00-05:00"], ["Thu", "1970-01-01T20:00-05:00"]]


def test_a_stores_key_is_not_needed_to_edit(tool, small_database):
    tool.ok("schedule", "add", "remote", "--stores=azblob:///container/folder")
    assert row_of(small_database, "remote")["stores"] == "azblob:///container/folder"
    result = tool.run("schedule", "set", "remote", "--stores=azblob:///Wrong_Name")
    assert result.code == 2 and "--stores" in result.err

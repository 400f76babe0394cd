"""status: what a probe needs to know, in one look and one exit code."""

import datetime
import os
import re
import signal

import pg_dumps
import processes
import pytest
from backups import instant
from tables import add_schedule, at, enable, history, note_verification, rows

TOMORROW = "2031-05-07"


def rounded(when):
    """As the program prints it: to the nearest millisecond."""
    return instant(when + datetime.timedelta(microseconds=500))


@pytest.fixture
def tool(make_tool, nightly, file_store):
    return make_tool(nightly, file_store)


@pytest.fixture
def nightly(small_database):
    """A schedule at 02:00, by the name of nightly."""
    enable(small_database)
    small_database.execute("UPDATE backup_schedule SET name = 'nightly'")
    return small_database


@pytest.fixture
def made_yesterday(nightly):
    nightly.execute("INSERT INTO backup_history (backup_filename, backup_type, status, schedule_id,"
                    " occurrence_at, completed_at) SELECT 'yesterdays.sql.zst', 'scheduled',"
                    " 'completed', schedule_id, '2031-05-05 02:00Z', '2031-05-05 02:00:20Z'"
                    " FROM backup_schedule")


@pytest.fixture
def probe(tool):
    """A function: the exit code, and the only schedule of the JSON."""
    def look(*options):
        result = tool.run("status", "--json", *options)
        assert result.err == ""
        document = result.json
        assert document["fine"] is (result.code == 0)
        (schedule,) = document["schedules"]
        return result.code, schedule
    return look


@pytest.fixture
def start(tool):
    """A function: a check that is begun and not waited for; what is left of it is killed."""
    started = []

    def begin(*arguments, **settings):
        process = tool.with_settings(**settings).start(*arguments)
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def failing(tool, folder):
    return tool.with_settings(**pg_dumps.script(folder, "echo no luck >&2; exit 1"))


def words(result):
    """SCHEDULE and STATUS of each row."""
    return [tuple(line.split()[:2]) for line in result.out.splitlines()[1:]]


# Fine

def test_before_the_first_backup(tool, probe):
    """Nobody has missed anything yet."""
    code, schedule = probe()
    assert (code, schedule["status"], schedule["last_completed"]) == (0, "ok", None)
    result = tool.ok("status")
    header, line = result.out.splitlines()
    assert re.split(r"  +", header) == ["SCHEDULE", "STATUS", "LAST COMPLETED", "VERIFIED", "NEXT",
                                       "NOTE"]
    assert re.split(r"  +", line)[:3] == ["nightly", "ok", "never"]
    assert tool.ok("status", "--quiet").out == ""


def test_after_a_backup(tool, nightly, probe):
    tool.ok("check", *at("02:00:10"))
    code, schedule = probe(*at("05:00:30"))
    assert (code, schedule["status"], schedule["last_outcome"]) == (0, "ok", "completed")
    assert schedule["last_completed"] == rounded(history(nightly)[0]["completed_at"])
    assert schedule["last_finished"] == schedule["last_completed"]
    assert schedule["occurrence"] == "2031-05-06T02:00:00.000Z"
    assert schedule["next"] == "2031-05-07T02:00:00.000Z"
    assert (schedule["last_error"], schedule["started"], schedule["problem"]) == (None, None, None)
    line = tool.ok("status", *at("05:00:30")).out.splitlines()[1]
    assert re.split(r"  +", line) == ["nightly", "ok", "2031-05-06T02:00Z (3h ago)",
                                      "never", "2031-05-07T02:00Z", "-"]


@pytest.mark.parametrize("time, day, age", [
    ("02:01:00", "2031-05-06", "40s"), ("02:05:00", "2031-05-06", "4m"),
    ("01:59:59", "2031-05-07", "23h"), ("03:00:00", "2031-05-09", "3d")])
def test_age(tool, nightly, time, day, age):
    tool.ok("check", *at("02:00:10"))
    nightly.execute("UPDATE backup_history SET completed_at = '2031-05-06 02:00:20Z'")
    assert re.search(rf"\({age} ago\)", tool.run("status", *at(time, day=day)).out)


def test_the_old_services_last_backup_counts(nightly, probe):
    nightly.execute("UPDATE backup_schedule SET last_run_at = now() - interval '3 hours'")
    assert probe()[1]["last_completed"] is not None


def test_what_is_dated_in_the_future_does_not_count(tool, probe):
    """A rehearsal of years to come."""
    tool.ok("check", *at("02:00:10"))
    code, schedule = probe()
    assert (code, schedule["last_completed"], schedule["last_outcome"]) == (0, None, None)


# Overdue

@pytest.mark.parametrize("time, code, status", [
    ("01:59:59", 0, "ok"), ("02:00:00", 0, "ok"), ("02:09:59", 0, "ok"), ("02:10:01", 1, "overdue"),
    ("02:30:00", 1, "overdue"), ("12:00:00", 1, "overdue")])
def test_overdue_ten_minutes_after_its_time(probe, made_yesterday, time, code, status):
    """Also when it is too late to catch up."""
    found, schedule = probe(*at(time))
    assert (found, schedule["status"], schedule["overdue"]) == (code, status, code == 1)


@pytest.mark.parametrize("time", ["01:59:59", "02:00:00", "02:09:59", "02:10:01"])
def test_overdue_until_the_next_is_made(tool, probe, time):
    """Also in the ten minutes in which today's is not late yet: a probe must not flap."""
    assert probe(*at(time))[1]["status"] == "overdue"
    day = "5" if time < "02:10" else "6"
    assert f"not made: the backup of 2031-05-0{day}T02:00Z" in tool.run("status", *at(time)).out


@pytest.mark.parametrize("minute", [5, 15, 55])
def test_an_hourly_one_that_never_ran_is_overdue_all_the_time(tool, nightly, probe, minute):
    nightly.execute("UPDATE backup_schedule SET frequency = 'hourly'")
    assert probe(*at(f"05:{minute:02}:00"))[1]["status"] == "overdue"
    tool.ok("check", *at("05:00:10"))
    assert probe(*at(f"05:{minute:02}:00"))[1]["status"] == "ok"


def test_overdue_says_so(tool):
    result = tool.run("status", *at("05:00:30"))
    assert (result.code, result.err) == (1, "")
    assert "nightly   overdue  never" in result.out
    assert "not made: the backup of 2031-05-06T02:00Z (3h ago)" in result.out
    assert tool.run("status", "-q", *at("05:00:30")).out == result.out


def test_not_overdue_for_a_time_before_it_was_enabled(nightly, probe):
    """Nor for one before it was given that time."""
    nightly.execute("UPDATE backup_schedule SET schedule_time ="
                    " (now() AT TIME ZONE 'UTC' - interval '30 minutes')::time")
    assert probe()[0] == 0
    nightly.execute("UPDATE backup_schedule SET timed_at = now() - interval '1 day'")
    code, schedule = probe()
    assert (code, schedule["status"]) == (1, "overdue")


def test_a_manual_backup_since_then_will_do(tool, nightly, probe):
    tool.ok("run", "--no-notify")
    (row,) = history(nightly)

    def completed(time):
        nightly.execute("UPDATE backup_history SET completed_at = %s WHERE run_id = %s",
                        f"2031-05-06 {time}Z", row["run_id"])
        nightly.execute("UPDATE backup_schedule SET last_run_at = NULL")
        return probe(*at("05:00:00"))

    assert completed("01:00:00")[0] == 1
    code, schedule = completed("02:30:00")
    assert (code, schedule["status"], schedule["last_completed"]) == (
        0, "ok", "2031-05-06T02:30:00.000Z")


def test_a_scheduled_backup_of_the_time_before_will_not(tool, nightly, probe):
    """It began an hour late, and its own time has come meanwhile."""
    tool.ok("check", *at("02:00:10"))
    nightly.execute("UPDATE backup_history SET completed_at = '2031-05-07 02:05Z'")
    assert probe(*at("02:30:00", day=TOMORROW))[1]["status"] == "overdue"


def test_next_day_begins_anew(tool, probe):
    tool.ok("check", *at("02:00:10"))
    assert probe(*at("02:05:00", day=TOMORROW))[0] == 0
    assert probe(*at("02:15:00", day=TOMORROW))[1]["status"] == "overdue"
    tool.ok("check", *at("02:16:00", day=TOMORROW))
    assert probe(*at("02:17:00", day=TOMORROW))[0] == 0


# Failed

def test_last_failed(tool, tmp_path, probe, made_yesterday):
    assert failing(tool, tmp_path).run("check", *at("02:00:10")).code == 1
    code, schedule = probe(*at("02:04:00"))
    assert (code, schedule["status"], schedule["last_failed"], schedule["overdue"]) == (
        1, "failed", True, False)
    assert schedule["last_error"].endswith("no luck")
    assert schedule["last_completed"] == "2031-05-05T02:00:20.000Z"
    result = tool.run("status", *at("02:04:00"))
    assert result.code == 1 and result.err == ""
    assert re.search(r"nightly +failed +2031-05-05T02:00Z .*failed 2031-05-06T02:0\dZ"
                     r" \(\d+[ms] ago\): dumping the database: .*no luck\n", result.out)
    tool.ok("check", *at("02:05:30"))
    assert probe(*at("02:08:00"))[0] == 0


def test_failed_and_overdue(tool, tmp_path, probe):
    failing(tool, tmp_path).run("check", *at("02:00:10"))
    code, schedule = probe(*at("02:20:00"))
    assert (code, schedule["status"], schedule["last_failed"]) == (1, "overdue", True)
    note = tool.run("status", *at("02:20:00")).out
    assert "not made" in note and "no luck" in note


def test_a_long_error_is_one_line(tool, nightly, tmp_path):
    failing(tool, tmp_path).run("check", *at("02:00:10"))
    nightly.execute("UPDATE backup_history SET error_message = repeat(E'a\\nb ', 1000)")
    result = tool.run("status", *at("02:01:00"))
    assert len(result.out.splitlines()) == 2 and len(result.out) < 600


def test_a_failure_before_a_success_is_history(tool, tmp_path, probe):
    failing(tool, tmp_path).run("check", *at("02:00:10"))
    tool.ok("check", *at("02:01:30"))
    code, schedule = probe(*at("03:00:00"))
    assert (code, schedule["last_outcome"], schedule["last_error"]) == (0, "completed", None)


# Verified

@pytest.fixture
def two_made(tool, nightly):
    """The (name, run id) of two backups, the older one first."""
    for day in ("2031-05-05", "2031-05-06"):
        tool.ok("check", *at("02:00:10", day=day))
    return [(row["backup_filename"], row["run_id"])
            for row in rows(nightly, "SELECT * FROM backup_history ORDER BY started_at")]


def test_never_verified(two_made, probe):
    code, schedule = probe(*at("05:00:00"))
    assert (code, schedule["verification_failed"]) == (0, False)
    assert [schedule[name] for name in (
        "last_verified", "last_verified_backup", "verify_failed_at", "verify_failed_backup",
        "verify_error")] == [None] * 5


def test_the_newest_verified_backup(tool, nightly, two_made, probe):
    """Not the one that was verified last: the older one, once more."""
    note_verification(nightly, *two_made[1], when="2031-05-06 03:00Z")
    note_verification(nightly, *two_made[0], when="2031-05-06 04:00Z")
    code, schedule = probe(*at("05:00:00"))
    assert (code, schedule["status"], schedule["last_verified"], schedule[
        "last_verified_backup"]) == (0, "ok", "2031-05-06T03:00:00.000Z", two_made[1][0])
    assert re.search(r"nightly +ok .*  2031-05-06T03:00Z \(2h ago\)  2031-05-07T02:00Z  -\n",
                     tool.ok("status", *at("05:00:00")).out)


def test_the_last_verification_failed(tool, nightly, two_made, probe):
    note_verification(nightly, *two_made[0], when="2031-05-06 03:00Z")
    note_verification(nightly, *two_made[1], "table public.a: a row is gone", "2031-05-06 04:00Z")
    code, schedule = probe(*at("05:00:00"))
    assert (code, schedule["status"], schedule["verification_failed"]) == (
        1, "verify-failed", True)
    assert (schedule["last_verified_backup"], schedule["verify_failed_backup"]) == (
        two_made[0][0], two_made[1][0])
    assert (schedule["verify_failed_at"], schedule["verify_error"]) == (
        "2031-05-06T04:00:00.000Z", "table public.a: a row is gone")
    result = tool.run("status", "--quiet", *at("05:00:00"))
    assert result.code == 1
    assert (f"verification failed 2031-05-06T04:00Z (1h ago) of {two_made[1][0]}:"
            " table public.a: a row is gone\n") in result.out


def test_what_is_verified_afterwards_mends_it(nightly, two_made, probe):
    note_verification(nightly, *two_made[1], "bad", "2031-05-06 03:00Z")
    note_verification(nightly, *two_made[0], when="2031-05-06 04:00Z")
    assert probe(*at("05:00:00"))[0] == 0
    assert probe(*at("03:30:00"))[0] == 1    # what is dated after that is passed over
    nightly.execute("UPDATE backup_history SET verified_at = verify_failed_at"
                    " + interval '1 minute' WHERE verify_failed_at IS NOT NULL")
    code, schedule = probe(*at("03:30:00"))
    assert (code, schedule["last_verified_backup"]) == (0, two_made[1][0])
    assert (schedule["verify_failed_at"], schedule["verify_error"]) == (None, None)


def test_a_disabled_schedule_has_nothing_to_prove(nightly, two_made, probe):
    note_verification(nightly, *two_made[1], "bad", "2031-05-06 03:00Z")
    nightly.execute("UPDATE backup_schedule SET enabled = false")
    assert probe(*at("05:00:00"))[0] == 0


# Running, interrupted

def test_running(tool, nightly, tmp_path, start, probe):
    gate = pg_dumps.gate_before(tmp_path)
    process = start("check", *at("02:00:10"), **gate.settings)
    gate.reached()
    code, schedule = probe(*at("02:30:00"))
    assert (code, schedule["status"], schedule["running"], schedule["interrupted"]) == (
        0, "running", True, False)
    assert schedule["started"] == rounded(history(nightly)[0]["started_at"])
    assert re.search(r"being made since 2031-05-06T02:0\dZ \(2\dm ago\)",
                     tool.ok("status", *at("02:30:00")).out)
    gate.open()
    assert tool.finish(process).code == 0
    code, schedule = probe(*at("02:30:00"))
    assert (code, schedule["status"], schedule["running"]) == (0, "ok", False)


def test_another_schedules_run_is_not_ones_own(tool, nightly, tmp_path, start):
    key = add_schedule(nightly, "14:00")
    gate = pg_dumps.gate_before(tmp_path)
    process = start("run", key, "--no-notify", **gate.settings)
    gate.reached()
    running = {one["schedule_name"]: one["running"]
               for one in tool.run("status", "--json").json["schedules"]}
    assert running == {"nightly": False, None: True}
    gate.open()
    assert tool.finish(process).code == 0


def test_interrupted(tool, nightly, tmp_path, start, probe, made_yesterday):
    gate = pg_dumps.gate_before(tmp_path)
    process = start("check", *at("02:00:10"), **gate.settings)
    child = gate.reached()
    process.kill()
    process.wait()
    os.kill(child, signal.SIGKILL)
    nightly.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()")
    processes.wait_until(lambda: not rows(nightly, "SELECT FROM pg_locks WHERE locktype ="
                                                   " 'advisory'"), "the lock is free")
    code, schedule = probe(*at("02:05:00"))
    assert (code, schedule["status"], schedule["running"], schedule["interrupted"]) == (
        0, "interrupted", False, True)
    assert "the next check resolves it: the run of 2031-05-06T02:00Z" in tool.ok(
        "status", *at("02:05:00")).out
    assert probe(*at("02:15:00"))[1]["status"] == "overdue"
    tool.ok("check", *at("02:16:00"))
    code, schedule = probe(*at("02:17:00"))
    assert (code, schedule["status"], schedule["interrupted"]) == (1, "overdue", False)
    assert schedule["last_error"].startswith("interrupted")


# Wrong, disabled

def test_wrong(tool, nightly, probe):
    nightly.execute("UPDATE backup_schedule SET time_zone = 'Mars/Phobos'")
    code, schedule = probe()
    assert (code, schedule["status"], schedule["next"]) == (1, "wrong", None)
    assert "time_zone is 'Mars/Phobos'" in schedule["problem"]
    result = tool.run("status", "-q")
    assert result.code == 1 and words(result) == [("nightly", "wrong")]
    assert "time_zone is 'Mars/Phobos'" in result.out


def test_a_store_that_is_wrong(tool, nightly, probe, made_yesterday):
    """Who asks need not have its key: that it is missing is what check says."""
    nightly.execute("UPDATE backup_schedule SET stores = 'ftp://bucket'")
    code, schedule = probe(*at("01:00:00"))
    assert (code, schedule["status"]) == (1, "wrong")
    assert schedule["problem"].startswith("'ftp://bucket' is not the URL of a store")
    assert "Schedule nightly is wrong: 'ftp://bucket'" in tool.ok("schedule").err
    nightly.execute("UPDATE backup_schedule SET stores = 'azblob:///container'")
    assert probe(*at("01:00:00"))[:1] == (0,)
    for options in ((), ("--json",)):
        result = tool.run("check", *at("01:00:00"), *options)
        assert result.code == 3 and "it needs AZURE_STORAGE_CONNECTION_STRING" in result.err
    nightly.execute("UPDATE backup_schedule SET enabled = false")
    tool.ok("check", *at("01:00:00"))


def test_disabled_is_never_a_reason(tool, nightly, tmp_path, probe):
    failing(tool, tmp_path).run("check", *at("02:00:10"))
    nightly.execute("UPDATE backup_schedule SET enabled = false")
    code, schedule = probe(*at("05:00:00"))
    assert (code, schedule["status"], schedule["last_failed"]) == (0, "disabled", False)
    assert "no luck" in schedule["last_error"]
    nightly.execute("UPDATE backup_schedule SET time_zone = 'Mars/Phobos'")
    assert probe(*at("05:00:00"))[0] == 0
    nightly.execute("UPDATE backup_schedule SET enabled = NULL")
    assert probe(*at("05:00:00"))[0] == 0


# Several, mails, next

def test_quiet_prints_what_is_not_well(tool, nightly):
    add_schedule(nightly, "04:00")
    nightly.execute("UPDATE backup_schedule SET name = 'late' WHERE name IS NULL")
    tool.ok("check", *at("02:00:10"))
    everything = tool.run("status", *at("05:00:00"))
    assert words(everything) == [("nightly", "ok"), ("late", "overdue")]
    result = tool.run("status", "--quiet", "--next", *at("05:00:00"))
    assert (result.code, words(result)) == (1, [("late", "overdue")])
    document = tool.run("status", "--quiet", "--json", *at("05:00:00")).json
    assert [one["schedule_name"] for one in document["schedules"]] == ["nightly", "late"]


def test_pending_mails(make_tool, nightly, file_store, acs):
    """They are told, and are no reason to exit 1."""
    tool = make_tool(nightly, file_store, acs)
    acs.stop()
    assert tool.run("check", *at("02:00:10")).code == 3
    result = tool.ok("status", *at("02:05:00"))
    assert result.out.endswith("\n\n2 notification(s) wait to be sent\n")
    assert tool.ok("status", "--json", *at("02:05:00")).json["pending_mails"] == 2
    assert tool.ok("status", "-q", *at("02:05:00")).out == ""


def test_next(tool, nightly, probe):
    nightly.execute("UPDATE backup_schedule SET time_zone = 'Europe/Stockholm'")
    tool.ok("check", *at("00:00:10"))
    _, schedule = probe("--next", *at("00:05:00"))
    assert schedule["upcoming"][0] == {"at": "2031-05-07T00:00:00.000Z",
                                       "local": "2031-05-07T02:00:00+02:00"}
    assert len(schedule["upcoming"]) == 5
    lines = tool.ok("status", "--next", *at("00:05:00")).out.splitlines()
    assert lines[3].split() == ["SCHEDULE", "UPCOMING", "DAY", "LOCAL", "ZONE"]
    assert len(lines) == 9


# Who asks, and whom

def test_database_down(make_tool):
    result = make_tool(DATABASE_URL="postgresql://u@127.0.0.1:1/x").run("status", "--quiet")
    assert (result.code, result.out) == (1, "") and "connecting to Postgres" in result.err


def test_not_migrated(make_tool, empty_database):
    result = make_tool(empty_database).run("status")
    assert result.code == 2 and "rythm-backup migrate" in result.err


def test_the_role_that_makes_the_backups_may_ask(make_tool, role, tool, nightly):
    _, url = role(nightly, "GRANT pg_read_all_data TO {role}", attributes="BYPASSRLS")
    tool.ok("check", *at("02:00:10"))
    result = make_tool(DATABASE_URL=url).ok("status", "--json", "--next", *at("05:00:00"))
    assert result.json["schedules"][0]["status"] == "ok"


def test_changes_nothing(tool, nightly):
    before = nightly.dump()
    tool.run("status", "--next", *at("05:00:00"))
    assert nightly.dump() == before


def test_many_schedules_are_few_queries(tool, nightly):
    """Not one per schedule: the server counts its transactions."""
    nightly.execute("INSERT INTO backup_schedule (enabled, name, frequency, days) SELECT true,"
                    " 's' || n, (ARRAY['hourly', 'daily', 'weekly', 'monthly'])[1 + n % 4], '{1}'"
                    " FROM generate_series(1, 1000) n")
    nightly.execute("SELECT pg_stat_reset()")
    document = tool.ok("status", "--json", "--next").json
    assert len(document["schedules"]) == 1001
    processes.wait_until(lambda: nightly.value(
        "SELECT numbackends FROM pg_stat_database WHERE datname = current_database()") <= 1,
        "it has gone")
    assert nightly.value("SELECT xact_commit FROM pg_stat_database"
                         " WHERE datname = current_database()") < 50


# Signatures that end

SIGNED = "AccountName={};SharedAccessSignature=sv=2022-11-02&sp=racwdl&se={}&sig=c2VjcmV0"


def test_signature_that_ends_is_told(tool, nightly):
    """Within a week; from the settings alone, whatever their account is for."""
    nightly.execute("UPDATE backup_schedule SET enabled = false")
    program = tool.with_settings(
        AZURE_STORAGE_CONNECTION_STRING=SIGNED.format("rythm", "2031-05-10T18:00:00Z"),
        AZURE_STORAGE_CONNECTION_STRING_OTHER=SIGNED.format("other", "2031-05-06"),
        AZURE_STORAGE_CONNECTION_STRING_LATER=SIGNED.format("later", "2031-06-01"),
        AZURE_STORAGE_CONNECTION_STRING_WRONG="no such thing",
        AZURE_STORAGE_CONNECTION_STRING_KEY="AccountName=key;AccountKey=a2V5")
    told = [line for line in program.ok("status", *at("12:00:00")).out.splitlines()
            if "signature" in line]
    assert sorted(told) == [
        "The shared access signature for account other in AZURE_STORAGE_CONNECTION_STRING_OTHER"
        " has ended, 2031-05-06T00:00Z: make a new one",
        "The shared access signature for account rythm in AZURE_STORAGE_CONNECTION_STRING"
        " ends in 4 days, 2031-05-10T18:00Z: make a new one in time"]
    credentials = program.ok("status", "--json", *at("12:00:00")).json["credentials"]
    assert {item["account"]: (item["ends"], item["ends_soon"]) for item in credentials} == {
        "rythm": ("2031-05-10T18:00:00.000Z", True), "other": ("2031-05-06T00:00:00.000Z", True),
        "later": ("2031-06-01T00:00:00.000Z", False)}
    assert program.ok("status", "-q", *at("12:00:00")).out == ""
    assert "signature" not in tool.ok("status", *at("12:00:00")).out

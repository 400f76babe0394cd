"""check: when a backup is due, what is then written where, and what is said."""

import datetime
import re

import pg_dumps
import pytest
from tables import (NIGHT, THIS_MINUTE, add_schedule, at, enable, enable_now, history, schedule,
                    statuses)

UTC = datetime.timezone.utc
NAME = r"rythm-backup-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z\.sql\.zst"
NO_MAIL = "⚠️  no notification by e-mail: ACS_CONNECTION_STRING is not set"


@pytest.fixture
def nightly(database):
    """The sample database with a backup at 02:00."""
    enable(database)
    return database


@pytest.fixture
def quiet(tool):
    """A function: one tick that finds nothing to do, and so says nothing."""
    def tick(*options):
        result = tool.ok("check", *options)
        assert (result.out, result.err) == ("", "")
    return tick


def instant(time, day=NIGHT):
    return datetime.datetime.fromisoformat(f"{day}T{time}+00:00")


def said(result):
    """What was logged, without what differs at each run."""
    lines = re.sub(NAME, "NAME", result.err)
    lines = re.sub(r"\d+\.\d KB", "SIZE", lines)
    return re.sub(r"in \ds$", "in TIME", lines, flags=re.MULTILINE).splitlines()


def failing(tool, tmp_path):
    """The tool with a pg_dump that cannot do it."""
    return tool.with_settings(**pg_dumps.script(tmp_path, "echo no luck >&2; exit 1"))


# Due, and not

@pytest.mark.parametrize("time", ["02:00:00", "02:00:59", "02:01:00", "02:59:00"])
def test_due_from_its_minute_on_for_an_hour(tool, nightly, file_store, time):
    """One minute that cron missed is not a day that is missed."""
    tool.ok("check", *at(time))
    assert statuses(nightly) == ["completed"]
    assert len(file_store.list()) == 1


@pytest.mark.parametrize("time", ["01:59:59", "03:01:00", "14:00:00"])
def test_not_due_before_it_nor_an_hour_after(quiet, nightly, time):
    quiet(*at(time))
    assert history(nightly) == []


@pytest.mark.parametrize("window, time, due", [
    ("10m", "02:09:00", True), ("10m", "02:11:00", False), ("1d", "23:00:00", True)])
def test_catch_up_window_is_a_setting(tool, nightly, window, time, due):
    tool.with_settings(RYTHM_BACKUP_CATCH_UP=window).ok("check", *at(time))
    assert statuses(nightly) == (["completed"] if due else [])


def test_late_evening_is_caught_up_after_midnight(tool, database):
    enable(database, "23:50")
    tool.ok("check", *at("00:10:00"))
    (row,) = history(database)
    assert row["occurrence_at"] == instant("23:50:00", day="2031-05-05")


def test_once_a_day(tool, nightly, quiet):
    tool.ok("check", *at("02:00:00"))
    for time in ("02:00:30", "02:05:00", "02:59:00", "12:00:00"):
        quiet(*at(time))
    tool.ok("check", *at("02:00:00", day="2031-05-07"))
    assert statuses(nightly) == ["completed", "completed"]


@pytest.mark.parametrize("time", ["02:00:30", "02:00:59.999999", "02:00:00.000001"])
def test_seconds_of_the_schedule_do_not_count(tool, database, quiet, time):
    """Nor their fractions, which no instant of the ledger could tell apart."""
    enable(database, time)
    quiet(*at("01:59:59"))
    tool.ok("check", *at("02:00:00"))
    for later in ("02:00:40", "02:01:10", "02:03:00", "02:59:00"):
        quiet(*at(later))
    (row,) = history(database)
    assert (row["status"], row["occurrence_at"]) == ("completed", instant("02:00:00"))


def test_attempts_at_a_time_with_seconds_are_counted(tool, database, tmp_path, quiet):
    enable(database, "02:00:30.123456")
    bad = failing(tool, tmp_path)
    for time, runs in (("02:00:00", True), ("02:00:50", False), ("02:01:10", True),
                       ("02:06:00", False), ("02:06:20", True), ("02:30:00", False)):
        assert bad.run("check", *at(time)).code == (1 if runs else 0), time
    assert [(row["status"], row["attempt"]) for row in history(database)] == [
        ("failed", 1), ("failed", 2), ("failed", 3)]
    quiet(*at("02:40:00"))


def test_switched_off(database, quiet):
    quiet(*at("02:01:00"))
    assert history(database) == []


def test_switched_off_is_said_once_an_hour(tool):
    for time, lines in (("01:59:59", []), ("02:00:30", ["ℹ️  Automated backups are disabled"]),
                        ("02:01:00", [])):
        assert said(tool.ok("check", *at(time))) == lines


def test_set_to_this_minute_runs(tool, database):
    enable_now(database)
    tool.ok("check")
    assert statuses(database) == ["completed"]


@pytest.mark.parametrize("minutes", [1, 10, 59])
def test_set_to_an_earlier_time_waits_for_tomorrow(database, quiet, minutes):
    """Though the window would allow it: nobody who sets 14:00 at 14:10 means now."""
    database.execute("UPDATE backup_schedule SET enabled = true,"
                     f" schedule_time = {THIS_MINUTE} - %s * interval '1 minute'", minutes)
    quiet()


def test_switched_on_late_waits_for_tomorrow(database, quiet):
    database.execute(f"UPDATE backup_schedule SET schedule_time = {THIS_MINUTE}"
                     " - interval '10 minutes'")
    database.execute("UPDATE backup_schedule SET timed_at = now() - interval '1 day'")
    database.execute("UPDATE backup_schedule SET enabled = true")
    quiet()


def test_other_edits_do_not_put_it_off(tool, database):
    database.execute(f"UPDATE backup_schedule SET enabled = true, schedule_time = {THIS_MINUTE}"
                     " - interval '10 minutes'")
    database.execute("UPDATE backup_schedule SET timed_at = now() - interval '1 day'")
    database.execute("UPDATE backup_schedule SET retention_days = 7, updated_at = now()")
    tool.ok("check")
    assert statuses(database) == ["completed"]


def test_a_backup_of_the_last_two_minutes_is_enough(tool, nightly, quiet):
    tool.ok("check", *at("02:00:00"))
    enable(nightly, "02:01")
    quiet(*at("02:01:30"))
    tool.ok("check", *at("02:02:30"))
    assert statuses(nightly) == ["completed", "completed"]


def test_a_manual_backup_is_enough_too(tool, database, quiet):
    tool.ok("run", "--no-notify")
    enable_now(database)
    quiet()


def test_the_servers_clock_decides(tool, nightly):
    """The client's may be days off; only its log lines show it."""
    client = ("faketime", "-f", "+40d")
    off = tool.with_settings(FAKETIME_DONT_FAKE_MONOTONIC="1",
                             ASAN_OPTIONS="verify_asan_link_order=0")
    result = off.ok("--log-format=json", "check", *at("02:00:10"), prefix=client)
    (row,) = history(nightly)
    assert row["backup_filename"].startswith(f"rythm-backup-{NIGHT}T02-00-1")
    logged = datetime.datetime.fromisoformat(result.events[0]["time"])
    assert logged - nightly.value("SELECT now()") > datetime.timedelta(days=30)


# Retries

def test_three_attempts_then_none(tool, nightly, tmp_path, quiet):
    """After 1 and 5 more minutes."""
    bad = failing(tool, tmp_path)
    for time, runs in (("02:00:00", True), ("02:00:50", False), ("02:01:10", True),
                       ("02:06:00", False), ("02:06:20", True), ("02:30:00", False),
                       ("02:59:00", False)):
        assert bad.run("check", *at(time)).code == (1 if runs else 0), time
    assert [(row["status"], row["attempt"]) for row in history(nightly)] == [
        ("failed", 1), ("failed", 2), ("failed", 3)]
    quiet(*at("02:40:00"))


def test_a_later_attempt_can_succeed(tool, nightly, tmp_path, file_store, quiet):
    assert failing(tool, tmp_path).run("check", *at("02:00:00")).code == 1
    tool.ok("check", *at("02:01:10"))
    quiet(*at("02:10:00"))
    assert [(row["status"], row["attempt"]) for row in history(nightly)] == [
        ("failed", 1), ("completed", 2)]
    assert len(file_store.list()) == 1


def test_tomorrow_begins_anew(tool, nightly, tmp_path):
    bad = failing(tool, tmp_path)
    for time in ("02:00:00", "02:02:00", "02:10:00"):
        bad.run("check", *at(time))
    tool.ok("check", *at("02:00:00", day="2031-05-07"))
    assert statuses(nightly) == ["failed"] * 3 + ["completed"]


def test_a_store_that_fails_is_tried_again(tool, nightly, file_store):
    """What stands where the folder should be."""
    file_store.folder.write_text("not a folder")
    result = tool.run("check", *at("02:00:00"))
    assert result.code == 1 and str(file_store.folder) in result.err
    file_store.folder.unlink()
    tool.ok("check", *at("02:01:10"))
    assert statuses(nightly) == ["failed", "completed"]


# What is written

def test_ledger_row(tool, nightly, file_store):
    tool.ok("check", *at("02:00:10"))
    (row,) = history(nightly)
    (stored,) = file_store.list()
    assert row["backup_filename"] == stored.name
    assert (row["backup_type"], row["status"], row["attempt"]) == ("scheduled", "completed", 1)
    assert row["file_size_bytes"] == stored.bytes
    assert row["raw_size_bytes"] == int(stored.metadata["rawbytes"]) > stored.bytes
    assert (row["run_id"], row["sha256"]) == (stored.metadata["run"], stored.metadata["sha256"])
    assert row["schedule_id"] == schedule(nightly)["schedule_id"]
    assert row["occurrence_at"] == instant("02:00:00")
    assert row["store"] == file_store.settings["RYTHM_BACKUP_STORES"]
    assert row["error_message"] is None and row["initiated_by_user_id"] is None
    assert instant("02:00:10") <= row["started_at"] < row["completed_at"] < instant("02:01:00")
    assert row["duration_seconds"] is not None


def test_ledger_row_of_a_failure(tool, nightly, tmp_path):
    failing(tool, tmp_path).run("check", *at("02:00:10"))
    (row,) = history(nightly)
    assert row["status"] == "failed"
    assert row["error_message"] == ("dumping the database: pg_dump failed with exit status 1:"
                                    " no luck")
    assert row["file_size_bytes"] is None and row["sha256"] is None
    assert row["completed_at"] is not None and row["duration_seconds"] is not None


def test_last_and_next_run(tool, nightly):
    """The next is the next scheduled instant, however late this one was."""
    tool.ok("check", *at("02:40:00"))
    row = schedule(nightly)
    assert instant("02:40:00") < row["last_run_at"] < instant("02:41:00")
    assert row["next_run_at"] == instant("02:00:00", day="2031-05-07")


def test_a_failure_is_no_run(tool, nightly, tmp_path):
    failing(tool, tmp_path).run("check", *at("02:00:10"))
    assert schedule(nightly)["last_run_at"] is None


@pytest.mark.usefixtures("nightly")
def test_object_is_named_by_its_instant(tool, file_store):
    tool.ok("check", *at("02:00:10"))
    (stored,) = file_store.list()
    assert re.fullmatch(NAME, stored.name) and stored.name.startswith(
        f"rythm-backup-{NIGHT}T02-00-1")
    assert stored.metadata["occurrence"] == f"{NIGHT}T02:00:00.000Z"


# What is said

LINES = ["🎯 Scheduled time matched: 02:00 UTC - executing backup...",
         "📦 Creating scheduled database backup...",
         "Starting database backup...",
         "Backup created: NAME (SIZE)",
         "Stored: NAME",
         "✅ Scheduled backup completed successfully in TIME",
         "   Backup: NAME",
         "   Size: SIZE",
         "   Next run: 2031-05-07T02:00:00.000Z"]


@pytest.mark.usefixtures("nightly")
def test_lines_are_the_old_services(tool):
    result = tool.ok("check", *at("02:00:10"))
    assert result.out == ""
    assert said(result) == LINES + [NO_MAIL]


def test_lines_with_mail(make_tool, nightly, file_store, acs):
    acs.running_polls = 0
    result = make_tool(nightly, file_store, acs).ok("check", *at("02:00:10"))
    assert said(result) == LINES + ["📧 Backup notification sent to 2 admin(s)"]


def test_line_of_an_upload(make_tool, nightly, azure_store):
    lines = said(make_tool(nightly, azure_store).ok("check", *at("02:00:10")))
    assert lines[4] == "Uploaded to blob storage: NAME"
    assert lines[:4] + lines[5:-1] == LINES[:4] + LINES[5:]


@pytest.mark.usefixtures("nightly")
def test_lines_of_a_failure(tool, tmp_path):
    assert said(failing(tool, tmp_path).run("check", *at("02:00:10"))) == LINES[:3] + [
        "❌ Scheduled backup failed: dumping the database: pg_dump failed with exit status 1:"
        " no luck", NO_MAIL]


@pytest.mark.usefixtures("nightly")
@pytest.mark.parametrize("setting", [{"LC_ALL": "C"}, {"NO_COLOR": "1"}])
def test_tags_instead_of_emoji(tool, setting):
    result = tool.with_settings(**setting).ok("check", *at("02:00:10"))
    tags = {"🎯": "[due]", "📦": "[backup]", "✅": "[ok]"}
    assert said(result) == [re.sub("|".join(tags), lambda match: tags[match[0]], line)
                            for line in LINES] + [NO_MAIL.replace("⚠️ ", "[warning]")]
    assert result.err.isascii()


def test_json_log(tool, nightly):
    events = tool.ok("--log-format=json", "check", *at("02:00:10")).events
    assert [event["event"] for event in events] == [
        "schedule_due", "backup_begins", "backup_started", "backup_created", "backup_stored",
        "backup_completed", "backup_name", "backup_size", "next_run", "mail_not_configured"]
    assert {event["level"] for event in events} == {"info", "warning"}
    for event in events:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"])
        assert event["message"].isascii()
    completed = events[5]
    (row,) = history(nightly)
    assert (completed["name"], completed["run_id"], completed["bytes"]) == (
        row["backup_filename"], row["run_id"], row["file_size_bytes"])


@pytest.mark.usefixtures("nightly")
def test_json_log_by_setting(tool):
    log = tool.with_settings(RYTHM_BACKUP_LOG_FORMAT="json").ok("check", *at("02:00:10")).events
    assert log[0]["event"] == "schedule_due"


@pytest.mark.usefixtures("nightly")
def test_json_log_of_a_failure(tool, tmp_path):
    bad = failing(tool, tmp_path)
    events = bad.run("--log-format=json", "check", *at("02:00:10")).events
    (failed,) = [event for event in events if event["level"] == "error"]
    assert failed["event"] == "backup_failed" and "no luck" in failed["message"]


@pytest.mark.usefixtures("nightly")
def test_quiet_leaves_the_warnings(tool):
    assert said(tool.ok("--quiet", "check", *at("02:00:10"))) == [NO_MAIL]


def test_json_outcome(tool, nightly):
    outcome = tool.ok("check", "--json", *at("02:00:10")).json
    (row,) = history(nightly)
    (run,) = outcome["runs"]
    assert (outcome["failed"], outcome["degraded"]) == (0, 0)
    assert outcome["now"].startswith(f"{NIGHT}T02:00:1")
    assert run["duration_ms"] >= 0
    del run["duration_ms"]
    assert run == {"schedule": row["schedule_id"], "schedule_name": None,
                   "database": nightly.name, "occurrence": f"{NIGHT}T02:00:00.000Z",
                   "result": "completed", "name": row["backup_filename"],
                   "bytes": row["file_size_bytes"], "error": None}


@pytest.mark.usefixtures("nightly")
def test_json_outcome_of_a_failure(tool, tmp_path):
    result = failing(tool, tmp_path).run("check", "--json", *at("02:00:10"))
    assert result.code == 1 and result.json["failed"] == 1
    assert result.json["runs"][0]["result"] == "failed"
    assert "no luck" in result.json["runs"][0]["error"]


@pytest.mark.usefixtures("nightly")
def test_json_outcome_of_nothing(tool):
    result = tool.ok("check", "--json", *at("12:00:00"))
    assert (result.json["runs"], result.err) == ([], "")


@pytest.mark.usefixtures("nightly")
# --dry-run and --now

@pytest.mark.parametrize("time, state, would_run", [
    ("01:00:00", "missed", False), ("02:00:10", "due", True), ("03:30:00", "missed", False)])
def test_dry_run_says_what_would_be(tool, time, state, would_run):
    plan = tool.ok("check", "--dry-run", "--json", *at(time)).json
    (one,) = plan["schedules"]
    assert (one["state"], one["would_run"], one["time"]) == (state, would_run, "02:00")
    next_day = "2031-05-06" if time < "02" else "2031-05-07"
    assert one["next"] == f"{next_day}T02:00:00.000Z"


def test_dry_run_changes_nothing(tool, nightly, file_store):
    before = nightly.dump()
    result = tool.ok("check", "--dry-run", *at("02:00:10"))
    assert result.err == ""
    header, line = result.out.splitlines()
    assert header.split() == ["SCHEDULE", "TIME", "STATE", "OCCURRENCE", "NEXT", "WOULD", "RUN"]
    assert line.split() == [schedule(nightly)["schedule_id"], "02:00", "UTC", "due",
                            f"{NIGHT}T02:00:00.000Z", "2031-05-07T02:00:00.000Z", "yes"]
    assert nightly.dump() == before
    assert not file_store.folder.exists()


@pytest.mark.usefixtures("nightly")
def test_dry_run_shows_retries(tool, tmp_path):
    bad = failing(tool, tmp_path)
    states = []
    for time in ("02:00:00", "02:02:00", "02:10:00"):
        bad.run("check", *at(time))
        (one,) = tool.ok("check", "--dry-run", "--json", *at(time)).json["schedules"]
        states.append(one["state"])
    assert states == ["retry", "retry", "exhausted"]


@pytest.mark.usefixtures("nightly")
@pytest.mark.parametrize("form", [
    "2031-05-06 02:00:10Z", "2031-05-06T02:00:10+00:00", "2031-05-06 02:00:10",
    "2031-05-06 07:45:10+05:45", "2031-05-05 22:00:10 America/New_York"])
def test_now_is_utc_unless_it_says_otherwise(tool, form):
    """The server's zone, Kathmandu's, plays no part."""
    plan = tool.ok("check", "--dry-run", "--json", "--now", form).json
    assert plan["now"].startswith(f"{NIGHT}T02:00:1")


@pytest.mark.parametrize("form", ["", "soon", "2031-02-30 00:00", "25:61", "infinity",
                                  "2031-05-06'; DROP TABLE users; --", "-infinity", "epoch x"])
def test_bad_now(tool, nightly, form):
    result = tool.run("check", "--now", form)
    assert result.code == 2
    assert re.fullmatch("❌ option --now: .+\n", result.err)
    assert result.out == "" and history(nightly) == []


# Rows as they should not be

def test_several_schedules_in_one_tick(tool, nightly, file_store):
    ids = {schedule(nightly)["schedule_id"], add_schedule(nightly), add_schedule(nightly, "02:30")}
    tool.ok("check", *at("02:31:00"))
    assert {row["schedule_id"] for row in history(nightly)} == ids
    assert statuses(nightly) == ["completed"] * 3
    assert len(file_store.list()) == 3


def test_one_that_fails_does_not_stop_the_others(tool, nightly, tmp_path):
    add_schedule(nightly, "02:01")
    once = pg_dumps.script(tmp_path, 'mkdir "$0.first" && { echo no luck >&2; exit 1; }\n'
                                     'exec "$REAL" "$@"')
    assert tool.with_settings(**once).run("check", *at("02:05:00")).code == 1
    assert sorted(statuses(nightly)) == ["completed", "failed"]


@pytest.mark.parametrize("column, value, problem", [
    ("retention_days", 0, "retention_days is 0; it must be between 1 and 1000000"),
    ("retention_days", None, "retention_days is not set"),
    ("retention_days", -5, "retention_days is -5; it must be between 1 and 1000000"),
    ("schedule_time", None, "schedule_time is not set"),
    ("schedule_time", "24:00", "schedule_time is 24:00; write 00:00")])
def test_a_wrong_row_is_named_and_passed_over(tool, nightly, column, value, problem):
    wrong = add_schedule(nightly)
    nightly.execute(f"UPDATE backup_schedule SET {column} = %s WHERE schedule_id = %s", value,
                    wrong)
    result = tool.run("check", *at("02:00:10"))
    assert result.code == 3
    assert (f"⚠️  Schedule {wrong} is wrong and was passed over: {problem}; correct it with"
            " 'rythm-backup schedule set'") in result.err.splitlines()
    (row,) = history(nightly)
    assert row["status"] == "completed" and row["schedule_id"] != wrong


def test_a_wrong_row_that_is_switched_off_is_nobodys_business(database, quiet):
    database.execute("UPDATE backup_schedule SET retention_days = 0")
    quiet(*at("02:01:00"))


def test_no_row(tool, database):
    database.execute("DELETE FROM backup_schedule")
    result = tool.run("check")
    assert result.code == 2
    assert result.err == ("❌ the table backup_schedule has no row; 'rythm-backup schedule add' adds"
                          " one\n")


@pytest.mark.parametrize("command, doing", [
    (("check",), "asking whether anything is due"),
    (("check", "--dry-run"), "reading the schedules"), (("run",), "reading the schedules")])
def test_no_table(make_tool, make_database, sample, file_store, command, doing):
    result = make_tool(make_database(sample), file_store).run(*command)
    assert result.code == 2
    assert re.fullmatch(f"❌ {doing}: Postgres says: .* does not exist; run"
                        " 'rythm-backup migrate' on this database\n", result.err)


def test_the_applications_tables_alone_are_not_enough(make_tool, cluster, empty_database,
                                                      file_store):
    """Before migrate, the old service's rows must not start anything."""
    cluster.load(empty_database.name, f"{__file__[:-len('test_check.py')]}rythm_application.sql")
    result = make_tool(empty_database, file_store).run("check", *at("03:15:10"))
    assert result.code == 2 and "run 'rythm-backup migrate'" in result.err


def test_no_users_table(make_tool, empty_database, file_store, acs):
    """The backup is good; one line says why nobody hears of it."""
    tool = make_tool(empty_database, file_store, acs)
    tool.ok("migrate")
    enable(empty_database)
    result = tool.ok("check", *at("02:00:10"))
    assert statuses(empty_database) == ["completed"]
    assert [line for line in said(result) if "⚠️" in line] == [
        "⚠️  nobody is notified: RYTHM_BACKUP_ADMIN_QUERY asks a table that does not exist; name"
        " the recipients in RYTHM_BACKUP_NOTIFY_TO"]
    assert acs.messages == []


def test_no_email_table(tool, nightly):
    nightly.execute("DROP TABLE email_logs")
    result = tool.run("check", *at("02:00:10"))
    assert result.code == 2 and "run 'rythm-backup migrate'" in result.err


# Whoever may create in the schema public

# What pg_catalog has only for other types than these: the better match would be taken.
HIJACKED = [("*", "bigint", "interval"), ("*", "numeric", "integer"), ("/", "numeric", "integer"),
            ("=", "numeric", "integer"), ("<>", "numeric", "integer"), ("<", "numeric", "integer"),
            ("||", "bigint", "bigint"), ("||", "bigint", "text"), ("||", "text", "name"),
            ("||", "text", "uuid"), ("||", "uuid", "uuid"), ("||", "text", "integer"),
            ("||", "integer", "integer"), ("||", "text", "interval"),
            ("||", "interval", "interval")]


def test_operators_of_others_are_not_used(tool, nightly):
    for number, (operator, left, right) in enumerate(HIJACKED):
        nightly.execute(f"CREATE FUNCTION public.hijack_{number}({left}, {right}) RETURNS boolean"
                        " LANGUAGE plpgsql AS $$BEGIN RAISE 'hijacked'; END$$")
        nightly.execute(f"CREATE OPERATOR public.{operator} (LEFTARG = {left},"
                        f" RIGHTARG = {right}, FUNCTION = public.hijack_{number})")
    nightly.execute("UPDATE backup_schedule SET frequency = 'monthly', days = '{6}'")
    tool.ok("check", *at("02:00:10"))
    assert statuses(nightly) == ["completed"]
    for edit in ("frequency = 'weekly'", "retention_days = 0",
                 "retention_days = 1, catch_up = '2s'", "catch_up = NULL"):
        nightly.execute(f"UPDATE backup_schedule SET {edit}")
        result = tool.run("status")
        assert "hijacked" not in result.err and "operator" not in result.err, result.err
    for command in (["check"], ["run", "--no-notify"], ["list"], ["prune"],
                    ["schedule", "show", "--next"], ["migrate"]):
        tool.ok(*command)

"""A tick with nothing to do: it looks at no schedule, and misses nothing for that."""

import contextlib

import psycopg2
import pytest

import processes
from tables import NIGHT, PRIVILEGES, add_schedule, at, history, rows, schedule, statuses

GATE = 4711


@pytest.fixture
def tool(make_tool, small_database, file_store):
    return make_tool(small_database, file_store)


@pytest.fixture
def nightly(small_database, clock):
    """A backup at 02:00; now it is half past twelve, and today's was missed."""
    small_database.execute("UPDATE backup_schedule SET enabled = true, schedule_time = '02:00'")
    small_database.execute("CREATE SEQUENCE looks")
    small_database.execute("ALTER FUNCTION rythm_backup_schedules RENAME TO real_schedules")
    small_database.execute(f"""
        CREATE FUNCTION rythm_backup_schedules(at timestamptz, default_catch_up interval)
        RETURNS TABLE (schedule_id uuid, is_default boolean, occurrence_at timestamptz,
                       next_at timestamptz, attempt integer, state text, problem text,
                       database text)
        LANGUAGE plpgsql AS $$
        BEGIN
            RETURN QUERY SELECT * FROM real_schedules(at, default_catch_up);
            IF nextval('looks') = 1 THEN
                PERFORM pg_advisory_xact_lock({GATE});
            END IF;
        END
        $$""")
    return small_database


def looks(database):
    """How often all schedules have been looked at."""
    return database.value("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM looks")


@pytest.fixture
def looked(tool, nightly):
    """A function: whether one tick looks at the schedules. It has nothing to do, nor to say."""
    def tick(*options, program=tool):
        before = looks(nightly)
        result = program.ok("check", *options)
        assert (result.out, result.err) == ("", "")
        return looks(nightly) > before
    return tick


def quiet_row(database):
    return rows(database, "SELECT * FROM rythm_backup_quiet")


@contextlib.contextmanager
def transaction(database):
    """A connection with a transaction open at the end of which it commits."""
    connection = database.connect()
    connection.autocommit = False
    try:
        yield connection.cursor()
        connection.commit()
    finally:
        connection.close()


# When it looks

def test_looks_once_and_then_after_ten_minutes(looked, clock):
    assert looked()
    for time in ("12:30:40", "12:31:00", "12:36:00", "12:39:50"):
        clock.set(time)
        assert not looked(), time
    clock.set("12:40:10")
    assert looked()
    clock.set("12:45:00")
    assert not looked()


def test_looks_in_the_first_minute_of_an_hour(looked, clock):
    clock.set("12:58:00")
    assert looked()
    clock.set("12:59:40")
    assert not looked()
    for time in ("13:00:00", "13:00:40"):
        clock.set(time)
        assert looked(), time
    clock.set("13:01:00")
    assert not looked()


def test_what_becomes_due_is_made_in_its_minute(tool, nightly, looked, clock):
    nightly.execute("UPDATE backup_schedule SET schedule_time = '12:35'")
    nightly.execute("UPDATE backup_schedule SET timed_at = '2020-01-01'")
    assert looked()
    clock.set("12:34:50")
    assert not looked()
    clock.set("12:35:00")
    tool.ok("check")
    assert statuses(nightly) == ["completed"]


def test_the_earliest_of_several_counts(tool, nightly, looked, clock):
    nightly.execute("UPDATE backup_schedule SET schedule_time = '12:38'")
    add_schedule(nightly, "12:33")
    add_schedule(nightly, "12:36")
    assert looked()
    for time in ("12:33:10", "12:36:10", "12:38:30"):
        clock.set(time)
        tool.ok("check")
    assert statuses(nightly) == ["completed"] * 3


def test_the_programs_own_writing_is_no_edit(tool, nightly, looked, clock):
    """last_run_at and next_run_at, which it writes after each backup."""
    nightly.execute("UPDATE backup_schedule SET schedule_time = '12:30'")
    tool.ok("check")
    assert statuses(nightly) == ["completed"]
    clock.set("12:33:00")
    assert looked()
    nightly.execute("UPDATE backup_schedule SET last_run_at = now(), next_run_at = now(),"
                    " updated_at = now()")
    assert not looked()


def test_attempts_are_not_slept_through(tool, nightly, looked, clock):
    """While one waits for its next attempt no tick is quiet."""
    nightly.execute("UPDATE backup_schedule SET schedule_time = '12:30'")
    bad = tool.with_settings(RYTHM_BACKUP_STORES="file:///dev/null/nowhere")
    assert bad.run("check").code == 1
    clock.set("12:30:40")
    assert looked() and looked()
    clock.set("12:31:30")
    tool.ok("check")
    assert statuses(nightly) == ["failed", "completed"]


def test_dead_run_is_found_in_quiet_times(tool, nightly, looked, file_store):
    assert looked() and not looked()
    nightly.execute(
        "INSERT INTO backup_history (backup_filename, backup_type, status, run_id, schedule_id,"
        " store) SELECT 'rythm-backup-2031-05-06T12-20-00-000Z.sql.zst', 'manual', 'started',"
        " '00000000000000aa', schedule_id, %s FROM backup_schedule",
        file_store.settings["RYTHM_BACKUP_STORES"])
    result = tool.ok("check")
    assert "was interrupted before it was published" in result.err
    assert statuses(nightly) == ["failed"]


def test_untold_failure_of_a_verification_is_told_in_quiet_times(tool, nightly, looked):
    """One of this ledger, of today; nobody is there to hear it, and that settles it."""
    assert looked() and not looked()
    nightly.execute(
        "INSERT INTO backup_history (backup_filename, backup_type, status, run_id, told_at,"
        " verify_failed_at, verify_error) SELECT 'b' || n, 'manual', 'completed', 'run' || n,"
        " now(), timestamptz %s - n * interval '30 hours', 'bad' FROM generate_series(0, 1) n",
        f"{NIGHT} 12:00:00Z")
    tool.ok("check")
    assert nightly.execute("SELECT verify_told_at IS NOT NULL FROM backup_history"
                           " ORDER BY backup_filename") == [(True,), (False,)]
    assert not looked()


def test_waiting_mail_is_sent_in_quiet_times(make_tool, small_database, file_store, acs, clock,
                                             tool):
    """A service that was down is up again before anything else is to be done."""
    acs.running_polls = 0
    mailing = make_tool(small_database, file_store, acs)
    down = mailing.with_settings(
        ACS_CONNECTION_STRING=acs.settings["ACS_CONNECTION_STRING"].replace(
            str(acs.port), "1"), RYTHM_BACKUP_RETRY_TIMEOUT="1s")
    assert down.run("run").code == 3
    clock.set("12:50:00")
    small_database.execute("UPDATE rythm_backup_quiet SET looked_at = %s::timestamptz,"
                           " catch_up = '1 hour', quiet_until = 'infinity'",
                           f"{NIGHT} 12:49:00Z")
    mailing.ok("check")
    assert len(acs.messages) == 2


# Edits

EDITS = ["enabled = false", "schedule_time = '12:30'", "retention_days = 7", "name = 'nightly'",
         "frequency = 'hourly'", "days = '{1}'", "time_zone = 'Asia/Kathmandu'",
         "catch_up = '2 hours'", "target_dbname = 'postgres'", "target_service = 'theirs'",
         "schemas = '{public}'", "stores = 'file:///elsewhere'", "timed_at = '2020-01-01'"]


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_is_noticed(tool, nightly, looked, edit):
    assert looked() and not looked()
    nightly.execute(f"UPDATE backup_schedule SET {edit}")
    before = looks(nightly)
    tool.run("check")
    assert looks(nightly) > before


def test_a_new_schedule_is_noticed_in_the_same_minute(tool, nightly, looked):
    assert looked() and not looked()
    new = add_schedule(nightly, "12:30")
    tool.ok("check")
    (row,) = history(nightly)
    assert (row["schedule_id"], row["status"]) == (new, "completed")


def test_the_admin_pages_edit_is_noticed_in_the_same_minute(tool, nightly, looked, role):
    """Its role has rights on the application's own table alone."""
    _, url = role(nightly, "GRANT SELECT, UPDATE ON backup_schedule TO {role}")
    assert looked() and not looked()
    connection = psycopg2.connect(url)
    connection.cursor().execute("UPDATE backup_schedule SET schedule_time = '12:30'")
    connection.commit()
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        connection.cursor().execute("INSERT INTO rythm_backup_edits DEFAULT VALUES")
    connection.close()
    tool.ok("check")
    assert statuses(nightly) == ["completed"]


def test_an_edit_that_commits_after_the_look_is_noticed(tool, nightly, looked):
    """It was begun before, and could not be seen yet."""
    assert looked()
    nightly.execute("UPDATE backup_schedule SET retention_days = 7")
    with transaction(nightly) as edit:
        edit.execute("UPDATE backup_schedule SET schedule_time = '12:30'")
        assert looked() and not looked()
    tool.ok("check")
    assert statuses(nightly) == ["completed"]


def test_an_edit_between_look_and_note_is_noticed(tool, nightly, looked):
    assert looked()
    nightly.execute("UPDATE backup_schedule SET retention_days = 7")
    before = looks(nightly)
    with transaction(nightly) as other:
        other.execute("LOCK TABLE rythm_backup_quiet IN SHARE MODE")
        process = tool.start("check")
        processes.wait_until(lambda: looks(nightly) > before, "it has looked")
        nightly.execute("UPDATE backup_schedule SET schedule_time = '12:30'")
    assert tool.finish(process).code == 0
    assert history(nightly) == []
    tool.ok("check")
    assert statuses(nightly) == ["completed"]


def test_a_late_note_does_not_undo_a_newer_one(tool, nightly, looked, clock):
    """It looked before an edit, and wants to write down what it saw after another has seen it."""
    with transaction(nightly) as gate:
        gate.execute("SELECT pg_advisory_xact_lock(%s)", (GATE,))
        late = tool.start("check")
        processes.wait_until(lambda: looks(nightly) == 1, "it has looked")
        nightly.execute("UPDATE backup_schedule SET schedule_time = '12:33'")
        assert looked()
        assert not looked()
    assert tool.finish(late).code == 0
    clock.set("12:33:10")
    tool.ok("check")
    assert statuses(nightly) == ["completed"]


def test_edits_do_not_wait_for_each_other_nor_for_a_tick(nightly, looked):
    other = add_schedule(nightly, "03:00")
    with transaction(nightly) as one, transaction(nightly) as two:
        one.execute("SET lock_timeout = '5s'")
        two.execute("SET lock_timeout = '5s'")
        one.execute("UPDATE backup_schedule SET retention_days = 7 WHERE schedule_id <> %s",
                    (other,))
        two.execute("UPDATE backup_schedule SET retention_days = 8 WHERE schedule_id = %s",
                    (other,))
        assert looked() and not looked()
        one.execute("UPDATE backup_schedule SET retention_days = 9 WHERE schedule_id <> %s",
                    (other,))
    assert looked()
    assert not looked()


def test_very_many_edits(nightly, looked):
    """More than one tick takes up at a time: none is forgotten, and they come to an end."""
    nightly.execute("INSERT INTO rythm_backup_edits OVERRIDING SYSTEM VALUE"
                    " SELECT generate_series(100001, 102500)")
    assert [looked() for _ in range(4)] == [True, True, True, False]
    assert rows(nightly, "SELECT * FROM rythm_backup_edits") == []


def test_migrate_makes_it_look(tool, nightly, looked):
    """The functions may say something else from now on."""
    assert looked() and not looked()
    nightly.execute("ALTER FUNCTION rythm_backup_schedules RENAME TO spied")
    nightly.execute("ALTER FUNCTION real_schedules RENAME TO rythm_backup_schedules")
    tool.ok("migrate")
    nightly.execute("ALTER FUNCTION rythm_backup_schedules RENAME TO real_schedules")
    nightly.execute("ALTER FUNCTION spied RENAME TO rythm_backup_schedules")
    assert looked()


# What makes the note void

@pytest.mark.parametrize("time, day", [("12:29:00", NIGHT), ("11:35:00", NIGHT),
                                       ("12:35:00", "2031-05-05"), ("12:30:00", "2026-05-05")])
def test_a_clock_that_was_ahead(looked, clock, time, day):
    assert looked() and not looked()
    clock.set(time, day=day)
    assert looked()
    assert not looked()


def test_another_catch_up_window(tool, nightly, looked):
    """What was missed with the one may be due with the other."""
    nightly.execute("UPDATE backup_schedule SET schedule_time = '11:00'")
    nightly.execute("UPDATE backup_schedule SET timed_at = '2020-01-01'")
    assert looked() and not looked()
    tool.with_settings(RYTHM_BACKUP_CATCH_UP="2h").ok("check")
    assert statuses(nightly) == ["completed"]


def test_no_row_to_note_it_in(nightly, looked):
    nightly.execute("DELETE FROM rythm_backup_quiet")
    assert looked() and looked()


def test_a_note_that_fails_does_not_end_the_tick(nightly, clock, role, tool, file_store):
    """After an upgrade without the new grants, say: a dead run is resolved all the same."""
    _, url = role(nightly, *(grant for grant in PRIVILEGES if "quiet" not in grant),
                  "GRANT USAGE ON SCHEMA clock TO {role}",
                  "GRANT USAGE ON SEQUENCE looks TO {role}")
    nightly.execute("INSERT INTO backup_history (backup_filename, backup_type, status, run_id,"
                    " schedule_id, store) SELECT 'rythm-backup-x.sql', 'manual', 'started',"
                    " '0123456789abcdef', schedule_id, %s FROM backup_schedule",
                    file_store.settings["RYTHM_BACKUP_STORES"])
    result = tool.with_settings(DATABASE_URL=url).run("check")
    assert result.code == 3
    assert "noting until when nothing is due: Postgres says: permission denied" in result.err
    assert statuses(nightly) == ["failed"]


def test_a_wrong_row_is_told_at_every_tick(tool, nightly):
    nightly.execute("UPDATE backup_schedule SET name = 'mine', retention_days = 0")
    for _ in range(3):
        result = tool.run("check")
        assert result.code == 3
        assert "Schedule mine is wrong and was passed over: retention_days is 0" in result.err


@pytest.mark.parametrize("time", ["02:00", "12:30"])
def test_a_store_that_is_wrong_is_told_at_every_tick(tool, nightly, time):
    """Not only when a backup is to go there."""
    nightly.execute("UPDATE backup_schedule SET stores = 'nowhere', schedule_time = %s", time)
    for _ in range(3):
        result = tool.run("check")
        assert result.code == 3 and "is wrong and was passed over: 'nowhere'" in result.err


# A pretended clock

def test_a_pretended_clock_reads_and_writes_no_note(nightly, looked):
    assert looked(*at("12:35:00"))
    (row,) = quiet_row(nightly)
    assert (row["looked_at"], row["quiet_until"]) == (None, None)
    assert looked() and not looked()
    before = quiet_row(nightly)
    # It is never quiet, though nothing was edited; and an edit is left to who may note it.
    assert looked(*at("12:30:10")) and not looked()
    nightly.execute("UPDATE backup_schedule SET retention_days = 7")
    edits = rows(nightly, "SELECT * FROM rythm_backup_edits")
    for time in ("12:30:10", "12:35:00", "23:30:00"):
        assert looked(*at(time))
    assert quiet_row(nightly) == before
    assert rows(nightly, "SELECT * FROM rythm_backup_edits") == edits
    assert looked() and not looked()


def test_dry_run_reads_and_writes_no_note(tool, nightly, looked):
    assert looked() and not looked()
    before = quiet_row(nightly)
    assert schedule(nightly)["schedule_id"] in tool.ok("check", "--dry-run").out
    assert quiet_row(nightly) == before


def test_the_documented_privileges_are_enough(nightly, looked, role, tool):
    _, url = role(nightly, *PRIVILEGES, "GRANT USAGE ON SCHEMA clock TO {role}",
                  "GRANT USAGE ON SEQUENCE looks TO {role}")
    least = tool.with_settings(DATABASE_URL=url)
    nightly.execute("UPDATE backup_schedule SET retention_days = 7")
    assert looked(program=least)
    assert not looked(program=least)
    assert rows(nightly, "SELECT * FROM rythm_backup_edits") == []

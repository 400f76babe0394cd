"""migrate: the tables where they are missing, additions only where the application has them."""

import contextlib
import pathlib
import re

import psycopg2
import pytest
from tables import at, history, rows, schedule, statuses

APPLICATION = pathlib.Path(__file__).parent / "rythm_application.sql"
MIGRATIONS = sorted((pathlib.Path(__file__).parents[2] / "migrations").glob("*.sql"))
APPLICATION_TABLES = ("tenants", "users", "backup_schedule", "backup_history", "email_logs")


@pytest.fixture
def application(cluster, empty_database):
    """A database that the application has made, and that no rythm-backup has seen."""
    cluster.load(empty_database.name, APPLICATION)
    return empty_database


@pytest.fixture
def schema(empty_database, make_tool):
    """The dump of a database on which `migrate` made everything."""
    make_tool(empty_database).ok("migrate")
    return empty_database.dump("--schema-only")


def columns(database, table):
    """(name, type, default, may be null) of each column, in order."""
    return database.execute(
        "SELECT attname, format_type(atttypid, atttypmod), pg_get_expr(adbin, adrelid),"
        " NOT attnotnull FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid"
        " AND adnum = attnum WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum", table)


def column_types(database, table, count):
    """(name, type) of the first columns: those that the application knows."""
    return [column[:2] for column in columns(database, table)[:count]]


# An empty database

def test_says_what_it_did(make_tool, empty_database):
    result = make_tool(empty_database).ok("migrate")
    assert result.out == ""
    lines = result.err.splitlines()
    assert lines[:-1] == [f"Applied {path.name}" for path in MIGRATIONS]
    assert lines[-1] == "✅ The database is ready for rythm-backup"


def dump_without_edits(database):
    """That schedules may have changed is noted at each `migrate`: how they are read may have."""
    return database.dump("--exclude-table-data=rythm_backup_edits*")


def test_twice_changes_nothing(make_tool, empty_database):
    tool = make_tool(empty_database)
    tool.ok("migrate")
    first = dump_without_edits(empty_database)
    tool.ok("migrate")
    assert dump_without_edits(empty_database) == first


def test_backup_schedule_is_the_applications(make_tool, empty_database):
    make_tool(empty_database).ok("migrate")
    now = "now()"
    assert columns(empty_database, "backup_schedule")[:8] == [
        ("schedule_id", "uuid", "gen_random_uuid()", False),
        ("enabled", "boolean", "false", True),
        ("schedule_time", "time without time zone", "'02:00:00'::time without time zone", True),
        ("retention_days", "integer", "30", True),
        ("last_run_at", "timestamp with time zone", None, True),
        ("next_run_at", "timestamp with time zone", None, True),
        ("created_at", "timestamp with time zone", now, True),
        ("updated_at", "timestamp with time zone", now, True)]


def test_backup_history_is_the_applications(make_tool, empty_database):
    make_tool(empty_database).ok("migrate")
    assert column_types(empty_database, "backup_history", 11) == [
        ("history_id", "uuid"), ("backup_filename", "character varying(255)"),
        ("backup_type", "text"), ("status", "text"), ("file_size_bytes", "bigint"),
        ("duration_seconds", "integer"), ("error_message", "text"),
        ("initiated_by_user_id", "uuid"), ("started_at", "timestamp with time zone"),
        ("completed_at", "timestamp with time zone"), ("created_at", "timestamp with time zone")]


@pytest.mark.parametrize("column, value", [("backup_type", "nightly"), ("status", "done")])
def test_backup_history_takes_the_known_words_only(make_tool, empty_database, column, value):
    make_tool(empty_database).ok("migrate")
    row = {"backup_filename": "x.sql", "backup_type": "manual", "status": "failed", column: value}
    with pytest.raises(Exception, match="violates check constraint"):
        empty_database.execute("INSERT INTO backup_history (backup_filename, backup_type, status)"
                               " VALUES (%s, %s, %s)", *row.values())


def test_email_logs_has_the_applications_columns(make_tool, empty_database):
    make_tool(empty_database).ok("migrate")
    assert [column[0] for column in columns(empty_database, "email_logs")] == [
        "email_log_id", "tenant_id", "user_id", "email_type", "status", "to_address",
        "from_address", "reply_to_address", "subject", "plain_text_body", "html_body",
        "message_id", "error_message", "sent_at", "delivered_at", "metadata", "created_at",
        "updated_at"]


def test_one_disabled_schedule_to_begin_with(make_tool, empty_database):
    make_tool(empty_database).ok("migrate")
    row = schedule(empty_database)
    assert (row["enabled"], str(row["schedule_time"]), row["retention_days"]) == (
        False, "02:00:00", 30)
    assert row["last_run_at"] is None and row["next_run_at"] is None


def test_a_deleted_schedule_comes_back_disabled(make_tool, empty_database):
    tool = make_tool(empty_database)
    tool.ok("migrate")
    empty_database.execute("UPDATE backup_schedule SET enabled = true")
    empty_database.execute("DELETE FROM backup_schedule")
    tool.ok("migrate")
    assert schedule(empty_database)["enabled"] is False


def test_several_at_once(make_tool, empty_database):
    tool = make_tool(empty_database)
    processes = [tool.start("migrate") for _ in range(4)]
    results = [tool.finish(process) for process in processes]
    assert [result.code for result in results] == [0] * 4, [result.err for result in results]
    assert len(rows(empty_database, "SELECT FROM backup_schedule")) == 1


# The SQL itself

def test_print_is_the_files(make_tool):
    """Byte for byte; no database is needed."""
    printed = make_tool(DATABASE_URL="postgresql://127.0.0.1:1/nowhere").ok("migrate", "--print")
    assert len(MIGRATIONS) == 13
    assert printed.out == "\n".join(f"-- {path.name}\n\n{path.read_text()}" for path in MIGRATIONS)


def test_print_goes_through_psql(make_tool, cluster, make_database, schema, tmp_path):
    database = make_database()
    (tmp_path / "all.sql").write_text(make_tool(database).ok("migrate", "--print").out)
    cluster.load(database.name, tmp_path / "all.sql")
    assert database.dump("--schema-only") == schema


def test_each_file_through_psql_twice(cluster, make_database, schema):
    database = make_database()
    for path in MIGRATIONS:
        cluster.load(database.name, path)
        cluster.load(database.name, path)
    assert database.dump("--schema-only") == schema


# A database that the application has made

def table_rows(database):
    """Every row of the application's tables, in the columns that it has before `migrate`."""
    return {table: rows(database, f"SELECT * FROM {table} ORDER BY 1")
            for table in APPLICATION_TABLES}


def schema_objects(database):
    """The lines that make each object; a comma at the end of one says only that a column follows.
    """
    parts = re.split(r"^-- Name: ([^;]+; Type: [^;]+);.*\n", database.dump("--schema-only"),
                     flags=re.MULTILINE)
    # What is set before an object is made depends on those before it.
    passed_over = ("SET default_", "-- PostgreSQL database dump complete")
    return {name: [line.rstrip(",") for line in text.splitlines()
                   if line.strip("- ") and not line.startswith(passed_over)]
            for name, text in zip(parts[1::2], parts[2::2])}


def test_application_loses_nothing_and_changes_nothing(make_tool, application):
    before = schema_objects(application)
    make_tool(application).ok("migrate")
    after = schema_objects(application)
    for name, lines in before.items():
        now = iter(after[name])
        assert [line for line in lines if line not in now] == [], name
    changed = {name for name, lines in before.items() if after[name] != lines}
    assert changed == {"backup_schedule; Type: TABLE", "backup_history; Type: TABLE"}


def test_application_gains_only_what_100_and_later_add(make_tool, application):
    def names(database):
        return set(re.findall(r"^-- Name: ([^;]+); Type: ([^;]+);", database.dump("--schema-only"),
                              flags=re.MULTILINE))
    timing = "time without time zone, text, integer[], text"
    instant = "timestamp with time zone"
    before = names(application)
    make_tool(application).ok("migrate")
    assert names(application) - before == {
        (f"rythm_backup_occurrences({timing}, {instant}, {instant})", "FUNCTION"),
        ("rythm_backup_longest_gap(text)", "FUNCTION"),
        (f"rythm_backup_latest({timing}, {instant})", "FUNCTION"),
        (f"rythm_backup_next({timing}, {instant})", "FUNCTION"),
        ("rythm_backup_is_time_zone(text)", "FUNCTION"),
        ("rythm_backup_problem(public.backup_schedule)", "FUNCTION"),
        ("rythm_backup_row_problem(public.backup_schedule)", "FUNCTION"),
        ("rythm_backup_tables_problem(public.backup_schedule)", "FUNCTION"),
        ("rythm_backup_patterns_problem(text[], text)", "FUNCTION"),
        ("rythm_backup_databases(boolean)", "FUNCTION"),
        (f"rythm_backup_schedules({instant}, interval)", "FUNCTION"),
        (f"rythm_backup_newest_run(uuid, boolean, {instant})", "FUNCTION"),
        (f"rythm_backup_newest_verifications(uuid, boolean, {instant})", "FUNCTION"),
        (f"rythm_backup_lacks_database(uuid, {instant}, {instant})", "FUNCTION"),
        (f"rythm_backup_sums(uuid, {instant})", "FUNCTION"),
        ("rythm_backup_note_timing()", "FUNCTION"),
        ("backup_schedule rythm_backup_timing", "TRIGGER"),
        ("rythm_backup_quiet", "TABLE"),
        ("rythm_backup_quiet rythm_backup_quiet_pkey", "CONSTRAINT"),
        ("rythm_backup_edits", "TABLE"),
        ("rythm_backup_edits_edit_id_seq", "SEQUENCE"),
        ("rythm_backup_edits rythm_backup_edits_pkey", "CONSTRAINT"),
        ("rythm_backup_note_edit()", "FUNCTION"),
        ("FUNCTION rythm_backup_note_edit()", "ACL"),
        ("backup_schedule rythm_backup_edit", "TRIGGER"),
        ("backup_schedule_by_name", "INDEX"),
        ("backup_history_one_per_name", "INDEX"),
        ("backup_history_by_run", "INDEX"),
        ("backup_history_one_per_part", "INDEX"),
        ("backup_history_by_occurrence", "INDEX"),
        ("backup_history_by_completion", "INDEX"),
        ("backup_history_interrupted", "INDEX"),
        ("backup_history_untold", "INDEX"),
        ("backup_history_verification_by_name", "INDEX"),
        ("backup_history_verifications", "INDEX"),
        ("backup_history_verified", "INDEX"),
        ("backup_history_verification_untold", "INDEX"),
        ("backup_copies", "TABLE"),
        ("backup_copies backup_copies_pkey", "CONSTRAINT"),
        ("backup_copies_owed", "INDEX"),
        ("rythm_backup_deliveries", "TABLE"),
        ("rythm_backup_deliveries rythm_backup_deliveries_pkey", "CONSTRAINT"),
        ("rythm_backup_deliveries_once", "INDEX"),
        ("rythm_backup_deliveries_pending", "INDEX"),
        ("rythm_backup_deliveries_ended", "INDEX"),
        ("email_logs_backup_pending", "INDEX"),
        ("email_logs_backup_key", "INDEX")}


@pytest.mark.parametrize("table, added", [
    ("backup_schedule", ["timed_at", "name", "tenant_id", "frequency", "days", "time_zone",
                         "catch_up", "target_dbname", "target_service", "all_databases", "schemas",
                         "stores",
                         "verify_every", "keep_last", "keep_daily", "keep_weekly", "keep_monthly",
                         "keep_yearly", "notify_channels", "notify_on", "only_tables",
                         "exclude_tables", "exclude_table_data"]),
    ("backup_history", ["run_id", "schedule_id", "occurrence_at", "attempt", "raw_size_bytes",
                        "sha256", "store", "database_name", "of_all_databases", "ledger", "told_at",
                        "engine", "table_count", "row_count", "verified_at", "verified_rows",
                        "verify_duration_ms", "verify_failed_at", "verify_error",
                        "verify_told_at"]),
    ("email_logs", []), ("users", []), ("tenants", [])])
def test_application_columns_stay_and_ours_follow(make_tool, application, table, added):
    before = columns(application, table)
    make_tool(application).ok("migrate")
    after = columns(application, table)
    assert after[:len(before)] == before
    assert [column[0] for column in after[len(before):]] == added


def test_application_rows_are_untouched(make_tool, application):
    before = table_rows(application)
    make_tool(application).ok("migrate")
    for table, after in table_rows(application).items():
        names = before[table][0].keys()
        assert [{name: row[name] for name in names} for row in after] == before[table], table


def test_while_a_backup_is_made(make_tool, application):
    """pg_dump's lock on the tables is in the way; the error says what to do."""
    connection = application.connect()
    connection.autocommit = False
    connection.cursor().execute("LOCK TABLE backup_schedule IN ACCESS SHARE MODE")
    result = make_tool(application).run("migrate")
    connection.close()
    assert result.code == 1
    assert "a backup or another long transaction is reading these tables" in result.err
    make_tool(application).ok("migrate")


def test_application_twice_changes_nothing(make_tool, application):
    tool = make_tool(application)
    tool.ok("migrate")
    first = dump_without_edits(application)
    tool.ok("migrate")
    assert dump_without_edits(application) == first


def test_admin_page_still_edits(make_tool, application):
    """Its plain UPDATE takes effect, its own trigger runs, and the new time counts from now."""
    make_tool(application).ok("migrate")
    application.execute("UPDATE backup_schedule SET timed_at = '2025-01-01'")
    application.execute(
        "UPDATE backup_schedule SET enabled = %s, schedule_time = %s, retention_days = %s"
        " WHERE schedule_id = %s", True, "04:45:00", 7, schedule(application)["schedule_id"])
    row = schedule(application)
    assert (str(row["schedule_time"]), row["retention_days"]) == ("04:45:00", 7)
    assert application.value("SELECT updated_at > now() - interval '1 minute'"
                             " AND timed_at > now() - interval '1 minute' FROM backup_schedule")


def test_admin_page_retention_alone_is_no_new_time(make_tool, application):
    make_tool(application).ok("migrate")
    application.execute("UPDATE backup_schedule SET timed_at = '2025-01-01'")
    application.execute("UPDATE backup_schedule SET retention_days = 7, enabled = true")
    assert application.value("SELECT timed_at = '2025-01-01' FROM backup_schedule")


def test_application_still_changes_its_columns_types(make_tool, application, file_store):
    """Also under a session that has edited a schedule before, as a pool's have."""
    tool = make_tool(application, file_store)
    tool.ok("migrate")
    with contextlib.closing(application.connect()) as pooled:
        cursor = pooled.cursor()
        for change in ("retention_days TYPE bigint", "schedule_time TYPE time(0)",
                       "last_run_at TYPE timestamptz(3)", "updated_at TYPE timestamptz(3)"):
            cursor.execute("UPDATE backup_schedule SET retention_days = retention_days + 1")
            application.execute(f"ALTER TABLE backup_schedule ALTER COLUMN {change}")
            cursor.execute("UPDATE backup_schedule SET retention_days = retention_days + 1")
    assert application.value("SELECT count(*) FROM rythm_backup_edits") >= 8
    tool.ok("check", *at("03:15:10"))
    assert statuses(application)[-1] == "completed"


def test_application_is_backed_up(make_tool, application, file_store):
    """At its own time, into its own ledger; what it wrote itself stays."""
    tool = make_tool(application, file_store)
    tool.ok("migrate")
    tool.ok("check", *at("03:15:10"))
    assert statuses(application) == ["completed", "started", "completed"]
    ours = history(application)[-1]
    assert ours["backup_type"] == "scheduled" and ours["initiated_by_user_id"] is None
    assert ours["backup_filename"] == file_store.list()[0].name


def test_application_is_notified_in_its_own_types(make_tool, application, file_store, acs):
    acs.running_polls = 0
    tool = make_tool(application, file_store, acs)
    tool.ok("migrate")
    tool.ok("check", *at("03:15:10"))
    assert acs.recipients() == ["Root@rythm.example"]
    assert application.execute(
        "SELECT email_type::text, status::text FROM email_logs ORDER BY created_at") == [
            ("welcome", "pending"), ("backup_notification", "sent")]


# A database on which an earlier version of ours ran

FIRST_NOTE_EDIT = """
    DROP TRIGGER rythm_backup_edit ON backup_schedule;
    CREATE OR REPLACE FUNCTION rythm_backup_note_edit() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $function$
    BEGIN
        INSERT INTO rythm_backup_edits DEFAULT VALUES;
        RETURN NULL;
    END
    $function$;
    GRANT EXECUTE ON FUNCTION rythm_backup_note_edit() TO PUBLIC;
    CREATE TRIGGER rythm_backup_edit AFTER INSERT OR UPDATE OF enabled, schedule_time, stores
        ON backup_schedule FOR EACH STATEMENT EXECUTE FUNCTION rythm_backup_note_edit();
"""


def test_the_trigger_of_an_earlier_version_is_replaced(make_tool, empty_database, schema):
    tool = make_tool(empty_database)
    empty_database.execute(FIRST_NOTE_EDIT)
    assert empty_database.dump("--schema-only") != schema
    tool.ok("migrate")
    assert empty_database.dump("--schema-only") == schema


# Whoever may edit a schedule can do no more through our triggers

@pytest.fixture
def editor(make_tool, empty_database, role):
    """A connection of a role with rights on the application's table alone."""
    make_tool(empty_database).ok("migrate")
    _, url = role(empty_database, "GRANT SELECT, UPDATE ON backup_schedule TO {role}")
    with contextlib.closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("CREATE TEMP TABLE rythm_backup_edits (edit_id integer)")
        cursor.execute("CREATE FUNCTION pg_temp.take() RETURNS trigger LANGUAGE plpgsql AS"
                       " $$ BEGIN RAISE EXCEPTION 'as %', current_user; END $$")
        cursor.execute("CREATE TRIGGER take BEFORE INSERT ON rythm_backup_edits"
                       " FOR EACH ROW EXECUTE FUNCTION pg_temp.take()")
        yield cursor


def test_a_temporary_table_is_not_taken_for_ours(empty_database, editor):
    before = empty_database.value("SELECT count(*) FROM rythm_backup_edits")
    editor.execute("UPDATE backup_schedule SET retention_days = 7")
    assert empty_database.value("SELECT count(*) FROM rythm_backup_edits") == before + 1


def test_the_trigger_cannot_be_hung_on_another_table(editor):
    editor.execute("CREATE TEMP TABLE backup_schedule (schedule_id integer)")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        editor.execute("CREATE TRIGGER ours AFTER INSERT ON pg_temp.backup_schedule FOR EACH ROW"
                       " EXECUTE FUNCTION rythm_backup_note_edit()")


# What stands in its way

def test_without_rights(make_tool, empty_database, role):
    _, url = role(empty_database)
    result = make_tool(DATABASE_URL=url).run("migrate")
    assert result.code == 2
    assert result.err.startswith(
        "❌ applying migration 006_backup_schedule.sql: Postgres says: permission denied for"
        " schema public; see PRIVILEGES in the manual page: ")
    assert empty_database.value("SELECT to_regclass('backup_schedule')") is None


def test_takes_no_argument(make_tool, empty_database):
    result = make_tool(empty_database).run("migrate", "now")
    assert result.code == 2 and "migrate takes no argument 'now'" in result.err

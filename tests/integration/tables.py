"""The program's own tables, as the application's admin page and an operator use them.

Tests of due-ness pretend that it is some time of NIGHT (`check --now`): a row that is written today
was timed long before it, and no real minute can pass in between.
"""

import contextlib

import psycopg2.extras

NIGHT = "2031-05-06"
# Of the server, in words that two runs of a test may share.
THIS_MINUTE = "date_trunc('minute', now() AT TIME ZONE 'UTC')::time"
# As PRIVILEGES in the manual says, for a role that is no superuser.
PRIVILEGES = ("GRANT pg_read_all_data TO {role}",
              "GRANT INSERT, UPDATE ON backup_history TO {role}",
              "GRANT UPDATE (last_run_at, next_run_at) ON backup_schedule TO {role}",
              "GRANT INSERT, UPDATE ON email_logs TO {role}",
              "GRANT UPDATE ON rythm_backup_quiet TO {role}",
              "GRANT SELECT, DELETE ON rythm_backup_edits TO {role}")


def at(time, day=NIGHT):
    """The options that pretend this time of the night, in UTC."""
    return ("--now", f"{day} {time}Z")


def rows(database, sql, *parameters):
    """What a query gives, as dictionaries."""
    with contextlib.closing(database.connect()) as connection:
        cursor = connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor)
        cursor.execute(sql, parameters or None)
        return [dict(row) for row in cursor.fetchall()]


def schedule(database):
    """The only row of backup_schedule."""
    (row,) = rows(database, "SELECT * FROM backup_schedule")
    return row


def history(database):
    """backup_history, oldest first."""
    return rows(database, "SELECT * FROM backup_history ORDER BY started_at, attempt")


def statuses(database):
    return [row["status"] for row in history(database)]


def enable(database, time="02:00"):
    """What the admin page does to switch backups on."""
    database.execute("UPDATE backup_schedule SET enabled = true, schedule_time = %s", time)


def enable_now(database):
    """A backup is due this minute, by the server's clock."""
    database.execute(f"UPDATE backup_schedule SET enabled = true, schedule_time = {THIS_MINUTE}")


def add_schedule(database, time="02:00", retention_days=30):
    """One more enabled schedule; its id."""
    return database.value(
        "INSERT INTO backup_schedule (enabled, schedule_time, retention_days)"
        " VALUES (true, %s, %s) RETURNING schedule_id::text", time, retention_days)


def note_verification(database, name, run=None, error=None, when="now", rows=7):
    """What `verify` leaves in the ledger of a backup that it knows."""
    good = error is None
    database.execute(
        "UPDATE backup_history SET verified_at = %s, verified_rows = %s, verify_duration_ms = 1500,"
        " verify_failed_at = %s, verify_error = %s"
        " WHERE backup_filename = %s AND run_id IS NOT DISTINCT FROM %s",
        when if good else None, rows if good else None, None if good else when, error, name, run)

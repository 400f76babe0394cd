"""Schedules for the program to obey, and objects as it would have left them, made by hand."""

import datetime
import hashlib
import itertools

DAY = datetime.timedelta(days=1)
SCHEDULE = "SELECT schedule_id::text FROM backup_schedule"

numbers = itertools.count(1)


def enable(database, time="02:00", retention_days=30):
    """Switches the one schedule on, as if it had been on for years; its id."""
    database.execute("UPDATE backup_schedule SET enabled = true, schedule_time = %s,"
                     " retention_days = %s", time, retention_days)
    # In a statement of its own: the trigger sets it in the one above.
    database.execute("UPDATE backup_schedule SET timed_at = '2020-01-01'")
    return database.value(SCHEDULE)


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def instant(when):
    when = when.astimezone(datetime.timezone.utc)
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03}Z"


def name_at(when, suffix=".sql.zst"):
    return f"rythm-backup-{instant(when).replace(':', '-').replace('.', '-')}{suffix}"


def facts(content, schedule, home, /, **changes):
    """The metadata of a manual backup of the database (conftest.Database) that its schedule and
    ledger are in; `changes` with None leave one out."""
    every = {"run": f"{next(numbers):016x}", "schedule": schedule, "type": "manual",
             "database": home.name, "ledger": home.name, "system": home.cluster.system,
             "server": "15.1", "tool": "0", "compression": "zstd", "bytes": str(len(content)),
             "rawbytes": "12345", "durationms": "2000",
             "sha256": hashlib.sha256(content).hexdigest()} | changes
    return {name: value for name, value in every.items() if value is not None}


def made_at(when, schedule, home, /, **changes):
    """(name, content, metadata) of a backup, for a store's put_all()."""
    content = b"backup of " + instant(when).encode()
    return name_at(when), content, facts(content, schedule, home, **changes)

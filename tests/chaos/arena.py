"""Where the cases fight: private servers, and lanes on which one occurrence after another is tried.

A Lane is one database, one store, one mail service and the program set up for them; one thread at
a time uses it. A point is one occurrence of the lane's daily schedule (02:00 UTC) on a day of its
own, which `check --now` pretends:

    lane.begin()            the next day; what the point before left is cleared away
    lane.check("02:00:10")  one tick at that time; the mischief is the case's
    lane.recover()          the later ticks, undisturbed, until the occurrence has its end
    judge.judge(judge.look(lane))

Cases need not call begin(), recover() and the judge: cases.Run.each() does it around each point.

Before each point the store holds two backups that the program made on other days, with rows in the
ledger: `kept`, of yesterday, which nothing may touch, and `expired`, which retention deletes.
"""

import contextlib
import datetime
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass

import psycopg2
import psycopg2.extras

import backups
import processes
from acs_stub import AcsStub
from azurite import Azurite
from postgres_cluster import PostgresCluster
from stores import AzureStore, FileStore, TwoStores
from tool import Tool

UTC = datetime.timezone.utc
FIRST_DAY = datetime.date(2031, 1, 2)
SCHEDULE_TIME = datetime.time(2, 0)
FIRST_CHECK = "02:00:10"
# In these ticks the retry rule (3 attempts, after 1 and 5 more minutes) comes to its end, whether
# the first attempt failed itself or was found dead by the first of them.
RECOVERY_CHECKS = ("02:01:20", "02:02:40", "02:08:00")
QUIET_CHECK = "02:20:00"
RETENTION_DAYS = 30
EXPIRED_DAYS = 40
ADMINS = ("ada@rythm.example", "omar@rythm.example")
ROWS = 50
RUN_LIMIT_S = 90    # a run that takes longer hangs; what became of a mail is asked for a minute
GONE_LIMIT_S = 15   # so soon the children and the server's sessions of a dead run must be gone

# The points of most cases are calls of the main thread, in an order that does not depend on time:
# one pg_dump dumps. PARALLEL is for those who do not mind.
SETTINGS = {"RYTHM_BACKUP_COMPRESSION": "zstd:1", "RYTHM_BACKUP_UPLOADS": "2",
            "RYTHM_BACKUP_ENGINE": "pg_dump",
            "RYTHM_BACKUP_KEEP_MIN": "1", "RYTHM_BACKUP_CONNECT_TIMEOUT": "5s",
            "RYTHM_BACKUP_STALL_TIMEOUT": "5s", "RYTHM_BACKUP_RETRY_TIMEOUT": "5s",
            "RYTHM_BACKUP_LOCK_TIMEOUT": "3s"}

PARALLEL = {"RYTHM_BACKUP_ENGINE": "parallel", "RYTHM_BACKUP_JOBS": "3"}


def known_rows():
    """What the table `known` holds, as COPY writes it."""
    return "".join(f"{number}\tword {number * 7919}\n" for number in range(1, ROWS + 1))


@dataclass
class Observed:
    """One run of the program, as its starter and the ledger saw it. Code None: it hung."""

    what: str        # its arguments, and what was done to it
    time: str        # pretended time of day, HH:MM:SS
    code: int | None
    out: str
    err: str
    before: list     # the ledger's rows when it began
    after: list      # and when it had ended
    alone: bool      # no other run went on at the same time


class Started:
    """A run that goes on; for Lane.finish()."""

    def __init__(self, process, what, time_of_day, before):
        self.process = process
        self.what = what
        self.time = time_of_day
        self.before = before
        self.alone = True

    @property
    def pid(self):
        return self.process.pid


class Lane:
    def __init__(self, arena, kind, number):
        self.arena = arena
        self.kind = kind
        self.name = f"lane_{kind}_{number}"
        self.folder = arena.folder / self.name
        self.folder.mkdir()
        self.acs = AcsStub()
        self.acs.running_polls = 0
        self.acs.pace = {"retry-after-ms": "10"}
        self.store = arena.make_store(kind, self.name, self.folder)
        arena.cluster.create_database(self.name, arena.template)
        self._connection = None
        self.tool = Tool(self.folder, {"DATABASE_URL": arena.cluster.url(self.name),
                                       **self.store.settings, **self.acs.settings, **SETTINGS})
        self.day = FIRST_DAY
        self.running = []      # Started
        self.observed = []     # Observed, of this point
        self.troubles = []     # what the lane itself noticed in this point
        self.late_rows = []    # rows 'started' when the first of the later checks had ended
        self.changed_late = []  # what the last, quiet check changed
        self.kept = self.expired = None
        self.gone_limit_s = GONE_LIMIT_S
        self._make_model()

    # The database

    def query(self, sql, *parameters):
        """Rows as dictionaries; the connection is made anew when a case has ended it."""
        for last in (False, True):
            try:
                if self._connection is None:
                    self._connection = self.arena.cluster.connect(
                        self.name, cursor_factory=psycopg2.extras.RealDictCursor,
                        application_name="chaos")
                with self._connection.cursor() as cursor:
                    cursor.execute(sql, parameters or None)
                    return [dict(row) for row in cursor] if cursor.description else []
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                self._connection = None
                if last:
                    raise
        return None

    def rows(self):
        """The ledger, oldest first, without the rows of other days' backups."""
        return self.query("SELECT * FROM backup_history WHERE NOT run_id = ANY(%s)"
                          " ORDER BY created_at, attempt", [self.kept.run, self.expired.run])

    def emails(self):
        return self.query("SELECT * FROM email_logs ORDER BY created_at, to_address")

    def deliveries(self):
        return self.query("SELECT * FROM rythm_backup_deliveries ORDER BY created_at, recipient")

    # A point

    @property
    def occurrence(self):
        return datetime.datetime.combine(self.day, SCHEDULE_TIME, UTC)

    def begin(self):
        """The next day, with an empty ledger but for two old backups, and nothing else."""
        self.day += datetime.timedelta(days=1)
        for stored in self.store.list():
            self.store.remove(stored.name)
        self.store.clean()
        self.query("DELETE FROM backup_history")
        self.query("DELETE FROM backup_copies")
        self.query("DELETE FROM email_logs")
        self.query("DELETE FROM rythm_backup_deliveries")
        self.kept = self._put_old(1)
        self.expired = self._put_old(EXPIRED_DAYS)
        self.forget_seen()

    def forget_seen(self):
        """What the point before left in the mail service's memory and in ours."""
        with self.acs.lock:
            for seen in (self.acs.messages, self.acs.operations, self.acs.requests,
                         self.acs.refusals, self.acs.repeats, self.acs.next_sends):
                seen.clear()
            self.acs.every_send = None
        self.observed = []
        self.troubles = []
        self.late_rows = []
        self.changed_late = []

    def check(self, time_of_day, *arguments, **options):
        """One tick at this time of the pretended day, waited for; its Observed."""
        return self.finish(self.start_check(time_of_day, *arguments, **options))

    def start_check(self, time_of_day, *arguments, prefix=(), settings=None, what="", **popen):
        """Begins one. `prefix` is a command to run it under, `settings` change its environment,
        `what` says for the report what is being done to it."""
        tool = self.tool.with_settings(**(settings or {}))
        started = Started(None, f"check at {time_of_day} {what}".strip(), time_of_day, self.rows())
        # A session of its own, so that whatever it leaves can be found.
        started.process = tool.start("check", "--now", f"{self.day} {time_of_day}Z", *arguments,
                                     prefix=prefix, errors="replace", start_new_session=True,
                                     **popen)
        self.arena.note(started.process)
        if self.running:
            started.alone = False
            for other in self.running:
                other.alone = False
        self.running.append(started)
        return started

    def finish(self, started, timeout=RUN_LIMIT_S):
        """Waits for its end and, when that was not a normal one, for that of all it leaves."""
        process = started.process
        try:
            out, err = process.communicate(timeout=timeout)
            code = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            code = None
        if code is None or not 0 <= code <= 4:
            self._await_gone(process.pid)
        self.arena.forget(process)
        self.running.remove(started)
        seen = Observed(started.what, started.time, code, out or "", err or "", started.before,
                        self.rows(), started.alone)
        self.observed.append(seen)
        return seen

    def recover(self, checks=RECOVERY_CHECKS):
        """The later ticks, until the occurrence has ended; then one that has nothing to do."""
        for number, time_of_day in enumerate(checks):
            self.check(time_of_day)
            if number == 0:
                self.late_rows = [row for row in self.rows() if row["status"] == "started"]
            if self.has_ended():
                break
        before = self._outside()
        self.check(QUIET_CHECK)
        after = self._outside()
        self.changed_late = [what for what in before if before[what] != after[what]]

    def has_ended(self):
        statuses = [row["status"] for row in self.rows()]
        done = "completed" in statuses or statuses.count("failed") >= 3
        return (done and "started" not in statuses and not self.owed()
                and not any(row["status"] == "pending" for row in self.emails()))

    def owed(self):
        """The copies that are still to be made."""
        return self.query("SELECT k.store, k.state, k.error_message FROM backup_copies k JOIN"
                          " backup_history h USING (run_id)"
                          " WHERE k.state IN ('pending', 'missing')"
                          " AND h.status IN ('completed', 'failed')")

    def _outside(self):
        return {"the ledger": self.rows(), "the mails": list(self.acs.messages),
                "the objects": [stored.name for stored in self.store.list()]}

    # Ends

    def _await_gone(self, session):
        """Of a run that died: its children, and its sessions in the server."""
        what = ""

        def is_gone():
            nonlocal what
            left = session_members(session)
            what = f"processes {left}" if left else ""
            if not left:
                backends = self.query("SELECT pid, left(query, 60) AS query FROM pg_stat_activity"
                                      " WHERE datname = current_database()"
                                      " AND application_name <> 'chaos' AND pid <>"
                                      " pg_backend_pid() AND backend_type = 'client backend'")
                what = f"sessions in the server {backends}" if backends else ""
            return not what

        if self.running and len(self.running) > 1:
            return   # the sessions of others could not be told apart
        try:
            processes.wait_until(is_gone, "all of it is gone", timeout=self.gone_limit_s, step=0.01)
        except AssertionError:
            self.troubles.append(f"{self.gone_limit_s} s after the run died it still had {what}")
            with contextlib.suppress(ProcessLookupError):
                os.killpg(session, signal.SIGKILL)

    def close(self):
        for started in list(self.running):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)
            started.process.communicate()
            self.arena.forget(started.process)
        if self._connection is not None:
            self._connection.close()
        self.acs.stop()
        self.arena.cluster.drop_database(self.name)

    # Old backups

    def _make_model(self):
        """One real backup; the old ones of each point are copies of it with another date."""
        self.tool.ok("check", "--now", f"{self.day} {FIRST_CHECK}Z")
        (stored,) = self.store.list()
        (row,) = self.query("SELECT row_to_json(h)::text AS json FROM backup_history h")
        self._model = (stored, self.store.read(stored.name), json.loads(row["json"]))

    def _put_old(self, days, schedule=None):
        """One of so many days before the point; of another schedule than the lane's own."""
        stored, content, row = self._model
        schedule = schedule or stored.metadata["schedule"]
        occurrence = self.occurrence - datetime.timedelta(days=days)
        begun = occurrence + datetime.timedelta(seconds=10, milliseconds=days)
        run = f"{next(self.arena.numbers):016x}"
        old = Old(backups.name_at(begun), run, content,
                  {**stored.metadata, "run": run, "schedule": schedule,
                   "occurrence": backups.instant(occurrence)})
        self.store.put(old.name, content, old.metadata)
        changed = {**row, "history_id": None, "backup_filename": old.name, "run_id": run,
                   "schedule_id": schedule, "occurrence_at": str(occurrence),
                   "started_at": str(begun), "created_at": str(begun), "completed_at": str(begun)}
        self.query("INSERT INTO backup_history SELECT (jsonb_populate_record("
                   "NULL::backup_history, jsonb_set(%s::jsonb, '{history_id}',"
                   " to_jsonb(gen_random_uuid())))).*", json.dumps(changed))
        return old


@dataclass
class Old:
    name: str
    run: str
    content: bytes
    metadata: dict


def session_members(session):
    """The processes (not zombies) of a session, as "pid name"."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        name = text[text.index("(") + 1:text.rindex(")")]
        state, _, _, of = text[text.rindex(")") + 2:].split()[:4]
        if int(of) == session and state != "Z":
            found.append(f"{stat.parent.name} {name}")
    return found


class Arena:
    """The servers and lanes of one run of the harness: a context manager."""

    template = "chaos_template"

    def __init__(self, most_lanes, make_cluster=PostgresCluster):
        self.most_lanes = most_lanes
        self.numbers = itertools.count(1)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rythm-backup-chaos-"))
        self.folder.chmod(0o755)
        self.cluster = make_cluster(self.folder / "postgres")
        self.azurite = None
        self._lanes = {}
        self._alive = {}
        self._lock = threading.Lock()

    def __enter__(self):
        try:
            self.cluster.create()
            self.cluster.start()
            self._make_template()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *ignored):
        self.close()

    def start_azurite(self):
        """Of the main thread: servers end with the thread that started them."""
        if self.azurite is None:
            self.azurite = Azurite(self.folder / "azurite")
            self.azurite.start()

    def _make_template(self):
        self.cluster.create_database(self.template)
        admins = ", ".join(f"('{address}', 'system_admin')" for address in ADMINS)
        for sql in ("CREATE TABLE users (email text, role text)",
                    f"INSERT INTO users VALUES ('user@rythm.example', 'member'), {admins}",
                    "CREATE TABLE known (id integer PRIMARY KEY, word text)",
                    f"INSERT INTO known SELECT g, 'word ' || g * 7919 FROM"
                    f" generate_series(1, {ROWS}) g"):
            self.cluster.execute(self.template, sql)
        Tool(self.folder, {"DATABASE_URL": self.cluster.url(self.template)}).ok("migrate")
        self.cluster.execute(self.template, "UPDATE backup_schedule SET enabled = true,"
                             " schedule_time = %s, retention_days = %s", SCHEDULE_TIME,
                             RETENTION_DAYS)
        # In a statement of its own: a trigger sets it in the one above.
        self.cluster.execute(self.template, "UPDATE backup_schedule SET timed_at = '2020-01-01'")

    def make_store(self, kind, name, folder):
        if kind == "file":
            return FileStore(folder / "store")
        if kind == "two":
            return TwoStores(FileStore(folder / "store"), FileStore(folder / "second"))
        if kind == "mixed":
            return TwoStores(FileStore(folder / "store"),
                             AzureStore(self.azurite, name.replace("_", "-"), folder))
        return AzureStore(self.azurite, name.replace("_", "-"), folder)

    def make_lane(self, kind):
        return Lane(self, kind, next(self.numbers))

    def lanes(self, kind):
        """The lanes of this kind; they are made at first use and serve all cases."""
        if kind in ("azure", "mixed"):
            self.start_azurite()
        lanes = self._lanes.setdefault(kind, [])
        while len(lanes) < self.most_lanes:
            lanes.append(self.make_lane(kind))
        return list(lanes)

    def renew(self, lane):
        """A fresh one in place of a lane in which something went wrong."""
        fresh = self.make_lane(lane.kind)
        lanes = self._lanes[lane.kind]
        lanes[lanes.index(lane)] = fresh
        lane.close()
        return fresh

    def restores(self, script):
        """None, or why psql's restore of this script into an empty database is not what was backed
        up."""
        name = f"restored_{next(self.numbers)}"
        file = self.folder / f"{name}.sql"
        file.write_bytes(script)
        self.cluster.create_database(name, "template0")
        try:
            self.cluster.load(name, file)
            found = self.cluster.execute(name, "SELECT string_agg(id || E'\\t' || word || E'\\n',"
                                         " '' ORDER BY id) FROM known")[0][0]
            return None if found == known_rows() else "the restored table is not what it was"
        except subprocess.CalledProcessError as problem:
            return problem.stderr.strip()[:500]
        except psycopg2.Error as problem:
            return str(problem).strip()
        finally:
            self.cluster.drop_database(name)
            file.unlink()

    # What must not outlive the harness

    def note(self, process):
        with self._lock:
            self._alive[process.pid] = process

    def forget(self, process):
        with self._lock:
            self._alive.pop(process.pid, None)

    def kill_runs(self):
        """The runs of the program that still go on."""
        with self._lock:
            alive = list(self._alive)
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def close(self):
        self.kill_runs()
        for lanes in self._lanes.values():
            for lane in lanes:
                lane.acs.stop()
        if self.azurite is not None:
            self.azurite.stop()
        self.cluster.stop(immediately=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        # Azurite may write once more while it ends.
        for _ in range(20):
            if not self.folder.exists():
                break
            time.sleep(0.05)
            shutil.rmtree(self.folder, ignore_errors=True)

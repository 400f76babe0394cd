"""Wrong clocks, by libfaketime: the client's, which must not matter, and the database server's,
which is the one that counts."""

import contextlib
import datetime
import email.utils
import functools
import glob
import re
import shlex
import shutil
import stat
import threading
import time
import traceback
from typing import NamedTuple

import arena
import backups
import judge
import postgres_cluster
import retention_model
from cases import Tried, case
from fault_proxy import HttpFaultProxy
from stores import FileStore
from tool import Tool

UTC = datetime.timezone.utc
YOUNG_DAYS = 29      # old, but not by the server's clock
SECONDS = 60         # a run takes less
AZURE_SKEW_S = 900   # what the service allows, and
MAIL_SKEW_S = 300    # what the mail service does
JUMP_PAUSE_S = 0.004
NAMES_THE_CLOCK = re.compile(r"this host's clock is \d+ s (ahead of|behind) the service's")


@functools.cache
def library():
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    assert found, "libfaketime is not installed"
    return found[0]


def faked(**settings):
    """The environment of a process whose clock is wrong: the monotonic one stays as it is."""
    return {"LD_PRELOAD": library(), "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_NO_CACHE": "1", **settings}


class ClockFile:
    """What libfaketime reads at each look at the clock."""

    def __init__(self, path):
        self.path = path
        self.set_offset(0)

    def set_offset(self, seconds):
        fresh = self.path.with_suffix(".new")
        fresh.write_text(f"{seconds:+.3f}\n")
        fresh.rename(self.path)

    def set_time(self, instant):
        self.set_offset(instant.timestamp() - time.time())


# The client's clock

class Wrong(NamedTuple):
    """A clock. least_s, most_s: how far it is from the right one, at least and at most."""

    name: str
    spec: str = ""       # libfaketime's
    offsets: tuple = ()  # instead: it jumps between these, in seconds
    least_s: float = 0
    most_s: float = 10**12
    mails: bool = True   # False: the tick is to send none

    def __str__(self):
        return f"the client's clock {self.name}"


FAR = 10**7
CLOCKS = (
    Wrong("in 1970", "@1970-01-02 00:00:00", least_s=FAR),
    Wrong("a year ahead", "+365d", least_s=FAR),
    Wrong("a year behind", "-365d", least_s=FAR),
    Wrong("at the end of 31 bits", "@2038-01-19 03:14:06", least_s=FAR),
    Wrong("at the end of 32 bits", "@2106-02-07 06:28:14", least_s=FAR),
    Wrong("in 9999", "@9999-12-31 12:00:00", least_s=FAR),
    Wrong("an hour behind", "-1h", least_s=3500),
    Wrong("20 minutes ahead", "+20m", least_s=1100),
    Wrong("14 minutes ahead", "+14m", least_s=800, most_s=870),
    Wrong("14 minutes behind", "-14m", least_s=800, most_s=870),
    Wrong("4 minutes ahead", "+4m", most_s=250),
    Wrong("a hundred times too fast", "+0 x100"),
    # After a third of a second the mail service would refuse to say what became of a mail.
    Wrong("a thousand times too fast", "+0 x1000", mails=False),
    Wrong("a hundred times too slow", "+0 x0.01", most_s=120),
    Wrong("standing still in 2030", "2030-05-06 07:08:09", least_s=FAR),
    Wrong("jumping by an hour", offsets=(0, 3600, -3600)),
    Wrong("jumping by years", offsets=(0, 365 * 86400, -20 * 365 * 86400, 86400)),
)


class StrictProxy(HttpFaultProxy):
    """In front of Azurite, which takes any date: refuses what the service refuses, as it does."""

    def _forward(self, method, path, headers, body):
        date = next(value for name, value in headers if name.lower() == "x-ms-date")
        sent = email.utils.parsedate_to_datetime(date).timestamp()
        if abs(sent - time.time()) <= AZURE_SKEW_S:
            return super()._forward(method, path, headers, body)
        text = ("<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>AuthenticationFailed</Code>"
                "<Message>Server failed to authenticate the request.</Message>"
                f"<AuthenticationErrorDetail>Request date header too old: '{date}'"
                "</AuthenticationErrorDetail></Error>")
        return 403, [("Date", email.utils.formatdate(usegmt=True)),
                     ("x-ms-error-code", "AuthenticationFailed"),
                     ("Content-Type", "application/xml")], text.encode()


@contextlib.contextmanager
def jumping(clock, offsets):
    """Meanwhile the clock jumps from one to the next."""
    over = threading.Event()

    def jump():
        while not over.is_set():
            for offset in offsets:
                clock.set_offset(offset)
                over.wait(JUMP_PAUSE_S)

    thread = threading.Thread(target=jump, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def check_with(lane, wrong, settings):
    """The tick that makes the backup, with this clock."""
    if not wrong.offsets:
        return lane.check(arena.FIRST_CHECK, settings={**settings, **faked(FAKETIME=wrong.spec)},
                          what=f"with {wrong}")
    clock = ClockFile(lane.folder / "clock")
    with jumping(clock, wrong.offsets):
        return lane.check(arena.FIRST_CHECK, what=f"with {wrong}", settings={
            **settings, **faked(FAKETIME_TIMESTAMP_FILE=str(clock.path))})


def not_of_the_server(lane):
    """What in the ledger does not bear the (pretended) time of the server's clock."""
    first = lane.occurrence
    last = first + datetime.timedelta(minutes=30)
    for row in lane.rows():
        for column in ("started_at", "created_at", "completed_at"):
            if row[column] is not None and not first <= row[column] <= last:
                yield f"{column} is {row[column]}"
        begun = retention_model.begun(row["backup_filename"])
        if abs(begun - row["started_at"]) > datetime.timedelta(seconds=SECONDS):
            yield f"{row['backup_filename']} was begun at {row['started_at']}"
        if row["duration_seconds"] is not None and not 0 <= row["duration_seconds"] <= SECONDS:
            yield f"it took {row['duration_seconds']} s"


def refused(lane, seen, wrong):
    """The store refused this clock: a failure that names it, and nothing is there."""
    assert seen.code == 1, f"exit code {seen.code}: {seen.err}"
    if wrong.least_s > AZURE_SKEW_S:
        left = {stored.name for stored in lane.store.list()}
        assert left == {lane.kept.name, lane.expired.name}, left
    assert NAMES_THE_CLOCK.search(seen.err) or wrong.offsets, seen.err
    assert "clock" in seen.err, seen.err
    # With a clock that was right in between, a block list may have gone out before the refusal.
    ends = {"failed"} if wrong.least_s > AZURE_SKEW_S else {"failed", "started"}
    assert {row["status"] for row in lane.rows()} <= ends, lane.rows()


def accepted(lane, seen, wrong):
    """There is a backup; the mail may wait for a better clock."""
    names = [stored.name for stored in lane.store.list()]
    assert [row["status"] for row in lane.rows()] == ["completed"], seen.err
    if wrong.most_s < MAIL_SKEW_S:
        assert seen.code == 0, f"exit code {seen.code}: {seen.err}"
        assert lane.expired.name not in names, "retention left what is expired"
    elif wrong.least_s > MAIL_SKEW_S:
        assert seen.code == 3, f"exit code {seen.code}: {seen.err}"
        assert "clock" in seen.err, f"it does not name the clock: {seen.err}"
        assert not lane.acs.messages, "a mail went out with a date that the service refuses"
    else:
        assert seen.code in (0, 3), f"exit code {seen.code}: {seen.err}"


def try_client(lane, wrong, proxy):
    """One tick with a wrong clock. Of the old backups one is not expired by the server's clock."""
    settings = lane.store.settings_through(proxy.port) if proxy else {}
    if not wrong.mails:
        settings = {**settings, "ACS_CONNECTION_STRING": None}
    young = lane._put_old(YOUNG_DAYS)
    seen = check_with(lane, wrong, settings)
    assert any(stored.name == young.name for stored in lane.store.list()), (
        f"retention deleted {young.name}, which is {YOUNG_DAYS} days old: {seen.err}")
    # The judge knows nothing of it.
    lane.store.remove(young.name)
    lane.query("DELETE FROM backup_history WHERE run_id = %s", young.run)
    wrongs = list(not_of_the_server(lane))
    assert not wrongs, wrongs
    if proxy and wrong.least_s > AZURE_SKEW_S:
        refused(lane, seen, wrong)
    elif proxy and wrong.most_s > AZURE_SKEW_S and seen.code == 1:
        refused(lane, seen, wrong)
    else:
        accepted(lane, seen, wrong)
    return Tried(expectation=judge.Expectation(mail_down=not wrong.mails))


@case("clocks", kinds=("file", "azure"), about="a check whose own clock is wrong, or jumps")
def clocks(run):
    lanes = run.lanes
    proxy = StrictProxy(lanes[0].store.server.port) if run.kind == "azure" else None
    try:
        run.each(CLOCKS, lambda lane, wrong: try_client(lane, wrong, proxy))
    finally:
        if proxy:
            proxy.stop()


# The server's clock

class SkewedCluster(postgres_cluster.PostgresCluster):
    """A server whose clock is what a file says."""

    def __init__(self, folder):
        super().__init__(folder)
        folder.mkdir(parents=True)
        self.clock = ClockFile(folder / "clock")

    def start(self):
        # Not in setpriv's own environment: libfaketime shares what the first user made.
        settings = faked(FAKETIME_TIMESTAMP_FILE=str(self.clock.path))
        super().start(["env", *(f"{name}={value}" for name, value in settings.items())])


KEEP_MIN = 3
RETENTION_DAYS = 30
NOON = datetime.datetime(2031, 5, 6, 12, 0, tzinfo=UTC)  # of the schedule, on a day
EPOCH = datetime.datetime(1970, 1, 2, 12, 1, tzinfo=UTC)
YEAR = datetime.timedelta(days=365)
MINUTE = datetime.timedelta(minutes=1)
AGES = (1, 2, 3, 4, 5, 6, 20, 40, 41)  # of the old backups on that day, in days

TURN_THE_CLOCK = """#!/bin/sh
# Another pg_dump, before which the server's clock is turned.
[ "$1" = --version ] || {{ cp {other} {clock}.turned && mv {clock}.turned {clock}; }}
exec {real} "$@"
"""


class Server:
    """A database on the skewed server, and a store with the backups of the days before NOON."""

    def __init__(self, the_arena, cluster, template):
        self.cluster = cluster
        self.name = f"skewed_{next(the_arena.numbers)}"
        self.folder = the_arena.folder / self.name
        self.folder.mkdir()
        self.store = FileStore(self.folder / "store")
        self.made = []      # names of what the checks made, in order
        self.turn(NOON - MINUTE * 59)
        cluster.create_database(self.name, template)
        self.tool = Tool(self.folder, {
            "DATABASE_URL": cluster.url(self.name), **self.store.settings, **arena.SETTINGS,
            "RYTHM_BACKUP_KEEP_MIN": str(KEEP_MIN)})
        self.execute("UPDATE backup_schedule SET enabled = true, schedule_time = '12:00',"
                     " retention_days = %s", RETENTION_DAYS)
        self.execute("UPDATE backup_schedule SET timed_at = '2020-01-01'")
        ((schedule,),) = self.execute(backups.SCHEDULE)
        self.old = [backups.made_at(NOON - days * backups.DAY, schedule, self) for days in AGES]
        self.store.put_all(self.old)

    def execute(self, sql, *parameters):
        return self.cluster.execute(self.name, sql, *parameters)

    def turn(self, instant):
        """The server's clock."""
        self.cluster.clock.set_time(instant)

    def names(self):
        return [stored.name for stored in self.store.list()]

    def check(self, instant=None, makes=False, code=0, **settings):
        """A tick when the server's clock shows this; whether it makes a backup."""
        if instant is not None:
            self.turn(instant)
        before = set(self.names())
        result = self.tool.with_settings(**settings).run("check", timeout=SECONDS)
        assert result.code == code, f"exit code {result.code}: {result.err}"
        new = sorted(set(self.names()) - before)
        assert len(new) == makes, f"{new} were made when the clock was {instant}: {result.err}"
        self.made += new
        if makes and instant is not None:
            begun = retention_model.begun(new[0])
            assert abs(begun - instant) < datetime.timedelta(seconds=SECONDS), new
        return result

    def holds(self, *ages):
        """Of the old backups exactly those of these ages are left."""
        left = set(self.names())
        found = tuple(days for days, (name, _, _) in zip(AGES, self.old) if name in left)
        assert found == ages, f"left are those of {found} days, not of {ages}"

    def completed(self):
        """Each backup that was made has one row, and no row lacks its backup."""
        rows = self.execute("SELECT backup_filename, occurrence_at FROM backup_history WHERE status"
                            " = 'completed' AND occurrence_at IS NOT NULL")
        assert sorted(name for name, _ in rows) == sorted(self.made), rows
        assert len({occurrence for _, occurrence in rows}) == len(rows), rows
        ((started,),) = self.execute("SELECT count(*) FROM backup_history WHERE status = 'started'")
        assert started == 0


def back_while_quiet(server):
    """A tick has noted that nothing is due for a year to come."""
    server.check(NOON - 29 * MINUTE)
    server.check(NOON - 28 * MINUTE)
    server.check(NOON - YEAR + MINUTE, makes=True)  # what is dated later is left alone
    server.holds(*AGES)
    server.check(NOON - YEAR + 5 * MINUTE)
    server.check(NOON - 27 * MINUTE)
    server.check(NOON + MINUTE, makes=True)
    server.check(NOON + 2 * MINUTE)


def ahead_while_quiet(server):
    """Nothing is due in that moment; afterwards all goes on as if it had not been."""
    server.check(NOON + YEAR - 29 * MINUTE)
    server.holds(*AGES)
    server.check(NOON + MINUTE, makes=True)
    server.holds(*(age for age in AGES if age <= RETENTION_DAYS))
    server.check(NOON + 5 * MINUTE)


def ahead_while_due(server):
    """I6: a backup that is made then makes all others old, and the newest KEEP_MIN stay: this one
    and two others."""
    server.check(NOON + YEAR + MINUTE, makes=True)
    left = server.names()
    assert len(left) >= KEEP_MIN, left
    newest = [name for name, _, _ in server.old[:KEEP_MIN - 1]]
    assert set(newest) <= set(left), left
    # What is dated after the clock counts for nothing when it is right again.
    server.check(NOON + MINUTE, makes=True)
    assert {*newest, *server.made} <= set(server.names()), server.names()
    server.check(NOON + 5 * MINUTE)
    server.check(NOON + backups.DAY + MINUTE, makes=True)


def ahead_while_edited(server):
    """The row says that it was timed in a year: the schedule must not rest until then."""
    server.turn(NOON + YEAR - 30 * MINUTE)
    server.execute("UPDATE backup_schedule SET schedule_time = '12:01'")
    server.check(NOON - 20 * MINUTE)
    server.check(NOON + 2 * MINUTE, makes=True)
    server.check(NOON + backups.DAY + 2 * MINUTE, makes=True)


def ahead_while_failing(server):
    """A failed attempt of next year does not delay today's."""
    blocked = server.folder / "blocked"
    blocked.write_text("not a folder")
    server.check(NOON + YEAR + MINUTE, code=1, RYTHM_BACKUP_STORES=f"file://{blocked}")
    server.check(NOON + MINUTE, makes=True)
    server.check(NOON + 5 * MINUTE)


def never_set(server):
    """1970: whatever is made then, nothing else is harmed by it, and all goes on afterwards."""
    server.turn(EPOCH)
    server.tool.run("check", timeout=SECONDS)
    server.made = sorted(set(server.names()) - {name for name, _, _ in server.old})
    server.holds(*AGES)
    server.check(NOON + MINUTE, makes=True)
    server.check(NOON + 5 * MINUTE)


def back_an_hour(server):
    """The same minute comes again; the backup does not."""
    server.check(NOON + MINUTE, makes=True)
    server.check(NOON - 10 * MINUTE)
    server.check(NOON + MINUTE)
    server.check(NOON + 50 * MINUTE)
    server.check(NOON - 50 * MINUTE)
    server.check(NOON + backups.DAY + MINUTE, makes=True)


def turned_in_a_run(server, by):
    """Between its claim and its dump."""
    other = server.folder / "other"
    other.write_text(f"{(NOON + MINUTE + by).timestamp() - time.time():+.3f}\n")
    pg_dump = server.folder / "pg_dump"
    pg_dump.write_text(TURN_THE_CLOCK.format(
        other=shlex.quote(str(other)), clock=shlex.quote(str(server.cluster.clock.path)),
        real=shlex.quote(postgres_cluster.program("pg_dump"))))
    pg_dump.chmod(pg_dump.stat().st_mode | stat.S_IXUSR)
    server.check(NOON + MINUTE, makes=True, RYTHM_BACKUP_PG_DUMP=str(pg_dump))
    ((duration,),) = server.execute("SELECT duration_seconds FROM backup_history WHERE"
                                    " backup_filename = %s", server.made[-1])
    assert 0 <= duration <= SECONDS, f"it took {duration} s"


def back_in_a_run(server):
    turned_in_a_run(server, -YEAR)
    server.holds(*AGES)
    server.check(NOON - YEAR + 5 * MINUTE, makes=True)  # that of its own day
    server.check(NOON + 5 * MINUTE)
    server.holds(*AGES)  # retention follows a backup; there was none


def ahead_in_a_run(server):
    """KEEP_MIN again: the new one, and two others."""
    turned_in_a_run(server, YEAR)
    server.holds(*AGES[:KEEP_MIN - 1])
    server.check(NOON + 5 * MINUTE)
    server.check(NOON + backups.DAY + MINUTE, makes=True)


SCENARIOS = (back_while_quiet, ahead_while_quiet, ahead_while_due, ahead_while_edited,
             ahead_while_failing, never_set, back_an_hour, back_in_a_run, ahead_in_a_run)


def try_server(run, cluster, template, scenario):
    try:
        server = Server(run.arena, cluster, template)
        scenario(server)
        server.completed()
        found = []
    except Exception:
        found = [traceback.format_exc()]
    run.note(f"the server's clock: {scenario.__name__}", judge.Verdict(found))


@case("server-clock", about="the database server's clock jumps by a year, or back by an hour")
def server_clock(run):
    folder = run.arena.folder / "skewed"
    cluster = SkewedCluster(folder)
    cluster.create()
    cluster.start()
    try:
        template = "skewed_template"
        cluster.create_database(template)
        Tool(folder, {"DATABASE_URL": cluster.url(template)}).ok("migrate")
        run.exist += len(SCENARIOS)
        for scenario in SCENARIOS:
            try_server(run, cluster, template, scenario)
    finally:
        cluster.stop(immediately=True)
        shutil.rmtree(folder, ignore_errors=True)

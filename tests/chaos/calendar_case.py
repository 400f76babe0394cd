"""Ten years of every kind of schedule, and every minute around the changes of the clocks: the SQL,
and then the program, against the rule written anew (calendar_rule.py)."""

import contextlib
import datetime
import hashlib
import itertools
import pathlib
import random
import re
import traceback
import zoneinfo
from typing import NamedTuple

import arena
import backups
import calendar_rule
import judge
from cases import case
from stores import FileStore
from tool import Tool

YEARS = (2020, 2030)
# The clocks of Lord Howe change by half an hour, of Troll by two hours, of Santiago and Cairo at
# midnight, of Casablanca by the moon; Tehran has given it up. Kathmandu is 5:45 from UTC, Chatham
# 12:45.
ZONES = ("Europe/Stockholm", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC",
         "Africa/Cairo", "America/Santiago", "Asia/Tehran", "America/St_Johns", "Antarctica/Troll",
         "Pacific/Chatham", "Africa/Casablanca")
# Years in which something rare happened: Apia had no 30 December 2011.
RARE = (("Pacific/Apia", (2011, 2012)), ("America/Sao_Paulo", (2018, 2019)))
DAYS = {"daily": (None,),
        "weekly": ((1,), (7,), (5,), (2, 4, 6), (1, 2, 3, 4, 5, 6, 7)),
        "monthly": ((1,), (31,), (-1,), (29, 30), (15, -1), (1, 8, 31))}
QUARTERS = tuple(datetime.time(hour, minute) for hour in range(24) for minute in (0, 15, 30, 45))
AWKWARD = (datetime.time(23, 59), datetime.time(2, 30), datetime.time(0, 0), datetime.time(3, 0),
           datetime.time(1, 45), datetime.time(2, 59, 59))
HOURLY = tuple(datetime.time(5, minute) for minute in (0, 15, 30, 45, 59))
# What the admin page, psql or another client may have set.
SESSION_ZONES = ("Asia/Kathmandu", "America/St_Johns", "UTC", "Europe/Stockholm")
WINDOWS = 3     # parts of the range that are asked for on their own
QUESTIONS = 20  # instants for latest and next of each schedule; with --full every transition


class Schedule(NamedTuple):
    zone: str
    years: tuple
    frequency: str
    days: tuple
    time: datetime.time

    def __str__(self):
        days = f" {list(self.days)}" if self.days else ""
        return (f"{self.frequency}{days} at {self.time} {self.zone} in"
                f" {self.years[0]} to {self.years[1]}")

    @property
    def arguments(self):
        return (self.time, self.frequency, list(self.days) if self.days else None, self.zone)


def schedules():
    """Every schedule, and whether it is among those that the short run has."""
    places = [(zone, YEARS) for zone in ZONES] + list(RARE)
    for zone, years in places:
        for frequency, choices in DAYS.items():
            times = sorted({*QUARTERS, *AWKWARD})
            for days, time in itertools.product(choices, times):
                usual = time.minute == 0 and frequency == "daily"
                yield Schedule(zone, years, frequency, days, time), usual or time in AWKWARD[:2]
        for time in HOURLY:
            yield Schedule(zone, years, "hourly", None, time), time in (HOURLY[0], HOURLY[3])


# The same files

def zone_file(folders, zone):
    found = [path for path in (pathlib.Path(folder) / zone for folder in folders) if path.is_file()]
    return found[0] if found else None


def zones_differ(ask):
    """None, or why the two sides cannot agree: they do not read the same description of a zone."""
    options = dict(ask("SELECT name, setting FROM pg_config"))
    system = re.search(r"'--with-system-tzdata=([^']*)'", options["CONFIGURE"])
    folder = system[1] if system else f"{options['SHAREDIR']}/timezone"
    for zone in (*ZONES, *(zone for zone, _ in RARE)):
        theirs = zone_file([folder], zone)
        ours = zone_file(zoneinfo.TZPATH, zone)
        if theirs is None or ours is None:
            return f"no file for {zone} in {folder} or {zoneinfo.TZPATH}; is tzdata installed?"
        if theirs.read_bytes() != ours.read_bytes():
            return (f"Postgres reads {theirs}, Python reads {ours}, and they are of different"
                    " versions of tzdata: install the same")
    return None


# The comparison

class Examiner:
    """Asks the server; one thread has one."""

    def __init__(self, connection, full):
        self._cursor = connection.cursor()
        self._full = full
        self._calendars = {}
        self.compared = self.asked = 0

    def ask(self, sql, *parameters):
        self._cursor.execute(sql, parameters or None)
        return self._cursor.fetchall()

    def set_zone(self, zone):
        self._cursor.execute("SET TimeZone = %s", (zone,))

    def calendar(self, schedule):
        key = schedule.zone, schedule.years
        if key not in self._calendars:
            calendar = calendar_rule.Calendar(schedule.zone, *schedule.years)
            self._calendars[key] = calendar, calendar.transitions()
        return self._calendars[key]

    def occurrences(self, schedule, after, until):
        ((found,),) = self.ask(
            "SELECT array_agg(extract(epoch FROM o)::bigint) FROM rythm_backup_occurrences("
            "%s, %s, %s, %s, to_timestamp(%s), to_timestamp(%s)) o", *schedule.arguments, after,
            until)
        self.compared += len(found or ())
        return found or []

    def findings(self, schedule, chance):
        """What is wrong about this schedule, in sentences."""
        calendar, transitions = self.calendar(schedule)
        expected = calendar.occurrences(*schedule[2:])
        zones = list(SESSION_ZONES)
        chance.shuffle(zones)
        every = self._full or (schedule.time == AWKWARD[1] and schedule.frequency == "daily")
        for zone in zones if every else zones[:1]:
            self.set_zone(zone)
            found = self.occurrences(schedule, calendar.begin, calendar.end)
            if found != expected:
                yield f"with the session's TimeZone {zone}: {first_difference(found, expected)}"
        self.set_zone(zones[-1])
        yield from self._windows(schedule, expected, calendar, chance)
        yield from self._latest_and_next(schedule, expected, calendar, transitions, chance)

    def _windows(self, schedule, expected, calendar, chance):
        for _ in range(WINDOWS):
            after, until = sorted(chance.choice(expected) + chance.choice((-1, 0, 1, 60))
                                  for _ in range(2))
            after = max(after, calendar.begin)
            until = min(until, after + 86400 * 60, calendar.end)
            found = self.occurrences(schedule, after, until)
            right = [instant for instant in expected if after < instant <= until]
            if found != right:
                yield f"from {show(after)} to {show(until)}: {first_difference(found, right)}"

    def _latest_and_next(self, schedule, expected, calendar, transitions, chance):
        instants = [at + by for at in transitions for by in (-60, -1, 0, 60)]
        if not self._full and len(instants) > QUESTIONS // 2:
            instants = chance.sample(instants, QUESTIONS // 2)
        while len(instants) < QUESTIONS:
            instants.append(chance.randrange(calendar.begin, calendar.end))
            instants.append(chance.choice(expected) + chance.choice((-60, -1, 0, 1)))
        # Near the ends of the list it does not know the answer.
        instants = [at for at in instants if expected[0] <= at < expected[-1]]
        self.asked += len(instants)
        for at, latest, following in self.ask(
                "SELECT i, extract(epoch FROM rythm_backup_latest(%s, %s, %s, %s,"
                " to_timestamp(i)))::bigint, extract(epoch FROM rythm_backup_next(%s, %s, %s, %s,"
                " to_timestamp(i)))::bigint FROM unnest(%s::bigint[]) i",
                *schedule.arguments, *schedule.arguments, instants):
            for what, found, right in (("latest", latest, calendar_rule.latest(expected, at)),
                                       ("next", following, calendar_rule.following(expected, at))):
                if found != right:
                    yield f"{what} at {show(at)} is {show(found)}, and should be {show(right)}"


def show(instant):
    if instant is None:
        return "none"
    return datetime.datetime.fromtimestamp(instant, datetime.timezone.utc).strftime(
        "%Y-%m-%dT%H:%M:%SZ")


def first_difference(found, expected):
    for one, other in itertools.zip_longest(found, expected):
        if one != other:
            return f"{show(one)} where {show(other)} should be ({len(found)} and {len(expected)})"
    return "none"


def in_threads(run, tasks, function):
    """function(task) for each, two at a time, until the run is stopped."""
    def work(_, todo):
        for task in todo:
            function(task)

    with run.crew(tasks, work):
        pass


def examine(run, database, schedules_of_a_place, totals):
    with contextlib.closing(run.arena.cluster.connect(database)) as connection:
        examiner = Examiner(connection, run.full)
        for schedule in schedules_of_a_place:
            if run.stopping.is_set():
                return
            try:
                # Chance of its own: the same in every run.
                found = list(itertools.islice(
                    examiner.findings(schedule, random.Random(str(schedule))), 5))
            except Exception:
                found = [traceback.format_exc()]
            run.note(schedule, judge.Verdict(found))
        totals.append((examiner.compared, examiner.asked))


@case("calendar", about="ten years of every kind of schedule against the rule written anew")
def calendar(run):
    database = f"calendar_{next(run.arena.numbers)}"
    run.arena.cluster.create_database(database, run.arena.template)
    differ = zones_differ(lambda sql: run.arena.cluster.execute(database, sql))
    assert differ is None, differ
    every = list(schedules())
    run.exist += len(every)
    places = {}
    for schedule, chosen in every:
        if chosen or run.full:
            places.setdefault(schedule[:2], []).append(schedule)
    totals = []
    in_threads(run, places.values(), lambda place: examine(run, database, place, totals))
    run.arena.cluster.drop_database(database)
    compared, asked = (sum(column) for column in zip((0, 0), *totals, strict=True))
    run.tell(f"  calendar: {compared} instants compared, latest and next asked at {asked}")
    if not (compared and asked):
        run.fail("the comparison", "nothing was compared")


# Every minute around a change

AROUND = 180        # minutes before and after it
# So near the minutes around each quarter count, where the schedules stand and where catching up
# ends; of the others some will do.
DENSE = 62
QUARTER, BESIDE = 15, 1
SPARSE_STEP = 15
CATCH_UP_S = 3600   # the program's default
MINUTE = datetime.timedelta(minutes=1)
# Where the clocks are never changed: what would be a change elsewhere, for comparison.
CONTROL = {"Asia/Kathmandu": ("2026-03-28T20:15:00+00:00", "2026-10-24T20:15:00+00:00")}
CHANGING = ("Europe/Stockholm", "America/New_York", "Australia/Lord_Howe", *CONTROL)
STATE = """SELECT (SELECT array_agg(h::text ORDER BY h::text) FROM backup_history h),
    (SELECT array_agg(s::text ORDER BY s::text) FROM backup_schedule s),
    (SELECT array_agg(q::text) FROM rythm_backup_quiet q),
    (SELECT count(*) FROM rythm_backup_edits), (SELECT count(*) FROM email_logs)"""


class Change(NamedTuple):
    at: int             # instant
    first: datetime.time    # the hour (or half) that is left out or comes twice: from here
    end: datetime.time      # to here

    def times(self):
        """Of schedules to try: inside of it, at its ends, just before and after."""
        first, end = (datetime.datetime.combine(datetime.date(2026, 1, 1), time)
                      for time in (self.first, self.end))
        middle = first + (end - first) / 2
        return [moment.time() for moment in (first - MINUTE, first, middle, end - MINUTE, end,
                                             middle + (end - first))]

    def ticks(self, full):
        """Second 7 of these minutes."""
        return [self.at + minute * 60 + 7 for minute in range(-AROUND, AROUND + 1)
                if full or minute % SPARSE_STEP == 0
                or abs(minute) <= DENSE and (minute + BESIDE) % QUARTER <= 2 * BESIDE]


def changes_of(zone):
    calendar = calendar_rule.Calendar(zone, 2026, 2026)
    for at in calendar.transitions():
        walls = sorted(datetime.datetime.fromtimestamp(at + offset, datetime.timezone.utc).time()
                       for offset in (calendar.offset(at - 1), calendar.offset(at)))
        yield Change(at, *walls)
    for text in CONTROL.get(zone, ()):
        yield Change(int(datetime.datetime.fromisoformat(text).timestamp()),
                     datetime.time(2), datetime.time(3))


class Ground:
    """A database whose schedules stand around the changes of one zone's clocks, and a store."""

    def __init__(self, the_arena, zone):
        self.arena = the_arena
        self.zone = zone
        self.changes = list(changes_of(zone))
        assert len(self.changes) == 2, f"{zone} has {len(self.changes)} changes in 2026"
        self.name = f"dst_{next(the_arena.numbers)}"
        folder = the_arena.folder / self.name
        folder.mkdir()
        self.store = FileStore(folder / "store")
        the_arena.cluster.create_database(self.name, the_arena.template)
        self.tool = Tool(folder, {"DATABASE_URL": the_arena.cluster.url(self.name),
                                  **self.store.settings, **arena.SETTINGS})
        self.connection = the_arena.cluster.connect(self.name)
        self.occurrences = {}   # id -> the rule's
        self.names = {}         # id -> how a report calls it
        self.done = set()       # (id, occurrence) that were made
        self.state = None       # what the last tick left
        self._add_schedules()

    def ask(self, sql, *parameters):
        with self.connection.cursor() as cursor:
            cursor.execute(sql, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def _add_schedules(self):
        calendar = calendar_rule.Calendar(self.zone, 2026, 2026)
        times = sorted({time for change in self.changes for time in change.times()})
        middle = self.changes[0].times()[2]
        self.ask("DELETE FROM backup_schedule")
        for frequency, days, time in (*(("daily", None, time) for time in times),
                                      ("hourly", None, middle), ("weekly", [7], middle)):
            ((schedule,),) = self.ask(
                "INSERT INTO backup_schedule (enabled, name, frequency, days, schedule_time,"
                " time_zone, retention_days) VALUES (true, %s, %s, %s, %s, %s, 10000)"
                " RETURNING schedule_id::text", f"{frequency} {time}", frequency, days, time,
                self.zone)
            self.names[schedule] = f"{frequency} {time}"
            self.occurrences[schedule] = calendar.occurrences(frequency, days, time)
        self.ask("UPDATE backup_schedule SET timed_at = '2020-01-01'")
        self.state = self.look()

    def look(self):
        """All that a tick could change."""
        return self.ask(STATE), [stored.name for stored in self.store.list()]

    def expected(self, tick):
        """What this tick is to make: {(schedule, occurrence)}."""
        found = set()
        for schedule, occurrences in self.occurrences.items():
            latest = calendar_rule.latest(occurrences, tick)
            if (latest is not None and tick - latest <= CATCH_UP_S
                    and (schedule, latest) not in self.done):
                found.add((schedule, latest))
        return found

    def rows(self):
        return self.ask("SELECT schedule_id::text, extract(epoch FROM occurrence_at)::bigint,"
                        " status::text, extract(epoch FROM started_at)::float, backup_filename,"
                        " run_id FROM backup_history ORDER BY started_at")

    def tick(self, tick):
        """Runs check at this instant; what is wrong about what it did."""
        expected = self.expected(tick)
        process = self.tool.start("check", "--now", show(tick), start_new_session=True)
        self.arena.note(process)
        result = self.tool.finish(process, timeout=arena.RUN_LIMIT_S)
        self.arena.forget(process)
        before, self.state = self.state, self.look()
        new = [row for row in self.rows() if row[:2] not in self.done]
        self.done |= {row[:2] for row in new}
        if result.code != 0:
            yield f"exit code {result.code}: {result.err}"
        if not expected and (result.out or result.err):
            yield f"nothing was due, and it said: {result.out}{result.err}"
        if not expected and self.state != before:
            yield "nothing was due, and it changed the tables or the store"
        made = sorted(row[:2] for row in new)
        if made != sorted(expected):
            yield f"it made {self.called(made)} instead of {self.called(sorted(expected))}"
        for schedule, occurrence, status, started, *_ in new:
            if status != "completed" or not tick <= started < tick + arena.RUN_LIMIT_S:
                yield f"{self.called([(schedule, occurrence)])} is {status}, begun {show(started)}"

    def called(self, made):
        return [f"{self.names[schedule]} of {show(occurrence)}" for schedule, occurrence in made]

    def close(self):
        self.connection.close()
        self.arena.cluster.drop_database(self.name)


def one_each(ground, schedule, change):
    """What is wrong about the runs and objects of a schedule around a change: seen from outside,
    without the rule. One on the day of the change, or one in each full hour of UTC."""
    hourly = ground.names[schedule].startswith("hourly")
    zone = zoneinfo.ZoneInfo(ground.zone)

    def period(occurrence):
        if hourly:
            return occurrence // 3600
        return datetime.datetime.fromtimestamp(occurrence, zone).date()

    first, last = change.at - AROUND * 60, change.at + AROUND * 60
    wanted = ({hour // 3600 for hour in range(-(-first // 3600) * 3600, last - 3599, 3600)}
              if hourly else {period(change.at)})
    rows = [row for row in ground.rows() if row[0] == schedule and first <= row[1] <= last]
    objects = {stored.name: stored for stored in ground.store.list()}
    for each in wanted:
        of_it = [row for row in rows if period(row[1]) == each]
        if [row[2] for row in of_it] != ["completed"]:
            yield f"in {each} the runs are {[(row[2], show(row[1])) for row in of_it]}"
    for _, occurrence, _, _, name, run_id in rows:
        bearing = [stored for stored in objects.values()
                   if stored.metadata.get("schedule") == schedule
                   and stored.metadata.get("occurrence") == backups.instant(
                       datetime.datetime.fromtimestamp(occurrence, datetime.timezone.utc))]
        if [(stored.name, stored.metadata["run"]) for stored in bearing] != [(name, run_id)]:
            yield f"of {show(occurrence)} there are the objects {[each.name for each in bearing]}"
        for stored in bearing:
            content = ground.store.read(stored.name)
            if hashlib.sha256(content).hexdigest() != stored.metadata["sha256"]:
                yield f"{stored.name} is not whole"


def try_zone(run, zone):
    ground = Ground(run.arena, zone)
    run.exist += sum(len(change.ticks(True)) + len(ground.names) for change in ground.changes)
    for change in ground.changes:
        for tick in change.ticks(run.full):
            if run.stopping.is_set():
                return
            try:
                found = list(ground.tick(tick))
            except Exception:
                found = [traceback.format_exc()]
            run.note(f"{zone} at {show(tick)}", judge.Verdict(found))
        for schedule, name in ground.names.items():
            run.note(f"{zone}, {name}, around {show(change.at)}",
                     judge.Verdict(list(one_each(ground, schedule, change))))
    run.tell(f"  dst: {zone}: {len(ground.names)} schedules, {len(ground.done)} backups")
    if not ground.done:
        run.fail(zone, "no backup was made")
    ground.close()


@case("dst", about="check --now in every minute around the changes of the clocks")
def dst(run):
    in_threads(run, CHANGING, lambda zone: try_zone(run, zone))

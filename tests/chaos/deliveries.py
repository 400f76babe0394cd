"""kill -9 at every system call of a delivery: all news come, and nothing comes twice that a process
could have known to be sent.

An Office is a lane of which every channel is configured, with a receiver each. Points of "deliver"
begin with an outbox that a tick has left while nobody listened: a success and a digest of three
failures, for two admins by two kinds of mail, and by three hooks, one of which has asked for a
pause. One tick is killed, or two in a row, another receiver refuses once; the ticks after it are
left in peace. Points of "digest" begin with three backups that fail in one tick. told.py judges.
"""

import contextlib
import datetime
import json
import pathlib
import re
from typing import NamedTuple

import arena
import judge
import processes
import told
from arena import ADMINS, UTC
from cases import Tried, case
from hook_stubs import Answer, SlackStub, TeamsStub, WebhookStub
from kills import MAY_MISS, TELLING, Point, calls_in
from smtp_server import SmtpServer
from told import Arrival

BROKEN = ("broken-a", "broken-b", "broken-c")
KEPT = ("backup_history", "email_logs", "rythm_backup_deliveries")  # what an outbox is made of
PAUSE_S = 600           # that Teams asks for
FIRST, SECOND = "02:01:30", "02:02:10"
LATER = ("02:03:30", "02:15:00")          # what was refused once, and what had to pause
# The retry rule comes to its end in these, as in arena.RECOVERY_CHECKS.
RETRIES = ("02:01:20", "02:02:40", "02:08:40", "02:15:00")
QUIET = "02:40:00"
BUSY_STATES = ("01", "08")                # ESTABLISHED and CLOSE_WAIT in /proc/net/tcp


class Office(arena.Lane):
    """One thread uses it at a time; its day never changes."""

    def __init__(self, of_arena):
        self.slack, self.teams, self.webhook = SlackStub(), TeamsStub(), WebhookStub()
        self.smtp = SmtpServer()
        super().__init__(of_arena, "file", next(of_arena.numbers))
        self.acs.running_polls = 1
        self.ticks = []
        for stub in self.hooks:
            self.tool = self.tool.with_settings(**stub.settings)
        self.tool = self.tool.with_settings(SMTP_URL=f"smtp://127.0.0.1:{self.smtp.port}",
                                            SMTP_SENDER_ADDRESS="backup@rythm.example")
        for name in BROKEN:
            self.tool.ok("schedule", "add", name, "--dbname", f"no_{name}")
        self.query("UPDATE backup_schedule SET timed_at = '2020-01-01'")
        self._fill_once()

    @property
    def hooks(self):
        return self.slack, self.teams, self.webhook

    @property
    def addressees(self):
        return (*((channel, admin) for channel in ("acs", "smtp") for admin in ADMINS),
                *((channel, "") for channel in ("slack", "teams", "webhook")))

    def rows(self):
        return self.query("SELECT * FROM backup_history ORDER BY created_at, attempt")

    def outbox(self):
        return {row["delivery_id"]: row for row in self.deliveries()}

    # What a point begins with

    def _fill_once(self):
        """An outbox that nobody could be told of; it is copied for each point."""
        self.begin()
        # That of the lane's own model, which would be taken for this occurrence's.
        for stored in self.store.list():
            self.store.remove(stored.name)
        nobody = processes.free_port()
        self.teams.every_answer = Answer(429, headers={"Retry-After": str(PAUSE_S)})
        self.check(arena.FIRST_CHECK, settings={
            "ACS_CONNECTION_STRING": re.sub(r":\d+/", f":{nobody}/", self.acs.connection_string),
            "SMTP_URL": f"smtp://127.0.0.1:{nobody}", "RYTHM_BACKUP_RETRY_TIMEOUT": "1s",
            "SLACK_WEBHOOK_URL": f"http://127.0.0.1:{nobody}/",
            "RYTHM_BACKUP_WEBHOOK_URL": f"http://127.0.0.1:{nobody}/"})
        waiting = [row for row in self.deliveries() if row["state"] == "pending"]
        assert len(waiting) == 2 * len(self.addressees), waiting
        self.query("CREATE SCHEMA model")
        for table in KEPT:
            self.query(f"CREATE TABLE model.{table} AS TABLE public.{table}")

    def begin(self):
        """An empty outbox and ledger, receivers that know nothing, and schedules that rest."""
        for table in KEPT:
            self.query(f"DELETE FROM public.{table}")
        self.forget_seen()
        for stub in self.hooks:
            for seen in (stub.messages, stub.requests, stub.refusals, stub.next_answers):
                seen.clear()
            stub.every_answer = None
        for seen in (self.webhook.ids, self.smtp.raw, self.smtp.envelopes):
            seen.clear()
        self.ticks = []

    def fill(self):
        """The news of the model, which no schedule adds to; the webhook's receiver refuses once."""
        self.query("UPDATE backup_schedule SET enabled = false")
        for table in KEPT:
            self.query(f"INSERT INTO public.{table} TABLE model.{table}")
        self.webhook.next_answers.append(Answer(503))

    def break_all(self):
        """Three schedules that fail, and nothing else."""
        self.query("UPDATE backup_schedule SET enabled = coalesce(name = ANY(%s), false)",
                   list(BROKEN))
        self.query("UPDATE backup_schedule SET timed_at = '2020-01-01'")

    # Ticks

    def tick(self, time_of_day, **options):
        before, had = self.outbox(), self._arrived()
        begun = datetime.datetime.combine(
            self.day, datetime.time.fromisoformat(time_of_day), UTC)
        real = datetime.datetime.now()
        seen = self.check(time_of_day, **options)
        ended = begun + (datetime.datetime.now() - real)
        processes.wait_until(lambda: not self._busy(), "the receivers are done", step=0.01)
        came = [arrival for had_so_far, now in zip(had, self._arrived())
                for arrival in now[len(had_so_far):]]
        self.ticks.append(told.Tick(begun, ended, seen, before, self.outbox(), came))
        return seen

    def _busy(self):
        """Whether a receiver still has a connection: a request of who died may be in it."""
        ports = {f"{each.port:04X}" for each in (self.acs, self.smtp, *self.hooks)}
        for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            if local.partition(":")[2] in ports and state in BUSY_STATES:
                return True
        return False

    def _arrived(self):
        """What each receiver has accepted, in order: lists that only grow."""
        def mail(identity):
            message = self.acs.operations[identity].message
            return Arrival("acs", message["recipients"]["to"][0]["address"], identity,
                           message["content"]["subject"], message["content"]["plainText"])

        events = dict(zip(dict.fromkeys(self.webhook.ids), self.webhook.messages))
        return ([mail(identity) for identity in list(self.acs.operations)],
                [mail(identity) for identity in list(self.acs.repeats)],
                [Arrival("smtp", message["To"], message["Message-ID"], message["Subject"],
                         message.get_body(("plain",)).get_content())
                 for message in self.smtp.messages],
                [self._post("slack", document, document["text"])
                 for document in self.slack.messages],
                [self._post("teams", card, card["body"][0]["text"])
                 for card in self.teams.messages],
                [self._post("webhook", events[identity], events[identity]["data"]["subject"],
                            identity) for identity in self.webhook.ids])

    @staticmethod
    def _post(channel, document, subject, identity=None):
        text = json.dumps(document, ensure_ascii=False)
        return Arrival(channel, "", identity or text, subject, text)

    # What came of it

    def look(self):
        ids = {}
        for row in self.rows():
            if row["status"] in ("completed", "failed"):
                occurrence = row["occurrence_at"].astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
                key = f"{row['schedule_id']} {occurrence} {row['status']}"
                ids.setdefault(key, set()).add(row["history_id"])
        return told.Told(self.addressees, ids, {key: key.split()[-1] for key in ids},
                         list(self.ticks), self.deliveries(), self.emails(), list(self.troubles),
                         judge.Expectation())

    def close(self):
        for server in (*self.hooks, self.smtp):
            server.stop()
        super().close()


def judged(office, reached):
    scene = office.look()
    verdict = told.verdict_on(scene)
    return Tried(reached, recover=False, verdict=verdict,
                 scene=told.describe(scene) if verdict.findings else "")


# The points

LOCK = "rythm-backup:outbox"        # with this statement a delivery begins
FIRST_NEWS = "INSERT INTO rythm_backup_deliveries"
# After these it dies for the first time where the second death is what is tried.
HANDED_OVER = ("POST /emails:send", "POST /services/")


def traced(office, time_of_day):
    """The calls of a tick that nobody disturbs."""
    log = office.folder / "calls"
    seen = office.tick(time_of_day, prefix=["strace", "-qq", "-s", "400", "-o", str(log)])
    assert seen.code in (0, 1, 3), seen.err
    return calls_in(log)


def points_from(calls, words):
    """[(Point, whether others could notice it)] of the calls from the one with these words on."""
    counts = {}
    begun = False
    points = []
    for call, rest in calls:
        counts[call] = counts.get(call, 0) + 1
        begun = begun or words in rest
        if begun:
            points.append((Point(call, counts[call]), call in TELLING))
    assert points, f"no call has {words}"
    return points


def what_follows(calls, words):
    """Of the request with these words has been read what was answered, and nothing written down:
    the next one, of which there are as many in every run, unlike of reads."""
    sent = [rest for call, rest in calls if call == "sendto"]
    at = next(index for index, rest in enumerate(sent) if words in rest)
    return Point("sendto", at + 2)


class Death(NamedTuple):
    first: Point
    second: Point | None = None

    def __str__(self):
        return f"{self.first}" + (f", and in the next tick {self.second}" if self.second else "")


def finish(office, times):
    for time_of_day in (*times, QUIET):
        office.tick(time_of_day)


def deliver_at(office, death):
    office.fill()
    seen = office.tick(FIRST, prefix=death.first.strace, what=f"under {death.first}")
    prefix, what = (), ""
    if death.second is not None:
        prefix, what = death.second.strace, f"under {death.second}"
    last = office.tick(SECOND, prefix=prefix, what=what)
    finish(office, LATER)
    return judged(office, (seen if death.second is None else last).code == told.OURS)


def calls_of_delivery(office):
    office.begin()
    office.fill()
    return traced(office, FIRST)


def kill_first(office, point):
    """A fresh outbox, and its first tick dies there."""
    office.begin()
    office.fill()
    seen = office.tick(FIRST, prefix=point.strace, what=f"under {point}")
    assert seen.code == told.OURS, f"{point}: exit code {seen.code}"


def killed_and_ended(office):
    """What is seen when a tick dies before it can write down that Slack has its message."""
    kill_first(office, what_follows(calls_of_delivery(office), "POST /services/"))
    finish(office, (SECOND, *LATER))
    return office.look()


def deaths(office, full):
    """Every Death, and how many there are."""
    calls = calls_of_delivery(office)
    points = points_from(calls, LOCK)
    exist = len(points)
    single = [Death(point) for point, telling in points if telling or full]
    double = []
    for words in HANDED_OVER:
        first = what_follows(calls, words)
        kill_first(office, first)
        points = points_from(traced(office, SECOND), LOCK)
        exist += len(points)
        double += [Death(first, point) for point, telling in points if telling or full]
    return single, double, exist


@case("kill-deliver", about="kill -9 at every system call of a delivery, and of the one after it")
def kill_deliver(run):
    with contextlib.closing(Office(run.arena)) as office:
        single, double, exist = deaths(office, run.full)
    for points in (single, double):
        run.each(points, deliver_at, exist=exist * (points is single), may_miss=MAY_MISS,
                 make=lambda: Office(run.arena))


def digest_at(office, point):
    office.break_all()
    seen = office.tick(arena.FIRST_CHECK, prefix=point.strace, what=f"under {point}")
    finish(office, RETRIES)
    return judged(office, seen.code == told.OURS)


@case("kill-digest", about="kill -9 from the first of several failures' news to their delivery")
def kill_digest(run):
    with contextlib.closing(Office(run.arena)) as office:
        office.begin()
        office.break_all()
        points = points_from(traced(office, arena.FIRST_CHECK), FIRST_NEWS)
    run.each([point for point, telling in points if telling or run.full], digest_at,
             exist=len(points), may_miss=MAY_MISS, make=lambda: Office(run.arena))

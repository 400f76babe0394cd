"""Every way to tell somebody, beside the mails of test_notify.py: what each service gets, what a
schedule chooses, and what becomes of what cannot go. test_smtp.py has the mail servers."""

import json
import re

import pytest

import acs_stub
import backups
import processes
from hook_stubs import Answer, PingStub, SlackStub, TeamsStub, WebhookStub
from tables import add_schedule

TICK = "2026-03-01 02:00:10Z"
GOOD = "✅ Database Backup Completed Successfully"
BAD = "❌ Database Backup Failed"
# CR, LF, ESC, mentions, links, HTML, Markdown, a C1 control, a lone surrogate's bytes.
HOSTILE = ("\r\nBcc: evil@x.example\r\n\x1b[2J<!channel> <@U123> &amp; <https://evil.example|click>"
           " [click](https://evil.example) *bold* _it_ `code` <script>alert(1)</script> \x9b"
           " \\[x\\]")


def stub_fixture(kind):
    @pytest.fixture
    def stub():
        made = kind()
        yield made
        made.stop()
    return stub


slack = stub_fixture(SlackStub)
teams = stub_fixture(TeamsStub)
webhook = stub_fixture(WebhookStub)
ping = stub_fixture(PingStub)


@pytest.fixture
def hooks(slack, teams, webhook):
    return slack, teams, webhook


@pytest.fixture
def base(make_tool, small_database, file_store):
    """No channel is configured."""
    backups.enable(small_database)
    return make_tool(small_database, file_store, RYTHM_BACKUP_ENGINE="pg_dump")


@pytest.fixture
def tool(base, hooks):
    """All but the mails are configured."""
    settings = {}
    for stub in hooks:
        settings |= stub.settings
    return base.with_settings(**settings)


def tick(tool, code=0, at=TICK):
    result = tool.run("check", "--now", at)
    assert result.code == code, result
    return result


def failing(tool, text="it is broken"):
    program = tool.home / "failing_pg_dump"
    text = text.replace("'", "'\\''")
    program.write_text('#!/bin/sh\nif [ "$1" = --version ]; then exec pg_dump --version; fi\n'
                       f"cat >&2 <<'END'\n{text}\nEND\nexit 1\n")
    program.chmod(0o755)
    return tool.with_settings(RYTHM_BACKUP_PG_DUMP=str(program))


def deliveries(database, columns="channel, state", order="channel, created_at"):
    return database.execute(
        f"SELECT {columns} FROM rythm_backup_deliveries ORDER BY {order}")


# What each service gets

def test_every_channel_is_told(tool, hooks, small_database):
    slack, teams, webhook = hooks
    result = tick(tool)
    for what in ("Slack", "Teams", "webhook"):
        assert f"📧 Backup notification sent to {what}" in result.err
    ((history_id, name, size),) = small_database.execute(
        "SELECT history_id::text, backup_filename, file_size_bytes FROM backup_history")

    (message,) = slack.messages
    assert message["text"] == GOOD
    text = SlackStub.text_of(message)
    assert f"*Backup:* {name}" in text and f"*Backup ID:* {history_id}" in text

    (card,) = teams.messages
    assert (card["body"][0]["text"], card["body"][0]["color"]) == (GOOD, "Good")
    (facts,) = TeamsStub.facts_of(card)
    assert (facts["Backup"], facts["Database"]) == (name, small_database.name)

    (event,) = webhook.messages
    assert event["type"] == "backup.completed"
    assert event["timestamp"].startswith("2026-03-01T02:00:1")
    data = event["data"]
    assert (data["backup"], data["bytes"], data["database"], data["next_run"]) == (
        name, size, small_database.name, "2026-03-02T02:00:00.000Z")
    assert isinstance(data["duration_ms"], int) and "error" not in data
    assert [stub.refusals for stub in hooks] == [[], [], []]
    assert deliveries(small_database) == [(kind, "sent") for kind in ("slack", "teams", "webhook")]


def test_failure(tool, hooks):
    slack, teams, webhook = hooks
    tick(failing(tool), code=1)
    assert slack.messages[0]["text"] == BAD
    assert teams.messages[0]["body"][0]["color"] == "Attention"
    assert webhook.messages[0]["type"] == "backup.failed"
    assert "it is broken" in webhook.messages[0]["data"]["error"]
    assert "it is broken" in TeamsStub.facts_of(teams.messages[0])[0]["Error"]


@pytest.mark.parametrize("text", [HOSTILE, "é<&>" * 250_000], ids=["hostile", "a megabyte"])
def test_hostile_text_is_harmless(tool, hooks, small_database, text):
    slack, teams, webhook = hooks
    result = tick(failing(tool, text), code=1)
    assert [stub.refusals for stub in hooks] == [[], [], []]
    assert SlackStub.addressed(slack.messages[0]) == []
    assert TeamsStub.formatted(teams.messages[0]) == []
    error = small_database.value("SELECT error_message FROM backup_history")
    told = (SlackStub.text_of(slack.messages[0]), TeamsStub.facts_of(teams.messages[0])[0]["Error"],
            webhook.messages[0]["data"]["error"])
    for shown in (*told, result.err):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", shown)
    for shown in told:
        assert error[:200] in shown or "pg_dump" in shown
    assert "\nBcc" not in result.err and "\n\x1b" not in result.err
    if text == HOSTILE:
        assert "<!channel>" in told[0] and "[click](https://evil.example)" in told[1]
        assert all(line.startswith(("❌", "⚠", "📧", "🎯", "📦", "Starting", "ℹ"))
                   for line in result.err.splitlines())


# The webhook's convention

def test_two_keys_while_they_are_changed(tool, webhook):
    other = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="
    webhook.secrets = [other]
    changing = tool.with_settings(RYTHM_BACKUP_WEBHOOK_SECRET=f"{webhook.secret} {other}")
    changing.ok("notify", "--test")
    assert (len(webhook.messages), webhook.refusals) == (1, [])


def test_repeated_event_has_the_same_id(tool, webhook, small_database):
    webhook.next_answers = [Answer(500, "oops")]
    assert "the service answers 500 oops" in tick(tool, code=3).err
    tick(tool, at="2026-03-01 02:01:10Z")
    first, second = (headers for _, _, headers, _ in webhook.requests)
    assert first["webhook-id"] == second["webhook-id"]
    assert len(webhook.messages) == 1
    identity = small_database.value(
        "SELECT delivery_id::text FROM rythm_backup_deliveries WHERE channel = 'webhook'")
    assert first["webhook-id"] == f"msg_{identity}"


# What cannot go

REFUSED = [
    ("slack", 400, "invalid_payload", "given up"), ("slack", 403, "action_prohibited", "given up"),
    ("slack", 404, "channel_not_found", "given up"), ("slack", 500, "rollup_error", "pending"),
    ("teams", 400, "TriggerInputSchemaMismatch", "given up"), ("teams", 502, "bad", "pending"),
    ("teams", 302, "moved", "given up"), ("webhook", 410, "gone", "given up"),
    ("webhook", 401, "who are you", "pending"), ("webhook", 503, "busy", "pending"),
    ("webhook", 301, "moved", "pending")]


def test_refused(tool, hooks, small_database, request):
    """What each answer means to each service; the backup is good, and the others are told."""
    for stub in hooks:
        stub.every_answer = Answer(500, "later")
    tick(tool, code=3)
    small_database.execute("CREATE TABLE kept AS SELECT * FROM rythm_backup_deliveries")
    for stub, status, text, state in REFUSED:
        small_database.execute("TRUNCATE rythm_backup_deliveries")
        small_database.execute("INSERT INTO rythm_backup_deliveries SELECT * FROM kept"
                               " WHERE channel = %s", stub)
        request.getfixturevalue(stub).every_answer = Answer(status, text)
        result = tool.run("notify")
        assert result.code == 3 and f"the service answers {status} {text}" in result.err
        assert deliveries(small_database) == [(stub, state)]
    assert small_database.value("SELECT status FROM backup_history") == "completed"


def test_service_down(tool, slack, small_database):
    slack.stop()
    result = tick(tool, code=3)
    assert "notification to Slack not sent (goes with the next check or notify)" in result.err
    assert dict(deliveries(small_database)) == {
        "slack": "pending", "teams": "sent", "webhook": "sent"}


@pytest.fixture
def three(base, slack, small_database):
    """Three schedules at the same time, and nobody at the address that Slack has."""
    gone = SlackStub()
    gone.stop()
    for _ in range(2):
        add_schedule(small_database)
    small_database.execute("UPDATE backup_schedule SET timed_at = '2020-01-01'")
    return base.with_settings(**gone.settings)


def test_one_that_fails_costs_no_other_its_attempt(three, base, slack, small_database):
    """Each check tries one more, so that each has its turn and none has another's pause."""
    def attempts():
        return [row[0] for row in deliveries(small_database, "attempts", "created_at")]
    result = tick(three, code=3)
    assert result.err.count("notification to Slack not sent (goes with the next check") == 1
    assert "2 more notification(s) by Slack not tried just now" in result.err
    assert attempts() == [1, 0, 0]
    tick(three, code=3, at="2026-03-01 02:01:10Z")
    assert attempts() == [1, 1, 0]
    assert three.run("notify").out == "sent 0, pending 3, failed 0\n"
    assert attempts() == [1, 1, 1]
    reached = base.with_settings(**slack.settings)
    assert reached.ok("notify").out == "sent 3, pending 0, failed 0\n"


def test_given_up_is_each_for_itself(three, small_database):
    """One was tried a day ago, one is tried now, one was never tried in that day."""
    def fates():
        return deliveries(small_database, "state, attempts, left(last_error, 9)", "created_at")
    tick(three, code=3)
    small_database.execute("UPDATE backup_schedule SET enabled = false")
    result = tick(three, code=3, at="2026-03-02 02:05:00Z")
    assert "not sent (given up): not tried, because nothing else gets through: " in result.err
    reasons = [reason for _, _, reason in fates()]
    assert fates() == [("pending", 1, reasons[0]), ("given up", 1, reasons[0]),
                       ("given up", 0, "not tried")]
    tick(three, code=3, at="2026-03-02 02:06:00Z")
    assert fates()[0] == ("given up", 2, reasons[0])


def test_redirect_is_not_followed(base, slack, teams):
    slack.every_answer = Answer(307, "", {"Location": teams.url})
    assert tick(base.with_settings(**slack.settings), code=3)
    assert teams.requests == []


def test_pause_that_the_service_asks_for(tool, slack, small_database):
    slack.every_answer = Answer(429, "rate_limited", {"Retry-After": "600"})
    assert "tried again in 10m" in tick(tool, code=3).err
    slack.every_answer = None
    # Neither that one nor another of the channel goes before; the others are not kept.
    add_schedule(small_database, "02:03")
    small_database.execute("UPDATE backup_schedule SET timed_at = '2020-01-01'")
    tick(tool, at="2026-03-01 02:03:10Z")
    assert len(slack.requests) == 1
    assert deliveries(small_database).count(("webhook", "sent")) == 2
    assert tool.run("notify").code in (0, 3)
    tick(tool, at="2026-03-01 02:10:30Z")
    assert len(slack.messages) == 2


def test_given_up_after_a_day(tool, slack, small_database):
    slack.every_answer = Answer(500, "rollup_error")
    tick(tool, code=3)
    small_database.execute("UPDATE backup_schedule SET enabled = false")
    tick(tool, code=3, at="2026-03-02 01:00:00Z")
    assert "given up" in tick(tool, code=3, at="2026-03-02 02:05:00Z").err
    tick(tool, at="2026-03-02 04:05:00Z")
    status = tool.ok("status", "--now", "2026-03-02 03:05:30Z")
    assert "\n1 notification(s) given up; the last one 2026-03-02T02:05Z (1h ago), by Slack: " \
           "the service answers 500 rollup_error\n" in status.out
    told = tool.ok("status", "--json", "--now", "2026-03-02 03:05:30Z").json["notifications"]
    assert (told["given_up"], told["pending"], told["last_channel"]) == (1, 0, "slack")
    assert "given up" not in tool.ok("status", "--now", "2026-03-20 03:05:30Z").out


def test_channel_that_is_taken_away(tool, slack, small_database):
    slack.every_answer = Answer(500)
    tick(tool, code=3)
    gone = tool.with_settings(SLACK_WEBHOOK_URL=None)
    assert "SLACK_WEBHOOK_URL is not set" in tick(gone, code=3, at="2026-03-01 02:01:00Z").err
    slack.every_answer = None
    tick(tool, at="2026-03-01 02:05:00Z")
    assert len(slack.messages) == 1


def test_channel_of_a_newer_version(tool, small_database):
    tick(tool)
    small_database.execute("UPDATE rythm_backup_deliveries SET state = 'pending',"
                           " channel = 'pigeon' WHERE channel = 'slack'")
    assert "has no channel 'pigeon'" in tick(tool, code=3, at="2026-03-01 02:01:00Z").err
    assert ("pigeon", "pending") in deliveries(small_database)


@pytest.mark.parametrize("news", ["null", "7", '{"kind": "backup.failed", "items": []}'])
def test_row_that_nobody_can_read(tool, small_database, slack, news):
    tick(tool)
    small_database.execute("UPDATE rythm_backup_deliveries SET state = 'pending', news = %s"
                           " WHERE channel = 'slack'", news)
    tick(tool, code=3, at="2026-03-01 02:01:00Z")
    assert dict(deliveries(small_database))["slack"] == "given up"
    assert len(slack.messages) == 1


# Once

def test_kill_while_it_is_sent(tool, slack, webhook, small_database):
    """The receiver knows it again by its id; what was sent before is not sent again."""
    webhook.next_answers = [Answer(200, "", hang_s=30)]
    process = tool.start("check", "--now", TICK)
    processes.wait_until(lambda: webhook.requests, "the webhook has it")
    process.kill()
    tool.finish(process)
    assert dict(deliveries(small_database)) == {
        "slack": "sent", "teams": "sent", "webhook": "pending"}
    tick(tool, at="2026-03-01 02:01:10Z")
    assert len({headers["webhook-id"] for _, _, headers, _ in webhook.requests}) == 1
    assert (len(slack.messages), len(webhook.messages)) == (1, 1)


def test_told_once_by_many(tool, hooks, small_database):
    every = [tool.start("check", "--now", TICK) for _ in range(5)]
    assert {tool.finish(process).code for process in every} == {0}
    tick(tool, at="2026-03-01 02:01:10Z")
    assert [len(stub.messages) for stub in hooks] == [1, 1, 1]


# What a schedule chooses

def choose(database, channels=None, on=None):
    database.execute("UPDATE backup_schedule SET notify_channels = %s, notify_on = %s",
                     channels, on)


def test_channels_of_a_schedule(tool, hooks, small_database):
    choose(small_database, ["slack", "webhook"])
    tick(tool)
    assert [len(stub.messages) for stub in hooks] == [1, 0, 1]


def test_channel_that_is_chosen_in_vain(base, slack, small_database):
    choose(small_database, ["slack", "teams", "pigeon"])
    result = tick(base.with_settings(**slack.settings))
    assert "no notification by Teams: TEAMS_WEBHOOK_URL is not set" in result.err
    assert "'pigeon', which is no channel of this version" in result.err
    assert len(slack.messages) == 1


EVENTS = {
    None: ["failed", "completed", "completed"], ("failure", "recovery"): ["failed", "completed"],
    ("success",): ["completed", "completed"], (): []}


def test_events_of_a_schedule(base, slack, small_database):
    """A failure, the success after it, and one more, each of schedules that want different ones."""
    tool = base.with_settings(**slack.settings)
    told = {small_database.value(backups.SCHEDULE): EVENTS[None]}
    for on, outcomes in EVENTS.items():
        if on is not None:
            told[add_schedule(small_database)] = outcomes
            small_database.execute("UPDATE backup_schedule SET notify_on = %s WHERE"
                                   " schedule_id = %s", list(on), list(told)[-1])
    small_database.execute("UPDATE backup_schedule SET timed_at = '2020-01-01'")
    tick(failing(tool), code=1)
    tick(tool, at="2026-03-01 02:02:00Z")
    tick(tool, at="2026-03-02 02:00:10Z")
    keys = [row[0].split() for row in deliveries(small_database, "news_key", "created_at")]
    assert {schedule: [key[-1] for key in keys if key[0] == schedule] for schedule in told} == told
    assert slack.refusals == []


def test_nobody_is_warned_of(tool, hooks, small_database):
    choose(small_database, [])
    result = tick(tool)
    assert "⚠️" not in result.err
    assert [stub.messages for stub in hooks] == [[], [], []]


def test_schedule_command(base, small_database):
    """Written, shown, taken back; and what is wrong is refused."""
    base.ok("schedule", "set", "--channels", "slack,acs", "--notify-on", "failure,recovery")
    assert small_database.execute("SELECT notify_channels, notify_on FROM backup_schedule") == [
        (["slack", "acs"], ["failure", "recovery"])]
    assert "channels=slack,acs notify-on=failure,recovery" in base.ok("schedule").out
    (shown,) = base.ok("schedule", "show", "--json").json["schedules"]
    assert (shown["notify_channels"], shown["notify_on"]) == (
        ["slack", "acs"], ["failure", "recovery"])
    base.ok("schedule", "set", "--channels", "none", "--notify-on=")
    assert small_database.execute("SELECT notify_channels, notify_on FROM backup_schedule") == [
        ([], None)]
    assert "channels=none" in base.ok("schedule").out
    for option, value in (("--channels", "slack,pigeon"), ("--channels", "slack,,acs"),
                          ("--notify-on", "always"), ("--notify-on", "failure,")):
        result = base.run("schedule", "set", option, value)
        assert result.code == 2 and f"option '{option}'" in result.err
        assert "write some of" in result.err


@pytest.mark.parametrize("column, value, problem", [
    ("notify_on", ["never"], "notify_on is {never}"),
    ("notify_channels", [None], "notify_channels is not a simple list")])
def test_row_that_is_wrong(base, small_database, column, value, problem):
    small_database.execute(f"UPDATE backup_schedule SET {column} = %s", value)
    assert problem in tick(base, code=3).err


# Many at once

def test_storm_is_one_message(tool, hooks, acs, small_database):
    slack, teams, webhook = hooks
    names = [f"s{number:02}" for number in range(8)]
    for name in names:
        small_database.execute(
            "INSERT INTO backup_schedule (enabled, schedule_time, name, target_dbname)"
            " VALUES (true, '02:00', %s, %s)", name, f"no-such-{name}")
    small_database.execute("UPDATE backup_schedule SET enabled = name IS NOT NULL")
    small_database.execute("UPDATE backup_schedule SET timed_at = '2020-01-01'")
    everywhere = tool.with_settings(**acs.settings, RYTHM_BACKUP_NOTIFY_TO="one@rythm.example")
    tick(everywhere, code=1)
    assert [len(stub.messages) for stub in (*hooks, acs)] == [1, 1, 1, 1]
    assert slack.messages[0]["text"] == "❌ 8 Database Backups Failed"
    assert len(TeamsStub.facts_of(teams.messages[0])) == 8
    data = webhook.messages[0]["data"]
    assert (len(data["others"]), data["more"]) == (7, 0)
    content = acs.messages[0]["content"]
    assert content["subject"] == "❌ 8 Database Backups Failed"
    assert content["plainText"].count("\nError: ") == 8
    # One row for the one mail; and nobody is told again.
    assert small_database.value("SELECT count(*) FROM email_logs") == 1
    assert small_database.value("SELECT count(*) FROM rythm_backup_deliveries"
                                " WHERE state = 'merged'") == 4 * 7
    tick(everywhere, code=1, at="2026-03-01 02:02:00Z")
    assert [len(stub.messages) for stub in (*hooks, acs)] == [1, 1, 1, 1]


# The quota of mails

def test_hourly_quota_of_a_managed_domain(base, acs, small_database):
    sender = "DoNotReply@0a1b2c3d.azurecomm.net"
    acs.sender = sender
    acs.running_polls = 0
    acs.pace = {"retry-after-ms": "20"}
    small_database.execute("INSERT INTO users SELECT 'a' || n || '@x.example', 'system_admin'"
                           " FROM generate_series(1, 10) n")
    tool = base.with_settings(**acs.settings | {"ACS_SENDER_ADDRESS": sender})
    result = tick(tool, code=3)
    assert "what the service takes in an hour is used up" in result.err
    assert len(acs.messages) == 10
    assert tick(tool, at="2026-03-01 02:05:00Z").err == ""
    tick(tool, code=3, at="2026-03-01 02:20:00Z")
    assert len(acs.messages) == 10
    tick(tool, at="2026-03-01 03:05:00Z")
    assert len(acs.messages) == 12
    assert small_database.execute("SELECT DISTINCT status FROM email_logs") == [("sent",)]


# What an earlier version left

def test_mail_of_an_earlier_version(base, acs, small_database):
    """Its rows have no delivery. One that the service has is only asked about."""
    tool = base.with_settings(**acs.settings)
    acs.running_polls = 0
    for to, extra in (("new@x.example", {}), ("had@x.example", {"operation_id": "op-1"})):
        small_database.execute(
            "INSERT INTO email_logs (email_type, status, to_address, from_address, subject,"
            " plain_text_body, html_body, metadata) VALUES ('backup_notification', 'pending', %s,"
            " 'DoNotReply@mail.rythm.example', 's', 't', 'h', %s)", to,
            json.dumps({"rythm_backup": {"key": "k failed", "attempts": 1} | extra}))
    acs.accept("op-1", {"recipients": {"to": [{"address": "had@x.example"}]}})
    small_database.execute("UPDATE backup_schedule SET enabled = false")
    tick(tool, at="2026-03-01 02:01:00Z")
    assert sorted(acs.recipients()) == ["had@x.example", "new@x.example"]
    assert small_database.execute("SELECT DISTINCT status FROM email_logs") == [("sent",)]
    tick(tool, at="2026-03-01 02:05:00Z")
    assert len(acs.messages) == 2


def test_mail_that_somebody_resolved_or_wants_again(base, acs, small_database):
    tool = base.with_settings(**acs.settings, RYTHM_BACKUP_NOTIFY_TO="one@x.example")
    acs.every_send = acs_stub.Answer(403, "Forbidden")
    tick(tool, code=3)
    small_database.execute("UPDATE email_logs SET status = 'failed'")
    tick(tool, at="2026-03-01 02:02:00Z")
    assert deliveries(small_database) == [("acs", "withdrawn")]
    acs.every_send = None
    small_database.execute("UPDATE email_logs SET status = 'pending'")
    tick(tool, at="2026-03-01 02:04:00Z")
    assert (len(acs.messages), deliveries(small_database)) == (1, [("acs", "sent")])


# notify --test

def test_test_goes_through_every_channel(tool, hooks, small_database):
    result = tool.ok("notify", "--test")
    assert result.out == "sent 3, pending 0, failed 0\n"
    slack, teams, webhook = hooks
    assert slack.messages[0]["text"] == teams.messages[0]["body"][0]["text"] \
        == "📧 Database Backup Test Message"
    assert webhook.messages[0]["type"] == "backup.test"


def test_test_that_cannot_go(tool, slack, small_database):
    slack.every_answer = Answer(500)
    assert tool.run("notify", "--test").code == 1
    slack.every_answer = None
    tool.ok("notify")
    assert slack.messages == []


@pytest.mark.parametrize("settings, reason", [
    ({"SLACK_WEBHOOK_URL": "http://hooks.slack.example/services/T/B/secretsecret"},
     "SLACK_WEBHOOK_URL: it is not https"),
    ({"SLACK_WEBHOOK_URL": "hooks.slack.com/secretsecret"}, "does not begin with https://"),
    ({"SLACK_WEBHOOK_URL": "https:///services/secretsecret"}, "it has no host"),
    ({"SLACK_WEBHOOK_URL": "https://x.example/secret secret"}, "percent-encoded"),
    ({"SLACK_WEBHOOK_URL": "https://x.example/" + "secretsecret" * 400}, "too long"),
    ({"TEAMS_WEBHOOK_URL": "http://127.0.0.1.x.example/secretsecret"}, "it is not https"),
    ({"RYTHM_BACKUP_WEBHOOK_URL": "ftp://x.example/secretsecret"}, "RYTHM_BACKUP_WEBHOOK_URL"),
    ({"RYTHM_BACKUP_WEBHOOK_SECRET": "secretsecret"}, "does not begin with whsec_"),
    ({"RYTHM_BACKUP_WEBHOOK_SECRET": "whsec_secretsecret"}, "shorter than 24 bytes"),
    ({"RYTHM_BACKUP_WEBHOOK_SECRET": "whsec_!secretsecret"}, "not base64"),
    ({"RYTHM_BACKUP_WEBHOOK_SECRET": None},
     "no notification by webhook: RYTHM_BACKUP_WEBHOOK_SECRET is not set"),
])
def test_setting_that_is_wrong(tool, hooks, settings, reason):
    result = tool.with_settings(**settings).run("notify", "--test")
    assert result.code == 2 and reason in result.err
    assert "secretsecret" not in result.err
    assert [stub.requests for stub in hooks] == [[], [], []]


# Secrets

def test_no_secret_anywhere(tool, hooks, small_database):
    """Whatever goes wrong, no URL and no key is told, stored or logged. (The tool looks, too.)"""
    shown = ""
    for answer in (Answer(500, "at " + tool.settings["SLACK_WEBHOOK_URL"]),
                   Answer(404, "no " + TeamsStub.path + TeamsStub.query)):
        for stub in hooks:
            stub.every_answer = answer
        for form in ("text", "json"):
            shown += tool.run("--log-format", form, "-v", "notify", "--test").err
        shown += tool.run("run").err
    for stub in hooks:
        stub.stop()
    shown += tool.run("-v", "run").err + tool.run("status", "--json").out
    for table in ("rythm_backup_deliveries", "backup_history"):
        shown += str(small_database.execute(f"SELECT t::text FROM {table} t"))
    for secret in (SlackStub.path, TeamsStub.path, "S1gNaTuReOfAfLoW", WebhookStub.path,
                   WebhookStub.secret[6:]):
        assert secret not in shown


# The dead-man's switch

@pytest.fixture
def pinging(base, ping):
    return base.with_settings(**ping.settings)


def test_begin_and_end_of_a_run(pinging, ping, small_database):
    """With the log's tail, also where the log itself is quiet; the next check is another run."""
    pinging.ok("-q", "check", "--now", TICK)
    (first, run, begin), (last, same, tail) = ping.messages
    assert (first, begin, last) == ("start", "", "success") and run == same != ""
    name = small_database.value("SELECT backup_filename FROM backup_history")
    assert tail.splitlines()[:1] == ["Scheduled time matched: 02:00 UTC - executing backup..."]
    assert f"Stored: {name}" in tail
    ping.messages.clear()
    pinging.ok("run", "--no-notify")
    assert ping.messages == []
    assert failing(pinging, HOSTILE).run("run").code == 1
    (first, run, _), (last, same, tail) = ping.messages
    assert (first, last) == ("start", "fail") and run == same
    assert "<!channel>" in tail and "\x1b" not in tail
    assert ping.refusals == []


def test_ping_that_cannot_go_is_a_warning(pinging, ping, small_database):
    """The monitor notices by itself: nothing is sent later, and the exit code is the backup's."""
    ping.every_answer = Answer(503, "busy")
    result = pinging.ok("check", "--now", TICK)
    assert result.err.count("the monitor was not told: the service answers 503") == 2
    ping.stop()
    assert "the monitor was not told" in pinging.ok("run").err
    assert small_database.value("SELECT count(*) FROM rythm_backup_deliveries") == 0
    assert deliveries(small_database) == []


def test_ping_is_not_waited_for(pinging, ping):
    ping.next_answers = [Answer(200, hang_s=30)]
    result = pinging.ok("run", timeout=25)
    assert result.err.count("the monitor was not told") == 1
    assert [signal for signal, _, _ in ping.messages] == ["success"]


def test_each_schedule_has_a_check_of_its_own(pinging, ping, small_database):
    small_database.execute("UPDATE backup_schedule SET name = 'start'")
    here = ping.url.rpartition("/")[0]
    ping.path = ping.path.rpartition("/")[0] + "/start"
    pinging.with_settings(RYTHM_BACKUP_PING_URL=f"{here}/{{schedule}}?create=1").run(
        "check", "--now", TICK)
    paths = [path for _, path, _, _ in ping.requests]
    assert [path.partition("&rid=")[0] for path in paths] == [
        f"{ping.path}/start?create=1", f"{ping.path}?create=1"]


def test_monitor_is_tested_too(pinging, ping, slack):
    assert pinging.ok("notify", "--test").out == "sent 1, pending 0, failed 0\n"
    assert [signal for signal, _, _ in ping.messages] == ["log"]
    ping.every_answer = Answer(404)
    result = pinging.with_settings(**slack.settings).run("notify", "--test")
    assert (result.code, result.out) == (1, "sent 1, pending 0, failed 1\n")
    wrong = pinging.with_settings(RYTHM_BACKUP_PING_URL="http://hc.example/secretsecret")
    result = wrong.run("notify", "--test")
    assert result.code == 2 and "RYTHM_BACKUP_PING_URL: it is not https" in result.err
    assert "secretsecret" not in result.err + wrong.ok("run").err

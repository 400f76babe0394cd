"""The mails: whom, what, how often, and what happens when they cannot go (invariant I7)."""

import base64
import html
import json
import re
import signal

import pytest

import acs_stub
import backups
import pg_dumps
import postgres_cluster
import processes
from acs_stub import AcsStub, Answer

TICK = "2026-03-01 02:00:10Z"
ADMINS = ["ada@rythm.example", "omar@rythm.example"]
GOOD = "✅ Database Backup Completed Successfully"
BAD = "❌ Database Backup Failed"
REFUSED = Answer(403, "Forbidden")
# Says what pg_dump would say about itself, and then fails with the text that a test wants.
FAILING_DUMP = """#!/bin/sh
if [ "$1" = --version ]; then exec %s --version; fi
printf '%%b' '%s' >&2
exit 1
"""


@pytest.fixture
def acs(acs):
    """As the service, but in more of a hurry."""
    acs.pace = {"retry-after-ms": "20"}
    return acs


@pytest.fixture
def tool(make_tool, small_database, file_store, acs):
    backups.enable(small_database)
    return make_tool(small_database, file_store, acs)


@pytest.fixture
def to_one(tool):
    """To one recipient, where more would only take longer."""
    return tool.with_settings(RYTHM_BACKUP_NOTIFY_TO="one@rythm.example")


def tick(tool, code=0, at=TICK):
    result = tool.run("check", "--now", at)
    assert result.code == code, result
    return result


def failing(tool, text="it is broken"):
    """The same program with a pg_dump that fails."""
    program = tool.home / "failing_pg_dump"
    program.write_text(FAILING_DUMP % (postgres_cluster.program("pg_dump"), text))
    program.chmod(0o755)
    return tool.with_settings(RYTHM_BACKUP_PG_DUMP=str(program))


def mails(database, columns="status"):
    rows = database.execute(f"SELECT {columns} FROM email_logs ORDER BY created_at, to_address")
    return [row[0] if len(row) == 1 else row for row in rows]


def subjects(acs):
    return [message["content"]["subject"] for message in acs.messages]


def posts(acs):
    return [path for method, path in acs.requests if method == "POST"]


def fields(text):
    """The "Label: value" lines of a plain text."""
    return dict(re.findall(r"^([A-Z][A-Za-z ]+): (.*)$", text, flags=re.MULTILINE))


# Whom and what

def test_one_mail_per_admin(tool, acs):
    result = tick(tool)
    assert sorted(acs.recipients()) == ADMINS
    assert [len(message["recipients"]["to"]) for message in acs.messages] == [1, 1]
    assert subjects(acs) == [GOOD, GOOD]
    assert "📧 Backup notification sent to 2 admin(s)" in result.err


def test_mail_of_a_good_backup(tool, acs, small_database):
    tick(tool)
    ((history_id, name),) = small_database.execute(
        "SELECT history_id::text, backup_filename FROM backup_history")
    text = acs.messages[0]["content"]["plainText"]
    told = fields(text)
    (listed,) = [line for line in tool.ok("list").out.splitlines() if line.startswith(name)]
    assert text.startswith(GOOD + "\n\n")
    assert told == {
        "Backup ID": history_id, "Backup": name, "Database": small_database.name,
        "Size": re.split("  +", listed)[2],
        "Duration": told["Duration"], "Timestamp": told["Timestamp"],
        "Next run": "2026-03-02T02:00:00.000Z"}
    assert told["Timestamp"].startswith("2026-03-01T02:00:1")
    assert re.fullmatch(r"\d+(ms|s)", told["Duration"])


def test_mail_of_a_failed_backup(to_one, acs, small_database):
    tick(failing(to_one), code=1)
    ((history_id, name, error),) = small_database.execute(
        "SELECT history_id::text, backup_filename, error_message FROM backup_history")
    assert subjects(acs) == [BAD]
    told = fields(acs.messages[0]["content"]["plainText"])
    assert "it is broken" in error
    assert (told["Backup ID"], told["Backup"], told["Error"]) == (history_id, name, error)
    assert told["Next run"] == "2026-03-02T02:00:00.000Z"
    assert "Size" not in told


def test_html_says_the_same_as_the_text(to_one, acs):
    tick(to_one)
    content = acs.messages[0]["content"]
    cells = re.findall(r"<tr><th[^>]*>([^<]*)</th><td>([^<]*)</td></tr>", content["html"])
    assert {label: html.unescape(value) for label, value in cells} == fields(content["plainText"])
    assert f"<title>{GOOD}</title>" in content["html"]


def test_manual_backup_is_told_too(to_one, acs):
    to_one.ok("run")
    assert subjects(acs) == [GOOD]


def test_no_notify(tool, acs, small_database):
    tool.ok("run", "--no-notify")
    assert (acs.messages, mails(small_database)) == ([], [])


def test_next_run_of_a_disabled_schedule(to_one, acs, small_database):
    small_database.execute("UPDATE backup_schedule SET enabled = false")
    to_one.ok("run")
    assert fields(acs.messages[0]["content"]["plainText"])["Next run"] == "not scheduled"


def test_interrupted_run_is_told(to_one, acs, small_database, file_store):
    file_store.folder.mkdir()
    small_database.execute(
        "INSERT INTO backup_history (backup_filename, backup_type, status, run_id, schedule_id,"
        " occurrence_at, attempt, started_at) SELECT %s, 'scheduled', 'started',"
        " '0123456789abcdef', schedule_id, '2026-03-01 02:00Z', 1, '2026-03-01 02:00Z'"
        " FROM backup_schedule", "rythm-backup-2026-03-01T02-00-00-000Z.sql.zst")
    tick(to_one)
    assert subjects(acs)[0] == BAD
    told = fields(acs.messages[0]["content"]["plainText"])
    assert "interrupted" in told["Error"]
    assert told["Next run"] == "2026-03-02T02:00:00.000Z"


@pytest.mark.parametrize("sig, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_stopped_run_is_told_by_the_next_check(tool, acs, small_database, tmp_path, sig, code):
    """It does not send by itself: whoever stops it waits for its end."""
    gate = pg_dumps.gate_within(tmp_path)
    process = tool.with_settings(**gate.settings).start("check", "--now", TICK)
    gate.reached()
    process.send_signal(sig)
    assert tool.finish(process, timeout=20).code == code
    assert (mails(small_database), acs.requests) == (["pending", "pending"], [])

    tick(tool, at="2026-03-01 02:00:40Z")
    assert sorted(acs.recipients()) == ADMINS and set(subjects(acs)) == {BAD}
    told = fields(acs.messages[0]["content"]["plainText"])
    assert f"stopped by {sig.name}" in told["Error"]

    tick(tool, at="2026-03-01 02:01:40Z")
    assert sorted(acs.recipients()) == sorted(ADMINS * 2)
    assert subjects(acs)[2:] == [GOOD, GOOD]
    assert set(mails(small_database)) == {"sent"}


def test_database_named_by_its_name_alone(make_tool, cluster, migrated_small, file_store, acs):
    """A name is no secret, though it stands where a connection string with one may."""
    cluster.create_database("prod", migrated_small)
    try:
        tool = make_tool(file_store, acs, PGHOST="127.0.0.1", PGPORT=str(cluster.port),
                         PGUSER="postgres", PGPASSWORD=postgres_cluster.PASSWORD,
                         RYTHM_BACKUP_NOTIFY_TO="one@x.example")
        tool.ok("run", "-d", "prod")
    finally:
        cluster.drop_database("prod")
    content = acs.messages[0]["content"]
    assert fields(content["plainText"])["Database"] == "prod"
    assert "<td>prod</td>" in content["html"]


# Once per outcome of an occurrence

def test_three_failed_attempts_are_one_mail_each(tool, acs, small_database):
    broken = failing(tool)
    for at in ("02:00:10", "02:02:00", "02:08:00"):
        tick(broken, code=1, at=f"2026-03-01 {at}Z")
    tick(broken, at="2026-03-01 02:30:00Z")
    assert small_database.execute("SELECT status, attempt FROM backup_history ORDER BY attempt") \
        == [("failed", 1), ("failed", 2), ("failed", 3)]
    assert sorted(acs.recipients()) == ADMINS
    assert set(subjects(acs)) == {BAD}


def test_success_after_failures_is_one_more_mail(to_one, acs):
    tick(failing(to_one), code=1)
    tick(failing(to_one), code=1, at="2026-03-01 02:02:00Z")
    tick(to_one, at="2026-03-01 02:08:00Z")
    tick(to_one, at="2026-03-01 02:12:00Z")
    assert subjects(acs) == [BAD, GOOD]


def test_next_occurrence_is_news_again(to_one, acs):
    tick(failing(to_one), code=1)
    tick(failing(to_one), code=1, at="2026-03-02 02:00:10Z")
    assert subjects(acs) == [BAD, BAD]


def test_each_manual_backup_is_news(to_one, acs):
    to_one.ok("run")
    to_one.ok("run")
    assert subjects(acs) == [GOOD, GOOD]


# The row of each mail

ROW = "status::text, email_type::text, from_address, subject, error_message, message_id"


def test_row_of_a_mail(tool, acs, small_database):
    tick(tool)
    identities = sorted(acs.operations)
    rows = mails(small_database, f"{ROW}, to_address, plain_text_body, html_body")
    assert sorted(row[5] for row in rows) == identities
    for row, message in zip(rows, sorted(acs.messages, key=lambda m: str(m["recipients"]))):
        assert row[:5] == ("sent", "backup_notification", acs_stub.SENDER, GOOD, None)
        assert [{"address": row[6]}] == message["recipients"]["to"]
        content = message["content"]
        assert (row[7], row[8]) == (content["plainText"], content["html"])


def test_row_names_run_and_key(to_one, small_database):
    tick(to_one)
    ((run_id, name),) = small_database.execute(
        "SELECT run_id, backup_filename FROM backup_history")
    schedule = small_database.value(backups.SCHEDULE)
    (told,) = mails(small_database, "metadata->'rythm_backup'")
    assert (told["run_id"], told["backup"], told["outcome"]) == (run_id, name, "completed")
    assert told["key"] == f"{schedule} 2026-03-01T02:00:00.000Z completed"


def test_row_of_a_mail_that_the_service_drops(to_one, acs, small_database):
    acs.final_status = "Failed"
    result = tick(to_one, code=3)
    ((status, error),) = mails(small_database, "status, error_message")
    assert status == "failed"
    assert "EmailDropped" in error and "EmailDropped" in result.err
    assert small_database.value("SELECT status FROM backup_history") == "completed"


def test_drop_of_one_does_not_keep_the_other(tool, acs, small_database):
    acs.failing_addresses = {ADMINS[0]}
    tick(tool, code=3)
    assert mails(small_database, "to_address, status") == [
        (ADMINS[0], "failed"), (ADMINS[1], "sent")]


@pytest.fixture
def application_database(make_database, cluster):
    """email_logs as the application has made it, with types, keys and a trigger of its own."""
    database = make_database()
    for statement in (
            "CREATE TYPE email_type AS ENUM ('welcome', 'backup_notification')",
            "CREATE TYPE email_status AS ENUM"
            " ('pending', 'sent', 'failed', 'delivered', 'bounced')",
            "CREATE TYPE user_role AS ENUM ('member', 'system_admin')",
            "CREATE TABLE users (user_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),"
            " email varchar(200), role user_role)",
            "INSERT INTO users (email, role) VALUES ('ada@rythm.example', 'system_admin')",
            "CREATE TABLE email_logs (email_log_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),"
            " tenant_id uuid, user_id uuid REFERENCES users, email_type email_type NOT NULL,"
            " status email_status NOT NULL DEFAULT 'pending', to_address varchar(320) NOT NULL,"
            " from_address varchar(320) NOT NULL, reply_to_address varchar(320),"
            " subject varchar(500) NOT NULL, plain_text_body text, html_body text,"
            " message_id varchar(255), error_message text, sent_at timestamptz,"
            " delivered_at timestamptz, metadata jsonb DEFAULT '{}', created_at timestamptz"
            " DEFAULT now(), updated_at timestamptz DEFAULT now())",
            "INSERT INTO email_logs (email_type, to_address, from_address, subject)"
            " VALUES ('welcome', 'new@rythm.example', 'app@rythm.example', 'Welcome')",
            "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN NEW.updated_at := now(); RETURN NEW; END$$",
            "CREATE TRIGGER touch BEFORE UPDATE ON email_logs"
            " FOR EACH ROW EXECUTE FUNCTION touch()"):
        database.execute(statement)
    return database


@pytest.mark.parametrize("refuse", [False, True])
def test_applications_own_table(make_tool, application_database, file_store, acs, refuse):
    """Both ends that a row can have; the application's own pending mail is not ours to send."""
    tool = make_tool(application_database, file_store, acs)
    tool.ok("migrate")
    backups.enable(application_database)
    acs.final_status = "Failed" if refuse else "Succeeded"
    tick(tool, code=3 if refuse else 0)
    assert set(mails(application_database, "email_type::text, status::text")) == {
        ("welcome", "pending"), ("backup_notification", "failed" if refuse else "sent")}
    assert acs.recipients() == ["ada@rythm.example"]


# What cannot go now goes later

def test_service_down(tool, acs, small_database, file_store):
    acs.stop()
    result = tick(tool, code=3)
    assert "goes with the next check or notify" in result.err
    assert small_database.value("SELECT status FROM backup_history") == "completed"
    assert len(file_store.list()) == 1
    (_, error), untried = rows = mails(small_database, "status, error_message")
    assert [status for status, _ in rows] == ["pending", "pending"]
    assert "onnect" in error and untried[1] is None


def test_pending_mail_goes_with_the_next_check(tool, acs, small_database):
    acs.every_send = REFUSED
    tick(tool, code=3)
    acs.every_send = None
    tick(tool, at="2026-03-01 02:01:10Z")
    assert sorted(acs.recipients()) == ADMINS
    assert mails(small_database, "status, error_message") == [("sent", None), ("sent", None)]


def test_pending_mail_goes_with_notify(to_one, acs):
    acs.every_send = REFUSED
    tick(to_one, code=3)
    acs.every_send = None
    assert to_one.ok("notify").out == "sent 1, pending 0, failed 0\n"
    assert to_one.ok("notify").out == "sent 0, pending 0, failed 0\n"
    assert len(acs.messages) == 1


def test_notify_as_json(to_one, acs):
    acs.every_send = REFUSED
    tick(to_one, code=3)
    result = to_one.run("notify", "--json")
    assert (result.code, result.json) == (3, {"sent": 0, "pending": 1, "failed": 0})
    acs.every_send = None
    assert to_one.ok("notify", "--json").json == {"sent": 1, "pending": 0, "failed": 0}


def test_pauses_grow(to_one, acs, small_database):
    acs.every_send = REFUSED
    assert "goes with the next check" in tick(to_one, code=3).err
    assert tick(to_one, at="2026-03-01 02:00:20Z").err == ""
    assert "goes with the next check" in tick(to_one, code=3, at="2026-03-01 02:01:10Z").err
    assert "tried again in 2m" in tick(to_one, code=3, at="2026-03-01 02:02:20Z").err
    assert tick(to_one, at="2026-03-01 02:03:20Z").err == ""
    assert (len(posts(acs)), mails(small_database)) == (3, ["pending"])
    acs.every_send = None
    tick(to_one, at="2026-03-01 02:04:40Z")
    assert mails(small_database) == ["sent"]


def test_given_up_after_a_day(to_one, acs, small_database):
    acs.every_send = REFUSED
    tick(to_one, code=3)
    small_database.execute("UPDATE backup_schedule SET enabled = false")
    assert to_one.run("check", "--now", "2026-03-02 01:55:00Z").code == 3
    assert mails(small_database) == ["pending"]
    assert "given up" in tick(to_one, code=3, at="2026-03-02 02:30:00Z").err
    assert mails(small_database) == ["failed"]
    (line,) = [line for line in to_one.run("status", "--now", "2026-03-02 02:33Z").out.splitlines()
               if "given up" in line]
    assert line.startswith("1 notification(s) given up; the last one 2026-03-02T02:30Z"
                           " (2m ago), by e-mail: ") and "Forbidden" in line
    acs.every_send = None
    assert to_one.ok("notify").out == "sent 0, pending 0, failed 0\n"
    assert acs.messages == []


def test_message_that_the_service_calls_wrong_is_given_up(to_one, acs, small_database):
    acs.every_send = Answer(400, "InvalidSenderAddress")
    result = tick(to_one, code=3)
    assert "400" in result.err and "InvalidSenderAddress" in result.err
    assert mails(small_database) == ["failed"]


def test_short_throttle_is_waited_for(to_one, acs, small_database):
    acs.next_sends = [Answer(429, "TooManyRequests", {"Retry-After": "1"})]
    tick(to_one)
    assert (len(posts(acs)), mails(small_database)) == (2, ["sent"])


def test_long_throttle_is_left_to_a_later_tick(tool, acs, small_database):
    """The second mail is not even tried, which costs it none of its attempts."""
    acs.every_send = Answer(429, "TooManyRequests", {"Retry-After": "3600"})
    tick(tool, code=3)
    assert len(posts(acs)) == 1
    assert mails(small_database, "status, (metadata#>>'{rythm_backup,attempts}')::integer") == [
        ("pending", 1), ("pending", 0)]


def test_passing_error_is_tried_again_at_once(to_one, acs):
    acs.next_sends = [Answer(500, "InternalServerError"), Answer(503, "ServiceUnavailable")]
    tick(to_one)
    assert (len(posts(acs)), len(acs.messages)) == (3, 1)


# The operation's end

@pytest.mark.parametrize("running", [0, 1, 4])
def test_operation_is_asked_about_until_it_ends(to_one, acs, small_database, running):
    acs.running_polls = running
    tick(to_one)
    (operation,) = acs.operations.values()
    assert (operation.polls, mails(small_database)) == (running + 1, ["sent"])


def test_operation_that_is_not_known_yet(to_one, acs, small_database):
    acs.hide_first_poll = True
    acs.running_polls = 2
    tick(to_one)
    assert (len(acs.messages), mails(small_database)) == (1, ["sent"])


def test_operation_that_takes_long_is_asked_about_by_the_next_tick(to_one, acs, small_database):
    acs.running_polls = 8
    assert "is still sending it" in tick(to_one, code=3).err
    assert mails(small_database) == ["pending"]
    tick(to_one, at="2026-03-01 02:01:10Z")
    assert mails(small_database) == ["sent"]
    assert (len(posts(acs)), len(acs.messages)) == (1, 1)


def test_operation_without_an_end_is_given_up(to_one, acs, small_database):
    acs.running_polls = 10**6
    tick(to_one, code=3)
    small_database.execute("UPDATE backup_schedule SET enabled = false")
    tick(to_one, code=3, at="2026-03-01 02:10:00Z")
    assert mails(small_database) == ["pending"]
    tick(to_one, code=3, at="2026-03-02 02:30:00Z")
    assert mails(small_database) == ["failed"]
    assert len(posts(acs)) == 1


# Never twice

def test_lost_answer_is_not_a_second_mail(to_one, acs, small_database):
    acs.next_sends = [Answer(lose_answer=True)]
    tick(to_one)
    assert (len(posts(acs)), len(acs.messages), mails(small_database)) == (2, 1, ["sent"])


def test_kill_before_the_answer_is_not_a_second_mail(to_one, acs, small_database):
    acs.next_sends = [Answer(hold_s=30)]
    process = to_one.start("check", "--now", TICK)
    processes.wait_until(lambda: acs.messages, "the service has the mail")
    process.kill()
    to_one.finish(process)
    assert mails(small_database) == ["pending"]
    tick(to_one, at="2026-03-01 02:01:10Z")
    assert (len(posts(acs)), len(acs.messages), mails(small_database)) == (2, 1, ["sent"])


def test_kill_after_the_answer_is_not_a_second_mail(to_one, acs, small_database):
    """The id of the operation is known by then: nothing is sent, it is only asked about."""
    acs.running_polls = 10**6
    acs.pace = {"retry-after": "30"}
    process = to_one.start("check", "--now", TICK)
    processes.wait_until(lambda: mails(
        small_database, "metadata#>>'{rythm_backup,operation_id}'") not in ([], [None]),
        "the row has the operation")
    process.kill()
    to_one.finish(process)
    acs.running_polls = 0
    tick(to_one, at="2026-03-01 02:01:10Z")
    assert (len(posts(acs)), mails(small_database)) == (1, ["sent"])


def test_database_lost_after_the_answer_is_not_a_second_mail(to_one, acs, small_database, cluster,
                                                             postgres_proxy):
    postgres_proxy.add(b"jsonb_build_object('operation_id'")
    through = to_one.with_settings(
        DATABASE_URL=cluster.url(small_database.name, port=postgres_proxy.port))
    tick(through, code=3)
    assert mails(small_database) == ["pending"]
    tick(to_one, at="2026-03-01 02:01:10Z")
    assert (len(posts(acs)), len(acs.messages), mails(small_database)) == (2, 1, ["sent"])


def test_deliverers_at_the_same_moment(tool, acs, small_database):
    acs.every_send = REFUSED
    tick(tool, code=3)
    acs.every_send = Answer(hold_s=0.3)
    every = [tool.start("notify") for _ in range(6)]
    assert {tool.finish(process).code for process in every} == {0}
    assert sorted(acs.recipients()) == ADMINS
    assert len(posts(acs)) == 2 + 2


# Nobody to tell, no way to tell

def warnings(result):
    return [line for line in result.err.splitlines() if line.startswith("⚠️")]


@pytest.mark.parametrize("statement, reason", [
    ("DELETE FROM users", "RYTHM_BACKUP_ADMIN_QUERY gives no address"),
    ("UPDATE users SET email = NULL", "RYTHM_BACKUP_ADMIN_QUERY gives no address"),
    ("DROP TABLE users", "asks a table that does not exist")])
def test_no_admins(tool, acs, small_database, statement, reason):
    small_database.execute(statement)
    (warning,) = warnings(tick(tool))
    assert "nobody is notified" in warning and reason in warning
    assert "RYTHM_BACKUP_NOTIFY_TO" in warning
    assert (acs.requests, mails(small_database)) == ([], [])
    assert small_database.value("SELECT status FROM backup_history") == "completed"


@pytest.mark.parametrize("missing", ["ACS_CONNECTION_STRING", "ACS_SENDER_ADDRESS"])
def test_mail_is_not_configured(tool, acs, small_database, missing):
    (warning,) = warnings(tick(tool.with_settings(**{missing: None})))
    assert f"no notification by e-mail: {missing} is not set" in warning
    assert mails(small_database) == []
    assert small_database.value("SELECT status FROM backup_history") == "completed"


@pytest.mark.parametrize("connection", [
    "endpoint=http://127.0.0.1:1/", "accesskey=abcdefgh", "nonsense",
    "endpoint=ftp://127.0.0.1/;accesskey=" + acs_stub.KEY,
    "endpoint=http://127.0.0.1:1/;accesskey=!!!not base64!!!"])
def test_connection_string_that_is_wrong(to_one, small_database, connection):
    """Found out after the backup, which is good; the mail waits for somebody to correct it."""
    result = tick(to_one.with_settings(ACS_CONNECTION_STRING=connection), code=3)
    assert "ACS_CONNECTION_STRING" in result.err
    assert "abcdefgh" not in result.err and "not base64!!!" not in result.err
    assert mails(small_database) == ["pending"]
    tick(to_one, at="2026-03-01 02:01:10Z")
    assert mails(small_database) == ["sent"]


def test_wrong_key(to_one, acs, small_database):
    key = base64.b64encode(b"some other key than the service's").decode()
    wrong = acs.connection_string.replace(acs_stub.KEY, key)
    result = tick(to_one.with_settings(ACS_CONNECTION_STRING=wrong), code=3)
    assert "401" in result.err and "Denied" in result.err
    assert "check the access key in ACS_CONNECTION_STRING" in result.err
    ((status, error),) = mails(small_database, "status, error_message")
    assert status == "pending" and "Denied" in error
    assert key not in result.err + error
    assert acs.messages == []


# Recipients

def test_notify_to(tool, acs):
    tick(tool.with_settings(RYTHM_BACKUP_NOTIFY_TO=" b@x.example,, a@x.example ,b@x.example"))
    assert sorted(acs.recipients()) == ["a@x.example", "b@x.example"]


@pytest.mark.parametrize("wrong", [
    "nobody", "a@b@c", "@x.example", "a@", "a b@x.example", "<a@x.example>", "a@x.example;b"])
def test_what_is_no_address_is_passed_over(tool, acs, wrong):
    result = tick(tool.with_settings(RYTHM_BACKUP_NOTIFY_TO=f"{wrong},good@x.example"))
    assert acs.recipients() == ["good@x.example"]
    assert f"RYTHM_BACKUP_NOTIFY_TO gives '{wrong}', which is not an e-mail address" in result.err


def test_hostile_address_in_the_table(tool, acs, small_database):
    small_database.execute("UPDATE users SET email = %s WHERE email = %s",
                           "a@x.example\r\nBcc: evil@x.example", ADMINS[0])
    result = tick(tool)
    assert acs.recipients() == [ADMINS[1]]
    assert "\r" not in result.err and "\nBcc" not in result.err


def test_admin_query(tool, acs, small_database):
    query = "SELECT email FROM users WHERE role = 'member'"
    tick(tool.with_settings(RYTHM_BACKUP_ADMIN_QUERY=query))
    assert acs.recipients() == ["user@rythm.example"]


@pytest.mark.parametrize("query", [
    "SELEC email FROM users", "SELECT nothing FROM users", "SELECT 1/0 FROM users", "",
    "DELETE FROM users RETURNING email", "SELECT email FROM users; DELETE FROM users",
    "SELECT nextval('counter')::text"])
def test_admin_query_that_is_wrong(tool, acs, small_database, query):
    """Degraded; and whatever it is, it changes nothing."""
    small_database.execute("CREATE SEQUENCE counter")
    result = tick(tool.with_settings(RYTHM_BACKUP_ADMIN_QUERY=query or " "), code=3)
    assert "running RYTHM_BACKUP_ADMIN_QUERY: " in result.err
    assert "correct the query" in result.err
    assert small_database.value("SELECT status FROM backup_history") == "completed"
    assert small_database.value("SELECT count(*) FROM users") == 3
    assert small_database.value("SELECT is_called FROM counter") is False
    assert acs.messages == []


# Texts from outside

def test_hostile_database_name(make_tool, cluster, migrated_small, file_store, acs):
    name = 'x\r\nBcc: evil@x.example\r\n<script>alert("1")</script>&\x1b[31m'
    cluster.create_database("to_be_renamed", migrated_small)
    connection = cluster.connect("postgres")
    try:
        quoted = '"' + name.replace('"', '""') + '"'
        connection.cursor().execute(f"ALTER DATABASE to_be_renamed RENAME TO {quoted}")
        password = cluster.url("x").split("@")[0].split(":")[-1]
        conninfo = (f"host=127.0.0.1 port={cluster.port} user=postgres password={password}"
                    f" dbname='{name}'")
        tool = make_tool(file_store, acs, DATABASE_URL=conninfo,
                         RYTHM_BACKUP_NOTIFY_TO="one@x.example")
        result = tool.ok("run")
        assert "\x1b" not in result.err and "\nBcc" not in result.err
        content = acs.messages[0]["content"]
        assert fields(content["plainText"])["Database"] == \
            'x Bcc: evil@x.example <script>alert("1")</script>& [31m'
        assert "<script>" not in content["html"]
        assert "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;" in content["html"]
        for text in (content["plainText"], content["html"]):
            assert "\r" not in text and "\x1b" not in text and "\nBcc" not in text
    finally:
        connection.cursor().execute("DROP DATABASE IF EXISTS to_be_renamed")
        connection.cursor().execute(f"DROP DATABASE IF EXISTS {quoted}")
        connection.close()


def test_hostile_error_text(to_one, acs):
    text = r"one<img src=x>\r\nBcc: evil@x.example\n\033[31mred \0377 & \0302\0205more\n"
    result = tick(failing(to_one, text), code=1)
    content = acs.messages[0]["content"]
    assert "Bcc: evil@x.example" in fields(content["plainText"])["Error"]
    assert "<img" not in content["html"] and "one&lt;img src=x&gt;" in content["html"]
    for shown in (content["plainText"], content["html"], result.err):
        assert "\r" not in shown and "\x1b" not in shown and "\nBcc" not in shown
        assert "\x85" not in shown
    assert content["subject"] == BAD


def test_secret_in_an_error_text(to_one, acs, small_database, cluster):
    password = small_database.url.split("@")[0].split(":")[-1]
    text = f"cannot use postgresql://postgres:{password}@host/db?sig=abcdef password={password}"
    tick(failing(to_one, text), code=1)
    assert "cannot use" in str(acs.messages)
    shown = str(acs.messages) + str(mails(small_database, "email_logs::text")) \
        + str(small_database.execute("SELECT h::text FROM backup_history h"))
    assert password not in shown and "abcdef" not in shown


def test_very_long_error_text(to_one, acs):
    tick(failing(to_one, "ä" * 5000), code=1)
    error = fields(acs.messages[0]["content"]["plainText"])["Error"]
    assert 200 < len(error.encode()) < 4100


def test_no_secret_anywhere(tool, acs, small_database):
    """In no output, also the most verbose, and in no table."""
    acs.next_sends = [REFUSED]
    shown = ""
    for arguments in (["check", "--now", TICK], ["notify"], ["notify", "--test"],
                      ["--log-format", "json", "notify"]):
        result = tool.run("-v", *arguments)
        shown += result.out + result.err
    for table in ("email_logs", "backup_history", "backup_schedule"):
        shown += str(small_database.execute(f"SELECT t::text FROM {table} t"))
    shown += json.dumps(acs.messages)
    password = small_database.url.split("@")[0].split(":")[-1]
    assert acs_stub.KEY not in shown and password not in shown
    assert "Signature=" not in shown


# notify --test, --backup

def test_test_message(tool, acs, small_database):
    result = tool.ok("notify", "--test")
    assert sorted(acs.recipients()) == ADMINS
    assert set(subjects(acs)) == {"📧 Database Backup Test Message"}
    assert mails(small_database, "status, subject") == [
        ("sent", "📧 Database Backup Test Message")] * 2
    assert result.out == "sent 2, pending 0, failed 0\n"
    assert "Test message sent to 2 admin(s)" in result.err


def test_test_message_is_sent_each_time(to_one, acs):
    to_one.ok("notify", "--test")
    to_one.ok("notify", "--test", "--json")
    assert len(acs.messages) == 2


def test_test_message_that_cannot_go_is_an_error(to_one, acs, small_database):
    """It is not kept for later, either."""
    acs.every_send = REFUSED
    result = to_one.run("notify", "--test")
    assert result.code == 1
    assert "Forbidden" in result.err and "1 notification(s) were not sent" in result.err
    acs.every_send = None
    to_one.ok("notify")
    assert (acs.messages, mails(small_database)) == ([], ["failed"])


def test_test_message_leaves_what_waits(to_one, acs, small_database):
    acs.every_send = REFUSED
    tick(to_one, code=3)
    acs.every_send = None
    to_one.ok("notify", "--test")
    assert len(acs.messages) == 1
    assert sorted(mails(small_database)) == ["pending", "sent"]


@pytest.mark.parametrize("settings, reason", [
    ({"ACS_CONNECTION_STRING": None}, "ACS_CONNECTION_STRING is not set"),
    ({"ACS_SENDER_ADDRESS": None}, "ACS_SENDER_ADDRESS is not set"),
    ({"ACS_CONNECTION_STRING": "nonsense"}, "ACS_CONNECTION_STRING"),
    ({"RYTHM_BACKUP_NOTIFY_TO": ","}, "nobody would be notified"),
])
def test_test_message_without_the_means(tool, small_database, settings, reason):
    result = tool.with_settings(**settings).run("notify", "--test")
    assert result.code == 2
    assert reason in result.err
    assert mails(small_database) == []


def test_backup_is_told_again(to_one, acs, small_database):
    name = to_one.ok("run").out.strip()
    before = fields(acs.messages[0]["content"]["plainText"])
    to_one.ok("notify", "--backup", name)
    assert subjects(acs) == [GOOD, GOOD]
    again = fields(acs.messages[1]["content"]["plainText"])
    for label in ("Backup ID", "Backup", "Database", "Size"):
        assert again[label] == before[label]
    assert mails(small_database) == ["sent", "sent"]


def test_failure_is_told_again(to_one, acs, small_database):
    tick(failing(to_one), code=1)
    name = small_database.value("SELECT backup_filename FROM backup_history")
    to_one.ok("notify", "--backup", name)
    assert subjects(acs) == [BAD, BAD]
    assert "it is broken" in fields(acs.messages[1]["content"]["plainText"])["Error"]


def test_backup_of_the_old_service_is_told(to_one, acs, small_database):
    """Its row has none of our columns."""
    small_database.execute(
        "INSERT INTO backup_history (backup_filename, backup_type, status, file_size_bytes,"
        " duration_seconds) VALUES ('old.sql', 'manual', 'completed', 2048, 7)")
    to_one.ok("notify", "--backup", "old.sql")
    told = fields(acs.messages[0]["content"]["plainText"])
    assert (told["Backup"], told["Size"], told["Duration"]) == ("old.sql", "2.0 KB", "7s")


def test_unknown_backup(to_one, acs):
    result = to_one.run("notify", "--backup", "nothing.sql")
    assert result.code == 2
    assert "backup_history has no backup 'nothing.sql'" in result.err
    assert acs.messages == []


def test_backup_that_is_still_being_made(to_one, acs, small_database):
    small_database.execute("INSERT INTO backup_history (backup_filename, backup_type, status)"
                           " VALUES ('now.sql', 'manual', 'started')")
    result = to_one.run("notify", "--backup", "now.sql")
    assert result.code == 2
    assert "still being made" in result.err


def test_test_and_backup_do_not_go_together(to_one):
    assert to_one.run("notify", "--test", "--backup", "x").code == 2


def test_notify_does_not_need_a_store(to_one, acs):
    tool = to_one.with_settings(RYTHM_BACKUP_STORES="file:///proc/no/such/folder")
    tool.ok("notify", "--test")
    assert len(acs.messages) == 1


def test_silent_tick_asks_nobody(to_one, acs):
    tick(to_one)
    before = len(acs.requests)
    result = tick(to_one, at="2026-03-01 03:30:00Z")
    assert (result.out, result.err, len(acs.requests)) == ("", "", before)

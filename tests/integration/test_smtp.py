"""E-mail through a server that speaks SMTP: a real one takes it, and Python's parser reads it."""

import email.utils
import urllib.parse

import pytest

import backups
import processes
import smtp_server
from sandbox import Sandbox
from smtp_server import HOST, PASSWORD, USER, SmtpServer

# aiosmtpd warns of what some tests are about: a login without TLS.
pytestmark = [pytest.mark.filterwarnings("ignore:Requiring AUTH:UserWarning"),
              pytest.mark.filterwarnings("ignore:Session.login_data:DeprecationWarning")]

SENDER = "backups@rythm.example"
TICK = "2026-03-01 02:00:10Z"
LOGIN = f"{urllib.parse.quote(USER, safe='')}:{urllib.parse.quote(PASSWORD, safe='')}@"


@pytest.fixture(scope="session")
def certificate(folder):
    return smtp_server.make_certificate(folder)


@pytest.fixture
def start(certificate):
    """A function: a server of this kind."""
    started = []

    def start_one(**options):
        started.append(SmtpServer(certificate, **options))
        return started[-1]

    yield start_one
    for server in started:
        server.stop()


@pytest.fixture
def base(make_tool, small_database, file_store):
    backups.enable(small_database)
    return make_tool(small_database, file_store, RYTHM_BACKUP_ENGINE="pg_dump",
                     SMTP_SENDER_ADDRESS=SENDER, RYTHM_BACKUP_NOTIFY_TO="ada@rythm.example")


def mails(database, columns="status"):
    return database.execute(f"SELECT {columns} FROM email_logs ORDER BY to_address")


def through(tool, server, login="", scheme="smtp", host="127.0.0.1"):
    return tool.with_settings(SMTP_URL=f"{scheme}://{login}{host}:{server.port}/client.example")


def failing(tool, text):
    program = tool.home / "failing_pg_dump"
    program.write_text('#!/bin/sh\nif [ "$1" = --version ]; then exec pg_dump --version; fi\n'
                       f"cat >&2 <<'END'\n{text}\nEND\nexit 1\n")
    program.chmod(0o755)
    return tool.with_settings(RYTHM_BACKUP_PG_DUMP=str(program))


def test_mail_of_a_good_backup(base, start, small_database):
    server = start()
    result = through(base, server).with_settings(RYTHM_BACKUP_NOTIFY_TO=None).ok(
        "check", "--now", TICK)
    assert "📧 Backup notification sent to 2 admin(s)" in result.err
    assert server.recipients() == ["ada@rythm.example", "omar@rythm.example"]
    assert {sender for sender, _, _, _ in server.envelopes} == {SENDER}
    message = server.messages[0]
    assert message["Subject"] == "✅ Database Backup Completed Successfully"
    assert message["From"].addresses[0].addr_spec == SENDER
    assert message["To"].addresses[0].addr_spec in server.recipients()
    assert message["Auto-Submitted"] == "auto-generated"
    assert email.utils.parsedate_to_datetime(message["Date"]).tzinfo is not None
    assert len(message.get_all("Message-ID")) == 1
    assert message.get_content_type() == "multipart/alternative" and not message.defects
    text, page = message.iter_parts()
    assert (text.get_content_type(), page.get_content_type()) == ("text/plain", "text/html")
    rows = mails(small_database, "status, from_address, subject, plain_text_body, html_body,"
                                 " message_id, metadata->'rythm_backup'->>'channel'")
    assert len(rows) == 2
    for row in rows:
        assert row[:3] == ("sent", SENDER, message["Subject"])
        assert row[5] in [each["Message-ID"] for each in server.messages]
        assert row[6] == "smtp"
    assert text.get_content().replace("\r\n", "\n").strip() == rows[0][3].strip()
    assert page.get_content().replace("\r\n", "\n").strip() == rows[0][4].strip()
    assert all(len(line) <= 998 for line in server.raw[0].splitlines())


def test_hostile_text(base, start):
    server = start()
    text = ("\r\n.\r\nBcc: evil@x.example\r\n\r\n--=_\r\n\x1b[2J <script>ü</script> = =3D"
            + "x" * 3000)
    result = failing(through(base, server), text).run("check", "--now", TICK)
    assert result.code == 1 and "\x1b" not in result.err
    (message,) = server.messages
    assert server.envelopes[0][1] == ["ada@rythm.example"] and message["Bcc"] is None
    text, page = [part.get_content() for part in message.iter_parts()]
    assert ". Bcc: evil@x.example --=_ [2J <script>ü</script> = =3Dxxx" in text
    assert "<script" not in page and "&lt;script&gt;ü&lt;/script&gt;" in page
    assert "\x1b" not in text + page


def test_login(base, start, small_database):
    server = start(login=True)
    through(base, server, LOGIN).ok("notify", "--test")
    assert (server.logins, server.recipients()) == ([True], ["ada@rythm.example"])
    for login in (LOGIN.replace("4711", "0815"), ""):
        result = through(base, server, login).run("notify", "--test")
        assert result.code == 1 and "check user and password in SMTP_URL" in result.err
        assert "0815" not in result.err and PASSWORD not in result.err
    assert len(server.raw) == 1
    assert PASSWORD not in str(mails(small_database, "email_logs::text"))


class Elsewhere:
    """The program where `HOST` is not this host by name, and its certificate is trusted or not."""

    def __init__(self, tool, folder, trusted):
        self.tool = tool
        self.sandbox = Sandbox()
        for name, content in (("hosts", f"127.0.0.1 {HOST}\n"),
                              ("nsswitch.conf", "hosts: files\n")):
            (folder / name).write_text(content)
            self.sandbox.add_file(folder / name, f"/etc/{name}")
        if trusted:
            self.sandbox.add_file(trusted, "/etc/ssl/certs/ca-certificates.crt")

    def test(self, url):
        return self.sandbox.run(["rythm-backup", "notify", "--test"],
                                {**self.tool.settings, "SMTP_URL": url, "LANG": "C.UTF-8"})


def test_tls_is_needed_elsewhere(base, start, certificate, tmp_path):
    """STARTTLS or smtps, with a certificate that is good; a server without gets nothing."""
    starttls, smtps, clear = start(tls="starttls", login=True), start(tls="smtps"), start()
    here = Elsewhere(base, tmp_path, certificate[0])
    assert here.test(f"smtp://{LOGIN}{HOST}:{starttls.port}").code == 0
    assert here.test(f"smtps://{HOST}:{smtps.port}").code == 0
    assert starttls.envelopes[0][2:] == (True, True)

    refused = here.test(f"smtp://{LOGIN}{HOST}:{clear.port}")
    assert refused.code == 1 and "nothing is sent to another host without TLS" in refused.err
    mistrusting = Elsewhere(base, tmp_path, None)
    for url in (f"smtp://{LOGIN}{HOST}:{starttls.port}", f"smtps://{HOST}:{smtps.port}"):
        refused = mistrusting.test(url)
        assert refused.code == 1 and "certificate" in refused.err
    assert [len(server.raw) for server in (starttls, smtps, clear)] == [1, 1, 0]
    assert (starttls.logins, clear.logins) == ([True], [])


def test_what_the_server_refuses(base, start, small_database):
    """One of several; for now; for good."""
    server = start()
    server.rcpt_answers = {"bad@rythm.example": "550 5.1.1 no such user",
                           "later@rythm.example": "451 4.3.0 try again"}
    tool = through(base, server).with_settings(
        RYTHM_BACKUP_NOTIFY_TO="ada@rythm.example,bad@rythm.example,later@rythm.example")
    result = tool.run("check", "--now", TICK)
    assert result.code == 3 and "the server says: 550 5.1.1 no such user" in result.err
    assert server.recipients() == ["ada@rythm.example"]
    assert mails(small_database, "to_address, status") == [
        ("ada@rythm.example", "sent"), ("bad@rythm.example", "failed"),
        ("later@rythm.example", "pending")]
    server.rcpt_answers = {}
    server.data_answers = ["452 4.3.1 full"]
    assert tool.run("check", "--now", "2026-03-01 02:01:10Z").code == 3
    tool.ok("check", "--now", "2026-03-01 02:05:10Z")
    assert server.recipients() == ["ada@rythm.example", "later@rythm.example"]


def test_secret_that_lies_across_the_cut_of_an_answer(base, start, certificate, small_database):
    """300 bytes are kept of what the server says."""
    server = start(login=True)
    server.rcpt_answers = {"ada@rythm.example": "550 " + "x" * 285 + PASSWORD + " is no password"}
    result = through(base, server, LOGIN).run("check", "--now", TICK)
    assert result.code == 3 and "the server says: 550 xxx" in result.err
    ((error,),) = mails(small_database, "error_message")
    assert "the server says: 550 xxx" in error
    for shown in (result.err, error):
        assert PASSWORD[:4] not in shown


def test_server_down(base, start, small_database):
    server = start()
    tool = through(base, server)
    server.stop()
    result = tool.run("check", "--now", TICK)
    assert result.code == 3 and "goes with the next check" in result.err
    assert mails(small_database) == [("pending",)]


def test_server_that_hangs_up_on_one(base, start, small_database):
    """The others go with the next check, for it does not begin with that one again."""
    server = start()
    server.rcpt_hang_ups = {"ada@rythm.example"}
    tool = through(base, server).with_settings(
        RYTHM_BACKUP_NOTIFY_TO="ada@rythm.example,eve@rythm.example,omar@rythm.example")
    result = tool.run("check", "--now", TICK)
    assert result.code == 3
    assert "2 more notification(s) by e-mail (SMTP) not tried just now" in result.err
    assert mails(small_database, "status, error_message IS NULL") == [
        ("pending", False), ("pending", True), ("pending", True)]
    assert tool.run("check", "--now", "2026-03-01 02:01:10Z").code == 3
    assert server.recipients() == ["eve@rythm.example", "omar@rythm.example"]
    assert mails(small_database) == [("pending",), ("sent",), ("sent",)]


def test_test_messages_are_not_kept_for_later(base, start, small_database):
    server = start()
    server.stop()
    tool = through(base, server).with_settings(
        RYTHM_BACKUP_NOTIFY_TO="ada@rythm.example,eve@rythm.example")
    result = tool.run("notify", "--test")
    assert (result.code, result.out) == (1, "sent 0, pending 0, failed 2\n")
    ((first, tried), (second, untried)) = mails(
        small_database, "error_message, metadata#>>'{rythm_backup,attempts}'")
    assert second == f"not tried, because nothing else gets through: {first}"
    assert (tried, untried) == ("1", "0")
    assert mails(small_database) == [("failed",), ("failed",)]


def test_kill_before_the_answer(base, start, small_database):
    """SMTP has no way to ask: it may come twice, with the same Message-ID."""
    server = start()
    server.hold_s = 1
    process = through(base, server).start("check", "--now", TICK)
    processes.wait_until(lambda: server.raw, "the server has the mail")
    process.kill()
    base.finish(process)
    server.hold_s = 0
    assert mails(small_database) == [("pending",)]
    through(base, server).ok("check", "--now", "2026-03-01 02:01:10Z")
    assert mails(small_database) == [("sent",)]
    assert len({message["Message-ID"] for message in server.messages}) == 1


@pytest.mark.parametrize("settings, reason", [
    ({"SMTP_URL": "mail.example.org:25"}, "SMTP_URL: it does not begin with smtp:// or smtps://"),
    ({"SMTP_URL": "smtp://"}, "it has no host"),
    ({"SMTP_URL": "smtp://user@mail.example.org"}, "a user without a password"),
    ({"SMTP_URL": "smtp://user:s3cret%zz@mail.example.org"}, "not percent-encoded"),
    ({"SMTP_URL": "smtp://user:s3cret%0d%0aX@mail.example.org"}, "not percent-encoded"),
    ({"SMTP_URL": "smtp://user:s3cret@mail.example.org:99999"}, "the port is not a number"),
    ({"SMTP_URL": "smtp://user:s3cret@mail.example.org/a b"}, "a blank"),
    ({"SMTP_URL": "smtp://user:s3cret@mail.example.org?x=1"}, "a '?'"),
    ({"SMTP_SENDER_ADDRESS": "Backups <backups@rythm.example>"}, "is not an e-mail address alone"),
    ({"SMTP_SENDER_ADDRESS": None}, "no notification by e-mail (SMTP): SMTP_SENDER_ADDRESS is not"),
])
def test_setting_that_is_wrong(base, settings, reason):
    tool = base.with_settings(SMTP_URL="smtp://127.0.0.1:1").with_settings(**settings)
    result = tool.run("notify", "--test")
    assert result.code == 2 and reason in result.err
    assert "s3cret" not in result.err

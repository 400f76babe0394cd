"""What users get wrong and machines do to them: one clear line, nothing half-done."""

import contextlib
import fcntl
import hashlib
import os
import re
import resource
import signal
import socket
import sys
import termios

import acs_stub
import azurite
import pg_dumps
import postgres_cluster
import processes
import pytest
from tables import at, enable, history, statuses

COMMANDS = ["check", "run", "list", "prune", "notify", "migrate"]
CANARY = "canary-Zq9"


def refused(result, code=2):
    """The one line that a refusal consists of, without its mark."""
    assert result.code == code, result.err
    assert result.out == "" and result.err.count("\n") == 1, result.err
    assert result.err.startswith("❌ ") or result.err.startswith("[error] "), result.err
    return result.err.partition(" ")[2].rstrip("\n")


@pytest.fixture
def configured(tool, tmp_path):
    """A function: the tool with a configuration file of this content."""
    def configure(content, mode=0o600):
        path = tmp_path / "backup.conf"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)
        return lambda *arguments: tool.run("--config", path, *arguments)
    return configure


# The command line

@pytest.mark.parametrize("arguments, line", [
    ((), "no command given; see rythm-backup --help"),
    (("bakup",), "there is no command 'bakup'; see rythm-backup --help"),
    (("",), "there is no command ''; see rythm-backup --help"),
    (("--bogus", "check"), "unknown option '--bogus'; see rythm-backup --help"),
    (("check", "--bogus"), "unknown option '--bogus'; see rythm-backup check --help"),
    (("check", "-x"), "unknown option '-x'; see rythm-backup check --help"),
    (("check", "--quiet", "-xq"), "unknown option '-x'; see rythm-backup check --help"),
    (("check", "--dry-run=yes"), "unknown option '--dry-run=yes'; see rythm-backup check --help"),
    (("list", "--dry-run"), "unknown option '--dry-run'; see rythm-backup list --help"),
    (("check", "--now"), "option '--now' needs an argument; see rythm-backup check --help"),
    (("check", "-d"), "option '-d' needs an argument; see rythm-backup check --help"),
    (("check", "now"), "check takes no argument 'now'; see rythm-backup check --help"),
    (("check", "--", "--json"), "check takes no argument '--json'; see rythm-backup check --help"),
    (("run", "a", "b"), "run takes no argument 'b'; see rythm-backup run --help"),
    (("check", "-d", "A", "-d", "B"), "option '--database' is given twice"),
    (("--database=A", "check", "-dA"), "option '--database' is given twice"),
])
def test_command_line(make_tool, arguments, line):
    assert refused(make_tool().run(*arguments)) == line


def test_control_characters_in_an_argument_are_shown_harmless(make_tool):
    line = refused(make_tool().run("x\n\x1b[2Jy"))
    assert "\x1b" not in line and "x" in line


def test_options_may_stand_anywhere(tool):
    for arguments in (("--quiet", "check", "--json"), ("check", "--json", "-q"),
                      ("-q", "--log-format=json", "check", "--json", "--")):
        assert tool.ok(*arguments).json["runs"] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(make_tool, command):
    result = make_tool(DATABASE_URL="nowhere").ok(command, "--help")
    assert result.out.startswith(f"Usage: rythm-backup {command} [OPTIONS]")
    assert result.err == ""


def test_help_names_commands_settings_and_exit_codes(make_tool):
    result = make_tool().ok("--help")
    for word in [*COMMANDS, "DATABASE_URL", "RYTHM_BACKUP_STORES", "AZURE_BACKUP_CONTAINER",
                 "ACS_SENDER_ADDRESS", "--log-format", "128+N"]:
        assert word in result.out, word
    assert all(len(line) <= 100 for line in result.out.splitlines())


def test_version(make_tool):
    result = make_tool().ok("--version")
    assert result.out.startswith("rythm-backup ") and result.out.count("\n") == 1


# Settings

@pytest.mark.parametrize("name, value, reason", [
    ("RYTHM_BACKUP_UPLOADS", "0", "is not a whole number from 1 to 32"),
    ("RYTHM_BACKUP_UPLOADS", "33", "is not a whole number from 1 to 32"),
    ("RYTHM_BACKUP_UPLOADS", "4x", "is not a whole number from 1 to 32"),
    ("RYTHM_BACKUP_UPLOADS", "99999999999999999999", "is not a whole number from 1 to 32"),
    ("RYTHM_BACKUP_KEEP_MIN", "0", "is not a whole number from 1 to 100000"),
    ("RYTHM_BACKUP_KEEP_MIN", "-3", "is not a whole number from 1 to 100000"),
    ("RYTHM_BACKUP_CATCH_UP", "59s", "is not a time from 60s to 86400s; write 90, 90s, 15m, 2h"),
    ("RYTHM_BACKUP_CATCH_UP", "2d", "is not a time from 60s to 86400s"),
    ("RYTHM_BACKUP_LOCK_TIMEOUT", "0", "is not a time from 1s to 86400s"),
    ("RYTHM_BACKUP_STALL_TIMEOUT", "soon", "is not a time from 1s to 86400s"),
    ("RYTHM_BACKUP_CONNECT_TIMEOUT", "1 h", "is not a time from 1s to 3600s"),
    ("RYTHM_BACKUP_RETRY_TIMEOUT", "-1", "is not a time from 1s to 86400s"),
    ("RYTHM_BACKUP_LOG_FORMAT", "xml", "is none of text|json"),
])
def test_setting(tool, name, value, reason):
    line = refused(tool.with_settings(**{name: value}).run("check"))
    assert line.startswith(f"environment: {name} = '{value}' {reason}")


@pytest.mark.parametrize("value", ["lz4", "zstd:0", "zstd:20", "zstd:", "zstd:x", "gzip:10",
                                   "gzip:-1", "none:1", "ZSTD:3 "])
def test_compression(tool, value):
    line = refused(tool.with_settings(RYTHM_BACKUP_COMPRESSION=value).run("check"))
    assert "RYTHM_BACKUP_COMPRESSION" in line and value in line


def test_option_with_a_bad_value(tool):
    line = refused(tool.run("--log-format", "xml", "check"))
    assert line == "option --log-format: RYTHM_BACKUP_LOG_FORMAT = 'xml' is none of text|json"


def test_an_empty_setting_is_unset(tool):
    tool.with_settings(RYTHM_BACKUP_UPLOADS="", RYTHM_BACKUP_LOG_FORMAT="").ok("check")


# The configuration file

@pytest.mark.parametrize("content, line", [
    ("# fine\n\nACS_SENDER_ADDRESS = a@b.example\nno equals sign\n",
     "line 4: not of the form NAME=VALUE"),
    ("RYTHM_BACKUP_KEEPMIN=3\n",
     "line 1: there is no setting RYTHM_BACKUP_KEEPMIN; rythm-backup --help lists them"),
    ("\n\nRYTHM_BACKUP_KEEP_MIN=none\n",
     "line 3: RYTHM_BACKUP_KEEP_MIN = 'none' is not a whole number from 1 to 100000"),
    ("RYTHM_BACKUP_LOG_FORMAT='xml'\r\n",
     "line 1: RYTHM_BACKUP_LOG_FORMAT = 'xml' is none of text|json")])
def test_line_of_the_configuration_file(configured, tmp_path, content, line):
    assert refused(configured(content)("check")) == (
        f"configuration file {tmp_path}/backup.conf, {line}")


def test_line_with_a_secret_is_not_shown(configured):
    line = refused(configured(f"password {CANARY}\n")("check"))
    assert CANARY not in line


def test_configuration_file_that_is_missing(tool, tmp_path):
    line = refused(tool.run("--config", tmp_path / "none", "check"))
    assert line == f"configuration file {tmp_path}/none does not exist"


def test_configuration_file_that_is_a_folder(tool, tmp_path):
    assert "is not a regular file" in refused(tool.run("--config", tmp_path, "check"))


def test_configuration_file_that_is_a_fifo(tool, tmp_path):
    """Opening it must not wait for a writer."""
    os.mkfifo(tmp_path / "fifo")
    assert "is not a regular file" in refused(
        tool.run("--config", tmp_path / "fifo", "check", timeout=20))


def test_configuration_file_with_a_nul(configured):
    line = refused(configured(b"RYTHM_BACKUP_UPLOADS=4\0\n")("check"))
    assert line.endswith("backup.conf holds a NUL byte")


def test_configuration_file_that_is_too_long(configured):
    assert "longer than the 262144 bytes allowed" in refused(configured("#" * 300000)("check"))


@pytest.mark.parametrize("mode, content, problem", [
    (0o644, "DATABASE_URL=postgresql://h/x\n", "holds a secret and can be read by everyone"),
    (0o602, "RYTHM_BACKUP_UPLOADS=4\n", "can be changed by everyone")])
def test_configuration_file_open_to_everyone(configured, tmp_path, mode, content, problem):
    path = tmp_path / "backup.conf"
    assert refused(configured(content, mode)("check")) == (
        f"configuration file {path} {problem} (mode 0{mode:o}); chmod 600 {path}")


def test_configuration_file_without_a_secret_may_be_read(configured):
    assert configured("RYTHM_BACKUP_UPLOADS=4\n", 0o644)("check").code == 0


def test_configuration_file_may_serve_the_application_too(configured):
    assert configured("PORT=3000\nNODE_ENV = \"production\"\n")("check").code == 0


def test_option_wins_over_environment_and_environment_over_file(tool, tmp_path):
    (tmp_path / "conf").write_text("RYTHM_BACKUP_COMPRESSION=lz4\nRYTHM_BACKUP_LOG_FORMAT=json\n")
    environment = tool.with_settings(RYTHM_BACKUP_COMPRESSION="gzip")
    name = environment.ok("--config", "conf", "run", "--no-notify").out
    assert name.endswith(".sql.gz\n")
    option = environment.ok("--config", "conf", "run", "--no-notify", "--compression=none")
    assert option.out.endswith(".sql\n") and option.events


# Stores

@pytest.mark.parametrize("url, reason", [
    ("ftp://bucket", "'ftp://bucket' is not the URL of a store; write azblob://"),
    ("/var/backups", "'/var/backups' is not the URL of a store"),
    ("file://relative/path", "relative/path"),
    ("file://", "file:"),
    ("file:///a%zzb", "%"),
    ("file:///a,file:///b", "holds more than one URL of a store; separate them by blanks"),
    ("azblob://", "azblob:"),
    ("azblob://account", "account"),
    ("azblob://account/Bad_Name", "Bad_Name"),
    ("azblob://account/x", "'x'"),
    ("azblob://account/con--tainer", "con--tainer"),
    (f"azblob://account/container?sig={CANARY}", "azblob://account/container"),
])
def test_store_url(tool, url, reason):
    line = refused(tool.with_settings(RYTHM_BACKUP_STORES=url).run("list"))
    assert reason in line and CANARY not in line


@pytest.mark.parametrize("container", ["Bad_Name", "ab", "a" * 64, "-abc", "abc-", "a--b", "a/b",
                                       "a b", "$root?x"])
def test_container(tool, container):
    bad = tool.with_settings(RYTHM_BACKUP_STORES=None, AZURE_BACKUP_CONTAINER=container,
                             AZURE_STORAGE_CONNECTION_STRING="UseDevelopmentStorage=true")
    assert container in refused(bad.run("list"))


# The database

MALFORMED = {
    "percent": f"postgresql://u:{CANARY}%zz@127.0.0.1/x",
    "bracket": f"postgresql://u:{CANARY}@[::1/x",
    "slash": f"postgresql://u:{CANARY}/s3@127.0.0.1/x",
    "slash first": f"postgresql://u:s3/{CANARY}@127.0.0.1/x",
    "at": f"postgresql://u:{CANARY}@s3@127.0.0.1/x",
    "at first": f"postgresql://u:s3@{CANARY}@127.0.0.1/x",
    "port": f"postgresql://u:s3@127.0.0.1:{CANARY}/x",
    "colon": f"postgresql://u:s3@127.0.0.1:5432:{CANARY}/x",
    "parameter": f"postgresql://127.0.0.1/x?pasword={CANARY}",
    "no equals": f"postgresql://127.0.0.1/x?{CANARY}",
    "scheme": f"postgress://u:{CANARY}@127.0.0.1/x",
    "one slash": f"postgresql:/u:{CANARY}@127.0.0.1/x",
    "blank before": f" postgresql://u:{CANARY}@127.0.0.1/x",
    "blank within": f"host=127.0.0.1 password=s3 {CANARY}",
    "quote": f"host=127.0.0.1 password='{CANARY}",
    "backslash": f"host=127.0.0.1 password='{CANARY}\\'",
    "keyword": f"host=127.0.0.1 pasword={CANARY}",
    "keyword port": f"host=127.0.0.1 port={CANARY}",
}


@pytest.mark.parametrize("url", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_database_url(tool, url):
    """libpq's own messages show the password, or the piece that it took for a host or a port."""
    line = refused(tool.with_settings(DATABASE_URL=url).run("check"))
    assert CANARY not in line and "s3" not in line
    assert line.startswith("reading DATABASE_URL: ") and "(its value is not shown)" in line


@pytest.mark.parametrize("url", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_database_option(tool, url):
    line = refused(tool.run("migrate", "-d", url))
    assert CANARY not in line


@pytest.mark.parametrize("parameter", ["sslmode", "target_session_attrs", "channel_binding"])
def test_bad_connection_parameter(tool, parameter):
    """libpq's message names it; the rest of the URL stays hidden."""
    url = f"postgresql://u:{CANARY}@127.0.0.1:1/x?{parameter}=wrong"
    result = tool.with_settings(DATABASE_URL=url).run("check")
    assert result.code in (1, 2) and CANARY not in result.err
    assert parameter in result.err and "wrong" in result.err


def test_server_that_is_not_there(tool):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"postgresql://u:{CANARY}@127.0.0.1:{port}/x"
    line = refused(tool.with_settings(DATABASE_URL=url).run("check", timeout=30), code=1)
    assert line.startswith("connecting to Postgres: ") and CANARY not in line
    assert "127.0.0.1" in line and str(port) in line and "Connection refused" in line


def test_server_that_does_not_answer(tool):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        tool = tool.with_settings(DATABASE_URL=f"postgresql://127.0.0.1:{port}/x",
                                  RYTHM_BACKUP_CONNECT_TIMEOUT="1s")
        line = refused(tool.run("check", timeout=30), code=1)
    assert line == f"connecting to Postgres at 127.0.0.1, port {port}: no answer within 1 s"


def test_server_that_falls_silent(make_tool, cluster, database, file_store, postgres_proxy):
    """In the middle of the handshake."""
    postgres_proxy.frozen.set()
    tool = make_tool(file_store, DATABASE_URL=cluster.url(database.name, port=postgres_proxy.port),
                     RYTHM_BACKUP_CONNECT_TIMEOUT="1s")
    assert "no answer within 1 s" in refused(tool.run("check", timeout=30), code=1)


def test_wrong_password(tool, cluster, database):
    url = cluster.url(database.name, password=CANARY)
    line = refused(tool.with_settings(DATABASE_URL=url).run("check"), code=1)
    assert line.endswith('FATAL: password authentication failed for user "postgres"')
    assert CANARY not in line


def test_missing_database(tool, cluster):
    line = refused(tool.with_settings(DATABASE_URL=cluster.url("nowhere")).run("check"), code=1)
    assert line.endswith('FATAL: database "nowhere" does not exist')


@pytest.fixture
def libpq_settings(cluster):
    """Where the server is, in libpq's own variables, as for a bare name after -d."""
    return {"PGHOST": "127.0.0.1", "PGPORT": str(cluster.port), "PGUSER": "postgres",
            "PGPASSWORD": postgres_cluster.PASSWORD}


@pytest.mark.parametrize("setting", [False, True])
def test_name_of_the_database_is_no_secret(make_tool, libpq_settings, setting):
    tool = make_tool(**libpq_settings)
    name = "prod-which-is-not-there"
    if setting:
        result = tool.with_settings(DATABASE_URL=name).run("check")
    else:
        result = tool.run("check", "-d", name)
    assert refused(result, code=1).endswith(f'FATAL: database "{name}" does not exist')


def test_no_rights(tool, database, role):
    _, url = role(database)
    line = refused(tool.with_settings(DATABASE_URL=url).run("check"))
    assert re.match(r"asking whether anything is due: Postgres says: permission denied for table"
                    r" \w+; see PRIVILEGES in the manual page", line)
    line = refused(tool.with_settings(DATABASE_URL=url).run("check", "--dry-run"))
    assert re.match(r"reading the schedules: Postgres says: permission denied for table \w+;"
                    r" see PRIVILEGES in the manual page", line)


def test_no_right_to_write_the_ledger(tool, database, role, file_store):
    _, url = role(database, "GRANT pg_read_all_data TO {role}", attributes="BYPASSRLS")
    line = refused(tool.with_settings(DATABASE_URL=url).run("run"))
    assert line.startswith("claiming the run in backup_history: Postgres says: permission denied"
                           " for table backup_history; see PRIVILEGES in the manual page")
    assert file_store.list() == [] and history(database) == []


# Where output goes

def shell(redirection):
    """Starts the program with this redirection."""
    return {"prefix": ("sh", "-c", f'exec "$0" "$@" {redirection}')}


@pytest.fixture
def backed_up(tool):
    tool.ok("run", "--no-notify")
    return tool


@pytest.mark.parametrize("command", [("list",), ("list", "--json"), ("--version",),
                                     ("check", "--dry-run")])
@pytest.mark.parametrize("redirection, reason", [
    (">&-", "Bad file descriptor"), (">/dev/full", "No space left on device")])
def test_stdout_that_takes_nothing(backed_up, command, redirection, reason):
    line = refused(backed_up.run(*command, **shell(redirection)), code=1)
    assert line == f"writing to standard output: {reason}"


def test_dump_to_stdout_that_takes_nothing(tool):
    line = refused(tool.run("run", "--output", "-", **shell(">/dev/full")), code=1)
    assert "standard output" in line and "No space left on device" in line


@pytest.fixture
def full_pipe(tool):
    """A function: starts a dump into a pipe that nobody reads, and waits until it is full."""
    ends = os.pipe()
    fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, 4096)
    started = []

    def held():
        count = fcntl.ioctl(ends[0], termios.FIONREAD, b"\0" * 4)
        return int.from_bytes(count, sys.byteorder)

    def fill(**settings):
        process = tool.with_settings(**settings).start("run", "--output", "-", stdout=ends[1])
        started.append(process)
        processes.wait_until(lambda: held() == 4096, "the pipe is full")
        return process

    yield fill
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
    for end in ends:
        os.close(end)


def test_reader_that_stands_still(tool, full_pipe):
    result = tool.finish(full_pipe(RYTHM_BACKUP_STALL_TIMEOUT="2s"), timeout=20)
    assert refused(result, code=1) == "dumping the database: standard output: no answer within 2 s"


@pytest.mark.parametrize("sig, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_while_the_reader_stands_still(tool, full_pipe, sig, code):
    process = full_pipe()
    process.send_signal(sig)
    assert f"stopped by {sig.name}" in refused(tool.finish(process, timeout=20), code)


def test_backup_whose_name_cannot_be_printed_is_good(tool, database, file_store):
    result = tool.run("run", "--no-notify", **shell(">/dev/full"))
    assert result.code == 3
    assert "writing to standard output" in result.err and "the backup is good" in result.err
    assert statuses(database) == ["completed"] and len(file_store.list()) == 1


@pytest.mark.parametrize("command, reason", [
    (("--version",), "writing to standard output: Broken pipe"),
    (("migrate", "--print"), "writing to standard output failed; is the disk full, or its reader"
                             " gone?")])
def test_reader_that_goes_away(tool, command, reason):
    """`rythm-backup ... | head -0`: an error, not a death by SIGPIPE."""
    reading, writing = os.pipe()
    os.close(reading)
    process = tool.start(*command, stdout=writing)
    os.close(writing)
    assert refused(tool.finish(process), code=1) == reason


@pytest.mark.parametrize("redirection", ["2>&-", "<&-", ">&- 2>&- <&-", "2>/dev/full"])
def test_closed_descriptors_end_up_in_no_file(tool, database, file_store, redirection):
    """The store's file would otherwise be given the number of stderr, and take the log."""
    enable(database)
    tool.ok("check", *at("02:00:10"), **shell(redirection))
    (stored,) = file_store.list()
    assert hashlib.sha256(file_store.read(stored.name)).hexdigest() == stored.metadata["sha256"]
    assert statuses(database) == ["completed"]


# A full disk

def with_room_for(size):
    """For Popen: no file may grow beyond this, as on a disk with so much room."""
    return {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))}


@pytest.mark.parametrize("room", [0, 60_000])
def test_full_disk(tool, database, file_store, room):
    result = tool.run("run", "--no-notify", **with_room_for(room))
    assert result.code == 1
    assert "File too large" in result.err and str(file_store.folder) in result.err
    assert statuses(database) == ["failed"]
    assert "File too large" in history(database)[0]["error_message"]
    assert file_store.list() == [] and file_store.leftovers() == []


def test_full_disk_under_output(tool, tmp_path):
    line = refused(tool.run("run", "--output", "copy", **with_room_for(60_000)), code=1)
    assert "copy" in line and "File too large" in line
    assert [path for path in tmp_path.iterdir() if path.name.startswith("copy")] == []


def test_full_device_under_output(tool):
    line = refused(tool.run("run", "--output", "/dev/full"), code=1)
    assert "/dev/full" in line and "No space left on device" in line


def test_folder_that_cannot_be_made(tool, database, tmp_path):
    (tmp_path / "file").write_text("")
    bad = tool.with_settings(RYTHM_BACKUP_STORES=f"file://{tmp_path}/file/backups")
    result = bad.run("run", "--no-notify")
    assert result.code in (1, 2) and f"{tmp_path}/file" in result.err
    assert statuses(database) == ["failed"]


# Secrets (I9)

@contextlib.contextmanager
def standing_still(tool, tmp_path, *arguments, **settings):
    """The program, while its pg_dump waits; (its process id, the child's)."""
    gate = pg_dumps.gate_before(tmp_path)
    process = tool.with_settings(**gate.settings, **settings).start("run", *arguments)
    child = gate.reached()
    yield process.pid, child
    gate.open()
    assert tool.finish(process).code == 0


def words(pid, file):
    with open(f"/proc/{pid}/{file}", "rb") as lines:
        return lines.read().split(b"\0")


@pytest.mark.parametrize("form", [("-d", "{}"), ("-d{}",), ("--database", "{}"),
                                  ("--database={}",)])
def test_password_in_no_command_line(tool, database, tmp_path, form):
    arguments = [word.format(database.url) for word in form]
    tool = tool.with_settings(DATABASE_URL=None)
    with standing_still(tool, tmp_path, "--no-notify", *arguments) as (pid, child):
        for process in (pid, child):
            line = b" ".join(words(process, "cmdline"))
            assert line and postgres_cluster.PASSWORD.encode() not in line


def test_child_has_only_the_secret_it_needs(make_tool, database, azure_store, acs, tmp_path):
    acs.running_polls = 0
    tool = make_tool(database, azure_store, acs, SOMETHING="else")
    with standing_still(tool, tmp_path, "--no-notify") as (_, child):
        environment = words(child, "environ")
    text = b"\n".join(environment).decode()
    assert f"PGPASSWORD={postgres_cluster.PASSWORD}" in text and "SOMETHING=else" in text
    for secret in (azurite.KEY, acs_stub.KEY, "AZURE_STORAGE_CONNECTION_STRING=",
                   "ACS_CONNECTION_STRING=", "DATABASE_URL="):
        assert secret not in text


def test_no_core_file(tool, tmp_path):
    with standing_still(tool, tmp_path, "--no-notify") as (pid, _):
        with open(f"/proc/{pid}/limits") as limits:
            (core,) = [line for line in limits if line.startswith("Max core file size")]
    assert core.split()[4:6] == ["0", "0"]


@pytest.mark.parametrize("settings", [
    {"LD_BIND_NOW": "1"}, {"http_proxy": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1",
                           "ALL_PROXY": "http://127.0.0.1:1"},
    {"CURL_CA_BUNDLE": "/nowhere"}, {"PGOPTIONS": "-c search_path=public"}])
def test_foreign_environment_does_not_matter(make_tool, database, azure_store, settings):
    make_tool(database, azure_store, **settings).ok("run", "--no-notify")
    assert statuses(database) == ["completed"]

"""No secret anywhere: canaries in every credential, and all that comes out is looked through.

Every command runs with every way to give a password, and in many ways to fail. Looked through are
stdout and stderr, the arguments of every process (each execve, and /proc/*/cmdline all the time),
the database, the server's log of all statements, the mails, the stores, and what is left in
folders, cores above all. A canary is then planted in each of these places, in each spelling, and
must be found there.
"""

import base64
import collections
import concurrent.futures
import contextlib
import hashlib
import hmac
import http.server
import itertools
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import threading
import urllib.parse
from dataclasses import dataclass, field

import processes
import services
from acs_stub import AcsStub, Answer
from arena import Arena
from azurite import ACCOUNT, KEY, SECOND_ACCOUNT
from canaries import (PASSWORD, WRONG_ACS_KEY, WRONG_KEY, WRONG_PASSWORD, WRONG_SIGNATURE, Canaries,
                      in_folder, spellings, unpacked)
from cases import case
from judge import Verdict
from stores import AzureStore

ROLE = "canary"
SETTINGS = {"RYTHM_BACKUP_CONNECT_TIMEOUT": "1s", "RYTHM_BACKUP_RETRY_TIMEOUT": "1s",
            "RYTHM_BACKUP_STALL_TIMEOUT": "5s"}
SAMPLE_S = 0.02
# The ways to log; each task takes the next.
LOGS = (("-v",), ("--log-format=json", "-v"), (), ("LC_ALL=C", "-v"))

# Of each command: what is run of it. One that is missing here is a finding.
COMMANDS = {
    "check": (["check"], ["check", "--dry-run", "--json"], ["check", "--now", "{day} 02:00:10Z"]),
    "run": (["run"], ["run", "--json"], ["run", "--output", "-"]),
    "list": (["list"], ["list", "--json"]),
    "prune": (["prune"], ["prune", "--dry-run", "--json"]),
    "restore": (["restore", "latest", "--output", "/dev/null"],
                ["list", "latest"]),
    "verify": (["verify", "--quick"], ["verify", "--all", "--json"]),
    "notify": (["notify"], ["notify", "--test"]),
    "migrate": (["migrate"], ["migrate", "--print"]),
    "schedule": (["schedule"], ["schedule", "show", "--next", "--json"],
                 ["schedule", "set", "--retention-days", "31"]),
    "status": (["status"], ["status", "--json"])}
ANY = (0, 1, 2, 3)
SOME = (["check", "--now", "{day} 02:00:10Z"], ["run"], ["list", "--json"], ["notify", "--test"])
BACKUPS = (["run"], ["check", "--now", "{day} 02:00:10Z"])


@dataclass
class Task:
    what: str
    arguments: list
    settings: dict = field(default_factory=dict)
    codes: tuple = (0,)      # what it may end with


def conninfo(**parts):
    """keyword='value' ..."""
    return " ".join("{}='{}'".format(name, re.sub(r"(['\\])", r"\\\1", str(value)))
                    for name, value in parts.items())


class Quoter(http.server.ThreadingHTTPServer):
    """A service that refuses everything, and repeats all secrets in what it says."""

    daemon_threads = True

    def __init__(self, status, texts):
        self.status = status
        self.texts = texts
        super().__init__(("127.0.0.1", 0), _Quoting)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]

    def handle_error(self, request, client_address):
        pass

    def stop(self):
        self.shutdown()
        self.server_close()


class _Quoting(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def _refuse(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        said = f"{self.headers.get('Authorization', '')} {self.path} " + " ".join(self.server.texts)
        escaped = said.replace("&", "&amp;").replace("<", "&lt;")
        if (any(word in self.path for word in ("comp=", "restype=", ACCOUNT, SECOND_ACCOUNT))
                or self.headers.get("Authorization", "").startswith("AWS4-")):
            body = (f"<?xml version='1.0'?><Error><Code>Denied</Code><Message>{escaped}</Message>"
                    f"<AuthenticationErrorDetail>{escaped}</AuthenticationErrorDetail></Error>")
        else:
            body = json.dumps({"error": {"code": "Denied", "message": said}})
        data = body.encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("x-ms-error-code", self.server.texts[0][:200])
        self.send_header("x-ms-request-id", self.server.texts[-1][:100])
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(b"" if self.command == "HEAD" else data)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _refuse  # noqa: N815


class Watcher:
    """Reads the arguments of all processes, all the time."""

    def __init__(self, canaries):
        self.canaries = canaries
        self.seen = set()
        self.found = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self):
        while not self._over.wait(SAMPLE_S):
            for pid in filter(str.isdigit, os.listdir("/proc")):
                with contextlib.suppress(OSError):
                    line = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
                    if line and line not in self.seen:
                        self.seen.add(line)
                        self.found.update(self.canaries.find(line))

    def stop(self):
        self._over.set()
        self._thread.join()

    def report(self):
        return [f"{secret} in {line}" for line in self.seen for secret in self.canaries.find(line)]


def shared_access(port):
    """(connection string, signature) of a SAS for the whole account (the REST reference, "Create
    an account SAS")."""
    fields = {"sv": "2021-12-02", "ss": "b", "srt": "sco", "sp": "rwdlc"}
    for second in range(60):
        fields["se"] = f"2099-01-01T00:00:{second:02}Z"
        text = "\n".join([ACCOUNT, fields["sp"], fields["ss"], fields["srt"], "", fields["se"], "",
                          "", fields["sv"], "", ""])
        signature = base64.b64encode(hmac.new(base64.b64decode(KEY), text.encode(),
                                              hashlib.sha256).digest()).decode()
        # One of which also a half can be recognised.
        if all(re.search("[A-Za-z0-9]{15}", half) for half in (signature[:22], signature[22:])):
            break
    query = urllib.parse.urlencode(fields | {"sig": signature})
    return (f"BlobEndpoint=http://127.0.0.1:{port}/{ACCOUNT};SharedAccessSignature={query}",
            signature)


class Scene:
    """What the tasks run with, and the places where secrets must not be."""

    def __init__(self, run, own):
        self.run = run
        self.arena = own
        self.lane = own.make_lane(run.kind)
        self.folder = self.lane.folder / "secrecy"
        self.folder.mkdir()
        self.cores = self.folder / "cores"
        self.cores.mkdir()
        self.arena.start_azurite()
        self.azure = AzureStore(self.arena.azurite, "secrecy", self.folder)
        self.azure.client.create("secrecy")
        self.services = services.Services(self.arena.azurite, self.folder)
        self.sas, signature = shared_access(self.arena.azurite.port)
        self.canaries = Canaries(signature)
        self.mails = []             # AcsStub
        self.quoters = []
        self.counts = itertools.count()
        self.exclusive = threading.Lock()
        self._prepare_database()
        self._write_files()

    def _prepare_database(self):
        cluster = self.arena.cluster
        cluster.execute("postgres", f"CREATE ROLE {ROLE} SUPERUSER LOGIN PASSWORD %s", PASSWORD)
        cluster.execute("postgres", f"ALTER DATABASE {self.lane.name} SET log_statement = 'all'")
        self.log_begins = cluster.log.stat().st_size

    def _write_files(self):
        """Programs and configurations of the tasks."""
        real = shutil.which("pg_dump")
        version = f'[ "$1" = --version ] && exec {real} --version\n'
        for name, script in {
                "fails": "exit 1", "dies": "kill -9 $$", "aborts": "kill -ABRT $$; sleep 5",
                "tells": 'echo "password=$PGPASSWORD $PGPASSWORD $*" >&2\nenv >&2; exit 1',
                "repeats": 'for i in 1 2 3 4 5 6 7 8 9; do for j in 1 2 3 4 5 6 7 8 9; do'
                           ' echo "$PGPASSWORD" >&2; done; done; exit 1',
                "aborts-both": "kill -ABRT $PPID $$; sleep 5",
                "remembers": f"cat /proc/$PPID/cmdline > {self.folder}/cmdline-of-us\n"
                             f"tr '\\0' ' ' < /proc/$$/cmdline > {self.folder}/cmdline-of-pg_dump\n"
                             "exit 1"}.items():
            path = self.folder / f"pg_dump-{name}"
            path.write_text(f"#!/bin/sh\n{version}{script}\n")
            path.chmod(0o755)
        self.pass_file = self.folder / "pgpass"
        self.pass_file.write_text("*:*:*:*:" + re.sub(r"([:\\])", r"\\\1", PASSWORD) + "\n")
        self.pass_file.chmod(0o600)
        # libpq takes what is behind the = as it is.
        self.service_file = self.folder / "services"
        self.service_file.write_text(f"[canary]\nhost=127.0.0.1\nport={self.port}\nuser={ROLE}\n"
                                     f"dbname={self.lane.name}\npassword={PASSWORD}\n")
        self.service_file.chmod(0o600)

    # Credentials

    @property
    def port(self):
        return self.arena.cluster.port

    def uri(self, password=PASSWORD, port=None, rest="", encode=True):
        word = urllib.parse.quote(password, safe="") if encode else password
        return f"postgresql://{ROLE}:{word}@127.0.0.1:{port or self.port}/{self.lane.name}{rest}"

    def pairs(self, password=PASSWORD, **more):
        return conninfo(host="127.0.0.1", port=self.port, user=ROLE, dbname=self.lane.name,
                        password=password, **more)

    def variables(self):
        return {"DATABASE_URL": None, "PGHOST": "127.0.0.1", "PGPORT": str(self.port),
                "PGUSER": ROLE, "PGDATABASE": self.lane.name, "PGPASSWORD": PASSWORD}

    def logins(self):
        """Every way to give a password."""
        without = re.sub(r"password=.*", "", self.pairs())
        return {"a URI": {"DATABASE_URL": self.uri()}, "key=value": {"DATABASE_URL": self.pairs()},
                "PGPASSWORD": self.variables(),
                "PGPASSFILE": {"DATABASE_URL": without, "PGPASSFILE": str(self.pass_file)},
                "a service": {"DATABASE_URL": "service=canary",
                              "PGSERVICEFILE": str(self.service_file)}}

    def stores(self):
        return {"a folder": {}, "Azure with a key": self.azure.settings | {
                    "RYTHM_BACKUP_STORES": None},
                "Azure with a SAS": self.azure_with(self.sas), **self.services.stores()}

    def azure_with(self, connection_string, container="secrecy"):
        return {"AZURE_STORAGE_CONNECTION_STRING": connection_string,
                "AZURE_BACKUP_CONTAINER": container, "RYTHM_BACKUP_STORES": None}

    def azure_at(self, port, key):
        return self.azure_with(f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};"
                               f"AccountKey={key};BlobEndpoint=http://127.0.0.1:{port}/{ACCOUNT};")

    def acs(self, answer=None):
        stub = AcsStub()
        stub.running_polls = 0
        stub.every_send = answer
        self.mails.append(stub)
        return stub

    def quoter(self, status, texts):
        self.quoters.append(Quoter(status, texts))
        return self.quoters[-1]

    def quoter_of(self, status, secret, times):
        """The port of one that says a secret, in every spelling or so many times."""
        said = [text for name, text in spellings(secret).items()
                if name != "hex" and "half" not in name]
        return self.quoter(status, said if times == 1 else [secret] * times).port

    def close(self):
        for server in [*self.mails, *self.quoters, self.services]:
            server.stop()
        self.lane.close()


# The tasks

def successes(scene):
    logins, stores = list(scene.logins().items()), list(scene.stores().items())
    number = 0
    for variants in COMMANDS.values():
        for arguments in variants:
            for _ in range(4 if arguments[0] == "run" else 2):
                login, store = logins[number % len(logins)], stores[number % len(stores)]
                number += 1
                # What status has to say may be bad: that is its exit code.
                yield Task(f"with {login[0]} and {store[0]}", arguments,
                           {**scene.services.settings, **store[1], **login[1]},
                           codes=(0, 1) if arguments[0] == "status" else (0,))
    for arguments in ([], *([name] for name in COMMANDS)):
        yield Task("", [*arguments, "--help"], scene.logins()["a URI"])


def bad_connections(scene):
    """(what, DATABASE_URL): each is wrong, and holds a password."""
    there = f"127.0.0.1:{scene.port}/{scene.lane.name}"
    word, other = re.findall("cnr[A-Za-z0-9]+", PASSWORD)[:2]
    user = f"postgresql://{ROLE}"
    far = "a-database-server-with-a-long-name.department.example.org:5432/rythm"
    return {
        "wrong password in a URI": scene.uri(WRONG_PASSWORD),
        "wrong password in pairs": scene.pairs(WRONG_PASSWORD),
        "nobody listens": scene.uri(port=processes.free_port()),
        "an unknown host": f"{user}:{word}@{word}.invalid/x",
        "TLS refused": scene.uri(rest="?sslmode=require"),
        "no such database": scene.uri() + "_missing",
        "a bad %": f"{user}:{word}%zz{other}@{there}",
        "a bad % at the end": f"{user}:{word}%@{there}",
        "an open [": f"{user}:{word}@[::1/{scene.lane.name}",
        "a / in the password": f"{user}:{word}/{other}@{there}",
        "a / and digits in the password": f"{user}:12345/{word}@{there}",
        "an @ in the password": f"{user}:{word}@{other}@{there}",
        "a ? in the password": f"{user}:{word}?{other}@{there}",
        "a # in the password": f"{user}:{word}#{other}@{there}",
        "a : in the password": f"{user}:{word}:{other}@{there}",
        "a blank in the password": scene.pairs().partition(" password=")[0]
        + f" password={word} {other}",
        "a password as port": f"{user}@127.0.0.1:{word}/x",
        "a password as option": scene.uri() + f"?{word}={other}",
        "a password as options": f"{user}@{there}?options=-c%20{word}%3D{other}&password=x",
        "no scheme": f"{ROLE}:{word}@{there}",
        "no scheme, and long": f"{ROLE}:{word}{other}@{far}",
        "no scheme, and no database": f"{ROLE}:{word}@127.0.0.1",
        "another scheme": f"mysql://{ROLE}:{word}@{there}",
        "jdbc": f"jdbc:postgresql://{there}?user={ROLE}&password={word}",
        "a misspelled scheme": f"postgressql://{ROLE}:{word}@{there}",
        "a misspelled keyword": scene.pairs().replace("password=", "passwort="),
        "an open quote": f"host=127.0.0.1 user={ROLE} password='{word} {other}",
        "an open escape": f"host=127.0.0.1 user={ROLE} password={word}\\",
        "in quotes": f"'{scene.uri()}'x",
        "two hosts with passwords": f"{user}:{word}@127.0.0.1,{ROLE}:{other}@{there}",
        "a passphrase": scene.uri() + f"?sslpassword={other}",
        "a missing service": f"service=missing password={word}",
    }


def bad_stores(scene):
    """(what, settings)"""
    blob = f"http://127.0.0.1:{scene.arena.azurite.port}/{ACCOUNT}"
    query = "sv=2022-11-02&ss=b&srt=sco&sp=rwdlc&se=2099-01-01T00:00:00Z&sig="
    wrong = urllib.parse.quote(WRONG_SIGNATURE, safe="")
    name = f"AccountName={ACCOUNT};AccountKey="
    connections = {
        "a wrong SAS": f"BlobEndpoint={blob};SharedAccessSignature={query}{wrong}",
        "an expired SAS": f"BlobEndpoint={blob};SharedAccessSignature={query}{wrong}".replace(
            "2099", "2020"),
        "a SAS in the endpoint": f"BlobEndpoint={blob}?{query}{wrong};{name}{WRONG_KEY}",
        "a SAS without its name": f"BlobEndpoint={blob};{query}{wrong}",
        "a SAS alone": f"{blob}?{query}{wrong}",
        "a password in the endpoint": f"BlobEndpoint=http://{ACCOUNT}:{wrong}@127.0.0.1/;{name}"
                                      f"{WRONG_KEY}",
        "an unknown account": f"DefaultEndpointsProtocol=https;AccountName=cnrymissing;"
                              f"AccountKey={WRONG_KEY};EndpointSuffix=blob.invalid",
        "a key that is none": f"{name}{WRONG_KEY[:-9]}!{WRONG_KEY};BlobEndpoint={blob}",
        "a key as account": f"AccountName={WRONG_KEY};AccountKey={WRONG_KEY}",
        "two keys": f"{name}{WRONG_KEY};AccountKey={WRONG_KEY}",
        "a key and a SAS": f"{name}{WRONG_KEY};SharedAccessSignature={query}{wrong}",
        "a key alone": WRONG_KEY,
        "a key without =": f"AccountName={ACCOUNT};AccountKey {WRONG_KEY}",
        "a bad protocol": f"DefaultEndpointsProtocol={WRONG_KEY};{name}{WRONG_KEY}"}
    yield "a wrong key", scene.azure_at(scene.arena.azurite.port, WRONG_KEY)
    yield "nobody listens", scene.azure_at(processes.free_port(), WRONG_KEY)
    for what, connection in connections.items():
        yield what, scene.azure_with(connection)
    for url in (f"azblob://{ACCOUNT}/secrecy?{query}{wrong}", f"{blob}/secrecy?{query}{wrong}",
                f"azblob://{ACCOUNT}:{wrong}@host/secrecy"):
        yield f"STORES = {url[:12]}... with a secret", scene.azure_at(
            scene.arena.azurite.port, WRONG_KEY) | {"RYTHM_BACKUP_STORES": url}


def bad_mails(scene):
    """(what, settings)"""
    def at(port, key):
        return {"ACS_CONNECTION_STRING": f"endpoint=http://127.0.0.1:{port}/;accesskey={key}"}

    good = scene.acs()
    yield "a wrong key (401)", at(good.port, WRONG_ACS_KEY)
    for status in (400, 403, 429, 500):
        stub = scene.acs(Answer(status=status, headers={"Retry-After": "1000"}))
        yield f"{status}", at(stub.port, WRONG_ACS_KEY) | {"ACS_CONNECTION_STRING":
                                                           stub.connection_string}
    yield "nobody listens", at(processes.free_port(), WRONG_ACS_KEY)
    for what, text in {
            "no endpoint": f"accesskey={WRONG_ACS_KEY}",
            "a key that is none": f"endpoint=http://127.0.0.1/;accesskey={WRONG_ACS_KEY}!",
            "a key alone": WRONG_ACS_KEY,
            "a key in the endpoint": f"endpoint=http://u:{WRONG_ACS_KEY}@127.0.0.1/;accesskey=x",
            "a key twice": f"accesskey={WRONG_ACS_KEY};accesskey={WRONG_ACS_KEY}"}.items():
        yield what, {"ACS_CONNECTION_STRING": text}


def failures(scene):
    good = scene.logins()["a URI"]
    some = list(SOME)
    for number, (what, url) in enumerate(bad_connections(scene).items()):
        # What libpq takes from the environment is right, so that it gets as far as it can.
        around = {name: value for name, value in scene.variables().items()
                  if name not in ("DATABASE_URL", "PGDATABASE")}
        for arguments in (some[number % len(some)], ["migrate"]):
            yield Task(f"with {what}", arguments, {**around, "DATABASE_URL": url}, ANY)
    for number, (what, settings) in enumerate(bad_stores(scene)):
        yield Task(f"with {what}", BACKUPS[number % 2], {**good, **settings}, (1, 2))
        yield Task(f"with {what}", ["list"], {**good, **settings}, (1, 2))
    yield Task("of a container that is not there", ["list"], {
        **good, **scene.azure_with(scene.arena.azurite.connection_string, "missing")}, ANY)
    for number, (what, settings) in enumerate(bad_mails(scene)):
        yield Task(f"with mail: {what}", (["notify", "--test"], ["run"])[number % 2],
                   {**good, **settings}, ANY)
    for name in ("missing", "fails", "dies", "aborts", "tells", "repeats"):
        for arguments in (*BACKUPS, ["run", "--output", "-"]):
            yield Task(f"where pg_dump {name}", arguments, {
                **good, "RYTHM_BACKUP_PG_DUMP": str(scene.folder / f"pg_dump-{name}")}, (1, 2))
    yield from quoted(scene, good)
    yield from of_services(scene, good)
    yield from misused(scene, good)
    yield from misplaced(scene, good)


def quoted(scene, good):
    """Services that say what they should not know."""
    for status in (400, 403, 500):
        # Often, so that whatever cuts the text cuts one of them.
        for times in (1, 30, 300):
            port = scene.quoter_of(status, WRONG_KEY, times)
            yield Task(f"where Azure answers {status} and quotes the key, {times} x", ["run"],
                       {**good, **scene.azure_at(port, WRONG_KEY)}, (1,))
            port = scene.quoter_of(status, WRONG_ACS_KEY, times)
            yield Task(f"where the mail service answers {status} and quotes the key, {times} x",
                       ["notify", "--test"], {**good, "ACS_CONNECTION_STRING": "endpoint=http://"
                       f"127.0.0.1:{port}/;accesskey={WRONG_ACS_KEY}"}, (1, 2))


def of_services(scene, good):
    """Wrong credentials of channels, telemetry and other stores, and services that repeat them."""
    for wrong in (*services.malformed(scene.services),
                  *services.quoting(scene.services, scene.quoter_of)):
        yield Task(f"with {wrong.what}", wrong.arguments, {**good, **wrong.settings}, ANY)


def misused(scene, good):
    """Configuration files with mistakes in the lines of secrets."""
    lines = {"without =": f"DATABASE_URL {scene.uri()}", "export": f"export DATABASE_URL="
             f"{scene.uri()}", "unknown": f"RYTHM_BACKUP_PASSWORD={PASSWORD}",
             "open quote": f"DATABASE_URL='{scene.uri(WRONG_PASSWORD)}",
             "readable": f"AZURE_STORAGE_CONNECTION_STRING=AccountName=x;AccountKey={WRONG_KEY}"}
    for what, line in lines.items():
        path = scene.folder.parent / f"secrecy-{len(what)}.conf"
        path.write_text(line + "\n")
        path.chmod(0o644 if what == "readable" else 0o600)
        yield Task(f"with a file: {what}", ["-c", str(path), "list"],
                   {**good, "DATABASE_URL": None}, ANY)


def misplaced(scene, good):
    """Secrets in columns where none must stand, in a database that nobody backs up."""
    scene.arena.cluster.create_database(f"{scene.lane.name}_misplaced", scene.arena.template)
    values = {"target_dbname": (scene.uri(), scene.pairs()),
              "target_service": (scene.uri(WRONG_PASSWORD), scene.pairs()),
              "stores": (f"azblob://{ACCOUNT}/c;AccountKey={WRONG_KEY}",
                         f"https://{ACCOUNT}:{WRONG_KEY}@host/c",
                         f"azblob://{ACCOUNT}/c?sv=1&sig={WRONG_SIGNATURE}",
                         f"file:///c?sig={WRONG_SIGNATURE}")}
    for column, texts in values.items():
        for number, text in enumerate(texts):
            # With something else that is wrong, too, only that is told.
            scene.arena.cluster.execute(
                f"{scene.lane.name}_misplaced", "INSERT INTO backup_schedule (enabled, name,"
                f" {column}, retention_days) VALUES (true, %s, %s, %s)", f"{column}-{number}", text,
                number % 2)
    settings = {**good, "DATABASE_URL": scene.uri() + "_misplaced"}
    for arguments in (["schedule"], ["schedule", "--json", "--next"], ["list"], ["list", "--json"],
                      ["prune"], ["prune", "--dry-run", "--json"], ["status"], ["status", "--json"],
                      ["check"], ["check", "--json"], ["check", "--dry-run", "--json"],
                      ["run", "stores-1"], ["run", "target_dbname-1"],
                      ["schedule", "enable", "target_service-1"],
                      ["schedule", "set", "stores-0", "--retention-days=7"]):
        yield Task("of rows with secrets", arguments, settings, ANY)


# Running them

def traced(scene, tool, arguments):
    """Runs it; (exit code, stdout, stderr, each execve of it and its children)."""
    log = scene.folder / f"execve-{next(scene.counts)}"
    process = tool.start(*arguments, text=False, start_new_session=True, prefix=[
        "strace", "-f", "-qq", "-e", "trace=execve", "-e", "signal=none", "-s", "65536",
        "-o", str(log)])
    scene.arena.note(process)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        scene.arena.forget(process)
    executed = log.read_bytes()
    log.unlink()
    return process.returncode, out, err, executed


def try_task(scene, number, task):
    if scene.run.stopping.is_set():
        return
    log = LOGS[number % len(LOGS)]
    environment = {**SETTINGS, **task.settings}
    if "LC_ALL=C" in log:
        environment["LC_ALL"] = "C"
    count = next(scene.counts)
    day = f"{2032 + count // 336}-{count // 28 % 12 + 1:02}-{count % 28 + 1:02}"
    arguments = [text.format(day=day) for text in task.arguments]
    # Runs of one schedule exclude each other, and so do those that send mail.
    alone = {"check", "run", "prune", "notify"} & set(arguments) and "--output" not in arguments
    with scene.exclusive if alone else contextlib.nullcontext():
        code, out, err, executed = traced(
            scene, scene.lane.tool.with_settings(**environment),
            [*(word for word in log if word.startswith("-")), *arguments])
    findings = [f"{secret} in {where}: {near(scene.canaries, secret, data)}"
                for where, data in (("stdout", out), ("stderr", err), ("execve", executed))
                for secret in scene.canaries.find(data)]
    if code not in task.codes:
        findings.append(f"exit code {code}: {err.decode(errors='replace')[-500:]}")
    scene.run.note(f"{' '.join(arguments)} {task.what}", Verdict(findings))


def near(canaries, secret, data):
    """What stands around it, for the report; these are canaries, after all."""
    at = canaries.position(secret, data)
    return data[max(at - 120, 0):at + 40].decode(errors="replace")


def run_all(scene, tasks):
    scene.run.exist += len(tasks)
    with concurrent.futures.ThreadPoolExecutor(scene.arena.most_lanes) as pool:
        done = {pool.submit(try_task, scene, number, task): task
                for number, task in enumerate(tasks)}
        for future in concurrent.futures.as_completed(done):
            if future.exception() is not None:
                scene.run.note(done[future], Verdict([repr(future.exception())]))


# The places

def in_database(scene):
    return scene.arena.cluster.client("pg_dump", scene.lane.name, "--inserts").stdout.encode()


def in_log(scene):
    with open(scene.arena.cluster.log, "rb") as log:
        log.seek(scene.log_begins)
        return log.read()


def in_mails(scene):
    return json.dumps([[stub.messages, stub.requests] for stub in [scene.lane.acs, *scene.mails]]
                      + scene.services.messages(), ensure_ascii=False).encode()


def in_telemetry(scene):
    return json.dumps(scene.services.telemetry(), ensure_ascii=False).encode()


def in_stores(scene):
    found = [json.dumps([vars(stored) for stored in scene.azure.list()]).encode()]
    for stored in scene.azure.list():
        data = scene.azure.read(stored.name)
        found += [data, unpacked(data)]
    if scene.lane.store.folder.exists():
        found += [str(path).encode() + data for path, data in in_folder(scene.lane.store.folder)]
    for name, data, metadata in scene.services.contents():
        found += [f"{name} {metadata}".encode(), data, unpacked(data)]
    return b"\n".join(found)


PLACES = {"the database": in_database, "the server's log": in_log, "the mails": in_mails,
          "the telemetry": in_telemetry, "the stores": in_stores}


def look_everywhere(scene):
    for where, read in PLACES.items():
        data = read(scene)
        scene.run.exist += 1
        scene.run.note(where, Verdict([f"{secret}: {near(scene.canaries, secret, data)}"
                                       for secret in scene.canaries.find(data)]
                                      + ["there is nothing"] * (len(data) < 500)))


# That it would have been found

MARK = "plant{:04}!"


def plants(scene):
    """[(number, secret, spelling, text)]: each in each spelling, behind a mark of its own."""
    every = [(name, how, text) for name, secret in scene.canaries.secrets.items()
             for how, text in spellings(secret).items()]
    return [(number, name, how, MARK.format(number) + text)
            for number, (name, how, text) in enumerate(every)]


def in_lines(planted):
    return "".join(text + "\n" for *_, text in planted)


def plant_in_database(scene, planted):
    for column, kind in (("plain", "text"), ("document", "jsonb"), ("bytes", "bytea")):
        scene.lane.query(f"CREATE TABLE {column} (mark text, word {kind})")
    for number, _, how, text in planted:
        scene.lane.query("INSERT INTO plain VALUES (NULL, %s)", text)
        scene.lane.query("INSERT INTO document VALUES (NULL, %s)", json.dumps({"word": text}))
        # Hexadecimal digits of what is in a spelling already are a spelling too many.
        if "base64" not in how and how != "hex":
            scene.lane.query("INSERT INTO bytes VALUES (%s, %s)", MARK.format(number),
                             text.encode())


def plant_in_log(scene, planted):
    scene.arena.cluster.execute(scene.lane.name, "SELECT %s", in_lines(planted))


def plant_in_mails(scene, planted):
    scene.mails[0].messages += [{"content": {"html": text}} for *_, text in planted]


def plant_in_telemetry(scene, planted):
    scene.services.otlp.documents += [("planted", {"text": text}) for *_, text in planted]


def plant_in_stores(scene, planted):
    """As contents, packed and not, in both stores, and as metadata."""
    content = in_lines(planted).encode()
    packed = subprocess.run(["zstd", "-q"], input=content, stdout=subprocess.PIPE,
                            check=True).stdout
    for store in (scene.lane.store, scene.azure):
        store.put("planted.zst", packed)
        store.put("planted", content)
    scene.lane.store.put("planted-metadata", b"", {"tool": in_lines(planted)})
    scene.azure.put("planted-metadata", b"x", {
        f"x{number}": text for number, _, how, text in planted if how == "plain"})


PLANTERS = {"the database": plant_in_database, "the server's log": plant_in_log,
            "the mails": plant_in_mails, "the telemetry": plant_in_telemetry,
            "the stores": plant_in_stores}


def behind_marks(data):
    """number -> what stands behind each of its marks, up to the next mark."""
    pieces = re.split(rb"plant(\d{4})!", data)
    found = collections.defaultdict(list)
    for number, piece in zip(pieces[1::2], pieces[2::2]):
        found[int(number)].append(piece)
    return found


def demand(scene, where, data, planted):
    """Every plant that is in the data must be found, and each must be there."""
    pieces = behind_marks(data)
    lost = collections.defaultdict(list)
    for number, name, how, _ in planted:
        if not pieces[number] or not all(name in scene.canaries.find(piece)
                                         for piece in pieces[number]):
            lost[name].append(how)
    for name in scene.canaries.secrets:
        scene.run.exist += 1
        scene.run.note(f"{name} planted in {where}", Verdict(
            [f"not found: {', '.join(lost[name])}"] if lost[name] else []))


def plant_everywhere(scene):
    planted = plants(scene)
    for where, plant in PLANTERS.items():
        plant(scene, planted)
        demand(scene, where, PLACES[where](scene), planted)
    plant_in_runs(scene, planted)
    plant_in_core(scene, planted)


def plant_in_runs(scene, planted):
    """What a program prints, hands to another program, and shows in its arguments."""
    program = scene.folder / "chatterbox"
    program.write_text('#!/bin/sh\nprintf %s "$PLANT"\nprintf %s "$PLANT" >&2\n'
                       '/bin/true "$PLANT"\nsleep 0.3\n')
    program.chmod(0o755)
    watcher = Watcher(scene.canaries)
    tool = scene.lane.tool.with_settings(PLANT=in_lines(planted))
    tool.program = str(program)
    _, out, err, executed = traced(scene, tool, [in_lines(planted)])
    watcher.stop()
    demand(scene, "stdout", out, planted)
    demand(scene, "stderr", err, planted)
    # Those of execve(2) itself, and of a child.
    demand(scene, "execve", executed, planted)
    demand(scene, "/proc/*/cmdline", b"\n".join(watcher.seen), planted)
    scene.run.exist += 1
    scene.run.note("the watcher", Verdict(
        [f"it did not find {name}" for name in set(scene.canaries.secrets) - watcher.found]))


# What the kernel may show or keep of the program's memory

def with_cores():
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


def in_cores(scene):
    return b"\n".join(data for _, data in in_folder(scene.cores))


def plant_in_core(scene, planted):
    """Where the kernel hands cores to a program, or puts them elsewhere, none can be found here.
    The pattern is the machine's, no namespace has its own: there the limits have to do."""
    pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if "/" in pattern or "|" in pattern or resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        scene.run.exist += 1
        scene.run.note("a core", Verdict([]), reached=False)
        scene.run.tell(f"secrets: no core can be looked for, core_pattern is {pattern!r}")
        return
    subprocess.run(["sh", "-c", "kill -ABRT $$"], cwd=scene.cores, preexec_fn=with_cores,
                   env={"PLANT": in_lines(planted)})
    demand(scene, "a core", in_cores(scene), planted)
    for path in scene.cores.iterdir():
        path.unlink()


def core_limit(pid):
    (line,) = re.findall("^Max core file size +(.*)$",
                         pathlib.Path(f"/proc/{pid}/limits").read_text(), re.MULTILINE)
    return line.split()[:2]


def is_closed(pid):
    """Whether the kernel keeps other processes of its user away from its memory: it gives its
    files to root then."""
    return pathlib.Path(f"/proc/{pid}/environ").stat().st_uid == 0


def aborted(scene, process):
    """Ends it by SIGABRT, and says what should not be then."""
    process.send_signal(signal.SIGABRT)
    out, err = process.communicate(timeout=30)
    if process.returncode != -signal.SIGABRT:
        yield f"it ended with {process.returncode}, not by SIGABRT: {err[-300:]}"
    for path in scene.cores.iterdir():
        yield f"it left {path.name}, and in it {scene.canaries.find(path.read_bytes())}"
        path.unlink()
    for secret in scene.canaries.find(out + err):
        yield f"{secret} in its output"


def abort_while_connecting(scene, options, settings, user):
    """With all its secrets in memory; `options` come before the command."""
    tool = scene.lane.tool.with_settings(**{
        **SETTINGS, "RYTHM_BACKUP_CONNECT_TIMEOUT": "20s", **scene.stores()["Azure with a key"],
        **settings})
    tool.home = scene.cores
    tool.program = str(scene.copy)
    process = tool.start(*options, "check", text=False, preexec_fn=with_cores, prefix=user)
    findings = []
    try:
        connection = scene.silent.accept()[0]
        shown = pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes()
        if b"check" not in shown or scene.canaries.find(shown):
            findings.append(f"its arguments are {shown}")
        if core_limit(process.pid) != ["0", "0"]:
            findings.append(f"its core may have {core_limit(process.pid)} bytes")
        if not is_closed(process.pid):
            findings.append("other processes of its user may read its environment")
    finally:
        findings += aborted(scene, process)
    connection.close()
    return findings


def check_memory(scene):
    """Connecting, with DATABASE_URL and with -d; as another user, where we are root."""
    user = processes.as_user("postgres")
    scene.copy = scene.folder / "rythm-backup"
    shutil.copy(scene.lane.tool.program, scene.copy)
    scene.cores.chmod(0o777)
    with socket.create_server(("127.0.0.1", 0)) as scene.silent:
        scene.silent.settimeout(20)
        uri = scene.uri(port=scene.silent.getsockname()[1])
        for what, options, settings in (("DATABASE_URL", [], {"DATABASE_URL": uri}),
                                        ("-d", ["-d", uri], {})):
            scene.run.exist += 1
            scene.run.note(f"SIGABRT while it connects, with {what}", Verdict(
                abort_while_connecting(scene, options, settings, user)))
    # That an ordinary process would not pass.
    ordinary = subprocess.Popen([*user, "sleep", "20"], preexec_fn=with_cores)
    processes.wait_until(lambda: b"sleep" == pathlib.Path(
        f"/proc/{ordinary.pid}/cmdline").read_bytes().split(b"\0")[0], "sleep runs")
    findings = ["an ordinary process may not leave a core"] * (core_limit(ordinary.pid)[0] == "0")
    if user and is_closed(ordinary.pid):
        findings.append("an ordinary process seems closed")
    ordinary.kill()
    ordinary.wait()
    scene.run.exist += 1
    scene.run.note("an ordinary process", Verdict(findings))


def check_uses(scene):
    """Each credential of the services has opened one."""
    for what, used in scene.services.uses():
        scene.run.exist += 1
        scene.run.note(f"the use of {what}", Verdict([] if used else ["it has opened nothing"]))


def check_children(scene):
    """With -d, what pg_dump and its parent show in their arguments; and both aborted."""
    for name in ("remembers", "aborts-both"):
        tool = scene.lane.tool.with_settings(
            **SETTINGS, RYTHM_BACKUP_PG_DUMP=str(scene.folder / f"pg_dump-{name}"))
        tool.home = scene.cores
        process = tool.start("-d", scene.uri(), "run", "--output", "-", text=False,
                             preexec_fn=with_cores)
        out, err = process.communicate(timeout=60)
        findings = [f"{secret} in its output" for secret in scene.canaries.find(out + err)]
        findings += [f"{path.name} was left" for path in scene.cores.iterdir()]
        if name == "remembers":
            shown = {part: (scene.folder / f"cmdline-of-{part}").read_bytes()
                     for part in ("us", "pg_dump")}
            findings += [f"{secret} in the arguments of {part}: {line}"
                         for part, line in shown.items() for secret in scene.canaries.find(line)]
            if b"--output" not in shown["us"] or b"dbname" not in shown["pg_dump"]:
                findings.append(f"the arguments are {shown}")
        elif process.returncode != -signal.SIGABRT:
            findings.append(f"it ended with {process.returncode}: {err[-300:]}")
        scene.run.exist += 1
        scene.run.note(f"run with -d where pg_dump {name}", Verdict(findings))


def check_commands(scene):
    """There is a task for each command that the program has."""
    out = scene.lane.tool.ok("--help").out
    names = re.findall("^  ([a-z]+) ", out.partition("Commands:")[2].partition("\n\n")[0],
                       re.MULTILINE)
    scene.run.exist += 1
    scene.run.note("the commands", Verdict(
        [f"no task for {name}" for name in set(names) ^ set(COMMANDS)]))


def look_for_secrets(run, scene):
    check_commands(scene)
    watcher = Watcher(scene.canaries)
    run_all(scene, [*successes(scene), *failures(scene)])
    watcher.stop()
    if run.stopping.is_set():
        return
    run.exist += 1
    run.note("/proc/*/cmdline", Verdict(
        watcher.report() + ["pg_dump was never seen"]
        * (not any(b"--dbname" in line or b"pg_dump" in line for line in watcher.seen))))
    check_uses(scene)
    check_children(scene)
    check_memory(scene)
    look_everywhere(scene)
    plant_everywhere(scene)


@case("secrets", kinds=("file",),
      about="canaries in every credential, and everything looked through for them", apart=True)
def secrets(run):
    # Most of its runs wait for one another, and all that a server of its own has is looked through.
    with Arena(run.arena.most_lanes) as own, contextlib.closing(Scene(run, own)) as scene:
        look_for_secrets(run, scene)

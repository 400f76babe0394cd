"""A private Postgres cluster in a folder of its own; never one of the machine's."""

import base64
import glob
import hashlib
import hmac
import os
import pathlib
import re
import shutil
import signal
import subprocess

import psycopg2

import processes

# Appears in no legitimate output: the tests look for it in everything that is printed.
PASSWORD = "cluster-s3cret-Zq7"

# The zone is not UTC so that code that forgets the zone shows.
SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 150
shared_buffers = 64MB
fsync = off
full_page_writes = off
synchronous_commit = off
wal_level = minimal
max_wal_senders = 0
autovacuum = off
jit = off
timezone = 'Asia/Kathmandu'
log_timezone = 'UTC'
password_encryption = 'scram-sha-256'
lc_messages = 'C'
"""


def program(name):
    """The newest installed version of one of the server's programs."""
    def version(path):
        return [int(part) for part in re.findall(r"\d+", path)]
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), key=version)
    found = found[-1] if found else shutil.which(name)
    assert found, f"{name} is not installed"
    return found


def scram_verifier(password):
    """What Postgres keeps of a password, of one round (RFC 5803): the 4096 that it makes by itself
    cost more than all else about a connection."""
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 1)
    client, server = (hmac.digest(salted, key, "sha256") for key in (b"Client Key", b"Server Key"))
    salt, stored, server = (base64.b64encode(part).decode() for part in
                            (salt, hashlib.sha256(client).digest(), server))
    return f"SCRAM-SHA-256$1:{salt}${stored}:{server}"


class PostgresCluster:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self.port = processes.free_port()
        self.process = None
        self._system = None

    def create(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        password_file = self.folder / "password"
        password_file.write_text(scram_verifier(PASSWORD))
        if os.geteuid() == 0:
            for path in (self.folder, password_file):
                shutil.chown(path, "postgres")
        subprocess.run(
            processes.as_user("postgres")
            + [program("initdb"), "--pgdata", str(self.data), "--username=postgres",
               "--auth=scram-sha-256", f"--pwfile={password_file}", "--encoding=UTF8",
               "--locale=C.UTF-8", "--no-sync"],
            cwd=self.folder, check=True, stdout=subprocess.DEVNULL, timeout=120)
        with open(self.data / "postgresql.conf", "a") as settings:
            settings.write(SETTINGS.format(port=self.port))

    def start(self, prefix=(), within=()):
        """`prefix`: a command to run the server under; `within` is the one of processes.start()."""
        with open(self.log, "ab") as log:
            self.process = processes.start(
                [*prefix, program("postgres"), "-D", str(self.data)], "postgres", within,
                cwd=self.folder, stdout=log, stderr=log)
        processes.wait_until(self._accepts, f"Postgres is up (see {self.log})")

    def _accepts(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            self.connect("postgres").close()
            return True
        except psycopg2.OperationalError:
            return False

    @property
    def system(self):
        """The server's system identifier."""
        if self._system is None:
            ((self._system,),) = self.execute(
                "postgres", "SELECT system_identifier::text FROM pg_control_system()")
        return self._system

    def stop(self, immediately=False):
        processes.stop(self.process, signal.SIGQUIT if immediately else signal.SIGINT)

    def url(self, database, user="postgres", password=PASSWORD, port=None):
        return f"postgresql://{user}:{password}@127.0.0.1:{port or self.port}/{database}"

    def connect(self, database, **options):
        """An autocommit connection; the caller closes it."""
        connection = psycopg2.connect(self.url(database), **options)
        connection.autocommit = True
        return connection

    def execute(self, database, sql, *parameters):
        """Runs one statement; its rows, or [] when it returns none."""
        connection = self.connect(database)
        try:
            cursor = connection.cursor()
            cursor.execute(sql, parameters or None)
            return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def create_database(self, name, template="template1"):
        # As files, not block by block through the log: in half the time.
        self.execute("postgres",
                     f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')

    def drop_database(self, name):
        self.execute("postgres", f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def client(self, name, database, *arguments, **options):
        """Runs psql, pg_dump... against a database; output is captured as text."""
        environment = {"PATH": os.environ["PATH"], "PGPASSWORD": PASSWORD, "LC_ALL": "C.UTF-8",
                       "PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "postgres",
                       "PGDATABASE": database}
        return subprocess.run([program(name), *arguments], env=environment, text=True,
                              capture_output=True, check=True, timeout=300, **options)

    def load(self, database, script, **variables):
        """Runs an SQL script through psql; the first error fails."""
        settings = [f"--set={name}={value}" for name, value in variables.items()]
        return self.client("psql", database, "-X", "-q", "--set=ON_ERROR_STOP=1", *settings,
                           "-f", str(script))

    def dump(self, database, *options):
        """The database as pg_dump writes it, without the lines that differ at each run."""
        text = self.client("pg_dump", database, *options).stdout
        return re.sub(r"^\\(un)?restrict .*\n", "", text, flags=re.MULTILINE)

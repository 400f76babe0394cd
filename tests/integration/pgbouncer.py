"""PgBouncer in front of the cluster, and a load balancer in front of several of them."""

import concurrent.futures
import contextlib
import itertools
import pathlib
import signal
import tempfile

import postgres_cluster
import processes
import psycopg2
from fault_proxy import TcpFaultProxy

# Of a server process, what the program would change in its session.
SETTINGS = ", ".join(
    f"current_setting('{name}')" for name in ("row_security", "lock_timeout", "client_min_messages",
                                              "statement_timeout", "search_path", "datestyle"))


class PgBouncer:
    """`settings` are lines of its [pgbouncer] section; they win over the ones below."""

    def __init__(self, folder, cluster, **settings):
        self.cluster = cluster
        self.port = processes.free_port()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pgbouncer-", dir=folder))
        self.process = None
        self.settings = {"listen_addr": "127.0.0.1", "listen_port": self.port,
                         "unix_socket_dir": "", "auth_type": "scram-sha-256",
                         "auth_file": self.folder / "users"} | settings

    def start(self):
        self.folder.chmod(0o755)
        users = self.folder / "users"
        users.write_text(f'"postgres" "{postgres_cluster.PASSWORD}"\n')
        configuration = self.folder / "pgbouncer.ini"
        configuration.write_text(
            f"[databases]\n* = host=127.0.0.1 port={self.cluster.port}\n[pgbouncer]\n"
            + "".join(f"{name} = {value}\n" for name, value in self.settings.items()))
        for path in (users, configuration):
            path.chmod(0o644)
        with open(self.folder / "log", "wb") as log:
            self.process = processes.start(["pgbouncer", str(configuration)], "postgres",
                                           stdout=log, stderr=log)
        processes.wait_until(lambda: processes.answers(self.port),
                             f"PgBouncer is up (see {self.folder}/log)")

    def stop(self):
        processes.stop(self.process, signal.SIGINT)

    def url(self, database):
        return self.cluster.url(database, port=self.port)

    def ask(self, database, sql):
        with contextlib.closing(psycopg2.connect(self.url(database))) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute(sql)
            return cursor.fetchall()

    def servers(self, database, count):
        """The settings of each of `count` server processes, by process id; it has as many after
        this, for all are busy at once."""
        sql = f"SELECT pg_backend_pid(), ({SETTINGS}), pg_sleep(0.3)"
        with concurrent.futures.ThreadPoolExecutor(count) as threads:
            answers = threads.map(lambda _: self.ask(database, sql), range(count))
            found = {pid: settings for ((pid, settings, _),) in answers}
        assert len(found) == count
        return found


class InTurn(TcpFaultProxy):
    """Each new connection goes to the next of these ports."""

    def __init__(self, ports):
        self._ports = itertools.cycle(ports)
        super().__init__(None)

    def serve(self, client):
        self.upstream_port = next(self._ports)
        super().serve(client)

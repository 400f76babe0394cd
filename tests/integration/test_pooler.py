"""Connection poolers: what gives us a session is as good as Postgres, the rest is refused.

PgBouncer stands for all of them: nothing in the program knows its name.
"""

import concurrent.futures
import contextlib
import random
import threading
import time

import pg_dumps
import processes
import psycopg2
import pytest
from pgbouncer import InTurn, PgBouncer
from tables import at, enable, history, rows, statuses

LOCKS = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND database = (" \
        "SELECT oid FROM pg_database WHERE datname = current_database())"
LOOKED = "SELECT FROM pg_stat_activity WHERE datname = current_database()" \
         " AND query LIKE '/* rythm-backup %SELECT pg_backend_pid()%'"
DIRECTLY = "connect to Postgres directly (often port 5432 instead of 6432)"
SHARED = "the connection pooler there gives each transaction any server connection that is free"
UNCLEAN = "the connection pooler there does not reset a server connection when its client has gone"
TOO_SMALL = "the connection pooler there does not give this program a second server connection"
# As README says: seven servers for a backup with two jobs, and two for a check meanwhile.
ENOUGH = 10
HIDDEN = "track_activities is off, or the pooler leads to several servers"


@pytest.fixture
def nightly(database):
    enable(database)
    return database


@pytest.fixture
def bouncer(cluster, folder, nightly):
    """A function: a PgBouncer with these settings."""
    with contextlib.ExitStack() as stack:
        def start(**settings):
            started = PgBouncer(folder, cluster, **settings)
            stack.callback(started.stop)
            started.start()
            return started

        # After the database's last client, which a pool may be, its fixture drops it.
        yield start


@pytest.fixture
def session_tool(make_tool, nightly, file_store, bouncer):
    """The program behind a pool in session mode that is large enough."""
    pool = bouncer(pool_mode="session", default_pool_size=ENOUGH)
    return make_tool(file_store, DATABASE_URL=pool.url(nightly.name))


@contextlib.contextmanager
def other_clients(bouncer, database, count):
    """They keep the pool busy with short transactions, each of them until the end."""
    over = threading.Event()

    def work(seed):
        pauses = random.Random(seed)
        with contextlib.closing(psycopg2.connect(bouncer.url(database))) as connection:
            connection.autocommit = True
            while not over.is_set():
                connection.cursor().execute("SELECT pg_sleep(%s)", [pauses.uniform(0, 0.004)])
                time.sleep(pauses.uniform(0, 0.004))

    with concurrent.futures.ThreadPoolExecutor(count) as threads:
        busy = [threads.submit(work, seed) for seed in range(count)]
        try:
            yield
            assert not any(each.done() for each in busy), "a client has given up"
        finally:
            over.set()
    for each in busy:
        each.result()


def assert_refused(result, database, store, why):
    assert result.code == 2, result.err
    assert "connecting to Postgres at 127.0.0.1, port " in result.err
    assert why in result.err
    assert DIRECTLY in result.err
    assert rows(database, LOCKS) == []
    assert history(database) == [] and store.list() == []


# Refused

@pytest.mark.parametrize("command", [("check", *at("02:00:10")), ("run",), ("run", "--output=x"),
                                     ("migrate",)])
def test_every_command_refuses_a_transaction_pool(make_tool, nightly, file_store, bouncer, command):
    pool = bouncer(pool_mode="transaction", default_pool_size=1)
    before = pool.servers(nightly.name, 1)
    result = make_tool(file_store, DATABASE_URL=pool.url(nightly.name)).run(*command)
    assert_refused(result, nightly, file_store, SHARED)
    assert "or use a pool in session mode" in result.err
    assert pool.servers(nightly.name, 1) == before


@pytest.mark.parametrize("mode", ["transaction", "statement"])
@pytest.mark.parametrize("round_robin", [0, 1])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_idle_pool_is_refused(make_tool, nightly, file_store, bouncer, mode, round_robin, size):
    """Whatever server it hands out next; and each keeps the settings that it had."""
    pool = bouncer(pool_mode=mode, default_pool_size=size, server_round_robin=round_robin)
    before = pool.servers(nightly.name, size)
    result = make_tool(file_store, DATABASE_URL=pool.url(nightly.name)).run("check")
    assert_refused(result, nightly, file_store, SHARED)
    assert pool.servers(nightly.name, size) == before


@pytest.mark.parametrize("round_robin", [0, 1])
@pytest.mark.parametrize("size", [2, 3])
def test_busy_pool_is_refused(make_tool, nightly, file_store, bouncer, round_robin, size):
    pool = bouncer(pool_mode="transaction", default_pool_size=size, server_round_robin=round_robin)
    before = pool.servers(nightly.name, size)
    tool = make_tool(file_store, DATABASE_URL=pool.url(nightly.name))
    with other_clients(pool, nightly.name, size + 1):
        for _ in range(5):
            assert_refused(tool.run("check"), nightly, file_store, SHARED)
    assert pool.servers(nightly.name, size) == before


@pytest.mark.parametrize("reset_always, why", [(0, UNCLEAN), (1, SHARED)])
def test_transaction_pools_behind_a_balancer_are_refused(make_tool, cluster, nightly, file_store,
                                                         bouncer, reset_always, why):
    """Each of our connections has a pool for itself, and so always the same server."""
    pools = [bouncer(pool_mode="transaction", server_reset_query_always=reset_always)
             for _ in range(2)]
    before = [pool.servers(nightly.name, 1) for pool in pools]
    balancer = InTurn([pool.port for pool in pools])
    url = cluster.url(nightly.name, port=balancer.port)
    result = make_tool(file_store, DATABASE_URL=url).run("check")
    balancer.stop()
    assert_refused(result, nightly, file_store, why)
    assert [pool.servers(nightly.name, 1) for pool in pools] == before


def test_session_pool_that_resets_nothing_is_refused(make_tool, nightly, file_store, bouncer):
    """A dead run's lock would stay with the server process. That takes longer to see than
    connecting may take."""
    pool = bouncer(pool_mode="session", server_reset_query="")
    tool = make_tool(file_store, DATABASE_URL=pool.url(nightly.name),
                     RYTHM_BACKUP_CONNECT_TIMEOUT="2s")
    result = tool.run("check")
    assert_refused(result, nightly, file_store, UNCLEAN)
    assert "a pool in session mode with server_reset_query = DISCARD ALL" in result.err


def test_session_pool_that_cannot_be_watched_is_refused(session_tool, nightly, file_store):
    nightly.execute(f'ALTER DATABASE "{nightly.name}" SET track_activities = off')
    assert_refused(session_tool.run("check"), nightly, file_store, HIDDEN)


def test_session_pool_of_one_is_too_small(make_tool, nightly, file_store, bouncer):
    pool = bouncer(pool_mode="session", default_pool_size=1)
    tool = make_tool(file_store, DATABASE_URL=pool.url(nightly.name),
                     RYTHM_BACKUP_CONNECT_TIMEOUT="2s")
    result = tool.run("check", timeout=60)
    assert_refused(result, nightly, file_store, TOO_SMALL)
    assert "let the pool of this role and database have more connections" in result.err


def test_signal_while_waiting_for_a_second_server(make_tool, nightly, file_store, bouncer):
    pool = bouncer(pool_mode="session", default_pool_size=1)
    tool = make_tool(file_store, DATABASE_URL=pool.url(nightly.name))
    process = tool.start("check")
    processes.wait_until(lambda: rows(nightly, LOOKED), "it has looked at its own server")
    process.terminate()
    result = tool.finish(process, timeout=20)
    assert result.code == 143
    assert "stopped by SIGTERM" in result.err


# As good as Postgres

@pytest.mark.parametrize("command", [("check", *at("02:00:10")), ("run",)])
def test_backup_through_a_session_pool(make_tool, nightly, file_store, bouncer, command):
    """It closes the server that pg_dump had, in a transaction to its end, and gives the others
    their settings back."""
    pool = bouncer(pool_mode="session", default_pool_size=ENOUGH)
    before = pool.servers(nightly.name, ENOUGH)
    make_tool(file_store, DATABASE_URL=pool.url(nightly.name)).ok(*command)
    assert statuses(nightly) == ["completed"] and len(file_store.list()) == 1
    assert set(pool.servers(nightly.name, ENOUGH).values()) == set(before.values())
    assert rows(nightly, LOCKS) == []


def test_lock_holds_through_a_session_pool(session_tool, nightly, tmp_path, file_store):
    gate = pg_dumps.gate_within(tmp_path)
    process = session_tool.with_settings(**gate.settings).start("check", *at("02:00:10"))
    gate.reached()
    second = session_tool.ok("check", *at("02:00:20"))
    assert session_tool.run("run").code == 4
    gate.open()
    assert session_tool.finish(process).code == 0, second.err
    assert statuses(nightly) == ["completed"] and len(file_store.list()) == 1


def test_killed_run_recovers_through_a_session_pool(session_tool, nightly, tmp_path, file_store):
    gate = pg_dumps.gate_within(tmp_path)
    process = session_tool.with_settings(**gate.settings).start("check", *at("02:00:10"))
    gate.reached()
    assert len(rows(nightly, LOCKS)) == 1
    process.kill()
    process.communicate()
    session_tool.ok("check", *at("02:00:30"))
    session_tool.ok("check", *at("02:01:40"))
    assert statuses(nightly) == ["failed", "completed"]
    assert len(file_store.list()) == 1
    assert rows(nightly, LOCKS) == []


def test_many_checks_through_a_session_pool(make_tool, nightly, file_store, bouncer):
    """They take the servers that others of them have just left."""
    pool = bouncer(pool_mode="session", default_pool_size=40)
    tool = make_tool(file_store, DATABASE_URL=pool.url(nightly.name))
    running = [tool.start("check", *at("02:00:10")) for _ in range(8)]
    results = [tool.finish(process) for process in running]
    assert [result.code for result in results] == [0] * 8, [result.err for result in results]
    assert statuses(nightly) == ["completed"] and len(file_store.list()) == 1

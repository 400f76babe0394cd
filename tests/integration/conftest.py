"""The fixtures: parts are started once per run, each test has its own database and store."""

import base64
import io
import itertools
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

import postgres_cluster
from acs_stub import AcsStub
from azurite import Azurite
from contents import WIDE
from fault_proxy import HttpFaultProxy, TcpFaultProxy
from postgres_cluster import PASSWORD, PostgresCluster, scram_verifier
from server_clock import Clock
from pushgateway import Pushgateway
from s3_server import S3Stub
from stores import AzureStore, FileStore, S3Store
from swift_server import Swift
from telemetry_stubs import InsightsStub, OtlpStub
from tool import Tool

SOURCE = pathlib.Path(__file__).resolve().parents[2]
SAMPLE = SOURCE / "contrib/sample-database.sql"
SAMPLE_SCALE = 0.01
TORTURE = pathlib.Path(__file__).resolve().parent / "torture.sql"

numbers = itertools.count(1)


class Database:
    """One database of the cluster; `url` is how a user names it."""

    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name
        self.url = cluster.url(name)
        self.settings = {"DATABASE_URL": self.url}

    def execute(self, sql, *parameters):
        return self.cluster.execute(self.name, sql, *parameters)

    def value(self, sql, *parameters):
        """The one value that a query gives."""
        (row,) = self.execute(sql, *parameters)
        (value,) = row
        return value

    def connect(self):
        return self.cluster.connect(self.name)

    def dump(self, *options):
        return self.cluster.dump(self.name, *options)


@pytest.fixture(scope="session")
def folder():
    """A folder for the whole run that the user postgres can reach, too."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="rythm-backup-tests-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def cluster(folder):
    cluster = PostgresCluster(folder / "postgres")
    cluster.create()
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def sample(cluster):
    """The name of a database with the sample data, to be used as a template only."""
    cluster.create_database("sample")
    cluster.load("sample", SAMPLE, scale=SAMPLE_SCALE)
    return "sample"


@pytest.fixture(scope="session")
def migrated_sample(cluster, sample, folder):
    cluster.create_database("migrated_sample", sample)
    Tool(folder, {"DATABASE_URL": cluster.url("migrated_sample")}).ok("migrate")
    return "migrated_sample"


@pytest.fixture(scope="session")
def migrated_small(cluster, folder):
    """Next to nothing to dump, and two system admins."""
    cluster.create_database("migrated_small")
    cluster.execute("migrated_small", "CREATE TABLE users (email text, role text)")
    cluster.execute("migrated_small", "INSERT INTO users VALUES"
                    " ('ada@rythm.example', 'system_admin'), ('user@rythm.example', 'member'),"
                    " ('omar@rythm.example', 'system_admin')")
    Tool(folder, {"DATABASE_URL": cluster.url("migrated_small")}).ok("migrate")
    return "migrated_small"


@pytest.fixture(scope="session")
def migrated_noise(cluster, migrated_small):
    """More than three blocks of 8 MiB when compressed, for it hardly can be."""
    cluster.create_database("migrated_noise", migrated_small)
    connection = cluster.connect("migrated_noise")
    connection.cursor().execute("CREATE TABLE noise (line text)")
    lines = base64.encodebytes(os.urandom(25 * 1024 * 1024))
    connection.cursor().copy_expert("COPY noise FROM STDIN", io.BytesIO(lines))
    connection.close()
    return "migrated_noise"


@pytest.fixture(scope="session")
def torture(cluster):
    cluster.create_database("torture")
    cluster.load("torture", TORTURE)
    cluster.execute("torture", WIDE)
    return "torture"


@pytest.fixture(scope="session")
def bench(cluster):
    """pgbench's tables."""
    cluster.create_database("bench")
    subprocess.run([postgres_cluster.program("pgbench"), "-i", "-q", "-s", "1",
                    cluster.url("bench")], check=True, capture_output=True)
    return "bench"


@pytest.fixture
def make_encoded(cluster):
    """A function: an empty database of this encoding."""
    made = []

    def make(encoding):
        name = f"encoded_{encoding.lower()}_{os.getpid()}_{len(made)}"
        cluster.execute("postgres", f"CREATE DATABASE {name} TEMPLATE template0 ENCODING"
                                    f" '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'")
        made.append(name)
        return name

    yield make
    for name in made:
        cluster.drop_database(name)


@pytest.fixture
def make_database(cluster):
    """A function: a database of its own for this test, from a template."""
    made = []

    def make(template="template1"):
        name = f"test_{os.getpid()}_{next(numbers)}"
        cluster.create_database(name, template)
        made.append(name)
        return Database(cluster, name)

    yield make
    for name in made:
        cluster.drop_database(name)


@pytest.fixture
def database(make_database, migrated_sample):
    """The sample database after `migrate`."""
    return make_database(migrated_sample)


@pytest.fixture
def small_database(make_database, migrated_small):
    return make_database(migrated_small)


@pytest.fixture
def large_database(make_database, migrated_noise):
    return make_database(migrated_noise)


@pytest.fixture
def empty_database(make_database):
    return make_database()


@pytest.fixture
def clock(small_database):
    """The database's clock, to be set; it is half past twelve."""
    clock = Clock(small_database)
    clock.set("12:30:00")
    return clock


@pytest.fixture
def role(cluster, make_database):
    """A function: a login role that may do what is granted here; (its name, its URL)."""
    made = []

    def make(database, *grants, attributes=""):
        name = f"role_{os.getpid()}_{next(numbers)}"
        database.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{scram_verifier(PASSWORD)}'"
                         f" {attributes}")
        made.append((database, name))
        for grant in grants:
            database.execute(grant.format(role=name))
        return name, cluster.url(database.name, user=name)

    yield make
    for database, name in made:
        database.execute(f"DROP OWNED BY {name}")
        database.execute(f"DROP ROLE {name}")


@pytest.fixture(scope="session")
def azurite(folder):
    server = Azurite(folder / "azurite")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def file_store(tmp_path):
    return FileStore(tmp_path / "the backups")


@pytest.fixture
def azure_store(azurite, tmp_path):
    return AzureStore(azurite, f"test-{os.getpid()}-{next(numbers)}", tmp_path)


@pytest.fixture
def s3():
    stub = S3Stub()
    yield stub
    stub.stop()


@pytest.fixture
def s3_store(s3):
    return S3Store(s3, s3.make_bucket("backups"), s3.settings("backups", "/of/rythm"), "of/rythm/")


@pytest.fixture(scope="session")
def swift(folder):
    server = Swift(folder / "swift")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def swift_store(swift):
    bucket = f"test-{os.getpid()}-{next(numbers)}"
    swift.client.create_bucket(Bucket=bucket)
    return S3Store(swift, bucket, swift.settings(bucket))


# S3, too, where it is not only the same code above the store for the third time.
ALSO_S3 = ("test_backup", "test_concurrency", "test_dump", "test_prune", "test_restore")


def pytest_generate_tests(metafunc):
    chosen = any(mark.args[0] == "store"
                 for mark in metafunc.definition.iter_markers("parametrize"))
    if "store" in metafunc.fixturenames and not chosen:
        also = ["s3"] if metafunc.module.__name__ in ALSO_S3 else []
        metafunc.parametrize("store", ["file", "azure", *also], indirect=True)


@pytest.fixture
def store(request):
    """Each kind of store in turn."""
    return request.getfixturevalue(f"{request.param}_store")


@pytest.fixture
def acs():
    stub = AcsStub()
    yield stub
    stub.stop()


@pytest.fixture
def insights():
    stub = InsightsStub()
    yield stub
    stub.stop()


@pytest.fixture
def otlp():
    stub = OtlpStub()
    yield stub
    stub.stop()


@pytest.fixture(scope="session")
def pushgateway(folder):
    server = Pushgateway(folder)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def azure_proxy(azurite):
    """In front of Azurite: AzureStore.settings_through(azure_proxy.port)."""
    proxy = HttpFaultProxy(azurite.port)
    yield proxy
    proxy.stop()


@pytest.fixture
def postgres_proxy(cluster):
    """In front of Postgres: cluster.url(name, port=postgres_proxy.port)."""
    proxy = TcpFaultProxy(cluster.port)
    yield proxy
    proxy.stop()


# What is tested there does not depend on who reads the tables: one pg_dump takes half the time.
OF_NO_ENGINE = ("test_adoption", "test_check", "test_concurrency", "test_notify", "test_prune",
                "test_quiet", "test_schedule", "test_status", "test_targets")


@pytest.fixture
def make_tool(tmp_path, request):
    """A function: the program with the settings of these parts (database, store, acs)."""
    def make(*parts, **settings):
        merged = {}
        if request.module.__name__ in OF_NO_ENGINE:
            merged["RYTHM_BACKUP_ENGINE"] = "pg_dump"
        for part in parts:
            merged |= part.settings
        return Tool(tmp_path, merged | settings)
    return make


@pytest.fixture
def tool(make_tool, database, file_store):
    """The usual one: the sample database, backed up into a folder."""
    return make_tool(database, file_store)

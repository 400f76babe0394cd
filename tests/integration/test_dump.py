"""The parallel dump: its object restores to the same database, whatever is in it and whoever writes
to it meanwhile, and its manifest says the truth about every segment."""

import contextlib
import hashlib
import itertools
import json
import os
import pathlib
import re
import signal
import subprocess
import threading

import jsonschema
import postgres_cluster
import processes
import psycopg2
import pytest
import xxhash
from backups import DAY, enable, facts, name_at, now
from contents import HASHED, LARGE_OBJECTS, compared, replay
from pg_dumps import REAL, gate_of_section, of_version_17, script
from tables import rows
from tool import peak_to

HERE = pathlib.Path(__file__).resolve().parent
SCHEMA = HERE.parents[1] / "contrib/manifest.schema.json"
MIB = 1 << 20
KEY = ("--restrict-key", "k" * 40)


@pytest.fixture
def dumper(make_tool, cluster):
    """A function: the program for a database, in segments of 1 MiB."""
    def make(name, **settings):
        return make_tool(**{"DATABASE_URL": cluster.url(name), "RYTHM_BACKUP_SEGMENT_SIZE": "1"}
                         | settings)
    return make


def write(tool, path, *options):
    """run --output; the object's SHA-256."""
    tool.ok("run", "--output", path, *KEY, *options)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def assert_restores(cluster, make_database, path, name):
    restored = make_database()
    replay(cluster, path, restored.name)
    assert compared(cluster, restored.name) == compared(cluster, name)
    return restored


def last_line(path):
    return subprocess.run(f"zstd -dc '{path}' | tail -n 1", shell=True, check=True,
                          capture_output=True).stdout


# What is in it

@pytest.mark.parametrize("jobs", [1, 4])
def test_torture_restores_equal(dumper, torture, cluster, make_database, tmp_path, jobs):
    path = tmp_path / "torture.sql.zst"
    write(dumper(torture), path, "--jobs", jobs)
    assert_restores(cluster, make_database, path, torture)
    assert last_line(path) == b"-- rythm-backup dump complete\n"
    assert not os.path.exists("/tmp/never")


def test_sample_restores_equal(dumper, sample, cluster, make_database, tmp_path):
    path = tmp_path / "sample.sql.zst"
    write(dumper(sample), path)
    assert_restores(cluster, make_database, path, sample)


@pytest.mark.parametrize("compression, suffix", [("gzip", ".sql.gz"), ("none", ".sql")])
def test_pgbench_restores_equal(dumper, bench, cluster, make_database, tmp_path, compression,
                                suffix):
    path = tmp_path / f"bench{suffix}"
    write(dumper(bench), path, "--compression", compression)
    assert_restores(cluster, make_database, path, bench)


def test_an_empty_database(dumper, cluster, make_database, tmp_path):
    database = make_database()
    path = tmp_path / "empty.sql.zst"
    write(dumper(database.name), path)
    assert_restores(cluster, make_database, path, database.name)


@pytest.mark.parametrize("encoding, text", [("LATIN1", "åäö ÿ".encode("latin-1")),
                                            ("SQL_ASCII", b"\xe5\xff\x80 ascii")])
def test_encodings(dumper, make_encoded, cluster, make_database, tmp_path, file_store, encoding,
                   text):
    """Bytes as they are, in rows and in names."""
    name = make_encoded(encoding)
    script = tmp_path / "encoded.sql"
    script.write_bytes(b"SET client_encoding = '" + encoding.encode() + b"';\n"
                       b'CREATE SCHEMA "s ' + text + b'";\n'
                       b'CREATE TABLE "s ' + text + b'"."t ' + text + b'" ("c ' + text
                       + b'" text);\nINSERT INTO "s ' + text + b'"."t ' + text
                       + b"\" VALUES ('" + text + b"');\n")
    cluster.load(name, script)
    tool = dumper(name, **file_store.settings)
    path = tmp_path / "encoded.sql.zst"
    write(tool, path)
    restored = make_encoded(encoding)
    replay(cluster, path, restored)
    assert compared(cluster, restored) == compared(cluster, name)
    tool.ok("migrate")
    made = tool.ok("run", "--no-notify", "--json").json
    (table,) = [table for table in read_manifest(file_store, made["name"])["tables"]
                if table.get("schema") != "public"]
    if encoding == "SQL_ASCII":
        assert bytes.fromhex(table["name_hex"]) == b"t " + text
    else:
        assert (table["schema"], table["name"]) == ("s " + text.decode("latin-1"),
                                                    "t " + text.decode("latin-1"))


@pytest.mark.parametrize("engine", ["parallel", "pg_dump"])
def test_only_some_schemas_of_another_encoding(make_tool, make_encoded, cluster, file_store,
                                               engine):
    """The schedule has the name in UTF-8."""
    name = make_encoded("LATIN1")
    cluster.execute(name, 'CREATE SCHEMA "s åÿ"; CREATE TABLE "s åÿ".t AS SELECT 1 AS a')
    tool = make_tool(file_store, DATABASE_URL=cluster.url(name), RYTHM_BACKUP_ENGINE=engine)
    tool.ok("migrate")
    tool.ok("schedule", "add", "part", "--schemas", '"s åÿ"')
    made = tool.ok("run", "part", "--no-notify", "--json").json
    script = subprocess.run(["zstd", "-dc"], input=file_store.read(made["name"]), check=True,
                            capture_output=True).stdout.decode("latin-1")
    assert re.search(r'^COPY "s åÿ"."?t"? \("?a"?\) FROM stdin;\n1\n', script, re.MULTILINE)
    assert "public" not in script


def test_an_extension_gives_its_configuration_alone(dumper, make_database, tmp_path):
    """Such an extension cannot be installed for a test: what CREATE EXTENSION leaves in the
    catalogue is written there."""
    database = make_database()
    database.execute("""
        CREATE TABLE config (id integer, t text);
        CREATE TABLE plain (id integer);
        INSERT INTO config VALUES (1, 'its own'), (2, 'ours');
        INSERT INTO plain VALUES (1);
        INSERT INTO pg_extension VALUES (990001, 'pretended', 10, 2200, true, '1',
            ARRAY['config'::regclass::oid], ARRAY['WHERE id > 1']);
        INSERT INTO pg_depend SELECT 'pg_class'::regclass, c, 0, 'pg_extension'::regclass, 990001,
            0, 'e' FROM unnest(ARRAY['config'::regclass, 'plain'::regclass]) c""")
    path = tmp_path / "extension.sql"
    write(dumper(database.name), path, "--compression", "none")
    script = path.read_text()
    assert 'COPY "public"."config" ("id", "t") FROM stdin;\n2\tours\n\\.\n' in script
    assert '"plain"' not in script
    database.execute("DELETE FROM pg_depend WHERE refobjid = 990001")
    database.execute("DELETE FROM pg_extension WHERE oid = 990001")


def test_partitions_by_the_hash_of_an_enum(dumper, cluster, make_database, tmp_path):
    """A restore gives the enum's values other oids, and so other partitions."""
    database = make_database()
    database.execute(HASHED)
    path = tmp_path / "hashed.sql.zst"
    write(dumper(database.name), path)
    restored = make_database()
    # Before its own enum gets them, the oids are used up by others.
    restored.execute("CREATE TYPE other AS ENUM ('a', 'b', 'c')")
    replay(cluster, path, restored.name)
    everything = "SELECT m::text, a FROM hashed ORDER BY a"
    assert restored.execute(everything) == database.execute(everything)


@pytest.mark.parametrize("jobs", [1, 4])
def test_large_objects_that_pg_dump_leaves_to_the_data(dumper, cluster, make_database, tmp_path,
                                                       jobs):
    """pg_dump 17: owners, privileges and comments are for us to write."""
    database = make_database()
    roles = [f"lo_a_{os.getpid()}", f"lo_b_{os.getpid()}"]
    source = tmp_path / "source.sql"
    source.write_text(LARGE_OBJECTS.format(a=roles[0], b=roles[1]))
    cluster.load(database.name, source)
    path = tmp_path / "objects.sql"
    write(dumper(database.name, **of_version_17(tmp_path)), path, "--compression", "none",
          "--jobs", jobs)
    restored = assert_restores(cluster, make_database, path, database.name)
    assert restored.value("SELECT count(*) FROM pg_largeobject_metadata") == 251
    assert path.read_text().count("pg_catalog.lo_create('") == 251
    # No such provider can be installed for a test.
    database.execute("INSERT INTO pg_seclabel VALUES"
                     " (2, 'pg_largeobject'::regclass, 0, 'nobody''s', 'it''s secret')")
    write(dumper(database.name, **of_version_17(tmp_path)), path, "--compression", "none")
    assert ("SECURITY LABEL FOR \"nobody's\" ON LARGE OBJECT 2 IS 'it''s secret';"
            in path.read_text())
    for made in (database, restored):
        cluster.drop_database(made.name)
    for name in (*roles, f'{roles[0]} it\'s "" \\'):
        cluster.execute("postgres", f'DROP ROLE "{name}"')


def test_only_some_schemas(make_tool, database, file_store):
    database.execute('CREATE SCHEMA "one ""of"" many"; CREATE TABLE "one ""of"" many".t AS'
                     " SELECT 1 AS a; SELECT lo_create(0)")
    tool = make_tool(database, file_store)
    tool.ok("schedule", "add", "part", "--schemas", '"one ""of"" many"')
    made = tool.ok("run", "part", "--no-notify", "--json").json
    assert (made["tables"], made["rows"]) == (1, 1)
    script = subprocess.run(["zstd", "-dc"], input=file_store.read(made["name"]), check=True,
                            capture_output=True).stdout.decode()
    assert 'COPY "one ""of"" many"."t" ("a") FROM stdin;\n1\n\\.\n' in script
    assert "lo_open" not in script and 'COPY "public"' not in script


# The same bytes

def test_jobs_do_not_change_a_byte(dumper, torture, tmp_path):
    tool = dumper(torture)
    sums = {write(tool, tmp_path / f"{jobs}.sql.zst", "--jobs", jobs) for jobs in (1, 2, 7)}
    assert len(sums) == 1


def test_the_key_is_random(dumper, empty_database, tmp_path):
    tool = dumper(empty_database.name)
    keys = set()
    for number in range(2):
        path = tmp_path / f"{number}.sql"
        tool.ok("run", "--output", path, "--compression", "none")
        begin, end = re.findall(r"^\\(?:un)?restrict (\w{40,})$", path.read_text(), re.MULTILINE)
        assert begin == end
        keys.add(begin)
    assert len(keys) == 2


@pytest.mark.parametrize("engine", ["parallel", "pg_dump"])
def test_settings_of_the_role_do_not_change_a_byte(dumper, torture, cluster, tmp_path, engine):
    plain = write(dumper(torture, RYTHM_BACKUP_ENGINE=engine), tmp_path / "plain.sql.zst")
    cluster.execute("postgres", f"CREATE ROLE peculiar SUPERUSER LOGIN PASSWORD"
                                f" '{postgres_cluster.PASSWORD}'")
    try:
        for setting in ("DateStyle = 'German, DMY'", "IntervalStyle = 'sql_standard'",
                        "extra_float_digits = '-10'", "bytea_output = 'escape'",
                        "standard_conforming_strings = off", "client_encoding = 'LATIN1'",
                        "TimeZone = 'Asia/Kathmandu'", "quote_all_identifiers = on",
                        "search_path = 'pg_temp, public'", "default_transaction_isolation ="
                        " 'serializable'", "xmlbinary = 'hex'", "row_security = on",
                        "synchronize_seqscans = on", "max_parallel_workers_per_gather = 4",
                        "statement_timeout = 50", "array_nulls = off"):
            cluster.execute("postgres", f"ALTER ROLE peculiar SET {setting}")
        tool = dumper(torture, DATABASE_URL=cluster.url(torture, user="peculiar"),
                      RYTHM_BACKUP_ENGINE=engine)
        assert write(tool, tmp_path / "peculiar.sql.zst") == plain
    finally:
        cluster.execute("postgres", "DROP ROLE peculiar")


# The manifest

def read_manifest(store, name):
    return json.loads(store.read(name + ".json"))


def check_segments(manifest, content):
    """Each segment by itself, against what the manifest says of it; with other tools than ours."""
    position = 0
    for segment in manifest["segments"]:
        assert segment["offset"] == position
        position += segment["length"]
        piece = content[segment["offset"]:position]
        assert hashlib.sha256(piece).hexdigest() == segment["sha256"]
        raw = subprocess.run(["zstd", "-dc"], input=piece, check=True, capture_output=True).stdout
        assert len(raw) == segment["raw_length"]
        if segment["kind"] == "table":
            check_rows(segment, raw)
    assert position == len(content)


def check_rows(segment, raw):
    body = re.search(rb"^COPY [^\n]*(?:\n[^\n]*)*? FROM stdin;\n(.*?)^\\\.\n", raw,
                     re.DOTALL | re.MULTILINE).group(1)
    lines = body.split(b"\n")[:-1]
    total = sum(xxhash.xxh3_128_intdigest(line) for line in lines) % (1 << 128)
    assert (len(lines), f"{total:032x}") == (segment["rows"], segment["fingerprint"])


def check_totals(manifest):
    segments = manifest["segments"]
    for number, table in enumerate(manifest["tables"]):
        own = segments[table["first_segment"]:table["first_segment"] + table["segments"]]
        assert [segment["table"] for segment in own] == [number] * len(own) and own
        for total, part in (("rows", "rows"), ("bytes", "length"), ("raw_bytes", "raw_length")):
            assert table[total] == sum(segment[part] for segment in own)
        fingerprint = sum(int(segment["fingerprint"], 16) for segment in own) % (1 << 128)
        assert table["fingerprint"] == f"{fingerprint:032x}"
    assert manifest["rows"] == sum(table["rows"] for table in manifest["tables"])
    assert manifest["raw_bytes"] == sum(segment["raw_length"] for segment in segments)


def assert_of_schema(manifest_text):
    jsonschema.validate(json.loads(manifest_text), json.loads(SCHEMA.read_text()))


def test_manifest_tells_the_truth(make_tool, cluster, make_database, torture, store, tmp_path):
    database = make_database(torture)
    tool = make_tool(database, store, RYTHM_BACKUP_SEGMENT_SIZE="1")
    tool.ok("migrate")
    made = tool.ok("run", "--no-notify", "--json").json
    manifest = read_manifest(store, made["name"])
    content = store.read(made["name"])
    assert_of_schema(store.read(made["name"] + ".json"))
    check_segments(manifest, content)
    check_totals(manifest)
    for key in ("name", "database", "bytes", "raw_bytes", "sha256", "rows"):
        assert manifest[key] == made[key], key
    assert (manifest["run"], len(manifest["tables"])) == (made["run_id"], made["tables"])
    for table in manifest["tables"]:
        name = f'"{table["schema"]}"."{table["name"]}"' if '"' not in table["schema"] else None
        if name is not None and not table["name"].startswith("backup_"):
            assert database.value(f"SELECT count(*) FROM ONLY {name}") == table["rows"]
    kinds = [segment["kind"] for segment in manifest["segments"]]
    assert list(dict.fromkeys(kinds)) == ["pre-data", "table", "sequences", "large-objects",
                                          "post-data"]
    large = [table for table in manifest["tables"] if table["name"] == "large"]
    assert large[0]["segments"] > 3
    (listed,) = tool.ok("list", "--json").json["backups"]
    (row,) = rows(database, "SELECT engine, table_count, row_count FROM backup_history")
    assert (listed["engine"], listed["tables"], listed["rows"]) == (
        "parallel", made["tables"], made["rows"]) == (
        row["engine"], row["table_count"], row["row_count"])


def test_manifest_goes_with_its_backup(make_tool, small_database, store):
    tool = make_tool(small_database, store)
    names = [tool.ok("run", "--no-notify").out.strip() for _ in range(2)]
    assert all(read_manifest(store, name)["name"] == name for name in names)
    tool.ok("prune", names[0])
    assert [stored.name for stored in store.list()] == names[1:] and store.leftovers() == []


def test_manifest_without_its_backup_goes(make_tool, small_database, store):
    """After a week, when it is provably of this ledger."""
    tool = make_tool(small_database, store)
    schedule = enable(small_database)
    tool.ok("run", "--no-notify")  # makes the folder or container
    old, young = now() - 8 * DAY, now() - 6 * DAY
    mine = facts(b"{}", schedule, small_database)
    other = facts(b"{}", schedule, small_database, ledger="elsewhere")
    store.put(name_at(old) + ".json", b"{}", mine)
    store.put(name_at(old - DAY) + ".json", b"{}", other)
    store.put(name_at(old - 2 * DAY) + ".json", b"{}")
    store.put(name_at(young) + ".json", b"{}", mine)
    assert len(store.leftovers()) >= 4
    tool.ok("prune", "--dry-run")
    assert name_at(old) + ".json" in store.leftovers()
    tool.ok("prune")
    left = [name for name in store.leftovers() if name.endswith(".json")]
    assert sorted(left) == sorted(name_at(when) + ".json"
                                  for when in (old - DAY, old - 2 * DAY, young))


def test_pg_dump_has_no_manifest(make_tool, database, store):
    tool = make_tool(database, store)
    made = tool.ok("run", "--no-notify", "--engine", "pg_dump", "--json").json
    assert (made["engine"], made["tables"], made["rows"]) == ("pg_dump", None, None)
    with pytest.raises(Exception):
        store.read(made["name"] + ".json")
    (listed,) = tool.ok("list", "--json").json["backups"]
    (row,) = rows(database, "SELECT engine, table_count, row_count FROM backup_history")
    assert (listed["engine"], listed["rows"], row["engine"], row["row_count"]) == (
        "pg_dump", None, "pg_dump", None)


# While others write

def balances(restored):
    return restored.execute("""
        SELECT (SELECT sum(abalance) FROM pgbench_accounts),
               (SELECT sum(tbalance) FROM pgbench_tellers),
               (SELECT sum(bbalance) FROM pgbench_branches),
               coalesce((SELECT sum(delta) FROM pgbench_history), 0)""")[0]


def test_sums_are_equal_while_others_write(dumper, bench, cluster, make_database, tmp_path):
    """Twenty times out of twenty."""
    source = make_database(bench)
    tool = dumper(source.name)
    # Four hundred transactions a second: without a limit they would take all there is.
    writers = subprocess.Popen(
        [postgres_cluster.program("pgbench"), "-n", "-c", "4", "-R", "400", "-T", "600",
         source.url],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    paths = [tmp_path / f"{number}.sql.zst" for number in range(20)]
    try:
        for number, path in enumerate(paths):
            write(tool, path, "--jobs", 1 + number % 4)
    finally:
        writers.terminate()
        writers.wait()
    seen = set()
    for path in paths:
        restored = make_database()
        replay(cluster, path, restored.name)
        sums = balances(restored)
        assert len(set(sums)) == 1, sums
        seen.add(sums)
        cluster.drop_database(restored.name)
    assert len(seen) > 10  # they did write


DDL = {
    # In one transaction: whoever sees the table sees a hundred rows.
    "truncated": "BEGIN; TRUNCATE truncated; INSERT INTO truncated SELECT generate_series(1, 100);"
                 "COMMIT",
    "altered": "ALTER TABLE altered ADD COLUMN extra integer DEFAULT 7;"
               "ALTER TABLE altered DROP COLUMN extra",
    "rewritten": "ALTER TABLE rewritten ALTER COLUMN a TYPE bigint;"
                 "ALTER TABLE rewritten ALTER COLUMN a TYPE integer",
    "dropped": "BEGIN; DROP TABLE dropped; CREATE TABLE dropped AS"
               " SELECT generate_series(1, 100) AS a; COMMIT",
    "renamed": "ALTER TABLE renamed RENAME TO renamed_away;"
               "ALTER TABLE renamed_away RENAME TO renamed",
    "created": "CREATE TABLE created_now AS SELECT 1 AS a; DROP TABLE created_now",
}


@pytest.mark.parametrize("table, pause_s", [*((table, 1) for table in sorted(DDL)),
                                            ("truncated", 0), ("renamed", 0), ("created", 0)])
def test_tables_that_change_meanwhile(dumper, bench, cluster, make_database, tmp_path, table,
                                      pause_s):
    """A consistent object, or a clean failure; never a table without its rows."""
    source = make_database(bench)
    for name in DDL:
        source.execute(f"CREATE TABLE {name} AS SELECT generate_series(1, 100) AS a")
    stopping = threading.Event()

    def change():
        with contextlib.closing(source.connect()) as connection:
            while not stopping.wait(pause_s):
                # A deadlock's victim is the change: it is made again.
                with contextlib.suppress(psycopg2.Error):
                    connection.cursor().execute(DDL[table])
                with contextlib.suppress(psycopg2.Error):
                    connection.cursor().execute("ROLLBACK")

    changer = threading.Thread(target=change)
    changer.start()
    try:
        results = []
        for number in range(2):
            path = tmp_path / f"{number}.sql.zst"
            result = dumper(source.name, RYTHM_BACKUP_LOCK_TIMEOUT="30s" if pause_s else "2s").run(
                "run", "--output", path, *KEY)
            results.append(result)
            assert result.code in (0, 1), result.err
            assert (result.code == 0) == path.exists()
    finally:
        stopping.set()
        changer.join()
    for number, result in enumerate(results):
        if result.code != 0:
            assert "❌ dumping the database: " in result.err
            continue
        restored = make_database()
        replay(cluster, tmp_path / f"{number}.sql.zst", restored.name)
        for name in DDL:
            if restored.value("SELECT to_regclass(%s)", name) is not None:
                assert restored.value(f"SELECT count(*) FROM {name}") in (
                    (100, 1) if name == "created" else (100,)), name
        missing = [name for name in DDL
                   if restored.value("SELECT to_regclass(%s)", name) is None]
        assert missing in ([], ["renamed"]) and (
            missing == [] or restored.value("SELECT count(*) FROM renamed_away") == 100)
        cluster.drop_database(restored.name)
    if pause_s > 0:
        assert any(result.code == 0 for result in results), results[0].err


def test_a_lock_that_somebody_waits_for(dumper, bench, make_database, cluster, tmp_path):
    """The queue is fair: a worker would wait for the TRUNCATE, which waits for the exporter."""
    source = make_database(bench)
    tool = dumper(source.name)
    path = tmp_path / "locked.sql.zst"
    process = tool.start("run", "--output", path, *KEY, "--jobs", "2")
    # Readers begin when the snapshot has been taken and pg_dump has its locks.
    stopped = stop_when(process, source, "state LIKE '%' AND query LIKE '%SNAPSHOT%'")
    assert stopped
    waiter = source.connect()
    truncating = threading.Thread(
        target=lambda: waiter.cursor().execute("TRUNCATE pgbench_accounts, pgbench_history"))
    truncating.start()
    processes.wait_until(
        lambda: source.value("SELECT count(*) FROM pg_locks WHERE NOT granted") > 0,
        "the TRUNCATE waits")
    process.send_signal(signal.SIGCONT)
    result = tool.finish(process)
    truncating.join()
    waiter.close()
    assert result.code == 0, result.err
    restored = make_database()
    replay(cluster, path, restored.name)
    assert restored.value("SELECT count(*) FROM pgbench_accounts") == 100000
    assert source.value("SELECT count(*) FROM pgbench_accounts") == 0


@contextlib.contextmanager
def reindexing(source):
    """Meanwhile an index of the table `large` is being rebuilt. The connection."""
    source.execute("CREATE INDEX ON large (id); CREATE INDEX filled ON large (filler)")
    with contextlib.closing(source.connect()) as connection:
        connection.autocommit = False
        connection.cursor().execute("REINDEX INDEX filled")
        yield connection


@pytest.mark.parametrize("jobs", [1, 3])
def test_an_index_that_is_rebuilt(dumper, torture, cluster, make_database, tmp_path, jobs):
    """It is waited for, as a locked table is."""
    source = make_database(torture)
    with reindexing(source) as connection:
        tool = dumper(source.name)
        process = tool.start("run", "--output", tmp_path / "x.sql.zst", "--jobs", jobs)
        # The exporter, for the workers have given up by then.
        processes.wait_until(lambda: source.value(
            "SELECT max(clock_timestamp() - query_start) > '2 s' FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"), "somebody waits")
        connection.rollback()
        result = tool.finish(process)
    assert result.code == 0, result.err
    assert_restores(cluster, make_database, tmp_path / "x.sql.zst", source.name)


def test_an_index_that_is_rebuilt_for_too_long(dumper, torture, make_database, tmp_path):
    source = make_database(torture)
    with reindexing(source):
        result = dumper(source.name, RYTHM_BACKUP_LOCK_TIMEOUT="2s").run(
            "run", "--output", tmp_path / "x.sql.zst")
    assert result.code == 1
    assert ('reading table "public"."large": Postgres says: canceling statement due to lock'
            " timeout; another session has held a lock on an index of it (REINDEX, say) for longer"
            " than RYTHM_BACKUP_LOCK_TIMEOUT" in result.err)
    assert list(tmp_path.glob("x*")) == []


# What cannot be read whole

def test_a_row_that_is_too_long(dumper, make_database, tmp_path):
    """Refused before the memory is filled: 500 MB of text, with 64 MiB allowed."""
    database = make_database()
    database.execute("CREATE TABLE long (id integer, t text);"
                     "INSERT INTO long SELECT 1, repeat('0123456789', 50000000)")
    tool = dumper(database.name, RYTHM_BACKUP_ROW_LIMIT="64",
                  RYTHM_BACKUP_JOBS="1")
    peak = tmp_path / "peak"
    result = tool.run("run", "--output", tmp_path / "long.sql.zst", prefix=peak_to(peak))
    err = result.err
    assert result.code == 1
    assert "reading table \"public\".\"long\": a row is longer than 64.0 MB" in err
    assert "raise RYTHM_BACKUP_ROW_LIMIT, or set RYTHM_BACKUP_ENGINE=pg_dump" in err
    assert int(peak.read_text()) < tool.memory_limit(200)
    assert list(tmp_path.glob("long*")) == []


# What the server has no room for

TOO_MANY_LOCKS = """
DO $$ BEGIN FOR i IN 1..20 LOOP
    FOR j IN 1..100 LOOP EXECUTE format('CREATE TABLE t_%s_%s ()', i, j); END LOOP; COMMIT;
END LOOP; END $$"""
RAISE_LOCKS = ("max_locks_per_transaction; raise it on the server, for three sessions of a parallel"
               " dump lock each table, or set RYTHM_BACKUP_ENGINE=pg_dump")


@pytest.fixture
def narrow_cluster(folder):
    """With room for few locks."""
    narrow = postgres_cluster.PostgresCluster(folder / "narrow")
    narrow.create()
    with open(narrow.data / "postgresql.conf", "a") as settings:
        settings.write("max_locks_per_transaction = 10\nmax_connections = 20\n")
    narrow.start()
    yield narrow
    narrow.stop(immediately=True)


def test_more_locks_than_the_server_has_room_for(make_tool, narrow_cluster, tmp_path):
    narrow_cluster.execute("postgres", TOO_MANY_LOCKS)
    result = make_tool(DATABASE_URL=narrow_cluster.url("postgres")).run(
        "run", "--output", tmp_path / "x")
    assert result.code == 1
    assert "locking the tables to dump: Postgres says: out of shared memory" in result.err
    assert RAISE_LOCKS in result.err


def test_pg_dump_finds_no_room_for_its_locks(dumper, empty_database, tmp_path):
    """What it says then, in whatever language; it is not tried again and again."""
    settings = script(tmp_path, """
echo 'pg_dump: error: query failed: FEHLER:  Shared Memory aufgebraucht' >&2
echo 'HINT:  Sie müssen möglicherweise max_locks_per_transaction erhöhen.' >&2
echo 'pg_dump: detail: Query was: LOCK TABLE public.t IN ACCESS SHARE MODE' >&2
echo >>"$0.calls"
exit 1""")
    result = dumper(empty_database.name, **settings | {"RYTHM_BACKUP_ENGINE": "parallel"}).run(
        "run", "--output", tmp_path / "x")
    assert result.code == 1
    assert RAISE_LOCKS.split("; ", maxsplit=1)[1] in result.err
    assert (tmp_path / "pg_dump.calls").read_text().count("\n") <= 2


def test_pg_dump_warns_a_lot_before_it_writes(dumper, small_database, tmp_path):
    """More than a pipe holds: it must not wait for us while we wait for it."""
    gate = gate_of_section(tmp_path, "pre-data",
                           'yes "pg_dump: warning: so it is" | head -c 300000 >&2;'
                           ' exec "$REAL" "$@"')
    dumper(small_database.name, **gate.settings, RYTHM_BACKUP_STALL_TIMEOUT="5s").ok(
        "run", "--output", tmp_path / "x")


def test_several_tables_are_locked(dumper, make_database, tmp_path):
    """Each of them for less than the limit, one after the other: they are waited for together."""
    database = make_database()
    lockers = []
    with contextlib.ExitStack() as held:
        for number in range(6):
            database.execute(f"CREATE TABLE locked_{number} ()")
            lockers.append(held.enter_context(contextlib.closing(database.connect())))
            lockers[-1].autocommit = False
            lockers[-1].cursor().execute(f"LOCK TABLE locked_{number}")
        process = dumper(database.name, RYTHM_BACKUP_LOCK_TIMEOUT="2s").start(
            "run", "--output", tmp_path / "x")

        for number in range(6):
            with contextlib.suppress(AssertionError):
                processes.wait_until(lambda: process.poll() is not None, "it ends", timeout=1.5)
            lockers[number].rollback()
        result = dumper(database.name).finish(process)
    assert result.code == 1
    assert re.search(r'table .*locked_\d"? is locked by the session with pid', result.err)


# Sessions that end

def sessions(database, condition="true"):
    return rows(database, f"""
        SELECT pid, application_name, state, query FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
          AND application_name IN ('rythm-backup', 'pg_dump') AND {condition} ORDER BY pid""")


def stop_when(process, database, condition):
    """SIGSTOP as soon as a session of the program fulfils it; False when it ended before."""
    with contextlib.closing(database.connect()) as connection:
        cursor = connection.cursor()
        for _ in range(20000):
            cursor.execute(f"""SELECT EXISTS (SELECT FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()
                  AND application_name = 'rythm-backup' AND {condition})""")
            if cursor.fetchone()[0]:
                process.send_signal(signal.SIGSTOP)
                return True
            if process.poll() is not None:
                return False
    return False


PHASES = {"locking": "wait_event_type = 'Lock'",
          "planning": "query LIKE '%large%'", "reading": "query LIKE '%COPY%'"}


@pytest.mark.parametrize("phase", sorted(PHASES))
def test_a_session_that_ends(make_tool, make_database, torture, file_store, phase):
    """Whichever of them and whenever: nothing is published, and the ledger says failed."""
    database = make_database(torture)
    tool = make_tool(database, file_store, RYTHM_BACKUP_SEGMENT_SIZE="1", RYTHM_BACKUP_JOBS="3")
    tool.ok("migrate")
    tried = 0
    for which in itertools.count():
        locker = database.connect()
        locker.autocommit = False
        if phase == "locking":
            locker.cursor().execute("LOCK TABLE large IN ACCESS EXCLUSIVE MODE")
        process = tool.start("run", "--no-notify")
        stopped = stop_when(process, database, PHASES[phase])
        victims = sessions(database) if stopped else []
        locker.close()
        if which >= len(victims):
            process.send_signal(signal.SIGCONT)
            tool.finish(process)
            break
        victim = victims[which]
        before = len(file_store.list())
        database.execute("SELECT pg_terminate_backend(%s)", victim["pid"])
        process.send_signal(signal.SIGCONT)
        result = tool.finish(process)
        # pg_dump has no further use for its session once it has read everything.
        if victim["application_name"] == "pg_dump" and result.code == 0:
            continue
        # The claim's session may be replaced when only the outcome is left to be written.
        assert result.code == 1, (victim, result.err)
        assert len(file_store.list()) == before and file_store.leftovers() == []
        tried += 1
    assert tried > 0
    assert database.value("SELECT count(*) FROM backup_history WHERE status = 'started'") == 0


EXPORTER_ENDED = "the session that held the snapshot has ended"
# What its owner says of a session that has ended: it depends on what it did then.
ENDED = ("terminating connection due to administrator command|"
         "server closed the connection unexpectedly|a session that read tables has ended")


@pytest.fixture
def run_with_victim(make_tool, make_database, torture, file_store):
    """A function: starts a run with these settings, waits for victim(process, database), a pid of
    the server, ends that session, calls go_on(process). Nothing may be published. Its messages."""
    def run(victim, go_on, **settings):
        database = make_database(torture)
        tool = make_tool(database, file_store, RYTHM_BACKUP_SEGMENT_SIZE="1",
                         RYTHM_BACKUP_JOBS="2", **settings)
        tool.ok("migrate")
        process = tool.start("run", "--no-notify")
        assert database.value("SELECT pg_terminate_backend(%s, 10000)", victim(process, database))
        go_on(process)
        result = tool.finish(process)
        assert result.code == 1, result.err
        assert file_store.list() == [] and file_store.leftovers() == []
        assert database.value("SELECT string_agg(status, ',') FROM backup_history") == "failed"
        return result.err
    return run


def resume(process):
    process.send_signal(signal.SIGCONT)


def exporter(database):
    """Its transaction began first."""
    return database.value("""SELECT pid FROM pg_stat_activity WHERE datname = current_database()
        AND application_name = 'rythm-backup' AND backend_xmin IS NOT NULL
        ORDER BY backend_start LIMIT 1""")


@pytest.mark.parametrize("section", ["pre-data", "post-data"])
def test_the_exporter_ends_before_pg_dump_begins(run_with_victim, tmp_path, section):
    gate = gate_of_section(tmp_path, section, 'WAIT; exec "$REAL" "$@"')

    def victim(_, database):
        gate.reached()
        return exporter(database)
    assert EXPORTER_ENDED in run_with_victim(victim, lambda _: gate.open(), **gate.settings)


@pytest.mark.parametrize("section", ["pre-data", "post-data"])
def test_the_session_of_a_pg_dump_ends(run_with_victim, tmp_path, section):
    """When it has its locks; before that another is begun."""
    gate = gate_of_section(tmp_path, section, 'WAIT; PGAPPNAME=victim exec "$REAL" "$@"')
    pids = []

    def victim(_, database):
        pids.append(gate.reached())
        with contextlib.closing(database.connect()) as connection:
            cursor = connection.cursor()
            gate.open()

            def find():
                cursor.execute("SELECT pid FROM pg_stat_activity JOIN pg_locks USING (pid)"
                               " WHERE application_name = 'victim' AND query NOT LIKE 'LOCK%'"
                               " AND relation = 'large'::regclass")
                return cursor.fetchone()
            (found,) = processes.wait_until(find, "pg_dump reads the catalogue", step=0.001)
            os.kill(pids[0], signal.SIGSTOP)
            return found

    def go_on(_):
        os.kill(pids[0], signal.SIGCONT)
    said = run_with_victim(victim, go_on, **gate.settings)
    assert re.search(f"pg_dump failed with exit status 1: .*({ENDED})", said), said


def stopped_when(condition, choose):
    """Stops the program at that, and takes its victim then."""
    def victim(process, database):
        assert stop_when(process, database, condition)
        return choose(database)
    return victim


def test_the_exporter_ends_while_others_read(run_with_victim):
    said = run_with_victim(stopped_when("query LIKE '%COPY%'", exporter), resume)
    assert EXPORTER_ENDED in said


def reader_of(what):
    return ("application_name = 'rythm-backup' AND datname = current_database()"
            f" AND state <> 'idle' AND query LIKE '%{what}%' AND query NOT LIKE '%metadata%'")


def test_a_worker_ends_at_a_large_object(run_with_victim):
    said = run_with_victim(stopped_when(reader_of("lo_get"), lambda database: database.value(
        f"SELECT pid FROM pg_stat_activity WHERE {reader_of('lo_get')}")), resume)
    assert re.search(f"reading large object .*({ENDED})", said), said


def test_a_worker_ends_at_the_sequences(run_with_victim):
    with contextlib.ExitStack() as held:
        def victim(process, database):
            # Both pg_dumps have read them by then.
            assert stop_when(process, database, "query LIKE '%COPY%'")
            connection = held.enter_context(contextlib.closing(database.connect()))
            connection.autocommit = False
            connection.cursor().execute("ALTER SEQUENCE cycled RENAME TO renamed")
            resume(process)
            (found,) = processes.wait_until(lambda: database.execute(
                "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                f" AND {reader_of('last_value')}"), "the sequences are read")
            return found[0]
        said = run_with_victim(victim, lambda _: None)
    assert re.search(f"reading the sequences: .*({ENDED})", said), said


@pytest.mark.parametrize("number, message", [(0, EXPORTER_ENDED),
                                             (1, "checking the tables' names")])
def test_a_session_ends_before_the_last_look(run_with_victim, tmp_path, number, message):
    """The last pg_dump has written everything and is only slow to end."""
    gate = gate_of_section(tmp_path, "post-data", '"$REAL" "$@" || exit; exec >&-; WAIT')

    def victim(_, database):
        gate.reached()
        found = []

        def have_read():
            # The exporter, and then the readers in their order.
            found[:] = database.execute("""SELECT pid, clock_timestamp() - state_change > '0.7 s'
                FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
                AND application_name = 'rythm-backup' AND backend_start >= (
                    SELECT backend_start FROM pg_stat_activity WHERE pid = %s)
                ORDER BY backend_start""", exporter(database))
            return len(found) == 3 and all(still for _, still in found)
        processes.wait_until(have_read, "everything has been read")
        return found[number][0]
    assert message in run_with_victim(victim, lambda _: gate.open(), **gate.settings)


def test_connections_that_are_not_to_be_had(make_tool, cluster, small_database, file_store, role):
    """CONNECTION LIMIT: a clear failure, and everything is closed again."""
    name, url = role(small_database, attributes="SUPERUSER CONNECTION LIMIT 3")
    tool = make_tool(file_store, DATABASE_URL=url, RYTHM_BACKUP_JOBS="4")
    result = tool.run("run", "--no-notify")
    # Superusers have no limit: the role is made an ordinary one that may read all.
    assert result.code == 0
    small_database.execute(f"ALTER ROLE {name} NOSUPERUSER BYPASSRLS")
    small_database.execute(f"GRANT pg_read_all_data, pg_write_all_data TO {name}")
    result = tool.run("run", "--no-notify")
    assert result.code == 1
    assert "too many connections for role" in result.err
    assert len(file_store.list()) == 1 and file_store.leftovers() == []
    small_database.execute(f"REVOKE pg_read_all_data, pg_write_all_data FROM {name}")


# Bad input

@pytest.mark.parametrize("options, message", [
    (("--jobs", "0"), "--jobs"), (("--jobs", "65"), "--jobs"), (("--jobs", "two"), "--jobs"),
    (("--engine", "fast"), "--engine"), (("--restrict-key", "a b"), "letters and digits"),
    (("--restrict-key", ""), "letters and digits"), (("--restrict-key", "é"), "letters")])
def test_wrong_options(dumper, empty_database, tmp_path, options, message):
    result = dumper(empty_database.name).run("run", "--output", tmp_path / "x", *options)
    assert result.code == 2 and message in result.err


@pytest.mark.parametrize("name, value", [
    ("RYTHM_BACKUP_SEGMENT_SIZE", "0"), ("RYTHM_BACKUP_SEGMENT_SIZE", "1025"),
    ("RYTHM_BACKUP_ROW_LIMIT", "0"), ("RYTHM_BACKUP_ROW_LIMIT", "many"),
    ("RYTHM_BACKUP_ENGINE", "PG_DUMP"), ("RYTHM_BACKUP_JOBS", "-1")])
def test_wrong_settings(dumper, empty_database, tmp_path, name, value):
    result = dumper(empty_database.name, **{name: value}).run("run", "--output", tmp_path / "x")
    assert result.code == 2 and name in result.err

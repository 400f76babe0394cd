"""`restore`: what was dumped is there again, in another database, as a file, or some tables of it;
and whatever goes wrong, the target is whole or untouched."""

import contextlib
import gzip
import itertools
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

import backups
import pg_dumps
import processes
from contents import HASHED, LARGE_OBJECTS, MANY, compared, replay
from fault_proxy import ALWAYS
from postgres_cluster import PASSWORD, PostgresCluster
from stores import FileStore

NOWHERE = "postgresql://postgres@127.0.0.1:1/nowhere"
OLD_NAME = "rythm-backup-2025-01-29T02-00-01-123Z.sql"
SCRATCH = "SELECT datname FROM pg_database WHERE datname ~ '^rythm_(restore|verify|replaced)_'"

numbers = itertools.count(1)


def sort_rows(dump):
    """The dump with each table's rows in the order of their text."""
    def sort(block):
        return block[1] + b"".join(sorted(block[2].splitlines(keepends=True))) + b"\\.\n"
    return re.sub(rb"^(COPY .*? FROM stdin;\n)(.*?)^\\\.\n", sort, dump,
                  flags=re.DOTALL | re.MULTILINE)


class Restorer:
    """The program, with a ledger in one database, and backups of others."""

    def __init__(self, tool, home, store):
        self.tool = tool
        self.home = home
        self.cluster = home.cluster
        self.store = store
        self.last_schedule = None

    def back_up(self, source, *options, **settings):
        """Of the database of this name; the backup's name."""
        schedule = self.last_schedule = f"of-{next(numbers)}"
        tool = self.tool.with_settings(**settings)
        tool.ok("schedule", "add", schedule, "--dbname", source)
        return tool.ok("run", schedule, "--no-notify", *options).out.strip()

    def arguments(self, name, target, *options):
        to = target if "=" in target or ":" in target else self.cluster.url(target)
        return ("restore", name, "--to", to, *options)

    def ok(self, name, target, *options):
        return self.tool.ok(*self.arguments(name, target, *options))

    def run(self, name, target, *options):
        return self.tool.run(*self.arguments(name, target, *options))

    def refused(self, code, text, name, target, *options):
        """An error, and no more than its line."""
        result = self.run(name, target, *options)
        assert (result.code, result.out) == (code, ""), result.err
        assert text in result.err, result.err
        return result

    def exists(self, name):
        return self.home.value("SELECT EXISTS (SELECT FROM pg_database WHERE datname = %s)", name)

    def scratch(self):
        return [name for name, in self.home.execute(SCRATCH)]

    def assert_equal(self, target, source, in_order=True):
        """What several write at the same time has no order."""
        dumps = [compared(self.cluster, name) for name in (target, source)]
        if not in_order:
            dumps = [sort_rows(dump) for dump in dumps]
        assert dumps[0] == dumps[1]


@pytest.fixture
def make_restorer(make_tool, small_database):
    """A function: one that writes to this store. Nothing that it makes on the way may stay."""
    made = []

    def make(store, **settings):
        tool = make_tool(small_database, store, RYTHM_BACKUP_SEGMENT_SIZE="1", **settings)
        made.append(Restorer(tool, small_database, store))
        return made[-1]

    yield make
    for restorer in made:
        assert restorer.scratch() == []


@pytest.fixture
def restorer(make_restorer, file_store):
    return make_restorer(file_store)


@pytest.fixture
def make_name(cluster):
    """A function: the name of a database that does not exist, and is dropped afterwards."""
    made = []

    def make(text="target"):
        made.append(f"{text}_{os.getpid()}_{next(numbers)}")
        return made[-1]

    yield make
    for name in made:
        cluster.drop_database(name)


@pytest.fixture
def target(make_name):
    return make_name()


@pytest.fixture
def source(make_database):
    """A small database with something of most kinds."""
    database = make_database()
    database.execute("""
        CREATE SCHEMA "odd ""s.t"" x";
        CREATE TABLE parents (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
        CREATE TABLE children (id integer GENERATED ALWAYS AS IDENTITY (START 5 INCREMENT 3),
            parent integer REFERENCES parents, amount numeric DEFAULT 1.5 CHECK (amount > 0));
        ALTER TABLE children ADD CONSTRAINT late CHECK (parent < 1000) NOT VALID;
        CREATE INDEX children_by_amount ON children (amount) WHERE amount > 1;
        COMMENT ON INDEX children_by_amount IS 'an index';
        COMMENT ON COLUMN children.amount IS 'a column';
        CREATE TABLE "odd ""s.t"" x"."it's ""a"" table" ("a b" integer);
        CREATE TABLE "odd ""s.t"" x"."dot.ted" (a integer);
        CREATE TABLE others (a integer);
        CREATE SEQUENCE own_sequence;
        CREATE VIEW seen AS SELECT name FROM parents;
        CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM children;
        INSERT INTO parents (name) SELECT 'p' || g FROM generate_series(1, 20) g;
        INSERT INTO children (parent) SELECT g FROM generate_series(1, 10) g;
        INSERT INTO "odd ""s.t"" x"."it's ""a"" table" VALUES (7);
        INSERT INTO "odd ""s.t"" x"."dot.ted" VALUES (8), (9);
        INSERT INTO others VALUES (1);
        SELECT nextval('own_sequence'), nextval('own_sequence'), lo_from_bytea(4711, 'large')""")
    return database


# The same again

@pytest.mark.parametrize("jobs", [1, 4])
def test_torture(restorer, torture, target, jobs):
    name = restorer.back_up(torture)
    restorer.ok(name, target, "--create", "--jobs", jobs)
    restorer.assert_equal(target, torture, in_order=jobs == 1)
    assert not os.path.exists("/tmp/never")


def test_a_small_database_from_each_store(make_restorer, store, source, target):
    restorer = make_restorer(store)
    name = restorer.back_up(source.name)
    result = restorer.ok(name, target, "--create", "--json")
    restorer.assert_equal(target, source.name)
    outcome = result.json
    assert outcome.pop("duration_ms") >= 0 and outcome.pop("raw_bytes") > 1000
    assert outcome.pop("store").startswith({"file": "file://", "azure": "azblob://", "s3": "s3://"}[
        store.kind])
    assert outcome == {"name": name, "database": target, "tables": 5, "rows": 34}
    assert f"Restored {name} into database {target} in " in result.err


@pytest.mark.parametrize("jobs", [1, 4])
@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_pgbench(restorer, bench, target, jobs, compression):
    name = restorer.back_up(bench, "--compression", compression)
    restorer.ok(name, target, "--create", "--jobs", jobs)
    restorer.assert_equal(target, bench, in_order=jobs == 1)


@pytest.mark.parametrize("jobs", [1, 4])
def test_the_sample(restorer, sample, target, jobs):
    name = restorer.back_up(sample)
    restorer.ok(name, target, "--create", "--jobs", jobs)
    restorer.assert_equal(target, sample)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_table_that_one_session_fills_is_frozen(restorer, make_database, target, cluster, jobs):
    """Nothing is left to be written when it is read; what is not emptied first is filled, too."""
    database = make_database()
    database.execute("""
        CREATE TABLE "a ""b (c" AS SELECT g, repeat('x', 90) AS t FROM generate_series(1, 30000) g;
        CREATE TABLE other AS SELECT * FROM "a ""b (c";
        CREATE TYPE colour AS ENUM ('red');
        CREATE TABLE hashed (c colour, g int, t text) PARTITION BY HASH (c);
        CREATE TABLE part PARTITION OF hashed FOR VALUES WITH (MODULUS 1, REMAINDER 0);
        INSERT INTO hashed SELECT 'red', g, repeat('y', 90) FROM generate_series(1, 29000) g""")
    name = restorer.back_up(database.name, RYTHM_BACKUP_SEGMENT_SIZE="2")
    restorer.ok(name, target, "--create", "--jobs", jobs)
    restorer.assert_equal(target, database.name, in_order=jobs == 1)
    cluster.execute(target, "CREATE EXTENSION pg_visibility")
    assert cluster.execute(target, """
        SELECT all_frozen > 0 AND all_frozen = pg_relation_size(c.oid) / 8192
          FROM pg_class c, pg_visibility_map_summary(c.oid)
         WHERE relname = 'a "b (c'""") == [(True,)]


def test_rows_of_an_extension_stay(restorer, make_database, target, cluster, tmp_path):
    """CREATE EXTENSION may make some; the backup has the others. Here pg_dump adds one."""
    database = make_database()
    database.execute("CREATE TABLE known AS SELECT g, repeat('x', 90) AS t"
                     " FROM generate_series(1, 30000) g")
    settings = pg_dumps.script(tmp_path, """
set -o pipefail
"$REAL" "$@" |
    sed -E "/^ALTER TABLE public.known OWNER/a INSERT INTO public.known VALUES (0, 'own');"
""")
    settings |= {"RYTHM_BACKUP_ENGINE": "parallel", "RYTHM_BACKUP_SEGMENT_SIZE": "2"}
    name = restorer.back_up(database.name, **settings)
    restorer.ok(name, target, "--create", "--jobs", "1")
    assert cluster.execute(target, "SELECT count(*), min(g) FROM known") == [(30001, 0)]


@pytest.fixture
def long_and_short(make_database):
    """Two tables, one of which is restored when half of the other is."""
    database = make_database()
    database.execute("""
        CREATE TABLE long AS SELECT g, md5(g::text) AS t FROM generate_series(1, 300000) g;
        CREATE TABLE short AS SELECT * FROM long WHERE g <= 160000;
        CREATE INDEX ON long (t)""")
    return database


def test_a_table_is_frozen_until_others_help_with_it(restorer, long_and_short, target, cluster):
    name = restorer.back_up(long_and_short.name, RYTHM_BACKUP_SEGMENT_SIZE="2")
    restorer.ok(name, target, "--create", "--jobs", "2")
    restorer.assert_equal(target, long_and_short.name, in_order=False)
    cluster.execute(target, "CREATE EXTENSION pg_visibility")
    assert cluster.execute(target, """
        SELECT all_frozen > 0, all_frozen < pg_relation_size('long') / 8192
          FROM pg_visibility_map_summary('long')""") == [(True, True)]


@pytest.mark.parametrize("then, number, code", [
    ("PERFORM pg_sleep(3); RAISE 'far from home'", None, 1),
    ("PERFORM pg_sleep(60)", signal.SIGTERM, 143)])
def test_who_waits_to_help_is_told_of_the_end(restorer, long_and_short, make_name, cluster, then,
                                              number, code):
    """The long table's first rows take so long that the other session waits for it."""
    long_and_short.execute(
        "CREATE FUNCTION late() RETURNS boolean LANGUAGE plpgsql AS $$BEGIN IF current_database()"
        f" <> '{long_and_short.name}' THEN {then}; END IF; RETURN true; END$$;"
        "ALTER TABLE long ADD CONSTRAINT late CHECK (g <> 100 OR late())")
    name = restorer.back_up(long_and_short.name, RYTHM_BACKUP_SEGMENT_SIZE="3")
    process = restorer.tool.start(*restorer.arguments(name, make_name(), "--create", "--jobs", "2"))
    processes.wait_until(lambda: sleeps(cluster), "the rows are on their way")
    if number:
        processes.wait_until(lambda: cluster.execute(
            "postgres", "SELECT pid FROM pg_stat_activity WHERE datname LIKE 'rythm_restore_%'"
                        " AND query = 'COMMIT'"), "the short table is in")
        process.send_signal(number)
    result = restorer.tool.finish(process, 20)
    assert result.code == code, result.err
    assert number or "far from home" in result.err, result.err
    assert restorer.scratch() == []


# Where it is restored, a row of the long table waits for two of the short one's indexes.
AWAITS = """
CREATE TABLE short (id integer PRIMARY KEY, other integer);
CREATE INDEX short_other ON short (other);
INSERT INTO short SELECT g, -g FROM generate_series(1, 10) g;
CREATE TABLE long AS SELECT g FROM generate_series(1, 3000) g;
CREATE FUNCTION waits() RETURNS boolean LANGUAGE plpgsql AS $$DECLARE n integer := 0; BEGIN
    WHILE current_database() <> '{name}' AND (SELECT count(*) FROM pg_index
        WHERE indrelid = 'public.short'::regclass) < 2 LOOP
        PERFORM pg_sleep(0.01);
        n := n + 1;
        IF n > 3000 THEN RAISE 'nobody builds indexes'; END IF;
    END LOOP;
    RETURN true;
END$$;
ALTER TABLE long ADD CONSTRAINT waits CHECK (g <> 1000 OR public.waits());
CREATE FUNCTION whole(integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $$BEGIN
    IF (SELECT count(*) FROM public.long) <> 3000 THEN RAISE 'long is not there'; END IF;
    RETURN $1;
END$$;
CREATE INDEX short_whole ON short (public.whole(id));
CREATE INDEX short_part ON short (id) WHERE public.whole(id) > 3;
ALTER TABLE short ADD EXCLUDE USING btree (other WITH =) WHERE (public.whole(id) > 3);
"""


def test_an_index_is_built_when_its_rows_are_there(restorer, make_database, target):
    """While other rows are on their way; unless it may read these."""
    database = make_database()
    database.execute(AWAITS.format(name=database.name))
    name = restorer.back_up(database.name)
    restorer.ok(name, target, "--create", "--jobs", "2")
    restorer.assert_equal(target, database.name)


# Of one that ends while the other is filled, in a transaction of its own; and what needs both.
APART = """
CREATE TABLE z AS SELECT g AS id, repeat('x', 90) AS t FROM generate_series(1, 60000) g;
ALTER TABLE z ADD PRIMARY KEY (id);
CREATE TABLE a (id integer PRIMARY KEY, z integer);
INSERT INTO a SELECT g, g FROM generate_series(1, 10) g;
CREATE INDEX a_z ON a (z);
COMMENT ON INDEX z_pkey IS 'of the other table, behind an index of this one';
COMMENT ON CONSTRAINT z_pkey ON z IS 'key';
CREATE TABLE parent (id integer PRIMARY KEY);
CREATE TABLE child (more text, PRIMARY KEY (id)) INHERITS (parent);
INSERT INTO parent SELECT generate_series(1, 10);
INSERT INTO child SELECT g, repeat('y', 90) FROM generate_series(11, 30000) g;
"""
LATER = {
    "keys": "",
    "foreign keys": "ALTER TABLE a ADD FOREIGN KEY (z) REFERENCES z",
    "foreign keys alone": "ALTER TABLE a DROP CONSTRAINT a_pkey; DROP INDEX a_z;"
                          "ALTER TABLE parent DROP CONSTRAINT parent_pkey;"
                          "ALTER TABLE child DROP CONSTRAINT child_pkey;"
                          "ALTER TABLE z DROP CONSTRAINT z_pkey; ALTER TABLE z ADD UNIQUE (id);"
                          "ALTER TABLE a ADD FOREIGN KEY (z) REFERENCES z (id)",
    "triggers alone": "DROP TABLE a, z, child, parent; CREATE TABLE a AS SELECT 1 AS b;"
                      "CREATE TRIGGER t BEFORE UPDATE ON a FOR EACH ROW EXECUTE FUNCTION"
                      " suppress_redundant_updates_trigger()",
}


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("what", list(LATER))
def test_what_comes_after_the_rows(restorer, make_database, target, what, jobs):
    database = make_database()
    database.execute(APART)
    database.execute(LATER[what] or "SELECT")
    name = restorer.back_up(database.name, RYTHM_BACKUP_SEGMENT_SIZE="2")
    restorer.ok(name, target, "--create", "--jobs", jobs)
    restorer.assert_equal(target, database.name, in_order=jobs == 1)


def test_an_index_that_fails_ends_all(restorer, make_database, make_name):
    """One session fills a table, and one waits to build the index of that."""
    database = make_database()
    elsewhere = f"IF current_database() <> '{database.name}' THEN"
    database.execute(f"""
        CREATE FUNCTION far(integer, integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS
            $$BEGIN {elsewhere} RAISE 'far from home'; END IF; RETURN $1 - $2; END$$;
        CREATE OPERATOR CLASS far FOR TYPE integer USING btree AS OPERATOR 1 <, OPERATOR 2 <=,
            OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 far(integer, integer);
        CREATE TABLE short AS SELECT g FROM generate_series(1, 10) g;
        CREATE INDEX short_far ON short (g far);
        CREATE TABLE long AS SELECT g FROM generate_series(1, 3000) g;
        CREATE INDEX ON long (g);
        CREATE FUNCTION slow() RETURNS boolean LANGUAGE plpgsql AS
            $$BEGIN {elsewhere} PERFORM pg_sleep(60); END IF; RETURN true; END$$;
        ALTER TABLE long ADD CONSTRAINT slow CHECK (g <> 1000 OR slow())""")
    name = restorer.back_up(database.name)
    process = restorer.tool.start(*restorer.arguments(name, make_name(), "--create", "--jobs", "3"))
    result = restorer.tool.finish(process, 30)
    assert result.code == 1, result.err
    assert "building indexes and keys: INDEX public.short_far" in result.err, result.err
    assert "far from home" in result.err
    assert restorer.scratch() == []


def test_no_index_before_the_rows_that_come_through_a_root(restorer, make_database, target):
    """They come into any partition. Here the other session keeps their keys from being made, as its
    own rows might that come through the root."""
    database = make_database()
    database.execute(HASHED)
    database.execute(f"""
        ALTER TABLE hashed ADD PRIMARY KEY (m, a);
        CREATE FUNCTION slow() RETURNS boolean LANGUAGE plpgsql AS $$BEGIN
            IF current_database() <> '{database.name}' THEN PERFORM pg_sleep(0.2); END IF;
            RETURN true;
        END$$;
        ALTER TABLE hashed ADD CONSTRAINT slow CHECK (a > 4 OR public.slow());
        CREATE TABLE long AS SELECT g FROM generate_series(1, 3000) g;
        CREATE FUNCTION waits() RETURNS boolean LANGUAGE plpgsql AS $$DECLARE n integer := 0; BEGIN
            WHILE current_database() <> '{database.name}'
                AND (SELECT count(*) FROM public.hashed) < 40 LOOP
                PERFORM pg_sleep(0.01);
                n := n + 1;
                IF n > 3000 THEN RAISE 'the rows do not come'; END IF;
            END LOOP;
            RETURN true;
        END$$;
        ALTER TABLE long ADD CONSTRAINT waits CHECK (g <> 1000 OR public.waits())""")
    name = restorer.back_up(database.name)
    restorer.ok(name, target, "--create", "--jobs", "2")
    everything = "SELECT m::text, a FROM hashed ORDER BY a"
    assert database.execute(everything) == database.cluster.execute(target, everything)


def test_five_thousand_tables(restorer, make_database, target, cluster, file_store):
    """By restore and by psql."""
    database, replayed = make_database(), make_database()
    database.execute(MANY)
    name = restorer.back_up(database.name)
    outcome = restorer.ok(name, target, "--create", "--jobs", "4", "--json").json
    assert outcome["tables"] == 5000
    replay(cluster, file_store.folder / name, replayed.name)
    expected = compared(cluster, database.name)
    for restored in (target, replayed.name):
        assert compared(cluster, restored) == expected


def test_an_empty_database(restorer, empty_database, target):
    name = restorer.back_up(empty_database.name)
    restorer.ok(name, target, "--create")
    restorer.assert_equal(target, empty_database.name)


@pytest.mark.parametrize("jobs", [1, 4])
@pytest.mark.parametrize("encoding, text", [("LATIN1", "åäö ÿ".encode("latin-1")),
                                            ("SQL_ASCII", b"\xe5\xff\x80 ascii")])
def test_encodings(restorer, make_encoded, cluster, tmp_path, target, encoding, text, jobs):
    """A database that is made has the backup's."""
    name = make_encoded(encoding)
    script = tmp_path / "encoded.sql"
    script.write_bytes(b"SET client_encoding = '" + encoding.encode() + b"';\n"
                       b'CREATE SCHEMA "s ' + text + b'";\n'
                       b'CREATE TABLE "s ' + text + b'"."t ' + text + b'" ("c ' + text
                       + b'" text);\nINSERT INTO "s ' + text + b'"."t ' + text
                       + b"\" VALUES ('" + text + b"');\n")
    cluster.load(name, script)
    made = restorer.back_up(name)
    restorer.ok(made, target, "--create", "--jobs", jobs)
    restorer.assert_equal(target, name)


@pytest.mark.parametrize("jobs", [1, 4])
def test_encoding_that_only_the_script_tells(restorer, make_encoded, cluster, target, jobs):
    """Indexes are built by other sessions, which have to read it alike."""
    name = make_encoded("LATIN1")
    cluster.execute(name, "CREATE TABLE texts (a text, b text);"
                          "CREATE INDEX åäö ON texts (a); CREATE INDEX öäå ON texts (b)")
    made = restorer.back_up(name, "--engine", "pg_dump")
    restorer.ok(made, target, "--create", "--jobs", jobs)
    assert cluster.execute(target, "SELECT relname FROM pg_class WHERE relkind = 'i'"
                                   " AND relnamespace = 'public'::regnamespace ORDER BY 1") == [
        ("åäö",), ("öäå",)]


def test_another_encoding_is_converted(restorer, make_encoded, cluster, empty_database):
    name = make_encoded("LATIN1")
    cluster.execute(name, "CREATE TABLE texts AS SELECT 'åäö'::text AS a")
    made = restorer.back_up(name)
    result = restorer.ok(made, empty_database.name)
    assert "in LATIN1" in result.err and "in UTF8: its text is converted" in result.err
    assert empty_database.value("SELECT a FROM texts") == "åäö"


def test_bytes_of_no_encoding_are_not_converted(restorer, make_encoded, cluster, empty_database):
    name = make_encoded("SQL_ASCII")
    cluster.execute(name, "CREATE TABLE texts AS SELECT 'a'::text AS a")
    result = restorer.ok(restorer.back_up(name), empty_database.name)
    assert "in UTF8: its bytes are taken as they are, whatever they mean there" in result.err


LOCALE = """SELECT datlocprovider, datcollate, datctype, daticulocale FROM pg_database
            WHERE datname = current_database()"""


@pytest.fixture
def make_sorted(cluster, make_name):
    """A function: a database of this locale."""
    def make(clause):
        name = make_name("sorted")
        cluster.execute("postgres", f"CREATE DATABASE {name} TEMPLATE template0 {clause}")
        cluster.execute(name, "CREATE TABLE texts AS SELECT 'a'::text AS a")
        return name
    return make


def of_locales(result):
    """Its lines about them."""
    return [line for line in result.err.splitlines() if re.search(" sorts? (and|by) ", line)]


@pytest.mark.parametrize("clause, locale", [
    ("LOCALE 'C'", ("c", "C", "C", None)),
    ("LC_CTYPE 'C'", ("c", "C.UTF-8", "C", None)),
    ("LOCALE 'C.utf8'", ("c", "C.utf8", "C.utf8", None)),
    ("LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'de-AT-u-kn-true'",
     ("i", "C", "C", "de-AT-u-kn-true")),
])
def test_locales(restorer, make_sorted, cluster, target, clause, locale):
    """A database that is made has the backup's."""
    name = make_sorted(clause)
    assert cluster.execute(name, LOCALE) == [locale]
    made = restorer.back_up(name)
    assert of_locales(restorer.ok(made, target, "--create")) == []
    assert cluster.execute(target, LOCALE) == [locale]
    assert of_locales(restorer.ok(made, target, "--clean")) == []


def test_a_verification_has_the_locale_too(restorer, make_sorted, cluster):
    """There is no row that this partition takes where another locale sorts."""
    name = make_sorted("LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'de'")
    cluster.execute(name, """
        CREATE TABLE sorted (a text) PARTITION BY RANGE (a);
        CREATE TABLE sorted_1 PARTITION OF sorted FOR VALUES FROM ('a') TO ('Z');
        INSERT INTO sorted VALUES ('a'), ('B'), ('c')""")
    made = restorer.back_up(name)
    assert of_locales(restorer.tool.ok("verify", made)) == []


@pytest.mark.parametrize("options", [(), ("--clean",)])
def test_a_target_keeps_its_locale(restorer, make_sorted, cluster, empty_database, options):
    made = restorer.back_up(make_sorted("LOCALE 'C'"))
    before = empty_database.execute(LOCALE)
    (warning,) = of_locales(restorer.ok(made, empty_database.name, *options))
    assert (f"with the locale C, and database {empty_database.name} has C.UTF-8: it may sort and"
            " compare text otherwise") in warning
    assert cluster.execute(empty_database.name, LOCALE) == before


def edit_manifest(restorer, name, **changes):
    """As if its backup had been made elsewhere; None takes a field away."""
    manifest = json.loads(restorer.store.read(f"{name}.json")) | changes
    for key in changes:
        if changes[key] is None:
            del manifest[key]
    metadata = json.loads(restorer.store.read(f"{name}.meta"))
    metadata.pop("manifest")
    for suffix, content in (("json", manifest), ("meta", metadata)):
        (restorer.store.folder / f"{name}.{suffix}").write_text(json.dumps(content))


@pytest.mark.parametrize("encoding, instead", [("UTF8", "C.UTF-8"), ("LATIN1", "C")])
@pytest.mark.parametrize("changes, wanted, reason", [
    ({"collate": "xx_XX.UTF-8"}, "xx_XX.UTF-8 with ctype C",
     'invalid locale name: "xx_XX.UTF-8"'),
    ({"ctype": "it's"}, "C with ctype it's", 'invalid locale name: "it\'s"'),
    ({"locale_provider": "icu", "locale": "no locale @=="}, "icu no locale @==",
     'could not open collator for locale "no locale @=="'),
    ({"locale_provider": "runes", "locale": "xx"}, "runes xx", "it knows no provider runes"),
])
def test_locales_that_the_server_has_not(restorer, make_encoded, cluster, target, encoding,
                                         instead, changes, wanted, reason):
    made = restorer.back_up(make_encoded(encoding))
    edit_manifest(restorer, made, **changes)
    (warning,) = of_locales(restorer.ok(made, target, "--create"))
    assert f"of the backup's locale {wanted} (" in warning and reason in warning
    assert f"it has the locale {instead} instead" in warning
    assert cluster.execute(target, LOCALE) == [("c", instead, instead, None)]


@pytest.mark.parametrize("encoding, locale", [("UTF8", "C.UTF-8"), ("LATIN1", "C")])
def test_a_manifest_without_a_locale(restorer, make_encoded, cluster, target, encoding, locale):
    """Of an older program: the server's, if that fits the encoding."""
    made = restorer.back_up(make_encoded(encoding))
    edit_manifest(restorer, made, locale_provider=None, collate=None, ctype=None)
    told = of_locales(restorer.ok(made, target, "--create"))
    assert cluster.execute(target, LOCALE) == [("c", locale, locale, None)]
    assert len(told) == (encoding == "LATIN1")
    assert all("does not fit encoding LATIN1: the database sorts by the locale C" in line
               for line in told)


@pytest.fixture
def large_objects(make_database, cluster, tmp_path):
    """A database of large objects, of three roles."""
    database = make_database()
    roles = [f"lo_a_{os.getpid()}", f"lo_b_{os.getpid()}"]
    script = tmp_path / "source.sql"
    script.write_text(LARGE_OBJECTS.format(a=roles[0], b=roles[1]))
    cluster.load(database.name, script)
    yield database
    cluster.drop_database(database.name)
    for name in (*roles, f'{roles[0]} it\'s "" \\'):
        cluster.execute("postgres", f'DROP ROLE "{name}"')


@pytest.mark.parametrize("jobs", [1, 4])
@pytest.mark.parametrize("of_17", [False, True])
def test_large_objects(restorer, large_objects, make_name, cluster, tmp_path, jobs, of_17):
    """pg_dump writes what makes them, or leaves it to us."""
    target = make_name()
    settings = pg_dumps.of_version_17(tmp_path) if of_17 else {}
    name = restorer.back_up(large_objects.name, **settings)
    restorer.ok(name, target, "--create", "--jobs", jobs)
    restorer.assert_equal(target, large_objects.name)
    cluster.drop_database(target)


def test_partitions_by_the_hash_of_an_enum(restorer, make_database, cluster, target):
    """A restore gives the enum's values other oids, and so other partitions."""
    database = make_database()
    database.execute(HASHED)
    restorer.ok(restorer.back_up(database.name), target, "--create")
    everything = "SELECT m::text, a FROM hashed ORDER BY a"
    assert cluster.execute(target, everything) == database.execute(everything)


@pytest.mark.parametrize("engine", ["parallel", "pg_dump"])
def test_keys_and_indexes(restorer, make_database, target, engine):
    """In an order that four sessions share, with foreign keys that lock the same tables."""
    database = make_database()
    database.execute("""
        CREATE TABLE hub (id integer, part integer, name text, PRIMARY KEY (id, part),
            UNIQUE (name, part, id)) PARTITION BY LIST (part);
        CREATE TABLE hub_1 PARTITION OF hub FOR VALUES IN (1);
        CREATE TABLE hub_2 PARTITION OF hub FOR VALUES IN (2) PARTITION BY RANGE (id);
        CREATE TABLE hub_2a PARTITION OF hub_2 FOR VALUES FROM (0) TO (1000);
        CREATE INDEX hub_lower ON hub (lower(name));
        CREATE INDEX ON hub_1 (name text_pattern_ops);
        COMMENT ON INDEX hub_lower IS 'of all parts';
        COMMENT ON CONSTRAINT hub_pkey ON hub IS 'the key';
        CREATE TABLE booked (id integer PRIMARY KEY, during int4range, note text,
            EXCLUDE USING gist (during WITH &&) DEFERRABLE);
        ALTER TABLE booked CLUSTER ON booked_pkey;
        ALTER TABLE booked REPLICA IDENTITY USING INDEX booked_pkey;
        INSERT INTO hub SELECT g, g % 2 + 1, 'n' || g FROM generate_series(1, 200) g;
        INSERT INTO booked SELECT g, int4range(g, g + 1), 'x' FROM generate_series(1, 200) g;
        CREATE MATERIALIZED VIEW counted AS SELECT part, count(*) AS n FROM hub GROUP BY part;
        CREATE UNIQUE INDEX counted_by_part ON counted (part);
        CREATE MATERIALIZED VIEW summed AS SELECT sum(n) AS n FROM counted""")
    for number in range(12):
        database.execute(f"""
            CREATE TABLE spoke_{number} (id integer PRIMARY KEY, hub integer, part integer,
                booking integer REFERENCES booked ON DELETE CASCADE,
                CONSTRAINT to_hub FOREIGN KEY (hub, part) REFERENCES hub DEFERRABLE);
            CREATE INDEX ON spoke_{number} (hub, part);
            COMMENT ON CONSTRAINT to_hub ON spoke_{number} IS 'comment {number}';
            INSERT INTO spoke_{number} SELECT g, g, g % 2 + 1, g FROM generate_series(1, 200) g""")
    for number in range(12):
        database.execute(f"ALTER TABLE spoke_{number} ADD FOREIGN KEY (id) REFERENCES"
                         f" spoke_{(number + 5) % 12}" + (" NOT VALID" if number == 7 else ""))
    name = restorer.back_up(database.name, "--engine", engine)
    restorer.ok(name, target, "--create", "--jobs", "4")
    restorer.assert_equal(target, database.name, in_order=False)


@pytest.mark.parametrize("compression", ["zstd", "gzip", "none"])
def test_a_backup_of_the_engine_pg_dump(restorer, torture, target, compression):
    name = restorer.back_up(torture, "--engine", "pg_dump", "--compression", compression)
    outcome = restorer.ok(name, target, "--create", "--json").json
    assert outcome["tables"] is None
    assert outcome["raw_bytes"] == len(decompressed(restorer.store.read(name), name))
    restorer.assert_equal(target, torture)


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_backup_of_the_old_service(restorer, torture, cluster, target, jobs):
    """pg_dump's plain text as it is, without metadata."""
    restorer.store.put(OLD_NAME, compared(cluster, torture))
    outcome = restorer.ok(OLD_NAME, target, "--create", "--jobs", jobs, "--json").json
    assert outcome["raw_bytes"] == restorer.store.list()[0].bytes
    restorer.assert_equal(target, torture)


@pytest.mark.parametrize("options", [("--inserts",), ("--clean", "--if-exists"),
                                     ("--column-inserts", "--no-owner"),
                                     ("--quote-all-identifiers", "--enable-row-security")])
def test_other_ways_to_dump(restorer, sample, cluster, target, options):
    """As the old service, or somebody by hand, may have done it."""
    restorer.store.put(OLD_NAME, compared(cluster, sample, *options))
    restorer.ok(OLD_NAME, target, "--create")
    restorer.assert_equal(target, sample)


def test_a_dump_for_psql_alone(restorer, source, cluster, target):
    """It would go to another database."""
    restorer.store.put(OLD_NAME, compared(cluster, source.name, "--create"))
    restorer.refused(1, "\\connect", OLD_NAME, target, "--create")
    assert not restorer.exists(target)


def test_a_backup_whose_manifest_is_gone(restorer, source, target):
    name = restorer.back_up(source.name)
    (restorer.store.folder / f"{name}.json").unlink()
    result = restorer.ok(name, target, "--create")
    assert f"The manifest of {name} is gone" in result.err
    restorer.assert_equal(target, source.name)


ODD = r"""
CREATE PROCEDURE p() BEGIN ATOMIC
    SELECT CASE WHEN true THEN 1 ELSE 2 END; SELECT 'END;' AS a; SELECT 1 AS "END;"; END;
CREATE FUNCTION atomic(a integer) RETURNS integer LANGUAGE sql BEGIN ATOMIC
    SELECT a; SELECT CASE a WHEN 1 THEN CASE WHEN true THEN 5 END ELSE 7 END; END;
CREATE FUNCTION returned() RETURNS integer RETURN 1 + 1;
CREATE FUNCTION dollars() RETURNS text LANGUAGE plpgsql AS $a$
BEGIN RETURN $$;
\! touch /tmp/never
COPY x FROM stdin;
\.
$$ || $b$ $a $ab$ $b$; -- it's "
/* a /* comment; */ ; */ END; $a$;
CREATE FUNCTION quoted() RETURNS text LANGUAGE sql AS 'SELECT ''\'';;--'';';
CREATE FUNCTION "BEGIN ATOMIC"("end" integer) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE TABLE logged (a text DEFAULT E'\\;''\n--', "begin atomic" integer, "co;py" text);
COMMENT ON COLUMN logged."co;py" IS E'a;\n\\.\n-- Name: x; Type: TABLE; Schema: y; Owner: z\n/*';
CREATE TABLE ruled (a text);
CREATE RULE many AS ON INSERT TO ruled DO ALSO
    (INSERT INTO logged (a) VALUES (NEW.a || ';'); DELETE FROM logged WHERE a = ')');
CREATE VIEW viewed AS SELECT a, 'x;\' AS b, $$;$$ AS "c;" FROM logged /* ; */ WHERE a <> '--';
CREATE VIEW copied AS SELECT 1 AS copy;
CREATE FUNCTION on_event() RETURNS event_trigger LANGUAGE plpgsql AS
    $$BEGIN RAISE EXCEPTION 'an event trigger fired'; END$$;
CREATE TYPE mood AS ENUM ('it''s; "odd"', E'\\');
CREATE AGGREGATE summed(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0');
CREATE OPERATOR public.<#> (LEFTARG = integer, RIGHTARG = integer, FUNCTION = int4pl);
CREATE CAST (mood AS text) WITH INOUT AS ASSIGNMENT;
"""
EVENT_TRIGGER = "CREATE EVENT TRIGGER evented ON ddl_command_start EXECUTE FUNCTION on_event()"


@pytest.mark.parametrize("jobs", [1, 4])
@pytest.mark.parametrize("engine", ["parallel", "pg_dump"])
def test_odd_statements(restorer, make_database, cluster, tmp_path, make_name, engine, jobs):
    """Where does one end?"""
    database = make_database()
    target = make_name()
    script = tmp_path / "odd.sql"
    script.write_text(ODD)
    cluster.load(database.name, script)
    database.execute("INSERT INTO ruled VALUES ('a'), ('it''s');"
                     "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO PUBLIC;"
                     "CREATE PUBLICATION published FOR TABLE logged WHERE (a <> ';');"
                     'CREATE STATISTICS s ON a, "co;py" FROM logged;'
                     "CREATE TEXT SEARCH CONFIGURATION searched (COPY = simple);"
                     "CREATE COLLATION numeric (provider = icu, locale = 'en-u-kn-true')")
    database.execute(EVENT_TRIGGER)
    restorer.ok(restorer.back_up(database.name, "--engine", engine), target, "--create", "--jobs",
                jobs)
    restorer.assert_equal(target, database.name)
    assert not os.path.exists("/tmp/never")


def test_the_ledgers_own_database(restorer, cluster):
    """It goes back to what it was: then nobody knows of the backup, until the next tick."""
    home = restorer.home
    name = restorer.tool.ok("run", "--no-notify").out.strip()
    before = compared(cluster, home.name)
    home.execute("CREATE TABLE later (a integer)")
    result = restorer.ok("latest", home.name, "--clean")
    assert f"Restored {name}" in result.err
    after = compared(cluster, home.name)
    assert b"later" not in after and len(after) > len(before) / 2
    assert [row["name"] for row in restorer.tool.ok("list", "--json").json["backups"]] == [name]
    assert restorer.tool.ok("run", "--no-notify").out.strip() > name


# The target

def facts_of(database):
    """What belongs to the database as a whole."""
    return database.execute("""
        SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype,
               datconnlimit, ARRAY(SELECT unnest(datacl)::text ORDER BY 1),
               shobj_description(oid, 'pg_database'),
               ARRAY(SELECT setrole::regrole || unnest(setconfig) FROM pg_db_role_setting
                     WHERE setdatabase = d.oid ORDER BY 1)
        FROM pg_database d WHERE datname = current_database()""")


@contextlib.contextmanager
def dressed(database, role, other):
    """Gives it an owner, privileges, settings and so on of its own."""
    name = database.name
    database.execute(f"ALTER DATABASE {name} OWNER TO {role};"
                     f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC;"
                     f"GRANT CREATE ON DATABASE {name} TO {other} WITH GRANT OPTION;"
                     f"ALTER DATABASE {name} SET work_mem = '7MB';"
                     f"ALTER DATABASE {name} SET search_path = public, \"odd \"\"s.t\"\" x\";"
                     f"ALTER ROLE {role} IN DATABASE {name} SET statement_timeout = '77s';"
                     f"ALTER DATABASE {name} CONNECTION LIMIT 17;"
                     f"COMMENT ON DATABASE {name} IS 'it''s ours'")
    before = facts_of(database)
    yield
    assert facts_of(database) == before
    database.execute(f"ALTER DATABASE {name} OWNER TO postgres")


def test_an_empty_target_keeps_what_is_its_own(restorer, source, empty_database, role):
    name = restorer.back_up(source.name)
    with dressed(empty_database, role(empty_database)[0], role(empty_database)[0]):
        restorer.ok(name, empty_database.name)
    restorer.assert_equal(empty_database.name, source.name)


def test_clean_keeps_what_is_its_own_too(restorer, source, make_database, role):
    database = make_database()
    database.execute("CREATE TABLE was_here (a integer)")
    name = restorer.back_up(source.name)
    with dressed(database, role(database)[0], role(database)[0]):
        restorer.ok(name, database.name, "--clean")
    restorer.assert_equal(database.name, source.name)


def test_clean_over_itself(restorer, source, cluster):
    before = compared(cluster, source.name)
    name = restorer.back_up(source.name)
    source.execute("DROP TABLE children CASCADE; CREATE TABLE later (a integer);"
                   "DELETE FROM parents")
    restorer.ok(name, source.name, "--clean", "--jobs", "4")
    assert compared(cluster, source.name) == before


def test_a_target_that_exists_is_not_created(restorer, source, empty_database):
    name = restorer.back_up(source.name)
    restorer.refused(2, f"there is a database {empty_database.name} already", name,
                     empty_database.name, "--create")


@pytest.mark.parametrize("name, text", [
    ("template1", "is the server's own template"),
    ("rythm_replaced_0123456789abcdef", "has the name of a scratch database"),
])
def test_a_target_that_is_none(restorer, source, name, text):
    restorer.refused(2, text, restorer.back_up(source.name), name, "--create")


def restore_and_meanwhile(restorer, source, target, act, *options):
    """restore, and act() when its rows are in the scratch database: what came of it."""
    source.execute("CREATE MATERIALIZED VIEW slow AS SELECT pg_sleep(2) IS NULL")
    process = restorer.tool.start(*restorer.arguments(restorer.back_up(source.name), target,
                                                      *options))
    processes.wait_until(lambda: restorer.cluster.execute(
        "postgres", "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'REFRESH%'"
                    " AND state = 'active'"), "the rows are restored")
    act()
    return restorer.tool.finish(process)


def test_a_target_that_is_made_meanwhile(restorer, source, target, cluster):
    """By somebody else: what is in it is not lost."""
    def make():
        cluster.create_database(target)
        cluster.execute(target, "CREATE TABLE theirs (a integer)")
    result = restore_and_meanwhile(restorer, source, target, make, "--create")
    assert result.code == 1 and f"database {target} was made by somebody else meanwhile" in (
        result.err), result.err
    assert cluster.execute(target, "SELECT count(*) FROM theirs") == [(0,)]


def test_a_target_that_is_replaced_meanwhile(restorer, source, target, cluster):
    cluster.create_database(target)

    def replace():
        cluster.drop_database(target)
        cluster.create_database(target)
        cluster.execute(target, "CREATE TABLE theirs (a integer)")
    result = restore_and_meanwhile(restorer, source, target, replace, "--clean")
    assert result.code == 1 and "was replaced by another of that name meanwhile" in result.err
    assert cluster.execute(target, "SELECT count(*) FROM theirs") == [(0,)]


def test_a_target_that_is_filled_meanwhile(restorer, source, make_database):
    """What came is not lost."""
    target = make_database()
    result = restore_and_meanwhile(
        restorer, source, target.name,
        lambda: target.execute("CREATE TABLE came_meanwhile (a integer)"))
    assert result.code == 2 and "came_meanwhile" in result.err, result.err
    assert target.value("SELECT count(*) FROM came_meanwhile") == 0


@pytest.mark.parametrize("options", [(), ("--clean",)])
def test_a_target_that_is_missing(restorer, source, target, options):
    name = restorer.back_up(source.name)
    result = restorer.refused(2, f"there is no database {target}", name, target, *options)
    assert "--create makes it" in result.err
    assert not restorer.exists(target)


@pytest.mark.parametrize("sql, named", [
    ("CREATE TABLE t (a integer)", "table public.t"),
    ("CREATE TABLE t (a integer); DROP TABLE t; CREATE SCHEMA s", "schema s"),
    ("CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT 1'", "function public.f()"),
    ("CREATE TYPE e AS ENUM ()", "type public.e"), ("SELECT lo_create(77)", "large object 77"),
    ("CREATE VIEW v AS SELECT 1", "view public.v"),
    ("CREATE SEQUENCE q", "sequence public.q"), ("CREATE EXTENSION citext", "extension citext")])
def test_a_target_that_is_not_empty(restorer, source, make_database, cluster, sql, named):
    database = make_database()
    database.execute(sql)
    before = compared(cluster, database.name)
    name = restorer.back_up(source.name)
    result = restorer.refused(2, f"database {database.name} is not empty: it has {named}", name,
                              database.name)
    assert "--clean replaces it" in result.err
    assert compared(cluster, database.name) == before


@pytest.mark.parametrize("options", [(), ("--clean",)])
def test_a_target_in_use(restorer, source, make_database, options):
    database = make_database()
    name = restorer.back_up(source.name)
    with contextlib.closing(database.connect()) as connection:
        cursor = connection.cursor()
        cursor.execute("SET application_name = 'somebody'; SELECT pg_backend_pid()")
        ((pid,),) = cursor.fetchall()
        restorer.refused(2, f"in use, by process {pid} (somebody, user postgres)", name,
                         database.name, *options)
    assert database.value("SELECT count(*) FROM pg_class WHERE oid >= 16384") == 0


def test_who_comes_in_the_middle_of_it(restorer, source, make_database, cluster):
    """The rename fails, and says who was in the way."""
    database = make_database()
    source.execute("CREATE FUNCTION slow(integer) RETURNS boolean LANGUAGE sql AS"
                   " 'SELECT pg_sleep(2) IS NOT NULL';"
                   "ALTER TABLE others ADD CONSTRAINT slowly CHECK (slow(a))")
    name = restorer.back_up(source.name)
    process = restorer.tool.start(*restorer.arguments(name, database.name))
    processes.wait_until(restorer.scratch, "it has begun")
    with contextlib.closing(database.connect()) as connection:
        connection.cursor().execute("SET application_name = 'somebody'")
        result = restorer.tool.finish(process)
    assert result.code == 2 and "(somebody, user postgres)" in result.err, result.err
    assert database.value("SELECT count(*) FROM pg_class WHERE oid >= 16384") == 0


def test_a_role_that_may_not_create_databases(restorer, source, target, role, cluster):
    name = restorer.back_up(source.name)
    user, url = role(restorer.home)
    result = restorer.refused(2, f"role {user} may not create databases", name,
                              url.replace(restorer.home.name, target), "--create")
    assert f"ALTER ROLE {user} CREATEDB" in result.err
    assert not restorer.exists(target)


def test_a_role_that_is_no_superuser(restorer, source, target, role, cluster):
    name = restorer.back_up(source.name)
    user, url = role(restorer.home, attributes="CREATEDB")
    refused = restorer.refused(1, "--no-owner leaves it to the role that restores", name,
                               url.replace(restorer.home.name, target), "--create")
    assert "must be " in refused.err and not restorer.exists(target)
    try:
        restorer.ok(name, url.replace(restorer.home.name, target), "--create", "--no-owner")
        assert cluster.execute(target, "SELECT DISTINCT relowner::regrole::text FROM pg_class"
                                       " WHERE oid >= 16384") == [(user,)]
        assert cluster.execute(target, "SELECT count(*) FROM children") == [(10,)]
    finally:
        cluster.drop_database(target)


def test_a_target_of_another_owner(restorer, source, make_database, role):
    database = make_database()
    name = restorer.back_up(source.name)
    user, url = role(database, attributes="CREATEDB")
    restorer.refused(2, f"belongs to role postgres: role {user} cannot replace it", name, url,
                     "--no-owner")


PECULIAR = (
    "DateStyle = 'German, DMY'", "IntervalStyle = 'sql_standard'", "bytea_output = 'escape'",
    "standard_conforming_strings = off", "client_encoding = 'LATIN1'", "backslash_quote = off",
    "TimeZone = 'Asia/Kathmandu'", "search_path = 'pg_temp, public'", "xmlbinary = 'hex'",
    "default_transaction_isolation = 'serializable'", "array_nulls = off", "xmloption = 'document'",
    "transform_null_equals = on", "statement_timeout = 50", "check_function_bodies = on",
    "row_security = on", "quote_all_identifiers = off", "default_transaction_deferrable = on",
    "default_toast_compression = 'pglz'", "lock_timeout = 1", "idle_session_timeout = 300",
    "idle_in_transaction_session_timeout = 300", "default_transaction_read_only = on")


@pytest.mark.parametrize("engine", ["parallel", "pg_dump"])
def test_settings_of_the_role_do_not_matter(restorer, torture, cluster, target, engine):
    name = restorer.back_up(torture, "--engine", engine)
    cluster.execute("postgres", f"CREATE ROLE peculiar SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
    try:
        for setting in PECULIAR:
            cluster.execute("postgres", f"ALTER ROLE peculiar SET {setting}")
        restorer.ok(name, cluster.url(target, user="peculiar"), "--create")
        restorer.assert_equal(target, torture, in_order=False)
    finally:
        cluster.drop_database(target)
        cluster.execute("postgres", "DROP ROLE peculiar")


def test_settings_of_the_target_do_not_matter(restorer, torture, cluster, make_database):
    database = make_database()
    for setting in PECULIAR:
        cluster.execute("postgres", f"ALTER DATABASE {database.name} SET {setting}")
    before = restorer.home.execute("SELECT setconfig FROM pg_db_role_setting s JOIN pg_database d"
                                   " ON d.oid = setdatabase WHERE datname = %s", database.name)
    name = restorer.back_up(torture)
    restorer.ok(name, database.name, "--jobs", "1")
    after = restorer.home.execute("SELECT setconfig FROM pg_db_role_setting s JOIN pg_database d"
                                  " ON d.oid = setdatabase WHERE datname = %s", database.name)
    assert [sorted(config) for config, in after] == [sorted(config) for config, in before]
    cluster.execute("postgres", f"ALTER DATABASE {database.name} RESET ALL")
    restorer.assert_equal(database.name, torture)


@pytest.mark.parametrize("form", ["uri", "keywords", "name"])
def test_how_the_target_is_named(restorer, source, target, cluster, form):
    name = restorer.back_up(source.name)
    to = {"uri": cluster.url(target),
          "keywords": f"host=127.0.0.1 port={cluster.port} user=postgres password={PASSWORD}"
                      f" dbname='{target}'",
          "name": target}[form]
    tool = restorer.tool.with_settings(PGHOST="127.0.0.1", PGPORT=str(cluster.port),
                                       PGUSER="postgres", PGPASSWORD=PASSWORD)
    outcome = tool.ok("restore", name, "--to", to, "--create", "--json").json
    assert outcome["database"] == target
    restorer.assert_equal(target, source.name)


def test_a_target_of_an_odd_name(restorer, source, cluster):
    target = f'it\'s "odd" \\ ☃ = {os.getpid()}'
    to = "dbname='" + target.replace("\\", "\\\\").replace("'", "\\'") + "'"
    tool = restorer.tool.with_settings(PGHOST="127.0.0.1", PGPORT=str(cluster.port),
                                       PGUSER="postgres", PGPASSWORD=PASSWORD)
    name = restorer.back_up(source.name)
    try:
        for option in ("--create", "--clean"):
            tool.ok("restore", name, "--to", to, option)
            assert cluster.execute(target, "SELECT count(*) FROM parents") == [(20,)]
    finally:
        quoted = target.replace('"', '""')
        cluster.execute("postgres", f'DROP DATABASE IF EXISTS "{quoted}" WITH (FORCE)')


@pytest.mark.parametrize("to", ["postgresql://postgres@127.0.0.1:1/nobody", "host=", ""])
def test_a_target_that_does_not_answer(restorer, source, to):
    name = restorer.back_up(source.name)
    result = restorer.tool.run("restore", name, "--to", to)
    assert result.code in (1, 2) and result.out == "" and "❌" in result.err
    assert "--to" in result.err or "Connection refused" in result.err or "No such file" in (
        result.err), result.err


def test_the_database_postgres(restorer, empty_database, cluster):
    """Others are created from there, if it is not the target itself."""
    before = compared(cluster, "postgres")
    name = restorer.back_up(empty_database.name)
    for options in ((), ("--clean",)):
        restorer.ok(name, "postgres", *options)
    assert compared(cluster, "postgres") == before
    assert cluster.execute("postgres", "SELECT shobj_description(oid, 'pg_database') FROM"
                                       " pg_database WHERE datname = 'postgres'") == [
        ("default administrative connection database",)]


# Which backup

def test_latest(restorer, source, make_database, make_name, cluster):
    other = make_database()
    other.execute("CREATE TABLE of_the_other (a integer)")
    restorer.back_up(source.name)
    schedule = restorer.last_schedule
    restorer.back_up(other.name)
    for wanted, database in (("latest", other.name), (f"latest:{schedule}", source.name)):
        target = make_name()
        result = restorer.ok(wanted, target, "--create")
        assert f"database {database}," in result.err
        restorer.assert_equal(target, database)


def test_without_the_ledgers_database(restorer, source, target):
    restorer.back_up(source.name)
    tool = restorer.tool.with_settings(DATABASE_URL=NOWHERE)
    tool.ok(*restorer.arguments("latest", target, "--create"))
    restorer.assert_equal(target, source.name)


def test_two_stores_of_which_the_first_does_not_answer(make_restorer, azure_store, source, target,
                                                       tmp_path):
    restorer = make_restorer(azure_store)
    second = FileStore(tmp_path / "second")
    restorer.tool.ok("schedule", "add", "elsewhere", "--dbname", source.name, "--stores",
                     second.settings["RYTHM_BACKUP_STORES"])
    name = restorer.tool.ok("run", "elsewhere", "--no-notify").out.strip()
    tool = restorer.tool.with_settings(AZURE_BACKUP_CONTAINER="never-made")
    tool.ok(*restorer.arguments(name, target, "--create"))
    restorer.assert_equal(target, source.name)


# What the server lacks

@pytest.fixture
def lost_role(source):
    """The name of a role that owns something in the source, and is gone; before that, a function:
    make it go."""
    name = f'lost "role" {os.getpid()}'
    quoted = '"' + name.replace('"', '""') + '"'
    source.execute(f"CREATE ROLE {quoted}; ALTER TABLE others OWNER TO {quoted};"
                   f"GRANT SELECT ON parents TO {quoted}")
    yield name, lambda: source.execute(f"REASSIGN OWNED BY {quoted} TO postgres;"
                                       f"DROP OWNED BY {quoted}; DROP ROLE {quoted}")
    with contextlib.suppress(Exception):
        source.execute(f"REASSIGN OWNED BY {quoted} TO postgres; DROP OWNED BY {quoted}")
    source.execute(f"DROP ROLE IF EXISTS {quoted}")


@pytest.mark.parametrize("engine", ["parallel", "pg_dump"])
def test_missing_roles_are_named(restorer, source, lost_role, target, engine):
    name = restorer.back_up(source.name, "--engine", engine)
    lost_role[1]()
    result = restorer.refused(1, f"the server does not have the role(s) {lost_role[0]}", name,
                              target, "--create")
    assert "--create-roles" in result.err
    assert not restorer.exists(target)


def test_missing_roles_are_created(restorer, source, lost_role, target, cluster):
    before = compared(cluster, source.name)
    name = restorer.back_up(source.name)
    lost_role[1]()
    restorer.ok(name, target, "--create", "--create-roles")
    assert cluster.execute("postgres", "SELECT rolcanlogin, rolsuper FROM pg_roles"
                                       " WHERE rolname = %s", lost_role[0]) == [(False, False)]
    assert compared(cluster, target) == before
    cluster.drop_database(target)


@pytest.mark.parametrize("engine", ["parallel", "pg_dump"])
def test_missing_roles_are_not_needed(restorer, source, lost_role, target, cluster, engine):
    name = restorer.back_up(source.name, "--engine", engine)
    lost_role[1]()
    for option in ("--no-owner", "--no-privileges"):
        restorer.refused(1, "role(s)", name, target, "--create", option)
    restorer.ok(name, target, "--create", "--no-owner", "--no-privileges")
    assert cluster.execute(target, "SELECT count(*) FROM pg_class WHERE relacl IS NOT NULL"
                                   " AND oid >= 16384") == [(0,)]
    assert cluster.execute(target, "SELECT relowner::regrole::text FROM pg_class"
                                   " WHERE relname = 'others'") == [("postgres",)]


def test_a_missing_extension_is_named(restorer, source, target):
    """The backup of the old service says so; what is not installed cannot be dumped."""
    restorer.store.put(OLD_NAME, b"CREATE EXTENSION IF NOT EXISTS never_heard_of WITH SCHEMA public"
                                 b";\n\n--\n-- PostgreSQL database dump complete\n--\n\n")
    restorer.refused(1, "the server does not have the extension(s) never_heard_of", OLD_NAME,
                     target, "--create")
    assert not restorer.exists(target)


@pytest.mark.parametrize("engine", ["parallel", "pg_dump"])
def test_missing_extensions_are_named(restorer, source, target, engine):
    """One is in the catalogue alone."""
    source.execute("INSERT INTO pg_extension VALUES (990001, 'pretended; \"it''s\"', 10, 2200,"
                   " true, '1', NULL, NULL)")
    name = restorer.back_up(source.name, "--engine", engine)
    restorer.refused(1, "the server does not have the extension(s) pretended; \"it's\"", name,
                     target, "--create")
    assert not restorer.exists(target)


def test_a_backup_of_a_newer_server(restorer, source, target):
    name = restorer.back_up(source.name)
    path = restorer.store.folder / f"{name}.meta"
    path.write_text(re.sub(r'("server": ?")[^"]*"', r'\g<1>99.1"', path.read_text()))
    restorer.refused(1, "the backup is of PostgreSQL 99.1, and the server is older", name, target,
                     "--create")
    assert not restorer.exists(target)


# The schema alone, rows alone

def schema_of(cluster, name):
    """As compared(), without rows and the values of sequences."""
    return cluster.dump(name, "--schema-only")


@pytest.mark.parametrize("engine", ["parallel", "pg_dump"])
def test_the_schema_alone(restorer, source, target, cluster, engine):
    name = restorer.back_up(source.name, "--engine", engine)
    restorer.ok(name, target, "--create", "--schema-only")
    assert schema_of(cluster, target) == schema_of(cluster, source.name)
    assert cluster.execute(target, "SELECT (SELECT count(*) FROM parents), (SELECT count(*) FROM"
                                   " pg_largeobject_metadata), (SELECT is_called FROM"
                                   " own_sequence)") == [(0, 0, False)]
    assert cluster.execute(target, "SELECT relispopulated FROM pg_class WHERE relname = 'counted'"
                           ) == [(False,)]


@pytest.fixture
def emptied(source, make_database, cluster):
    """The source's tables without their rows, in another database."""
    database = make_database(source.name)
    database.execute("""TRUNCATE parents, children, others, "odd ""s.t"" x"."it's ""a"" table",
        "odd ""s.t"" x"."dot.ted"; SELECT lo_unlink(4711), setval('own_sequence', 77)""")
    return database


def test_rows_alone(restorer, source, emptied, cluster):
    name = restorer.back_up(source.name)
    outcome = restorer.ok(name, emptied.name, "--data-only", "--json").json
    assert (outcome["tables"], outcome["rows"]) == (5, 34)
    source.execute("SELECT lo_unlink(4711)")
    emptied.execute("REFRESH MATERIALIZED VIEW counted")
    restorer.assert_equal(emptied.name, source.name)


def test_rows_of_tables_that_refer_to_each_other(restorer, make_database, cluster):
    database = make_database()
    database.execute("""
        CREATE TABLE a (id integer PRIMARY KEY, b integer);
        CREATE TABLE b (id integer PRIMARY KEY, a integer REFERENCES a);
        CREATE TABLE c (id integer PRIMARY KEY, d integer);
        INSERT INTO a VALUES (1, 1); INSERT INTO b VALUES (1, 1); INSERT INTO c VALUES (1, 1);
        ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b;
        CREATE FUNCTION wrong() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN RAISE EXCEPTION 'a trigger fired'; END$$;
        CREATE TRIGGER fires BEFORE INSERT ON c FOR EACH ROW EXECUTE FUNCTION wrong()""")
    name = restorer.back_up(database.name)
    other = make_database(database.name)
    other.execute("TRUNCATE a, b, c")
    restorer.ok(name, other.name, "--data-only")
    restorer.assert_equal(other.name, database.name)


@pytest.mark.parametrize("sql, text", [
    ("INSERT INTO others VALUES (2)", "table public.others is not empty"),
    ("DROP TABLE others", "there is no table public.others"),
    ("ALTER TABLE others RENAME a TO b", 'column "a" of relation "others" does not exist'),
    ("ALTER TABLE others ADD CHECK (a > 1)", "violates check constraint"),
    ("DROP SEQUENCE own_sequence", "own_sequence")])
def test_rows_that_do_not_fit(restorer, source, emptied, cluster, sql, text):
    emptied.execute(sql)
    before = compared(cluster, emptied.name)
    name = restorer.back_up(source.name)
    restorer.refused(1, text, name, emptied.name, "--data-only")
    assert compared(cluster, emptied.name) == before


def test_rows_alone_by_a_role_that_cannot_switch_triggers_off(restorer, source, emptied, role):
    name = restorer.back_up(source.name)
    _, url = role(emptied, "GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}",
                  "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}")
    result = restorer.ok(name, url, "--data-only", "--table", "public.others")
    assert "may not switch triggers off" in result.err
    assert emptied.value("SELECT count(*) FROM others") == 1


@pytest.mark.parametrize("engine, options", [
    ("pg_dump", ("--data-only",)), ("pg_dump", ("--table", "public.others"))])
def test_parts_of_a_backup_without_a_manifest(restorer, source, emptied, engine, options):
    name = restorer.back_up(source.name, "--engine", engine)
    restorer.refused(1, "has no manifest, so that only all of it can be restored", name,
                     emptied.name, *options)


# Some tables

def table_of(cluster, database, pattern):
    return cluster.dump(database, "--table", pattern)


def test_one_table(restorer, source, empty_database, cluster):
    """With its indexes, checks, defaults, comments and its sequence with its value."""
    name = restorer.back_up(source.name)
    source.execute("ALTER TABLE children DROP CONSTRAINT children_parent_fkey")
    outcome = restorer.ok(name, empty_database.name, "--table", "public.children", "--json").json
    assert (outcome["tables"], outcome["rows"], outcome["database"]) == (
        1, 10, empty_database.name)
    assert table_of(cluster, empty_database.name, "children") == table_of(
        cluster, source.name, "children")
    source.execute("DROP MATERIALIZED VIEW counted; DROP VIEW seen; DROP TABLE parents, others;"
                   'DROP SCHEMA "odd ""s.t"" x" CASCADE; DROP SEQUENCE own_sequence;'
                   "SELECT lo_unlink(4711)")
    restorer.assert_equal(empty_database.name, source.name)


@pytest.fixture
def fifty(make_database):
    """Fifty tables of about 150 kB when compressed."""
    database = make_database()
    for number in range(50):
        database.execute(f"CREATE TABLE t_{number} AS SELECT g AS id, md5(g::text || {number}) AS t"
                         " FROM generate_series(1, 6000) g")
    return database


def test_one_of_fifty_tables_reads_little(make_restorer, azure_store, azure_proxy, fifty,
                                          empty_database):
    """Its own segments, the schema and the manifest, however often."""
    restorer = make_restorer(azure_store)
    name = restorer.back_up(fifty.name)
    manifest = json.loads(azure_store.read(f"{name}.json"))
    (table,) = [table for table in manifest["tables"] if table["name"] == "t_7"]
    sizes = []

    def measure(status, headers, body):
        sizes.append(len(body))
        return status, headers, body

    azure_proxy.add(f"^GET .*{name}", times=ALWAYS, rewrite=measure)
    tool = restorer.tool.with_settings(**azure_store.settings_through(azure_proxy.port))
    tool.ok(*restorer.arguments(name, empty_database.name, "--table", "public.t_7"))
    schema = sum(segment["length"] for segment in manifest["segments"]
                 if segment["kind"] != "table")
    assert sum(sizes) <= table["bytes"] + 3 * schema + len(azure_store.read(f"{name}.json"))
    assert sum(sizes) < manifest["bytes"] / 5
    assert empty_database.value("SELECT count(*) FROM t_7") == 6000


@pytest.mark.parametrize("jobs", [1, 4])
def test_replies_that_are_cut(make_restorer, azure_store, azure_proxy, fifty, target, jobs):
    """Are asked for again."""
    restorer = make_restorer(azure_store)
    name = restorer.back_up(fifty.name)
    for first in (2, 9, 20):
        azure_proxy.add(f"^GET .*{name}", first=first, cut_reply_at=1000)
    restorer.tool.with_settings(**azure_store.settings_through(azure_proxy.port)).ok(
        *restorer.arguments(name, target, "--create", "--jobs", jobs))
    assert sum(fault.hits for fault in azure_proxy.faults) == 3
    restorer.assert_equal(target, fifty.name)


def test_several_tables(restorer, source, empty_database, cluster):
    empty_database.execute('CREATE SCHEMA "odd ""s.t"" x"')
    name = restorer.back_up(source.name)
    names = ("public.parents", 'odd "s.t" x.it\'s "a" table', '"odd ""s.t"" x"."dot.ted"')
    restorer.ok(name, empty_database.name, *(part for text in names for part in ("--table", text)))
    source.execute("DROP MATERIALIZED VIEW counted; DROP VIEW seen; DROP TABLE children, others;"
                   "DROP SEQUENCE own_sequence; SELECT lo_unlink(4711)")
    restorer.assert_equal(empty_database.name, source.name)


@pytest.mark.parametrize("table", ["given", "plain"])
def test_a_table_beside_privileges_that_others_gave(restorer, make_database, empty_database, role,
                                                    table):
    """In front of these a dump becomes the other role, and then itself again."""
    database = make_database()
    database.execute("CREATE TABLE given AS SELECT 1 AS id; CREATE TABLE plain AS SELECT 2 AS id;"
                     "ALTER TABLE given ADD PRIMARY KEY (id); ALTER TABLE plain ADD UNIQUE (id)")
    giver, _ = role(database)
    taker, _ = role(database)
    database.execute(f"GRANT SELECT ON given TO {giver} WITH GRANT OPTION; SET ROLE {giver};"
                     f"GRANT SELECT ON given TO {taker}; RESET ROLE;"
                     f"GRANT SELECT ON plain TO {taker}")
    name = restorer.back_up(database.name)
    restorer.ok(name, empty_database.name, "--table", f"public.{table}")
    assert empty_database.value(f"SELECT count(*) FROM {table}") == 1
    privileges = f"SELECT relacl::text FROM pg_class WHERE relname = '{table}'"
    assert empty_database.value(privileges) == database.value(privileges)
    empty_database.execute(f"DROP TABLE {table}")


def test_a_table_that_others_hang_on(restorer, make_database, cluster):
    """What refers to others stays away, and the remarks about it."""
    database = make_database()
    database.execute("""
        CREATE TABLE other (id integer PRIMARY KEY);
        CREATE TABLE rich (id integer PRIMARY KEY, o integer CONSTRAINT to_other REFERENCES other,
            e integer, CONSTRAINT positive CHECK (e > 0), EXCLUDE USING btree (e WITH =));
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER fires BEFORE INSERT ON rich FOR EACH ROW EXECUTE FUNCTION f();
        CREATE RULE ruled AS ON DELETE TO rich DO INSTEAD NOTHING;
        CREATE POLICY policed ON rich USING (id > 0);
        CREATE STATISTICS counted ON id, e FROM rich;
        CREATE INDEX expressed ON rich ((id + e));
        ALTER INDEX expressed ALTER COLUMN 1 SET STATISTICS 77;
        ALTER TABLE rich CLUSTER ON expressed;
        ALTER TABLE rich REPLICA IDENTITY FULL;
        COMMENT ON TABLE rich IS 'table';
        COMMENT ON CONSTRAINT positive ON rich IS 'check';
        COMMENT ON CONSTRAINT rich_pkey ON rich IS 'key';
        COMMENT ON CONSTRAINT to_other ON rich IS 'foreign key';
        COMMENT ON TRIGGER fires ON rich IS 'trigger';
        COMMENT ON RULE ruled ON rich IS 'rule';
        COMMENT ON POLICY policed ON rich IS 'policy';
        COMMENT ON STATISTICS counted IS 'statistics';
        COMMENT ON INDEX expressed IS 'index';
        GRANT SELECT ON rich TO PUBLIC;
        INSERT INTO other VALUES (1);
        INSERT INTO rich VALUES (1, 1, 1)""")
    name = restorer.back_up(database.name)
    restored = make_database()
    restorer.ok(name, restored.name, "--table", "public.rich")
    database.execute("DROP TRIGGER fires ON rich; DROP RULE ruled ON rich; DROP POLICY policed ON"
                     " rich; DROP STATISTICS counted; ALTER TABLE rich DROP CONSTRAINT to_other;"
                     "DROP TABLE other; DROP FUNCTION f")
    restorer.assert_equal(restored.name, database.name)


def test_a_partition_alone(restorer, make_database, cluster):
    database = make_database()
    database.execute("""
        CREATE TABLE parted (a integer PRIMARY KEY, b text) PARTITION BY RANGE (a);
        CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (10);
        CREATE INDEX parted_b ON parted (b);
        INSERT INTO parted VALUES (1, 'x')""")
    name = restorer.back_up(database.name)
    restored = make_database()
    restorer.ok(name, restored.name, "--table", "public.part")
    database.execute("ALTER TABLE parted DETACH PARTITION part; DROP TABLE parted")
    restorer.assert_equal(restored.name, database.name)


def test_tables_of_the_torture_database(restorer, torture, make_database, cluster):
    """One by one, which the backup's list names."""
    name = restorer.back_up(torture)
    listed = restorer.tool.ok("list", name, "--json").json["tables"]
    database = make_database()
    cluster.load(database.name, os.devnull)
    for schema in {table["schema"] for table in listed} - {"public"}:
        quoted = schema.replace('"', '""')
        database.execute(f'CREATE SCHEMA "{quoted}"')
    for sql in ("CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s \"fine\"')",
                "CREATE TYPE pair AS (a integer, b text)", "CREATE DOMAIN positive AS integer",
                "CREATE TYPE float_range AS RANGE (subtype = float8, subtype_diff = float8mi)"):
        database.execute(sql)
    options = [part for table in listed for part in (
        "--table", '"' + table["schema"].replace('"', '""') + '"."'
        + table["name"].replace('"', '""') + '"')]
    outcome = restorer.ok(name, database.name, *options, "--json").json
    assert outcome["tables"] == len(listed)
    assert outcome["rows"] == sum(table["rows"] for table in listed)
    for table in listed:
        quoted = '"{}"."{}"'.format(*(table[key].replace('"', '""') for key in ("schema", "name")))
        assert database.value(f"SELECT count(*) FROM ONLY {quoted}") == table["rows"]


@pytest.mark.parametrize("wanted", ["public.nothing", "children", "public", "", ".", "public.seen",
                                    "public.CHILDREN", '"public.children"',
                                    pytest.param("x" * 5000, id="long")])
def test_a_table_that_the_backup_lacks(restorer, source, empty_database, wanted):
    name = restorer.back_up(source.name)
    result = restorer.refused(2, "the backup has no table", name, empty_database.name, "--table",
                              "public.others", "--table", wanted)
    assert "rythm-backup list" in result.err
    assert empty_database.value("SELECT to_regclass('others')") is None


def test_a_table_that_is_there_already(restorer, source, empty_database):
    empty_database.execute("CREATE TABLE others (a integer)")
    name = restorer.back_up(source.name)
    arguments = (name, empty_database.name, "--table", "public.parents", "--table",
                 "public.others")
    result = restorer.refused(1, "there is a table public.others already", *arguments)
    assert "--data-only fills it" in result.err
    empty_database.execute("INSERT INTO others VALUES (1)")
    restorer.refused(1, "rename or drop it first", *arguments)
    assert empty_database.value("SELECT to_regclass('parents')") is None


def test_tables_are_all_or_nothing(restorer, source, empty_database, cluster):
    """The first is there when the schema of the second turns out to be missing."""
    before = compared(cluster, empty_database.name)
    name = restorer.back_up(source.name)
    result = restorer.refused(1, 'schema "odd "s.t" x" does not exist', name, empty_database.name,
                              "--table", "public.parents", "--table", 'odd "s.t" x.dot.ted')
    assert "dot.ted" in result.err
    assert compared(cluster, empty_database.name) == before


def test_a_table_among_others_in_use(restorer, source, make_database):
    database = make_database()
    database.execute("CREATE TABLE own (a integer)")
    name = restorer.back_up(source.name)
    with contextlib.closing(database.connect()):
        restorer.ok(name, database.name, "--table", "public.parents")
    assert database.value("SELECT count(*) FROM parents") == 20


def test_the_rows_of_one_table(restorer, source, emptied, cluster):
    name = restorer.back_up(source.name)
    restorer.ok(name, emptied.name, "--table", "public.children", "--data-only")
    assert emptied.execute("SELECT count(*) FROM children") == [(10,)]
    assert emptied.execute("SELECT count(*) FROM parents") == [(0,)]


def test_the_schema_of_one_table(restorer, source, empty_database, cluster):
    name = restorer.back_up(source.name)
    restorer.ok(name, empty_database.name, "--table", "public.parents", "--schema-only")
    assert empty_database.value("SELECT count(*) FROM parents") == 0
    assert empty_database.value("SELECT count(*) FROM pg_constraint"
                                " WHERE conrelid = 'parents'::regclass") == 2


@pytest.fixture
def foreign(make_encoded, cluster):
    """In LATIN1, a table whose name is not ASCII, and its neighbours."""
    name = make_encoded("LATIN1")
    cluster.execute(name, """
        CREATE SCHEMA "ÄÖ";
        CREATE TABLE "ÄÖ"."größe ÿ" (id serial PRIMARY KEY, "maß" text);
        CREATE INDEX "schlüssel" ON "ÄÖ"."größe ÿ" ("maß");
        COMMENT ON TABLE "ÄÖ"."größe ÿ" IS 'öäü';
        INSERT INTO "ÄÖ"."größe ÿ" ("maß") VALUES ('é'), ('ñ');
        CREATE TABLE "ÄÖ".plain AS SELECT 1 AS a;
        CREATE TABLE "ÄÖ"."größe" AS SELECT 1 AS a""")
    return name


FOREIGN = '"ÄÖ"."größe ÿ"'


@pytest.mark.parametrize("encoding", ["UTF8", "LATIN1"])
@pytest.mark.parametrize("wanted", [FOREIGN, "ÄÖ.größe ÿ"])
def test_a_table_whose_name_is_not_ascii(restorer, foreign, make_encoded, cluster, encoding,
                                         wanted):
    target = make_encoded(encoding)
    cluster.execute(target, 'CREATE SCHEMA "ÄÖ"')
    name = restorer.back_up(foreign)
    outcome = restorer.ok(name, target, "--table", wanted, "--json").json
    assert (outcome["tables"], outcome["rows"]) == (1, 2)
    dumps = [cluster.dump(database, "--encoding=UTF8", "--table", FOREIGN)
             for database in (foreign, target)]
    assert dumps[0] == dumps[1] and "schlüssel" in dumps[0]
    restorer.refused(1, "there is a table ÄÖ.größe ÿ already", name, target, "--table", wanted)
    cluster.execute(target, f"TRUNCATE {FOREIGN}")
    restorer.ok(name, target, "--table", wanted, "--data-only")
    assert cluster.execute(target, f'SELECT "maß" FROM {FOREIGN} ORDER BY id') == [("é",), ("ñ",)]
    restorer.refused(1, "table ÄÖ.größe ÿ is not empty", name, target, "--table", wanted,
                     "--data-only")
    restorer.refused(1, "there is no table ÄÖ.größe", name, target, "--table", "ÄÖ.größe",
                     "--data-only")


def test_all_rows_of_tables_whose_names_are_not_ascii(restorer, foreign, cluster, target):
    name = restorer.back_up(foreign)
    restorer.ok(name, target, "--create", "--schema-only")
    outcome = restorer.ok(name, target, "--data-only", "--json").json
    assert (outcome["tables"], outcome["rows"]) == (3, 4)
    restorer.assert_equal(target, foreign)


def test_a_table_whose_name_the_target_cannot_write(restorer, foreign, make_encoded, cluster):
    target = make_encoded("LATIN2")
    result = restorer.refused(1, "writing names in the encoding LATIN1", restorer.back_up(foreign),
                              target, "--table", FOREIGN)
    assert 'has no equivalent in encoding "LATIN2"' in result.err


def test_missing_roles_of_a_table(restorer, source, lost_role, empty_database):
    """Those of other tables are not asked for."""
    name = restorer.back_up(source.name)
    lost_role[1]()
    restorer.ok(name, empty_database.name, "--table", "public.children")
    restorer.refused(1, f"role(s) {lost_role[0]}", name, empty_database.name, "--table",
                     "public.others")
    restorer.ok(name, empty_database.name, "--table", "public.others", "--no-owner")


# Into a file

def decompressed(content, name):
    if name.endswith(".gz"):
        return gzip.decompress(content)
    if name.endswith(".zst"):
        return subprocess.run(["zstd", "-dc"], input=content, check=True,
                              capture_output=True).stdout
    return content


@pytest.mark.parametrize("engine", ["parallel", "pg_dump"])
@pytest.mark.parametrize("compression", ["zstd", "gzip", "none"])
def test_output(restorer, source, tmp_path, engine, compression):
    name = restorer.back_up(source.name, "--engine", engine, "--compression", compression)
    wanted = decompressed(restorer.store.read(name), name)
    path = tmp_path / "out.sql"
    path.write_text("what was here before is longer " * 10000)
    result = restorer.tool.ok("restore", name, "--output", path)
    assert path.read_bytes() == wanted and result.out == ""
    assert f"Wrote {name} as plain SQL to {path}" in result.err
    with open(tmp_path / "piped.sql", "wb") as out:
        restorer.tool.ok("restore", name, "--output", "-", stdout=out)
    assert (tmp_path / "piped.sql").read_bytes() == wanted


def test_output_of_the_old_service(restorer, source, cluster, tmp_path):
    content = compared(cluster, source.name)
    restorer.store.put(OLD_NAME, content)
    restorer.tool.ok("restore", OLD_NAME, "--output", tmp_path / "out.sql")
    assert (tmp_path / "out.sql").read_bytes() == content


def test_output_to_where_nothing_can_be(restorer, source, tmp_path):
    restorer.back_up(source.name)
    for path in (tmp_path / "no" / "folder", tmp_path):
        result = restorer.tool.run("restore", "latest", "--output", path)
        assert result.code in (1, 2) and str(path) in result.err, result.err
    result = restorer.tool.run("restore", "latest", "--output", "")
    assert result.code == 2 and "--output names no file" in result.err


@pytest.mark.parametrize("before", [None, b"was here"])
@pytest.mark.parametrize("engine", ["parallel", "pg_dump"])
@pytest.mark.parametrize("position", [100, 0.5, -100])
def test_output_of_a_damaged_backup(restorer, source, tmp_path, before, engine, position):
    name = restorer.back_up(source.name, "--engine", engine)
    damage(restorer.store, name, position)
    folder = tmp_path / "place"
    folder.mkdir()
    path = folder / "out.sql"
    if before is not None:
        path.write_bytes(before)
    result = restorer.tool.run("restore", name, "--output", path)
    assert (result.code, result.out) == (1, "") and name in result.err, result.err
    assert (path.read_bytes() if path.exists() else None) == before
    assert len(list(folder.iterdir())) == (before is not None)


def damage(store, name, position):
    """Changes one bit of the object."""
    path = store.folder / name
    content = bytearray(path.read_bytes())
    if isinstance(position, float):
        position = int(len(content) * position)
    content[position] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize("engine", ["parallel", "pg_dump"])
@pytest.mark.parametrize("position", [100, 0.5, -100])
def test_a_damaged_backup(restorer, source, target, engine, position):
    name = restorer.back_up(source.name, "--engine", engine)
    damage(restorer.store, name, position)
    result = restorer.run(name, target, "--create", "--jobs", "4")
    assert result.code == 1 and name in result.err, result.err
    assert not restorer.exists(target)


# Wrong usage

ONE = ("--to", "postgresql://127.0.0.1:1/x")


@pytest.mark.parametrize("options, pair", [
    ((*ONE, "--output", "x"), ("to", "output")),
    ((*ONE, "--create", "--clean"), ("create", "clean")),
    ((*ONE, "--data-only", "--schema-only"), ("data-only", "schema-only")),
    ((*ONE, "--create-roles", "--no-owner"), ("create-roles", "no-owner")),
    ((*ONE, "--table", "a.b", "--create"), ("table", "create")),
    ((*ONE, "--table", "a.b", "--clean"), ("table", "clean")),
    ((*ONE, "--data-only", "--create"), ("data-only", "create")),
    ((*ONE, "--data-only", "--clean"), ("data-only", "clean")),
    *((("--output", "x", f"--{name}", *value), ("output", name)) for name, *value in (
        ("create",), ("clean",), ("table", "a.b"), ("data-only",), ("schema-only",),
        ("create-roles",), ("no-owner",), ("no-privileges",), ("json",)))])
def test_options_that_exclude_each_other(restorer, tmp_path, options, pair):
    result = restorer.tool.run("restore", "latest", *options)
    assert (result.code, result.out) == (2, "")
    assert f"--{pair[0]} and --{pair[1]} exclude each other" in result.err
    assert not (tmp_path / "x").exists()


def test_an_empty_target_is_none(restorer):
    """Whatever libpq would take instead."""
    tool = restorer.tool.with_settings(PGDATABASE="postgres")
    result = tool.run("restore", "latest", "--to", "", "--clean")
    assert result.code == 2 and "--to names no database" in result.err


def test_what_is_needed(restorer):
    for arguments, text in (((*ONE,), "needs the name of a backup"),
                            (("latest",), "does not know where to"),
                            (("latest", "latest", *ONE), "latest"),
                            (("latest", "--to"), "--to"), (("latest", *ONE, "--wrong"), "--wrong")):
        result = restorer.tool.run("restore", *arguments)
        assert (result.code, result.out) == (2, "") and text in result.err, result.err


@pytest.mark.parametrize("wanted", [
    "../x", "/etc/passwd", "%2e%2e/x", f"{OLD_NAME}/../x", f"../{OLD_NAME}", f"{OLD_NAME}%2f..", "",
    "latest:", "LATEST", f"{OLD_NAME}\n", f"{OLD_NAME}.json", "..", "-", "\x1b[31m", "\udcff",
    pytest.param("rythm-backup-" + "9" * 2000, id="long"),
    pytest.param("latest:" + "9" * 2000, id="long schedule")])
def test_hostile_names(make_tool, small_database, azure_store, azure_proxy, tmp_path, wanted):
    tool = make_tool(small_database, **azure_store.settings_through(azure_proxy.port))
    for options in (ONE, ("--output", tmp_path / "x")):
        result = tool.run("restore", *options, "--", wanted)
        assert (result.code, result.out) == (2, "")
        assert "is no backup's name" in result.err or "names no schedule" in result.err
        assert "\x1b" not in result.err
    assert azure_proxy.requests == [] and not (tmp_path / "x").exists()


def test_a_name_that_no_store_has(restorer, source, target):
    restorer.back_up(source.name)
    restorer.refused(2, f"there is no backup '{OLD_NAME}'", OLD_NAME, target, "--create")


# What goes wrong in the middle

# The function is pg_dump's to make, before the rows; it does not like other databases.
JEALOUS = """
CREATE FUNCTION at_home(integer) RETURNS boolean IMMUTABLE LANGUAGE sql AS
    $$SELECT current_database() = '{name}'$$;
CREATE FUNCTION only_at_home(integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS
    $$BEGIN IF current_database() <> '{name}' THEN RAISE 'far from home'; END IF; RETURN $1; END$$;
"""
FAILURES = {
    "rows": ("ALTER TABLE others ADD CONSTRAINT jealous CHECK (at_home(a))",
             ("others", 'violates check constraint "jealous"')),
    "index": ("CREATE INDEX far ON others (only_at_home(a))",
              ("building indexes and keys: INDEX public.far", "far from home")),
    "view": ("CREATE MATERIALIZED VIEW far AS SELECT only_at_home(a) FROM others",
             ("MATERIALIZED VIEW DATA public.far", "far from home")),
}


@pytest.mark.parametrize("jobs", [1, 4])
@pytest.mark.parametrize("where", list(FAILURES))
@pytest.mark.parametrize("engine", ["parallel", "pg_dump"])
def test_a_failure_in_the_middle(restorer, source, make_database, make_name, cluster, where, jobs,
                                 engine):
    sql, texts = FAILURES[where]
    source.execute(JEALOUS.format(name=source.name))
    source.execute(sql.replace("only_at_home", "public.only_at_home"))
    name = restorer.back_up(source.name, "--engine", engine)
    existing = make_database()
    existing.execute("CREATE TABLE was_here (a integer)")
    before = compared(cluster, existing.name)
    missing = make_name()
    for target, option in ((missing, "--create"), (existing.name, "--clean")):
        result = restorer.refused(1, texts[0], name, target, option, "--jobs", jobs)
        assert texts[1] in result.err, result.err
        assert where != "index" or "segment at" not in result.err, result.err
        assert restorer.scratch() == []
    assert not restorer.exists(missing)
    assert compared(cluster, existing.name) == before


@pytest.fixture(scope="module")
def full_cluster(folder):
    """A cluster with a tablespace that is soon full, "small"."""
    if os.geteuid() != 0:
        pytest.skip("mounting takes root")
    cluster = PostgresCluster(folder / "full")
    cluster.create()
    small = folder / "small"
    small.mkdir()
    shutil.chown(small, "postgres")
    options = "size=24m,mode=0700,uid=$(id -u postgres)"
    cluster.start(within=("unshare", "--mount", "sh", "-c",
                          f'mount -t tmpfs -o {options} tmpfs {small} && exec "$@"', "sh"))
    cluster.execute("postgres", f"CREATE TABLESPACE small LOCATION '{small}'")
    yield cluster
    cluster.stop(immediately=True)


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_full_disk(restorer, make_database, full_cluster, jobs):
    """What is restored goes where the target is."""
    source = make_database()
    source.execute("CREATE TABLE big AS SELECT g, repeat('x', 500) AS t"
                   " FROM generate_series(1, 40000) g")
    name = restorer.back_up(source.name)
    full_cluster.execute("postgres", "DROP DATABASE IF EXISTS narrow")
    full_cluster.execute("postgres", "CREATE DATABASE narrow TABLESPACE small")
    # Dropping a database takes a checkpoint, and that writes this one's pages.
    full_cluster.execute("postgres", "CHECKPOINT")
    before = compared(full_cluster, "narrow")
    result = restorer.refused(1, "No space left on device", name, full_cluster.url("narrow"),
                              "--jobs", jobs)
    assert "restoring the rows of public.big" in result.err, result.err
    assert full_cluster.execute("postgres", SCRATCH) == [], result.err
    assert compared(full_cluster, "narrow") == before


def test_a_foreign_key_without_its_row(restorer, source, target, empty_database):
    """A database may be like that, if triggers were off once."""
    source.execute("SET session_replication_role = replica; DELETE FROM parents WHERE id = 1")
    name = restorer.back_up(source.name)
    restorer.refused(1, f"database {empty_database.name} is as it was", name, empty_database.name)
    result = restorer.refused(1, "children_parent_fkey", name, target, "--create", "--jobs", "4")
    assert 'Key (parent)=(1) is not present in table "parents"' in result.err
    assert not restorer.exists(target)


@pytest.fixture
def slow_backup(restorer, source):
    """Its rows take a minute."""
    source.execute("CREATE FUNCTION slow(integer) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN"
                   f" IF current_database() <> '{source.name}' THEN PERFORM pg_sleep(60); END IF;"
                   " RETURN true; END$$; ALTER TABLE others ADD CONSTRAINT slowly CHECK (slow(a))")
    return restorer.back_up(source.name)


def sleeps(cluster):
    return cluster.execute("postgres", "SELECT datname FROM pg_stat_activity"
                                       " WHERE wait_event = 'PgSleep'")


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("option", ["--create", "--clean"])
def test_a_stop(restorer, slow_backup, make_database, make_name, cluster, number, code, option):
    database = make_database()
    database.execute("CREATE TABLE was_here (a integer)")
    before = compared(cluster, database.name)
    target = database.name if option == "--clean" else make_name()
    process = restorer.tool.start(*restorer.arguments(slow_backup, target, option, "--jobs", "2"))
    processes.wait_until(lambda: sleeps(cluster), "the rows are on their way")
    process.send_signal(number)
    result = restorer.tool.finish(process, 20)
    assert (result.code, result.out) == (code, ""), result.err
    assert restorer.scratch() == []
    assert restorer.exists(target) == (option == "--clean")
    assert compared(cluster, database.name) == before


def test_a_stop_among_tables(restorer, slow_backup, empty_database, cluster):
    empty_database.execute("CREATE FUNCTION slow(integer) RETURNS boolean LANGUAGE sql AS"
                           " 'SELECT pg_sleep(60) IS NOT NULL'")
    before = compared(cluster, empty_database.name)
    process = restorer.tool.start(*restorer.arguments(slow_backup, empty_database.name, "--table",
                                                      "public.parents", "--table",
                                                      "public.others"))
    processes.wait_until(lambda: sleeps(cluster), "the rows are on their way")
    process.terminate()
    result = restorer.tool.finish(process, 20)
    assert (result.code, result.out) == (143, ""), result.err
    processes.wait_until(lambda: not sleeps(cluster), "the server has noticed")
    assert compared(cluster, empty_database.name) == before


def test_what_a_killed_one_leaves_is_removed(restorer, slow_backup, source, make_name, cluster):
    target, other = make_name(), make_name()
    process = restorer.tool.start(*restorer.arguments(slow_backup, target, "--create"))
    processes.wait_until(lambda: sleeps(cluster), "the rows are on their way")
    process.kill()
    process.communicate()
    assert len(restorer.scratch()) == 1 and not restorer.exists(target)
    source.execute("ALTER TABLE others DROP CONSTRAINT slowly")
    name = restorer.back_up(source.name)
    restorer.ok(name, other, "--create")
    assert restorer.scratch() == []


def test_a_session_that_is_ended(restorer, slow_backup, target, cluster):
    process = restorer.tool.start(*restorer.arguments(slow_backup, target, "--create"))
    processes.wait_until(lambda: sleeps(cluster), "the rows are on their way")
    cluster.execute("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                                " WHERE wait_event = 'PgSleep'")
    result = restorer.tool.finish(process, 30)
    assert (result.code, result.out) == (1, "") and "others" in result.err, result.err
    assert "terminating connection due to administrator command" in result.err, result.err
    assert not restorer.exists(target)

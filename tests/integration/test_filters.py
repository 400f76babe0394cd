"""Tables chosen by pg_dump's patterns: --table, --exclude-table, --exclude-table-data."""

import json
import re
import subprocess

import pytest

from contents import replay
from pg_dumps import REAL
from tables import history

# Names that patterns stumble over, in the search path and out of it; tables that own sequences,
# have partitions, are referred to.
ODD = r'''
CREATE SCHEMA app; CREATE SCHEMA "Odd.One"; CREATE SCHEMA hidden;
CREATE TABLE orders (id serial PRIMARY KEY, note text);
CREATE TABLE "Orders" (id integer GENERATED ALWAYS AS IDENTITY, note text);
CREATE TABLE "a.b" (a integer); CREATE TABLE "say ""hi""" (a integer);
CREATE TABLE "cost$" (a integer); CREATE TABLE "x[]" (a integer); CREATE TABLE tmp_1 (a integer);
CREATE TABLE tmp_22 (a integer); CREATE TABLE "*" (a integer); CREATE TABLE "größe" (a integer);
CREATE TABLE app.orders (id serial, note text); CREATE TABLE app.audit_log (line text);
CREATE TABLE "Odd.One"."T" (a integer); CREATE TABLE hidden.orders (a integer);
CREATE SEQUENCE app.free_one; CREATE SEQUENCE tmp_numbers;
CREATE TABLE app.parted (a integer) PARTITION BY LIST (a);
CREATE TABLE app.parted_1 PARTITION OF app.parted FOR VALUES IN (1);
CREATE TABLE app.parted_2 PARTITION OF app.parted FOR VALUES IN (2);
CREATE TABLE app.owner (a integer); CREATE SEQUENCE app.owned OWNED BY app.owner.a;
CREATE VIEW app.seen AS SELECT 1 AS one;
SELECT lo_from_bytea(0, 'x');
INSERT INTO orders (note) VALUES ('o'); INSERT INTO "Orders" (note) VALUES ('O');
INSERT INTO "a.b" VALUES (1); INSERT INTO tmp_1 VALUES (1); INSERT INTO tmp_22 VALUES (1);
INSERT INTO app.orders (note) VALUES ('a'); INSERT INTO app.audit_log VALUES ('l');
INSERT INTO app.parted VALUES (1), (2); INSERT INTO hidden.orders VALUES (1);
SELECT setval('app.free_one', 77), setval('app.owned', 78), setval('tmp_numbers', 79);
'''

# Options that pg_dump gets, too. The role's search path is public, app.
CASES = [
    ["--table=ORDERS", '--table="a.b"', "--table=a?p.audit*", '--table="*"', "--table=größe"],
    ['--table="Orders"', '--table="say ""hi"""', "--table=cost$", '--table="x[]"',
     "--table=audit_log"],
    ["--table=x[]", "--table=tmp_[0-9]", '--table="Odd.One"."T"', '--table="cost$"',
     "--table=app.parted_1"],
    ["--table=(orders|tmp_1)", "--table=tmp_[0-9]+", "--table=app.free_one", "--table=seen"],
    ["--table=*.orders", "--exclude-table=app.*", "--table=app.owner"],
    ["--table=app.*", "--exclude-table-data=audit*", '--table="Odd.One".*'],
    ["--table=orders", "--table=hidden.*", "--table=app.parted"],
    ["--exclude-table=orders", "--exclude-table=app.parted_1", "--exclude-table=app.owned"],
    ["--exclude-table=*.orders", "--exclude-table=app.owner"],
    ["--exclude-table=app.*", '--exclude-table="Odd.One".*', "--exclude-table=tmp*"],
    ["--exclude-table=orders_id_seq", "--exclude-table-data=app.parted*"],
    ["--exclude-table-data=*.orders", "--exclude-table-data=app.free_one"],
    ["--exclude-table-data=*_id_seq", "--exclude-table-data=public.*", "--exclude-table=tmp_1"],
]


@pytest.fixture(scope="module")
def odd(cluster):
    cluster.create_database("filters_odd")
    for statement in ODD.split(";\n"):
        if statement.strip():
            cluster.execute("filters_odd", statement)
    cluster.execute("postgres", "ALTER DATABASE filters_odd SET search_path = public, app")
    return "filters_odd"


@pytest.fixture
def dumper(make_tool, cluster, odd):
    return make_tool(DATABASE_URL=cluster.url(odd), RYTHM_BACKUP_COMPRESSION="none")


def contents(script):
    """What a script makes, whose rows it has, and where it sets which sequences."""
    def found(expression):
        return sorted(re.findall(expression, script, re.MULTILINE))
    return {
        "made": found(r"^CREATE (?:SCHEMA|TABLE|VIEW|SEQUENCE|FUNCTION) .*?(?= \(|;|$| AS)"),
        # Ours quotes every name.
        "rows": sorted({name.replace('"', "") for name in found(r"^COPY (.*?) \(")}),
        "sequences": sorted(value.replace('"', "") for value in
                            found(r"^SELECT pg_catalog.setval\((.*)\);")),
        "large_objects": len(found(r"^SELECT pg_catalog.lo_open")),
    }


def write(tool, path, *options):
    return tool.ok("run", "--output", path, *options)


@pytest.mark.parametrize("number", range(2))
def test_the_same_tables_as_pg_dump(dumper, cluster, odd, tmp_path, number):
    for options in CASES[number::2]:
        write(dumper, tmp_path / "ours.sql", *options)
        theirs = subprocess.run([REAL, *options, cluster.url(odd)], check=True,
                                capture_output=True, text=True).stdout
        ours = (tmp_path / "ours.sql").read_text()
        assert contents(ours) == contents(theirs), options
        assert contents(ours)["made"], options


def test_the_other_engine_gets_the_same_options(dumper, tmp_path):
    for options in (CASES[5], CASES[12]):
        scripts = []
        for engine in ("parallel", "pg_dump"):
            write(dumper.with_settings(RYTHM_BACKUP_ENGINE=engine), tmp_path / "x.sql", *options)
            scripts.append(contents((tmp_path / "x.sql").read_text()))
        assert scripts[0] == scripts[1]


@pytest.mark.parametrize("options, message", [
    (["--table=nothing_like_it"], "--table: the pattern 'nothing_like_it' chooses no table"),
    (["--table=orders", "--table=hidden.x*"], "the pattern 'hidden.x*' chooses no table"),
    (["--table=Orders_"], "capital letters need double quotes"),
    (["--table=*"], "chooses (information_schema|pg_catalog).*a table of the system"),
    (["--table=pg_catalog.pg_class"], "chooses pg_catalog.pg_class, a table of the system"),
    (["--exclude-table=tmp_["], "--exclude-table: .*invalid regular expression"),
])
def test_patterns_that_the_server_refuses(dumper, tmp_path, options, message):
    for engine in ("parallel", "pg_dump"):
        result = dumper.run("run", "--output", tmp_path / "x", "--engine", engine, *options)
        assert result.code == 2, result.err
        assert re.search(message.replace("x*'", "x[*]'"), result.err), result.err
        assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("pattern, message", [
    ("", "it is empty"), ('"open', "a double quote is not closed"),
    ("a.b.c", "it has more than one dot"), ("x" * 1025, "longer than 1024 bytes"),
    (b"\xff", "not UTF-8"),
])
def test_patterns_that_are_none(make_tool, small_database, pattern, message):
    """Told before anything is connected to."""
    tool = make_tool(DATABASE_URL="postgresql://127.0.0.1:1/x")
    for arguments in (("run", "--output", "x"), ("schedule", "add", "x")):
        for option in ("--table", "--exclude-table", "--exclude-table-data"):
            if pattern == "" and arguments[0] == "schedule":
                continue  # there it writes the default
            result = tool.run(*arguments, option, pattern if isinstance(pattern, str) else
                              pattern.decode("utf-8", "surrogateescape"))
            assert result.code == 2, result.err
            assert f"option '{option}'" in result.err and message in result.err


def test_an_exclusion_that_chooses_nothing_is_a_warning(dumper, tmp_path):
    result = write(dumper, tmp_path / "x.sql", "--exclude-table=gone", "--exclude-table-data=gone*")
    assert "--exclude-table: the pattern 'gone' chooses no table" in result.err
    assert "--exclude-table-data: the pattern 'gone*' chooses no table" in result.err


def test_in_another_encoding(make_tool, make_encoded, cluster, tmp_path):
    name = make_encoded("LATIN1")
    cluster.execute(name, 'CREATE TABLE "größe" (a integer)')
    cluster.execute(name, "CREATE TABLE other (a integer)")
    tool = make_tool(DATABASE_URL=cluster.url(name), RYTHM_BACKUP_COMPRESSION="none")
    write(tool, tmp_path / "x.sql", "--table=gr*ö*e")
    assert contents((tmp_path / "x.sql").read_text("latin-1"))["rows"] == ["public.größe"]
    write(tool, tmp_path / "x.sql", "--exclude-table=größe")
    assert contents((tmp_path / "x.sql").read_text("latin-1"))["rows"] == ["public.other"]


def test_schemas_of_tables_in_another_encoding(make_tool, make_encoded, cluster, file_store):
    name = make_encoded("LATIN1")
    cluster.execute(name, 'CREATE SCHEMA "größe"')
    cluster.execute(name, 'CREATE TABLE "größe"."ö" AS SELECT 1 AS a')
    tool = make_tool(file_store, DATABASE_URL=cluster.url(name))
    tool.ok("migrate")
    made = tool.ok("run", "--no-notify", "--table", "größe.*").out.strip()
    target = f"{name}_restored"
    try:
        tool.ok("restore", made, "--to", cluster.url(target), "--create")
        assert cluster.execute(target, 'SELECT a FROM "größe"."ö"') == [(1,)]
    finally:
        cluster.drop_database(target)


# A backup in a store: what is recorded, and what that is for

@pytest.fixture
def home(small_database):
    small_database.execute("CREATE TABLE parent (id integer PRIMARY KEY, line text)")
    small_database.execute("CREATE TABLE log (id serial, line text)")
    small_database.execute("INSERT INTO parent VALUES (1, 'one')")
    small_database.execute("INSERT INTO log (line) SELECT 'x' FROM generate_series(1, 50)")
    return small_database


@pytest.fixture
def tool(make_tool, home, file_store):
    return make_tool(home, file_store)


def manifest_of(store, name):
    return json.loads(store.read(name + ".json"))


def test_what_is_left_out_is_recorded_and_verified(tool, home, file_store, cluster, make_database):
    name = tool.ok("run", "--no-notify", "--exclude-table-data=log", "--exclude-table=users",
                   "--exclude-table=email_logs").out.strip()
    manifest = manifest_of(file_store, name)
    assert manifest["scope"] == [{"list": "exclude_tables", "name": "users"},
                                 {"list": "exclude_tables", "name": "email_logs"},
                                 {"list": "exclude_table_data", "name": "log"}]
    assert manifest["left_out"] == [{"schema": "public", "name": "log"}]
    assert not {"log", "users", "email_logs"} & {table["name"] for table in manifest["tables"]}
    verified = tool.ok("verify", name, "--json").json
    assert verified["backups"][0]["verdict"] == "good"
    listed = tool.ok("list", name).out
    assert re.search(r"public +log +left out", listed) and "users" not in listed
    shown = tool.ok("list", name, "--json").json
    assert shown["scope"]["exclude_tables"] == ["users", "email_logs"]
    assert shown["left_out"] == manifest["left_out"]
    restored = make_database()
    replay(cluster, file_store.folder / name, restored.name)
    assert restored.value("SELECT count(*) FROM log") == 0
    assert restored.value("SELECT line FROM parent") == "one"
    assert restored.value("SELECT to_regclass('users')") is None


def test_rows_where_none_are_expected_are_found(tool, home):
    """A check's function fills the table while the backup is restored."""
    home.execute("CREATE FUNCTION fill(integer) RETURNS integer LANGUAGE sql AS"
                 " 'INSERT INTO public.log (line) VALUES (''y''); SELECT 1'")
    home.execute("ALTER TABLE parent ADD CHECK (fill(id) = 1)")
    name = tool.ok("run", "--no-notify", "--exclude-table-data=log").out.strip()
    result = tool.run("verify", name)
    assert result.code == 1
    assert "table public.log has 1 rows, and had 0 when it was backed up" in result.err


def test_tables_alone_restore_into_an_empty_database(tool, home, cluster, make_database):
    home.execute('CREATE SCHEMA "an ""odd"" one"')
    home.execute('CREATE TABLE "an ""odd"" one".t AS SELECT 1 AS a')
    name = tool.ok("run", "--no-notify", '--table="an ""odd"" one".*').out.strip()
    tool.ok("verify", name)
    target = make_database()
    tool.ok("restore", name, "--to", target.url)
    assert target.value('SELECT a FROM "an ""odd"" one".t') == 1


def test_a_part_does_not_stand_for_the_whole(tool, home, file_store):
    whole = tool.ok("run", "--no-notify").out.strip()
    part = tool.ok("run", "--no-notify", "--table=parent").out.strip()
    named = {stored.name: stored.metadata for stored in file_store.list()}
    assert "schemas" in named[part] and "schemas" not in named[whole]
    assert whole in tool.ok("verify", "--quick").err
    assert tool.ok("list", "latest", "--json").json["name"] == whole
    tool.ok("prune", "--force", whole)
    assert tool.ok("list", "latest", "--json").json["name"] == part


def test_schedule_writes_shows_and_obeys(tool, home, file_store):
    result = tool.ok("schedule", "add", "parts", "--exclude-table=log", '--exclude-table="a,b"',
                     "--exclude-table-data=parent")
    assert 'exclude_tables=log,"a,b" exclude_table_data=parent' in result.out
    name = tool.ok("run", "parts", "--no-notify").out.strip()
    manifest = manifest_of(file_store, name)
    assert [(entry["list"], entry["name"]) for entry in manifest["scope"]] == [
        ("exclude_tables", "log"), ("exclude_tables", '"a,b"'), ("exclude_table_data", "parent")]
    (shown,) = tool.ok("schedule", "set", "parts", "--exclude-table=", "--exclude-table-data=",
                       "--table=parent", "--table=l*g", "--json").json["schedules"]
    assert (shown["only_tables"], shown["exclude_tables"], shown["exclude_table_data"]) == (
        ["parent", "l*g"], None, None)
    name = tool.ok("run", "parts", "--no-notify").out.strip()
    assert {table["name"] for table in manifest_of(file_store, name)["tables"]} == {"log", "parent"}


@pytest.mark.parametrize("column, value, words", [
    ("only_tables", "{}", "only_tables is empty"),
    ("exclude_tables", "{a,NULL}", "exclude_tables holds an empty pattern"),
    ("exclude_tables", "{{a},{b}}", "exclude_tables is not a simple list"),
    ("exclude_table_data", '{"a.b.c"}', "exclude_table_data holds a pattern with more than one"),
    ("exclude_table_data", '{"\\"a"}', "whose double quote is not closed"),
])
def test_a_row_that_is_wrong(tool, home, column, value, words):
    home.execute(f"UPDATE backup_schedule SET enabled = true, {column} = %s", value)
    result = tool.run("run", "--no-notify")
    assert result.code == 2 and words in result.err
    assert words in tool.run("check").err


def test_latest_of_a_schedule_is_what_it_asks_for(tool, home):
    tool.ok("schedule", "add", "parts", "--exclude-table=log")
    tool.ok("run", "parts", "--no-notify", "--table=parent")
    part = tool.ok("run", "parts", "--no-notify").out.strip()
    tool.ok("run", "parts", "--no-notify", "--table=parent")
    assert tool.ok("list", "latest:parts", "--json").json["name"] == part


def test_each_part_is_a_kind_of_its_own(tool, home, file_store):
    """To retention, which compares what the metadata say."""
    tool = tool.with_settings(RYTHM_BACKUP_ENGINE="pg_dump")
    for options in ([], ["--exclude-table=log"], ["--exclude-table-data=log"], ["--table=log"],
                    ["--exclude-table=log"]):
        tool.ok("run", "--no-notify", *options)
    kinds = [stored.metadata.get("schemas") for stored in file_store.list()]
    assert len(kinds) == 5 and len(set(kinds)) == 4


# What refers to rows or tables that were left out

@pytest.fixture
def referring(home):
    home.execute("CREATE TABLE child (id integer REFERENCES parent)")
    home.execute("INSERT INTO child VALUES (1)")
    return home


@pytest.mark.parametrize("option", ["--exclude-table-data=parent", "--exclude-table=parent"])
def test_a_foreign_key_to_what_was_left_out(tool, referring, option, cluster):
    name = tool.ok("run", "--no-notify", option).out.strip()
    for command in (("verify", name), ("restore", name, "--create", "--to",
                                       cluster.url(f"{referring.name}_restored"))):
        result = tool.run(*command)
        assert result.code == 1, result.err
        assert "child_id_fkey" in result.err
        assert "the backup holds a part of the database" in result.err
    assert history(referring)[0]["verify_failed_at"] is None

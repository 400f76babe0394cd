"""Rows that a restore sends in COPY's binary format: whatever the values are, what is there
afterwards is what text would have made of them."""

import contextlib
import csv
import hashlib
import io
import itertools
import json
import os
import random
import re
import struct

import pytest

from contents import compared

NUMBER_OF_ROWS = 3000
# Shorter segments are always sent as text.
SHORTEST = 64 * 1024
LOGGED = "?options=-c%20log_statement%3Dall"
COPY = re.compile(r'COPY "public"\."(\w+)" .*FROM stdin(.*)')

numbers = itertools.count(1)

TEXTS = ["", r"\N", r"\.", "\t", "\n", "\r", "\r\n", "\b\f\v", "\\", "\\\\", r"\n \x41 \101",
         "\x01\x1f\x7f", "ü", "€", "😀", "\ufeff", " blank ", "NULL", "null", '"', "'", "{", "}",
         "{}", ",", ";", 'a\\"b', "x" * 8000]
TIMES = ["2000-01-01", "1999-12-31 23:59:59.999999", "1999-12-31 23:59:59.5", "1970-01-01 00:00:01",
         "2000-02-29 12:34:56.1", "1900-02-28 01:02:03.12", "1900-03-01 23:59:59.123",
         "1969-12-31 23:59:59.1234", "2024-02-29 00:00:00.12345", "2038-01-19 03:14:08.000001",
         "0001-01-02", "9999-12-30 23:59:59.999999", "1582-10-10", "2016-12-31 23:59:60"]
JSONS = ["null", "0", "-0", '""', "[]", "{}", '{"a": {"b": [1, null, {"c": "\\u00fc\\t\\\\"}]}}',
         '"\\ud83d\\ude00 \\u20ac"', "12345678901234567890.50", "[1e100, true, false]"]
MOODS = ["a b", "it's", '"q"', "x,y", "{}", "NULL", "\\", "tab\t", "ü", "\\N", "sad"]
TIME = """TIMESTAMP '0001-01-02' + make_interval(days => g * 912,
                                                secs => round(g * 7.654321, g % 7))"""
FLOAT = "hashtext(g::text) * power(10::float8, g % {} - {})"
TEXT = """(SELECT string_agg(chr(1 + abs(hashtext(g || '.' || i) % 767)), '')
           FROM generate_series(1, g % 40) i)"""

# NAME: (type, values of g, the odd ones that come between them).
TYPES = {
    "bool": ("bool", "hashtext(g::text) > 0", ["t"]),
    "int2": ("int2", "hashtext(g::text) % 32768", ["-32768", "32767", "0", "-1", "-10"]),
    "int4": ("int4", "hashtext(g::text)", ["-2147483648", "2147483647", "0", "-1", "100"]),
    "int8": ("int8", "hashtextextended(g::text, 0)",
             ["-9223372036854775808", "9223372036854775807", "0", "-1", "4294967296"]),
    "float4": ("float4", FLOAT.format(60, 38),
               ["-0", "0", "NaN", "Infinity", "-Infinity", "1.17549435e-38", "16777217",
                "3.4028235e38", "-3.4028235e38", "0.1", "1e9", "123456.7"]),
    "float8": ("float8", FLOAT.format(590, 295),
               ["-0", "0", "NaN", "Infinity", "-Infinity", "2.2250738585072014e-308", "1e308",
                "1.7976931348623157e308", "0.1", "1e22", "1e23", "9007199254740993", "1e15", "1e16",
                "0.30000000000000004", "-1e-7"]),
    "numeric": ("numeric", "hashtextextended(g::text, 0)::numeric / 10::numeric ^ (g % 40)",
                ["0", "0.00", "-0.00001", "1e-20", "123456789012345678901234567890.123456789",
                 "10000", "0.0001", "99999999.9999", "9999", "100000000", "1e40", "-1e40",
                 "0.00010000", "1000000000000.0000000000", "-9999.99999", "0.000000001", "1." +
                 "0" * 99 + "1", "9" * 100]),
    "numeric_12_3": ("numeric(12, 3)", "hashtext(g::text) / 7.0",
                     ["0", "-0.001", "999999999.999", "-999999999.999", "10000", "0.1"]),
    "text": ("text", TEXT, TEXTS),
    "varchar": ("varchar", TEXT, TEXTS),
    "varchar_7": ("varchar(7)", "left(md5(g::text), g % 8)",
                  ["", "ü€😀", "\\\t\n\r", "       ", "NULL", r"\N"]),
    "char_9": ("char(9)", "left(md5(g::text), g % 10)",
               ["", "ü€😀", "a", " a", "\\", "\t", "123456789", r"\N"]),
    "bpchar": ("bpchar", "repeat(' ', g % 3) || g || repeat(' ', g % 4)", ["", " ", "a ", "\n "]),
    "bytea": ("bytea", "substr(decode(repeat(md5(g::text), 3), 'hex'), 1, g % 49)",
              [r"\x", r"\x" + bytes(range(256)).hex(), r"\x5c", r"\x5c78", r"\x00", r"\x0a0d09"]),
    "uuid": ("uuid", "md5(g::text)", ["0" * 32, "f" * 32, "0123456789abcdef" * 2]),
    "json": ("json", "json_build_object('a', g, md5(g::text), ARRAY[g, NULL])",
             [*JSONS, ' { "a" :\n\t1 , "a":2 } ', "\r[ ]\n", '"\\u0000"', "1e999"]),
    "jsonb": ("jsonb", "json_build_object('a', g, md5(g::text), ARRAY[g, NULL])", JSONS),
    "date": ("date", "DATE '0001-01-01' + g * 912",
             ["0001-01-01", "1999-12-31", "2000-01-01", "2000-02-29", "1900-02-28", "1900-03-01",
              "9999-12-31", "1970-01-01", "2100-02-28"]),
    "time": ("time", "TIME '00:00' + make_interval(secs => round(g * 21.654321, g % 7))",
             ["00:00", "23:59:59.999999", "12:00:00.1", "00:00:00.000001", "23:59:59.12345"]),
    "oid": ("oid", "abs(hashtext(g::text))", ["0", "4294967295", "2147483648"]),
    "time_0": ("time(0)", "TIME '00:00' + make_interval(secs => g * 21)", ["00:00", "23:59:59"]),
    "timestamp": ("timestamp", TIME, TIMES),
    "timestamp_3": ("timestamp(3)", TIME, TIMES[:-3]),
    "timestamptz": ("timestamptz", f"({TIME}) AT TIME ZONE 'Asia/Kolkata'",
                    [f"{time}+00" for time in TIMES] + ["1970-01-01 00:44:30-00:44:30"]),
    "mood": ("mood", "enum_first(NULL::mood)", MOODS),
    "any_number": ("any_number", "g", ["-2147483648"]),
    "short_text": ("short_text", TEXT, TEXTS[:-1]),
    "codes": ("codes", "ARRAY[g, NULL, -g]", ["{}", "{1}", "{NULL}"]),
}
ARRAYS = ("bool", "bytea", "int2", "int4", "int8", "text", "varchar", "bpchar", "json", "jsonb",
          "uuid", "float4", "float8", "numeric", "date", "time", "timestamp", "timestamptz", "oid",
          "varchar_7", "char_9", "numeric_12_3", "timestamp_3")
MAKE_TYPES = "CREATE TYPE mood AS ENUM (" + ", ".join(
    "E'" + label.replace("\\", "\\\\").replace("'", "''") + "'" for label in MOODS) + """);
CREATE DOMAIN any_number AS integer CHECK (VALUE <> 7777777);
CREATE DOMAIN a_text AS text CHECK (VALUE <> 'never');
CREATE DOMAIN short_text AS a_text CHECK (length(VALUE) < 100);
CREATE DOMAIN codes AS integer[] CHECK (cardinality(VALUE) < 4);
CREATE DOMAIN needed AS integer NOT NULL CHECK (VALUE > 0);
CREATE DOMAIN label AS varchar(9) NOT NULL;
"""
# What a table may be, besides the types of its columns.
TABLES = r"""
CREATE TABLE "odd ""table" ("a b" integer, "c""d" text, "é, (x)" date, "FROM stdin;" numeric);
INSERT INTO "odd ""table" SELECT g, md5(g::text), DATE '2000-01-01' + g, g / 7.0
    FROM generate_series(1, 4000) g;
CREATE TABLE shaped (gone text, a integer, twice bigint GENERATED ALWAYS AS (a * 2) STORED, b text,
    gone_too xml, c numeric);
INSERT INTO shaped (gone, a, b, gone_too, c) SELECT 'x', g, md5(g::text), NULL, g / 3.0
    FROM generate_series(1, 4000) g;
ALTER TABLE shaped DROP gone, DROP gone_too, ADD d text DEFAULT E'was\tnot there', ADD e date;
CREATE TABLE identified (id bigint GENERATED ALWAYS AS IDENTITY (START 7), t text);
INSERT INTO identified (t) SELECT md5(g::text) FROM generate_series(1, 4000) g;
CREATE UNLOGGED TABLE unlogged AS SELECT g, md5(g::text) AS t FROM generate_series(1, 4000) g;
CREATE TABLE constrained (a needed PRIMARY KEY, b label UNIQUE, c text NOT NULL COLLATE "C");
INSERT INTO constrained SELECT g, g, md5(g::text) FROM generate_series(1, 4000) g;
CREATE TABLE parted (a integer, t text, d date) PARTITION BY RANGE (a);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (3000);
CREATE TABLE parted_2 (d date, gone integer, a integer, t text);
ALTER TABLE parted_2 DROP gone;
ALTER TABLE parted ATTACH PARTITION parted_2 FOR VALUES FROM (3000) TO (9000);
INSERT INTO parted SELECT g, md5(g::text), '2000-01-01' FROM generate_series(1, 6000) g;
CREATE TABLE parent (a integer, t text);
CREATE TABLE child (more timestamp) INHERITS (parent);
INSERT INTO child SELECT g, md5(g::text), '2001-02-03 04:05' FROM generate_series(1, 4000) g;
CREATE TABLE long AS SELECT g, g % 7 = 0 AS b, md5(g::text) AS t, g / 7.0 AS n,
    TIMESTAMPTZ '1990-01-01' + g * INTERVAL '1 hour' AS w FROM generate_series(1, 60000) g;
CREATE TABLE short AS SELECT g, md5(g::text) AS t FROM generate_series(1, 400) g;
CREATE TABLE nulls (a integer, b text, c date, d numeric[], e mood, f jsonb, g bytea, h bool);
INSERT INTO nulls SELECT FROM generate_series(1, 5000);
CREATE TABLE nothing ();
INSERT INTO nothing SELECT FROM generate_series(1, 72000);
"""
WIDE = "CREATE TABLE wide (" + ", ".join(f"c{i} int2" for i in range(1500)) + ");" \
       "INSERT INTO wide (c0, c3, c1499) SELECT g, 3, -g FROM generate_series(1, 100) g;"


@pytest.fixture
def tool(make_tool, small_database, file_store):
    return make_tool(small_database, file_store, RYTHM_BACKUP_SEGMENT_SIZE="2")


@pytest.fixture
def target(cluster):
    """The name of a database that does not exist, and is dropped afterwards."""
    name = f"rows_{os.getpid()}_{next(numbers)}"
    yield name
    cluster.drop_database(name)


@pytest.fixture(scope="module")
def every_type(cluster):
    with made(cluster, "rows_of_every_type", fill_every_type) as name:
        yield name


@pytest.fixture(scope="module")
def odd_values(cluster):
    with made(cluster, "rows_with_odd_values", fill_odd_values) as name:
        yield name


@pytest.fixture(scope="module")
def other_types(cluster):
    with made(cluster, "rows_of_other_types", fill_other_types) as name:
        yield name


@contextlib.contextmanager
def made(cluster, name, fill):
    cluster.create_database(name)
    with contextlib.closing(cluster.connect(name)) as connection:
        fill(connection.cursor())
    yield name
    cluster.drop_database(name)


def values(cursor, odd, number, other):
    """SQL: the text of odd[number], or the other value beyond its ends."""
    return f"coalesce(({cursor.mogrify('%s', (odd,)).decode()}::text[])[{number} + 1], {other})"


def fill_types(cursor, names, arrays):
    cursor.execute(MAKE_TYPES)
    for name in names:
        kind, value, odd = TYPES[name]
        often = f"CASE WHEN g % 3 = 0 THEN g / 3 % {len(odd)} END"
        cursor.execute(f"""
            CREATE TABLE of_{name} AS SELECT g, CASE WHEN g % 11 > 0 THEN
                {values(cursor, odd, often, f"({value})::{kind}::text")}::{kind} END AS v,
                repeat('x', 90) AS t FROM generate_series(1, {NUMBER_OF_ROWS}) g""")
    for name in arrays:
        cursor.execute(f"""
            CREATE TABLE array_of_{name} AS SELECT g, CASE WHEN g % 11 > 0 THEN
                (array_agg(v) OVER (ORDER BY g ROWS 4 PRECEDING))[1:g % 6] END AS v, t
            FROM of_{name} ORDER BY g""")


def fill_every_type(cursor):
    fill_types(cursor, TYPES, ARRAYS)
    cursor.execute(TABLES)
    cursor.execute(WIDE)


def back_up(tool, source, *options):
    """Of the database of this name; the backup's name."""
    schedule = f"of-{next(numbers)}"
    tool.ok("schedule", "add", schedule, "--dbname", source)
    return tool.ok("run", schedule, "--no-notify", *options).out.strip()


def restore(tool, cluster, name, target, *options):
    """How the rows of each table of the schema public were sent, COPY by COPY."""
    before = cluster.log.stat().st_size
    tool.ok("restore", name, "--to", cluster.url(target) + LOGGED, *options)
    sent = {}
    log = cluster.log.read_bytes()[before:].decode(errors="replace")
    for table, form in COPY.findall(log):
        sent.setdefault(table, []).append("binary" if "FORMAT binary" in form else "text")
    return sent


def rows_of(cluster, name):
    """By the COPY that they follow in a dump. They have no order: a short row may come into a page
    that was left for being too full for a longer one, and not at the same place each time."""
    dump = compared(cluster, name, "--data-only")
    found = re.findall(rb"^(COPY .*? FROM stdin;\n)(.*?)^\\\.\n", dump, re.DOTALL | re.MULTILINE)
    return {copy: sorted(rows.split(b"\n")) for copy, rows in found}


def assert_equal(cluster, target, source):
    ours, theirs = (rows_of(cluster, name) for name in (target, source))
    assert ours.keys() == theirs.keys() != set()
    for copy in theirs:
        wrong = [pair for pair in itertools.zip_longest(ours[copy], theirs[copy])
                 if pair[0] != pair[1]]
        assert wrong[:3] == [], copy


def every_copy(store, name, long="binary"):
    """What restore() returns where the rows of long segments are sent like this."""
    manifest = json.loads(store.read(f"{name}.json"))
    lengths = [segment["raw_length"] for segment in manifest["segments"]]
    return {table["name"]: ["text" if length < SHORTEST else long for length in
                            lengths[table["first_segment"]:][:table["segments"]]]
            for table in manifest["tables"] if re.fullmatch(r"\w+", table["name"], re.ASCII)}


@pytest.mark.parametrize("jobs", [1, 4])
def test_every_type(tool, every_type, cluster, target, jobs):
    name = back_up(tool, every_type)
    restore(tool, cluster, name, target, "--create", "--jobs", jobs)
    assert_equal(cluster, target, every_type)
    assert cluster.execute(target, "SELECT count(*) FROM nothing") == [(72000,)]
    if jobs == 1:
        tool.ok("verify", name)


def test_every_type_is_sent_in_binary(tool, file_store, every_type, cluster, target):
    name = back_up(tool, every_type)
    wanted = every_copy(file_store, name)
    assert wanted["short"] == ["text"] and wanted["of_bool"] == ["binary"] < wanted["long"]
    sent = restore(tool, cluster, name, target, "--create", "--jobs", "1")
    # There is nothing to send of this one, in any format.
    assert sent | {"nothing": []} == wanted | {"nothing": []}


ODD_SETTINGS = {"TimeZone": "Africa/Monrovia", "DateStyle": "SQL, DMY", "bytea_output": "escape"}


@pytest.mark.parametrize("engine, settings", [
    ("parallel", ODD_SETTINGS), ("pg_dump", ODD_SETTINGS),
    ("parallel", {"TimeZone": "Asia/Kolkata", "DateStyle": "German", "extra_float_digits": "-3"})])
def test_settings_of_the_databases(tool, make_database, cluster, engine, settings):
    """Of the source, and other ones of the target. All are back when these are compared."""
    source, target = make_database(), make_database()
    with contextlib.closing(source.connect()) as connection:
        kinds = ("bytea", "date", "float8", "timestamp", "timestamptz")
        fill_types(connection.cursor(), kinds, kinds)
    for database, changes in ((source, settings), (target, {
            "TimeZone": "America/St_Johns", "DateStyle": "Postgres, YMD", "array_nulls": "off"})):
        for setting, value in changes.items():
            database.execute(f"ALTER DATABASE {database.name} SET {setting} TO {value!r}")
    name = back_up(tool, source.name, "--engine", engine)
    restore(tool, cluster, name, target.name)
    tool.ok("verify", name)
    for database in (source, target):
        database.execute(f"ALTER DATABASE {database.name} RESET ALL")
    assert_equal(cluster, target.name, source.name)


# Values in forms that no converter need know. All others of a table are ordinary.

ODD_VALUES = {
    "date": ["infinity", "-infinity", "0044-03-15 BC", "10000-01-01", "5874897-12-31",
             "4713-01-01 BC"],
    "timestamp": ["infinity", "-infinity", "4713-01-01 00:00:00 BC", "294276-12-31 23:59:59.999999",
                  "10000-01-01", "0001-12-31 23:59:59.999999 BC"],
    "timestamptz": ["infinity", "-infinity", "4713-01-02 00:00:00+00 BC",
                    "294276-12-31 23:59:59.999999+00", "10000-01-01 12:00+00"],
    "time": ["24:00:00"],
    "numeric": ["NaN", "Infinity", "-Infinity", "1" + "0" * 3000, "-0." + "0" * 5000 + "1",
                "9" * 5000 + "." + "9" * 5000, "1e131071", "0." + "0" * 16382 + "1"],
    "int4[]": ["{{1,2},{3,4}}", "[0:1]={1,2}", "[-2:-1]={NULL,5}", "[2:3][4:4]={{1},{2}}",
               "{{{NULL}}}"],
    "text[]": ['{{"a b",c},{NULL,"NULL"}}', '[5:5]={"[0:1]={1,2}"}', '{{"{}","\\\\"},{"",","}}',
               '[0:0]={"\\""}'],
    "bytea[]": [r'{{"\\x00","\\x"}}', r'[0:0]={"\\x5c"}'],
    "bool[]": ["{{t,f},{NULL,t}}"],
    "date[]": ["{infinity,2000-01-01}", '{"0044-03-15 BC"}', "[0:0]={2000-01-01}"],
    "timestamptz[]": ["{infinity,-infinity}", '{{"2000-01-01 00:00:00+00"}}'],
    "numeric[]": ["{1,NaN}", "{-Infinity,2.50}", "{" + "9" * 4000 + ",0.1}", "{{1.0},{2.00}}"],
}
ORDINARY = {
    "date": "DATE '2000-01-01' + g", "timestamp": "TIMESTAMP '2000-01-01' + g * INTERVAL '1 hour'",
    "timestamptz": "TIMESTAMPTZ '2000-01-01' + g * INTERVAL '1 hour'", "time": "'12:34:56'::time",
    "numeric": "g / 7.0", "int4[]": "ARRAY[g, 2]", "text[]": "ARRAY['t' || g]",
    "bytea[]": "ARRAY['a'::bytea]", "bool[]": "ARRAY[true, NULL]",
    "date[]": "ARRAY[DATE '2000-01-01' + g]", "timestamptz[]": "ARRAY[TIMESTAMPTZ '2000-01-01']",
    "numeric[]": "ARRAY[g / 7.0, 1]",
}
FIRST_ODD = {"first": 1, "middle": 1500, "last": NUMBER_OF_ROWS + 1}
# Of text longer than this, a row is sent as text.
LONGEST = 1024 * 1024
LONG_ROWS = """
CREATE TABLE long_rows_{where} AS SELECT g, CASE WHEN g BETWEEN {first} AND {first} + 2
    THEN repeat('long ', 250000) ELSE md5(g::text) END AS t FROM generate_series(1, 3003) g;
"""
# About the limit, or beyond it in one of the two formats.
LIMITS = f"""
CREATE TABLE near_the_limit AS SELECT g, repeat('x', {LONGEST} - 5 + g) AS t
    FROM generate_series(1, 8) g;
CREATE TABLE more_in_text AS SELECT g, decode(repeat('5c', 400000 + g % 3 * 300000), 'hex') AS b,
    repeat(E'\\\\', g % 3 * 400000) AS t FROM generate_series(1, 5) g;
CREATE TABLE more_in_binary AS SELECT g, array_fill(1::int8, ARRAY[500000 + g]) AS a,
    array_fill(true, ARRAY[g]) AS b FROM generate_series(1, 3) g;
"""


def name_of(kind, where):
    return f"odd_{kind.replace('[]', '_array')}_{where}"


def fill_odd_values(cursor):
    for kind, odd in ODD_VALUES.items():
        for where, first in FIRST_ODD.items():
            value = values(cursor, odd, f"g - {first}", f"({ORDINARY[kind]})::text")
            last = first + len(odd) - 1 if where == "last" else NUMBER_OF_ROWS
            cursor.execute(f"""
                CREATE TABLE {name_of(kind, where)} AS SELECT g, {value}::{kind} AS v,
                    md5(g::text) AS t FROM generate_series(1, {last}) g""")
    cursor.execute("".join(LONG_ROWS.format(where=where, first=first)
                           for where, first in FIRST_ODD.items()))
    cursor.execute(LIMITS)
    # As many changes of the format as there can be, if it ever changes back.
    cursor.execute("""
        CREATE TABLE alternating AS SELECT g, CASE WHEN g % 5 = 0 THEN 'infinity'::date
            ELSE '2000-01-01' END AS d, CASE WHEN g % 7 = 0 THEN 'NaN' ELSE g / 3.0 END AS n,
            md5(g::text) AS t FROM generate_series(1, 4000) g;
        CREATE TABLE denormal AS SELECT g, g * 5e-324::float8 AS a, (g * 1.4e-45)::float4 AS b,
            ARRAY[2.2250738585072011e-308 / g] AS c FROM generate_series(1, 4000) g""")


@pytest.mark.parametrize("jobs", [1, 4])
def test_values_that_only_the_server_reads(tool, odd_values, cluster, target, jobs):
    name = back_up(tool, odd_values)
    restore(tool, cluster, name, target, "--create", "--jobs", jobs)
    assert_equal(cluster, target, odd_values)
    if jobs == 1:
        tool.ok("verify", name)


def test_where_text_begins(tool, odd_values, cluster, target):
    """No row before the first odd value is sent as text, and that one is not lost."""
    sent = restore(tool, cluster, back_up(tool, odd_values), target, "--create", "--jobs", "1")
    for kind in [*ODD_VALUES, "long_rows"]:
        for where in FIRST_ODD:
            table = name_of(kind, where) if kind in ODD_VALUES else f"long_rows_{where}"
            copies = sent[table]
            assert copies == ["binary", "text"] or (where, copies) == ("first", ["text"]), table


def test_rows_that_are_shorter_as_text(tool, make_database, cluster, target):
    """Nobody gains when rows of five bytes become such of fourteen: after 64 KiB it is text."""
    source = make_database()
    source.execute("""
        CREATE TABLE narrow AS SELECT (g % 10)::int2 AS a, (g % 100)::int2 AS b
            FROM generate_series(1, 40000) g;
        CREATE TABLE broad AS SELECT (g % 10)::int2 AS a, md5(g::text) AS b
            FROM generate_series(1, 9000) g""")
    sent = restore(tool, cluster, back_up(tool, source.name), target, "--create", "--jobs", "1")
    assert (sent["narrow"], sent["broad"]) == (["binary", "text"], ["binary"])
    assert_equal(cluster, target, source.name)


def test_rows_that_the_server_must_not_collect(tool, make_database, cluster, target):
    """Of binary rows it keeps 1,000 in memory, however long they are, unless the COPY ends."""
    source = make_database()
    source.execute("CREATE TABLE documents AS SELECT g, repeat(md5(g::text), 15000) AS t"
                   " FROM generate_series(1, 40) g")
    sent = restore(tool, cluster, back_up(tool, source.name), target, "--create", "--jobs", "1")
    # 40 rows of 480,000 bytes; after nine it is more than 4 MiB
    assert sent["documents"] == ["binary"] * 5
    assert_equal(cluster, target, source.name)


def test_a_foreign_key_within_a_table(tool, make_database, empty_database, role):
    """Where it is checked, at the end of each COPY, there is one COPY."""
    make = "CREATE TABLE tree (id integer PRIMARY KEY, parent integer REFERENCES tree, d date);"
    source = make_database()
    source.execute(make + """
        INSERT INTO tree SELECT g, nullif(g + 1, 6001), CASE g WHEN 9 THEN 'infinity'::date END
            FROM generate_series(1, 6000) g""")
    empty_database.execute(make)
    _, url = role(empty_database, "GRANT ALL ON tree TO {role}")
    result = tool.ok("restore", back_up(tool, source.name), "--to", url, "--data-only")
    assert "may not switch triggers off" in result.err
    assert empty_database.value("SELECT count(*) FROM tree WHERE parent = id + 1") == 5999


def test_a_line_that_ends_otherwise(tool, make_database, file_store, cluster, target):
    """COPY refuses rows that do not all end as the first does. A text that is begun in the middle
    of them is not to be taken for that reason. No dump has them: one is made to."""
    source = make_database()
    source.execute("""
        CREATE TABLE lines AS SELECT CASE g WHEN 1000 THEN 'infinity' ELSE '2000-01-01'::date END,
            md5(g::text) || CASE g WHEN 1000 THEN 'Z' ELSE '-' END AS t
        FROM generate_series(1, 3000) g""")
    tool = tool.with_settings(RYTHM_BACKUP_COMPRESSION="none")
    name = back_up(tool, source.name)
    data = file_store.read(name).replace(b"Z\n", b"\r\n")
    manifest = json.loads(file_store.read(f"{name}.json"))
    for segment in manifest["segments"]:
        end = segment["offset"] + segment["length"]
        segment["sha256"] = hashlib.sha256(data[segment["offset"]:end]).hexdigest()
    manifest["sha256"] = hashlib.sha256(data).hexdigest()
    told = json.loads(file_store.read(f"{name}.meta"))
    del told["manifest"]
    file_store.put(name, data, {**told, "sha256": manifest["sha256"]})
    file_store.put(f"{name}.json", json.dumps(manifest).encode())
    result = tool.run("restore", name, "--to", cluster.url(target), "--create")
    assert result.code == 1 and "restoring the rows of public.lines: " in result.err, result.err
    assert "behind 999 rows: the next row has a carriage return that is not written as \\r" \
        in result.err, result.err


# Types

OTHER_TYPES = {
    "interval": "make_interval(0, g, 0, g, 0, 0, g / 7.0)", "inet": "inet '10.0.0.0' + g",
    "cidr": "(inet '10.0.0.0' + g)::cidr", "macaddr": "'08:00:2b:01:02:03'::macaddr",
    "xml": "('<a>' || g || '</a>')::xml", "pair": "ROW(g, E'a \"b\\\\\\t')::pair",
    "int4range": "int4range(g, g + 5)", "int4multirange": "int4multirange(int4range(g, g + 5))",
    "money": "g::money", "bit(5)": "g::bit(5)", "varbit": "(g::bit(9))::varbit",
    '"char"': "left(g::text, 1)::\"char\"", "name": "g::text::name",
    "xid": "g::text::xid", "tsvector": "to_tsvector('simple', md5(g::text))",
    "point": "point(g, 0.1)", "timetz": "'12:34:56.5+05:45'::timetz", "int2vector": "'1 2'",
    "oidvector": "'1 2'", "pg_lsn": "'0/0'::pg_lsn + g::numeric", "tid": "'(1,2)'",
    "jsonpath": "'$.a'", "regtype": "'integer'", "citext": "'It''s' || g",
    "hstore": "hstore('a\"', g::text)", "colour[]": "ARRAY['re d'::colour, NULL]",
    "interval[]": "ARRAY[make_interval(days => g)]",
    "pair[]": "ARRAY[ROW(g, 'a')::pair]", "timetz[]": "ARRAY['12:34:56+00'::timetz]",
    "few[]": "ARRAY[5]::few[]", "span": "make_interval(0, g)",
    # What they are called is not what they are.
    "public.int4": "ROW(g, 'a')::public.int4", "public.text": "make_interval(0, g)::public.text",
}


def fill_other_types(cursor):
    cursor.execute("""
        CREATE EXTENSION citext; CREATE EXTENSION hstore;
        CREATE TYPE pair AS (a integer, b text); CREATE TYPE colour AS ENUM ('re d', 'blue');
        CREATE TYPE public.int4 AS (a integer, b pg_catalog.text);
        CREATE DOMAIN few AS integer CHECK (VALUE < 10); CREATE DOMAIN span AS interval;
        CREATE DOMAIN public.text AS interval""")
    for number, (kind, value) in enumerate(OTHER_TYPES.items()):
        cursor.execute(f"""
            CREATE TABLE other_{number} (a integer, v {kind}, t pg_catalog.text);
            INSERT INTO other_{number} SELECT g, CASE WHEN g % 7 > 0 THEN ({value})::{kind} END,
                md5(g::pg_catalog.text) FROM generate_series(1, 3000) g""")
    # COPY looks for the receive function of each column's type, and that of seg has none.
    cursor.execute("""
        CREATE TABLE known AS SELECT * FROM other_0; ALTER TABLE known DROP v;
        CREATE EXTENSION seg;
        CREATE TABLE not_listed (a integer, t pg_catalog.text,
            v seg GENERATED ALWAYS AS ('1 .. 2'::seg) STORED);
        INSERT INTO not_listed SELECT a, t FROM known""")


def test_types_that_only_the_server_reads(tool, other_types, cluster, target):
    name = back_up(tool, other_types)
    restore(tool, cluster, name, target, "--create", "--jobs", "4")
    assert_equal(cluster, target, other_types)
    tool.ok("verify", name)


def test_tables_of_other_types_are_sent_as_text(tool, file_store, other_types, cluster, target):
    name = back_up(tool, other_types)
    wanted = every_copy(file_store, name, long="text") | {"known": ["binary"]}
    assert restore(tool, cluster, name, target, "--create", "--jobs", "1") == wanted


# Encodings


ENCODED = rb"""
CREATE TYPE "e @" AS ENUM ('@', 'b');
CREATE DOMAIN "d @" AS text CHECK (VALUE <> '@@');
CREATE TABLE encoded (g integer, "c @" text, v varchar(99), c char(99), j json, e "e @", d "d @",
    a text[], b bytea);
INSERT INTO encoded SELECT g, '@' || g, '@', repeat('@', g % 4), '{"@": "@"}', '@', '@',
    '{"@ @",NULL,@,"\"@\\"}', '\xe5ff' FROM generate_series(1, 2000) g;
"""


@pytest.fixture
def make_filled(make_encoded, cluster, tmp_path):
    """A function: a database of this encoding with these bytes wherever they may be."""
    def make(encoding, text):
        name = make_encoded(encoding)
        script = tmp_path / "encoded.sql"
        script.write_bytes(f"SET client_encoding = '{encoding}';".encode()
                           + ENCODED.replace(b"@", text))
        cluster.load(name, script)
        return name
    return make


@pytest.mark.parametrize("encoding, text", [
    ("LATIN1", b"\xa0\xa1\xc3\xbc\xff"), ("LATIN9", b"\xa4\x80"), ("EUC_JP", b"\xb4\xc1\x8e\xb1"),
    ("SQL_ASCII", b"\xe5\xff\xc3\x80\xc3"), ("UTF8", "å€😀\u0301\uffff".encode())])
def test_encodings(tool, make_filled, cluster, target, encoding, text):
    source = make_filled(encoding, text)
    name = back_up(tool, source)
    restore(tool, cluster, name, target, "--create")
    assert_equal(cluster, target, source)
    tool.ok("verify", name)


def test_from_one_encoding_to_another(tool, make_filled, make_encoded, cluster):
    sources = {encoding: make_filled(encoding, "åäö ÿ".encode(python)) for encoding, python in (
        ("UTF8", "utf-8"), ("LATIN1", "latin-1"), ("SQL_ASCII", "utf-8"))}
    everything = 'SELECT * FROM encoded ORDER BY g'
    wanted = cluster.execute(sources["UTF8"], everything)
    for encoding, source in sources.items():
        name = back_up(tool, source)
        for other in sources:
            if other != encoding and "SQL_ASCII" not in (other, encoding) or other == "UTF8":
                target = make_encoded(other)
                tool.ok("restore", name, "--to", cluster.url(target))
                assert cluster.execute(target, everything) == wanted, (encoding, other)


def of_one_odd_text(cluster, name, text):
    cluster.execute(name, "CREATE TABLE encoded AS SELECT g, CASE g WHEN 3000 THEN"
                          f" convert_from('\\x{text.hex()}', current_setting('server_encoding'))"
                          " ELSE md5(g::text) END AS t FROM generate_series(1, 4000) g")


def test_what_the_other_encoding_has_not(tool, make_encoded, cluster):
    source, target = make_encoded("UTF8"), make_encoded("LATIN1")
    of_one_odd_text(cluster, source, "€".encode())
    before = compared(cluster, target)
    result = tool.run("restore", back_up(tool, source), "--to", cluster.url(target))
    assert result.code == 1 and "restoring the rows of public.encoded: " in result.err, result.err
    assert 'has no equivalent in encoding "LATIN1"' in result.err, result.err
    assert "COPY encoded, line 3000" in result.err, result.err
    assert compared(cluster, target) == before


def test_bytes_of_no_encoding(tool, make_encoded, cluster):
    """As text, Postgres takes those of SQL_ASCII as they are, whatever the database's encoding is;
    in binary it would not."""
    source, target = make_encoded("SQL_ASCII"), make_encoded("UTF8")
    of_one_odd_text(cluster, source, b"a\xff")
    tool.ok("restore", back_up(tool, source), "--to", cluster.url(target))
    assert cluster.execute(target, "SELECT t::bytea = 'a\\377' FROM encoded WHERE g = 3000") == [
        (True,)]


# By chance

def any_number(chance):
    digits = "".join(chance.choice("0099123") for _ in range(chance.randrange(1, 60)))
    point = chance.randrange(len(digits) + 1)
    return chance.choice(("", "-")) + (digits[:point] or "0") + "." + (digits[point:] or "0")


def any_float(chance, double, bits):
    return repr(struct.unpack(*(("d", struct.pack("Q", chance.getrandbits(bits))) if double else
                                ("f", struct.pack("I", chance.getrandbits(bits)))))[0])


def any_text(chance):
    ranges = ("\\\t\n\r\b\f\v\"'{},N.", "\x01\x7f ab", "ä€😀\u0800\uffff\U0010ffff")
    return "".join(chance.choice(chance.choice(ranges)) for _ in range(chance.randrange(30)))


def any_time(chance):
    digits = chance.randrange(7)
    fraction = f".{chance.randrange(10 ** digits):0{digits}}" if digits else ""
    return (f"{chance.randrange(1, 10000):04}-{chance.randrange(1, 13):02}"
            f"-{chance.randrange(1, 29):02} {chance.randrange(24):02}:{chance.randrange(60):02}"
            f":{chance.randrange(60):02}{fraction}")


BY_CHANCE = {
    "int2": lambda chance: chance.getrandbits(chance.randrange(16)) * chance.choice((1, -1)),
    "int4": lambda chance: chance.getrandbits(chance.randrange(32)) * chance.choice((1, -1)),
    "int8": lambda chance: chance.getrandbits(chance.randrange(64)) * chance.choice((1, -1)),
    "float4": lambda chance: any_float(chance, False, 32),
    "float8": lambda chance: any_float(chance, True, 64),
    "numeric": any_number,
    "text": any_text,
    "bytea": lambda chance: r"\x" + chance.randbytes(chance.randrange(40)).hex(),
    "jsonb": lambda chance: json.dumps([any_text(chance), {any_text(chance): chance.random()}]),
    "date": lambda chance: any_time(chance)[:10],
    "time": lambda chance: any_time(chance)[11:],
    "timestamp": any_time,
    "timestamptz": lambda chance: f"{any_time(chance)}{chance.randrange(-12, 13):+03}",
}


def test_any_values(tool, make_database, cluster, target):
    seed = random.SystemRandom().randrange(1 << 32)
    print("the seed:", seed)
    chance = random.Random(seed)
    rows = io.StringIO()
    csv.writer(rows, quoting=csv.QUOTE_MINIMAL).writerows(
        ["" if chance.random() < 0.1 else f'{make(chance)}' for make in BY_CHANCE.values()]
        for _ in range(3000))
    rows.seek(0)
    source = make_database()
    source.execute("CREATE TABLE anything ("
                   + ", ".join(f"a_{kind} {kind}" for kind in BY_CHANCE) + ")")
    with contextlib.closing(source.connect()) as connection:
        connection.cursor().copy_expert("COPY anything FROM stdin (FORMAT csv)", rows)
    source.execute("CREATE TABLE many AS SELECT "
                   + ", ".join(f"(array_agg(a_{kind}) OVER chosen)[1:length(a_text) % 7] AS {kind}"
                               for kind in BY_CHANCE)
                   + " FROM anything WINDOW chosen AS (ROWS 6 PRECEDING)")
    name = back_up(tool, source.name)
    restore(tool, cluster, name, target, "--create", "--jobs", "2")
    assert_equal(cluster, target, source.name)
    tool.ok("verify", name)


# Targets that are not as the source was

OTHER_FORMS = {
    "int2": ["+7", " 7 ", "007", "-0", "\t-32768\n"],
    "int4": ["+7", " 7 ", "0000000000000000007", "-0"],
    "int8": ["+7", " 7 ", "0000000000000000000000000000007", "-0"],
    "bool": ["true", "TRUE", "yes", "on", "1", "0", "off", "n", " f ", "fal"],
    "float4": [" 1.5 ", "inf", "-INFINITY", "nan", "0x1p3", "1.", ".5", "1e-3", "+1", "infinity",
               "3.40282356e38", "1.00000017881393421514957253748434595763683319091796875001"],
    "float8": [" 1.5 ", "inf", "-INFINITY", "nan", "0x1p3", "1.", ".5", "1e-3", "+1",
               "0.1000000000000000055511151231257827021181583404541015625", "1e-320",
               "9007199254740993.00000000000000000000000000000001", "1e0000000000001"],
    "numeric": [" 1.50 ", "1e3", "1.5e-3", "+1", ".5", "5.", "0001", "nan", "-0", "-0.00", "1E+3",
                "00000000000000000000001.10"],
    "numeric(5, 2)": ["1", "1.005", "-1.005", "999.994", "1e1", "0.004", "NaN"],
    "date": ["2000-1-2", "Jan 3 2000", "20000103", "epoch", "2000-01-03 23:00", "J2451187",
             "1999.004", "  2000-02-29 ", "2000-01-03 BC", "12000-01-01"],
    "time": ["4:05", "04:05:06.789012345", "0405", "04:05 PM", "23:59:59.9999999", "12:00+05",
             "23:59:60"],
    "time(2)": ["04:05:06.785", "23:59:59.999"],
    "timestamp": ["2000-01-02", "2000-01-02T03:04:05", "2000-1-2 3:4", "epoch", "-infinity",
                  "2000-01-02 03:04:05.1234567", "2000-01-02 24:00:00", "2000-01-02 23:59:60",
                  "2000-01-02 03:04:05+07", "20000102 030405", "1999-12-31 23:59:59.9999995"],
    "timestamp(0)": ["2000-01-02 03:04:05.5", "1999-12-31 23:59:59.5", "1999-12-31 23:59:58.5",
                     "1960-01-01 00:00:00.5"],
    "timestamptz": ["2000-01-02", "2000-01-02T03:04:05Z", "2000-01-02 03:04:05 PST",
                    "2000-01-02 03:04:05 Europe/Rome", "2000-07-02 03:04:05+05:45:10", "infinity",
                    "2000-01-02 03:04:05.1-0330", "0001-01-01 00:00:00+12", "9999-12-31 23:00-12"],
    "uuid": ["{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}", "a0eebc999c0b4ef8bb6d6bb9bd380a11",
             "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11"],
    "bytea": [r"a\000b\\", "", r"\x", r"\xAB cd", r"\377", "plain", r"\\x00"],
    "char(4)": ["", "ab", "abcd      ", "ü€😀", "    "],
    "varchar(4)": ["", "ab", "abcd      ", "ü€😀", "    "],
    "json": [" {} ", '{"a":1,"a":2}', "\n1\t"],
    "jsonb": [" { } ", '{"b":1, "a":1,"a":2}', "1.0e2", '"\\u0041"', "-0"],
    "mood": MOODS,
    "int4[]": ["{ 1 , 2 }", "{}", " {1} ", "[0:1]={1,2}", "{{1},{2}}", '{"1"}', "{null,NuLL}",
               "{ }", "[1:2] = {3,4}", "{+1, 007}"],
    "text[]": ["{ a , b c }", '{ "a" , "" }', r"{a\,b, \"}", '{"null",null}', '{{a},{"}"}}',
               r'{"\\"}', "{a\tb,  c\n}", "{\u3000}"],
    "bool[]": ["{true, off}"],
    "date[]": ["{epoch, 2000-1-2}", '{"Jan 3 2000"}'],
    "interval": ["1 day", "P1D", "1:00"],
    "text": TEXTS,
}


def test_text_that_goes_into_other_types(tool, make_database, cluster):
    """What the program knows of a type is not all that the server reads."""
    source, target = make_database(), make_database()
    for database in (source, target):
        database.execute(MAKE_TYPES)
    with contextlib.closing(source.connect()) as connection, \
            contextlib.closing(target.connect()) as other:
        for number, (kind, forms) in enumerate(OTHER_FORMS.items()):
            value = values(connection.cursor(), forms, f"g % {len(forms) * 50}", f"'{forms[0]}'")
            connection.cursor().execute(f"CREATE TABLE forms_{number} AS SELECT g, {value} AS v,"
                                        " md5(g::text) AS t FROM generate_series(1, 3000) g")
            other.cursor().execute(f"CREATE TABLE forms_{number} (t varchar, v {kind}, g text)")
        backup = back_up(tool, source.name)
        tool.ok("restore", backup, "--to", target.url, "--data-only")
        other.cursor().execute("SET TimeZone = UTC")
        for number, kind in enumerate(OTHER_FORMS):
            rows = io.StringIO()
            connection.cursor().copy_expert(f"COPY forms_{number} TO stdout", rows)
            rows.seek(0)
            other.cursor().execute(f"CREATE TABLE wanted_{number} (LIKE forms_{number})")
            other.cursor().copy_expert(f"COPY wanted_{number} (g, v, t) FROM stdin", rows)
            restored, wanted = ((io.StringIO(), f"{name}_{number}") for name in ("forms", "wanted"))
            for out, table in (restored, wanted):
                other.cursor().copy_expert(f"COPY {table} TO stdout", out)
            assert restored[0].getvalue() == wanted[0].getvalue(), kind


WRONG_FORMS = [
    ("int4", "12a"), ("int4", "2147483648"), ("int2", "-32769"), ("int4", "1.0"), ("int4", "--1"),
    ("bool", "o"), ("float8", "1e400"), ("float4", "1e40"), ("float8", "0.1.2"),
    ("numeric", "1..2"), ("numeric(3, 1)", "100"), ("date", "2001-02-29"), ("date", "2000-13-01"),
    ("date", "0000-01-01"), ("timestamp", "2000-01-01 25:00:00"),
    ("timestamptz", "2000-01-01 00:00:00+99"), ("time", "24:00:01"), ("uuid", "0" * 31),
    ("bytea", r"\x0"), ("bytea", r"\xgg"), ("json", "{"), ("jsonb", '"\\u0000"'),
    ("varchar(3)", "abcd"), ("char(3)", "abcd"), ("mood", "no mood"), ("int4[]", "{1,}"),
    ("int4[]", "{1,a}"), ("text[]", '{"a}'), ("text[]", "{a}}"), ("any_number", "7777777"),
    ("needed", "0"), ("short_text", "x" * 101), ("needed", None)]


def test_text_that_does_not(tool, make_database):
    source, target = make_database(), make_database()
    target.execute(MAKE_TYPES)
    with contextlib.closing(source.connect()) as connection:
        for number, (kind, wrong) in enumerate(WRONG_FORMS):
            connection.cursor().execute(
                f"CREATE TABLE wrong_{number} AS SELECT g::text AS g, CASE g WHEN 3000 THEN %s ELSE"
                " %s END AS v, md5(g::text) AS t FROM generate_series(1, 4000) g",
                (wrong, "5" if kind == "needed" else None))
    name = back_up(tool, source.name)
    for number, (kind, wrong) in enumerate(WRONG_FORMS):
        table = f"wrong_{number}"
        target.execute(f"CREATE TABLE {table} (v {kind}, t text, g integer)")
        result = tool.run("restore", name, "--to", target.url, "--data-only", "--table",
                          f"public.{table}")
        assert (result.code, result.out) == (1, ""), (kind, wrong, result.err)
        assert f"restoring the rows of public.{table}: " in result.err, (kind, wrong, result.err)
        # Of an error's context only the first line is told, and JSON has one of its own.
        assert "json" in kind or f"COPY {table}, line " in result.err, (kind, wrong, result.err)
        assert target.value(f"SELECT count(*) FROM {table}") == 0, (kind, wrong)


@pytest.fixture
def numbered(make_database):
    database = make_database()
    database.execute("CREATE TABLE numbered AS SELECT g, md5(g::text) AS t"
                     " FROM generate_series(1, 4000) g")
    return database


def refused(tool, numbered, database, columns, text):
    """Into a table with these columns; what was said besides the text."""
    database.execute(f"CREATE TABLE numbered ({columns})")
    result = tool.run("restore", back_up(tool, numbered.name), "--to", database.url, "--data-only")
    assert (result.code, result.out) == (1, "") and text in result.err, result.err
    assert database.value("SELECT count(*) FROM numbered") == 0
    return result.err


@pytest.mark.parametrize("columns, text", [
    ("g integer CHECK (g <> 3000), t text", 'violates check constraint "numbered_g_check"'),
    ("g integer, t text CHECK (t <> md5('3000'))", 'violates check constraint "numbered_t_check"'),
    ("t text, g integer CHECK (g / (g - 3000) < 5)", "division by zero"),
    ("g integer, t text, u integer UNIQUE DEFAULT 5", "numbered_u_key"),
    ("g int2 CHECK (g < 3000), t bytea", 'violates check constraint "numbered_g_check"')])
def test_rows_that_a_table_refuses(tool, numbered, empty_database, columns, text):
    """Which row it is, is told as if it had come as text."""
    said = refused(tool, numbered, empty_database, columns, text)
    assert "restoring the rows of public.numbered: " in said
    line = 2 if "UNIQUE" in columns else 3000
    assert f"COPY numbered, line {line}" in said, said


@pytest.mark.parametrize("columns, text", [
    ("g integer", "does not exist"),
    ("g integer, t text GENERATED ALWAYS AS ('t') STORED", "is a generated column")])
def test_columns_that_a_table_has_not(tool, numbered, empty_database, columns, text):
    said = refused(tool, numbered, empty_database, columns, text)
    assert "public.numbered: " in said and 'column "t"' in said


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("odd, where", [
    ("", "restoring rows: Postgres says: "),
    ("UPDATE numbered SET d = CASE g WHEN 2000 THEN 'infinity'::date END",
     "behind 1999 rows: restoring rows: Postgres says: ")])
def test_a_failure_in_the_middle(tool, numbered, cluster, target, odd, where, jobs):
    """Of the binary rows, or of the text behind them."""
    numbered.execute("ALTER TABLE numbered ADD d date;" + odd)
    numbered.execute(f"""
        CREATE FUNCTION at_home(integer) RETURNS boolean IMMUTABLE LANGUAGE sql AS
            $$SELECT $1 <> 3000 OR current_database() = '{numbered.name}'$$;
        ALTER TABLE numbered ADD CHECK (at_home(g))""")
    result = tool.run("restore", back_up(tool, numbered.name), "--to", cluster.url(target),
                      "--create", "--jobs", jobs)
    assert (result.code, result.out) == (1, ""), result.err
    assert "restoring the rows of public.numbered: " in result.err, result.err
    line = 1001 if odd else 3000
    assert where in result.err and f"COPY numbered, line {line}" in result.err, result.err
    assert cluster.execute("postgres", "SELECT datname FROM pg_database WHERE datname = %s"
                                       " OR datname ~ '^rythm_(restore|verify)_'", target) == []

"""Damaged and hostile backups: found before a wrong row is in a database, and never harmful."""

import concurrent.futures
import contextlib
import gzip
import hashlib
import json
import os
import random
import re
import shutil
import subprocess

import pytest

from contents import compared
from stores import FileStore
from tool import Tool, peak_to

NOWHERE = "postgresql://postgres@127.0.0.1:1/nowhere"
SCRATCH = "SELECT datname FROM pg_database WHERE datname ~ '^rythm_(restore|verify|replaced)_'"
SAMPLE = """
CREATE TABLE account (id integer PRIMARY KEY, name text, balance numeric);
INSERT INTO account SELECT g, 'account ' || g, g * 1.5 FROM generate_series(1, 3000) g;
CREATE TABLE entry (id bigserial PRIMARY KEY, account integer REFERENCES account, note text);
INSERT INTO entry (account, note)
SELECT g % 3000 + 1, md5(g::text) FROM generate_series(1, 20000) g;
CREATE TABLE nothing (a integer);
CREATE INDEX ON entry (note);
SELECT lo_from_bytea(0, decode(repeat('c0ffee', 3000), 'hex'));
"""
# Metadata by which neither a restore nor a verification decides anything.
INFORMATIVE = {"compression", "database", "durationms", "engine", "ledger", "occurrence", "rows",
               "schedule", "schemas", "server", "source", "system", "tables", "tool", "type"}
SMALL_SEGMENTS = {"RYTHM_BACKUP_SEGMENT_SIZE": "1"}
LANES = 4


class Damaged:
    """A backup whose files a test may spoil, one copy after the other."""

    def __init__(self, tool, folder, store, name):
        self.tool = tool
        self.folder = folder
        self.name = name
        self.files = {path.name: path.read_bytes() for path in store.folder.iterdir()
                      if path.name.startswith(name)}
        self.manifest = json.loads(self.files.get(f"{name}.json", b"null"))
        self.number = 0

    def copy(self, changes):
        """A store with the backup; `changes`: the bytes of some of its files, None for none."""
        self.number += 1
        folder = self.folder / f"copy-{self.number}"
        folder.mkdir(parents=True)
        for name, data in {**self.files, **changes}.items():
            if data is not None:
                (folder / name).write_bytes(data)
        return FileStore(folder)

    def check(self, changes, prefix=()):
        """verify --quick: (exit code, what was printed)"""
        store = self.copy(changes)
        result = self.tool.with_settings(**store.settings).run("verify", "--quick", self.name,
                                                               prefix=prefix)
        shutil.rmtree(store.folder)
        return result.code, result.err

    def undetected(self, cases):
        """The descriptions of those that pass for good; each that does not must say why."""
        passed = []
        with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
            for (what, _), (code, text) in zip(cases, pool.map(
                    self.check, [changes for _, changes in cases])):
                assert code in (0, 1, 2), f"{what}: {code} {text}"
                if code == 0:
                    passed.append(what)
                else:
                    assert text.strip(), what
        return passed

    def metadata(self, **values):
        """The metadata with other values."""
        told = json.loads(self.files[f"{self.name}.meta"])
        return json.dumps({**told, **values}).encode()

    def described(self, data, **values):
        """As if the run had written these bytes: its digest and length fit."""
        return {self.name: data, f"{self.name}.meta": self.metadata(
            sha256=hashlib.sha256(data).hexdigest(), bytes=str(len(data)), **values)}


@pytest.fixture
def sample(small_database):
    small_database.execute(SAMPLE)
    return small_database


@pytest.fixture(scope="module")
def make_backup(cluster, migrated_small, tmp_path_factory):
    """A function: the store and the name of a backup that is made once with these options, and
    copied by whoever spoils it."""
    made = {}

    def make(*options):
        if options not in made:
            folder = tmp_path_factory.mktemp("whole")
            store = FileStore(folder / "the backups")
            database = f"whole_{os.getpid()}"
            cluster.create_database(database, migrated_small)
            try:
                cluster.execute(database, SAMPLE)
                tool = Tool(folder, {"DATABASE_URL": cluster.url(database), **SMALL_SEGMENTS,
                                     **store.settings})
                made[options] = store, tool.ok("run", "--no-notify", *options).out.strip()
            finally:
                cluster.drop_database(database)
        return made[options]
    return make


@pytest.fixture
def make_damaged(make_tool, make_backup, tmp_path):
    def make(*options):
        tool = make_tool(DATABASE_URL=NOWHERE, **SMALL_SEGMENTS)
        return Damaged(tool, tmp_path / "copies", *make_backup(*options))
    return make


@pytest.fixture
def damaged(make_damaged):
    backup = make_damaged()
    assert backup.check({})[0] == 0
    return backup


def flip(data, bit):
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


def test_truncated(damaged):
    data = damaged.files[damaged.name]
    ends = {segment["offset"] for segment in damaged.manifest["segments"]}
    chance = random.Random(1)
    ends |= {chance.randrange(len(data)) for _ in range(1000)}
    cases = [(f"{end} of {len(data)} bytes", {damaged.name: data[:end]}) for end in sorted(ends)]
    # The folder's own length check would hide what the reading finds: the metadata fit, too.
    cases += [(f"{end} bytes, as the metadata say", damaged.described(data[:end]))
              for end in sorted(ends)[::10]]
    assert damaged.undetected(cases) == []
    print(f"{len(cases)} of {len(cases)} truncations detected")


@pytest.mark.parametrize("options", [(), ("--compression", "none"), ("--engine", "pg_dump")])
def test_flipped_bits(make_damaged, options):
    damaged = make_damaged(*options)
    chance = random.Random(2)
    data = damaged.files[damaged.name]
    bits = [chance.randrange(len(data) * 8) for _ in range(1000 if options == () else 100)]
    cases = [(f"bit {bit}", {damaged.name: flip(data, bit)}) for bit in bits]
    assert damaged.undetected(cases) == []
    print(f"{len(cases)} of {len(cases)} flipped bits detected")


def test_flipped_bits_of_the_manifest(damaged):
    chance = random.Random(3)
    name = f"{damaged.name}.json"
    data = damaged.files[name]
    cases = [(f"bit {bit}", {name: flip(data, bit)})
             for bit in (chance.randrange(len(data) * 8) for _ in range(300))]
    assert damaged.undetected(cases) == []


def test_flipped_bits_of_the_metadata(damaged):
    """Those that pass are in fields that nothing is decided by."""
    name = f"{damaged.name}.meta"
    data = damaged.files[name]
    told = json.loads(data)
    chance = random.Random(4)
    bits = sorted({chance.randrange(len(data) * 8) for _ in range(300)})
    passed = damaged.undetected([(bit, {name: flip(data, bit)}) for bit in bits])
    for bit in passed:
        changed = json.loads(flip(data, bit))
        fields = {field for field in told if told[field] != changed.get(field)}
        if "manifest" not in changed:
            # As of an older backup: the manifest has other checks, and is as it was.
            fields.discard("manifest")
        assert fields <= INFORMATIVE, fields
    print(f"{len(bits) - len(passed)} of {len(bits)} detected, the others inform only")


def edited(damaged, edit, digest=False):
    manifest = json.loads(damaged.files[f"{damaged.name}.json"])
    edit(manifest)
    data = json.dumps(manifest).encode()
    changes = {f"{damaged.name}.json": data}
    if not digest:
        return changes
    # An older backup, whose metadata have no digest of the manifest.
    told = json.loads(damaged.files[f"{damaged.name}.meta"])
    told.pop("manifest")
    return {**changes, f"{damaged.name}.meta": json.dumps(told).encode()}


def rows_of(manifest, change):
    """Of one segment; which."""
    found = next(segment for segment in manifest["segments"] if segment["kind"] == "table"
                 and segment["rows"] > 0)
    found["rows"] += change
    return found


def rows_and_totals(manifest):
    """So that only the rows themselves can tell."""
    manifest["tables"][rows_of(manifest, 1)["table"]]["rows"] += 1
    manifest["rows"] += 1


def swap_segments(manifest):
    segments = manifest["segments"]
    segments[1]["sha256"], segments[2]["sha256"] = segments[2]["sha256"], segments[1]["sha256"]


EDITS = {
    "rows": lambda manifest: rows_of(manifest, 1),
    "rows and totals": rows_and_totals,
    "name": lambda manifest: manifest["tables"][0].update(name="another"),
    "sha256": lambda manifest: manifest["segments"][1].update(sha256="0" * 64),
    "swapped": swap_segments,
    "order": lambda manifest: manifest["segments"].reverse(),
    "removed": lambda manifest: manifest["segments"].pop(1),
    "version": lambda manifest: manifest.update(version=99),
    "run": lambda manifest: manifest.update(run="0123456789abcdef"),
    "length": lambda manifest: manifest["segments"][1].update(length=10 * 2**30),
    "raw length": lambda manifest: manifest["segments"][1].update(raw_length=10 * 2**40),
    "huge": lambda manifest: manifest["segments"][1].update(offset=2**80),
}


@pytest.mark.parametrize("digest", [False, True], ids=["with its digest", "without"])
def test_edited_manifest(damaged, digest):
    # Without a digest a name alone cannot be told: only a comment in the script has it.
    names = [name for name in EDITS if not (digest and name == "name")]
    cases = [(name, edited(damaged, EDITS[name], digest)) for name in names]
    assert damaged.undetected(cases) == []


def test_newer_manifest_says_so(damaged):
    code, text = damaged.check(edited(damaged, EDITS["version"], digest=True))
    assert code == 1
    assert "it is of version 99, and this program reads version 2; use a newer rythm-backup" in text


def test_rows_that_only_the_reading_can_tell(damaged):
    """Manifest and metadata agree."""
    changes = edited(damaged, rows_and_totals, digest=True)
    told = json.loads(changes[f"{damaged.name}.meta"])
    told["rows"] = str(int(told["rows"]) + 1)
    changes[f"{damaged.name}.meta"] = json.dumps(told).encode()
    code, text = damaged.check(changes)
    assert code == 1 and re.search(r"there are (\d+) rows, and the manifest says", text), text


def test_lost_manifest(damaged):
    code, text = damaged.check({f"{damaged.name}.json": None})
    assert code == 1 and f"its manifest, {damaged.name}.json, is gone" in text


def test_segments_swapped(damaged):
    data = damaged.files[damaged.name]
    first, second = damaged.manifest["segments"][1:3]
    middle = first["offset"], second["offset"], second["offset"] + second["length"]
    swapped = (data[:middle[0]] + data[middle[1]:middle[2]] + data[middle[0]:middle[1]]
               + data[middle[2]:])
    assert damaged.undetected([("swapped", {damaged.name: swapped}),
                               ("swapped, as the metadata say", damaged.described(swapped))]) == []


def test_backup_of_another_run(damaged, sample, make_tool, file_store):
    """Under this one's name."""
    sample.execute("INSERT INTO nothing VALUES (1)")
    tool = make_tool(sample, file_store, **SMALL_SEGMENTS)
    other = tool.ok("run", "--no-notify").out.strip()
    files = {path.name[len(other):]: path.read_bytes() for path in file_store.folder.iterdir()
             if path.name.startswith(other)}
    cases = [("its object", {damaged.name: files[""]}),
             ("with its metadata", {damaged.name: files[""],
                                    f"{damaged.name}.meta": files[".meta"]}),
             ("with its manifest, too", {damaged.name + suffix: data
                                         for suffix, data in files.items()})]
    assert damaged.undetected(cases) == []


@contextlib.contextmanager
def untouched(cluster, target):
    """What happens within leaves it as it was. (Its row is in no backup: what takes it away cannot
    be made up for by what comes then.)"""
    before = compared(cluster, target)
    yield
    assert compared(cluster, target) == before


def refuses(damaged, cluster, target, changes, text):
    """restore: an error."""
    store = damaged.copy(changes)
    tool = damaged.tool.with_settings(**store.settings)
    result = tool.run("restore", damaged.name, "--to", cluster.url(target), "--clean")
    assert result.code == 1 and text in result.err, result.err


@pytest.fixture
def target(cluster):
    """A database with a table that no restore may touch."""
    name = f"target_{os.getpid()}"
    cluster.create_database(name)
    subprocess.run(["psql", "-Xqc", "CREATE TABLE mine AS SELECT 42 AS a", cluster.url(name)],
                   check=True)
    yield name
    cluster.drop_database(name)


@pytest.mark.parametrize("engine", ["parallel", "pg_dump"])
def test_nothing_damaged_is_restored(make_damaged, cluster, target, engine):
    damaged = make_damaged("--engine", engine)
    data = damaged.files[damaged.name]
    chance = random.Random(5)
    with untouched(cluster, target):
        for _ in range(20):
            bit = chance.randrange(len(data) * 8)
            refuses(damaged, cluster, target, {damaged.name: flip(data, bit)},
                    "'rythm-backup list' shows older backups")
        for end in (0, 1, len(data) // 2, len(data) - 1):
            refuses(damaged, cluster, target, damaged.described(data[:end]), "older backups")
    assert cluster.execute("postgres", SCRATCH) == []


# Replaced by what a run would have written: these are whole backups, of hostile content.

END = "--\n-- PostgreSQL database dump complete\n--\n\n-- rythm-backup dump complete\n"


def hostile(damaged, script):
    """As a backup of one pg_dump, for which no manifest is needed."""
    data = subprocess.run(["zstd", "-qc"], input=script.encode(), check=True,
                          capture_output=True).stdout
    told = json.loads(damaged.files[f"{damaged.name}.meta"])
    told.pop("manifest", None)
    told |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": str(len(data)),
             "rawbytes": str(len(script.encode()))}
    return {damaged.name: data, f"{damaged.name}.json": None,
            f"{damaged.name}.meta": json.dumps(told).encode()}


HOSTILE = ["\\! touch {canary}", "\\copy mine TO '{canary}'", "\\i {canary}", "\\connect postgres",
           "\\o {canary}", "SELECT 1 \\g {canary}", "\\set x `touch {canary}`",
           "COPY mine TO PROGRAM 'touch {canary}';", "COPY mine FROM PROGRAM 'touch {canary}';",
           "COPY (SELECT 1) TO '{canary}';"]


def test_hostile_scripts(make_damaged, cluster, target, tmp_path):
    damaged = make_damaged("--engine", "pg_dump")
    canary = tmp_path / "canary"
    with untouched(cluster, target):
        for command in HOSTILE:
            command = command.format(canary=canary)
            script = f"CREATE TABLE mine (a text);\n{command}\n{END}"
            refuses(damaged, cluster, target, hostile(damaged, script), "line 2")
            assert not canary.exists(), command


@pytest.mark.parametrize("before", ["", "SET transaction_timeout = 0;\nSET lock_timeout = 0;\n"])
def test_script_that_is_not_hostile(make_damaged, cluster, target, before):
    """The same, without what is hostile, restores; also with what an older server does not know."""
    damaged = make_damaged("--engine", "pg_dump")
    store = damaged.copy(hostile(damaged, before + "CREATE TABLE public.theirs (a text);\n" + END))
    tool = damaged.tool.with_settings(**store.settings)
    tool.ok("restore", damaged.name, "--to", cluster.url(target), "--clean")
    assert b"theirs" in compared(cluster, target)


@pytest.mark.parametrize("kind", ["zst", "gz"])
def test_decompression_bomb(make_damaged, tmp_path, kind):
    damaged = make_damaged("--engine", "pg_dump", "--compression",
                           {"zst": "zstd", "gz": "gzip"}[kind])
    blank = b"\n" * 2**26
    if kind == "gz":
        data = gzip.compress(blank, 9) * 16
    else:
        data = subprocess.run(["zstd", "-qc"], input=blank, check=True,
                              capture_output=True).stdout * 16
    peak = tmp_path / "peak"
    code, text = damaged.check(damaged.described(data), peak_to(peak))
    assert code == 1 and "longer than the" in text, text
    assert int(peak.read_text()) < damaged.tool.memory_limit(96)


@pytest.mark.parametrize("document", [b"", b"null", b"[" * 100000, b'{"format": "x"}',
                                      b'{"version": 1, "version": 1}', b"\xff\xfe", b"{" * 5000,
                                      b'{"version": 1e400}', b'{"a": "' + b"x" * 2**20 + b'"}'])
def test_hostile_manifests(damaged, document):
    told = json.loads(damaged.files[f"{damaged.name}.meta"])
    told.pop("manifest")
    code, text = damaged.check({f"{damaged.name}.json": document,
                                f"{damaged.name}.meta": json.dumps(told).encode()})
    assert code == 1 and "manifest" in text, text


@pytest.fixture
def afar(make_tool, sample, azure_store, azure_proxy):
    """(the program, behind a proxy that may lie; a backup's name)"""
    tool = make_tool(sample, azure_store, **SMALL_SEGMENTS)
    name = tool.ok("run", "--no-notify").out.strip()
    return tool.with_settings(**azure_store.settings_through(azure_proxy.port)), name


def ignore_range(status, headers, body):
    return 200, headers, body


def other_range(status, headers, body):
    changed = [(key, "bytes 1-7/9999" if key.lower() == "content-range" else value)
               for key, value in headers]
    return status, changed, body


@pytest.mark.parametrize("rewrite, text", [(ignore_range, "the service ignored the range"),
                                           (other_range, "Content-Range")])
def test_answers_that_lie(afar, azure_proxy, cluster, sample, target, rewrite, text):
    tool, name = afar
    before = compared(cluster, target)
    fault = azure_proxy.add(f"^GET .*/{name}(\\?|$)", times=1000, rewrite=rewrite)
    result = tool.run("restore", name, "--to", cluster.url(target), "--clean")
    assert result.code == 1 and text in result.err, result.err
    assert fault.hits > 0 and compared(cluster, target) == before
    assert sample.execute(SCRATCH) == []


def test_answer_that_stalls_is_asked_for_again(afar, azure_proxy, cluster, target):
    tool, name = afar
    fault = azure_proxy.add(f"^GET .*/{name}(\\?|$)", times=1, stall_s=12)
    tool.with_settings(RYTHM_BACKUP_STALL_TIMEOUT="5s").ok(
        "restore", name, "--to", cluster.url(target), "--clean")
    assert fault.hits == 1


class Line:
    """Damages so many answers after the first, below all sums but the backup's own."""

    def __init__(self, times, after=0):
        self.left = times
        self.after = after

    def rewrite(self, status, headers, body):
        large = status == 206 and len(body) > 1000
        self.after -= large
        if large and self.after < 0 and self.left > 0:
            self.left -= 1
            body = flip(body, len(body) * 4)
            headers = [(key, value) for key, value in headers if key.lower() != "content-md5"]
        return status, headers, body


@pytest.mark.parametrize("after", [0, 3])
@pytest.mark.parametrize("command", ["restore", "verify"])
def test_what_a_line_damages_once_is_read_again(afar, azure_proxy, cluster, target, command, after):
    tool, name = afar
    line = Line(1, after)
    azure_proxy.add(f"^GET .*/{name}(\\?|$)", times=1000, rewrite=line.rewrite)
    options = ("--to", cluster.url(target), "--clean") if command == "restore" else ("--quick",)
    result = tool.run(command, name, *options)
    assert result.code == 0, result.err
    assert line.left == 0 and "reading it again" in result.err


def test_what_a_line_always_damages_is_not_restored(afar, azure_proxy, cluster, sample, target):
    tool, name = afar
    before = compared(cluster, target)
    line = Line(2)
    azure_proxy.add(f"^GET .*/{name}(\\?|$)", times=1000, rewrite=line.rewrite)
    result = tool.run("restore", name, "--to", cluster.url(target), "--clean", "--jobs", "1")
    assert result.code == 1 and "its SHA-256 is not the one in the manifest" in result.err
    assert line.left == 0 and compared(cluster, target) == before
    assert sample.execute(SCRATCH) == []


def test_backup_that_is_replaced_meanwhile(afar, azure_store, azure_proxy, cluster, sample, target):
    """By one with the same name: what was read before and what comes after are never mixed."""
    tool, name = afar
    before = compared(cluster, target)
    content = azure_store.read(name)

    def replace(line, body):
        (stored,) = [each for each in azure_store.list() if each.name == name]
        azure_store.put(name, content, stored.metadata)
        return body
    fault = azure_proxy.add(f"^GET .*/{name}(\\?|$)", first=3, edit=replace)
    result = tool.run("restore", name, "--to", cluster.url(target), "--clean")
    assert fault.hits == 1
    assert result.code == 1 and "it was replaced meanwhile" in result.err, result.err
    assert compared(cluster, target) == before
    assert sample.execute(SCRATCH) == []

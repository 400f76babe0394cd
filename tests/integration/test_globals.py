"""The server's roles in a backup: all of them, in a form that makes those that are missing and
leaves those that are there, whoever restores it."""

import json
import subprocess
import uuid

import jsonschema
import pytest
from test_dump import KEY, SCHEMA

NO_PASSWORDS = ("--globals-only", "--no-role-passwords")
# Hostile to quoting, at every level that there is.
ODD = "%s o'dd \"r\"öle$x$\\n%%"
SECRET = "canary-Zq9"


@pytest.fixture
def roles(cluster):
    """Names of roles that have everything that a role can have; dropped at the end."""
    tag = uuid.uuid4().hex[:8]
    names = {"group": f"group_{tag}", "member": f"member_{tag}", "odd": ODD % tag}
    group, member, odd = (quoted(name) for name in names.values())
    for statement in (
            f"CREATE ROLE {group} NOINHERIT CREATEDB CREATEROLE",
            f"CREATE ROLE {member} LOGIN CONNECTION LIMIT 3 VALID UNTIL '2031-05-06 02:00:00.5+02'"
            f" REPLICATION BYPASSRLS PASSWORD '{SECRET}'",
            f"CREATE ROLE {odd} SUPERUSER VALID UNTIL 'infinity'",
            f"COMMENT ON ROLE {odd} IS 'it''s \\ odd'",
            f"ALTER ROLE {member} SET search_path TO 'a b', public, \"$user\"",
            f"ALTER ROLE {member} SET work_mem TO '7MB'",
            f"ALTER ROLE {odd} SET app.name TO 'x''y\\z'",
            f"GRANT {group} TO {member} WITH ADMIN OPTION",
            f"GRANT {group} TO {odd}",
            f"GRANT pg_read_all_data TO {member}"):
        cluster.execute("postgres", statement)
    yield names
    drop(cluster, names.values())


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def drop(cluster, names):
    for name in names:
        cluster.execute("postgres", f"DROP ROLE IF EXISTS {quoted(name)}")


def globals_of(cluster, *options):
    """As pg_dumpall writes them; who granted a membership aside."""
    return "\n".join(line.split(" GRANTED BY ")[0]
                     for line in cluster.client("pg_dumpall", "postgres", *options)
                     .stdout.splitlines() if not line.startswith("\\"))


def load(cluster, text, database="postgres", user="postgres", password=None):
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PGCLIENTENCODING": "SQL_ASCII"}
    url = cluster.url(database, user, password) if password else cluster.url(database, user)
    return subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", url], input=text,
                          env=environment, text=True, capture_output=True, timeout=60)


def written(tool, path, *options):
    tool.ok("run", "--output", path, "--compression", "none", *KEY, *options)
    return path.read_text()


@pytest.fixture
def here(make_tool, small_database):
    return make_tool(small_database, RYTHM_BACKUP_GLOBALS="yes")


# What is in it

def test_missing_roles_are_made_as_they_were(here, cluster, roles, make_database, tmp_path):
    before = globals_of(cluster, *NO_PASSWORDS)
    text = written(here, tmp_path / "dump.sql")
    assert SECRET not in text and "SCRAM-SHA-256" not in text
    drop(cluster, roles.values())
    loaded = load(cluster, text, make_database().name)
    assert (loaded.returncode, loaded.stderr) == (0, "")
    assert globals_of(cluster, *NO_PASSWORDS) == before


def test_passwords_come_back_when_they_were_asked_for(here, cluster, roles, make_database,
                                                      tmp_path):
    before = globals_of(cluster, "--globals-only")
    text = written(here, tmp_path / "dump.sql", "--globals", "passwords")
    drop(cluster, roles.values())
    assert load(cluster, text, make_database().name).returncode == 0
    assert globals_of(cluster, "--globals-only") == before


def test_roles_that_are_there_stay_as_they_are(here, cluster, roles, make_database, tmp_path):
    """And get no membership by which they could do more."""
    text = written(here, tmp_path / "dump.sql")
    drop(cluster, (roles["group"], roles["odd"]))
    cluster.execute("postgres", f"ALTER ROLE {quoted(roles['member'])} NOLOGIN NOREPLICATION;"
                                f" ALTER ROLE {quoted(roles['member'])} RESET work_mem;"
                                f" REVOKE pg_read_all_data FROM {quoted(roles['member'])}")
    there = [line for line in globals_of(cluster, *NO_PASSWORDS).splitlines()
             if roles["member"] in line]
    assert load(cluster, text, make_database().name).returncode == 0
    after = globals_of(cluster, *NO_PASSWORDS).splitlines()
    assert [line for line in after if roles["member"] in line] == there
    assert f"GRANT {roles['group']} TO {quoted(roles['odd'])}" in "\n".join(after)
    again = load(cluster, text, make_database().name)
    assert (again.returncode, again.stderr) == (0, "")


def test_who_may_not_make_roles_is_warned_alone(here, cluster, roles, make_database, role,
                                                tmp_path):
    text = written(here, tmp_path / "dump.sql").split("DO '")
    block = text[0] + "DO '" + text[1].split("';\n\n\n")[0] + "';\n"
    drop(cluster, roles.values())
    name = f"plain_{uuid.uuid4().hex[:8]}"
    cluster.execute("postgres", f"CREATE ROLE {name} LOGIN PASSWORD 'p'")
    try:
        loaded = load(cluster, block, user=name, password="p")
    finally:
        drop(cluster, [name])
    assert loaded.returncode == 0
    assert f"role {roles['group']}: permission denied to create role" in loaded.stderr
    assert cluster.execute("postgres", "SELECT count(*) FROM pg_roles WHERE rolname = ANY (%s)",
                           list(roles.values())) == [(0,)]


def test_the_bytes_do_not_depend_on_jobs_or_the_session(here, cluster, roles, tmp_path):
    first = written(here, tmp_path / "1", "--jobs", "1")
    second = written(here.with_settings(PGTZ="Asia/Tokyo", PGDATESTYLE="SQL"), tmp_path / "2",
                     "--jobs", "4")
    assert first == second


def test_without_being_asked_for_there_are_none(here, roles, tmp_path):
    for options in ((), ("--engine", "pg_dump")):
        text = written(here.with_settings(RYTHM_BACKUP_GLOBALS=None), tmp_path / "x", *options)
        assert "CREATE ROLE" not in text


# In a store

def back_up(tool, *options):
    return tool.ok("run", "--no-notify", *options).out.strip()


@pytest.fixture
def stored(make_tool, small_database, file_store):
    return make_tool(small_database, file_store, RYTHM_BACKUP_GLOBALS="yes")


def test_they_are_a_segment_of_their_own(stored, file_store, cluster, roles):
    name = back_up(stored)
    manifest = json.loads(file_store.read(name + ".json"))
    jsonschema.validate(manifest, json.loads(SCHEMA.read_text()))
    kinds = [segment["kind"] for segment in manifest["segments"]]
    assert (kinds[:2], kinds.count("globals")) == (["globals", "pre-data"], 1)
    assert manifest["version"] == 2
    plain = stored.ok("restore", name, "--output", "-").out
    content = file_store.read(name)
    script = subprocess.run(["zstd", "-dc"], input=content, check=True,
                            capture_output=True).stdout
    assert plain == script.decode() and plain.startswith("--\n-- Roles of the server\n")
    stored.ok("verify", name, "--quick")
    drop(cluster, roles.values())
    stored.ok("verify", name)
    assert cluster.execute("postgres", "SELECT count(*) FROM pg_roles WHERE rolname = ANY (%s)",
                           list(roles.values())) == [(0,)]
    # Not restored, but read all the same.
    (file_store.folder / name).write_bytes(content[:40] + bytes([content[40] ^ 1]) + content[41:])
    for option in ((), ("--quick",)):
        result = stored.run("verify", name, *option)
        assert result.code == 1 and "its SHA-256 is not the one in the manifest" in result.err


@pytest.mark.parametrize("option, made", [((), 0), (("--create-roles",), 3)])
def test_restore_makes_them_when_it_may(stored, cluster, roles, option, made):
    before = globals_of(cluster, *NO_PASSWORDS)
    name = back_up(stored)
    drop(cluster, roles.values())
    target = f"restored_{uuid.uuid4().hex[:8]}"
    try:
        stored.ok("restore", name, "--to", cluster.url(target), "--create", *option)
        assert cluster.execute(target, "SELECT count(*) > 0 FROM backup_schedule") == [(True,)]
    finally:
        cluster.drop_database(target)
    assert cluster.execute("postgres", "SELECT count(*) FROM pg_roles WHERE rolname = ANY (%s)",
                           list(roles.values())) == [(made,)]
    assert not made or globals_of(cluster, *NO_PASSWORDS) == before


def test_what_the_server_refuses_is_counted(stored, cluster, roles):
    cluster.execute("postgres", "UPDATE pg_db_role_setting SET setconfig = '{work_mem=7MB,geqo=x}'"
                    " WHERE setrole = (SELECT oid FROM pg_roles WHERE rolname = %s)",
                    roles["member"])
    name = back_up(stored)
    drop(cluster, roles.values())
    target = f"restored_{uuid.uuid4().hex[:8]}"
    try:
        told = stored.ok("--verbose", "restore", name, "--to", cluster.url(target), "--create",
                         "--create-roles").err
    finally:
        cluster.drop_database(target)
    assert "could be made: Postgres refused 1 (--verbose tells them)" in told
    assert f'role {roles["member"]}: parameter "geqo" requires a Boolean value' in told
    assert cluster.execute("postgres", "SELECT rolconfig FROM pg_roles WHERE rolname = %s",
                           roles["member"]) == [(["work_mem=7MB"],)]


def test_one_table_comes_without_them(stored, small_database, make_database, cluster, roles):
    """But with all that is its own, which stands in the pre-data behind them."""
    group = quoted(roles["group"])
    small_database.execute("CREATE TABLE things (id serial PRIMARY KEY, word text);"
                           " INSERT INTO things (word) SELECT 'x' FROM generate_series(1, 9);"
                           f" GRANT SELECT ON things TO {group}")
    name = back_up(stored)
    small_database.execute(f"REVOKE ALL ON things FROM {group}")
    drop(cluster, roles.values())
    target = make_database()
    options = ("restore", name, "--to", target.url, "--table", "public.things")
    assert roles["group"] in stored.run(*options).err
    stored.ok(*options, "--create-roles")
    made = cluster.execute("postgres", "SELECT rolname, rolcreatedb FROM pg_roles"
                           " WHERE rolname = ANY (%s)", list(roles.values()))
    target.execute(f"DROP OWNED BY {group}")
    assert made == [(roles["group"], False)]
    assert target.dump("--table", "things") == small_database.dump("--table", "things")
    target.execute("TRUNCATE things")
    stored.ok(*options, "--data-only")
    assert target.value("SELECT count(*) FROM things") == 9


def test_a_backup_whose_manifest_is_lost_makes_none(stored, file_store, cluster, roles):
    name = back_up(stored)
    (file_store.folder / (name + ".json")).unlink()
    drop(cluster, roles.values())
    target = f"restored_{uuid.uuid4().hex[:8]}"
    try:
        stored.ok("restore", name, "--to", cluster.url(target), "--create")
    finally:
        cluster.drop_database(target)
    assert cluster.execute("postgres", "SELECT count(*) FROM pg_roles WHERE rolname = ANY (%s)",
                           list(roles.values())) == [(0,)]


# What is refused

def test_passwords_that_cannot_be_read_are_no_backup(make_tool, small_database, role, roles,
                                                     tmp_path):
    """Which is told before anything is read, and before any program of the operator's is run."""
    name, url = role(small_database, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}",
                  "GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}")
    tool = make_tool(DATABASE_URL=url, RYTHM_BACKUP_GLOBALS="passwords")
    result = tool.run("run", "--output", tmp_path / "x")
    assert result.code == 2 and not (tmp_path / "x").exists()
    assert f"reading the server's roles: {name} may not read their passwords" in result.err
    assert "set RYTHM_BACKUP_GLOBALS=yes for the roles without them" in result.err
    text = written(tool, tmp_path / "y", "--globals=yes")
    assert roles["member"] in text
    small_database.execute(f"GRANT pg_read_all_data TO {name}")
    assert "SCRAM-SHA-256" in written(tool, tmp_path / "z")


@pytest.mark.parametrize("settings, words", [
    ({"RYTHM_BACKUP_GLOBALS": "all"}, "RYTHM_BACKUP_GLOBALS = 'all' is none of no|yes|passwords"),
    ({"RYTHM_BACKUP_ENGINE": "pg_dump"},
     "RYTHM_BACKUP_GLOBALS = yes needs RYTHM_BACKUP_ENGINE = parallel")])
def test_what_cannot_be_done_is_said(here, tmp_path, settings, words):
    result = here.with_settings(**settings).run("run", "--output", tmp_path / "x")
    assert result.code == 2 and words in result.err

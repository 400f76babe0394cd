"""The Azure store, read back by Azure's own SDK. What goes wrong on the way: test_azure_faults."""

import base64
import hashlib
import re
import urllib.parse

import pytest

import azurite as azurite_module
from fault_proxy import HttpFaultProxy

MIB = 1024 * 1024
OTHER_KEY = base64.b64encode(b"a key, but not the one of account").decode()


@pytest.fixture
def azure_tool(make_tool, small_database, azure_store):
    return make_tool(small_database, azure_store)


def run(tool, *options):
    """A backup; what --json says about it."""
    return tool.ok("run", "--no-notify", "--json", *options).json


def with_sas(store, permissions, **options):
    """The store's settings with a shared access signature instead of the key."""
    connection = store.client.account_sas(permissions, **options)
    return {**store.settings, "AZURE_STORAGE_CONNECTION_STRING": connection}


def signature(settings):
    return re.search(r"sig=([^&;]+)", settings["AZURE_STORAGE_CONNECTION_STRING"]).group(1)


# What is stored

def test_container_is_made_when_missing(azure_tool, azure_store):
    assert azure_store.container not in azure_store.client.containers()
    run(azure_tool)
    assert azure_store.container in azure_store.client.containers()


def test_container_that_exists_is_used(azure_tool, azure_store):
    azure_store.put("already there", b"x")
    made = run(azure_tool)
    assert [stored.name for stored in azure_store.list()] == ["already there", made["name"]]


def test_bytes_and_metadata_are_what_was_announced(azure_tool, azure_store, small_database):
    made = run(azure_tool)
    (stored,) = azure_store.list()
    content = azure_store.read(made["name"])
    version = small_database.value("SHOW server_version").split()[0]
    assert (stored.name, stored.bytes) == (made["name"], made["bytes"])
    assert (len(content), hashlib.sha256(content).hexdigest()) == (made["bytes"], made["sha256"])
    assert stored.metadata == {
        "run": made["run_id"], "type": "manual", "compression": "zstd",
        "schedule": small_database.value("SELECT schedule_id::text FROM backup_schedule"),
        "database": small_database.name, "server": version,
        "tool": azure_tool.ok("--version").out.split()[1], "bytes": str(made["bytes"]),
        "ledger": small_database.name, "system": small_database.value(
            "SELECT system_identifier::text FROM pg_control_system()"),
        "source": stored.metadata["system"],
        "engine": "parallel", "tables": str(made["tables"]), "rows": str(made["rows"]),
        "rawbytes": str(made["raw_bytes"]), "durationms": stored.metadata["durationms"],
        "sha256": made["sha256"], "manifest": hashlib.sha256(
            azure_store.read(made["name"] + ".json")).hexdigest()}
    assert int(stored.metadata["durationms"]) <= made["duration_ms"]


def test_database_name_of_any_characters_survives(cluster, azure_store, make_tool, migrated_small):
    name = "Ünï code %41\ttab"
    cluster.create_database(name, migrated_small)
    try:
        url = cluster.url(urllib.parse.quote(name))
        tool = make_tool(azure_store, DATABASE_URL=url)
        assert run(tool)["database"] == name
        assert tool.ok("list", "--json").json["backups"][0]["database"] == name
        (stored,) = azure_store.list()
        assert stored.metadata["database"] == "%C3%9Cn%C3%AF%20code%20%2541%09tab"
    finally:
        cluster.drop_database(name)


@pytest.mark.parametrize("method, suffix, media_type", [
    ("zstd", ".sql.zst", "application/zstd"), ("gzip:9", ".sql.gz", "application/gzip"),
    ("none", ".sql", "application/octet-stream")])
def test_name_and_content_type_tell_the_compression(azure_tool, azure_store, method, suffix,
                                                    media_type):
    run(azure_tool, "--compression", method)
    blob, manifest = azure_store.client.list(azure_store.container)
    assert blob["name"].endswith(suffix)
    assert (manifest["name"], manifest["type"]) == (blob["name"] + ".json", "application/json")
    assert (blob["type"], blob["metadata"]["compression"]) == (media_type, method.split(":")[0])


def test_several_blocks_are_in_order(make_tool, large_database, azure_store):
    made = run(make_tool(large_database, azure_store))
    assert made["bytes"] > 24 * MIB
    blocks = azure_store.client.blocks(azure_store.container, made["name"])
    whole, rest = divmod(made["bytes"], 8 * MIB)
    assert [block["size"] for block in blocks["committed"]] == [8 * MIB] * whole + [rest]
    assert [base64.b64decode(block["name"]).decode() for block in blocks["committed"]] == [
        f"{made['run_id']}{index:08x}" for index in range(whole + 1)]
    assert blocks["uncommitted"] == []
    content = azure_store.read(made["name"])
    assert hashlib.sha256(content).hexdigest() == made["sha256"]


def test_runs_share_no_block(azure_tool, azure_store):
    names = [run(azure_tool)["name"], run(azure_tool)["name"]]
    lists = [azure_store.client.blocks(azure_store.container, name)["committed"] for name in names]
    ids = [block["name"] for blocks in lists for block in blocks]
    assert len(ids) == len(set(ids)) == 2


def test_block_of_another_writer_is_not_taken(make_tool, small_database, azure_store, azure_proxy,
                                              tmp_path):
    """Somebody has put blocks under the very name, and committed none of them."""
    alien = base64.b64encode(b"0" * 24).decode()
    (tmp_path / "alien").write_bytes(b"alien")

    def stage(line, body):
        name = re.search("/(rythm-backup-[^?]*)", line).group(1)
        azure_store.client.stage(azure_store.container, name, alien, tmp_path / "alien")
        return body

    azure_proxy.add("^PUT [^?]*zst[?].*comp=blocklist", edit=stage)
    tool = make_tool(small_database, azure_store,
                     **azure_store.settings_through(azure_proxy.port))
    made = run(tool)
    assert alien not in str(azure_store.client.blocks(azure_store.container, made["name"]))
    assert hashlib.sha256(azure_store.read(made["name"])).hexdigest() == made["sha256"]


# Invariant I2: nothing overwrites a published object

def test_object_that_exists_is_not_overwritten(make_tool, small_database, azure_store,
                                               azure_proxy):
    taken = []

    def take_the_name(line, body):
        taken.append(re.search("/(rythm-backup-[^?]*)", line).group(1))
        azure_store.put(taken[0], b"foreign", {"k": "v"})
        return body

    azure_proxy.add("^PUT [^?]*zst[?].*comp=blocklist", edit=take_the_name)
    tool = make_tool(small_database, azure_store,
                     **azure_store.settings_through(azure_proxy.port))
    result = tool.run("run", "--no-notify")
    assert result.code == 1
    assert "an object of this name exists already and was left as it is" in result.err
    (stored,) = azure_store.list()
    assert (stored.name, stored.metadata) == (taken[0], {"k": "v"})
    assert azure_store.read(taken[0]) == b"foreign"
    assert small_database.value("SELECT status FROM backup_history") == "failed"


# Where it is

def test_development_storage(make_tool, small_database, azurite, azure_store):
    """The emulator's usual port, of another loopback address when somebody has that one."""
    for host in ("127.0.0.1", "127.94.0.1", "127.94.0.2", "127.94.0.3"):
        try:
            proxy = HttpFaultProxy(azurite.port, (host, 10000))
            break
        except OSError:
            continue
    connection = "UseDevelopmentStorage=true"
    if host != "127.0.0.1":
        connection += f";DevelopmentStorageProxyUri=http://{host}"
    try:
        made = run(make_tool(small_database, azure_store,
                             AZURE_STORAGE_CONNECTION_STRING=connection))
    finally:
        proxy.stop()
    assert [stored.name for stored in azure_store.list()] == [made["name"]]


def test_prefix_in_the_url(make_tool, small_database, azure_store):
    url = f"azblob://{azurite_module.ACCOUNT}/{azure_store.container}/some/folder"
    tool = make_tool(small_database, azure_store, RYTHM_BACKUP_STORES=url)
    made = run(tool)
    assert [stored.name for stored in azure_store.list()] == [f"some/folder/{made['name']}"]
    (listed,) = tool.ok("list", "--json").json["backups"]
    assert (listed["name"], listed["store"]) == (made["name"], url + "/")
    tool.ok("prune", "--force", made["name"])
    assert azure_store.list() == []


def test_prefix_hides_what_is_elsewhere(make_tool, small_database, azure_store):
    url = f"azblob://{azurite_module.ACCOUNT}/{azure_store.container}"
    run(make_tool(small_database, azure_store, RYTHM_BACKUP_STORES=url + "/here2"))
    tool = make_tool(small_database, azure_store, RYTHM_BACKUP_STORES=url + "/here")
    assert tool.ok("list", "--json").json["backups"] == []
    assert make_tool(small_database, azure_store).ok("list", "--json").json["backups"] == []


def test_account_in_the_url_must_be_the_connection_strings(make_tool, small_database, azure_store):
    url = f"azblob://elsewhere/{azure_store.container}"
    result = make_tool(small_database, azure_store, RYTHM_BACKUP_STORES=url).run("run")
    assert result.code == 2
    assert url in result.err
    assert f"is for the account {azurite_module.ACCOUNT}" in result.err


@pytest.mark.parametrize("container", [
    "ab", "a" * 64, "Upper-case", "under_score", "two--hyphens", "-first", "last-", "ümlaut"])
def test_container_name_against_the_rules(make_tool, small_database, azure_store, container):
    tool = make_tool(small_database, azure_store, AZURE_BACKUP_CONTAINER=container)
    result = tool.run("run")
    assert result.code == 2
    assert f"'{container}' is not the name of an Azure container" in result.err


@pytest.mark.parametrize("container", ["one/two", "what?", "a#b", "a%41b", "a b"])
def test_container_name_that_changes_the_url(make_tool, small_database, azure_store, container):
    tool = make_tool(small_database, azure_store, AZURE_BACKUP_CONTAINER=container)
    result = tool.run("run")
    assert result.code == 2
    assert f"AZURE_BACKUP_CONTAINER = '{container}' is not a container's name" in result.err


# Credentials

def test_wrong_key(make_tool, small_database, azure_store):
    connection = azure_store.server.connection_string.replace(azurite_module.KEY, OTHER_KEY)
    tool = make_tool(small_database, azure_store, AZURE_STORAGE_CONNECTION_STRING=connection)
    result = tool.run("run", "--no-notify", "-v")
    assert result.code == 1
    assert "the service answered 403 AuthorizationFailure" in result.err
    assert re.search("request id [0-9a-f-]{36}", result.err)
    assert "check AccountName and AccountKey" in result.err
    assert OTHER_KEY not in result.out + result.err
    assert OTHER_KEY not in str(small_database.execute("SELECT h::text FROM backup_history h"))


def test_sas(make_tool, small_database, azure_store):
    settings = with_sas(azure_store, "rwdlac")
    tool = make_tool(small_database, RYTHM_BACKUP_KEEP_MIN="1", **settings)
    made = run(tool, "-v")
    assert [stored.name for stored in azure_store.list()] == [made["name"]]
    assert [backup["name"] for backup in tool.ok("list", "--json").json["backups"]] == [
        made["name"]]
    tool.ok("prune", "--force", made["name"])
    assert azure_store.list() == []


def test_sas_for_one_container(make_tool, small_database, azure_store):
    """It may not make containers, and need not."""
    azure_store.client.create(azure_store.container)
    connection = azure_store.client.container_sas(azure_store.container, "rwdlac")
    made = run(make_tool(small_database, azure_store, AZURE_STORAGE_CONNECTION_STRING=connection))
    assert [stored.name for stored in azure_store.list()] == [made["name"]]


@pytest.mark.parametrize("permissions, options, problem", [
    ("wl", {}, "has the permissions sp=wl, and a backup needs r, w and l"),
    ("rl", {}, "has the permissions sp=rl, and a backup needs r, w and l"),
    ("rw", {}, "has the permissions sp=rw, and a backup needs r, w and l"),
    ("c", {}, "has the permissions sp=c, and a backup needs r, w and l"),
    ("rwdlac", {"resource_types": "c"}, "is for the resource types srt=c, and a backup needs c"),
    ("rwdlac", {"resource_types": "o"}, "is for the resource types srt=o, and a backup needs c")])
def test_sas_that_cannot_serve_is_named_at_once(make_tool, small_database, azure_store,
                                                permissions, options, problem):
    """What is stored must be listed and checked (I1, I3): otherwise nothing is begun."""
    azure_store.client.create(azure_store.container)
    tool = make_tool(small_database, **with_sas(azure_store, permissions, **options))
    result = tool.run("run", "--no-notify")
    assert result.code == 2
    assert problem in result.err
    assert small_database.value("SELECT status FROM backup_history") == "failed"
    assert azure_store.list() == []


def test_sas_that_has_ended(make_tool, small_database, azure_store):
    azure_store.client.create(azure_store.container)
    settings = with_sas(azure_store, "rwdlac", seconds=-30)
    tool = make_tool(small_database, **settings)
    result = tool.run("run", "--no-notify")
    assert result.code == 2
    assert "has ended (se=" in result.err and "make a new one" in result.err
    # Where it is not looked at first, the service tells.
    result = tool.run("list")
    assert result.code == 1
    assert "AuthorizationFailure" in result.err
    assert "(sp=rwdlac)" in result.err
    assert azure_store.list() == []
    assert small_database.value("SELECT status FROM backup_history") == "failed"


@pytest.mark.parametrize("permissions, options", [
    ("rwdlac", {}), ("wl", {}), ("c", {}), ("rwdlac", {"seconds": -30})])
def test_sas_signature_is_shown_nowhere(make_tool, small_database, azure_store, permissions,
                                        options):
    settings = with_sas(azure_store, permissions, **options)
    tool = make_tool(small_database, **settings)
    results = [tool.run("-v", "run", "--no-notify"), tool.run("-v", "list"),
               tool.run("--log-format", "json", "-v", "check"), tool.run("-v", "prune")]
    shown = "".join(result.out + result.err for result in results)
    shown += str(small_database.execute("SELECT h::text FROM backup_history h"))
    shown += str(small_database.execute("SELECT m::text FROM email_logs m"))
    assert "sig=" not in shown
    assert signature(settings) not in shown

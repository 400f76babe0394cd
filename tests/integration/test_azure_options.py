"""What the URL of a store asks for: tier, immutability, encryption; mode and owner of files."""

import base64
import grp
import os
import pwd
import time

import pytest

import azurite
from azure_rules import AzureRules

DAY_S = 86400
KEY = base64.b64encode(bytes(range(32))).decode()
OTHER_KEY = base64.b64encode(bytes(32)).decode()


@pytest.fixture
def rules(azurite):
    """The service's rules, in front of Azurite."""
    proxy = AzureRules(azurite.port)
    yield proxy
    proxy.stop()


@pytest.fixture
def tool_with(make_tool, small_database, azure_store, rules):
    """A function: the program with these options in its store's URL."""
    azure_store.client.create(azure_store.container)
    small_database.execute("UPDATE backup_schedule SET retention_days = 3")

    def make(options="", **settings):
        url = f"azblob://{azurite.ACCOUNT}/{azure_store.container}{options}"
        return make_tool(small_database, azure_store, **azure_store.settings_through(rules.port),
                         RYTHM_BACKUP_STORES=url, RYTHM_BACKUP_RETRY_TIMEOUT="2s", **settings)
    return make


def back_up(tool):
    return tool.ok("run", "--no-notify", "--json").json


def fails(tool, *arguments, code):
    result = tool.run(*arguments)
    assert result.code == code, result
    return result.err


# Tiers

@pytest.mark.parametrize("tier", ["cool", "cold"])
def test_tier_is_asked_for(tool_with, rules, tier):
    name = back_up(tool_with(f"?tier={tier}"))["name"]
    assert {blob: known.tier for blob, known in rules.blobs.items()} == {
        name: tier.capitalize(), name + ".json": tier.capitalize()}


def test_archive_is_refused_before_anything_is_done(tool_with, rules):
    err = fails(tool_with("?tier=archive"), "run", code=2)
    assert "rehydrated" in err
    assert rules.requests == []


# Immutability

@pytest.mark.parametrize("mode", ["unlocked", "locked"])
def test_backup_is_immutable_until_retention_ends(tool_with, rules, mode):
    tool = tool_with(f"?immutability={mode}")
    before = time.time()
    name = back_up(tool)["name"]
    for blob in (name, name + ".json"):
        known = rules.blobs[blob]
        assert known.mode == mode
        assert before - 2 <= known.until - 3 * DAY_S <= time.time() + 2
    # Deleting it is refused by the service, and no failure.
    assert "is protected by the store" in tool.ok("prune", "--force", name).err
    assert [backup["name"] for backup in tool.ok("list", "--json").json["backups"]] == [name]


def test_container_without_immutability_is_refused_first(tool_with, rules, azure_store):
    rules.is_immutable = False
    err = fails(tool_with("?immutability=locked"), "run", "--no-notify", code=2)
    assert f"container {azure_store.container} has no version-level immutability" in err
    assert "--enable-vlw" in err
    assert rules.count("^PUT") == 0


def test_container_is_not_made_without_immutability(tool_with, rules, azure_store):
    tool = tool_with()
    missing = f"azblob://{azurite.ACCOUNT}/{azure_store.container}-b?immutability=locked"
    err = fails(tool.with_settings(RYTHM_BACKUP_STORES=missing), "run", "--no-notify", code=2)
    assert "does not exist" in err
    assert rules.count("^PUT") == 0


def test_policy_that_is_not_kept_fails(tool_with, rules, azure_store, small_database):
    rules.forgets = True
    rules.may_ask = False
    err = fails(tool_with("?immutability=locked"), "run", "--no-notify", code=1)
    assert "has not kept the immutability policy" in err
    assert azure_store.list() == []
    assert not [name for name in azure_store.leftovers() if name.endswith(".json")]
    assert small_database.value("SELECT status FROM backup_history") == "failed"


def test_signature_must_permit_immutability(tool_with, rules, azure_store):
    connection = azure_store.client.account_sas("rwdlac").replace(
        f":{azure_store.server.port}/", f":{rules.port}/")
    tool = tool_with("?immutability=locked").with_settings(
        AZURE_STORAGE_CONNECTION_STRING=connection)
    err = fails(tool, "run", "--no-notify", code=2)
    assert "needs r, w, l and i" in err


# Encryption

def test_scope_goes_with_every_block(tool_with, rules):
    name = back_up(tool_with("?encryption-scope=backups-2026"))["name"]
    assert {blob: known.encryption for blob, known in rules.blobs.items()} == {
        name: ("scope", "backups-2026"), name + ".json": ("scope", "backups-2026")}


def test_key_encrypts_and_reads_back(tool_with, rules):
    tool = tool_with(AZURE_BACKUP_ENCRYPTION_KEY=KEY)
    made = back_up(tool)
    assert {known.encryption[0] for known in rules.blobs.values()} == {"key"}
    (listed,) = tool.ok("list", "--json").json["backups"]
    assert (listed["name"], listed["sha256"]) == (made["name"], made["sha256"])
    tool.ok("verify", "--quick", made["name"])
    tool.ok("prune", "--force", made["name"])
    assert tool.ok("list", "--json").json["backups"] == []


def test_what_was_stored_without_the_key_is_read_with_it(tool_with):
    name = back_up(tool_with())["name"]
    tool = tool_with(AZURE_BACKUP_ENCRYPTION_KEY=KEY)
    tool.ok("verify", "--quick", name)


@pytest.mark.parametrize("other", [None, OTHER_KEY])
def test_without_the_right_key_it_is_nobodys(tool_with, other):
    tool = tool_with(AZURE_BACKUP_ENCRYPTION_KEY=KEY)
    name = back_up(tool)["name"]
    without = tool.with_settings(AZURE_BACKUP_ENCRYPTION_KEY=other)
    assert without.ok("list", "--json").json["backups"] == []
    assert without.ok("prune", "--json").json["deleted"] == 0
    err = fails(without, "verify", "--quick", name, code=1)
    assert KEY not in err and OTHER_KEY not in err


def test_key_is_not_sent_in_the_clear(tool_with, rules):
    connection = azurite.connection_string(rules.port).replace("127.0.0.1", "storage.example.org")
    tool = tool_with(AZURE_BACKUP_ENCRYPTION_KEY=KEY).with_settings(
        AZURE_STORAGE_CONNECTION_STRING=connection)
    err = fails(tool, "list", code=2)
    assert "AZURE_BACKUP_ENCRYPTION_KEY would be sent to an endpoint that is not https" in err
    assert KEY not in err


def test_bad_key_is_not_shown(tool_with):
    err = fails(tool_with(AZURE_BACKUP_ENCRYPTION_KEY="c2VjcmV0LWJ1dC1zaG9ydA=="), "list", code=2)
    assert "AZURE_BACKUP_ENCRYPTION_KEY is not 32 bytes in base64" in err
    assert "c2VjcmV0" not in err


# Files

def files(store):
    return [path for path in store.folder.iterdir() if path.name != ".rythm-backup.lock"]


def test_mode_and_owner_of_files(make_tool, small_database, file_store):
    user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    url = file_store.settings["RYTHM_BACKUP_STORES"] + f"?mode=0640&owner={user}:{group}"
    name = back_up(make_tool(small_database, RYTHM_BACKUP_STORES=url))["name"]
    assert {path.name for path in files(file_store)} == {
        name, name + ".meta", name + ".json", name + ".json.meta"}
    assert {path.stat().st_mode & 0o7777 for path in files(file_store)} == {0o640}
    assert file_store.folder.stat().st_mode & 0o7777 == 0o750


def test_owner_that_may_not_be_given_fails_before_the_dump(make_tool, small_database, file_store,
                                                            folder):
    """As a user that is not root: nothing is left, and nothing was dumped."""
    place = folder / f"given-{os.getpid()}"
    place.mkdir()
    place.chmod(0o777)
    tool = make_tool(small_database, RYTHM_BACKUP_STORES=f"file://{place}?owner=root")
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    tool.home = "/"
    result = tool.finish(tool.start("run", "--no-notify", prefix=prefix))
    assert result.code == 2, result
    assert "only root may give a file to another user" in result.err
    assert list(place.iterdir()) == []
    assert small_database.execute("SELECT status FROM backup_history") == [("failed",)]

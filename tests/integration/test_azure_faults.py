"""The Azure store when the network or the service misbehaves: a proxy in front of Azurite does it.

Every run goes through the proxy; what is there afterwards is read past it.
"""

import hashlib
import re

import pytest

import backups
from fault_proxy import ALWAYS

# Requests, as the proxy sees them: those for a backup, not for its manifest.
MAKE = "^PUT .*restype=container"
BLOCK = "^PUT [^?]*(?<![.]json)[?].*comp=block&"
COMMIT = "^PUT [^?]*(?<![.]json)[?].*comp=blocklist"
EXAMINE = "^GET [^?]*(?<![.]json)[?].*comp=blocklist"
LIST = "^GET .*comp=list"
HEAD = "^HEAD [^ ?]*(?<![.]json)(?:[ ?]|$)"
DELETE = "^DELETE [^ ?]*(?<![.]json)(?:[ ?]|$)"
MANIFEST_BLOCK = "^PUT [^?]*[.]json[?].*comp=block&"
MANIFEST_COMMIT = "^PUT [^?]*[.]json[?].*comp=blocklist"

SERVER_ERROR = b"<?xml version='1.0'?><Error><Code>%s</Code><Message>As the test wishes.\n" \
               b"RequestId:x</Message></Error>"
REQUEST_ID = "0f0e0d0c-0b0a-0908-0706-050403020100"


@pytest.fixture
def proxied(make_tool, small_database, azure_store, azure_proxy):
    """The program with the proxy between it and the store."""
    return make_tool(small_database, azure_store,
                     **azure_store.settings_through(azure_proxy.port))


@pytest.fixture
def impatient(proxied):
    """One that tries again for a second only."""
    return proxied.with_settings(RYTHM_BACKUP_RETRY_TIMEOUT="1s")


@pytest.fixture
def with_sas(make_tool, small_database, azure_store, azure_proxy):
    """What is signed with a SAS can be changed on its way."""
    settings = azure_store.settings_through(azure_proxy.port)
    connection = azure_store.client.account_sas("rwdlac").replace(
        f":{azure_store.server.port}/", f":{azure_proxy.port}/")
    return make_tool(small_database, azure_store, **settings
                     | {"AZURE_STORAGE_CONNECTION_STRING": connection})


def answer(status, code, **headers):
    """A fault: the service's way to refuse."""
    return {"status": status, "body": SERVER_ERROR % code.encode(),
            "headers": {"x-ms-error-code": code, "x-ms-request-id": REQUEST_ID,
                        "Content-Type": "application/xml", **headers}}


def fails(tool, *arguments, code=1):
    result = tool.run(*arguments)
    assert result.code == code, result
    return result.err


def back_up(tool):
    return tool.ok("run", "--no-notify", "--json").json


def check_whole(store, database, made):
    """There is one object, it is what was announced, and the ledger knows it."""
    (stored,) = store.list()
    assert (stored.name, stored.bytes) == (made["name"], made["bytes"])
    assert hashlib.sha256(store.read(made["name"])).hexdigest() == made["sha256"]
    assert database.execute("SELECT status, backup_filename FROM backup_history") == [
        ("completed", made["name"])]


def check_failed(store, database, text):
    """Nothing is there, and the ledger has the error."""
    assert store.list() == []
    ((status, error),) = database.execute("SELECT status, error_message FROM backup_history")
    assert status == "failed"
    assert text in error


# What passes is waited for

@pytest.mark.parametrize("request_line", [MAKE, BLOCK, COMMIT, EXAMINE])
def test_busy_service_is_asked_again(proxied, small_database, azure_store, azure_proxy,
                                     request_line):
    fault = azure_proxy.add(request_line, times=2,
                            **answer(503, "ServerBusy", **{"Retry-After": "1"}))
    made = back_up(proxied)
    assert fault.hits == 2 and azure_proxy.count(request_line) == 3
    check_whole(azure_store, small_database, made)


@pytest.mark.parametrize("status", [500, 429])
@pytest.mark.parametrize("request_line", [BLOCK, COMMIT])
def test_passing_error_is_tried_again(proxied, small_database, azure_store, azure_proxy,
                                      request_line, status):
    azure_proxy.add(request_line, **answer(status, "InternalError"))
    check_whole(azure_store, small_database, back_up(proxied))
    assert azure_proxy.count(request_line) == 2


@pytest.mark.parametrize("request_line", [LIST, DELETE])
def test_prune_survives_a_busy_service(proxied, azure_store, azure_proxy, request_line):
    name = back_up(proxied)["name"]
    azure_proxy.add(request_line, **answer(503, "ServerBusy", **{"Retry-After": "1"}))
    proxied.ok("prune", "--force", name)
    assert azure_store.list() == []


def test_retry_is_logged(proxied, azure_proxy):
    azure_proxy.add(BLOCK, **answer(503, "ServerBusy", **{"Retry-After": "1"}))
    err = proxied.ok("run", "--no-notify").err
    assert re.search(r"503 ServerBusy: As the test wishes\..*request id " + REQUEST_ID
                     + r".*trying again in 1\.0 s \(attempt 2 of 10\)", err)


def test_fault_in_the_middle_of_many_blocks(make_tool, large_database, azure_store, azure_proxy):
    """The other blocks are not sent again."""
    tool = make_tool(large_database, azure_store,
                     **azure_store.settings_through(azure_proxy.port))
    azure_proxy.add(BLOCK, first=2, **answer(503, "ServerBusy"))
    azure_proxy.add(BLOCK, first=3, cut_before=True)
    azure_proxy.add(BLOCK, first=4, cut_after=True)
    made = back_up(tool)
    assert azure_proxy.count(BLOCK) == 4 + 3
    check_whole(azure_store, large_database, made)


@pytest.mark.parametrize("cut", ["cut_before", "cut_after"])
@pytest.mark.parametrize("request_line", [MAKE, BLOCK, COMMIT, EXAMINE])
def test_cut_connection(proxied, small_database, azure_store, azure_proxy, request_line, cut):
    fault = azure_proxy.add(request_line, **{cut: True})
    made = back_up(proxied)
    assert fault.hits == 1
    check_whole(azure_store, small_database, made)
    assert azure_proxy.count(BLOCK) == (2 if request_line == BLOCK else 1)


def test_silence_is_a_failure(proxied, small_database, azure_store, azure_proxy):
    tool = proxied.with_settings(RYTHM_BACKUP_STALL_TIMEOUT="1s", RYTHM_BACKUP_RETRY_TIMEOUT="1s")
    azure_proxy.add(BLOCK, times=ALWAYS, stall_s=60)
    err = fails(tool, "run", "--no-notify")
    assert "storing block 0 of rythm-backup-" in err
    assert "too slow" in err
    check_failed(azure_store, small_database, "storing block 0")


def test_silence_that_passes(proxied, small_database, azure_store, azure_proxy):
    azure_proxy.add(BLOCK, stall_s=4)
    tool = proxied.with_settings(RYTHM_BACKUP_STALL_TIMEOUT="1s")
    check_whole(azure_store, small_database, back_up(tool))


def test_unreachable_service(proxied, small_database, azure_proxy):
    azure_proxy.stop()
    err = fails(proxied.with_settings(RYTHM_BACKUP_RETRY_TIMEOUT="1s"), "run", "--no-notify")
    assert "making container" in err
    assert f"Failed to connect to 127.0.0.1 port {azure_proxy.port}" in err
    assert small_database.value("SELECT status FROM backup_history") == "failed"


# Damage on the way

def test_flipped_byte_is_noticed_and_sent_again(proxied, small_database, azure_store, azure_proxy):
    fault = azure_proxy.add(BLOCK, flip_byte=100)
    made = back_up(proxied)
    assert fault.hits == 1 and azure_proxy.count(BLOCK) == 2
    check_whole(azure_store, small_database, made)


def test_line_that_always_flips_is_given_up(proxied, small_database, azure_store, azure_proxy):
    azure_proxy.add(BLOCK, times=ALWAYS, flip_byte=100)
    assert "storing block 0" in fails(proxied, "run", "--no-notify")
    assert azure_proxy.count(BLOCK) == 3
    check_failed(azure_store, small_database, "storing block 0")


# The commit's answer (invariants I1, I3)

def test_lost_commit_answer_is_resolved(proxied, small_database, azure_store, azure_proxy):
    azure_proxy.add(COMMIT, cut_after=True)
    made = back_up(proxied)
    assert azure_proxy.count(HEAD) > 0
    check_whole(azure_store, small_database, made)


def test_all_commit_answers_lost(impatient, small_database, azure_store, azure_proxy):
    azure_proxy.add(COMMIT, times=ALWAYS, cut_after=True)
    check_whole(azure_store, small_database, back_up(impatient))


def test_unknown_commit_is_adopted_by_the_next_check(impatient, small_database, azure_store,
                                                     azure_proxy):
    backups.enable(small_database)
    tick = ("check", "--now", "2026-03-01 02:00:10Z")
    azure_proxy.add(COMMIT, times=ALWAYS, cut_after=True)
    azure_proxy.add(HEAD, times=ALWAYS, **answer(503, "ServerBusy"))
    err = fails(impatient, *tick)
    assert "whether it was published is not known, for asking failed too" in err
    assert "the next check asks the store whether it was published" in err
    assert small_database.execute("SELECT status, completed_at FROM backup_history") == [
        ("started", None)]
    assert small_database.value("SELECT count(*) FROM email_logs") == 0
    azure_proxy.clear()
    (stored,) = azure_store.list()
    assert "adopted as completed" in impatient.ok(*tick).err
    assert azure_proxy.count(BLOCK) == 0
    assert small_database.execute(
        "SELECT status, backup_filename, file_size_bytes FROM backup_history") == [
            ("completed", stored.name, stored.bytes)]
    assert [stored.name] == [backup.name for backup in azure_store.list()]


def test_commit_that_never_arrived_is_made_up_for(impatient, small_database, azure_store,
                                                  azure_proxy):
    """As above, but there is nothing to adopt: the run is failed, and repeated later."""
    backups.enable(small_database)
    azure_proxy.add(COMMIT, times=ALWAYS, cut_before=True)
    azure_proxy.add(HEAD, times=ALWAYS, **answer(503, "ServerBusy"))
    fails(impatient, "check", "--now", "2026-03-01 02:00:10Z")
    assert small_database.value("SELECT status FROM backup_history") == "started"
    azure_proxy.clear()
    assert "marked failed" in impatient.ok("check", "--now", "2026-03-01 02:00:20Z").err
    impatient.ok("check", "--now", "2026-03-01 02:03:00Z")
    assert small_database.execute("SELECT status FROM backup_history ORDER BY attempt") == [
        ("failed",), ("completed",)]
    assert len(azure_store.list()) == 1


def test_commit_that_is_refused(proxied, small_database, azure_store, azure_proxy):
    azure_proxy.add(COMMIT, times=ALWAYS, **answer(400, "InvalidBlockList"))
    assert "400 InvalidBlockList" in fails(proxied, "run", "--no-notify")
    assert azure_proxy.count(COMMIT) == 1
    check_failed(azure_store, small_database, "400 InvalidBlockList")


# Another process takes the run for dead meanwhile (invariant I1)

def resolve_as_failed(database):
    """What another check does that has the lock: here at the moment a request passes the proxy."""
    def edit(line, body):
        database.execute("UPDATE backup_history SET status = 'failed', error_message = 'other'")
        return body
    return edit


def test_run_resolved_during_its_commit_withdraws(proxied, small_database, azure_store,
                                                  azure_proxy):
    azure_proxy.add(COMMIT, edit=resolve_as_failed(small_database))
    err = fails(proxied, "run", "--no-notify")
    assert "is 'failed' in backup_history, not 'started'" in err
    assert "its object was removed again" in err
    check_failed(azure_store, small_database, "other")


def test_lock_and_row_are_asked_before_each_attempt(proxied, small_database, azure_store,
                                                    azure_proxy):
    azure_proxy.add(COMMIT, **answer(503, "ServerBusy"))
    azure_proxy.add(BLOCK, edit=resolve_as_failed(small_database))
    fails(proxied, "run", "--no-notify")
    assert azure_proxy.count(COMMIT) == 0
    check_failed(azure_store, small_database, "other")


def test_commit_is_not_repeated_once_the_run_is_resolved(proxied, small_database, azure_store,
                                                         azure_proxy):
    def resolve(status, headers, body):
        resolve_as_failed(small_database)(None, None)
        return 503, headers, body
    azure_proxy.add(COMMIT, rewrite=resolve)
    assert "its object was removed again" in fails(proxied, "run", "--no-notify")
    assert azure_proxy.count(COMMIT) == 1
    check_failed(azure_store, small_database, "other")


# What the service committed is compared with what was sent (invariant I3)

def drop_first(line, body):
    return re.sub(b"<Uncommitted>[^<]*</Uncommitted>", b"", body, count=1)


def double_first(line, body):
    return re.sub(b"(<Uncommitted>[^<]*</Uncommitted>)", rb"\1\1", body, count=1)


def swap_two(line, body):
    return re.sub(b"(<Uncommitted>[^<]*</Uncommitted>)(<Uncommitted>[^<]*</Uncommitted>)",
                  rb"\2\1", body, count=1)


@pytest.mark.parametrize("edit", [drop_first, double_first])
def test_wrong_commit_is_taken_back(with_sas, small_database, azure_store, azure_proxy, edit):
    azure_proxy.add(COMMIT, edit=edit)
    err = fails(with_sas, "run", "--no-notify")
    assert "the service committed other blocks than the 1 that were sent" in err
    assert "the object was removed again" in err
    assert "sig=" not in err
    check_failed(azure_store, small_database, "other blocks")


def test_swapped_blocks_are_taken_back(with_sas, large_database, azure_store, azure_proxy):
    azure_proxy.add(COMMIT, edit=swap_two)
    tool = with_sas.with_settings(**large_database.settings)
    assert "committed other blocks than the 4" in fails(tool, "run", "--no-notify")
    check_failed(azure_store, large_database, "other blocks")


def test_wrong_commit_that_cannot_be_taken_back_is_told(with_sas, small_database, azure_store,
                                                        azure_proxy):
    azure_proxy.add(COMMIT, edit=double_first)
    azure_proxy.add(DELETE, times=ALWAYS, **answer(409, "BlobImmutableDueToPolicy"))
    err = fails(with_sas, "run", "--no-notify")
    assert "the object could not be removed: do not restore from it" in err


def test_wrong_commit_is_never_adopted(with_sas, large_database, azure_store, azure_proxy):
    """The same blocks in another order: only their list tells. The row waits until it is gone."""
    backups.enable(large_database)
    tick = ("check", "--now", "2026-03-01 02:00:10Z")
    tool = with_sas.with_settings(**large_database.settings)
    azure_proxy.add(COMMIT, edit=swap_two)
    azure_proxy.add(DELETE, times=ALWAYS, **answer(403, "AuthorizationFailure"))
    assert "the object could not be removed" in fails(tool, *tick)
    again = tool.run(*tick)
    assert again.code == 3
    assert "it is not what was sent" in again.err
    assert large_database.value("SELECT status FROM backup_history") == "started"
    azure_proxy.clear()
    assert "marked failed" in tool.ok(*tick).err
    check_failed(azure_store, large_database, "interrupted")


def test_other_block_sizes_are_noticed(proxied, small_database, azure_store, azure_proxy):
    azure_proxy.add(EXAMINE, rewrite=lambda status, headers, body: (
        status, headers, re.sub(b"<Size>[0-9]+</Size>", b"<Size>7</Size>", body)))
    assert "committed other blocks" in fails(proxied, "run", "--no-notify")
    check_failed(azure_store, small_database, "other blocks")


# Listings that are not whole delete nothing (invariant I6)

@pytest.fixture
def expired(azure_store, small_database):
    """Backups of which retention would delete all but three."""
    schedule = small_database.value(backups.SCHEDULE)
    made = [backups.made_at(backups.now() - (100 + number) * backups.DAY, schedule,
                            small_database) for number in range(5)]
    azure_store.put_all(made)
    return [name for name, _, _ in made]


def loop(status, headers, body):
    return status, headers, re.sub(b"<NextMarker ?/>|<NextMarker></NextMarker>",
                                   b"<NextMarker>again</NextMarker>", body)


def without_end(status, headers, body):
    return status, headers, re.sub(b"<NextMarker ?/>|<NextMarker></NextMarker>", b"", body)


def half(status, headers, body):
    return status, headers, body[:len(body) // 2]


def with_content(content):
    return lambda status, headers, body: (200, headers, content)


BOMB = b"""<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">
<!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;"><!ENTITY e "&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;">]>
<EnumerationResults><Blobs/><NextMarker>&e;</NextMarker></EnumerationResults>"""
READ_A_FILE = b"""<?xml version="1.0"?><!DOCTYPE b [<!ENTITY f SYSTEM "file:///etc/hostname">]>
<EnumerationResults><Blobs/><NextMarker>&f;</NextMarker></EnumerationResults>"""
WITH_DTD = b"""<?xml version="1.0"?><!DOCTYPE EnumerationResults>
<EnumerationResults><Blobs/><NextMarker/></EnumerationResults>"""


HOSTILE = {
    "loop": (loop, "a page comes twice"),
    "no end": (without_end, "does not say whether there is more of it"),
    "half": (half, "reading XML: line 1: Premature end of data"),
    "empty": (with_content(b""), "reading XML: it is empty"),
    "garbage": (with_content(b"\x00\xff\xfe garbage <<<"), "reading XML: line 1"),
    "other": (with_content(b"<Error><Code>Strange</Code></Error>"), "not a list of blobs"),
    "20 MB": (with_content(b"<EnumerationResults>" + b" " * 20_000_000 + b"</EnumerationResults>"),
              "longer than the 16777216 bytes allowed"),
    "bomb": (with_content(BOMB), "it has a document type, which is refused"),
    "file": (with_content(READ_A_FILE), "it has a document type, which is refused"),
    "dtd": (with_content(WITH_DTD), "it has a document type, which is refused"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_listing_that_cannot_be_trusted(proxied, azure_store, azure_proxy, expired, kind):
    rewrite, expected = HOSTILE[kind]
    azure_proxy.add(LIST, times=ALWAYS, rewrite=rewrite)
    err = fails(proxied, "prune")
    assert f"listing container {azure_store.container}: " in err
    assert expected in err
    assert azure_proxy.count(DELETE) == 0
    assert len(azure_store.list()) == len(expired)


def test_list_prints_nothing_that_cannot_be_trusted(proxied, azure_proxy, expired):
    azure_proxy.add(LIST, times=ALWAYS, rewrite=loop)
    result = proxied.run("list")
    assert (result.code, result.out) == (1, "")


def test_listing_that_is_always_cut_short(impatient, azure_store, azure_proxy, expired):
    azure_proxy.add(LIST, times=ALWAYS, cut_reply_at=1000)
    assert "listing the backups" in fails(impatient, "prune")
    assert len(azure_store.list()) == len(expired)


def test_listing_that_is_cut_short_once(proxied, azure_store, azure_proxy, expired):
    azure_proxy.add(LIST, cut_reply_at=1000)
    proxied.ok("prune")
    assert [stored.name for stored in azure_store.list()] == sorted(expired[:3])


def test_second_page_that_fails_deletes_nothing(impatient, azure_store, azure_proxy, expired):
    """The first page is fine and says that there is another."""
    azure_proxy.add("comp=list.*marker=", times=ALWAYS, **answer(500, "InternalError"))
    azure_proxy.add(LIST, times=ALWAYS, rewrite=loop)
    fails(impatient, "prune")
    assert azure_proxy.count(DELETE) == 0
    assert len(azure_store.list()) == len(expired)


# What does not pass is told at once, with the service's words

@pytest.mark.parametrize("request_line, doing", [
    (MAKE, "making container"), (BLOCK, "storing block 0 of rythm-backup-"),
    (COMMIT, "publishing rythm-backup-"), (EXAMINE, "which was just published")])
def test_refusal_is_told_and_not_repeated(proxied, small_database, azure_proxy, request_line,
                                          doing):
    azure_proxy.add(request_line, times=ALWAYS, **answer(403, "AuthorizationFailure"))
    err = fails(proxied, "run", "--no-notify")
    assert doing in err
    assert "the service answered 403 AuthorizationFailure: As the test wishes.; " in err
    assert f"request id {REQUEST_ID}" in err
    assert azure_proxy.count(request_line) == 1


@pytest.mark.parametrize("command, request_line, code", [
    (["list"], LIST, 1), (["prune"], LIST, 1), (["prune"], DELETE, 3)])
def test_refusal_of_other_commands(proxied, azure_proxy, expired, command, request_line, code):
    azure_proxy.add(request_line, times=ALWAYS, **answer(403, "AuthorizationFailure"))
    err = fails(proxied, *command, code=code)
    assert "403 AuthorizationFailure" in err
    assert f"request id {REQUEST_ID}" in err
    assert azure_proxy.count(request_line) == (2 if request_line == DELETE else 1)


def test_last_of_many_errors_has_code_and_id(impatient, azure_proxy):
    azure_proxy.add(BLOCK, times=ALWAYS, **answer(503, "ServerBusy"))
    err = fails(impatient, "run", "--no-notify").splitlines()[-1]
    assert "503 ServerBusy" in err
    assert f"request id {REQUEST_ID}" in err
    assert re.search(r"tried \d+ times", err)


def test_redirect_is_not_followed(proxied, azure_proxy):
    """It could lead what is signed to another host."""
    azure_proxy.add(MAKE, status=307, headers={"Location": "http://127.0.0.1:1/"})
    assert "redirects are not followed" in fails(proxied, "run", "--no-notify")


def test_wait_that_the_service_asks_for_is_bounded(impatient, azure_proxy):
    """An hour is longer than a request is worth trying."""
    azure_proxy.add(BLOCK, times=ALWAYS, **answer(503, "ServerBusy", **{"Retry-After": "3600"}))
    fails(impatient, "run", "--no-notify")
    assert azure_proxy.count(BLOCK) == 2


def test_error_from_elsewhere_cannot_write_lines_of_its_own(proxied, azure_proxy):
    azure_proxy.add(MAKE, times=ALWAYS, status=403, headers={"x-ms-error-code": "Odd\x1b[31m"},
                    body=b"<Error><Message>one\x0atwo \xe2\x80\xa8 three</Message></Error>")
    err = fails(proxied, "run", "--no-notify")
    assert "\x1b" not in err
    assert len(err.splitlines()) == 2


# The manifest

@pytest.mark.parametrize("request_line", [MANIFEST_BLOCK, MANIFEST_COMMIT])
def test_a_manifest_that_cannot_be_stored(proxied, small_database, azure_store, azure_proxy,
                                          request_line):
    """It comes first: then there is no backup either."""
    azure_proxy.add(request_line, times=ALWAYS, **answer(403, "AuthorizationFailure"))
    result = proxied.run("run", "--no-notify")
    assert result.code == 1 and "storing the manifest" in result.err
    assert azure_store.list() == []
    assert [name for name in azure_store.leftovers() if not uncommitted(azure_store, name)] == []
    assert small_database.value("SELECT status FROM backup_history") == "failed"


@pytest.mark.parametrize("cut", ["cut_before", "cut_after"])
def test_the_answer_about_a_manifest_is_lost(proxied, azure_store, azure_proxy, cut):
    azure_proxy.add(MANIFEST_COMMIT, **{cut: True})
    name = proxied.ok("run", "--no-notify").out.strip()
    assert azure_store.read(name + ".json").startswith(b'{"format": "rythm-backup manifest"')


def test_a_backup_that_fails_takes_its_manifest_back(proxied, azure_store, azure_proxy):
    azure_proxy.add(COMMIT, times=ALWAYS, **answer(400, "InvalidBlockList"))
    assert proxied.run("run", "--no-notify").code == 1
    assert azure_store.list() == []
    assert [name for name in azure_store.leftovers() if name.endswith(".json")] == []


def uncommitted(store, name):
    return name in [blob["name"] for blob in store.client.list(store.container)
                    if not blob["committed"]]

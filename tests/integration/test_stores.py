"""Several stores at once: one dump, the same object in each; what is missing is copied later."""

import hashlib
import os
import signal

import pytest

import azurite as azurite_module
import backups
import processes
from fault_proxy import ALWAYS, HttpFaultProxy
from stores import AzureStore, FileStore

RUN = ("run", "--no-notify", "--no-prune", "--no-verify")
BEST_EFFORT = "?required=false"


def url_of(store, options=""):
    return store.settings["RYTHM_BACKUP_STORES"] + options


def stores_of(*urls):
    return {"RYTHM_BACKUP_STORES": " ".join(urls)}


@pytest.fixture
def folders(tmp_path):
    return [FileStore(tmp_path / name) for name in ("first", "second", "third")]


@pytest.fixture
def two(make_tool, small_database, folders):
    """The program with two folders, both required."""
    return make_tool(small_database, **stores_of(url_of(folders[0]), url_of(folders[1])))


@pytest.fixture
def lame(make_tool, small_database, folders):
    """The program with a folder and a best-effort one that cannot be made: a file is in its place.
    lame.mend() takes that away."""
    tool = make_tool(small_database, **stores_of(url_of(folders[1], BEST_EFFORT),
                                                 url_of(folders[0])))
    folders[1].folder.write_text("in the way")
    tool.mend = folders[1].folder.unlink
    return tool


def copies(database):
    """store's last part -> state."""
    return {store.rsplit("/", 1)[1]: state for store, state in
            database.execute("SELECT store, state FROM backup_copies")}


def names(store):
    return [stored.name for stored in store.list()]


def assert_alike(*stores):
    """Each has the same backups and manifests, whole, with the same metadata, and nothing else."""
    first = stores[0]
    for stored in first.list():
        content = first.read(stored.name)
        assert hashlib.sha256(content).hexdigest() == stored.metadata["sha256"]
        for store in stores:
            (other,) = [each for each in store.list() if each.name == stored.name]
            assert other == stored and store.read(stored.name) == content
            if "manifestsha256" in stored.metadata:
                manifest = store.read(stored.name + ".json")
                assert hashlib.sha256(manifest).hexdigest() == stored.metadata["manifestsha256"]
    for store in stores:
        assert names(store) == names(first) and store.leftovers() == []


def make_due(database):
    """What is missing may be tried now."""
    database.execute("UPDATE backup_copies SET due_at = '2020-01-01'")


# One run

@pytest.mark.parametrize("engine", ["parallel", "pg_dump"])
def test_two_folders_have_the_same(two, folders, small_database, engine):
    result = two.ok("run", "--no-notify", "--json", "--engine", engine)
    assert len(names(folders[0])) == 1
    assert_alike(*folders[:2])
    assert result.json["stores"] == [url_of(folder) for folder in folders[:2]]
    assert result.json["missing_in"] == []
    assert copies(small_database) == {"first": "stored", "second": "stored"}
    assert result.err.count("Stored: ") == 2


def test_a_folder_and_two_accounts(make_tool, large_database, folders, accounts):
    """25 MB that do not compress: several blocks, of one size for all."""
    tool = make_tool(large_database, accounts[0], **stores_of(
        url_of(folders[0]), *(account.url for account in accounts)))
    tool.ok(*RUN)
    assert_alike(folders[0], *accounts)


def test_more_blocks_than_are_held_at_once(make_tool, large_database, folders):
    tool = make_tool(large_database, RYTHM_BACKUP_UPLOADS="1",
                     **stores_of(*(url_of(folder) for folder in folders)))
    tool.ok(*RUN)
    assert_alike(*folders)


def test_the_rows_of_one_store_are_as_they_were(make_tool, small_database, folders):
    make_tool(small_database, folders[0]).ok(*RUN)
    assert copies(small_database) == {}


# Credentials of each account

@pytest.fixture
def accounts(azurite, azure_store, tmp_path):
    """A container in each of two accounts; the first has the settings for both."""
    second = AzureStore(azurite, azure_store.container, tmp_path, azurite_module.SECOND_ACCOUNT)
    for store in (azure_store, second):
        store.url = f"azblob://{store.account}/{store.container}"
    azure_store.settings = {
        f"AZURE_STORAGE_CONNECTION_STRING_{store.account.upper()}":
        azurite_module.connection_string(azurite.port, store.account)
        for store in (azure_store, second)}
    return azure_store, second


def test_the_general_setting_serves_whom_it_names(make_tool, small_database, accounts):
    both = dict(accounts[0].settings)
    both["AZURE_STORAGE_CONNECTION_STRING"] = both.pop(
        "AZURE_STORAGE_CONNECTION_STRING_DEVSTOREACCOUNT1")
    tool = make_tool(small_database, **both, **stores_of(*(account.url for account in accounts)))
    tool.ok(*RUN)
    assert_alike(*accounts)


def test_an_accounts_setting_in_the_file(make_tool, small_database, accounts, tmp_path):
    conf = tmp_path / "conf"
    conf.write_text("".join(f"{name}={value}\n" for name, value in accounts[0].settings.items()))
    tool = make_tool(small_database, **stores_of(accounts[1].url))
    conf.chmod(0o644)
    result = tool.run("--config", conf, "list")
    assert (result.code, "holds a secret" in result.err) == (2, True)
    conf.chmod(0o600)
    tool.ok("--config", conf, *RUN)


@pytest.mark.parametrize("changes, words", [
    ({"AZURE_STORAGE_CONNECTION_STRING_SECONDACCOUNT": None, "AZURE_STORAGE_CONNECTION_STRING":
      "AccountName=otheraccount;AccountKey=c2VjcmV0LXNlY3JldA=="},
     "AZURE_STORAGE_CONNECTION_STRING is for the account otheraccount; set"),
    ({"AZURE_STORAGE_CONNECTION_STRING_SECONDACCOUNT": "AccountName=x"},
     "AZURE_STORAGE_CONNECTION_STRING_SECONDACCOUNT: "),
    ({"AZURE_STORAGE_CONNECTION_STRING_SECONDACCOUNT":
      "AccountName=otheraccount;AccountKey=c2VjcmV0LXNlY3JldA=="},
     "AZURE_STORAGE_CONNECTION_STRING_SECONDACCOUNT is for the account otheraccount"),
])
def test_an_account_without_its_key(make_tool, small_database, accounts, changes, words):
    tool = make_tool(small_database, accounts[0], **stores_of(
        *(account.url for account in accounts))).with_settings(**changes)
    result = tool.run(*RUN)
    assert result.code == 2 and words in result.err
    assert "c2VjcmV0" not in result.err


# A required store fails

def test_a_required_store_that_cannot_be_made(two, folders, small_database):
    folders[1].folder.write_text("in the way")
    result = two.run(*RUN)
    assert result.code == 1 and str(folders[1].folder) in result.err
    assert names(folders[0]) == [] and folders[0].leftovers() == []
    assert small_database.value("SELECT status FROM backup_history") == "failed"
    assert set(copies(small_database).values()) == {"gone"}


def test_a_required_store_that_fails_in_the_middle(make_tool, large_database, folders, accounts,
                                                   azurite):
    """Its blocks are refused: nothing is published in the other one."""
    proxy = HttpFaultProxy(azurite.port)
    try:
        proxy.add(r"^PUT .*comp=block&", times=ALWAYS, status=403)
        settings = azurite_module.connection_string(proxy.port)
        tool = make_tool(large_database, **stores_of(url_of(folders[0]), accounts[0].url),
                         AZURE_STORAGE_CONNECTION_STRING_DEVSTOREACCOUNT1=settings)
        result = tool.run(*RUN)
        assert result.code == 1 and accounts[0].url in result.err
    finally:
        proxy.stop()
    assert names(folders[0]) == [] and folders[0].leftovers() == []
    assert large_database.value("SELECT status FROM backup_history") == "failed"


# A best-effort store fails, and is made good

def test_a_best_effort_store_that_fails(lame, folders, small_database):
    result = lame.run("run", "--json", "--no-notify")
    assert result.code == 3
    assert "is not in " + url_of(folders[1]) in result.err
    assert result.json["stores"] == [url_of(folders[0])]
    assert result.json["missing_in"] == [url_of(folders[1])]
    assert copies(small_database) == {"first": "stored", "second": "missing"}
    assert small_database.value("SELECT status FROM backup_history") == "completed"


def test_the_next_check_copies(lame, folders, small_database):
    assert lame.run(*RUN, "--engine", "parallel").code == 3
    result = lame.run("check")
    assert result.code == 3 and "could not be copied to " + url_of(folders[1]) in result.err
    assert lame.ok("check", "-q").err == ""     # not due yet
    make_due(small_database)
    lame.mend()
    assert "Copied backup " in lame.ok("check").err
    assert_alike(*folders[:2])
    assert copies(small_database) == {"first": "stored", "second": "stored"}
    assert lame.ok("check", "-q").err == ""


def test_the_mail_tells_what_is_missing(lame, acs, folders):
    tool = lame.with_settings(**acs.settings)
    assert tool.run("run", "--no-prune").code == 3
    (message, _) = acs.messages
    body = str(message)
    assert "Missing in" in body and url_of(folders[1]) in body
    assert "Completed" in body


def test_a_slow_best_effort_store_is_left_out(make_tool, large_database, folders, accounts,
                                              azurite):
    """Its answers come after 30 s; the backup waits for one."""
    proxy = HttpFaultProxy(azurite.port)
    try:
        proxy.add(r"^PUT .*comp=block&", times=ALWAYS, stall_s=30)
        settings = azurite_module.connection_string(proxy.port)
        tool = make_tool(large_database, **stores_of(url_of(folders[0]),
                                                     accounts[0].url + BEST_EFFORT),
                         AZURE_STORAGE_CONNECTION_STRING_DEVSTOREACCOUNT1=settings,
                         RYTHM_BACKUP_BEST_EFFORT_WAIT="1s")
        result = tool.run(*RUN)
    finally:
        proxy.stop()
    assert result.code == 3 and "it held the backup up for more than 1 s" in result.err
    assert len(names(folders[0])) == 1 and folders[0].leftovers() == []
    good = tool.with_settings(
        AZURE_STORAGE_CONNECTION_STRING_DEVSTOREACCOUNT1=azurite.connection_string)
    good.ok("check")
    assert_alike(folders[0], accounts[0])


def test_a_damaged_source_is_not_copied(make_tool, small_database, folders):
    """From the third, which is whole."""
    tool = make_tool(small_database, **stores_of(url_of(folders[0]), url_of(folders[2]),
                                                 url_of(folders[1], BEST_EFFORT)))
    folders[1].folder.write_text("in the way")
    assert tool.run(*RUN).code == 3
    (name,) = names(folders[0])
    content = bytearray(folders[0].read(name))
    content[len(content) // 2] ^= 1
    (folders[0].folder / name).write_bytes(content)
    folders[1].folder.unlink()
    result = tool.ok("check")
    assert "from " + url_of(folders[2]) in result.err
    assert folders[1].read(name) == folders[2].read(name)


def test_what_no_store_has_is_not_wanted(lame, folders, small_database):
    assert lame.run(*RUN).code == 3
    folders[0].remove(names(folders[0])[0])
    lame.mend()
    assert "no store has it any more" in lame.ok("check").err
    assert copies(small_database)["second"] == "gone"


def test_a_store_that_is_named_no_more_is_owed_nothing(lame, folders, small_database):
    assert lame.run(*RUN).code == 3
    lame.mend()
    only = lame.with_settings(**stores_of(url_of(folders[0])))
    assert "names this store no more" in only.ok("check").err
    assert copies(small_database)["second"] == "gone" and names(folders[1]) == []


# Recovery

# Two manifests become visible, and then two objects.
BEFORE_FIRST = "renameat2", 3
BETWEEN = "renameat2", 4


def die_at(tool, call, number, *arguments):
    """Runs it and kills it as one of its threads makes this system call for the nth time."""
    result = tool.finish(tool.start(*arguments, prefix=(
        "strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
        f"inject={call}:signal=SIGKILL:when={number}")))
    assert result.code == -signal.SIGKILL, result


def die_at_check(tool, database, call, number):
    backups.enable(database, "02:00")
    die_at(tool, call, number, "check", "--now", f"{backups.now():%Y-%m-%d} 02:00:10")


def check_again(tool, minute=3):
    return tool.run("check", "--now", f"{backups.now():%Y-%m-%d} 02:0{minute}:00")


def test_killed_before_the_first_commit(two, folders, small_database):
    die_at_check(two, small_database, *BEFORE_FIRST)
    assert "interrupted before it was published" in check_again(two).err
    assert names(folders[0]) == names(folders[1]) == []
    check_again(two, 5)
    assert len(names(folders[0])) == 1
    assert_alike(*folders[:2])
    assert [status for (status,) in small_database.execute(
        "SELECT status FROM backup_history ORDER BY started_at")] == ["failed", "completed"]


def test_killed_between_the_commits(two, folders, small_database):
    die_at_check(two, small_database, *BETWEEN)
    assert (len(names(folders[0])), len(names(folders[1]))) == (1, 0)
    result = check_again(two)
    assert result.code == 0 and "adopted as completed" in result.err
    assert "Copied backup " in result.err
    assert_alike(*folders[:2])
    assert small_database.value("SELECT count(*) FROM backup_history") == 1
    assert copies(small_database) == {"first": "stored", "second": "stored"}


def test_killed_after_the_commits(two, folders, small_database):
    """Nothing is copied that is there."""
    die_at_check(two, small_database, *BETWEEN)
    (name,) = names(folders[0])
    for suffix in ("", ".meta"):
        (folders[1].folder / (name + suffix)).write_bytes(folders[0].read(name + suffix))
    result = check_again(two)
    assert result.code == 0 and "Copied backup " not in result.err
    assert set(copies(small_database).values()) == {"stored"}


class Hanging:
    """The program where no file in this folder can be opened: the call does not come back."""

    def __init__(self, tool, folder, log, *arguments):
        self._tool = tool
        self._log = log
        with open(log, "w") as err:
            self.process = tool.start(*arguments, stdout=err, stderr=err, prefix=(
                "strace", "-D", "-f", "-qq", "-o", "/dev/null", "-P", folder,
                "-e", "trace=openat", "-e", "inject=openat:delay_enter=3600000000"))
        processes.wait_until(lambda: self._status("TracerPid") != "0", "the tracer is there")
        self._tracer = int(self._status("TracerPid"))

    def _status(self, name):
        with open(f"/proc/{self.process.pid}/status") as status:
            (value,) = [line.split()[1] for line in status if line.startswith(f"{name}:")]
        return value

    def finish(self):
        """Its exit code, and what it said. Its thread stays in that call, as the tracer has it."""
        try:
            processes.wait_until(lambda: self._status("State") == "Z", "its end", timeout=60)
        finally:
            os.kill(self._tracer, signal.SIGKILL)
        return self._tool.finish(self.process).code, self._log.read_text()


@pytest.mark.parametrize("hanging", [0, 1], ids=["source", "target"])
def test_a_folder_that_hangs_while_a_copy_is_made(lame, folders, small_database, tmp_path, hanging):
    """The tick ends, and the attempt counts: what else is due in that store waits, too."""
    assert [lame.run(*RUN).code for _ in range(2)] == [3, 3]
    lame.mend()
    tool = lame.with_settings(RYTHM_BACKUP_STALL_TIMEOUT="3s")
    code, said = Hanging(tool, folders[hanging].folder, tmp_path / "log", "check").finish()
    hangs = f"store {url_of(folders[hanging])} hangs: nothing has moved there for 3 s"
    assert code == 3 and hangs in said
    assert small_database.execute("SELECT attempts FROM backup_copies WHERE state <> 'stored'"
                                  " AND due_at > now() ORDER BY attempts") == [(0,), (1,)]
    assert hangs in small_database.value("SELECT error_message FROM backup_copies"
                                         " WHERE attempts = 1")
    make_due(small_database)
    assert lame.ok("check").err.count("Copied backup ") == 2
    assert_alike(*folders[:2])


def test_a_stop_while_a_folder_hangs(lame, folders, small_database, tmp_path):
    assert lame.run(*RUN).code == 3
    lame.mend()
    run = Hanging(lame, folders[1].folder, tmp_path / "log", "check")
    processes.wait_until(lambda: small_database.value("SELECT sum(attempts) FROM backup_copies"),
                         "the attempt has begun")
    run.process.send_signal(signal.SIGTERM)
    assert run.finish()[0] == 128 + signal.SIGTERM
    make_due(small_database)
    lame.ok("check")
    assert_alike(*folders[:2])


def test_an_attempt_to_copy_is_noted_before_it_begins(lame, folders, small_database):
    """Not to be tried by each later tick, should it hang; what else is due there neither."""
    assert [lame.run(*RUN).code for _ in range(2)] == [3, 3]
    lame.mend()
    die_at(lame, "renameat2", 1, "check")
    assert small_database.value("SELECT array_agg(attempts ORDER BY attempts) FROM backup_copies"
                                " WHERE state <> 'stored' AND due_at > now()") == [0, 1]
    make_due(small_database)
    lame.ok("check")
    assert_alike(*folders[:2])


def test_a_store_that_does_not_answer_when_another_has_it(two, folders, small_database):
    die_at_check(two, small_database, *BETWEEN)
    aside = folders[1].folder.with_name("aside")
    folders[1].folder.rename(aside)
    folders[1].folder.write_text("in the way")
    result = check_again(two)
    assert result.code == 3 and "adopted as completed" in result.err
    assert "could not be copied" in result.err
    folders[1].folder.unlink()
    aside.rename(folders[1].folder)
    make_due(small_database)
    check_again(two)
    assert_alike(*folders[:2])


def test_a_store_that_does_not_answer_when_no_other_has_it(two, folders, small_database):
    die_at_check(two, small_database, *BEFORE_FIRST)
    aside = folders[1].folder.with_name("aside")
    folders[1].folder.rename(aside)
    folders[1].folder.write_text("in the way")
    result = check_again(two)
    assert result.code == 3 and "could not be found out" in result.err
    assert small_database.value("SELECT status FROM backup_history") == "started"
    folders[1].folder.unlink()
    aside.rename(folders[1].folder)
    check_again(two)
    check_again(two, 5)
    assert_alike(*folders[:2])


def test_a_copy_that_was_cut_short(lame, folders, small_database):
    """Of the two files of a copy only the first was renamed to its name."""
    assert lame.run(*RUN, "--engine", "parallel").code == 3
    lame.mend()
    die_at(lame, "renameat2", 2, "check")
    assert names(folders[1]) == []
    make_due(small_database)
    lame.ok("check")
    assert_alike(*folders[:2])


@pytest.mark.parametrize("why", ["its schedule names this store no more",
                                 "no store has it any more"])
def test_what_an_attempt_left_of_a_copy_that_is_not_wanted(lame, folders, small_database, why):
    """A manifest, and the hidden files of the object."""
    assert lame.run(*RUN, "--engine", "parallel").code == 3
    lame.mend()
    die_at(lame, "renameat2", 2, "check")
    assert names(folders[1]) == [] and len(folders[1].leftovers()) > 1
    tool = lame
    if "names" in why:
        tool = lame.with_settings(**stores_of(url_of(folders[0])))
    else:
        folders[0].remove(names(folders[0])[0])
    make_due(small_database)
    assert why in tool.ok("check").err
    assert folders[1].leftovers() == [] and copies(small_database)["second"] == "gone"


def test_what_an_attempt_left_in_a_bucket(make_tool, small_database, folders, s3, s3_store):
    tool = make_tool(small_database, s3_store, **stores_of(
        url_of(folders[0]), url_of(s3_store, "&required=false")))
    s3.fault(r"PUT ", times=ALWAYS, status=403, code="AccessDenied")
    assert tool.run(*RUN).code == 3
    (name,) = names(folders[0])
    s3.client.create_multipart_upload(Bucket="backups", Key=f"of/rythm/{name}")
    folders[0].remove(name)
    make_due(small_database)
    assert "no store has it any more" in tool.ok("check").err
    assert s3.uploads == {} and s3.buckets["backups"] == {}


def test_a_store_that_is_named_no_more_and_cannot_be_looked_at(lame, folders, small_database):
    """That is told once."""
    assert lame.run(*RUN).code == 3
    only = lame.with_settings(**stores_of(url_of(folders[0])))
    result = only.run("check")
    assert result.code == 3 and "this is not tried again" in result.err
    assert copies(small_database)["second"] == "gone"
    make_due(small_database)
    assert only.ok("check", "-q").err == ""


def test_a_copy_that_is_there_in_a_store_that_is_named_no_more(two, folders, small_database):
    """It is whole, and stays so."""
    two.ok(*RUN, "--engine", "parallel")
    small_database.execute("UPDATE backup_copies SET state = 'pending', due_at = '2020-01-01'"
                           " WHERE store LIKE '%second'")
    two.with_settings(**stores_of(url_of(folders[0]))).ok("check")
    assert copies(small_database) == {"first": "stored", "second": "stored"}
    assert_alike(*folders[:2])


def test_what_a_failed_run_left_with_a_best_effort_store(make_tool, small_database, folders):
    tool = make_tool(small_database, **stores_of(url_of(folders[0]),
                                                 url_of(folders[1], BEST_EFFORT)))
    die_at_check(tool, small_database, "renameat2", 2)  # its manifest, the object
    check_again(tool)
    assert folders[1].leftovers() == []
    check_again(tool, 5)
    assert_alike(*folders[:2])


def test_a_rewound_ledger_knows_the_occurrence_again(two, folders, small_database):
    backups.enable(small_database)
    tool_now = ("check", "--now", f"{backups.now():%Y-%m-%d} 02:00:10")
    two.ok(*tool_now)
    small_database.execute("DELETE FROM backup_history; DELETE FROM backup_copies")
    folders[1].remove(names(folders[1])[0])
    two.ok(*tool_now)
    two.ok("check", "--now", f"{backups.now():%Y-%m-%d} 02:00:50")
    assert len(names(folders[0])) == 1 and names(folders[0])[0] in names(folders[1])


# Reading what is there

@pytest.fixture
def backed_up(two, folders):
    """The program and the name of a backup that is in both folders."""
    two.ok(*RUN, "--engine", "parallel")
    (name,) = names(folders[0])
    return two, name


def damage(store, name):
    content = bytearray(store.read(name))
    content[len(content) // 2] ^= 1
    (store.folder / name).write_bytes(content)


def test_list_tells_where_each_is(lame, folders):
    assert lame.run(*RUN).code == 3
    lame.mend()
    lame.ok("check")
    assert lame.ok(*RUN).code == 0
    folders[1].remove(names(folders[1])[0])
    listed = lame.ok("list", "--json").json["backups"]
    assert sorted(len(entry["stores"]) for entry in listed) == [1, 2, 2]
    out = lame.ok("list").out
    assert "ALSO IN" in out and url_of(folders[1]) in out


def test_status_tells_what_is_missing(lame, small_database, folders):
    assert lame.run(*RUN).code == 3
    result = lame.ok("status")
    assert "1 copy is missing" in result.out
    (schedule,) = lame.ok("status", "--json").json["schedules"]
    (missing,) = schedule["copies_amiss"]
    assert missing["store"] == url_of(folders[1]) and missing["state"] == "missing"
    small_database.execute("UPDATE backup_copies SET required = true")
    result = lame.run("status")
    assert (result.code, "copies-missing" in result.out) == (0, False)
    small_database.execute("UPDATE backup_schedule SET enabled = true")
    result = lame.run("status")
    assert (result.code, "copies-missing" in result.out) == (1, True)


@pytest.mark.parametrize("how", ["damaged", "gone", "no manifest"])
def test_restore_takes_the_first_good_copy(backed_up, folders, make_database, how):
    tool, name = backed_up
    if how == "damaged":
        damage(folders[0], name)
    elif how == "gone":
        folders[0].folder.rename(folders[0].folder.with_name("elsewhere"))
    else:
        damage(folders[0], name + ".json")
    target = make_database()
    result = tool.ok("restore", name, "--to", target.url)
    assert target.value("SELECT count(*) FROM users") == 3
    words = {"damaged": "is of no use", "gone": "A store was left out",
             "no manifest": "is of no use"}
    assert words[how] in result.err


def test_output_takes_the_first_good_copy(backed_up, folders, tmp_path):
    tool, name = backed_up
    damage(folders[0], name)
    tool.ok("restore", name, "--output", tmp_path / "script")
    good = (tmp_path / "script").read_text()
    assert "PostgreSQL database dump complete" in good
    assert tool.ok("restore", name, "--output", "-").out == good


def test_a_restore_with_no_good_copy(backed_up, folders, make_database):
    tool, name = backed_up
    damage(folders[0], name)
    damage(folders[1], name)
    target = make_database()
    result = tool.run("restore", name, "--to", target.url)
    assert result.code == 1 and "is of no use" in result.err
    assert target.value("SELECT count(*) FROM pg_class WHERE relname = 'users'") == 0


def test_a_fault_of_the_target_tries_no_other(backed_up, small_database):
    tool, name = backed_up
    result = tool.run("restore", name, "--to", small_database.url)
    assert result.code == 2 and "is of no use" not in result.err


@pytest.mark.parametrize("arguments", [(), ("--quick",), ("--all", "--quick")])
def test_verify_takes_the_first_good_copy(backed_up, folders, small_database, arguments):
    tool, name = backed_up
    damage(folders[0], name)
    result = tool.run("verify", "--json", *arguments)
    assert result.code == 3 and "is not good" in result.err
    (verdict,) = result.json["backups"]
    assert (verdict["verdict"], verdict["store"]) == ("good", url_of(folders[1]))
    assert copies(small_database)["first"] == "damaged"
    assert small_database.value("SELECT verify_failed_at IS NULL FROM backup_history")


def test_a_backup_of_which_every_copy_is_bad(backed_up, folders, small_database):
    tool, name = backed_up
    damage(folders[0], name)
    damage(folders[1], name)
    result = tool.run("verify", "--json", "--quick")
    assert (result.code, result.json["backups"][0]["verdict"]) == (1, "bad")
    assert small_database.value("SELECT verify_failed_at IS NOT NULL FROM backup_history")


@pytest.mark.parametrize("damaged", [0, 1])
def test_a_damaged_copy_beside_a_store_that_does_not_answer(backed_up, folders, small_database,
                                                            damaged):
    """Whichever of them is asked first: the other's copy may be good."""
    tool, name = backed_up
    damage(folders[damaged], name)
    folders[1 - damaged].folder.rename(folders[1 - damaged].folder.with_name("aside"))
    result = tool.run("verify", "--json", "--quick", name)
    assert (result.code, result.json["backups"][0]["verdict"]) == (1, "unknown")
    assert "may have a good copy" in result.err
    assert copies(small_database)[folders[damaged].folder.name] == "damaged"
    assert small_database.value("SELECT verify_failed_at IS NULL FROM backup_history")


# Retention

def test_retention_works_in_each_store(two, folders, small_database):
    schedule = backups.enable(small_database, retention_days=7)
    for age in range(5, 12):
        for folder in folders[: 1 if age == 11 else 2]:
            folder.put(*backups.made_at(backups.now() - age * backups.DAY, schedule,
                                        small_database))
    two.ok("run", "--no-notify")
    assert len(names(folders[0])) == len(names(folders[1])) == 3


def test_a_damaged_copy_counts_for_nothing_in_its_store(make_tool, small_database, folders):
    """KEEP_MIN good ones must be newer, in that very store."""
    tool = make_tool(small_database, RYTHM_BACKUP_KEEP_MIN="1",
                     **stores_of(url_of(folders[0]), url_of(folders[1])))
    schedule = backups.enable(small_database, retention_days=1)
    for folder in folders[:2]:
        folder.put(*backups.made_at(backups.now() - 3 * backups.DAY, schedule, small_database))
    tool.ok(*RUN, "--engine", "parallel")
    newest = max(names(folders[0]))
    damage(folders[0], newest)
    assert tool.run("verify", newest).code == 3
    tool.ok("prune")
    assert (len(names(folders[0])), len(names(folders[1]))) == (2, 1)


# Schedules

def test_a_schedule_names_its_stores(make_tool, small_database, folders):
    tool = make_tool(small_database, folders[2])
    folders[2].folder.mkdir()
    stores = f"{url_of(folders[0])} {url_of(folders[1], BEST_EFFORT)}"
    tool.ok("schedule", "add", "both", "--stores", stores)
    assert tool.ok("schedule", "show", "both", "--json").json["schedules"][0]["stores"] == stores
    tool.ok("run", "both", "--no-notify")
    assert_alike(*folders[:2])
    assert names(folders[2]) == []
    assert len(tool.ok("list", "--json").json["backups"]) == 2


@pytest.mark.parametrize("stores, words", [
    ("file:///a file:///a", "is named twice"),
    ("file:///a?required=false file:///b?required=false", "needs one that is required"),
    ("file:///a?required=maybe file:///b", "must be true or false"),
    ("file:///a,file:///b", "separate them by blanks"),
    ("file:///a nonsense", "is not the URL of a store"),
    (" ".join(f"file:///{number}" for number in range(9)), "more than 8 stores"),
    ("file:///a?colour=red", "has no option 'colour'"),
])
def test_bad_lists_of_stores(make_tool, small_database, stores, words):
    tool = make_tool(small_database, **stores_of(stores))
    for arguments in (("check",), RUN, ("list",)):
        result = tool.run(*arguments)
        assert result.code == 2 and words in result.err, result
    if "twice" not in words:
        result = tool.with_settings(RYTHM_BACKUP_STORES="file:///tmp").run(
            "schedule", "set", small_database.value(backups.SCHEDULE), "--stores", stores)
        assert result.code == 2 and words in result.err, result
    small_database.execute("UPDATE backup_schedule SET enabled = true, stores = %s", stores)
    result = tool.with_settings(RYTHM_BACKUP_STORES="file:///tmp").run("check")
    assert result.code == 3 and words in result.err, result


@pytest.mark.parametrize("wait", ["0", "soon", "-1", "2d"])
def test_a_bad_wait(two, wait):
    result = two.with_settings(RYTHM_BACKUP_BEST_EFFORT_WAIT=wait).run("list")
    assert result.code == 2 and "RYTHM_BACKUP_BEST_EFFORT_WAIT" in result.err

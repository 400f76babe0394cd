"""S3: parts, conditions, what a service does on a bad day, and as whom it is asked."""

import json
import os
import signal
from datetime import timedelta

import backups
import pg_dumps
import processes
import pytest
import s3_server
from aws_identities import ROLE, AwsIdentities
from tables import statuses

MIB = 1 << 20
PARTS = r"PUT .*partNumber="
COMPLETE = r"POST .*uploadId="
# Alone it is one PutObject, or three parts of 8 MiB at most when it is not compressed.
SMALL = f"printf '{pg_dumps.END}'"
LARGE = (f"head -c {15 * MIB} /dev/urandom | base64 -w 80 | sed 's/^/-- /';"
         ' "$REAL" "$@"')


@pytest.fixture
def make_backup(make_tool, small_database, s3_store, tmp_path):
    """A function: a run whose dump is this script."""
    def run(body, store=s3_store, code=0, **settings):
        fake = pg_dumps.script(tmp_path, body)
        merged = {"RYTHM_BACKUP_RETRY_TIMEOUT": "20s", **fake, **settings}
        result = make_tool(small_database, store).with_settings(**merged).run(
            "run", "--no-notify", "--compression", "none")
        assert result.code == code, result.err
        return result
    return run


def failure(result):
    (line,) = [line for line in result.err.splitlines() if line.startswith("❌")]
    return line


# Against Swift, which has signatures and parts of its own

def test_swift_takes_lists_gives_and_deletes(make_backup, make_tool, small_database, swift_store):
    make_backup(LARGE, swift_store)
    make_backup(SMALL, swift_store)
    small, large = sorted(swift_store.list(), key=lambda stored: stored.bytes)
    assert large.bytes > 20 * MIB and int(large.metadata["bytes"]) == large.bytes
    assert swift_store.leftovers() == []
    tool = make_tool(small_database, swift_store)
    listed = tool.ok("list", "--json").json["backups"]
    assert {backup["name"]: backup["sha256"] for backup in listed} == {
        stored.name: stored.metadata["sha256"] for stored in (small, large)}
    tool.ok("verify", large.name, "--quick")
    tool.ok("prune", large.name, small.name, "--force")
    assert swift_store.list() == [] and swift_store.leftovers() == []


def test_swift_refuses_another_secret(make_tool, small_database, swift_store):
    tool = make_tool(small_database, swift_store, AWS_SECRET_ACCESS_KEY="another secret")
    result = tool.run("list")
    assert result.code == 1
    assert "403 SignatureDoesNotMatch" in result.err
    assert "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in result.err
    assert "another secret" not in result.err


# Parts

def test_an_object_in_parts(make_backup, s3, s3_store, make_tool, small_database):
    make_backup(LARGE)
    (stored,) = s3_store.list()
    made = s3.buckets["backups"][f"of/rythm/{stored.name}"]
    assert made.etag.endswith('-3"') and made.headers["x-amz-meta-metadata"] == "beside"
    assert int(stored.metadata["bytes"]) == stored.bytes == len(made.body)
    assert s3.count(COMPLETE) == 1 and s3.uploads == {} and s3_store.leftovers() == []
    tool = make_tool(small_database, s3_store)
    tool.ok("verify", "latest", "--quick")
    tool.ok("prune", stored.name, "--force")
    assert s3.buckets["backups"] == {}


def test_parts_of_one_size(make_backup, s3, s3_store):
    s3_store.settings = s3.settings("backups", "/of/rythm", "&part_size=5")
    make_backup(LARGE)
    (stored,) = s3_store.list()
    assert s3.buckets["backups"][f"of/rythm/{stored.name}"].etag.endswith('-5"')


def test_the_bucket_in_the_hosts_name(make_backup, s3, s3_store):
    """*.localhost is this host to libcurl."""
    settings = s3.settings("backups", "/of/rythm", "&style=virtual")
    settings["RYTHM_BACKUP_STORES"] = settings["RYTHM_BACKUP_STORES"].replace("127.0.0.1",
                                                                              "localhost")
    s3_store.settings = settings
    make_backup(LARGE)
    assert s3.count(PARTS) == 3 and s3.count("/backups/") == 0
    assert len(s3_store.list()) == 1


def test_a_list_of_several_pages(make_tool, small_database, s3, s3_store):
    names = [f"rythm-backup-2025-01-{day:02}T02-00-00-000Z.sql" for day in range(1, 6)]
    s3_store.put_all((name, b"--", None) for name in names)
    s3.page = 2
    listed = make_tool(small_database, s3_store).ok("list", "--json").json["backups"]
    assert sorted(backup["name"] for backup in listed) == names
    assert s3.count("continuation-token") == 2


# Nothing is overwritten

@pytest.mark.parametrize("body, commit", [(SMALL, r"PUT /backups/of/rythm/rythm-backup-"),
                                          (LARGE, COMPLETE)], ids=["whole", "parts"])
def test_a_name_that_is_taken(make_backup, s3, s3_store, small_database, body, commit):
    """By somebody who came between the question and the commit."""
    def take():
        key = s3.requests[-1].split()[1].partition("?")[0].removeprefix("/backups/")
        if key not in s3.buckets["backups"]:
            s3.buckets["backups"][key] = s3_server.Object(b"somebody's", '"theirs"', {})

    s3.fault(commit, act=take)
    result = make_backup(body, code=1)
    assert "an object of this name exists already and was left as it is" in failure(result)
    assert [stored.body for stored in s3.buckets["backups"].values()] == [b"somebody's"]
    assert s3.uploads == {} and statuses(small_database) == ["failed"]


@pytest.mark.parametrize("conditions", ["refused", "ignored"])
def test_services_without_conditions(make_backup, s3, s3_store, conditions):
    s3.conditions = conditions
    for body in (SMALL, LARGE):
        make_backup(body)
    assert len(s3_store.list()) == 2 and s3_store.leftovers() == []
    assert s3.refusals.count("NotImplemented") == (2 if conditions == "refused" else 0)


# Bad days

def assert_stored_whole(s3, s3_store):
    (stored,) = s3_store.list()
    assert int(stored.metadata["bytes"]) == stored.bytes
    assert [fault.times for fault in s3.faults] == [0] * len(s3.faults)


def test_what_is_tried_again(make_backup, s3, s3_store):
    s3.fault(r"GET .*list-type", status=503, code="SlowDown")
    s3.fault(r"POST .*uploads=", lose_answer=True)
    s3.fault(r"partNumber=1&", status=503, code="SlowDown")
    s3.fault(r"partNumber=2&", status=400, code="RequestTimeout")
    s3.fault(r"partNumber=3&", lose_answer=True)
    make_backup(LARGE)
    assert_stored_whole(s3, s3_store)
    assert len(s3.uploads) == 1  # who asked for it never learnt its id


@pytest.mark.parametrize("fault", [
    {"status": 500}, {"in_body": True}, {"lose_answer": True}], ids=str)
def test_a_commit_that_is_tried_again(make_backup, s3, s3_store, fault):
    s3.fault(COMPLETE, **fault)
    make_backup(LARGE)
    assert_stored_whole(s3, s3_store)
    assert s3.uploads == {} and s3_store.leftovers() == []


def test_a_lost_answer_to_a_whole_object(make_backup, s3, s3_store):
    s3.fault(r"PUT /backups/of/rythm/rythm-backup-", lose_answer=True)
    make_backup(SMALL)
    assert s3.refusals.count("PreconditionFailed") == 1 and len(s3_store.list()) == 1


@pytest.mark.parametrize("pattern, fault, reason", [
    (PARTS, {"status": 403, "code": "AccessDenied"}, "the credentials need s3:ListBucket"),
    (COMPLETE, {"in_body": True, "code": "InvalidPart"}, "400 InvalidPart"),
    (COMPLETE, {"status": 409, "code": "ConditionalRequestConflict"},
     "the backup has to be made again"),
    (r"PUT .*\.meta", {"status": 403, "code": "AccessDenied"}, "storing the metadata"),
    (r"POST .*uploads=", {"status": 403, "code": "AccessDenied"}, "beginning the upload"),
], ids=str)
def test_what_fails_leaves_nothing(make_backup, s3, s3_store, small_database, pattern, fault,
                                   reason):
    s3.fault(pattern, times=9, **fault)
    assert reason in failure(make_backup(LARGE, code=1))
    assert s3.buckets["backups"] == {} and s3.uploads == {}
    assert statuses(small_database) == ["failed"]


def test_an_abort_that_comes_before_a_part(make_backup, s3):
    """It is stored after all: the abort is repeated until the service has none."""
    s3.fault("partNumber=2&", times=9, status=403, code="AccessDenied")
    s3.late_parts = 2
    make_backup(LARGE, code=1)
    assert s3.uploads == {} and s3.count("DELETE .*uploadId=") == 3


def test_an_abort_that_never_helps(make_backup, s3):
    s3.fault("partNumber=2&", times=9, status=403, code="AccessDenied")
    s3.late_parts = 99
    result = make_backup(LARGE, code=1)
    assert "the service still has parts of it after 8 attempts" in result.err


def test_an_abort_by_who_may_not_look(make_backup, s3):
    s3.fault("partNumber=2&", times=9, status=403, code="AccessDenied")
    s3.fault("GET .*max-parts=", times=9, status=403, code="AccessDenied")
    result = make_backup(LARGE, code=1)
    assert s3.uploads == {} and "paid for" not in result.err


def test_a_failure_beside_another_store_leaves_nothing(make_backup, s3, s3_store, tmp_path):
    """Where the failure gives up whatever else goes on in the store."""
    stores = f"file://{tmp_path}/beside {s3_store.settings['RYTHM_BACKUP_STORES']}"
    s3.fault("partNumber=2&", times=9, status=403, code="AccessDenied")
    make_backup(LARGE, code=1, RYTHM_BACKUP_STORES=stores)
    assert s3.buckets["backups"] == {} and s3.uploads == {}


def test_an_object_that_is_shorter_than_what_was_sent(make_backup, s3, s3_store):
    def cut():
        for stored in s3.buckets["backups"].values():
            stored.body = stored.body[:-1]

    s3.fault(COMPLETE, after=cut)
    result = make_backup(LARGE, code=1)
    assert "the object was removed again" in failure(result)
    assert s3.buckets["backups"] == {} and s3.uploads == {}


def test_what_a_dead_run_left_is_removed(make_tool, small_database, s3, s3_store, tmp_path):
    gate = pg_dumps.Gate(tmp_path, f"{LARGE}; WAIT")
    tool = make_tool(small_database, s3_store)
    run = tool.with_settings(**gate.settings).start("run", "--no-notify", "--compression", "none")
    gate.reached()
    processes.wait_until(lambda: any(upload.parts for upload in s3.uploads.values()), "parts")
    run.send_signal(signal.SIGKILL)
    tool.finish(run)
    gate.open()
    tool.run("check")
    assert statuses(small_database) == ["failed"]
    assert s3.uploads == {} and s3.buckets["backups"] == {}


def put_metadata(s3_store, home, days, beside="", **changes):
    """Metadata of a backup so many days old, without it."""
    name, _, facts = backups.made_at(backups.now() - timedelta(days=days),
                                     home.value(backups.SCHEDULE), home, **changes)
    key = f"{name}{beside}.{facts['run']}.meta"
    s3_store.put(key, json.dumps(facts).encode())
    return key


def test_metadata_without_their_object_go_after_a_week(make_backup, s3, s3_store, make_tool,
                                                       small_database):
    """No run can be about to publish then; what is not provably of this ledger stays."""
    make_backup(LARGE)
    home = small_database
    before = set(s3_store._keys())
    put_metadata(s3_store, home, 8)
    put_metadata(s3_store, home, 9, ".json")
    kept = {put_metadata(s3_store, home, 6), put_metadata(s3_store, home, 10, ledger="a_copy")}
    damaged = "rythm-backup-2025-01-01T02-00-00-000Z.sql.0123456789abcdef.meta"
    s3_store.put(damaged, b"{")
    tool = make_tool(small_database, s3_store)
    assert len(tool.ok("list", "--json").json["backups"]) == 1
    tool.ok("prune", "--dry-run")
    assert len(s3_store._keys()) == len(before) + 5
    tool.ok("prune")
    assert set(s3_store._keys()) == before | kept | {damaged}
    assert len(s3_store.list()) == 1


def test_metadata_whose_object_is_published_meanwhile(s3, s3_store, make_tool, small_database):
    """After the list that lacks it: it is asked for once more."""
    key = put_metadata(s3_store, small_database, 8)
    name = key.removesuffix(key[-22:])
    s3.fault(rf"HEAD .*{name}$", act=lambda: s3_store.put(name, b"published"))
    make_tool(small_database, s3_store).ok("prune")
    assert set(s3_store._keys()) == {name, key} and [fault.times for fault in s3.faults] == [0]


# Where and as whom

@pytest.mark.parametrize("change, reason", [
    ({"AWS_SECRET_ACCESS_KEY": "x"}, "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    ({"AWS_ACCESS_KEY_ID": "AKIDX"}, "403 InvalidAccessKeyId"),
    ({"AWS_SESSION_TOKEN": "old"}, "AWS_SESSION_TOKEN has ended"),
    ({"region": "us-east-1"}, "the bucket is in the region eu-test-1, not us-east-1: set"
                              " region=eu-test-1 in its URL"),
    ({"bucket": "missing"}, "create the bucket, or check its name, region and endpoint"),
], ids=str)
def test_who_is_refused_is_told_what_to_do(make_tool, small_database, s3, s3_store, change,
                                           reason):
    bucket = change.pop("bucket", "backups")
    url = s3_server.url(s3.port, bucket, region=change.pop("region", s3_server.REGION))
    tool = make_tool(small_database, s3_store, RYTHM_BACKUP_STORES=url, **change)
    result = tool.run("list")
    assert result.code == 1 and reason in result.err, result.err


def of_bucket(bucket, key_id, secret, token=None):
    """The settings of a key for this bucket alone."""
    member = bucket.upper().replace("-", "_").replace(".", "_")
    settings = {f"AWS_ACCESS_KEY_ID_{member}": key_id, f"AWS_SECRET_ACCESS_KEY_{member}": secret}
    return settings | ({f"AWS_SESSION_TOKEN_{member}": token} if token else {})


@pytest.fixture
def two_keys(make_tool, small_database, s3):
    """The program with two buckets, each with a key that the other does not accept."""
    s3.keys = {"AKIDFIRST": s3_server.Keys("a secret of the first"),
               "AKIDSECOND": s3_server.Keys("a secret of the second", "a token of the second")}
    for bucket, key in ("first", "AKIDFIRST"), ("the-2nd.one", "AKIDSECOND"):
        s3.make_bucket(bucket)
        s3.owners[bucket] = key
    stores = " ".join(s3_server.url(s3.port, bucket) for bucket in ("first", "the-2nd.one"))
    return make_tool(small_database, RYTHM_BACKUP_STORES=stores,
                     **of_bucket("the-2nd.one", "AKIDSECOND", "a secret of the second",
                                 "a token of the second"))


@pytest.mark.parametrize("first", ["of its own", "general"])
def test_buckets_with_keys_of_their_own(two_keys, s3, first):
    settings = of_bucket("first", "AKIDFIRST", "a secret of the first")
    if first == "general":
        settings = {name.removesuffix("_FIRST"): value for name, value in settings.items()}
    two_keys.with_settings(**settings).ok("run", "--no-notify")
    inside = [{key: stored.body for key, stored in s3.buckets[bucket].items()}
              for bucket in ("first", "the-2nd.one")]
    assert inside[0] == inside[1] != {} and set(s3.refusals) == {"NoSuchKey"}


@pytest.mark.parametrize("settings, code, reason", [
    ({"AWS_ACCESS_KEY_ID_FIRST": "AKIDFIRST"}, 2,
     "AWS_ACCESS_KEY_ID_FIRST is set, but AWS_SECRET_ACCESS_KEY_FIRST is not"),
    ({"AWS_SECRET_ACCESS_KEY_FIRST": "a secret of the first"}, 2,
     "AWS_SECRET_ACCESS_KEY_FIRST is set, but AWS_ACCESS_KEY_ID_FIRST is not"),
    ({"AWS_SESSION_TOKEN_FIRST": "a secret of the first"}, 2,
     "AWS_SESSION_TOKEN_FIRST is set, but AWS_ACCESS_KEY_ID_FIRST is not"),
    (of_bucket("first", "a b", "a secret of the first"), 2,
     "AWS_ACCESS_KEY_ID_FIRST is not the id of an access key"),
    (of_bucket("first", "AKIDFIRST", "a secret of the third"), 1,
     "check AWS_ACCESS_KEY_ID_FIRST and AWS_SECRET_ACCESS_KEY_FIRST"),
    (of_bucket("first", "AKIDFIRST", "a secret of the first", "a secret of the third"), 1,
     "AWS_SESSION_TOKEN_FIRST has ended"),
], ids=lambda value: str(value)[:30])
def test_a_key_of_a_bucket_that_is_wrong(two_keys, settings, code, reason):
    """The general one, which is whole, is not mixed in, and no secret is told."""
    general = {"AWS_ACCESS_KEY_ID": "AKIDFIRST", "AWS_SECRET_ACCESS_KEY": "a secret of the first"}
    result = two_keys.with_settings(**general, **settings).run("run", "--no-notify")
    assert result.code == code and reason in result.err, result.err
    assert "a secret of" not in result.err


@pytest.mark.parametrize("url, settings, reason", [
    ("s3://Bucket", {}, "is not the name of a bucket"),
    ("s3://bucket", {}, "add ?region=REGION to the URL, or set AWS_REGION"),
    ("s3://bucket", {"AWS_REGION": "eu west"}, "AWS_REGION: 'eu west' is not the name of a region"),
    ("s3://bucket", {"AWS_ENDPOINT_URL_S3": "minio"}, "AWS_ENDPOINT_URL_S3 is not the URL"),
    ("s3://bucket?size=1", {}, "its options: required, endpoint, region, style, part_size"),
    ("s3://bucket?region=a", {"AWS_SESSION_TOKEN": "t", "AWS_ACCESS_KEY_ID": "a b"},
     "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not"),
    ("s3://bucket?region=a", {"AWS_EC2_METADATA_DISABLED": "true"},
     "there are no credentials for S3"),
    ("s3://bucket?region=a", {"AWS_WEB_IDENTITY_TOKEN_FILE": "/f"}, "AWS_ROLE_ARN is not"),
    ("s3://bucket?region=a", {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "v2"}, "begins with /"),
], ids=str)
def test_settings_that_are_wrong(make_tool, small_database, url, settings, reason):
    tool = make_tool(small_database, RYTHM_BACKUP_STORES=url, **settings)
    result = tool.run("list")
    assert result.code == 2 and reason in result.err, result.err


@pytest.fixture
def identities(s3):
    source = AwsIdentities(s3)
    yield source
    source.stop()


@pytest.fixture
def kinds(identities, s3_store, tmp_path):
    """The settings of each kind of identity, beside the store's."""
    url = {"RYTHM_BACKUP_STORES": s3_store.settings["RYTHM_BACKUP_STORES"]}
    (tmp_path / "web").write_text(identities.web_token + "\n")
    (tmp_path / "container").write_text(identities.container_token)
    return {
        "web": url | {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "web"),
                      "AWS_ENDPOINT_URL_STS": identities.url},
        "container": url | {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{identities.url}/container",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "container")},
        "machine": url | {"AWS_EC2_METADATA_SERVICE_ENDPOINT": identities.url},
    }


@pytest.mark.parametrize("kind", ["web", "container", "machine"])
def test_an_identity_of_aws(make_backup, s3_store, identities, kinds, kind):
    s3_store.settings = kinds[kind]
    result = make_backup(SMALL)
    assert len(s3_store.list()) == 1 and len(identities.given) == 1
    assert "secret/of" not in result.err and "session/token" not in result.err


def test_keys_are_renewed_during_an_upload(make_backup, s3, s3_store, identities, kinds, tmp_path):
    """Within five minutes of their end; the token's file is read again each time."""
    identities.lifetime_s = 240
    s3_store.settings = kinds["web"]

    def replace():
        identities.web_token = "a.web.identity-2"
        (tmp_path / "web").write_text(identities.web_token)

    s3.fault(r"POST .*uploads=", act=replace)
    make_backup(LARGE)
    assert len(s3_store.list()) == 1 and len(identities.given) > 3


def test_keys_that_the_service_calls_too_old(make_backup, s3, s3_store, identities, kinds):
    def expire():
        s3.keys[identities.given[0]].expired = True

    s3_store.settings = kinds["machine"]
    s3.fault(PARTS, act=expire)
    make_backup(LARGE)
    assert len(s3_store.list()) == 1 and s3_store.leftovers() == []
    assert len(identities.given) == 2 and "ExpiredToken" in s3.refusals


def test_an_identity_that_is_refused(make_tool, small_database, s3_store, identities, kinds):
    identities.refusal = (403, "AccessDenied")
    s3_store.settings = kinds["web"]
    result = make_tool(small_database, s3_store).run("list")
    assert result.code == 1
    assert "AccessDenied: it is so; check AWS_ROLE_ARN, the trust of that role" in result.err
    assert identities.web_token not in result.err
    os.truncate(kinds["web"]["AWS_WEB_IDENTITY_TOKEN_FILE"], 0)
    result = make_tool(small_database, s3_store).run("list")
    assert result.code == 2 and "does not hold a token" in result.err


def test_a_machine_without_an_answer(make_tool, small_database, s3_store, kinds):
    s3_store.settings = kinds["machine"] | {
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{processes.free_port()}"}
    result = make_tool(small_database, s3_store).run("list")
    assert result.code == 1
    assert "asking the machine for a session" in result.err
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in result.err

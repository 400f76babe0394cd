"""The parts that the other tests rely on; all but the last are proved without the program."""

import email.utils
import hashlib
import http.client
import json
import pathlib
import time

import psycopg2
import pytest

import acs_stub
import azurite as azurite_module
import postgres_cluster
import tool as tool_module
from fault_proxy import ALWAYS

BLOCK = "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAx"


# The cluster and the sample

def test_cluster_is_not_the_machines(cluster, folder):
    (data,) = cluster.execute("postgres", "SHOW data_directory")[0]
    assert data.startswith(str(folder))


def test_cluster_wants_the_password(cluster):
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(cluster.url("postgres", password="wrong"))


def test_sample_holds_what_a_dump_can_get_wrong(make_database, sample):
    database = make_database(sample)
    assert database.value("SELECT count(*) FROM sessions") == 1000
    assert database.value("SELECT count(*) FROM users WHERE role = 'system_admin'") == 2
    assert database.value("SELECT count(*) FROM pg_largeobject_metadata") == 3
    assert database.value("SELECT relrowsecurity AND relforcerowsecurity FROM pg_class"
                          " WHERE relname = 'medical_notes'")
    assert database.value("SELECT count(*) FROM pg_attribute WHERE attgenerated = 's'"
                          " AND attrelid IN (SELECT oid FROM pg_class WHERE relkind = 'r')") == 2


def test_sample_is_the_same_each_time(cluster, make_database, sample):
    again = make_database()
    cluster.load(again.name, pathlib.Path(__file__).parents[2] / "contrib/sample-database.sql",
                 scale=0.01)
    # Of what it makes, only the large objects' numbers are the server's choice.
    options = ("--no-blobs", "--exclude-table-data=recordings")
    assert again.dump(*options) == make_database(sample).dump(*options)


def test_dump_restores_equal(cluster, make_database, sample, tmp_path):
    first, second = make_database(sample), make_database()
    (tmp_path / "dump.sql").write_text(first.dump())
    cluster.load(second.name, tmp_path / "dump.sql")
    assert second.dump() == first.dump()


# Azurite and the independent reader

def test_client_writes_lists_and_reads(azure_store, tmp_path):
    content = bytes(range(256)) * 1000
    azure_store.put("a b/ü.sql", content, {"runid": "42"})
    (stored,) = azure_store.list()
    assert (stored.name, stored.bytes) == ("a b/ü.sql", len(content))
    assert stored.metadata == {"runid": "42"}
    assert azure_store.read("a b/ü.sql") == content
    azure_store.remove("a b/ü.sql")
    assert azure_store.list() == []


def test_client_sees_blocks_that_nobody_committed(azure_store, tmp_path):
    (tmp_path / "block").write_bytes(b"12345")
    azure_store.client.stage(azure_store.container, "half", BLOCK, tmp_path / "block")
    assert azure_store.list() == []
    assert azure_store.leftovers() == ["half"]
    blocks = azure_store.client.blocks(azure_store.container, "half")
    assert blocks == {"committed": [], "uncommitted": [{"name": BLOCK, "size": 5}]}


def test_sas_allows_what_it_says(azure_store, tmp_path):
    azure_store.put("there", b"x")
    reader = azure_store.client.through(azure_store.client.account_sas("rl"))
    assert [blob["name"] for blob in reader.list(azure_store.container)] == ["there"]
    with pytest.raises(AssertionError, match="AuthorizationPermissionMismatch"):
        reader.delete(azure_store.container, "there")
    only_here = azure_store.client.through(
        azure_store.client.container_sas(azure_store.container, "rl"))
    assert only_here.download(azure_store.container, "there", tmp_path / "x")["bytes"] == 1


# The proxy in front of Azurite. http.client tries nothing again, so that each fault shows.

@pytest.fixture
def sas(azure_store):
    """The query that signs requests by hand."""
    connection = azure_store.client.account_sas("rwdlac")
    azure_store.client.create(azure_store.container)
    return connection.partition("SharedAccessSignature=")[2]


def ask(port, method, path, sas, body=None, timeout=20, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        mark = "&" if "?" in path else "?"
        connection.request(method, f"/{azurite_module.ACCOUNT}/{path}{mark}{sas}", body,
                           {"x-ms-version": "2021-12-02", **headers})
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read()
    finally:
        connection.close()


def put(proxy, store, sas, name="blob", body=b"content", **headers):
    return ask(proxy.port, "PUT", f"{store.container}/{name}", sas, body,
               **{"x-ms-blob-type": "BlockBlob", **headers})


def test_proxy_changes_nothing_by_itself(azure_proxy, azure_store):
    # The SDK signs with the key, Host and path as it sends them.
    client = azure_store.client.through(azurite_module.connection_string(azure_proxy.port))
    azure_store.put("a b/ü", b"content", {"k": "v"})
    (blob,) = client.list(azure_store.container)
    assert (blob["name"], blob["metadata"]) == ("a b/ü", {"k": "v"})
    assert azure_proxy.count("^GET .*comp=list") == 1
    headers = {name.lower(): value for name, value in azure_proxy.requests[0].headers}
    assert headers["host"] == f"127.0.0.1:{azure_proxy.port}"


def test_proxy_answers_the_kth_request(azure_proxy, azure_store, sas):
    fault = azure_proxy.add("^PUT ", first=2, status=503, headers={"Retry-After": "7"})
    statuses = [put(azure_proxy, azure_store, sas)[0] for _ in range(3)]
    assert statuses == [201, 503, 201]
    assert (fault.hits, azure_proxy.count("^PUT ")) == (1, 3)
    azure_proxy.add("^PUT ", times=ALWAYS, status=503, headers={"Retry-After": "7"})
    assert [put(azure_proxy, azure_store, sas)[1]["Retry-After"] for _ in range(3)] == ["7"] * 3


def test_proxy_cuts_before_the_server_knows(azure_proxy, azure_store, sas):
    azure_proxy.add("^PUT ", cut_before=True)
    with pytest.raises(ConnectionError):
        put(azure_proxy, azure_store, sas)
    assert azure_store.list() == []


def test_proxy_loses_the_answer(azure_proxy, azure_store, sas):
    azure_proxy.add("^PUT ", cut_after=True)
    with pytest.raises(ConnectionError):
        put(azure_proxy, azure_store, sas)
    assert [stored.name for stored in azure_store.list()] == ["blob"]


def test_proxy_flips_a_bit(azure_proxy, azure_store, sas):
    azure_proxy.add("^PUT ", flip_byte=3)
    assert put(azure_proxy, azure_store, sas)[0] == 201
    assert azure_store.read("blob") == b"conuent"
    azure_proxy.add("^PUT ", flip_byte=0)
    md5 = {"Content-MD5": "mgNkuembtIDdJeHwKEyFVQ=="}
    assert put(azure_proxy, azure_store, sas, "second", **md5)[0] == 400
    assert put(azure_proxy, azure_store, sas, "second", **md5)[0] == 201


def test_proxy_rewrites_and_cuts_a_listing(azure_proxy, azure_store, sas):
    put(azure_proxy, azure_store, sas)
    azure_proxy.add("comp=list", rewrite=lambda status, headers, body: (
        status, headers, body.replace(b"<Name>blob</Name>", b"<Name>other</Name>")))
    azure_proxy.add("comp=list", first=2, cut_reply_at=100)
    path = f"{azure_store.container}?restype=container&comp=list"
    assert b"<Name>other</Name>" in ask(azure_proxy.port, "GET", path, sas)[2]
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(azure_proxy.port, "GET", path, sas)
    assert len(caught.value.partial) == 100
    assert b"<Name>blob</Name>" in ask(azure_proxy.port, "GET", path, sas)[2]


def test_proxy_stalls(azure_proxy, azure_store, sas):
    azure_proxy.add("^PUT ", stall_s=5)
    with pytest.raises(TimeoutError):
        ask(azure_proxy.port, "PUT", f"{azure_store.container}/blob", sas, b"content", 0.2)
    assert azure_store.list() == []


def test_proxy_serves_continue(azure_proxy, azure_store, sas):
    assert put(azure_proxy, azure_store, sas, Expect="100-continue")[0] == 201


# The proxy in front of Postgres

def test_tcp_proxy_cuts_a_statement_before_and_after(cluster, empty_database, postgres_proxy):
    empty_database.execute("CREATE TABLE t (n integer)")
    postgres_proxy.add(b"INSERT INTO t VALUES (1)")
    postgres_proxy.add(b"INSERT INTO t VALUES (2)", after=True)
    for number in (1, 2, 3):
        connection = psycopg2.connect(cluster.url(empty_database.name, port=postgres_proxy.port))
        connection.autocommit = True
        statement = f"INSERT INTO t VALUES ({number})"
        if number == 3:
            connection.cursor().execute(statement)
        else:
            with pytest.raises(psycopg2.OperationalError):
                connection.cursor().execute(statement)
        connection.close()
    assert empty_database.execute("SELECT n FROM t ORDER BY n") == [(2,), (3,)]
    assert postgres_proxy.connections == 3


def test_tcp_proxy_drops_what_is_open(cluster, postgres_proxy):
    connection = psycopg2.connect(cluster.url("postgres", port=postgres_proxy.port))
    postgres_proxy.cut_all()
    with pytest.raises(psycopg2.OperationalError):
        connection.cursor().execute("SELECT 1")


# The mail service

MAIL = {"senderAddress": acs_stub.SENDER, "content": {"subject": "s", "plainText": "t"},
        "recipients": {"to": [{"address": "ada@rythm.example"}]}}
SEND = "/emails:send?api-version=2023-03-31"


def mail(acs, method="POST", path=SEND, message=MAIL, key=acs_stub.KEY, age_s=0, timeout=20,
         **headers):
    body = b"" if method == "GET" else json.dumps(message).encode()
    host = f"127.0.0.1:{acs.port}"
    date = email.utils.formatdate(time.time() - age_s, usegmt=True)
    signed = acs_stub.signature(key, method, path, date, host, body)
    connection = http.client.HTTPConnection(host, timeout=timeout)
    try:
        connection.request(method, path, body, {
            "x-ms-date": date, "x-ms-content-sha256": acs_stub.content_hash(body),
            "Authorization": f"HMAC-SHA256 {acs_stub.SIGNED}&Signature={signed}", **headers})
        reply = connection.getresponse()
        return reply.status, reply.headers, json.loads(reply.read())
    finally:
        connection.close()


def test_acs_signature_is_the_documented_one():
    body = b'{"senderAddress":"a@b.c"}'
    assert acs_stub.content_hash(body) == "JppGVhXOsxjTDFEjYrQyeJE/eLwcSbSYvYuKFodVIO0="
    assert acs_stub.content_hash(b"") == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    assert acs_stub.signature("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "POST", SEND,
                              "Fri, 01 May 2026 12:00:00 GMT", "contoso.communication.azure.com",
                              body) == "E22Zy8da6mD7+Qz88xyYENblr9xgjZpKojX9l7dQ9Rg="


def test_acs_sends_and_reports(acs):
    status, headers, document = mail(acs)
    assert (status, document["status"], headers["retry-after"]) == (202, "Running", "1")
    assert f"//emails/operations/{document['id']}" in headers["Operation-Location"]
    poll = f"/emails/operations/{document['id']}?api-version=2023-03-31"
    assert mail(acs, "GET", poll)[2]["status"] == "Running"
    assert mail(acs, "GET", poll)[2]["status"] == "Succeeded"
    assert acs.recipients() == ["ada@rythm.example"]


@pytest.mark.parametrize("wrong", [
    {"key": "AAAA"}, {"age_s": 400}, {"age_s": -400}, {"x-ms-content-sha256": "AAAA"},
    {"Host": "elsewhere"}])
def test_acs_refuses_a_wrong_signature(acs, wrong):
    status, _, document = mail(acs, **wrong)
    assert (status, document["error"]["code"]) == (401, "Denied")
    assert acs.messages == []


@pytest.mark.parametrize("wrong", [
    {"senderAddress": "else@where.org"}, {"extra": 1}, {"content": {"plainText": "t"}},
    {"recipients": {"to": []}}, {"recipients": {"to": [{"address": "nobody"}]}}])
def test_acs_refuses_a_wrong_message(acs, wrong):
    assert mail(acs, message={**MAIL, **wrong})[0] == 400
    assert acs.messages == [] and len(acs.refusals) == 1


def test_acs_switches(acs):
    acs.next_sends = [acs_stub.Answer(429, "TooManyRequests", {"Retry-After": "1"}),
                      acs_stub.Answer(500)]
    status, headers, _ = mail(acs)
    assert (status, headers["Retry-After"]) == (429, "1")
    assert mail(acs)[0] == 500
    acs.hide_first_poll = True
    acs.failing_addresses = {"ada@rythm.example"}
    identity = "11111111-2222-3333-4444-555555555555"
    poll = f"/emails/operations/{identity}?api-version=2023-03-31"
    acs.next_sends = [acs_stub.Answer(lose_answer=True)]
    with pytest.raises(ConnectionError):
        mail(acs, **{"Operation-Id": identity})
    assert mail(acs, **{"Operation-Id": identity})[2]["id"] == identity
    assert len(acs.messages) == 1
    assert mail(acs, "GET", poll)[0] == 404
    assert mail(acs, "GET", poll)[2]["error"]["code"] == "EmailDropped"


def test_acs_hangs(acs):
    acs.every_send = acs_stub.Answer(hang_s=5)
    with pytest.raises(TimeoutError):
        mail(acs, timeout=0.2)
    assert acs.messages == []


# The program, in these parts

def test_tool_sees_only_its_settings(make_tool):
    result = make_tool(LEFT="alone").ok("--version")
    assert result.out.startswith("rythm-backup ") and result.err == ""
    changed = make_tool(A="1", B="2").with_settings(A=None, C="3").environment()
    assert set(changed) - set(tool_module.KEPT) == {"HOME", "LANG", "B", "C"}


def test_output_with_a_secret_fails():
    with pytest.raises(AssertionError, match="a secret"):
        tool_module.check_output(f"postgresql://postgres:{postgres_cluster.PASSWORD}@host")


def test_backup_is_seen_by_others(make_tool, database, store):
    make_tool(database, store).ok("run", "--no-notify")
    (stored,) = store.list()
    content = store.read(stored.name)
    assert stored.bytes == len(content)
    assert stored.metadata["sha256"] == hashlib.sha256(content).hexdigest()
    assert store.leftovers() == []

"""No key and no password: tokens of an identity, for the Blob service and for Postgres."""

import os
import re
import shutil
import stat

import pytest

import azurite
import entra_stub
import postgres_cluster
import processes
import smtp_server
from entra_stub import CLIENT, POSTGRES, STORAGE, BearerGate, EntraStub

KINDS = ("machine", "app", "workload")


@pytest.fixture
def entra():
    stub = EntraStub()
    yield stub
    stub.stop()


@pytest.fixture
def gate(azurite, entra):
    proxy = BearerGate(azurite.port, entra)
    yield proxy
    proxy.stop()


@pytest.fixture
def surroundings(entra, tmp_path):
    """A function: the settings of one kind of surroundings."""
    def make(kind):
        if kind != "workload":
            return getattr(entra, kind)
        file = tmp_path / "assertion"
        file.write_text("eyJhc3NlcnRpb24i.first+assertion/=.sig\n")
        return entra.workload(file)
    return make


@pytest.fixture
def blob_tool(make_tool, small_database, azure_store, gate, surroundings):
    """A function: the program with an account, no key, and these surroundings."""
    def make(kind="machine", database=small_database, **settings):
        connection = (f"AccountName={azurite.ACCOUNT};"
                      f"BlobEndpoint=http://127.0.0.1:{gate.port}/{azurite.ACCOUNT}")
        return make_tool(database, azure_store, **surroundings(kind),
                         **{"AZURE_STORAGE_CONNECTION_STRING": connection,
                            "RYTHM_BACKUP_RETRY_TIMEOUT": "5s", **settings})
    return make


def hide(result):
    """What no output shows."""
    for secret in (entra_stub.BEGINNING, entra_stub.HEADER, "first+assertion", "second+assertion"):
        assert secret not in result.out + result.err
    return result


def back_up(tool):
    result = hide(tool.run("run", "--no-notify", "--json"))
    assert result.code == 0, result
    return result


def fails(tool, *arguments, code=1):
    result = hide(tool.run(*arguments))
    assert result.code == code, result
    return result.err


# The Blob service

@pytest.mark.parametrize("kind", KINDS)
def test_backup_with_an_identity(blob_tool, azure_store, entra, kind):
    tool = blob_tool(kind)
    name = back_up(tool).json["name"]
    assert [stored.name for stored in azure_store.list()] == [name]
    # Kept for the whole run.
    assert [issued.resource for issued in entra.issued] == [STORAGE]
    assert len(entra.requests) == 1
    tool.ok("verify", "--quick", name)
    tool.ok("prune", "--force", name)
    assert azure_store.list() == []


def test_which_identity_is_said_by_its_client_id(blob_tool, entra, azure_store):
    azure_store.client.create(azure_store.container)
    entra.needs_client = True
    err = fails(blob_tool("machine"), "list")
    assert "400 invalid_request: Identity not found" in err and "AZURE_CLIENT_ID must say" in err
    assert len(entra.requests) == 1
    for kind in ("machine", "app"):
        blob_tool(kind, AZURE_CLIENT_ID=CLIENT).ok("list")
        assert entra.issued[-1].client == CLIENT


def test_metadata_service_that_is_updated_is_waited_for(blob_tool, entra):
    entra.next_answers = [(410, {"error": "gone"}), (410, {})]
    result = back_up(blob_tool("machine"))
    assert len(entra.requests) == 3
    assert result.err.count("asking the managed identity") == 0 and "410 gone" in result.err


def test_other_sources_do_not_know_410(blob_tool, entra):
    entra.next_answers = [(410, {"statusCode": 410, "message": "as the test wishes"})]
    err = fails(blob_tool("app"), "list")
    assert "410: as the test wishes" in err
    assert len(entra.requests) == 1


def test_refused_token_is_replaced_once_for_all_threads(blob_tool, entra, gate, azure_store,
                                                        large_database):
    """The service ends it in the midst of an upload; the file has another assertion by then."""
    tool = blob_tool("workload", database=large_database)

    def rotate(_):
        entra.assertion.write_text("eyJhc3NlcnRpb24i.second+assertion/=.sig\n")

    entra.on_issue = rotate
    gate.revoke_after = 3
    name = back_up(tool).json["name"]
    assert [stored.name for stored in azure_store.list()] == [name]
    assert len(entra.issued) == 2
    assert len(gate.revoked) == 1


def test_service_that_refuses_every_token_is_not_asked_for_ever(blob_tool, entra, gate):
    gate.add("", times=10**9, status=401, headers={"x-ms-error-code": "InvalidAuthenticationInfo"})
    err = fails(blob_tool("machine"), "list")
    assert "401 InvalidAuthenticationInfo" in err
    assert "role Storage Blob Data Contributor" in err
    assert len(entra.issued) == 2
    assert gate.count("") == 2


def test_header_that_changed_is_explained(blob_tool, entra, azure_store):
    azure_store.client.create(azure_store.container)
    tool = blob_tool("app")
    entra.header = "another"
    err = fails(tool, "list")
    assert "401: the header is not ours" in err and "IDENTITY_HEADER changes" in err
    tool.with_settings(IDENTITY_HEADER="another").ok("list")


def test_workload_that_is_not_known_is_explained(blob_tool, entra):
    tool = blob_tool("workload").with_settings(
        AZURE_CLIENT_ID="11111111-2222-3333-4444-000000000000")
    err = fails(tool, "list")
    assert "401 invalid_client: AADSTS700213: No matching federated identity" in err
    assert "federated credential" in err and "Trace ID" not in err


def test_no_metadata_service(blob_tool):
    tool = blob_tool("machine").with_settings(
        AZURE_POD_IDENTITY_AUTHORITY_HOST=f"http://127.0.0.1:{processes.free_port()}")
    err = fails(tool, "list")
    assert "asking the managed identity of this machine for a token" in err
    assert "on Azure's virtual machines alone" in err and "tried 3 times" in err


@pytest.mark.parametrize("settings, text", [
    ({"AZURE_CLIENT_ID": "backups"}, "AZURE_CLIENT_ID is not a client id"),
    ({"AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://example.org"},
     "AZURE_POD_IDENTITY_AUTHORITY_HOST is not a URL of this host"),
    ({"IDENTITY_ENDPOINT": "http://127.0.0.1/msi/token"}, "IDENTITY_HEADER is not"),
    ({"AZURE_FEDERATED_TOKEN_FILE": "/nowhere"}, "AZURE_CLIENT_ID is not"),
    ({"AZURE_STORAGE_CONNECTION_STRING": "BlobEndpoint=http://storage.example.org/rythm"},
     "token would be sent to an endpoint that is not https"),
    ({"RYTHM_BACKUP_STORES": "azblob://Rythm/backups", "AZURE_STORAGE_CONNECTION_STRING": None},
     "'Rythm' is not the name of a storage account"),
])
def test_bad_settings_of_an_identity(blob_tool, entra, settings, text):
    assert text in fails(blob_tool("machine").with_settings(**settings), "list", code=2)
    assert entra.requests == []


def test_assertion_that_is_not_there(blob_tool, entra):
    tool = blob_tool("workload")
    entra.assertion.unlink()
    err = fails(tool, "list", code=2)
    assert f"AZURE_FEDERATED_TOKEN_FILE names the file {entra.assertion}, which is not there" in err


# Signatures that end

def test_signature_is_told_a_week_before_it_ends(make_tool, small_database, azure_store):
    connection = azure_store.client.account_sas("racwdl", "co", seconds=3 * 86400 + 600)
    tool = make_tool(small_database, azure_store).with_settings(
        AZURE_STORAGE_CONNECTION_STRING=connection)
    err = tool.ok("run", "--no-notify").err
    assert re.search(r"Signature for account devstoreaccount1 ends in 3 days \(se=", err)


# Postgres

@pytest.fixture
def token_role(role, small_database, entra):
    """A role whose password is the newest token, and no other: each connection needs a fresh one.
    Its URL has no password."""
    name, url = role(small_database, "GRANT pg_read_all_data TO {role}",
                     "GRANT UPDATE (last_run_at, next_run_at) ON backup_schedule TO {role}",
                     "GRANT INSERT, UPDATE ON backup_history, email_logs TO {role}",
                     "GRANT UPDATE ON rythm_backup_quiet TO {role}",
                     "GRANT DELETE ON rythm_backup_edits TO {role}", attributes="BYPASSRLS")

    def change(issued):
        small_database.execute(f"ALTER ROLE {name} PASSWORD '{issued.token}'")

    entra.on_issue = change
    return url.replace(f":{postgres_cluster.PASSWORD}", "")


@pytest.fixture
def recorder(tmp_path):
    """A pg_dump that notes how it was called, and what of its environment is a secret."""
    script = tmp_path / "pg_dump"
    script.write_text(f"""#!/bin/sh
[ "$1" = --version ] || {{ echo "$@"; env; }} >>'{tmp_path}/calls'
exec {postgres_cluster.program("pg_dump")} "$@"
""")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


def keep_token(entra):
    """As the metadata service does it, which keeps what it has got."""
    issue = entra.issue
    entra.issue = lambda resource, client: (entra.tokens(resource) or [issue(resource, client)])[0]


@pytest.mark.parametrize("kind", KINDS)
def test_each_connection_has_a_token_of_its_own(make_tool, file_store, entra, surroundings,
                                                token_role, recorder, tmp_path, kind):
    tool = make_tool(file_store, **surroundings(kind), DATABASE_URL=token_role,
                     RYTHM_BACKUP_DATABASE_AUTH="entra", RYTHM_BACKUP_ENGINE="pg_dump",
                     RYTHM_BACKUP_PG_DUMP=str(recorder))
    name = back_up(tool).json["name"]
    assert [stored.name for stored in file_store.list()] == [name]
    tokens = entra.tokens(POSTGRES)
    assert len(set(tokens)) == len(tokens) == len(entra.requests) > 2
    calls = (tmp_path / "calls").read_text().splitlines()
    arguments = [line for line in calls if line.startswith("--format")]
    assert arguments and not any(entra_stub.BEGINNING in line for line in arguments)
    given = [line for line in calls if entra_stub.BEGINNING in line]
    assert given and all(line.removeprefix("PGPASSWORD=") in tokens for line in given)
    assert entra_stub.HEADER not in "\n".join(calls)


def test_parallel_dump_with_one_token_that_is_asked_for_often(make_tool, small_database, file_store,
                                                              entra, surroundings, token_role):
    keep_token(entra)
    tool = make_tool(file_store, **surroundings("machine"), DATABASE_URL=token_role,
                     RYTHM_BACKUP_DATABASE_AUTH="entra", RYTHM_BACKUP_JOBS="3")
    back_up(tool)
    # Three readers, the one with the snapshot, two pg_dumps, and the run's own.
    assert len(entra.requests) >= 7


def test_password_of_its_own_wins(make_tool, small_database, file_store, entra):
    tool = make_tool(small_database, file_store, **entra.machine,
                     RYTHM_BACKUP_DATABASE_AUTH="entra")
    tool.ok("check", "--dry-run")
    assert entra.requests == []


def test_token_is_not_sent_in_the_clear(make_tool, file_store, entra):
    tool = make_tool(file_store, **entra.machine, RYTHM_BACKUP_DATABASE_AUTH="entra",
                     DATABASE_URL="postgresql://rythm_backup@192.0.2.1/rythm")
    err = fails(tool, "check", code=2)
    assert "a token would be sent to Postgres without TLS" in err and "sslmode=verify-full" in err


@pytest.fixture
def certificate(cluster, tmp_path):
    """Of the cluster, which speaks TLS meanwhile."""
    certificate, key = smtp_server.make_certificate(tmp_path)
    for path in (certificate, key):
        shutil.chown(shutil.copy(path, cluster.data / path.name), "postgres")
        os.chmod(cluster.data / path.name, 0o600)

    def set_tls(state):
        for name, value in (("ssl_cert_file", certificate.name), ("ssl_key_file", key.name),
                            ("ssl", state)):
            cluster.execute("postgres", f"ALTER SYSTEM SET {name} = '{value}'")
        cluster.execute("postgres", "SELECT pg_reload_conf()")
        processes.wait_until(lambda: cluster.execute("postgres", "SHOW ssl") == [(state,)],
                             f"ssl is {state}")

    set_tls("on")
    yield certificate
    set_tls("off")


# 0.0.0.0 is this host, too, but not by its name.
@pytest.mark.parametrize("host, parameters, warned", [
    ("0.0.0.0", "sslmode=require", True),
    ("0.0.0.0", "sslmode=require&sslrootcert={certificate}", False),
    ("0.0.0.0", "sslmode=verify-ca&sslrootcert={certificate}", False),
    ("127.0.0.1", "sslmode=require", False),
])
def test_token_for_whoever_answers(make_tool, file_store, entra, token_role, certificate, host,
                                   parameters, warned):
    keep_token(entra)
    url = token_role.replace("127.0.0.1", host)
    url += ("&" if "?" in url else "?") + parameters.format(certificate=certificate)
    tool = make_tool(file_store, **entra.machine, DATABASE_URL=url,
                     RYTHM_BACKUP_DATABASE_AUTH="entra", RYTHM_BACKUP_JOBS="3")
    told = [line for line in back_up(tool).err.splitlines() if "Tokens for Postgres" in line]
    assert len(told) == warned
    for line in told:
        assert "whoever answers as 0.0.0.0" in line
        assert "add sslmode=verify-full and sslrootcert=FILE" in line
    assert "Tokens for Postgres" not in tool.ok("list").err


def test_refusal_of_the_identity_is_the_connections(make_tool, file_store, entra, cluster):
    entra.next_answers = [(400, {"error": "invalid_request",
                                 "error_description": "Identity not found"})]
    url = cluster.url("postgres").replace(f":{postgres_cluster.PASSWORD}", "")
    tool = make_tool(file_store, **entra.machine, RYTHM_BACKUP_DATABASE_AUTH="entra",
                     DATABASE_URL=url)
    err = fails(tool, "check")
    assert "connecting to Postgres: asking the managed identity of this machine for a token" in err


@pytest.mark.parametrize("settings, text", [
    ({"RYTHM_BACKUP_DATABASE_AUTH": "token"}, "is none of password|entra"),
    ({"RYTHM_BACKUP_DATABASE_AUTH": "entra", "IDENTITY_ENDPOINT": "http://127.0.0.1/"},
     "RYTHM_BACKUP_DATABASE_AUTH=entra: IDENTITY_ENDPOINT is set, but IDENTITY_HEADER is not"),
])
def test_bad_settings_of_the_login(make_tool, small_database, file_store, settings, text):
    assert text in fails(make_tool(small_database, file_store, **settings), "check", code=2)

"""Azurite (Azure's storage emulator), and Azure's own SDK as the independent reader."""

import copy
import json
import os
import pathlib
import subprocess
import threading

import processes

HERE = pathlib.Path(__file__).parent
ACCOUNT = "devstoreaccount1"
SECOND_ACCOUNT = "secondaccount"
# The key that every installation of the emulator has; it opens nothing else.
KEY = ("Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/"
       "K1SZFPTOtr/KBHBeksoGMGw==")
SECOND_KEY = ("c2Vjb25kIGFjY291bnQncyBvd24ga2V5LCB3aGljaCBvcGVucyBub3RoaW5nIGVsc2UgYnV0IHRo"
              "ZSB0ZXN0cw==")
KEYS = {ACCOUNT: KEY, SECOND_ACCOUNT: SECOND_KEY}


def connection_string(port, account=ACCOUNT):
    return (f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={KEYS[account]};"
            f"BlobEndpoint=http://127.0.0.1:{port}/{account};")


class Azurite:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.port = processes.free_port()
        self.process = None
        self.client = None

    def start(self):
        program = HERE / "node_modules/azurite/dist/src/blob/main.js"
        assert program.exists(), "Azurite is missing: npm ci in tests/integration"
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "log", "ab") as log:
            self.process = processes.start(
                ["node", str(program), "--silent", "--disableTelemetry", "--blobHost", "127.0.0.1",
                 "--blobPort", str(self.port), "--location", str(self.folder)],
                stdout=log, stderr=log, env={**os.environ, "AZURITE_ACCOUNTS": ";".join(
                    f"{account}:{key}" for account, key in KEYS.items())})
        processes.wait_until(self._is_up, f"Azurite is up (see {self.folder}/log)", timeout=60)
        self.client = AzureClient(self.connection_string)

    def _is_up(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        return processes.answers(self.port)

    def stop(self):
        if self.client is not None:
            self.client.stop()
        processes.stop(self.process)

    @property
    def connection_string(self):
        return connection_string(self.port)


class AzureClient:
    """Azure's SDK for JavaScript in a process of its own (azure_client.mjs), which ends with the
    thread that started it; used by many threads."""

    def __init__(self, connection):
        self.connection = connection
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "node", str(HERE / "azure_client.mjs")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)

    def through(self, connection):
        """The same process, with another connection string."""
        other = copy.copy(self)
        other.connection = connection
        return other

    def stop(self):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def _call(self, *arguments):
        with self._lock:
            print(json.dumps([self.connection, *arguments]), file=self._process.stdin, flush=True)
            answer = json.loads(self._process.stdout.readline() or '{"error": "node has ended"}')
        assert "error" not in answer, f"{arguments[0]}: {answer['error']}"
        return answer["value"]

    def containers(self):
        return self._call("containers")

    def create(self, container):
        return self._call("create", container)

    def list(self, container):
        """Every blob: name, bytes, etag, type, metadata, committed. [] for no such container."""
        return self._call("list", container)

    def download(self, container, name, file):
        """Writes the blob into a file; its properties."""
        return self._call("download", container, name, str(file))

    def upload(self, container, name, file, metadata=None):
        return self._call("upload", container, name, str(file), metadata or {})

    def upload_many(self, container, file):
        """`file` holds a JSON list of {"name", "content" (one byte per character), "metadata"}."""
        return self._call("upload-many", container, str(file))

    def delete(self, container, name):
        return self._call("delete", container, name)

    def blocks(self, container, name):
        """{"committed": [{"name", "size"}...], "uncommitted": [...]}"""
        return self._call("blocks", container, name)

    def stage(self, container, name, block_id, file):
        """Puts one block and commits nothing: what a writer that died leaves."""
        return self._call("stage", container, name, block_id, str(file))

    def account_sas(self, permissions, resource_types="sco", seconds=3600):
        """A connection string that holds a shared access signature and no key."""
        return self._call("account-sas", permissions, resource_types, seconds)

    def container_sas(self, container, permissions, seconds=3600):
        return self._call("container-sas", container, permissions, seconds)

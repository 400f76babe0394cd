"""Azurite (Azure's storage emulator), and Azure's own SDK as the independent reader."""

import json
import os
import pathlib
import subprocess

import processes

HERE = pathlib.Path(__file__).parent
ACCOUNT = "devstoreaccount1"
# The key that every installation of the emulator has; it opens nothing else.
KEY = ("Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/"
       "K1SZFPTOtr/KBHBeksoGMGw==")


def connection_string(port):
    return (f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint=http://127.0.0.1:{port}/{ACCOUNT};")


class Azurite:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.port = processes.free_port()
        self.process = None

    def start(self):
        program = HERE / "node_modules/azurite/dist/src/blob/main.js"
        assert program.exists(), "Azurite is missing: npm ci in tests/integration"
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "log", "ab") as log:
            self.process = processes.start(
                ["node", str(program), "--silent", "--disableTelemetry", "--blobHost", "127.0.0.1",
                 "--blobPort", str(self.port), "--location", str(self.folder)],
                stdout=log, stderr=log)
        processes.wait_until(self._is_up, f"Azurite is up (see {self.folder}/log)", timeout=60)

    def _is_up(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        return processes.answers(self.port)

    def stop(self):
        processes.stop(self.process)

    @property
    def connection_string(self):
        return connection_string(self.port)


class AzureClient:
    """Azure's SDK for JavaScript, one process per call (azure_client.mjs)."""

    def __init__(self, connection):
        self.connection = connection

    def _call(self, *arguments):
        result = subprocess.run(
            ["node", str(HERE / "azure_client.mjs"), *map(str, arguments)],
            env={**os.environ, "AZURE_STORAGE_CONNECTION_STRING": self.connection},
            capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    def containers(self):
        return self._call("containers")

    def create(self, container):
        return self._call("create", container)

    def list(self, container):
        """Every blob: name, bytes, etag, type, metadata, committed. [] for no such container."""
        return self._call("list", container)

    def download(self, container, name, file):
        """Writes the blob into a file; its properties."""
        return self._call("download", container, name, file)

    def upload(self, container, name, file, metadata=None):
        return self._call("upload", container, name, file, json.dumps(metadata or {}))

    def upload_many(self, container, file):
        """`file` holds a JSON list of {"name", "content" (one byte per character), "metadata"}."""
        return self._call("upload-many", container, file)

    def delete(self, container, name):
        return self._call("delete", container, name)

    def blocks(self, container, name):
        """{"committed": [{"name", "size"}...], "uncommitted": [...]}"""
        return self._call("blocks", container, name)

    def stage(self, container, name, block_id, file):
        """Puts one block and commits nothing: what a writer that died leaves."""
        return self._call("stage", container, name, block_id, file)

    def account_sas(self, permissions, resource_types="sco", seconds=3600):
        """A connection string that holds a shared access signature and no key."""
        return self._call("account-sas", permissions, resource_types, seconds)

    def container_sas(self, container, permissions, seconds=3600):
        return self._call("container-sas", container, permissions, seconds)

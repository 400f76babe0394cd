"""Azure's SDK in one long-lived process (blobs.mjs): starting one per look takes too long here."""

import json
import os
import pathlib
import subprocess
import threading

HERE = pathlib.Path(__file__).parent


class Blobs:
    """What an AzureStore (tests/integration/stores.py) calls its client; used by many threads."""

    def __init__(self, connection_string):
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "node", str(HERE / "blobs.mjs")],
            env={**os.environ, "AZURE_STORAGE_CONNECTION_STRING": connection_string},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)

    def _call(self, *arguments):
        with self._lock:
            print(json.dumps(arguments), file=self._process.stdin, flush=True)
            answer = json.loads(self._process.stdout.readline() or '{"error": "node has ended"}')
        assert "error" not in answer, f"{arguments[0]}: {answer['error']}"
        return answer["value"]

    def create(self, container):
        return self._call("create", container)

    def list(self, container):
        """Every blob: name, bytes, metadata, committed. [] for no such container."""
        return self._call("list", container)

    def download(self, container, name, file):
        return self._call("download", container, name, str(file))

    def upload(self, container, name, file, metadata=None):
        """The container must exist."""
        return self._call("upload", container, name, str(file), metadata or {})

    def delete(self, container, name):
        return self._call("delete", container, name)

    def stop(self):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

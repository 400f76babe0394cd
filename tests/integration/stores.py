"""The stores that the tests write to, read by somebody else than the program under test."""

import json
import pathlib
import urllib.parse
from dataclasses import dataclass, field

import azurite


@dataclass
class Stored:
    name: str
    bytes: int
    metadata: dict = field(default_factory=dict)


class FileStore:
    kind = "file"

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.url = "file://" + urllib.parse.quote(str(self.folder))
        self.settings = {"RYTHM_BACKUP_STORES": self.url}

    def list(self):
        """The visible objects, by name."""
        if not self.folder.exists():
            return []
        return [Stored(path.name, path.stat().st_size, self._metadata(path.name))
                for path in sorted(self.folder.iterdir())
                if not path.name.startswith(".") and path.suffix not in (".meta", ".json")]

    def _metadata(self, name):
        sidecar = self.folder / f"{name}.meta"
        return json.loads(sidecar.read_text()) if sidecar.exists() else {}

    def leftovers(self):
        """Whatever lies there that is no object, nor belongs to one, nor is the folder's lock."""
        names = {path.name for path in self.folder.iterdir()} if self.folder.exists() else set()
        visible = {stored.name for stored in self.list()}
        sidecars = {name + suffix for name in visible
                    for suffix in (".meta", ".json", ".json.meta")}
        return sorted(names - visible - sidecars - {".rythm-backup.lock"})

    def clean(self):
        """Removes the leftovers."""
        for name in self.leftovers():
            (self.folder / name).unlink()

    def read(self, name):
        return (self.folder / name).read_bytes()

    def put(self, name, content, metadata=None):
        """Puts an object there that the program did not write."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(content)
        if metadata:
            (self.folder / f"{name}.meta").write_text(json.dumps(metadata))

    def put_all(self, objects):
        """Puts many there: (name, content, metadata) each."""
        for name, content, metadata in objects:
            self.put(name, content, metadata)

    def remove(self, name):
        (self.folder / name).unlink()
        (self.folder / f"{name}.meta").unlink(missing_ok=True)


class AzureStore:
    kind = "azure"

    def __init__(self, server, container, folder, account=azurite.ACCOUNT):
        self.server = server
        self.container = container
        self.account = account
        self.url = f"azblob://{account}/{container}"
        self.client = server.client.through(azurite.connection_string(server.port, account))
        self.settings = self.settings_through(server.port)
        self._scratch = pathlib.Path(folder) / "blob"

    def settings_through(self, port):
        """The settings for reaching it on another port: a proxy's."""
        return {"AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string(port, self.account),
                "AZURE_BACKUP_CONTAINER": self.container}

    def list(self):
        return [Stored(blob["name"], blob["bytes"], blob["metadata"])
                for blob in self.client.list(self.container)
                if blob["committed"] and not blob["name"].endswith(".json")]

    def leftovers(self):
        """Blobs with blocks and no commit, which the service drops after a week, and manifests
        without their backup."""
        blobs = self.client.list(self.container)
        visible = {blob["name"] for blob in blobs if blob["committed"]}
        return [blob["name"] for blob in blobs
                if not blob["committed"]
                or blob["name"].endswith(".json") and blob["name"][:-5] not in visible]

    def clean(self):
        """The service drops them."""

    def read(self, name):
        self._scratch.unlink(missing_ok=True)
        self.client.download(self.container, name, self._scratch)
        return self._scratch.read_bytes()

    def put(self, name, content, metadata=None):
        self._scratch.write_bytes(content)
        self.client.upload(self.container, name, self._scratch, metadata)

    def put_all(self, objects):
        self._scratch.write_text(json.dumps([
            {"name": name, "content": content.decode("latin-1"), "metadata": metadata or {}}
            for name, content, metadata in objects]))
        self.client.upload_many(self.container, self._scratch)

    def remove(self, name):
        self.client.delete(self.container, name)


class S3Store:
    """`server` has a port and AWS' SDK as its client."""

    kind = "s3"

    def __init__(self, server, bucket, settings, prefix=""):
        self.server = server
        self.bucket = bucket
        self.prefix = prefix
        self.client = server.client
        self.settings = settings

    def _keys(self):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket,
                                                                      Prefix=self.prefix)
        return {entry["Key"][len(self.prefix):]: entry["Size"]
                for page in pages for entry in page.get("Contents", [])}

    def list(self):
        return [Stored(name, size, self.metadata(name)) for name, size in self._keys().items()
                if not name.endswith((".json", ".meta"))]

    def _own_metadata(self, name):
        head = self.client.head_object(Bucket=self.bucket, Key=self.prefix + name)
        return {key.lower(): value for key, value in head["Metadata"].items()}

    def metadata(self, name):
        """The object's own, or those that it says stand beside it."""
        own = self._own_metadata(name)
        if own.get("metadata") != "beside":
            return own
        return json.loads(self.read(f"{name}.{own['run']}.meta"))

    def leftovers(self):
        """What belongs to no object: manifests, metadata, uploads that nobody ended."""
        keys = self._keys()
        visible = {name for name in keys if not name.endswith((".json", ".meta"))}
        whole = visible | {f"{name}.json" for name in visible}
        beside = {f"{name}.{own['run']}.meta" for name in whole & set(keys)
                  for own in [self._own_metadata(name)] if own.get("metadata") == "beside"}
        uploads = self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        return sorted(set(keys) - whole - beside) + [upload["Key"] for upload in uploads]

    def read(self, name):
        return self.client.get_object(Bucket=self.bucket, Key=self.prefix + name)["Body"].read()

    def put(self, name, content, metadata=None):
        self.client.put_object(Bucket=self.bucket, Key=self.prefix + name, Body=content,
                               Metadata=metadata or {})

    def put_all(self, objects):
        for name, content, metadata in objects:
            self.put(name, content, metadata)

    def remove(self, name):
        self.client.delete_object(Bucket=self.bucket, Key=self.prefix + name)


class TwoStores:
    """Two that get the same backups; what is read, is read from the first."""

    kind = "two"

    def __init__(self, first, second):
        self.first = first
        self.second = second
        self.settings = {**first.settings, **second.settings,
                         "RYTHM_BACKUP_STORES": f"{first.url} {second.url}"}

    def differences(self):
        """What one has and the other has not, or has otherwise."""
        inside = [{stored.name: (stored, store.read(stored.name)) for stored in store.list()}
                  for store in (self.first, self.second)]
        return sorted(name for name in inside[0].keys() | inside[1].keys()
                      if inside[0].get(name) != inside[1].get(name))

    def list(self):
        return self.first.list()

    def read(self, name):
        return self.first.read(name)

    def put(self, name, content, metadata=None):
        for store in (self.first, self.second):
            store.put(name, content, metadata)

    def remove(self, name):
        for store in (self.first, self.second):
            if name in {stored.name for stored in store.list()}:
                store.remove(name)

    def leftovers(self):
        return [name for store in (self.first, self.second) if store.kind == "file"
                for name in store.leftovers()]

    def clean(self):
        for stored in self.second.list():
            self.second.remove(stored.name)
        self.first.clean()
        self.second.clean()

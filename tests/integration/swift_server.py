"""OpenStack Swift with its S3 middleware, all of it in one process: it checks signatures with code
of its own. As a program: swift_server.py FOLDER PORT."""

import pathlib
import sys

import processes
import s3_server

KEY_ID = "rythm:tester"
SECRET = "a-secret-of-swift"
PIPELINE = f"""
[pipeline:main]
pipeline = catch_errors cache s3api tempauth slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:s3api]
use = egg:swift#s3api
location = {s3_server.REGION}
[filter:tempauth]
use = egg:swift#tempauth
user_{KEY_ID.replace(":", "_")} = {SECRET} .admin
[filter:slo]
use = egg:swift#slo
"""


class Swift:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.port = processes.free_port()
        self.process = None
        self.client = None

    def start(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "log", "ab") as log:
            self.process = processes.start(
                ["/usr/bin/python3", __file__, str(self.folder), str(self.port)],
                stdout=log, stderr=log)
        processes.wait_until(lambda: processes.answers(self.port),
                             f"Swift is up (see {self.folder}/log)", timeout=60)
        self.client = s3_server.client(self.port, KEY_ID, SECRET)

    def settings(self, bucket):
        return {"RYTHM_BACKUP_STORES": s3_server.url(self.port, bucket),
                "AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}

    def stop(self):
        if self.client is not None:
            self.client.close()
        processes.stop(self.process)


def serve(folder, port):
    import eventlet
    eventlet.monkey_patch()
    import eventlet.wsgi
    from swift.account.server import AccountController
    from swift.common import storage_policy, utils, wsgi
    from swift.common.ring import RingBuilder
    from swift.container.server import ContainerController
    from swift.obj.server import ObjectController

    class Quiet:
        def write(self, text):
            pass

    (folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = tests\n")
    (folder / "proxy.conf").write_text(f"[DEFAULT]\nswift_dir = {folder}\n{PIPELINE}")
    utils.SWIFT_CONF_FILE = storage_policy.SWIFT_CONF_FILE = str(folder / "swift.conf")
    utils.HASH_PATH_SUFFIX = b"tests"
    storage_policy.reload_storage_policies()
    conf = {"devices": str(folder), "mount_check": "false", "swift_dir": str(folder),
            "fsync": "false"}
    (folder / "disk").mkdir(exist_ok=True)
    for kind, controller in (("account", AccountController), ("container", ContainerController),
                             ("object", ObjectController)):
        socket = eventlet.listen(("127.0.0.1", 0))
        builder = RingBuilder(1, 1, 0)
        builder.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "weight": 1, "device": "disk",
                         "port": socket.getsockname()[1], "replication_ip": "127.0.0.1",
                         "replication_port": socket.getsockname()[1]})
        builder.rebalance()
        builder.get_ring().save(str(folder / f"{kind}.ring.gz"))
        eventlet.spawn(eventlet.wsgi.server, socket, controller(conf), Quiet())
    proxy = wsgi.loadapp(str(folder / "proxy.conf"))
    eventlet.wsgi.server(eventlet.listen(("127.0.0.1", port)), proxy, Quiet())


if __name__ == "__main__":
    serve(pathlib.Path(sys.argv[1]), int(sys.argv[2]))

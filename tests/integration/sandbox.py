"""A machine or container in which nothing can be written, made with bubblewrap.

It has /usr, the certificates, and the program where `make install` puts it. Its user is in no
/etc/passwd and has no capabilities; the network is ours. Only what is named is added.
"""

import json
import os
import subprocess

import tool

PATH = "/usr/local/bin:/usr/bin:/bin"


class Sandbox:
    def __init__(self, uid=10001, gid=10001, first_process=False):
        self.program = os.path.abspath(os.environ["RYTHM_BACKUP"])
        self.options = [
            "bwrap", "--die-with-parent", "--unshare-user", "--uid", str(uid), "--gid", str(gid),
            "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--new-session",
            "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin",
            "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64",
            "--ro-bind", "/etc/ssl", "/etc/ssl", "--proc", "/proc",
            "--dev", "/dev", "--remount-ro", "/dev",
            "--tmpfs", "/usr/local/bin", "--ro-bind", self.program, "/usr/local/bin/rythm-backup",
            "--remount-ro", "/usr/local/bin"]
        if first_process:
            self.options.append("--as-pid-1")

    def add_file(self, source, path):
        self.options += ["--ro-bind", str(source), path]

    def add_folder(self, source, path):
        """This one can be written to."""
        self.options += ["--bind", str(source), path]

    def start(self, command, environment=None, **popen):
        kept = {name: os.environ[name] for name in tool.KEPT if name in os.environ}
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                   "stderr": subprocess.PIPE, "text": True, **popen}
        return subprocess.Popen([*self.options, "--remount-ro", "/", "--chdir", "/", *command],
                                env={**kept, "PATH": PATH, **(environment or {})}, **options)

    def start_and_identify(self, command, environment=None):
        """(the process to wait for, the process id of the command as we see it)"""
        read_end, write_end = os.pipe()
        with os.fdopen(read_end) as answer:
            self.options += ["--info-fd", str(write_end)]
            process = self.start(command, environment, pass_fds=[write_end])
            os.close(write_end)
            return process, json.loads(answer.read())["child-pid"]

    def finish(self, process, timeout=180):
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        tool.check_output(out + err)
        return tool.Result(process.returncode, out, err)

    def run(self, command, environment=None):
        return self.finish(self.start(command, environment))

    def ok(self, command, environment=None):
        result = self.run(command, environment)
        assert result.code == 0, f"exit code {result.code}\n{result.out}\n{result.err}"
        return result

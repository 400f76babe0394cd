"""Runs the program under test as its users do, and checks what must hold at every run."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass

import acs_stub
import azurite
import postgres_cluster
import s3_server
from hook_stubs import PingStub, SlackStub, TeamsStub, WebhookStub

SECRETS = (postgres_cluster.PASSWORD, azurite.KEY, azurite.SECOND_KEY, acs_stub.KEY,
           s3_server.SECRET, SlackStub.path, TeamsStub.query, TeamsStub.path, WebhookStub.path,
           WebhookStub.secret, PingStub.path)
SANITIZER_REPORTS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:")
# What a sanitized or faked run needs of our own environment.
KEPT = ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS")


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def events(self):
        """The lines of --log-format=json."""
        return [json.loads(line) for line in self.err.splitlines()]


def check_output(text):
    for secret in SECRETS:
        assert secret not in text, f"a secret in the output: {text}"
    for report in SANITIZER_REPORTS:
        assert report not in text, text


# In a process of its own: the peak of this one would count as the program's.
MEASURE = """
import os, sys
pid = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
open(sys.argv[1], "w").write(str(usage.ru_maxrss * 1024))
sys.exit(os.waitstatus_to_exitcode(status))
"""


def peak_to(path):
    """A prefix for a command whose peak memory, in bytes, is to be written to this file."""
    return (sys.executable, "-c", MEASURE, str(path))


class Tool:
    """One configuration of the program: `settings` are its environment, nothing else is."""

    def __init__(self, home, settings=None):
        self.program = os.path.abspath(os.environ["RYTHM_BACKUP"])
        self.home = home
        self.settings = dict(settings or {})

    def with_settings(self, **settings):
        """A copy with other settings; None removes one."""
        merged = {**self.settings, **settings}
        return Tool(self.home, {name: value for name, value in merged.items() if value is not None})

    def environment(self):
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        return {**kept, "HOME": str(self.home), "LANG": "C.UTF-8", **self.settings}

    def memory_limit(self, mib):
        """In bytes; a sanitizer's shadow and quarantine come on top of it."""
        with open(self.program, "rb") as program:
            code = program.read()
        return (1024 if b"__asan_init" in code or b"__tsan_init" in code else mib) * 2**20

    def start(self, *arguments, prefix=(), **popen):
        """Starts it and returns the process (text on both pipes), for tests that interfere."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                   "stderr": subprocess.PIPE, "text": True, **popen}
        return subprocess.Popen([*prefix, self.program, *map(str, arguments)],
                                env=self.environment(), cwd=self.home, **options)

    def finish(self, process, timeout=180):
        """Waits for what start() began. Output that cannot be text fails here."""
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"still running after {timeout} s:\n{out}\n{err}") from None
        check_output((out or "") + (err or ""))
        return Result(process.returncode, out or "", err or "")

    def run(self, *arguments, timeout=180, **popen):
        return self.finish(self.start(*arguments, **popen), timeout)

    def ok(self, *arguments, **options):
        """Runs it and demands exit code 0."""
        result = self.run(*arguments, **options)
        assert result.code == 0, f"exit code {result.code}\n{result.out}\n{result.err}"
        return result

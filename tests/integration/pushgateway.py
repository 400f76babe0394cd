"""Prometheus' Pushgateway, the real one, and its promtool."""

import re
import subprocess
import urllib.request

import processes

SAMPLE = re.compile(r'(\w+)\{(.*)\} (\S+)')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def unescape(value):
    return re.sub(r"\\(.)", lambda match: {"n": "\n"}.get(match[1], match[1]), value)


def samples(text):
    """{(metric, schedule): value} of Prometheus' text format, our metrics alone."""
    found = {}
    for line in text.splitlines():
        sample = SAMPLE.fullmatch(line)
        if sample and sample[1].startswith("rythm_backup_"):
            labels = {name: unescape(value) for name, value in LABEL.findall(sample[2])}
            found[sample[1].removeprefix("rythm_backup_"), labels["schedule"]] = float(sample[3])
    return found


def promtool(*arguments, given=None):
    """Its output; it must have nothing to complain about."""
    result = subprocess.run(["promtool", *map(str, arguments)], input=given, text=True,
                            capture_output=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


class Pushgateway:
    def __init__(self, folder):
        self.port = processes.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = {"RYTHM_BACKUP_PUSHGATEWAY": self.url + "/"}
        self._log = folder / "pushgateway.log"
        self._process = None

    def start(self):
        with open(self._log, "wb") as log:
            self._process = processes.start(
                # Debian's keeps what it was given for the next time it is started.
                ["prometheus-pushgateway", f"--web.listen-address=127.0.0.1:{self.port}",
                 "--persistence.file="],
                stdout=log, stderr=log)
        processes.wait_until(lambda: processes.answers(self.port),
                             f"the Pushgateway is up (see {self._log})")

    def stop(self):
        processes.stop(self._process)

    def scrape(self):
        with urllib.request.urlopen(f"{self.url}/metrics") as reply:
            return reply.read().decode()

"""Programs that stand in for pg_dump (RYTHM_BACKUP_PG_DUMP) and behave as it does on a bad day."""

import re
import shlex
import subprocess

import postgres_cluster
import processes

REAL = postgres_cluster.program("pg_dump")
# How every whole script ends, or nearly.
END = "\n--\n-- PostgreSQL database dump complete\n--\n"


def script(folder, body, version="15.0"):
    """The settings for a pg_dump whose dump is this bash script; $REAL is the true one. It is the
    only one of a dump: the parallel engine has two."""
    path = folder / "pg_dump"
    path.write_text(f"""#!/bin/bash
REAL={shlex.quote(REAL)}
if [ "$1" = --version ]; then
    echo "pg_dump (PostgreSQL) {version}"
    exit
fi
{body}
""")
    path.chmod(0o755)
    return {"RYTHM_BACKUP_PG_DUMP": str(path), "RYTHM_BACKUP_ENGINE": "pg_dump"}


def of_version_17(folder):
    """The settings for one that leaves large objects to the data section, as 17 and newer do."""
    made = script(folder, """
set -o pipefail
"$REAL" "$@" | sed -E '/^(SELECT pg_catalog.lo_create|(ALTER|COMMENT ON) LARGE OBJECT)/d
                       /^(GRANT|REVOKE) .* ON LARGE OBJECT /d'
""", version="17.6")
    return made | {"RYTHM_BACKUP_ENGINE": "parallel"}


class Gate:
    """A pg_dump that stops and waits: `settings` for the program, then reached(), then open()."""

    def __init__(self, folder, body, version="15.0"):
        self._reached = folder / "reached"
        self._open = folder / "open"
        wait = (f"echo $$ >{shlex.quote(str(self._reached))}.new;"
                f" mv {shlex.quote(str(self._reached))}.new {shlex.quote(str(self._reached))};"
                # A minute at most: it must not outlive a test that failed.
                f" for _ in {{1..3000}}; do [ -e {shlex.quote(str(self._open))} ] && break;"
                " sleep 0.02; done")
        self.settings = script(folder, body.replace("WAIT", wait), version)

    def reached(self):
        """Waits until it stands still; its process id."""
        processes.wait_until(self._reached.exists, "pg_dump has been started")
        return int(self._reached.read_text())

    def open(self):
        self._open.touch()


def gate_before(folder):
    """Stands still before the first byte of the dump."""
    return Gate(folder, 'WAIT\nexec "$REAL" "$@"')


def gate_within(folder):
    """Writes most of the dump, stands still, and writes the rest."""
    return Gate(folder, """
"$REAL" "$@" >"$0.whole" || exit
size=$(($(stat -c %s "$0.whole") - 1000))
head -c $size "$0.whole"
WAIT
tail -c +$((size + 1)) "$0.whole"
""")


def gate_after(folder):
    """Stands still after the last byte of the dump, its connection closed."""
    return Gate(folder, '"$REAL" "$@" || exit\nWAIT')


def gate_of_section(folder, section, body):
    """For the parallel dump, of whose two pg_dumps this one does what the body says."""
    version = subprocess.run([REAL, "--version"], check=True, capture_output=True, text=True).stdout
    gate = Gate(folder, f"""
case " $* " in
*" --section={section} "*) {body} ;;
*) exec "$REAL" "$@" ;;
esac""", re.search(r"[\d.]+", version).group())
    gate.settings["RYTHM_BACKUP_ENGINE"] = "parallel"
    return gate

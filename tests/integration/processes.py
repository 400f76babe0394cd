"""Servers for the tests: free ports, processes that end when the test run does."""

import os
import pwd
import signal
import socket
import subprocess
import time


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def as_user(name):
    """Command prefix: runs what follows as this user when we are root (initdb refuses root)."""
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam(name)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups"]


def start(command, user=None, within=(), **popen):
    """Starts a server that is killed with the thread that started it, however that ends. `within`
    is a command to run all of it under, as we are: it goes to another namespace, say."""
    prefix = as_user(user) if user else []
    prefix = (prefix or ["setpriv"]) + ["--pdeathsig", "KILL"]
    return subprocess.Popen([*within, *prefix, *command], stdin=subprocess.DEVNULL,
                            start_new_session=True, **popen)


def stop(process, sig=signal.SIGTERM, timeout=20):
    if process is None or process.poll() is not None:
        return
    process.send_signal(sig)
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until(condition, what, timeout=30, step=0.02):
    """Returns the condition's first true value; fails when it stays false."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(step)
    raise AssertionError(f"not within {timeout} s: {what}")


def answers(port):
    """True when somebody listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0

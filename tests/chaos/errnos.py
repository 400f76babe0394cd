"""Every system call of a small backup fails: once, or from then on, with errnos it really gives.

The points are those of kills.py, (name, k) of the main thread, times the errnos below, times "once"
and "from then on". strace puts the error in the call's place: the kernel does not see it. Of two
that would be untrue: a close() that fails has closed, and a connection that cannot be sent to has
nothing to read either. They fail in a library that is loaded before the others (malloc_fault.c).
"""

import collections
import errno
import re
from typing import NamedTuple

import arena
import kills
import mallocs
from cases import Tried, case

# What man-pages and the kernel give, for calls whose arguments match; the first that matches.
ERRNOS = (
    ("access", "", "ENOENT EACCES"),
    ("clone3?", "", "EAGAIN ENOMEM"),
    ("connect", ".*AF_UNIX", "ENOENT EACCES ECONNREFUSED"),
    ("connect", "", "ECONNREFUSED ENETUNREACH ETIMEDOUT EADDRNOTAVAIL EACCES"),
    ("faccessat2?", "", "EACCES EROFS EIO"),
    ("fcntl", ".*F_DUPFD", "EMFILE"),
    ("fcntl", ".*F_SETPIPE_SZ", "EPERM EBUSY ENOMEM"),
    ("fcntl", "", "EINVAL EACCES EAGAIN"),
    ("flock", "", "ENOLCK EINTR EAGAIN"),
    ("fsync|fdatasync", "", "EIO ENOSPC EDQUOT"),
    ("getdents64", "", "EIO ENOMEM"),
    ("getpeername", "", "ENOTCONN ENOBUFS"),
    ("getrandom", "", "EINTR ENOSYS"),
    ("getsockname|getsockopt", "", "ENOBUFS"),
    ("linkat", "", "EPERM EROFS ENOSPC EMLINK EIO"),
    ("lseek", "", "ESPIPE"),
    ("mkdirat?", "", "EACCES EROFS ENOSPC"),
    ("mmap|mprotect|munmap", "", "ENOMEM"),
    ("newfstatat", ".*AT_EMPTY_PATH", "EIO ENOMEM"),
    ("newfstatat", "", "EACCES EIO ENOENT"),
    ("openat", ".*O_CREAT", "EMFILE ENOSPC EACCES EROFS ENFILE EDQUOT EIO"),
    ("openat", "", "EMFILE EACCES ENFILE ENOENT EIO ENOMEM"),
    ("pidfd_open", "", "ENOSYS EPERM EMFILE"),
    ("pipe2?|socketpair", "", "EMFILE ENFILE"),
    ("poll|ppoll", "", "EINTR ENOMEM"),
    ("prctl", "", "EPERM EINVAL"),
    ("pread64|read", "", "EIO EINTR"),
    ("prlimit64", "", "EPERM"),
    ("recvfrom|recvmsg", "", "ECONNRESET ETIMEDOUT EINTR EAGAIN ENOMEM"),
    ("renameat2", "", "ENOSPC EROFS EXDEV EINVAL ENOSYS EIO EACCES"),
    ("rename|renameat", "", "ENOSPC EROFS EXDEV EIO EACCES"),
    ("sendto|sendmsg", "", "EINTR EAGAIN"),
    ("setsockopt", "", "ENOPROTOOPT ENOMEM"),
    ("socket", "", "EMFILE ENFILE EACCES ENOBUFS EAFNOSUPPORT"),
    ("sync_file_range", "", "EIO ENOSPC"),
    ("unlinkat?", "", "EACCES EROFS EBUSY EIO"),
    ("wait4|waitid", "", "EINTR ECHILD"),
    ("writev?", "2,", "EAGAIN EPIPE EIO ENOSPC"),
    ("writev?|pwrite64", "", "ENOSPC EIO EDQUOT EINTR"),
)
# They mean "again". A kernel that says so for ever does not exist; but of a resource it may.
PASSING = {"EINTR", "EAGAIN"}
LASTING = {("clone", "EAGAIN"), ("clone3", "EAGAIN"), ("fcntl", "EAGAIN"), ("write", "EAGAIN")}
BY_LIBRARY = {"close": ("EIO", "EINTR", "ENOSPC", "EDQUOT"),
              "send": ("ECONNRESET", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH")}
NOT_LOADED = 127  # the loader's exit code: the program did not even begin

# By default all errnos of the calls that are rare in a backup (fsync, rename, clone ...), once, and
# one from then on. Of the others, and of loading libraries, which is what goes on before the first
# connection, every so many-th: one errno in turn, and now and then one from then on.
RARE = 7
STEP = {"file": 14, "azure": 64}
BEFORE_STEP = {"file": 24, "azure": 150}
LATE_STEP = 32
DUMP_STEP = 40
ONWARDS_STEP = 4


class Fault(NamedTuple):
    call: str
    k: int
    errno: str
    onwards: bool

    def __str__(self):
        return f"{self.call} {self.k} gives {self.errno}{', from then on' if self.onwards else ''}"

    @property
    def injection(self):
        when = f"{self.k}{'+' if self.onwards else ''}"
        return ["-e", f"trace={self.call}",
                "-e", f"inject={self.call}:error={self.errno}:when={when}"]

    def strace(self, log):
        return ["strace", "-qq", "-o", str(log), *self.injection]


def errnos_of(call, rest):
    """What it may give instead of what it gave; nothing where it cannot fail (getpid), where glibc
    has no answer to it (futex) or takes it for a success (brk; ENOENT of getdents64, which is the
    end of a deleted folder), and for errors in our arguments."""
    for calls, arguments, errnos in ERRNOS:
        if re.fullmatch(calls, call) and re.match(arguments, rest):
            return [each for each in errnos.split() if f"= -1 {each} " not in rest]
    return []


def faults_of(calls):
    """For each call that can fail: (is it before the first connection, its faults)."""
    injected = [call for call in calls if call[0] not in kills.NOT_INJECTED]
    first_connect = next(index for index, (name, rest) in enumerate(injected)
                         if name == "connect" and "AF_INET" in rest)
    for index, ((point, _), (name, rest)) in enumerate(zip(kills.points_of(calls), injected)):
        faults = [Fault(name, point.k, what, onwards) for what in errnos_of(name, rest)
                  for onwards in (False, True)
                  if not onwards or what not in PASSING or (name, what) in LASTING]
        if faults:
            yield index < first_connect, faults


def sort(faults):
    """What one call's faults have in common with those of another: a write to a log is no write to
    a file."""
    return faults[0].call, tuple(fault.errno for fault in faults)


def split(faults):
    return ([fault for fault in faults if not fault.onwards],
            [fault for fault in faults if fault.onwards])


def choose(calls, step, before_step, rare=0):
    """Of the calls' faults some, of every errno and both ways."""
    counts = collections.Counter(sort(faults) for is_before, faults in calls if not is_before)
    before = after = 0
    for is_before, faults in calls:
        once, onwards = split(faults)
        if not is_before and counts[sort(faults)] <= rare:
            yield from once
            yield from onwards[faults[0].k % len(onwards):][:1] if onwards else ()
            continue
        before += is_before
        after += not is_before
        number, every = (before, before_step) if is_before else (after, step)
        turn = number // every
        if number % every:
            continue
        yield once[turn % len(once)]
        if onwards and turn % ONWARDS_STEP == 0:
            yield onwards[turn // ONWARDS_STEP % len(onwards)]


def injected(log):
    """Did it happen? Numbers of calls differ by a few from run to run."""
    return "(INJECTED)" in log.read_text(errors="replace")


def fault_at(lane, fault, time_of_day=arena.FIRST_CHECK):
    log = mallocs.new_file(lane, "faults")
    seen = lane.check(time_of_day, prefix=fault.strace(log), what=f"when {fault}")
    if seen.code == NOT_LOADED and "error while loading shared libraries" in seen.err:
        assert seen.before == seen.after
        lane.observed.remove(seen)
    return Tried(reached=injected(log))


def library_fault_at(lane, fault, time_of_day=arena.FIRST_CHECK):
    report = mallocs.new_file(lane, "report")
    settings = mallocs.preloaded(
        lane, CHAOS_FAIL=f"{fault.call}:{fault.k}{'+' if fault.onwards else ''}",
        CHAOS_ERRNO=getattr(errno, fault.errno), CHAOS_REPORT=report)
    lane.check(time_of_day, settings=settings, what=f"when {fault}")
    return Tried(reached=bool(mallocs.read_lines(report)))


def library_faults(found):
    """As faults_of(). Of what libc itself closes, a folder or a file, nobody sees the result."""
    return [(False, [Fault(call, k, what, onwards) for what in errnos
                     for onwards in (False, True)])
            for call, errnos in BY_LIBRARY.items() for k in range(1, len(found[call]) + 1)]


def try_each(run, calls, chosen, function):
    """`chosen`, or, with --full, all."""
    run.each([fault for _, faults in calls for fault in faults] if run.full else chosen, function,
             exist=sum(len(faults) for _, faults in calls), may_miss=kills.MAY_MISS)


@case("errno", kinds=("file", "azure"), about="every system call fails, once and from then on")
def fail_calls(run):
    lane = run.lanes[0]
    mallocs.build(run.arena.folder)
    by_strace = list(faults_of(kills.enumerate_calls(lane)))
    lane.begin()
    by_library = library_faults(mallocs.enumerate_calls(lane))
    step, before_step = STEP[run.kind], BEFORE_STEP[run.kind]
    try_each(run, by_strace, choose(by_strace, step, before_step,
                                    RARE if run.kind == "file" else 0), fault_at)
    try_each(run, by_library, choose(by_library, step, before_step), library_fault_at)


@case("errno-late", about="the same, in the check that recovers a published run")
def fail_calls_of_recovery(run):
    lane = run.lanes[0]
    mallocs.build(run.arena.folder)
    killed = mallocs.just_published(lane)
    lane.begin()
    mallocs.die(lane, killed)
    log = mallocs.new_file(lane, "calls")
    lane.check(mallocs.RECOVERY_CHECK, prefix=["strace", "-qq", "-o", str(log)])
    by_strace = [(False, faults) for is_before, faults in faults_of(kills.calls_in(log))
                 if not is_before]
    lane.begin()
    mallocs.die(lane, killed)
    by_library = library_faults(mallocs.enumerate_calls(lane, mallocs.RECOVERY_CHECK))
    for calls, function in ((by_strace, fault_at), (by_library, library_fault_at)):
        def fail_at(lane, fault, function=function):
            mallocs.die(lane, killed)
            return function(lane, fault, mallocs.RECOVERY_CHECK)

        try_each(run, calls, choose(calls, LATE_STEP, LATE_STEP), fail_at)


def dump_fault_at(lane, fault):
    seen = lane.check(arena.FIRST_CHECK, settings=kills.traced_dump(lane, *fault.injection),
                      what=f"when pg_dump's {fault}")
    assert seen.code in (0, 1), f"exit code {seen.code}: {seen.err}"
    return Tried(reached=any(map(injected, kills.dump_logs(lane))))


@case("errno-dump", kinds=("file",), about="every system call of pg_dump fails")
def fail_calls_of_dump(run):
    calls = list(faults_of(kills.calls_of_dump(run.lanes[0])))
    try_each(run, calls, choose(calls, DUMP_STEP, DUMP_STEP), dump_fault_at)

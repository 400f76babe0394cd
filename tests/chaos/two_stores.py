"""Two stores at once: the process dies at every point, and so does one of the stores.

Whatever died, after the later checks both stores have the same backup of the occurrence, and no
other. In a folder that is the process's own system calls, of the main thread, which publishes; a
store that dies is a service behind a proxy that answers no more from its n-th request on.
"""

from typing import NamedTuple

import arena
import azurite
from cases import Tried, case
from fault_proxy import ALWAYS, HttpFaultProxy
from kills import MAY_MISS, enumerate_calls, kill_at, points_of

# The rest is common to all stores, and tried with one.
PUBLISHING = {"fsync", "mkdirat", "renameat", "renameat2", "unlinkat"}


@case("two-kill", kinds=("two",), about="kill -9 of a backup into two folders")
def two_kill(run):
    every = list(points_of(enumerate_calls(run.lanes[0])))
    run.each([point for point, _ in every if run.full or point.call in PUBLISHING], kill_at,
             exist=len(every), may_miss=MAY_MISS)


class Death(NamedTuple):
    request: int
    heard: bool     # the request is handled, and its answer lost
    required: bool

    def __str__(self):
        kind = "required" if self.required else "best-effort"
        return (f"a {kind} store that dies {'after' if self.heard else 'before'} its request"
                f" {self.request}")


def die_at(lane, point):
    proxy = HttpFaultProxy(lane.store.second.server.port)
    proxy.add(".", first=point.request, times=1 if point.heard else ALWAYS,
              **{"cut_after" if point.heard else "cut_before": True})
    if point.heard:
        proxy.add(".", first=point.request + 1, times=ALWAYS, cut_before=True)
    options = "" if point.required else "?required=false"
    try:
        seen = lane.check(arena.FIRST_CHECK, what=str(point), settings={
            "RYTHM_BACKUP_STORES": f"{lane.store.first.url} {lane.store.second.url}{options}",
            "RYTHM_BACKUP_RETRY_TIMEOUT": "1s", "RYTHM_BACKUP_BEST_EFFORT_WAIT": "2s",
            "AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string(proxy.port)})
        reached = any(fault.hits for fault in proxy.faults)
    finally:
        proxy.stop()
    assert seen.code in ((0, 1, 3) if point.required else (0, 3)), f"{seen.code}: {seen.err}"
    return Tried(reached=reached)


# What a backup asks of a container that is there: to make it, to list it twice, a block, the
# commit and its check, and so on.
REQUESTS = 12


@case("two-dies", kinds=("mixed",), about="one of two stores dies at every request")
def two_dies(run):
    points = [Death(request, heard, required) for request in range(1, REQUESTS)
              for heard in (False, True) for required in (True, False)]
    run.each(points, die_at, may_miss=0.6)

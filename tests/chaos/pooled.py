"""Behind PgBouncer: refused where it shares sessions, before anything is touched; else as directly.
"""

import contextlib
from typing import NamedTuple

import arena
import kills
from cases import Tried, case
from pgbouncer import PgBouncer

KILL_STEP = 60
# What is waited for, and how often, is not the same in two runs.
MAY_MISS = 0.2
MODES = ("transaction", "statement")
SIZES = (2, 20)


class Refused(NamedTuple):
    mode: str
    size: int

    def __str__(self):
        return f"a pool of {self.size} in {self.mode} mode"


@contextlib.contextmanager
def through(lane, pool):
    """The lane's program knows only the pool."""
    direct = lane.tool
    lane.tool = direct.with_settings(DATABASE_URL=pool.url(lane.name))
    try:
        yield
    finally:
        lane.tool = direct


def old_alone(lane):
    """What was there before: the two old backups."""
    return {stored.name for stored in lane.store.list()} == {lane.kept.name, lane.expired.name}


def pool(run, stack, **settings):
    started = PgBouncer(run.arena.folder, run.arena.cluster, **settings)
    stack.callback(started.stop)
    started.start()
    return started


def refuse(run):
    """By every pool that would let others have our session."""
    points = [Refused(mode, size) for mode in MODES for size in SIZES]
    with contextlib.ExitStack() as stack:
        pools = {point: pool(run, stack, pool_mode=point.mode, default_pool_size=point.size)
                 for point in points}

        def refuse_at(lane, point):
            with through(lane, pools[point]):
                seen = lane.check(arena.FIRST_CHECK, what=f"behind {point}")
            assert seen.code == 2, f"exit code {seen.code}: {seen.err}"
            assert "pooler" in seen.err, seen.err
            assert not lane.rows() and old_alone(lane), "it has begun a backup all the same"

        run.each(points, refuse_at)


def serve(run):
    """A whole backup, and dead ones with all that comes after."""
    with contextlib.ExitStack() as stack:
        # A dead run's server process goes back to the pool, and its lock with it. It is closed soon
        # so that the harness can see that nothing else is left.
        session = pool(run, stack, pool_mode="session", default_pool_size=4, server_idle_timeout=1)

        def serve_at(lane, point):
            with through(lane, session):
                seen = lane.check(arena.FIRST_CHECK, prefix=point.strace if point else (),
                                  what=f"behind a pool in session mode, {point or 'undisturbed'}")
                assert seen.code == 0 or point, f"exit code {seen.code}: {seen.err}"
                lane.recover()
            return Tried(reached=not point or seen.code == -9, recover=False)

        lane = run.lanes[0]
        with through(lane, session):
            every = list(kills.points_of(kills.enumerate_calls(lane)))
        telling = [point for point, chosen in every if chosen and point.call in kills.TELLING]
        run.each([None, *telling[::run.step(KILL_STEP)]], serve_at, exist=len(telling) + 1,
                 may_miss=MAY_MISS)


@case("pooled", about="PgBouncer: transaction mode refused, session mode as without it")
def pooled(run):
    refuse(run)
    serve(run)

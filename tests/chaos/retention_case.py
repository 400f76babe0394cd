"""Retention against a model (retention_model.py): random histories, policies and clocks, and
listings that are not whole. Whatever the model says, I6 is looked at in the store itself."""

import contextlib
import datetime
import json
import random
import re
import shutil
import traceback
from typing import NamedTuple

import arena
import judge
import retention_model
from cases import case
from fault_proxy import ALWAYS, HttpFaultProxy
from retention_model import History, Ledger
from stores import FileStore
from tool import Tool

UTC = datetime.timezone.utc
HISTORIES = 60
ALL_HISTORIES = 4000
CHECK_EVERY = 6       # so many-th history's retention follows a backup
AHEAD_YEARS = 30      # of the pretended clock
TIME = "02:00"
LIMIT_S = 60


def now():
    return datetime.datetime.now(UTC)


class Ground:
    """A database and its stores, for one history after another."""

    def __init__(self, the_arena, kind="file"):
        self.arena = the_arena
        self.name = f"retention_{next(the_arena.numbers)}"
        self.folder = the_arena.folder / self.name
        self.folder.mkdir()
        self.store = the_arena.make_store(kind, self.name, self.folder)
        self.second = FileStore(self.folder / "second")   # a schedule's own
        the_arena.cluster.create_database(self.name, the_arena.template)
        self.connection = the_arena.cluster.connect(self.name)
        self.tool = Tool(self.folder, {
            "DATABASE_URL": the_arena.cluster.url(self.name), **self.store.settings,
            **arena.SETTINGS, "RYTHM_BACKUP_RETRY_TIMEOUT": "1s"})
        self.ledger = Ledger(self.name, the_arena.cluster.system)

    @property
    def stores(self):
        return {False: self.store, True: self.second}

    def execute(self, sql, *parameters):
        with self.connection.cursor() as cursor:
            cursor.execute(sql, parameters or None)

    def set_up(self, history):
        """Rows and objects as the history has them; the second store holds the same objects."""
        self.execute("DELETE FROM backup_history")
        self.execute("DELETE FROM backup_schedule")
        for number, policy in enumerate(history.policies):
            self.execute(
                "INSERT INTO backup_schedule (schedule_id, created_at, enabled, schedule_time,"
                " retention_days, stores) VALUES (%s, timestamptz '2020-01-01' + %s * interval"
                " '1 day', %s, %s, %s, %s)", policy.schedule, number, policy.enabled, TIME,
                policy.days, self.second.settings["RYTHM_BACKUP_STORES"] if policy.own_store
                else None)
            for rule, count in policy.keep:
                self.execute(f"UPDATE backup_schedule SET keep_{rule} = %s WHERE schedule_id = %s",
                             count, policy.schedule)
        self.execute("UPDATE backup_schedule SET timed_at = '2020-01-01'")
        for each in history.objects:
            self.record(each)
        for store in self.stores.values():
            if store.kind == "file":
                shutil.rmtree(store.folder, ignore_errors=True)
                continue
            for name in names(store):
                store.remove(name)
        for own in {policy.own_store for policy in history.policies} | {False}:
            for each in history.objects:
                self.put(self.stores[own], each)

    def record(self, each):
        """What the ledger knows of its verification: nothing of most."""
        if each.verified is None:
            return
        run, schedule = (None, None) if each.legacy else (each.metadata["run"], each.owner[0])
        self.execute(
            "INSERT INTO backup_history (backup_filename, backup_type, status, run_id, schedule_id,"
            " started_at, completed_at, told_at, verified_at, verify_failed_at)"
            " SELECT %s, 'scheduled', 'completed', %s, %s, t.at, t.at, t.at,"
            " CASE WHEN t.good THEN t.at END, CASE WHEN NOT t.good THEN t.at END"
            " FROM (SELECT %s::timestamptz AS at, %s AS good) t",
            each.name, run, schedule, each.begun, each.verified)

    def put(self, store, each):
        if isinstance(each.metadata, bytes):
            store.put(each.name, each.content)
            (store.folder / f"{each.name}.meta").write_bytes(each.metadata)
        else:
            store.put(each.name, each.content, each.metadata)

    def run(self, history, *arguments, **settings):
        process = self.tool.with_settings(RYTHM_BACKUP_KEEP_MIN=str(history.keep_min),
                                          **settings).start(*arguments, start_new_session=True)
        self.arena.note(process)
        try:
            return self.tool.finish(process, timeout=LIMIT_S)
        finally:
            self.arena.forget(process)

    def close(self):
        self.connection.close()
        self.arena.cluster.drop_database(self.name)


def names(store):
    """Of the visible objects, whatever their metadata look like."""
    if store.kind != "file":
        return {stored.name for stored in store.list()}
    if not store.folder.exists():
        return set()
    return {path.name for path in store.folder.iterdir()
            if not path.name.startswith(".") and path.suffix != ".meta"}


def made_there(store, known, when):
    """What the program has put there, as the model's objects."""
    for name in sorted(names(store) - known):
        metadata = json.loads((store.folder / f"{name}.meta").read_text())
        owner = tuple(metadata[key] for key in ("schedule", "ledger", "system"))
        held = (metadata["database"], metadata["source"], metadata.get("schemas"))
        yield retention_model.Object(name, b"", metadata, when, owner, False, held)


def compare(history, store, policies, before, right, real_now=None):
    """What is wrong about what is left in a store; `policies` are those that were applied."""
    left = names(store)
    now_ = history.now
    model = retention_model.deletions(before, policies, history.ledger, history.keep_min, now_,
                                      real_now)
    gone = {each.name for each in before} - left
    if gone != model:
        yield (f"gone are {sorted(gone - model)} and should not be, left are"
               f" {sorted(model - gone)} and should be gone (KEEP_MIN {history.keep_min},"
               f" {history.policies})")
    yield from retention_model.broken_promises(before, left, policies, history.ledger,
                                               history.keep_min, now_)
    right.append(len(gone))


# prune

def prune(ground, history, deleted):
    """Decided by --dry-run and by prune itself."""
    ground.set_up(history)
    code = 3 if any(policy.is_wrong for policy in history.policies) else 0
    planned = ground.run(history, "prune", "--dry-run", "--json")
    if planned.code != code:
        yield f"prune --dry-run: exit code {planned.code}: {planned.err}"
        return
    for own, store in ground.stores.items():
        location = store.settings["RYTHM_BACKUP_STORES"]
        told = {each["name"]: each["action"] for each in planned.json["backups"]
                if each["store"].rstrip("/") == location.rstrip("/")}
        if own and not history.in_store(True):
            continue
        model = retention_model.deletions(history.objects, history.policies, history.ledger,
                                          history.keep_min, history.now)
        right = {each.name: "delete" if each.name in model else "keep"
                 for each in history.objects if each.begun is not None}
        if told != right:
            yield (f"prune --dry-run says {sorted(told.items() - right.items())}, right is"
                   f" {sorted(right.items() - told.items())} (KEEP_MIN {history.keep_min},"
                   f" {history.policies})")
        kept = retention_model.reasons(history.objects, history.policies, history.ledger,
                                       history.now)
        shown = {each["name"]: each["reason"] for each in planned.json["backups"]
                 if each["reason"].startswith("keep_")
                 and each["store"].rstrip("/") == location.rstrip("/")}
        if shown != kept:
            yield f"prune --dry-run names the rules {shown}, right is {kept} ({history.policies})"
        if names(store) != {each.name for each in history.objects}:
            yield "prune --dry-run changed the store"
    result = ground.run(history, "prune")
    if result.code != code:
        yield f"prune: exit code {result.code}: {result.err}"
    for own in {policy.own_store for policy in history.policies} | {False}:
        yield from compare(history, ground.stores[own], history.policies, history.objects, deleted)


def check(ground, history, real_now, deleted):
    """The same after the scheduled backups of a pretended night."""
    ground.set_up(history)
    due = [policy for policy in history.policies if policy.enabled and not policy.is_wrong]
    wrong = any(policy.enabled and policy.is_wrong for policy in history.policies)
    result = ground.run(history, "check", "--now", history.now.isoformat())
    if result.code != (3 if wrong else 0):
        yield f"check: exit code {result.code}: {result.err}"
        return
    known = {each.name for each in history.objects}
    for own, store in ground.stores.items():
        applied = [policy for policy in due if policy.own_store == own]
        made = list(made_there(store, known, history.now))
        if sorted(each.owner[0] for each in made) != sorted(each.schedule for each in applied):
            yield f"made were {[each.name for each in made]} of {applied}: {result.err}"
        if applied or not own:
            yield from compare(history, store, applied, [*history.objects, *made], deleted,
                               real_now)


def try_history(ground, number, deleted):
    chance = random.Random(f"history {number}")
    if number % CHECK_EVERY:
        return list(prune(ground, History(chance, ground.ledger, now()), deleted))
    pretended = now().replace(hour=2, minute=0, second=10, microsecond=0)
    pretended += datetime.timedelta(days=365 * AHEAD_YEARS)
    return list(check(ground, History(chance, ground.ledger, pretended), now(), deleted))


def on_grounds(run, tasks, function):
    """function(ground, task) for each; a ground serves one thread."""
    def work(_, todo):
        with contextlib.closing(Ground(run.arena, run.kind)) as ground:
            for task in todo:
                try:
                    function(ground, task)
                except Exception:
                    run.note(f"all of {task}", judge.Verdict([traceback.format_exc()]))

    with run.crew(tasks, work):
        pass


def histories(run):
    count = ALL_HISTORIES if run.full else HISTORIES
    run.exist += ALL_HISTORIES
    deleted = []

    def try_one(ground, number):
        run.note(f"history {number}", judge.Verdict(try_history(ground, number, deleted)))

    on_grounds(run, range(count), try_one)
    run.tell(f"  retention: {count} histories, {sum(deleted)} objects deleted as the model says")
    if not sum(deleted):
        run.fail("the histories", "in none of them was anything deleted")


# Listings that are not whole

PAGE = 7  # entries


class PagingProxy(HttpFaultProxy):
    """In front of Azurite: answers in short pages, after whatever is done to the list."""

    def __init__(self, upstream_port):
        super().__init__(upstream_port)
        self.leave_out = frozenset()      # names that the list does not have
        self.twist = lambda number, body: body  # of a page's text
        self._pages = []
        self.asked = 0

    def _forward(self, method, path, headers, body):
        if method != "GET" or "comp=list" not in path:
            return super()._forward(method, path, headers, body)
        marker = re.search(r"[?&]marker=page-(\d+)", path)
        if marker is None:
            status, self._headers, text = super()._forward(method, path, headers, body)
            assert status == 200, text
            self._pages = list(self._cut_up(text.decode()))
        number = int(marker[1]) if marker else 0
        self.asked = max(self.asked, number)
        return 200, self._headers, self.twist(number, self._pages[number].encode())

    def _cut_up(self, text):
        head = text[:text.index("<Blobs")] + "<Blobs>"
        entries = [entry for entry in re.findall(r"<Blob>.*?</Blob>", text, re.DOTALL)
                   if re.search("<Name>(.*?)</Name>", entry)[1] not in self.leave_out]
        for first in range(0, max(len(entries), 1), PAGE):
            more = f"page-{first // PAGE + 1}" if first + PAGE < len(entries) else ""
            yield (f"{head}{''.join(entries[first:first + PAGE])}</Blobs><NextMarker>{more}"
                   "</NextMarker></EnumerationResults>")

    def be_good(self):
        self.clear()
        self.leave_out = frozenset()
        self.twist = lambda number, body: body
        self.asked = 0


class Mischief(NamedTuple):
    """What is done to a list: `twist` to the text of page `page`, or a fault of the proxy.

    Unnoticed: nobody could see that the list is not whole; what is left out is not in it."""

    name: str
    page: int = 0
    twist: object = None
    fault: object = None
    leave_out: object = None      # a function (names in order, chance) -> those left out
    unnoticed: bool = False

    def __str__(self):
        return f"{self.name}, page {self.page}"


def without_marker(body):
    return re.sub(rb"<NextMarker>.*</NextMarker>", b"", body)


def ending_early(body):
    return re.sub(rb"<NextMarker>.*</NextMarker>", b"<NextMarker />", body)


def twice(body):
    entry = re.search(rb"<Blob>.*?</Blob>", body, re.DOTALL)
    return body.replace(entry[0], entry[0] * 2, 1) if entry else body + b"<"


def coming_back(body):
    return re.sub(rb"<NextMarker>.*</NextMarker>", b"<NextMarker>page-0</NextMarker>", body)


def some(entries, chance):
    return chance.sample(entries, chance.randint(1, len(entries)))


def mischiefs(pages, cuts):
    """On each page; each page is cut short at so many places."""
    for page in range(pages):
        for cut in range(cuts):
            yield Mischief(f"cut short at {cut} of {cuts}", page, lambda body, cut=cut, cuts=cuts:
                           body[:len(body) * cut // cuts])
        if page + 1 < pages:
            yield Mischief("without its NextMarker", page, without_marker)
            yield Mischief("ending early", page, ending_early, unnoticed=True)
        yield Mischief("an entry twice", page, twice)
        yield Mischief("its last byte missing", page, lambda body: body[:-1])
    yield Mischief("beginning again for ever", pages - 1, coming_back)
    yield Mischief("some other document", 0, lambda body: b"<html><body>Sign in</body></html>")
    yield Mischief("not XML at all", 0, lambda body: b"no")
    for status in (500, 503, 403, 429):
        yield Mischief(f"status {status}", 0, fault={"status": status})
    for cut in (0, 1, 700):
        yield Mischief(f"the connection cut after byte {cut}", 0, fault={"cut_reply_at": cut})
    for entry in (0, 3, -1):
        yield Mischief(f"entry {entry} missing", leave_out=lambda entries, chance, entry=entry:
                       [entries[entry]], unnoticed=True)
    for number in range(4):
        yield Mischief(f"some entries missing ({number})", leave_out=some, unnoticed=True)
    yield Mischief("empty", leave_out=lambda entries, chance: entries, unnoticed=True)


class Cut:
    """One history in a container, which every mischief is tried on."""

    def __init__(self, number, ledger):
        self.number = number
        self.chance = random.Random(f"cut {number}")
        # The history must be one of which something goes.
        while True:
            self.history = History(self.chance, ledger, now(), folder=False, size=(22, 30))
            self.full = retention_model.deletions(self.history.objects, self.history.policies,
                                                  ledger, self.history.keep_min, now())
            if (len(self.full) >= 4
                    and not any(policy.is_wrong for policy in self.history.policies)):
                break
        # As the service lists them; only what has the prefix is asked for.
        self.listed = sorted(each.name for each in self.history.objects
                             if each.name.startswith("rythm-backup-"))
        self.pages = -(-len(self.listed) // PAGE)

    def __str__(self):
        return f"cut {self.number}"

    def stand_on(self, ground, proxy):
        self.ground = ground
        self.proxy = proxy
        self.settings = ground.store.settings_through(proxy.port)
        ground.set_up(self.history)

    def visible(self, mischief):
        """The names that the program gets to see."""
        if mischief.leave_out:
            out = set(mischief.leave_out(self.listed, self.chance))
            self.proxy.leave_out = frozenset(out)
            return [name for name in self.listed if name not in out]
        if mischief.unnoticed:
            return self.listed[:(mischief.page + 1) * PAGE]
        return None

    def findings(self, mischief):
        self.proxy.be_good()
        visible = self.visible(mischief)
        if mischief.twist:
            self.proxy.twist = lambda number, body: (
                mischief.twist(body) if number == mischief.page else body)
        if mischief.fault:
            self.proxy.add("^GET .*comp=list", times=ALWAYS, **mischief.fault)
        result = self.ground.run(self.history, "prune", **self.settings)
        left = names(self.ground.store)
        gone = {each.name for each in self.history.objects} - left
        yield from retention_model.broken_promises(
            self.history.objects, left, self.history.policies, self.ground.ledger,
            self.history.keep_min, now())
        if visible is None:
            if gone:
                yield f"gone are {sorted(gone)}"
            if result.code != 1 or not result.err.strip():
                yield f"exit code {result.code}: {result.err}"
        else:
            seen = [each for each in self.history.objects if each.name in visible]
            model = retention_model.deletions(seen, self.history.policies, self.ground.ledger,
                                              self.history.keep_min, now())
            if gone != model:
                yield f"gone are {sorted(gone)}, by what could be seen it should be {sorted(model)}"
            if not gone <= self.full:
                yield f"{sorted(gone - self.full)} are gone, which the whole list keeps"
            if result.code != 0:
                yield f"exit code {result.code}: {result.err}"
        if mischief.page > self.proxy.asked:
            yield f"page {mischief.page} was never asked for: this tries nothing"
        for each in self.history.objects:
            if each.name in gone:
                self.ground.put(self.ground.store, each)

    def after_a_backup(self, mischief):
        """The same at the listing that follows a backup: the backup is good, exit code 3."""
        self.proxy.be_good()
        self.proxy.add("^GET .*comp=list.*prefix=rythm-backup-(&|$)", times=ALWAYS, **(
            mischief.fault or {"rewrite": lambda status, headers, body: (
                status, headers, mischief.twist(body))}))
        self.ground.execute("DELETE FROM backup_history")
        self.ground.execute("UPDATE backup_schedule SET enabled = (stores IS NULL)")
        night = now().replace(hour=2, minute=0, second=10) + datetime.timedelta(days=36500)
        result = self.ground.run(self.history, "check", "--now", night.isoformat(), **self.settings)
        known = {each.name for each in self.history.objects}
        made = names(self.ground.store) - known
        if result.code != 3:
            yield f"exit code {result.code}: {result.err}"
        if len(made) != len(self.history.policies):
            yield f"made were {sorted(made)}: {result.err}"
        if known - names(self.ground.store):
            yield f"gone are {sorted(known - names(self.ground.store))}"
        for name in made:
            self.ground.store.remove(name)

    def points(self, full):
        """(Mischief, how it is tried)"""
        cut_up = 40 if full else 4
        return [*((mischief, self.findings) for mischief in mischiefs(self.pages, cut_up)),
                *((mischief, self.after_a_backup) for mischief in AFTER_A_BACKUP)]

    def try_all(self, run):
        for mischief, function in self.points(run.full):
            if run.stopping.is_set():
                return
            try:
                found = list(function(mischief))
            except Exception:
                found = [traceback.format_exc()]
            run.note(f"{self}, the list {mischief}", judge.Verdict(found))


AFTER_A_BACKUP = (
    Mischief("after a backup: cut short", twist=lambda body: body[:len(body) // 2]),
    Mischief("after a backup: without its NextMarker", twist=without_marker),
    Mischief("after a backup: status 500", fault={"status": 500}))
CUTS = 2
ALL_CUTS = 20


def cuts(run):
    run.arena.start_azurite()
    proxies = []
    some_ledger = Ledger("model", "7000000000000000000")
    run.exist += sum(len(Cut(number, some_ledger).points(True)) for number in range(ALL_CUTS))

    def try_one(ground, number):
        run.arena.azurite.client.create(ground.store.container)
        proxy = PagingProxy(run.arena.azurite.port)
        proxies.append(proxy)
        cut = Cut(number, ground.ledger)
        cut.stand_on(ground, proxy)
        cut.try_all(run)

    try:
        on_grounds(run, range(ALL_CUTS if run.full else CUTS), try_one)
    finally:
        for proxy in proxies:
            proxy.stop()


@case("retention", kinds=("file", "azure"),
      about="random histories and policies against a model; with Azure, lists that are not whole")
def retention(run):
    if run.kind == "azure":
        cuts(run)
    else:
        histories(run)

"""A judge that cannot fail is worth nothing: doctored situations, each of which it must find.

The store, the ledger and the mails of one good backup are changed behind the program's back, one
thing at a time; the check that is there for it must say so. Unchanged, nothing may be found.
The same holds for who calls the judge: what was not tried must not pass.
"""

import copy
import dataclasses
import datetime
import subprocess

import arena
import judge
from cases import MOST_TRIED, Case, Run, Tried, case
from judge import Expectation, Verdict
from tool import SECRETS

AZURE_STEP = 3
REFUSED = "a dump that psql refuses"
FAILED = dict.fromkeys(("run_id", "attempt", "backup_filename"), "x") | {
    "status": "failed", "error_message": "no room"}


def zstd(data, *options):
    return subprocess.run(["zstd", "-q", *options], input=data, stdout=subprocess.PIPE,
                          check=True).stdout


def replace(lane, change, recorded=True):
    """Other bytes in the object; `recorded`: ledger and metadata agree with them."""
    (stored,) = [each for each in lane.store.list()
                 if each.name not in (lane.kept.name, lane.expired.name)]
    content = change(lane.store.read(stored.name))
    metadata = dict(stored.metadata)
    if recorded:
        metadata |= {"bytes": str(len(content)),
                     "sha256": judge.hashlib.sha256(content).hexdigest()}
        lane.query("UPDATE backup_history SET file_size_bytes = %s, sha256 = %s"
                   " WHERE run_id = %s", len(content), metadata["sha256"], metadata["run"])
    lane.store.remove(stored.name)
    lane.store.put(stored.name, content, metadata)


def script(change):
    return lambda lane: replace(lane, lambda data: zstd(change(zstd(data, "-dc"))))


def second_object(lane):
    (stored,) = judge.look(lane).objects
    lane.store.put(stored.name.replace("T02", "T03"), lane.store.read(stored.name),
                   {**stored.metadata, "run": "0123456789abcdef"})


def other_occurrence(lane):
    (stored,) = judge.look(lane).objects
    content = lane.store.read(stored.name)
    lane.store.remove(stored.name)
    lane.store.put(stored.name, content, {**stored.metadata, "occurrence": "2031-01-01T02:00:00Z"})


def without_object(lane):
    lane.store.remove(judge.look(lane).objects[0].name)


def update(assignments):
    """A change of the row of this point."""
    return lambda lane: lane.query(f"UPDATE backup_history SET {assignments} WHERE run_id = %s",
                                   lane.rows()[0]["run_id"])


def left_behind(name):
    def leave(lane):
        (lane.store.folder / name).write_text("x")
    return leave


def damage_kept(lane):
    metadata = {stored.name: stored.metadata for stored in lane.store.list()}[lane.kept.name]
    lane.store.remove(lane.kept.name)
    lane.store.put(lane.kept.name, lane.kept.content[:-1], metadata)


def relabel_kept(lane):
    metadata = {stored.name: stored.metadata for stored in lane.store.list()}[lane.kept.name]
    lane.store.remove(lane.kept.name)
    lane.store.put(lane.kept.name, lane.kept.content, {**metadata, "type": "manual"})


# What is done to the world; the check that must find it; words of what it must say.
IN_THE_WORLD = (
    ("a second object of the occurrence", second_object, "one_object", "2 objects"),
    ("an object of another occurrence", other_occurrence, "one_object", "of the occurrence"),
    ("a truncated object", lambda lane: replace(lane, lambda data: data[:-9], False), "restores",
     "SHA-256"),
    ("an object that was recorded truncated", lambda lane: replace(lane, lambda data: data[:-9]),
     "restores", "zstd says"),
    ("a dump without its end", script(lambda text: text[:text.rindex(b"-- PostgreSQL")]),
     "restores", "does not end as"),
    ("a dump without one row", script(lambda text: text.replace(b"\n7\tword 55433\n", b"\n")),
     "restores", "known rows"),
    (REFUSED, script(lambda text: b"SELECT 1/0;\n" + text), "restores", "division by zero"),
    ("a completed row without its object", without_object, "not_lost", "no object"),
    ("an object whose row failed", update("status = 'failed', error_message = 'x'"), "not_lost",
     "no completed row"),
    ("a row of another run", update("run_id = 'fedcba9876543210'"), "not_lost",
     "fedcba9876543210, the object"),
    ("a row with another size", update("file_size_bytes = 1"), "not_lost", "says 1, the object"),
    ("a row of another occurrence", update("occurrence_at = occurrence_at - interval '1 hour'"),
     "not_lost", "another occurrence"),
    ("a row that is still started", update("status = 'started'"), "none_started", "is 'started'"),
    ("a mail that is still pending", lambda lane: lane.query(
        "UPDATE email_logs SET status = 'pending' WHERE to_address LIKE 'ada@%%'"), "mails",
     "ada@rythm.example is pending"),
    ("a delivery without its mail", lambda lane: lane.query(
        "DELETE FROM email_logs WHERE to_address LIKE 'ada@%%'"), "outbox", "its mail is not"),
    ("a mail without its delivery", lambda lane: lane.query(
        "DELETE FROM rythm_backup_deliveries WHERE recipient LIKE 'ada@%%'"), "outbox",
     "has no delivery"),
    ("news that is written twice", lambda lane: lane.query(
        "INSERT INTO rythm_backup_deliveries SELECT (d).* FROM (SELECT jsonb_populate_record(d,"
        " jsonb_build_object('again', true, 'delivery_id', gen_random_uuid())) AS d"
        " FROM rythm_backup_deliveries d LIMIT 1) s"), "outbox", "2 deliveries of"),
    ("a secret in the ledger", update(f"error_message = '{SECRETS[0]}'"), "no_secrets",
     "the ledger"),
    ("a secret in email_logs", lambda lane: lane.query(
        "UPDATE email_logs SET plain_text_body = %s", SECRETS[1]), "no_secrets", "email_logs"),
    ("the other backup deleted", lambda lane: lane.store.remove(lane.kept.name), "others_unharmed",
     "is gone"),
    ("the other backup damaged", damage_kept, "others_unharmed", "is not what it was"),
    ("the other backup with other metadata", relabel_kept, "others_unharmed", "is not what it was"),
    ("an expired backup that is left", lambda lane: lane.store.put(
        lane.expired.name, lane.expired.content, lane.expired.metadata), "expired_is_gone",
     "check at 02:00:10: exit code 0"))

IN_A_FOLDER = (
    ("a partial file", left_behind(".rythm-backup-x.sql.0123456789abcdef.partial"), "no_leftovers",
     ".partial"),
    ("metadata of nothing", left_behind("rythm-backup-x.sql.meta"), "no_leftovers", "x.sql.meta"))


def first(scene, **changes):
    """The scene with another first run."""
    scene.observed[0] = dataclasses.replace(scene.observed[0], **changes)


def its_row(scene, **changes):
    """The first run's row as that run left it."""
    first(scene, after=[row | changes for row in scene.observed[0].after])


def made_nothing(scene):
    first(scene, after=[])


def left_started(scene, **changes):
    started = [row | {"status": "started"} for row in scene.observed[0].after]
    first(scene, before=started, after=started, **changes)


def named_started(scene):
    left_started(scene, code=3, err=f"{judge.WARNING} {scene.rows[0]['backup_filename']} is lost?")


def together(scene):
    """The same with others beside it."""
    first(scene, alone=False)
    scene.is_expired_there = True


def may_fail(scene, *rows):
    scene.expectation = Expectation(may_fail=True)
    scene.objects.clear()
    scene.messages.clear()
    scene.rows[:] = [row | {"occurrence_at": scene.occurrence} for row in rows]


def again(scene):
    scene.messages.append(copy.deepcopy(scene.messages[0]))


def other_recipient(scene):
    scene.messages[0]["recipients"]["to"][0]["address"] = "user@rythm.example"


# The same, of what was seen.
IN_THE_SCENE = (
    ("a copy that differs", lambda scene: scene.apart.append("x"), "same_everywhere",
     "not the same in both"),
    ("a copy that is owed", lambda scene: scene.owed.append({"store": "file:///x"}),
     "same_everywhere", "misses a copy"),
    ("started after the next check", lambda scene: scene.late_rows.append(scene.rows[0]),
     "none_started", "after the next check"),
    ("lost", lambda scene: (scene.rows.clear(), scene.objects.clear()), "not_lost",
     "no completed row"),
    ("two completed rows", lambda scene: scene.rows.append(scene.rows[0]), "not_lost",
     "2 completed rows"),
    ("two failed attempts and no third", lambda scene: may_fail(scene, FAILED, FAILED), "not_lost",
     "2 failed attempts"),
    ("a failure without a reason", lambda scene: may_fail(
        scene, FAILED, FAILED, FAILED | {"error_message": ""}), "not_lost", "does not say why"),
    ("a completed backup with exit code 1", lambda scene: first(scene, code=1), "exit_codes",
     "is completed"),
    ("a failed backup with exit code 0", lambda scene: its_row(scene, status="failed"),
     "exit_codes", "its backup failed"),
    ("a failed backup with exit code 3", lambda scene: (
        its_row(scene, status="failed"), first(scene, code=3)), "exit_codes", "its backup failed"),
    ("a started row with exit code 0", lambda scene: its_row(scene, status="started"),
     "exit_codes", "its row is still"),
    ("a dead run's row with exit code 0", left_started, "exit_codes", "a dead run's row"),
    ("a started row with exit code 3", lambda scene: (
        its_row(scene, status="started"), first(scene, code=3)), "exit_codes", "does not name"),
    ("a dead run's row with exit code 3", lambda scene: left_started(scene, code=3), "exit_codes",
     "does not name"),
    ("nothing made and exit code 0", made_nothing, "exit_codes", "made none"),
    ("nothing made and exit code 3", lambda scene: (
        made_nothing(scene), first(scene, code=3, err="a mail waits")), "exit_codes", "made none"),
    ("exit code 2 without a word", lambda scene: (
        made_nothing(scene), first(scene, code=2, err="\n")), "exit_codes", "without a word"),
    ("exit code 3 without a word", lambda scene: first(scene, code=3, err=""), "exit_codes",
     "without a word"),
    ("the end by a signal without a word", lambda scene: (
        made_nothing(scene), first(scene, code=143, err="")), "exit_codes", "without a word"),
    ("what several of them left", together, "expired_is_gone", "nothing went wrong"),
    ("a failure without a word", lambda scene: (
        made_nothing(scene), first(scene, code=1, err="")), "exit_codes", "without a word"),
    ("an exit code that does not exist", lambda scene: first(scene, code=7), "exit_codes",
     "exit code 7"),
    ("exit code 4, which is not of check", lambda scene: first(scene, code=4), "exit_codes",
     "exit code 4"),
    ("a segmentation fault", lambda scene: first(scene, code=-11), "exit_codes", "SIGSEGV"),
    ("a run that hung", lambda scene: first(scene, code=None), "exit_codes", "hung"),
    ("mails that were never written", lambda scene: scene.messages.clear(), "mails",
     "nobody told"),
    ("a doubled mail", again, "mails", "2 mails 'completed'"),
    ("a mail that is not true", lambda scene: scene.messages[0]["content"].update(
        subject="Database Backup Failed"), "mails", "no such row"),
    ("a mail to somebody else", other_recipient, "mails", "is no admin"),
    ("a secret on stdout", lambda scene: first(scene, out=SECRETS[2]), "no_secrets",
     "check at 02:00:10"),
    ("a secret in a mail", lambda scene: scene.messages[0]["content"].update(html=SECRETS[0]),
     "no_secrets", "a mail"),
    ("a secret in metadata", lambda scene: scene.objects[0].metadata.update(tool=SECRETS[0]),
     "no_secrets", ".sql.zst"),
    ("a sanitizer's report", lambda scene: first(scene, err="x.c:1: runtime error: overflow"),
     "no_secrets", "runtime error"))

FAILED_AFTER = datetime.timedelta(seconds=70)
DUE = (("02:00:10", (), True), ("01:59:59", (), False),
       ("02:02:00", ("failed",), False), ("02:02:20", ("failed",), True),
       ("02:06:00", ("failed",) * 2, False), ("02:06:20", ("failed",) * 2, True),
       ("02:30:00", ("failed",) * 3, False), ("02:30:00", ("completed",), False),
       ("02:30:00", ("failed", "started"), False))


def backed_up(lane):
    lane.begin()
    lane.check(arena.FIRST_CHECK)
    lane.recover()


def demand(run, what, verdict, check, words):
    """Counts it as a verdict: was it found, by this check and in these words?"""
    found = any(finding.startswith(f"{check}:") and words in finding
                for finding in verdict.findings)
    run.exist += 1
    run.note(what, Verdict([] if found else [f"not found by {check}: {verdict.findings}"]))


def accept(run, what, verdict):
    run.exist += 1
    run.note(what, Verdict(verdict.findings))


def doctor_scene(run, scene):
    for what, change, check, words in IN_THE_SCENE:
        changed = dataclasses.replace(scene, contents=scene.contents, **{
            name: copy.deepcopy(getattr(scene, name))
            for name in ("objects", "rows", "messages", "observed", "late_rows", "apart", "owed")})
        change(changed)
        demand(run, what, judge.judge(changed), check, words)
    unresolved = copy.copy(scene)
    unresolved.observed = list(scene.observed)
    named_started(unresolved)
    accept(run, "exit code 3 that names the run that waits", judge.judge(unresolved))
    failed = copy.copy(scene)
    failed.observed, failed.objects, failed.rows, failed.emails = [], [], [], []
    failed.deliveries = []
    told = copy.deepcopy(scene.messages)
    failed.messages = []
    may_fail(failed, FAILED, FAILED, FAILED)
    for message in told:
        message["content"]["subject"] = "Database Backup Failed"
    failed.messages = told
    accept(run, "a clear failure, where one may be", judge.judge(failed))


def count_mails(run, scene):
    """The service takes a repeated id for one mail: no finding, but not hidden either."""
    repeated = judge.judge(dataclasses.replace(scene, repeats=["an id"]))
    run.exist += 1
    run.note("mails that are counted", Verdict(
        repeated.findings + ([] if repeated.repeated_mails == 1 else ["it was not counted"])))


def doctor_world(run):
    """Each on a lane of its own, for most of the time is that of the backups."""
    changes = IN_THE_WORLD + (IN_A_FOLDER if run.kind == "file" else ())
    # What is looked at through another client only needs to be seen there, too.
    changes = changes[::1 if run.full or run.kind == "file" else AZURE_STEP]

    def work(lane, todo):
        for what, change, check, words in todo:
            backed_up(lane)
            change(lane)
            scene = judge.look(lane, restore=what == REFUSED)
            demand(run, what, judge.judge(scene), check, words)

    with run.crew(changes, work, run.lanes):
        pass


def watch_ends(run, lane):
    """What the lane itself must notice: a child that survives, and a late change."""
    lane.begin()
    lane.gone_limit_s = 1
    lane.check(arena.FIRST_CHECK, prefix=["sh", "-c", "sleep 100 >&- 2>&- & kill -9 $$", "sh"])
    lane.gone_limit_s = arena.GONE_LIMIT_S
    lane.recover()
    demand(run, "a child that survives", judge.judge(judge.look(lane)), "troubles", "sleep")
    lane.begin()
    lane.recover(checks=())
    demand(run, "a late backup", judge.judge(judge.look(lane)), "quiet_afterwards", "the objects")


def ask_due(run, scene):
    failed_at = scene.occurrence + FAILED_AFTER
    for time_of_day, statuses, expected in DUE:
        rows = [{"status": status, "completed_at": failed_at} for status in statuses]
        is_due = judge.is_due(rows, scene.occurrence, time_of_day)
        run.exist += 1
        run.note(f"due at {time_of_day} after {statuses}",
                 Verdict([] if is_due == expected else [f"is_due says {is_due}"]))


def all_threads_end(run):
    def work(place, tasks):
        raise ValueError("no ground to stand on")

    with run.crew(range(3), work):
        pass


def one_thread_ends(run):
    def work(place, tasks):
        for _ in tasks:
            assert place != 0, "this one"

    with run.crew(range(9), work, [0]):
        pass


def nothing_is_reached(run):
    run.each(range(4), lambda lane, point: Tried(reached=False, recover=False))


def too_little_is_reached(run):
    run.each(range(MOST_TRIED), lambda lane, point: Tried(reached=point > 2, recover=False),
             may_miss=0.2)


def a_point_fails_beside_others(run):
    with run.alongside([1], lambda lane, point: lane.no_such_thing, 1):
        pass


# What a case does that tries less than it seems to; words of what must be found.
IN_THE_HARNESS = (
    ("a case without points", lambda run: run.each([], None), "nothing was tried"),
    ("a case that breaks off", lambda run: run.no_such_thing, "no_such_thing"),
    ("threads that end", all_threads_end, "no ground to stand on"),
    ("points that nobody took", all_threads_end, "3 points were not tried"),
    ("a thread that ends at a point", one_thread_ends, "AssertionError: this one"),
    ("points after that one", one_thread_ends, "8 points were not tried"),
    ("points that are not reached", nothing_is_reached, "4 of 4 were not reached"),
    ("more of them than may be", too_little_is_reached,
     f"3 of {MOST_TRIED} were not reached"),
    ("a point with an exception, beside others", a_point_fails_beside_others, "no_such_thing"))


def watch_harness(run):
    """Cases of which the harness must not say that they passed."""
    for what, function, words in IN_THE_HARNESS:
        told = []
        alone = Run(run.arena, Case("doctored", (run.kind,), "", function), run.kind, False,
                    tell=told.append)
        alone.try_all()
        report = "\n".join(told)
        right = alone.failed and words in report
        run.exist += 1
        run.note(what, Verdict([] if right else [f"not found, but {alone.line()}: {report}"]))


@case("judge", kinds=("file", "azure"), about="doctored situations, which the judge must find")
def doctored(run):
    lane = run.lanes[0]
    backed_up(lane)
    scene = judge.look(lane, restore=True)
    accept(run, "a good backup", judge.judge(scene))
    doctor_scene(run, scene)
    count_mails(run, scene)
    ask_due(run, scene)
    doctor_world(run)
    watch_ends(run, lane)
    watch_harness(run)

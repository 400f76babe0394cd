"""What a stranger sees after a point, and whether it is right.

look() reads the outside only: the store with an independent client, the ledger and email_logs by
SQL, the mail service's own record, what the processes printed and how they ended. judge() asks
CHECKS about it and answers with a Verdict; each check yields a sentence for whatever is wrong.
judge_case.py proves that each of them can fail.
"""

import collections
import datetime
import hashlib
import re
import signal
import subprocess
from dataclasses import dataclass, field

import backups
from arena import ADMINS, known_rows
from tool import SANITIZER_REPORTS, SECRETS

END_MARK = b"-- PostgreSQL database dump complete"
RETRY_AFTER = {1: datetime.timedelta(minutes=1), 2: datetime.timedelta(minutes=5)}
MOST_ATTEMPTS = 3
WARNING = "\N{WARNING SIGN}"   # at the front of the program's line
SUBJECTS = {"Completed": "completed", "Failed": "failed"}


@dataclass
class Expectation:
    """What a case may change of what is demanded."""

    may_fail: bool = False       # the occurrence may end as failed, after three attempts
    mail_down: bool = False      # mails may stay pending
    signals: tuple = (signal.SIGKILL,)  # what the case itself ends processes with


@dataclass
class Scene:
    """All that can be seen of one occurrence."""

    occurrence: datetime.datetime
    kind: str
    objects: list       # Stored: every visible one but the two old backups
    contents: dict      # name -> bytes, of these
    kept: object        # (metadata, bytes) of yesterday's backup as it is now, or None
    old: object         # and as it was (arena.Old)
    expired: str        # the name of the one that retention deletes,
    is_expired_there: bool  # which is there
    rows: list          # backup_history, without the rows of the two
    emails: list        # email_logs
    deliveries: list    # rythm_backup_deliveries
    messages: list      # what the mail service accepted
    repeats: list       # operation ids that it was sent again
    leftovers: list     # names in the store that are nothing
    observed: list      # arena.Observed
    late_rows: list     # 'started' after the first later check
    changed_late: list  # what the last, quiet check changed
    apart: list         # of two stores: names of what is not the same in both
    owed: list          # the copies that the ledger still misses
    troubles: list      # what the lane noticed
    expectation: Expectation
    restore: object = None  # a function (script) -> None or what is wrong; None: not this time


@dataclass
class Verdict:
    findings: list
    repeated_mails: int = 0  # sent again with the same operation id, which the service ignores
    notes: list = field(default_factory=list)


def look(lane, expectation=None, restore=False):
    """Reads everything. With `restore`, the judge also restores the object with psql."""
    objects = []
    contents = {}
    kept = None
    is_expired_there = False
    for stored in lane.store.list():
        if stored.name == lane.kept.name:
            kept = stored.metadata, lane.store.read(stored.name)
        elif stored.name == lane.expired.name:
            is_expired_there = True
        else:
            objects.append(stored)
            contents[stored.name] = lane.store.read(stored.name)
    # The service drops uncommitted blobs itself; metadata without an object go with a later
    # listing, when it was retention that died.
    leftovers = [] if lane.kind == "azure" else [name for name in lane.store.leftovers()
                                                 if name != f"{lane.expired.name}.meta"]
    return Scene(
        occurrence=lane.occurrence, kind=lane.kind, objects=objects, contents=contents, kept=kept,
        old=lane.kept, expired=lane.expired.name, is_expired_there=is_expired_there,
        rows=lane.rows(), emails=lane.emails(), deliveries=lane.deliveries(),
        messages=list(lane.acs.messages),
        repeats=list(lane.acs.repeats), leftovers=leftovers, observed=list(lane.observed),
        late_rows=lane.late_rows, changed_late=lane.changed_late,
        apart=[name for name in getattr(lane.store, "differences", list)()
               if name != lane.expired.name],
        owed=lane.owed(), troubles=list(lane.troubles),
        expectation=expectation or Expectation(),
        restore=lane.arena.restores if restore else None)


def with_status(rows, status):
    return [row for row in rows if row["status"] == status]


# The checks

def one_object(scene):
    """I1: an occurrence has at most one published object, and none bears another's time."""
    if len(scene.objects) > 1:
        yield f"{len(scene.objects)} objects: {', '.join(each.name for each in scene.objects)}"
    for stored in scene.objects:
        if stored.metadata.get("occurrence") != backups.instant(scene.occurrence):
            yield f"{stored.name} is of the occurrence {stored.metadata.get('occurrence')}"


def restores(scene):
    """I2, I3: whatever is visible is whole: its digest, its frame, its end, its rows."""
    for stored in scene.objects:
        content = scene.contents[stored.name]
        if hashlib.sha256(content).hexdigest() != stored.metadata.get("sha256"):
            yield f"{stored.name}: the SHA-256 is not the one in its metadata"
        if str(len(content)) != stored.metadata.get("bytes"):
            yield f"{stored.name}: {len(content)} bytes, in its metadata {stored.metadata}"
        unpacked = subprocess.run(["zstd", "-dcq"], input=content, capture_output=True, timeout=60)
        script = unpacked.stdout
        if unpacked.returncode != 0:
            yield f"{stored.name}: zstd says {unpacked.stderr.decode(errors='replace').strip()}"
        if END_MARK not in script[-200:]:
            yield f"{stored.name}: it does not end as pg_dump ends"
        if f"\n{known_rows()}\\.\n".encode() not in script:
            yield f"{stored.name}: the known rows are not in it"
        if scene.restore is not None:
            problem = scene.restore(script)
            if problem:
                yield f"{stored.name}: restored by psql: {problem}"


def not_lost(scene):
    """The occurrence ended: one completed row and its object, or, where that may be, three
    attempts that failed and say why."""
    completed = with_status(scene.rows, "completed")
    failed = with_status(scene.rows, "failed")
    for row in scene.rows:
        if row["occurrence_at"] != scene.occurrence:
            yield f"a row of another occurrence: {row['occurrence_at']}"
    for row in failed:
        if not row["error_message"]:
            yield f"attempt {row['attempt']} failed and does not say why"
    if not completed:
        if scene.objects:
            yield f"there is {scene.objects[0].name} and no completed row"
        if not scene.expectation.may_fail:
            yield f"no completed row; the rows are {[row['status'] for row in scene.rows]}"
        elif len(failed) != MOST_ATTEMPTS:
            yield f"{len(failed)} failed attempts instead of {MOST_ATTEMPTS}, and none completed"
        return
    if len(completed) > 1:
        yield f"{len(completed)} completed rows"
    if not scene.objects:
        yield "a completed row and no object"
    for row in completed:
        for stored in scene.objects:
            yield from differences(row, stored)


def differences(row, stored):
    for of_row, of_object in ((row["run_id"], stored.metadata.get("run")),
                              (row["backup_filename"], stored.name),
                              (row["file_size_bytes"], stored.bytes),
                              (row["sha256"], stored.metadata.get("sha256"))):
        if of_row != of_object:
            yield f"the completed row says {of_row}, the object {of_object}"


def none_started(scene):
    """No run stays 'started' once the next check has ended."""
    for row in scene.late_rows:
        yield f"run {row['run_id']} was still 'started' after the next check"
    for row in with_status(scene.rows, "started"):
        yield f"run {row['run_id']} is 'started'"


def is_due(rows, occurrence, time_of_day):
    """The retry rule, in words of our own."""
    if any(row["status"] in ("started", "completed") for row in rows):
        return False
    clock = datetime.datetime.combine(occurrence.date(),
                                      datetime.time.fromisoformat(time_of_day), occurrence.tzinfo)
    failed = with_status(rows, "failed")
    if len(failed) >= MOST_ATTEMPTS or clock < occurrence:
        return False
    return not failed or clock >= (max(row["completed_at"] for row in failed)
                                   + RETRY_AFTER[len(failed)])


def exit_codes(scene):
    """Of every process: what its code says is what it left in the ledger."""
    for seen in scene.observed:
        problem = untruth(seen, scene)
        if problem:
            yield f"{seen.what}: {problem}"


def untruth(seen, scene):
    """None, or what is untrue about one exit code."""
    code = seen.code
    if code is None:
        return "it hung and had to be killed"
    if code < 0:
        ours = -code in scene.expectation.signals
        return None if ours else f"it died of {signal.Signals(-code).name}"
    if code not in (0, 1, 2, 3) and code <= 128:
        return f"exit code {code} is not one that check has"
    if not seen.alone:
        return None    # what this one did and what the others did cannot be told apart
    new = [row["status"] for row in made_by(seen)]
    if "completed" in new and code not in (0, 3) and code <= 128:
        return f"exit code {code} although its backup is completed"
    if "failed" in new and code in (0, 3):
        return f"exit code {code} although its backup failed"
    if not new and code in (0, 3) and is_due(seen.before, scene.occurrence, seen.time):
        return f"exit code {code}, but a backup was due and it made none"
    for row in with_status(seen.after, "started"):
        whose = "its" if "started" in new else "a dead run's"
        if code == 0:
            return f"exit code 0 and {whose} row is still 'started'"
        # What is not known yet is no failure, but it is told which run that is.
        if code == 3 and not warns_of(seen, row):
            return f"exit code 3, {whose} row is still 'started', and it does not name the run"
    if code != 0 and not seen.err.strip():
        return f"exit code {code} without a word on stderr"
    return None


def warns_of(seen, row):
    return any(WARNING in line and row["backup_filename"] in line for line in seen.err.splitlines())


def made_by(seen):
    """The rows that appeared while it went on."""
    known = {row["run_id"] for row in seen.before}
    return [row for row in seen.after if row["run_id"] not in known]


def kind_of(message):
    subject = message["content"]["subject"]
    return next((kind for word, kind in SUBJECTS.items() if word in subject), subject)


def mails(scene):
    """One mail per outcome and recipient, and only the truth."""
    sent = collections.Counter((kind_of(message), to["address"]) for message in scene.messages
                               for to in message["recipients"]["to"])
    statuses = {row["status"] for row in scene.rows}
    for (kind, address), count in sent.items():
        if count > 1:
            yield f"{count} mails '{kind}' to {address}"
        if kind not in statuses:
            yield f"a mail '{kind}' to {address}, and no such row"
        if address not in ADMINS:
            yield f"a mail to {address}, who is no admin"
    if not scene.expectation.mail_down:
        for row in scene.emails:
            if row["status"] != "sent":
                yield f"the mail to {row['to_address']} is {row['status']}: {row['error_message']}"
        for kind in sorted(statuses & {"completed", "failed"}):
            for address in ADMINS:
                if not sent[kind, address]:
                    yield f"nobody told {address} of '{kind}'"


def outbox(scene):
    """Each piece of news is written once for each recipient, and its two rows tell the same."""
    written = collections.Counter((row["news_key"], row["channel"], row["recipient"])
                                  for row in scene.deliveries)
    for (key, channel, recipient), count in written.items():
        if count > 1:
            yield f"{count} deliveries of '{key}' to {recipient} by {channel}"
    emails = {row["email_log_id"]: row["status"] for row in scene.emails}
    for row in scene.deliveries:
        # One that another tells, too, has no mail of its own.
        status = {"given up": "failed", "merged": None}.get(row["state"], row["state"])
        if row["is_mail"] and emails.pop(row["delivery_id"], None) != status:
            yield f"the delivery to {row['recipient']} is {row['state']}, its mail is not"
        if row["state"] == "pending" and not scene.expectation.mail_down:
            yield f"the delivery to {row['recipient']} waits: {row['last_error']}"
    for identity in emails:
        yield f"the mail {identity} has no delivery"


def no_leftovers(scene):
    if scene.leftovers:
        yield f"left in the folder: {', '.join(scene.leftovers)}"


def no_secrets(scene):
    """Nor reports of a sanitizer."""
    texts = {seen.what: seen.out + seen.err for seen in scene.observed}
    texts |= {"the ledger": str(scene.rows), "email_logs": str(scene.emails),
              "the outbox": str(scene.deliveries),
              "a mail": str(scene.messages)}
    texts |= {stored.name: str(stored.metadata) for stored in scene.objects}
    for where, text in texts.items():
        if any(secret in text for secret in SECRETS):
            yield f"a secret in {where}"
        for report in SANITIZER_REPORTS:
            if report in text:
                yield f"{report} in {where}"


def others_unharmed(scene):
    """I6: the only other good backup is never deleted."""
    if scene.kept is None:
        yield f"{scene.old.name}, the only other backup, is gone"
    elif scene.kept != (scene.old.metadata, scene.old.content):
        yield f"{scene.old.name}, of another day, is not what it was"


def expired_is_gone(scene):
    """Whoever makes a backup, and tells of nothing wrong, has also removed what is too old."""
    if not scene.is_expired_there:
        return
    completed = {row["run_id"] for row in with_status(scene.rows, "completed")}
    for seen in scene.observed:
        if seen.code == 0 and seen.alone and completed & {row["run_id"] for row in made_by(seen)}:
            yield f"{seen.what}: exit code 0, and {scene.expired} is still there"
    # Which of several did it cannot be told apart.
    if completed and {seen.code for seen in scene.observed} == {0}:
        yield f"nothing went wrong, and {scene.expired} is still there"


def quiet_afterwards(scene):
    """A check with nothing to do changes nothing."""
    for what in scene.changed_late:
        yield f"a check that had nothing to do changed {what}"


def same_everywhere(scene):
    """Of two stores each has what the other has, and nobody is owed anything."""
    for name in scene.apart:
        yield f"{name} is not the same in both stores"
    for copy in scene.owed:
        yield f"the ledger still misses a copy: {copy}"


def troubles(scene):
    yield from scene.troubles


CHECKS = (one_object, restores, not_lost, none_started, exit_codes, mails, outbox, no_leftovers,
          no_secrets, others_unharmed, expired_is_gone, quiet_afterwards, same_everywhere, troubles)


def judge(scene):
    """Asks every check."""
    findings = [f"{check.__name__}: {problem}" for check in CHECKS for problem in check(scene)]
    return Verdict(findings, repeated_mails=len(scene.repeats))


def describe(scene):
    """The scene in full, for a finding's report."""
    lines = []
    for seen in scene.observed:
        lines.append(f"  {seen.what}: exit code {seen.code}")
        lines += [f"    | {line}" for line in (seen.err + seen.out).splitlines()[:40]]
    lines.append("  ledger:")
    lines += [f"    attempt {row['attempt']} {row['status']} run {row['run_id']}"
              f" {row['backup_filename']} completed_at {row['completed_at']}"
              f" {row['error_message'] or ''}" for row in scene.rows] or ["    empty"]
    lines.append("  objects:")
    lines += [f"    {stored.name} {stored.bytes} bytes run {stored.metadata.get('run')}"
              for stored in scene.objects] or ["    none"]
    lines.append("  mails:")
    lines += [f"    {kind_of(message)} to {message['recipients']['to'][0]['address']}"
              for message in scene.messages] or ["    none"]
    lines += [f"    again: {identity}" for identity in scene.repeats]
    return without_secrets("\n".join(lines))


def without_secrets(text):
    return re.sub("|".join(map(re.escape, SECRETS)), "(a secret)", text)

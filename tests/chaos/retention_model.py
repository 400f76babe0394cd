"""What retention may delete, written anew from README and invariant I6; and random histories.

The generator says of each object what it is, so the model need not read names or metadata.
"""

import datetime
import uuid
from dataclasses import dataclass, replace

import backups

NAME_TIMES = ("%Y-%m-%dT%H-%M-%S-%fZ", "%Y-%m-%dT%H:%M:%S.%fZ")
NEVER = datetime.datetime.min.replace(tzinfo=datetime.timezone.utc)
MOMENT = datetime.timedelta(minutes=20)  # no test is slower than this


def begun(name):
    """The instant in a backup's name."""
    text = name.removeprefix("rythm-backup-").partition(".sql")[0]
    form = NAME_TIMES[":" in text]
    return datetime.datetime.strptime(text, form).replace(tzinfo=datetime.timezone.utc)


@dataclass(frozen=True)
class Object:
    """One object of a store, and what it is in truth."""

    name: str
    content: bytes
    metadata: object = None       # a dict, bytes as they stand in a folder, or None
    begun: datetime.datetime = None  # None: no backup of anybody's
    owner: tuple = ()             # (schedule, ledger, system); () for none
    legacy: bool = False          # of the old service: it goes with the default schedule
    held: tuple = ()           # (database, its server, which schemas or None)
    verified: bool = None      # how its verification ended, as the ledger says; None: none did


@dataclass(frozen=True)
class Policy:
    """One row of backup_schedule."""

    schedule: str
    days: int
    is_default: bool = False
    enabled: bool = True
    own_store: bool = False
    keep: tuple = ()            # (rule, how many) each

    @property
    def is_wrong(self):
        return self.days < 1


@dataclass(frozen=True)
class Ledger:
    database: str
    system: str


def is_of(backup, policy, ledger):
    if backup.begun is None:
        return False
    if backup.legacy:
        return policy.is_default
    return backup.owner == (policy.schedule, ledger.database, ledger.system)


# What people call the period of an instant.
PERIODS = {"last": "%Y-%m-%dT%H:%M:%S.%f", "daily": "%Y-%m-%d", "weekly": "%G-W%V",
           "monthly": "%Y-%m", "yearly": "%Y"}


def rules_that_keep(each, newer, policy):
    """As they are told, in the columns' order. `newer`: those that stand for something."""
    told = []
    for rule, count in policy.keep:
        periods = {f"{other.begun:{PERIODS[rule]}}" for other in newer}
        if f"{each.begun:{PERIODS[rule]}}" not in periods and len(periods) < count:
            told.append(f"keep_{rule} {count}")
    return [] if each.verified is False else told


def is_expired(each, policy, now):
    return now - each.begun > datetime.timedelta(days=policy.days)


def reasons(objects, policies, ledger, now):
    """Why those stay that are too old, where a rule keeps them: by their names."""
    told = {}
    for policy in policies:
        own = [each for each in objects if is_of(each, policy, ledger) and each.begun <= now]
        for each in own:
            newer = [other for other in own if other.held == each.held
                     and other.begun > each.begun and other.verified is not False]
            rules = rules_that_keep(each, newer, policy)
            if rules and is_expired(each, policy, now) and not policy.is_wrong:
                told[each.name] = ", ".join(rules)
    return told


def deletions(objects, policies, ledger, keep_min, now, real_now=None):
    """The names that go. With a pretended `now`, what is from before `real_now` stays."""
    gone = set()
    for policy in policies:
        if policy.is_wrong:
            continue
        own = [each for each in objects if is_of(each, policy, ledger) and each.begun <= now]
        for each in own:
            newer = [other for other in own
                     if other.held == each.held and other.begun > each.begun]
            good = [other for other in newer if other.verified is not False]
            newest_verified = each.verified and not any(other.verified for other in newer)
            if (is_expired(each, policy, now) and len(good) >= keep_min and not newest_verified
                    and not rules_that_keep(each, good, policy)
                    and not (real_now and each.begun <= real_now)):
                gone.add(each.name)
    return gone


def broken_promises(objects, left, policies, ledger, keep_min, now):
    """I6 itself, not the model: `left` is what stands there now. Sentences."""
    last = {}       # (schedule, what is held) -> the instant of the keep_min-th newest good one
    proven = {}     # ... of the newest verified one
    for policy in policies:
        for held in {each.held for each in objects}:
            own = [each for each in objects if is_of(each, policy, ledger)
                   and each.held == held and each.begun <= now]
            newest = sorted((each.begun for each in own if each.verified is not False),
                            reverse=True)
            last[policy.schedule, held] = ([*newest, *[NEVER] * keep_min])[keep_min - 1]
            proven[policy.schedule, held] = max(
                (each.begun for each in own if each.verified), default=None)
    for each in objects:
        if each.name in left:
            continue
        of = [policy for policy in policies if is_of(each, policy, ledger)]
        if not of:
            yield f"{each.name} is gone and was not provably ours"
        elif each.begun > now - datetime.timedelta(days=of[0].days):
            yield f"{each.name} is gone and was not {of[0].days} days old"
        elif each.begun >= last[of[0].schedule, each.held]:
            yield f"{each.name} is gone and was one of the newest {keep_min}"
        elif each.verified and each.begun == proven[of[0].schedule, each.held]:
            yield f"{each.name} is gone and was the newest verified one"


# Histories

STRANGERS = ("notes.txt", "rythm-backup-old.sql", "rythm-backup-2020-02-30T02-00-00-000Z.sql",
             "rythm-backup-2020-01-01T02-00-00-000Z.sql.bak", "another-2020-01-01.sql.zst",
             "rythm-backup-2020-01-01T02-00-00Z.sql")


VERIFIED = (None, None, None, True, False)


def draw_policy(chance):
    """Half of them have rules; age alone keeps little there."""
    keep = ()
    if chance.random() < 0.5:
        keep = tuple((rule, chance.choice((1, 2, 3, 7))) for rule in PERIODS
                     if chance.random() < 0.4)
    return Policy(str(uuid.UUID(int=chance.getrandbits(128))),
                  chance.choice((1, 1, 2, 7, 30) if keep else (1, 2, 7, 30, 30, 365, 5000)),
                  enabled=chance.random() < 0.7, keep=keep)


class History:
    """Random schedules, policy and objects around an instant."""

    def __init__(self, chance, ledger, now, folder=True, youngest=datetime.timedelta(minutes=21),
                 size=(4, 36)):
        self.chance = chance
        self.ledger = ledger
        self.now = now
        self.youngest = youngest  # no object is younger, or dated after now by less
        self.keep_min = chance.choice((1, 1, 2, 3, 3, 4, 7))
        self.policies = [draw_policy(chance) for _ in range(chance.choice((1, 1, 2, 3, 4)))]
        self.policies[0] = replace(self.policies[0], is_default=True)
        last = len(self.policies) - 1
        if chance.random() < 0.1:
            self.policies[last] = replace(self.policies[last], days=0)
        elif folder and last and chance.random() < 0.3:
            self.policies[last] = replace(self.policies[last], own_store=True)
        self._folder = folder
        self._taken = []
        self.objects = [self._object() for _ in range(chance.randint(*size))]
        for name in chance.sample(STRANGERS, chance.randint(0, 2)):
            self.objects.append(Object(name, b"of somebody else"))

    def _instant(self, days):
        """Most are as old as such a schedule's would be; some just at its end, some from the
        future. Never twice the same, but for the ties that _name() makes."""
        chance = self.chance
        kind = chance.random()
        if kind < 0.08:
            age = -datetime.timedelta(days=chance.choice((0.1, 1, 40, 4000)) * chance.random())
        elif kind < 0.2:
            age = datetime.timedelta(days=max(days, 1)) + chance.choice((-1, 1)) * (
                MOMENT + datetime.timedelta(seconds=chance.randrange(100)))
        else:
            age = datetime.timedelta(days=max(days, 1)) * chance.uniform(0, 3)
        if abs(age) < self.youngest:
            age = self.youngest + datetime.timedelta(seconds=chance.randrange(1000))
        when = self.now - age
        return when.replace(microsecond=when.microsecond // 1000 * 1000)

    def _name(self, when, suffix):
        """Sometimes of the same instant as another one, with another ending."""
        ties = [begun(name) for name in self._taken]
        if ties and self.chance.random() < 0.1:
            when = self.chance.choice(ties)
        while (name := backups.name_at(when, suffix)) in self._taken:
            when += datetime.timedelta(milliseconds=1)
        self._taken.append(name)
        return name, when

    def _owner(self, policy):
        """Mostly this schedule here; else another, a copy's, an older version's, or none."""
        own = policy.schedule, self.ledger.database, self.ledger.system
        others = ((str(uuid.UUID(int=self.chance.getrandbits(128))), *own[1:]),
                  (own[0], "a copy", own[2]), (*own[:2], "7000000000000000001"),
                  (own[0], None, None), (None, *own[1:]))
        return self.chance.choice((own,) * 14 + others)

    def _object(self):
        chance = self.chance
        policy = chance.choice(self.policies)
        when = self._instant(policy.days)
        content = b"x" * chance.randint(1, 200)
        if chance.random() < 0.15:
            return self._old_service(when, content)
        suffix = chance.choice((".sql.zst",) * 6 + (".sql.gz", ".sql"))
        name, when = self._name(when, suffix)
        owner = self._owner(policy)
        database = chance.choice((self.ledger.database,) * 6 + ("other", "db two"))
        # An older version's backups do not say where they are from: from here.
        source = chance.choice((self.ledger.system,) * 3 + (None, None, "7000000000000000002"))
        schemas = chance.choice((None,) * 5 + ("0123456789abcdef", "fedcba9876543210"))
        metadata = {
            "run": f"{chance.getrandbits(64):016x}", "schedule": owner[0], "ledger": owner[1],
            "system": owner[2], "source": source, "schemas": schemas,
            "type": chance.choice(("scheduled", "manual")),
            "occurrence": chance.choice((None, backups.instant(when - datetime.timedelta(
                seconds=chance.randint(1, 50))))),
            "database": database.replace(" ", "%20"), "server": "15.1", "tool": "0",
            "compression": "zstd", "bytes": str(len(content)), "rawbytes": "12345",
            "durationms": "2000", "sha256": f"{chance.getrandbits(256):064x}"}
        metadata = {key: value for key, value in metadata.items() if value is not None}
        whole = Object(name, content, metadata, when, owner, False,
                       (database, source or owner[2], schemas), chance.choice(VERIFIED))
        return self._damaged(whole) if chance.random() < 0.12 else whole

    def _old_service(self, when, content):
        name, when = self._name(when, ".sql")
        with_colons = f"rythm-backup-{backups.instant(when)}.sql"
        if self.chance.random() < 0.3 and self._folder and with_colons not in self._taken:
            name = with_colons
            self._taken.append(name)
        if self.chance.random() < 0.1:
            return Object(name, b"")      # cut short before its first byte
        return Object(name, content, None, when, (), True,
                      (self.ledger.database, self.ledger.system, None),
                      self.chance.choice(VERIFIED))

    def _damaged(self, whole):
        """The same, but nobody can say what it is."""
        chance = self.chance
        metadata = dict(whole.metadata)
        kind = chance.randrange(6 if self._folder else 4)
        if kind == 0:
            return Object(whole.name, whole.content + b"more", metadata)
        if kind == 1:
            metadata[chance.choice(("bytes", "durationms", "rawbytes"))] = chance.choice(
                ("-1", "1e3", "99999999999999999999", "ten"))
        elif kind == 2:
            del metadata[chance.choice(("run", "sha256", "bytes", "type"))]
        elif kind == 3:
            metadata[chance.choice(("run", "type", "occurrence", "schedule"))] = "nonsense"
        else:
            text = chance.choice((b"", b"{", b"[]", b"\xff\xfe", b'{"run": 7}', b"null"))
            return Object(whole.name, whole.content, text)
        return Object(whole.name, whole.content, metadata)

    def in_store(self, own):
        """The policies whose store is (not) one of their own."""
        return [policy for policy in self.policies if policy.own_store == own]

"""The services around a backup, beside Postgres, Azure and its mails: their credentials are
canaries, and the tasks of secrecy.py use them, rightly and in every wrong way."""

import itertools
import logging
import re
import urllib.parse
import warnings
from dataclasses import dataclass

import azurite
import canaries
import s3_server
from azure_rules import AzureRules
from hook_stubs import PingStub, SlackStub, TeamsStub, WebhookStub
from s3_server import S3Stub
from smtp_server import USER, SmtpServer
from stores import AzureStore, S3Store
from telemetry_stubs import InsightsStub, OtlpStub

KEY_ID = "AKIDOFTHECANARIES"
BUCKET = "secrecy"
# The mail server wants a login without TLS, as only one on this host may.
warnings.filterwarnings("ignore", module="aiosmtpd")
logging.getLogger("mail.log").setLevel(logging.ERROR)
SECOND = azurite.SECOND_ACCOUNT.upper()


class Services:
    """All of them, started; stop() ends them. Their stores hold nothing at first."""

    def __init__(self, azure, folder):
        self.azure = azure
        self.smtp = SmtpServer(login=True)
        self.smtp.password = canaries.SMTP_PASSWORD
        self.slack, self.teams, self.webhook = SlackStub(), TeamsStub(), WebhookStub()
        self.ping, self.insights, self.otlp = PingStub(), InsightsStub(), OtlpStub()
        self.slack.path = f"/services/T0CNRY/B0CNRY/{canaries.SLACK_TOKEN}"
        self.teams.query = f"?api-version=1&sp=%2Ftriggers&sv=1.0&sig={canaries.TEAMS_SIGNATURE}"
        self.webhook.path, self.ping.path = canaries.WEBHOOK_PATH, canaries.PING_PATH
        self.webhook.secret = canaries.WEBHOOK_SECRET
        self.webhook.secrets = [canaries.WEBHOOK_SECRET]
        self.insights.key = canaries.INSIGHTS_KEY
        self.rules = AzureRules(azure.port)
        self.s3 = S3Stub()
        self.s3.keys[KEY_ID] = s3_server.Keys(canaries.AWS_SECRET, canaries.AWS_TOKEN)
        self.s3.make_bucket(BUCKET)
        self.encrypted = AzureStore(azure, "encrypted", folder)
        self.second = AzureStore(azure, "secrecy", folder, azurite.SECOND_ACCOUNT)
        self.encrypted.client.create("encrypted")
        self.second.client.create("secrecy")

    @property
    def told(self):
        """What takes notifications, by name."""
        return {"smtp": self.smtp, "slack": self.slack, "teams": self.teams,
                "webhook": self.webhook, "ping": self.ping}

    def stop(self):
        for server in (*self.told.values(), self.insights, self.otlp, self.rules, self.s3):
            server.stop()

    # Settings

    def smtp_url(self, password=canaries.SMTP_PASSWORD):
        return (f"smtp://{urllib.parse.quote(USER, safe='')}:"
                f"{urllib.parse.quote(password, safe='')}@127.0.0.1:{self.smtp.port}")

    @property
    def settings(self):
        """Of all channels, the monitor and telemetry."""
        settings = {"SMTP_URL": self.smtp_url(), "SMTP_SENDER_ADDRESS": "backup@rythm.example",
                    "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={canaries.OTEL_HEADER},x=y"}
        for stub in (self.slack, self.teams, self.webhook, self.ping, self.insights, self.otlp):
            settings |= stub.settings
        return settings

    def stores(self):
        """Settings of further stores, by what is special about their credentials."""
        return {
            "S3 with a temporary key": self.s3_at(self.s3.port),
            "Azure with a customer's key": self.encrypted.settings_through(self.rules.port) | {
                "RYTHM_BACKUP_STORES": None, "AZURE_BACKUP_ENCRYPTION_KEY":
                canaries.ENCRYPTION_KEY},
            "Azure with a string of its account's own": self.second_at(
                azurite.connection_string(self.azure.port, azurite.SECOND_ACCOUNT))}

    def s3_at(self, port, secret=canaries.AWS_SECRET, token=canaries.AWS_TOKEN):
        return {"RYTHM_BACKUP_STORES": s3_server.url(port, BUCKET), "AWS_ACCESS_KEY_ID": KEY_ID,
                "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}

    def second_at(self, connection_string):
        return {"RYTHM_BACKUP_STORES": self.second.url,
                f"AZURE_STORAGE_CONNECTION_STRING_{SECOND}": connection_string}

    # What they have got

    def messages(self):
        """What they were told, without what identifies us to them."""
        return [[raw.decode(errors="replace") for raw in self.smtp.raw],
                *([body.decode(errors="replace") for *_, body in stub.requests]
                  for stub in (self.slack, self.teams, self.webhook, self.ping))]

    def telemetry(self):
        """The same; an envelope's iKey is where it belongs."""
        return [[{name: value for name, value in envelope.items() if name != "iKey"}
                 for envelope in self.insights.accepted], self.otlp.documents]

    def contents(self):
        """(name, bytes, metadata) of what is in their stores."""
        for store in (self.encrypted, self.second):
            for stored in store.list():
                yield stored.name, store.read(stored.name), stored.metadata
        for name, stored in list(self.s3.buckets[BUCKET].items()):
            yield name, stored.body, stored.headers

    def uses(self):
        """(credential, whether it has opened something): none is a canary that nobody carried."""
        headers = {value for _, _, sent in self.otlp.requests for value in sent.values()}
        yield "the mail server's password", True in self.smtp.logins and self.smtp.raw
        for name in ("slack", "teams", "webhook", "ping"):
            yield f"that of {name}", self.told[name].messages
        yield "Application Insights' key", self.insights.accepted
        yield "the collector's header", canaries.OTEL_HEADER in headers and self.otlp.documents
        yield "AWS' key and token", self.s3.buckets[BUCKET]
        yield "the customer's key", any(blob.encryption and blob.encryption[0] == "key"
                                        for blob in self.rules.blobs.values())
        yield "the second account's key", self.second.list()


# In the wrong ways

@dataclass
class Wrong:
    what: str
    arguments: list
    settings: dict


NOTIFY = ["notify", "--test"]
HOOK_STEP = 3


def malformed(services):
    """Settings with a mistake in them, or of somebody else."""
    word, other = re.findall("cnr[A-Za-z0-9]+", canaries.SMTP_PASSWORD)
    urls = itertools.product(
        ("ftp://h{}", "http://example.invalid{}", "https://h{} x", "{}", "https://{}",
         f"http://127.0.0.1:{services.slack.port}{{}}{canaries.WRONG_SECRET}"),
        (("SLACK_WEBHOOK_URL", services.slack.path),
         ("TEAMS_WEBHOOK_URL", services.teams.query),
         ("RYTHM_BACKUP_WEBHOOK_URL", canaries.WEBHOOK_PATH),
         ("RYTHM_BACKUP_PING_URL", canaries.PING_PATH)))
    string = azurite.connection_string(services.azure.port, azurite.SECOND_ACCOUNT)
    aws, token, key = canaries.AWS_SECRET, canaries.AWS_TOKEN, canaries.ENCRYPTION_KEY
    insights, header = canaries.INSIGHTS_KEY, canaries.OTEL_HEADER
    mails = [f"smtp://u:{word}%zz{other}@127.0.0.1", f"smtp://u:{word}/{other}@127.0.0.1",
             f"u:{word}{other}@127.0.0.1", f"smtp://u:{word}@127.0.0.1:99999",
             f"smtp://u:{word} {other}@127.0.0.1", f"smtp://u:{word}@h?x={other}",
             f"smtp://{word}@127.0.0.1", services.smtp_url(canaries.WRONG_SECRET)]
    values = [("SMTP_URL", url) for url in mails]
    # All go the same way, but for their names.
    values += [(name, form.format(secret))
               for form, (name, secret) in list(urls)[::HOOK_STEP]]
    values += [("RYTHM_BACKUP_WEBHOOK_SECRET", text) for text in (
        canaries.WEBHOOK_SECRET[6:], f"{canaries.WEBHOOK_SECRET}!", "whsec_" + word)]
    yield from (Wrong(f"a wrong {name}", NOTIFY, services.settings | {name: value})
                for name, value in values)
    for name, value in (
            ("APPLICATIONINSIGHTS_CONNECTION_STRING", insights),
            ("APPLICATIONINSIGHTS_CONNECTION_STRING", f"InstrumentationKey={insights}0"),
            ("APPLICATIONINSIGHTS_CONNECTION_STRING",
             f"InstrumentationKey={insights};IngestionEndpoint={insights}"),
            ("OTEL_EXPORTER_OTLP_HEADERS", header), ("OTEL_EXPORTER_OTLP_HEADERS", f"a={header}%z"),
            ("OTEL_EXPORTER_OTLP_HEADERS", f"a b={header}")):
        yield Wrong(f"a wrong {name}", ["run"], services.otlp.settings | {name: value})
    for what, settings in (
            ("a wrong secret", services.s3_at(services.s3.port, canaries.WRONG_SECRET)),
            ("a secret with a blank", services.s3_at(services.s3.port, f"{aws[:20]} {aws[20:]}")),
            ("a secret with a line's end", services.s3_at(services.s3.port, f"{aws}\n")),
            ("a wrong token", services.s3_at(services.s3.port, aws, canaries.WRONG_SECRET)),
            ("a token with a line's end", services.s3_at(services.s3.port, aws, f"{token}\nx: y")),
            ("keys in the URL", {"RYTHM_BACKUP_STORES": f"s3://{KEY_ID}:{word}@bucket/x"}),
            ("a secret in a query", {"RYTHM_BACKUP_STORES": f"s3://{BUCKET}?secret={word}"}),
            ("half a customer's key", {"AZURE_BACKUP_ENCRYPTION_KEY": key[:20]}),
            ("a customer's key that is none", {"AZURE_BACKUP_ENCRYPTION_KEY": f"{key}!"}),
            ("a string without its key", services.second_at(
                string.replace("AccountKey=", "AccountKey "))),
            ("a string with a bad key", services.second_at(string.replace("==;", "!;"))),
            ("a string of another account", services.second_at(string.replace(
                f"AccountName={azurite.SECOND_ACCOUNT}", f"AccountName={azurite.ACCOUNT}"))),
            ("a wrong key in it", services.second_at(
                string.replace(azurite.SECOND_KEY, canaries.WRONG_KEY)))):
        base = (services.stores()["Azure with a customer's key"]
                if "customer's" in what else {})
        for arguments in (["run"], ["list"]):
            yield Wrong(what, arguments, {**base, **settings})


def quoting(services, quoter):
    """Services that refuse, and repeat what they have been shown; quoter(status, secret, times)
    starts one and gives its port."""
    for status, times in ((403, 1), (500, 100)):
        def at(secret):
            return f"http://127.0.0.1:{quoter(status, secret, times)}"

        for name, secret, more in (
                ("SLACK_WEBHOOK_URL", services.slack.path, services.slack.path),
                ("TEAMS_WEBHOOK_URL", canaries.TEAMS_SIGNATURE, f"/x{services.teams.query}"),
                ("RYTHM_BACKUP_WEBHOOK_URL", canaries.WEBHOOK_PATH, canaries.WEBHOOK_PATH),
                ("RYTHM_BACKUP_WEBHOOK_URL", canaries.WEBHOOK_SECRET, canaries.WEBHOOK_PATH),
                ("RYTHM_BACKUP_PING_URL", canaries.PING_PATH, canaries.PING_PATH)):
            yield Wrong(f"{name}: {status} and quotes it, {times} x", NOTIFY,
                        services.settings | {name: at(secret) + more})
        what = f"{status} and quotes the secret, {times} x"
        yield Wrong(f"Application Insights: {what}", ["run"], {
            "APPLICATIONINSIGHTS_CONNECTION_STRING": f"InstrumentationKey={canaries.INSIGHTS_KEY};"
            f"IngestionEndpoint={at(canaries.INSIGHTS_KEY)}"})
        yield Wrong(f"the collector: {what}", ["run"], {
            "OTEL_EXPORTER_OTLP_ENDPOINT": at(canaries.OTEL_HEADER),
            "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={canaries.OTEL_HEADER}"})
        for secret in (canaries.AWS_SECRET, canaries.AWS_TOKEN):
            port = quoter(status, secret, times)
            yield Wrong(f"S3: {what}", ["run"], services.s3_at(port))
        port = quoter(status, azurite.SECOND_KEY, times)
        yield Wrong(f"the second account: {what}", ["run"], services.second_at(
            azurite.connection_string(port, azurite.SECOND_ACCOUNT)))
        port = quoter(status, canaries.ENCRYPTION_KEY, times)
        yield Wrong(f"the customer's key: {what}", ["run"], {
            **services.stores()["Azure with a customer's key"],
            **services.encrypted.settings_through(port)})

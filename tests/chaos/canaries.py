"""Secrets that are easy to recognise, and how any part of one is found in any text or file."""

import base64
import html
import json
import pathlib
import re
import subprocess
import urllib.parse

import acs_stub
import azurite

# Words that appear nowhere else, and between them whatever has to be escaped somewhere.
PASSWORD = "cnrYq7wLx2Ma @/:?#%&+= cnrYk4tVz9Pb '\"\\<cnrYh3sJu6Rc"
WRONG_PASSWORD = "cnrYd5gNe8Tf '@/:\\ cnrYb2mWa7Kg"
WRONG_KEY = base64.b64encode(b"cnrY+ no key of this account: 64 bytes are what a key has ******"
                             ).decode()
WRONG_ACS_KEY = base64.b64encode(b"what does not open the mail cnrY!").decode()
WRONG_SIGNATURE = base64.b64encode(b"a signature of none of it cnrY 12").decode()

SMTP_PASSWORD = "cnrSm2tPq8VdXe7LkRw @/:?#% cnrSw5nLk3XeQa9TbZy"
SLACK_TOKEN = "cnrSl4kWq9ZrTy7uPo3mNb2vXc6dFg8"
TEAMS_SIGNATURE = "cnrTe6mHj2YxVb9nMk3Lp-8QwErTy5uIo7AsDf4GhJk"
WEBHOOK_PATH = "/hooks/cnrWp5kPd8Ns3Lq7VbRt2Yx9WzMf4Gh"
WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"cnrWs: a key that signs, and 32 b").decode()
PING_PATH = "/ping/cnrPg7tVb2Kx9Lm4Qw8Zr3Ny6Sd5Fj"
AWS_SECRET = "cnrAw3sQe7Rt5Yu9Iop/Lk8jHgFd2sA4zXc+Vb6nMq1"
AWS_TOKEN = "cnrTo9kLm4Nb7Vc2Xz/Qw5Er8Ty3Ui6Op1As+Df0Gh4Jk7Lz2Xc5Vb8Nm=="
ENCRYPTION_KEY = base64.b64encode(b"cnrCp: a customer's own 32 bytes").decode()
INSIGHTS_KEY = "5f3c1a52-6f0e-4b1c-9a43-c4a7b2e91d8f"
OTEL_HEADER = "cnrOt8vBn3Mk6Lq2Wz9Xs5Ed7Rf4Tg"
# One that none of the services above knows.
WRONG_SECRET = "cnrNo2pQw6Er9Ty4Ui8Zx3Cv7Bn5Mk"

WINDOW = 10


def windows(text, size):
    """Pieces so that whoever has 1.5 x `size` successive characters of the text has one of them."""
    return {text[at:at + size] for at in range(0, max(len(text) - size, 0) + 1, size // 2)}


def in_base64(data):
    """What base64 makes of it wherever it stands in what is encoded."""
    for before in range(3):
        text = base64.b64encode(b"x" * before + data).decode().rstrip("=")
        # The first and last characters also encode what stands around it.
        yield text[4 if before else 0:-4]


def traces(secret):
    """Strings of which one is in every text that holds the secret, a part of it that is worth
    something, or either in another spelling. Letters, digits and '-' are spelled alike in URLs,
    JSON, SQL, HTML and C."""
    found = set()
    for run in re.findall("[A-Za-z0-9-]{%d,}" % WINDOW, secret):
        found |= windows(run, WINDOW)
        found |= windows(run.encode().hex(), 2 * WINDOW)
    for text in in_base64(secret.encode()):
        found |= windows(text, 2 * WINDOW)
    return found


def spellings(secret):
    """(name, text): how a secret may come out."""
    quoted = urllib.parse.quote(secret, safe="")
    return {
        "plain": secret,
        "percent-encoded": quoted,
        "percent-encoded in lower case": re.sub("%..", lambda found: found[0].lower(), quoted),
        "form-encoded": urllib.parse.quote_plus(secret),
        "base64": base64.b64encode(secret.encode()).decode(),
        "base64 of more": base64.b64encode(f"user:{secret}\n".encode()).decode(),
        "JSON": json.dumps(secret)[1:-1],
        "JSON, slashes escaped": json.dumps(secret)[1:-1].replace("/", "\\/"),
        "SQL": secret.replace("'", "''"),
        "libpq": re.sub(r"(['\\])", r"\\\1", secret),
        "HTML": html.escape(secret),
        "hex": secret.encode().hex(),
        "its first half": secret[:len(secret) // 2],
        "its second half": secret[len(secret) // 2:],
    }


class Canaries:
    def __init__(self, signature):
        """`signature`: the one of the shared access signature in use."""
        self.secrets = {
            "the database's password": PASSWORD, "a wrong password": WRONG_PASSWORD,
            "the account's key": azurite.KEY, "a wrong account key": WRONG_KEY,
            "the SAS": signature, "a wrong SAS": WRONG_SIGNATURE,
            "the mail service's key": acs_stub.KEY, "a wrong key of the mail service":
            WRONG_ACS_KEY, "the mail server's password": SMTP_PASSWORD, "Slack's URL": SLACK_TOKEN,
            "Teams' URL": TEAMS_SIGNATURE, "the webhook's URL": WEBHOOK_PATH,
            "the webhook's key": WEBHOOK_SECRET, "the monitor's URL": PING_PATH,
            "AWS' key": AWS_SECRET, "AWS' session token": AWS_TOKEN,
            "the customer's key": ENCRYPTION_KEY, "Application Insights' key": INSIGHTS_KEY,
            "the collector's header": OTEL_HEADER,
            "the second account's key": azurite.SECOND_KEY, "a wrong secret": WRONG_SECRET}
        self._traces = [(name, trace.encode()) for name, secret in self.secrets.items()
                        for trace in traces(secret)]

    def find(self, data):
        """The names of the secrets of which there is something in these bytes."""
        return sorted({name for name, trace in self._traces if trace in data})

    def position(self, secret, data):
        """Where the first of its traces is."""
        return min(data.find(trace) for name, trace in self._traces
                   if name == secret and trace in data)


def unpacked(data):
    """What is in it, when it is compressed."""
    if data[:4] == b"\x28\xb5\x2f\xfd":
        return subprocess.run(["zstd", "-dcq"], input=data, capture_output=True).stdout
    return b""


def in_folder(folder):
    """(path, bytes) of every file below it, unpacked where it is compressed."""
    for path in sorted(pathlib.Path(folder).rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            yield path, data + b"\n" + unpacked(data)

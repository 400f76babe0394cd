"""A mail server that keeps what it takes (aiosmtpd), with TLS and logins as a test wants them."""

import asyncio
import contextlib
import email
import email.policy
import ssl
import subprocess
import threading

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

USER = "backup@rythm.example"
PASSWORD = "pa:ss/w@rd-4711"
HOST = "mail.rythm.example"  # what the certificate is for


def make_certificate(folder):
    """(certificate, key) of HOST, which is its own authority."""
    certificate, key = folder / "smtp.crt", folder / "smtp.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}",
                    "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


class _Handler:
    def __init__(self, server):
        self.server = server

    async def handle_RCPT(self, connection, session, envelope, address, options):
        if address in self.server.rcpt_hang_ups:
            connection.transport.abort()
        answer = self.server.rcpt_answers.get(address)
        if answer:
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _, session, envelope):
        if self.server.data_answers:
            return self.server.data_answers.pop(0)
        self.server.raw.append(envelope.content)
        self.server.envelopes.append((envelope.mail_from, envelope.rcpt_tos,
                                      session.ssl is not None, session.authenticated))
        await asyncio.sleep(self.server.hold_s)
        return "250 OK"


class _Session(SMTP):
    def __init__(self, server, *arguments, **options):
        super().__init__(*arguments, **options)
        self.of_server = server

    def connection_made(self, transport):
        self.of_server._transports.append(transport)
        super().connection_made(transport)


class SmtpServer:
    """On a free port of this host. `tls` is "starttls", "smtps" or None."""

    def __init__(self, certificate=None, tls=None, login=False):
        self.raw = []           # the bytes of each mail it took
        self.envelopes = []     # (from, [to], encrypted, logged in) of each
        self.rcpt_answers = {}  # address -> what to say to it
        self.rcpt_hang_ups = set()  # addresses at which it ends the connection, without a word
        self.data_answers = []  # instead of taking a mail, used up one by one
        self.hold_s = 0         # between taking a mail and saying so
        self.password = PASSWORD  # of USER
        self.logins = []
        self._transports = []
        context = None
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
        options = {"decode_data": False, "auth_require_tls": False}
        if tls == "starttls":
            options |= {"tls_context": context, "require_starttls": True}
        if login:
            options |= {"authenticator": self._authenticate, "auth_required": True}
        handler = _Handler(self)

        self._loop = asyncio.new_event_loop()
        self._listening = self._loop.run_until_complete(self._loop.create_server(
            lambda: _Session(self, handler, **options, loop=self._loop), "127.0.0.1", 0,
            ssl=context if tls == "smtps" else None))
        self.port = self._listening.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def _authenticate(self, server, session, envelope, mechanism, data):
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (
            USER.encode(), self.password.encode())
        self.logins.append(good)
        return AuthResult(success=good, handled=False)

    @property
    def messages(self):
        return [email.message_from_bytes(raw, policy=email.policy.default) for raw in self.raw]

    def recipients(self):
        return sorted(to for _, tos, _, _ in self.envelopes for to in tos)

    async def _close(self):
        self._listening.close()
        for transport in self._transports:
            with contextlib.suppress(AttributeError):  # of TLS, and gone already
                transport.abort()
        sessions = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait(sessions, timeout=5) if sessions else None
        await asyncio.sleep(0.02)

    def stop(self):
        """Twice is fine."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

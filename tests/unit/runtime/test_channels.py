"""Webhooks and mail against receivers on this machine: what they get, what is refused, and what never leaks."""

import asyncio
import datetime
import ipaddress
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pilotage_coordinator.domain.channel import MailChannel, WebhookChannel
from pilotage_coordinator.domain.notification import composed
from pilotage_coordinator.runtime.channels.mail import Mail, mail_of
from pilotage_coordinator.runtime.channels.values import Values
from pilotage_coordinator.runtime.channels.webhook import Webhook
from pilotage_coordinator.runtime.deliveries import NotDelivered
from pilotage_coordinator.runtime.secrets import SecretRefused
from pilotage_coordinator.store.records import DeliveryRecord, NotificationRecord

SECRETS = {"token": b"Bearer s3cr3t\n", "password": b"p4ss", "bad": b"a\r\nX-Evil: 1", "plain": b"http://192.0.2.1/"}
MESSAGE = composed("All is well…\nreally", "Nightly\r\nBcc: x@y", "warning", [{"host": "db1", "size": 3}])
DELIVERY = DeliveryRecord(
    NotificationRecord("ntf_1", "exe_1", "told", "", "", "ops", MESSAGE.to_json(), 1_700_000_000_000_000),
    "waiting", 0, 0, None, "",
)  # fmt: skip

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def reveal(name: str) -> bytes:
    if name not in SECRETS:
        raise SecretRefused(f"there is no secret {name!r}")
    return SECRETS[name]


VALUES = Values(reveal)


@asynccontextmanager
async def listening(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(served, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


class Http:
    """Answers each request with one status, and keeps what came."""

    def __init__(self, answer: str = "204 No Content", headers: str = "") -> None:
        self.answer = f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n{headers}Connection: close\r\n\r\n".encode()
        self.requests: list[tuple[str, bytes]] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(next(line for line in head.splitlines() if line.lower().startswith("content-length:"))[15:])
        self.requests.append((head, await reader.readexactly(length)))
        writer.write(self.answer)
        await writer.drain()


class Smtp:
    """A mail server of a few words."""

    def __init__(
        self, extensions: tuple[str, ...] = (), refused: str = "", context: ssl.SSLContext | None = None
    ) -> None:
        self.extensions = extensions
        self.refused = refused
        self.context = context
        self.mails: list[bytes] = []
        self.words: list[str] = []
        self.encrypted = False

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 sink\r\n")
        while line := (await reader.readline()).decode().strip():
            self.words.append(line)
            match line.partition(" ")[0].upper():
                case "EHLO":
                    lines = ["sink", *self.extensions]
                    said = [f"250{'-' if each is not lines[-1] else ' '}{each}\r\n" for each in lines]
                    writer.write("".join(said).encode())
                case "STARTTLS" if self.context is not None:
                    writer.write(b"220 go\r\n")
                    await writer.drain()
                    await writer.start_tls(self.context)
                    self.encrypted = True
                case "AUTH":
                    writer.write(b"235 yes\r\n" if "cDRzcw" in line else b"535 no\r\n")
                case "RCPT":
                    writer.write(b"550 no\r\n" if self.refused and self.refused in line else b"250 ok\r\n")
                case "DATA":
                    writer.write(b"354 go\r\n")
                    self.mails.append(await reader.readuntil(b"\r\n.\r\n"))
                    writer.write(b"250 taken\r\n")
                case "QUIT":
                    writer.write(b"221 bye\r\n")
                    return
                case _:
                    writer.write(b"250 ok\r\n")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, str]:
    """Return a server's context for localhost and 127.0.0.1, and the file of who signed it."""
    folder: Path = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sink")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "ca.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = folder / "key.pem"
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, private)
    return context, str(pem)


def webhook(port: int, path: str = "/hook", **more: Any) -> Webhook:
    seconds = more.pop("seconds", 15.0)
    return Webhook(WebhookChannel("ops", f"http://127.0.0.1:{port}{path}", **more), VALUES, seconds)


def mail(port: int, seconds: float = 60.0, **more: Any) -> Mail:
    channel = MailChannel(
        "oncall", "127.0.0.1", port, "none", "pilotage@example.org", ("a@example.org", "b@example.org")
    )
    return Mail(replace(channel, **more), VALUES, seconds)


async def test_a_webhook_gets_json_the_id_and_the_secret_header() -> None:
    http = Http()
    async with listening(http) as port:
        assert await webhook(port, header="Authorization", header_value="secret://token").send(DELIVERY) == ""
    ((head, body),) = http.requests
    assert head.startswith("POST /hook HTTP/1.1\r\n")
    assert "idempotency-key: ntf_1" in head.lower()
    assert "authorization: bearer s3cr3t\r\n" in head.lower()
    said = json.loads(body)
    assert (said["notification"], said["severity"], said["execution"], said["step"]) == (
        "ntf_1", "warning", "exe_1", "told",
    )  # fmt: skip
    assert said["table"] == [{"host": "db1", "size": "3"}]
    assert said["text"] == "All is well…\nreally"


@pytest.mark.parametrize("answer", ["500 No", "404 No", "302 Found"])
async def test_any_other_answer_is_a_failure_and_a_redirect_is_not_followed(answer: str) -> None:
    http = Http(answer, "Location: /elsewhere\r\n")
    async with listening(http) as port:
        with pytest.raises(NotDelivered, match=f"answered {answer[:3]}"):
            await webhook(port).send(DELIVERY)
    assert len(http.requests) == 1


async def test_a_receiver_that_never_answers_is_given_up_in_time() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X: y\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    for handler in (silent, dripping):
        async with listening(handler) as port:
            with pytest.raises(NotDelivered, match=r"no answer within|could not be reached"):
                await webhook(port, seconds=0.3).send(DELIVERY)


async def test_tls_is_verified(authority: tuple[ssl.SSLContext, str]) -> None:
    context, pem = authority
    http = Http()
    async with listening(http, context) as port:
        trusting = WebhookChannel("ops", f"https://127.0.0.1:{port}/", ca_file=pem)
        assert await Webhook(trusting, VALUES).send(DELIVERY) == ""
        with pytest.raises(NotDelivered, match="certificate verify failed"):
            await Webhook(replace(trusting, ca_file=""), VALUES).send(DELIVERY)
        with pytest.raises(NotDelivered, match="cannot be read"):
            await Webhook(replace(trusting, ca_file="/none.pem"), VALUES).send(DELIVERY)
    assert len(http.requests) == 1


async def test_secrets_are_looked_at_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    http = Http()
    async with listening(http) as port:
        for value, reason in (("secret://none", "there is no secret"), ("secret://bad", "not one line")):
            with pytest.raises(NotDelivered, match=reason):
                await webhook(port, header="X-Key", header_value=value).send(DELIVERY)
        with pytest.raises(NotDelivered, match="must begin with https") as refused:
            await Webhook(WebhookChannel("ops", "secret://plain"), VALUES).send(DELIVERY)
        assert "192.0.2.1" not in str(refused.value)
        monkeypatch.setitem(SECRETS, "url", f"http://127.0.0.1:{port}/from-secret".encode())
        assert await Webhook(WebhookChannel("ops", "secret://url"), VALUES).send(DELIVERY) == ""
    assert [head.split()[1] for head, _ in http.requests] == ["/from-secret"]
    with pytest.raises(NotDelivered, match="ConnectError") as refused:
        await Webhook(WebhookChannel("ops", "secret://url"), VALUES).send(DELIVERY)
    assert "from-secret" not in str(refused.value)


async def test_a_mail_is_plain_text_with_the_id() -> None:
    smtp = Smtp()
    async with listening(smtp) as port:
        assert await mail(port).send(DELIVERY) == ""
    (raw,) = smtp.mails
    found = message_from_bytes(raw, policy=default)
    assert found["Subject"] == "Warning: Nightly Bcc: x@y"
    assert found["Bcc"] is None
    assert found["Message-ID"] == "<ntf_1@example.org>"
    body = found.get_content()
    assert "All is well…\nreally" in body
    assert "host  size\ndb1   3" in body
    assert "pilotage run show exe_1" in body
    assert [word for word in smtp.words if word.upper().startswith("RCPT")] == [
        "rcpt TO:<a@example.org>", "rcpt TO:<b@example.org>",
    ]  # fmt: skip


async def test_a_recipient_that_is_refused_is_told_and_not_all_of_them() -> None:
    async with listening(Smtp(refused="b@")) as port:
        assert "refused b@example.org" in await mail(port).send(DELIVERY)
    async with listening(Smtp(refused="example.org>")) as port:
        with pytest.raises(NotDelivered, match="did not take it"):
            await mail(port).send(DELIVERY)


async def test_starttls_is_made_or_nothing_is_sent(authority: tuple[ssl.SSLContext, str]) -> None:
    context, pem = authority
    smtp = Smtp(("STARTTLS", "AUTH PLAIN"), context=context)
    async with listening(smtp) as port:
        sender = mail(port, security="starttls", ca_file=pem, user="u", password="secret://password")
        assert await sender.send(DELIVERY) == ""
        assert smtp.encrypted
        assert len(smtp.mails) == 1
        with pytest.raises(NotDelivered, match="certificate verify failed"):
            await mail(port, security="starttls").send(DELIVERY)
    plain = Smtp()
    async with listening(plain) as port:
        with pytest.raises(NotDelivered, match="STARTTLS"):
            await mail(port, security="starttls", ca_file=pem).send(DELIVERY)
    assert plain.mails == []


async def test_a_password_that_is_refused_is_not_told(authority: tuple[ssl.SSLContext, str]) -> None:
    context, pem = authority
    async with listening(Smtp(("AUTH PLAIN",)), context) as port:
        with pytest.raises(NotDelivered, match="refused user and password") as refused:
            await mail(port, security="tls", ca_file=pem, user="u", password="secret://token").send(DELIVERY)
    assert "s3cr3t" not in str(refused.value)


async def test_a_mail_server_that_drips_is_given_up_in_time_and_its_thread_ends() -> None:
    gone = asyncio.Event()

    async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(b"2")
                await writer.drain()
                await asyncio.sleep(0.02)
        finally:
            gone.set()

    async with listening(dripping) as port:
        with pytest.raises(NotDelivered, match="took longer"):
            await mail(port, seconds=0.3).send(DELIVERY)
        async with asyncio.timeout(10):
            await gone.wait()


def test_a_mail_without_title_takes_the_first_line() -> None:
    message = composed("first\nsecond", "", "info", []).to_json()
    delivery = replace(DELIVERY, notification=replace(DELIVERY.notification, message=message))
    channel = MailChannel("oncall", "127.0.0.1", 25, "none", "p@example.org", ("a@example.org",))
    assert mail_of(channel, delivery)["Subject"] == "first"

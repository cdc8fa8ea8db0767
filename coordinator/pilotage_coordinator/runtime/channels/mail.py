"""A mail over SMTP, by smtplib in a thread."""

import asyncio
import contextlib
import smtplib
import socket
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from typing import Final

from pilotage_coordinator.domain.channel import MailChannel
from pilotage_coordinator.runtime.channels.message import subject_of, text_of
from pilotage_coordinator.runtime.channels.trust import context_of
from pilotage_coordinator.runtime.channels.values import Values
from pilotage_coordinator.runtime.deliveries import NotDelivered
from pilotage_coordinator.store.records import DeliveryRecord

SECONDS: Final = 60.0
"""For one mail in all."""
STEP_SECONDS: Final = 15.0
"""For each step of the conversation."""


class Mail:
    """Sends to the addresses of one channel."""

    def __init__(self, channel: MailChannel, values: Values, seconds: float = SECONDS) -> None:
        self._channel = channel
        self._values = values
        self._seconds = seconds

    async def send(self, delivery: DeliveryRecord) -> str:
        """Send it; some refused recipients are told, and no failure: the others would get it again with each try."""
        channel = self._channel
        password = await self._values.text(channel.password) if channel.password else ""
        context = None
        if channel.security != "none":
            context = await asyncio.to_thread(context_of, channel.ca_file)
        talk = _Conversation(channel, password, context)
        work = asyncio.create_task(asyncio.to_thread(talk.send, mail_of(channel, delivery)))
        try:
            async with asyncio.timeout(self._seconds):
                refused = await asyncio.shield(work)
        except TimeoutError as error:
            raise NotDelivered(f"the mail server took longer than {self._seconds:g} s") from error
        except (OSError, smtplib.SMTPException) as error:
            raise NotDelivered(_reason(error, password)) from error
        finally:
            # A thread cannot be cancelled; without its connection it ends.
            talk.abort()
            work.add_done_callback(lambda done: done.cancelled() or done.exception())
        return f"the mail server refused {', '.join(refused)}" if refused else ""


def mail_of(channel: MailChannel, delivery: DeliveryRecord) -> EmailMessage:
    """Return the mail. Its id is the notification's, so that a repeated one is noticed."""
    notification = delivery.notification
    mail = EmailMessage()
    mail["From"] = channel.sender
    mail["To"] = ", ".join(channel.recipients)
    mail["Subject"] = subject_of(delivery)
    mail["Date"] = formatdate(notification.recorded_at // 1_000_000)
    mail["Message-ID"] = f"<{notification.id}@{channel.sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Pilotage-Notification"] = notification.id
    mail.set_content(text_of(delivery), cte="base64")
    return mail


class _Conversation:
    """One connection, which the loop may end while the thread talks."""

    def __init__(self, channel: MailChannel, password: str, context: ssl.SSLContext | None) -> None:
        self._channel = channel
        self._password = password
        self._context = context
        self.server: smtplib.SMTP | None = None
        """Known before it connects: a server may also be slow to greet."""

    def send(self, mail: EmailMessage) -> list[str]:
        """Return the recipients that the server refused; raises OSError or SMTPException."""
        channel = self._channel
        opened = _Tls(self, channel, self._context) if channel.security == "tls" else _Plain(self, channel)
        with opened as server:
            if channel.security == "starttls":
                # Raises where the server does not offer it: nothing is sent in clear.
                server.starttls(context=self._context)
            if channel.user:
                server.login(channel.user, self._password)
            return sorted(server.send_message(mail, channel.sender, list(channel.recipients)))

    def abort(self) -> None:
        """End the connection under whoever still talks."""
        sock = self.server.sock if self.server is not None else None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class _Plain(smtplib.SMTP):
    def __init__(self, talk: _Conversation, channel: MailChannel) -> None:
        talk.server = self
        super().__init__(channel.server, channel.port, timeout=STEP_SECONDS)


class _Tls(smtplib.SMTP_SSL):
    def __init__(self, talk: _Conversation, channel: MailChannel, context: ssl.SSLContext | None) -> None:
        talk.server = self
        super().__init__(channel.server, channel.port, timeout=STEP_SECONDS, context=context)


def _reason(error: OSError | smtplib.SMTPException, password: str) -> str:
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"the mail server refused user and password ({error.smtp_code})"
    return f"the mail server did not take it ({said.replace(password, '…') if password else said})"

"""A webhook: one HTTP POST of JSON. Nothing of the answer but its status is read or kept: it may echo the secret."""

import asyncio
import json
from typing import Final

import httpx

from pilotage_coordinator.domain.channel import WebhookChannel
from pilotage_coordinator.runtime.channels.message import body_of
from pilotage_coordinator.runtime.channels.trust import context_of
from pilotage_coordinator.runtime.channels.values import Values
from pilotage_coordinator.runtime.deliveries import NotDelivered
from pilotage_coordinator.store.records import DeliveryRecord

SECONDS: Final = 15.0
"""For one try in all, from the name's resolution to the status of the answer."""


class Webhook:
    """Sends to one URL."""

    def __init__(self, channel: WebhookChannel, values: Values, seconds: float = SECONDS) -> None:
        self._channel = channel
        self._values = values
        self._seconds = seconds

    async def send(self, delivery: DeliveryRecord) -> str:
        """Post it; every answer but a 2xx is a failure, a redirect too: it would carry the secret elsewhere."""
        channel = self._channel
        url = await self._values.url(channel.url)
        headers = {"Content-Type": "application/json", "Idempotency-Key": delivery.notification.id}
        if channel.header:
            headers[channel.header] = await self._values.text(channel.header_value)
        # Reading the authorities takes longer than the loop may be held.
        context = await asyncio.to_thread(context_of, channel.ca_file)
        content = json.dumps(body_of(delivery), ensure_ascii=False).encode()
        try:
            async with (
                asyncio.timeout(self._seconds),
                httpx.AsyncClient(
                    verify=context, follow_redirects=False, trust_env=False, timeout=self._seconds
                ) as client,
                client.stream("POST", url, content=content, headers=headers) as answer,
            ):
                status = answer.status_code
        except TimeoutError as error:
            raise NotDelivered(f"no answer within {self._seconds:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            # Of a secret URL only the kind of error is told: its text may hold a part of it.
            said = type(error).__name__ if url != channel.url else f"{type(error).__name__}: {error}"
            raise NotDelivered(f"the receiver could not be reached ({said})") from error
        if not 200 <= status < 300:
            hint = "; redirects are not followed: configure the final URL" if 300 <= status < 400 else ""
            raise NotDelivered(f"the receiver answered {status}{hint}")
        return ""

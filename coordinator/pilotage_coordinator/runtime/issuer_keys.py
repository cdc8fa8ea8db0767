"""The public keys of an issuer: fetched when they are needed, kept for a while, and fetched anew for a key not known.

What anybody sends can cause a fetch, so there is at most one within `PAUSE`, and every answer is bounded in size and
time. No redirect is followed, and no proxy of the environment is used.
"""

import asyncio
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from pilotage_coordinator.domain.access.issuer import Issuer
from pilotage_coordinator.domain.channel import wrong_url
from pilotage_coordinator.security.errors import TokenRefused
from pilotage_coordinator.security.identity_tokens import Header, IssuerKey, read_keys
from pilotage_coordinator.structured import structlog

log = structlog.get_logger("pilotage.identity")

FRESH: Final = 600.0
"""Seconds for which keys count without a new look: so long one that the issuer took back is still taken."""
STALE: Final = 3600.0
"""Seconds for which they count while the issuer cannot be reached."""
PAUSE: Final = 15.0
"""Seconds between two fetches."""
SECONDS: Final = 5.0
LARGEST: Final = 256 * 1024
_DISCOVERY: Final = "/.well-known/openid-configuration"


class IssuerUnreachable(Exception):
    """The issuer's keys cannot be had now."""


@dataclass(slots=True)
class IssuerKeys:
    """Keeps the keys of one issuer."""

    issuer: Issuer
    monotonic: Callable[[], float]
    _keys: tuple[IssuerKey, ...] = ()
    _fetched: float = float("-inf")
    _tried: float = float("-inf")
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def for_token(self, header: Header) -> tuple[IssuerKey, ...]:
        """Return the issuer's keys, fetched anew if they are old or none fits; raises IssuerUnreachable."""
        if self._suffices(header):
            return self._keys
        async with self._turn:
            now = self.monotonic()
            if not self._suffices(header) and now - self._tried >= PAUSE:
                self._tried = now
                await self._refresh()
            if self.monotonic() - self._fetched > STALE:
                raise IssuerUnreachable(f"the keys of {self.issuer.issuer} cannot be had; its tokens do not count now")
        return self._keys

    def _suffices(self, header: Header) -> bool:
        fresh = self.monotonic() - self._fetched <= FRESH
        return fresh and any(key.fits(header) for key in self._keys)

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                self._keys = await self._fetch()
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, TokenRefused, TimeoutError) as error:
            log.warning("issuer.keys_not_fetched", issuer=self.issuer.issuer, error=str(error) or type(error).__name__)
            return
        self._fetched = self.monotonic()
        log.info("issuer.keys_fetched", issuer=self.issuer.issuer, keys=len(self._keys))

    async def _fetch(self) -> tuple[IssuerKey, ...]:
        context = await asyncio.to_thread(ssl.create_default_context, cafile=self.issuer.ca_file or None)
        async with httpx.AsyncClient(
            verify=context, trust_env=False, follow_redirects=False, timeout=SECONDS
        ) as client:
            url = self.issuer.keys_url or await self._discovered(client)
            return read_keys(await _json(client, url))

    async def _discovered(self, client: httpx.AsyncClient) -> str:
        """Return where the issuer says that its keys are."""
        said = await _json(client, self.issuer.issuer.rstrip("/") + _DISCOVERY)
        if not isinstance(said, dict) or said.get("issuer") != self.issuer.issuer:
            raise ValueError("its discovery document is that of another issuer")
        url = said.get("jwks_uri")
        if not isinstance(url, str) or (wrong := wrong_url(url)):
            raise ValueError(f"its `jwks_uri`: {wrong if isinstance(url, str) else 'there is none'}")
        return url


async def _json(client: httpx.AsyncClient, url: str) -> Any:
    found = bytearray()
    async with client.stream("GET", url, headers={"accept": "application/json"}) as answer:
        if answer.status_code != httpx.codes.OK:
            raise ValueError(f"{url} answered {answer.status_code}")
        async for piece in answer.aiter_bytes():
            found += piece
            if len(found) > LARGEST:
                raise ValueError(f"{url} answered more than {LARGEST} bytes")
    try:
        return json.loads(found)
    except RecursionError as error:
        raise ValueError(f"{url} answered no JSON") from error

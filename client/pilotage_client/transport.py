"""One request, one answer; one stream, many. Errors become this package's own."""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx

from pilotage_client.errors import ClientError, CoordinatorUnreachable, Denied, RequestRefused

# Planning may ask every host; a stream shows a sign of life every 15 seconds.
_TIMEOUT: Final = httpx.Timeout(connect=5, read=300, write=60, pool=5)
_STREAM_TIMEOUT: Final = httpx.Timeout(connect=5, read=60, write=60, pool=5)
_LONGEST_PAUSE: Final = 2.0

Lost = Callable[[str], None]
"""Told, once for each loss, that a stream was lost and is being taken up again."""

Back = Callable[[], None]
"""Told when the coordinator answers again."""


class Transport:
    """HTTP to one coordinator. `where` names it in errors."""

    def __init__(self, http: httpx.AsyncClient, where: str) -> None:
        """Take an open HTTP client, which `close` closes."""
        self._http = http
        self.where = where

    @classmethod
    def over_socket(cls, path: Path, token: str = "") -> "Transport":
        """Reach a coordinator on this machine: as its owner, or as whoever an API token belongs to."""
        # A socket has no TLS. Without a context of no authority, httpx would read all of the machine's for each client.
        transport = httpx.AsyncHTTPTransport(uds=str(path), verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        headers = _bearer(token) if token else None
        http = httpx.AsyncClient(transport=transport, base_url="http://pilotage", headers=headers, timeout=_TIMEOUT)
        return cls(http, str(path))

    @classmethod
    def over_https(cls, url: str, token: str, certificates: Path | None = None) -> "Transport":
        """Reach a coordinator by TLS with a bearer token; `certificates` holds the authorities to believe."""
        if not url.startswith("https://"):
            raise ClientError(f"{url} is no https:// address", "a token never travels without TLS")
        http = httpx.AsyncClient(
            base_url=url,
            headers=_bearer(token),
            verify=_trust(certificates),
            timeout=_TIMEOUT,
        )
        return cls(http, url)

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send one request; return the JSON that came. Fields of None are left out."""
        try:
            response = await self._http.request(
                method, path, params=_given(query), json=_given(body) if body is not None else None, headers=headers
            )
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        if response.is_error:
            raise refusal(response.status_code, response.content)
        return _json(response.content)

    async def stream(
        self,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        patience: float = 60.0,
        lost: Lost | None = None,
        back: Back | None = None,
    ) -> AsyncGenerator[Any, None]:
        """Yield a stream's answers until it ends; a stream that is lost goes on after the last answer seen.

        Whoever leaves before the end closes the generator (`contextlib.aclosing`).

        `patience`: seconds to try again before giving up with CoordinatorUnreachable. The first connection is tried
        once.
        """
        place = ""
        begun = False
        while True:
            try:
                async with aclosing(self._events(path, query, place)) as events:
                    async for event in events:
                        begun = True
                        if event.name == "end":
                            return
                        if event.name == "error":
                            raise ClientError(event.data)
                        place = event.id or place
                        yield json.loads(event.data)
                problem = "the stream ended before its subject did"
            except httpx.TransportError as error:
                if not begun and not place:
                    raise self._unreachable(error) from error
                problem = str(error) or type(error).__name__
            begun = True
            if lost is not None:
                lost(problem)
            await self._return(patience)
            if back is not None:
                back()

    async def _return(self, patience: float) -> None:
        """Wait until the coordinator answers again; raise CoordinatorUnreachable when patience is over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + patience
        pause = 0.05
        while True:
            # Before each try: a coordinator that is stopping still answers for a moment.
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            try:
                await self.ask("GET", "/v1/health")
                return
            except CoordinatorUnreachable:
                if loop.time() + pause > end:
                    raise

    async def _events(self, path: str, query: Mapping[str, Any] | None, place: str) -> AsyncGenerator["_Event", None]:
        headers = {"accept": "text/event-stream"} | ({"last-event-id": place} if place else {})
        request = self._http.stream("GET", path, params=_given(query), headers=headers, timeout=_STREAM_TIMEOUT)
        async with request as response:
            if response.is_error:
                raise refusal(response.status_code, await response.aread())
            event = _Event()
            async for line in response.aiter_lines():
                if line:
                    event.take(line)
                    continue
                if event.data:
                    yield event
                event = _Event()

    @asynccontextmanager
    async def exchange(self, path: str, content: bytes, headers: Mapping[str, str]) -> AsyncIterator[httpx.Response]:
        """Yield what answers a POST, whatever its status, to be read as it comes: an answer may be a stream."""
        try:
            request = self._http.stream("POST", path, content=content, headers=dict(headers), timeout=_STREAM_TIMEOUT)
            async with request as response:
                yield response
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> CoordinatorUnreachable:
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                return CoordinatorUnreachable(
                    f"{self.where} does not show a certificate that is trusted here, and nothing was sent to it",
                    "give its authority with --ca FILE; `pilotage coordinator authority`, run there, prints it",
                )
            https = self.where.startswith("https://")
            return CoordinatorUnreachable(
                f"no coordinator answers at {self.where}",
                "look at https_listen in the coordinator's settings, and at the address"
                if https
                else "start one with `pilotage up`, or name the right socket with --socket",
            )
        return CoordinatorUnreachable(
            f"the coordinator at {self.where} stopped answering ({type(error).__name__})",
            "look whether it did what was asked before asking again",
        )


class _Event:
    """One server-sent event being read."""

    def __init__(self) -> None:
        self.name = "message"
        self.id = ""
        self.data = ""

    def take(self, line: str) -> None:
        """Take one field; a comment (which begins with a colon) says nothing."""
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self.name = value
        elif field == "id":
            self.id = value
        elif field == "data":
            self.data += ("\n" if self.data else "") + value


def _bearer(token: str) -> dict[str, str]:
    if not token.isascii() or not token.isprintable():
        raise ClientError("the API token has characters that none has", "copy it again in full")
    return {"authorization": f"Bearer {token}"}


def _trust(certificates: Path | None) -> ssl.SSLContext:
    """Return whom to believe: the system's authorities, or those of a file alone."""
    try:
        context = ssl.create_default_context(cafile=str(certificates) if certificates else None)
    except OSError as error:
        why = error.strerror or "it holds no certificate in PEM"
        raise ClientError(f"{certificates}: {why}", "`pilotage coordinator authority` prints the right one") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def segment(text: str) -> str:
    """Return a text as one segment of a path."""
    return quote(text, safe="")


def _given(values: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (values or {}).items() if value is not None}


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise ClientError("what answers there is no Pilotage coordinator: its answer is no JSON") from error


def refusal(status: int, content: bytes) -> RequestRefused:
    """Return what a coordinator's answer with an error status says."""
    try:
        document = json.loads(content)
        denied = (httpx.codes.FORBIDDEN, httpx.codes.UNAUTHORIZED, httpx.codes.TOO_MANY_REQUESTS)
        kind = Denied if status in denied else RequestRefused
        return kind(status, document["detail"], document["fix"], document["kind"], document["problems"])
    except (ValueError, KeyError, TypeError):
        return RequestRefused(status, f"HTTP {status}", "is that address a Pilotage coordinator?", "infrastructure", [])

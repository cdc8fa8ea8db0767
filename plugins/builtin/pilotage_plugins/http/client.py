"""One HTTP request over asyncio streams: bounded, cancellable at every byte, and never following a redirect itself."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, parse_headers
from io import BytesIO
from typing import Final
from urllib.parse import SplitResult, urlsplit

from pilotage_plugin_api import InfrastructureFailed, Refused

HEAD_LIMIT: Final = 64 * 1024
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered; `body` is the beginning of it, at most as much as was asked for."""

    status: int
    headers: HTTPMessage
    body: bytes


def check_url(url: str) -> str:
    """Return an http or https URL without credentials; raises ValueError for any other."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"{url!r} is no http:// or https:// address")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the address holds a user name or a password: they would stand in plans and logs")
    if any(ord(character) <= 32 or ord(character) == 127 for character in url) or not url.isascii():
        raise ValueError(f"{url!r} holds characters that must be percent-encoded")
    if parts.port == 0:
        raise ValueError(f"{url!r} has port 0")
    return url


def tls_context(ca_file: str | None, *, verify: bool) -> ssl.SSLContext:
    """Return the TLS settings; blocking (reads certificates)."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise Refused(f"ca_file {ca_file!r} cannot be used: {error}") from error
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def request(
    method: str, url: str, headers: Mapping[str, str], body_limit: int, tls: ssl.SSLContext | None, content: bytes = b""
) -> Answer:
    """Send one request and read its answer; raises InfrastructureFailed for whatever keeps it from being HTTP.

    A content is sent with its length; methods that usually carry one say so even when it is empty (RFC 9110, 8.6).
    """
    parts = urlsplit(url)
    assert parts.hostname
    try:
        reader, writer = await asyncio.open_connection(
            parts.hostname, parts.port or _PORTS[parts.scheme], ssl=tls, limit=HEAD_LIMIT
        )
    except ssl.SSLError as error:
        raise InfrastructureFailed(f"{url}: TLS failed: {error.reason or error}") from error
    except UnicodeError as error:
        raise InfrastructureFailed(f"{url}: {parts.hostname!r} is no name of a host: {error}") from error
    except OSError as error:
        raise InfrastructureFailed(f"{url}: cannot connect: {error.strerror or error}") from error
    try:
        if content or method in ("POST", "PUT", "PATCH"):
            headers = {**headers, "Content-Length": str(len(content))}
        writer.write(_request_text(method, parts, headers) + content)
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        status, answered = _parse_head(head)
        body = b"" if method == "HEAD" or status in (204, 304) else await _body(reader, answered, body_limit)
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, HTTPException, ValueError) as error:
        raise InfrastructureFailed(f"{url}: the answer broke off or is no HTTP: {error}") from error
    finally:
        writer.transport.abort()
    return Answer(status, answered, body)


def _request_text(method: str, parts: SplitResult, headers: Mapping[str, str]) -> bytes:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.netloc.rpartition("@")[2]
    fields = {"Host": host, "User-Agent": "pilotage", "Accept": "*/*", **headers, "Connection": "close"}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _parse_head(head: bytes) -> tuple[int, HTTPMessage]:
    first, _, rest = head.partition(b"\r\n")
    version, _, after = first.partition(b" ")
    status = int(after[:3])
    if not version.startswith(b"HTTP/1.") or not 100 <= status <= 599:
        raise ValueError(f"it begins with {first[:80]!r}")
    return status, parse_headers(BytesIO(rest))


async def _body(reader: asyncio.StreamReader, headers: HTTPMessage, limit: int) -> bytes:
    if "chunked" in headers.get("Transfer-Encoding", "").lower():
        return await _chunked(reader, limit)
    length = headers.get("Content-Length")
    wanted = limit if length is None else min(limit, int(length))
    body = await _up_to(reader, wanted)
    if length is not None and len(body) < wanted:
        raise ValueError(f"{len(body)} bytes came of {length}")
    return body


async def _chunked(reader: asyncio.StreamReader, limit: int) -> bytes:
    body = b""
    while len(body) < limit:
        size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
        if size <= 0:
            break
        body += await reader.readexactly(min(size, limit - len(body)))
        if len(body) < limit:
            await reader.readexactly(2)
    return body


async def _up_to(reader: asyncio.StreamReader, limit: int) -> bytes:
    body = b""
    while len(body) < limit and (chunk := await reader.read(limit - len(body))):
        body += chunk
    return body
